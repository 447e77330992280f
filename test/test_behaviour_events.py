"""From frames to events, and who the main person is; without ROS."""

from dataclasses import replace
from random import Random

import pytest

from emotion_perception.behaviour.events import CHANGED, ENDED, STARTED
from emotion_perception.behaviour.options import checked, DEFAULTS, OPTIONS
from emotion_perception.behaviour.people import People
from emotion_perception.emotions import EMOTIONS, FaceEmotion, LABELS, NEUTRAL, Roi, TrackState

STEP = 100_000_000  # ns between two images: ten a second
OPTIONS_HERE = {
    'enter_intensity': 0.6,
    'leave_intensity': 0.3,
    'min_duration': 0.5,
    'cool_down': 1.0,
    'max_gap': 2.0,
}


def face(
    emotion='happiness',
    intensity=0.0,
    track_id=1,
    state=TrackState.CONFIRMED,
    size=100,
    sequence_length=100,
):
    scores = tuple(0.9 if name == emotion else 0.02 for name in EMOTIONS)
    label = emotion if intensity >= 0.4 else NEUTRAL
    return FaceEmotion(
        track_id,
        state,
        Roi(100, 50, size, size),
        label,
        LABELS.index(label),
        intensity,
        0.9,
        scores,
        sequence_length,
        3.0,
    )


class Stream:
    """People before one camera or several, and all that happened."""

    def __init__(self, **options):
        self.people = People(**{**OPTIONS_HERE, **options})
        self.stamp, self.events = 10**18, []

    def show(self, frames, *faces, camera='front', step=STEP):
        """Show the same faces in so many images; return what happened: (second, event)."""
        happened = []
        for _ in range(frames):
            self.stamp += step
            happened += self.people.update(camera, self.stamp, (480, 640), list(faces))
        self.events += happened
        return happened

    def labels(self):
        return {(p.camera, p.track_id): p.label for p in self.people}


def what(events):
    return [(event.type, event.label) for event in events]


def test_an_emotion_starts_changes_and_ends():
    stream = Stream()
    stream.show(10, face())
    smile_began = stream.stamp + STEP
    assert not stream.show(5, face(intensity=0.8))
    (started,) = stream.show(1, face(intensity=0.7))
    assert (started.type, started.label, started.previous_label) == (STARTED, 'happiness', '')
    assert (started.camera, started.track_id) == ('front', 1)
    assert started.since_ns == smile_began and started.duration == pytest.approx(0.5)
    assert started.peak_intensity == 0.8
    assert started.intensity == started.mean_intensity == pytest.approx(4.7 / 6)
    assert stream.labels() == {('front', 1): 'happiness'}

    assert not stream.show(10, face(intensity=1.0))
    (changed,) = stream.show(6, face('surprise', 0.9))
    assert (changed.type, changed.label, changed.previous_label) == (
        CHANGED,
        'surprise',
        'happiness',
    )
    (ended,) = stream.show(20, face('surprise', 0.1))
    assert (ended.type, ended.label, ended.intensity) == (ENDED, 'surprise', 0.0)
    assert ended.peak_intensity == ended.mean_intensity == pytest.approx(0.9)
    assert ended.since_ns == changed.since_ns and ended.duration == pytest.approx(0.5)
    assert stream.labels() == {('front', 1): NEUTRAL}


def test_an_emotion_may_be_there_from_the_first_image():
    assert what(Stream().show(6, face(intensity=0.9))) == [(STARTED, 'happiness')]


def test_flicker_makes_no_event():
    stream = Stream()
    for _ in range(50):  # twice a second over the threshold, and from one emotion to another
        stream.show(3, face('sadness', 0.9))
        stream.show(1, face('sadness', 0.1))
        stream.show(2, face('anger', 0.9))
    assert not stream.events


def test_short_gaps_do_not_end_an_emotion():
    stream = Stream()
    stream.show(6, face(intensity=0.9))
    for _ in range(20):
        stream.show(2, face(intensity=0.1))
        stream.show(1, face(intensity=0.5))
        stream.show(2, face('anger', 0.9))
    assert what(stream.events) == [(STARTED, 'happiness')]


def test_weak_ones_do_not_start_but_go_on():
    stream = Stream()
    assert not stream.show(50, face(intensity=0.5))  # between leave and enter
    assert stream.show(6, face(intensity=0.9))
    assert not stream.show(50, face(intensity=0.5))
    assert stream.show(6, face(intensity=0.2))


def test_an_emotion_gives_way_to_a_weak_other_one():
    stream = Stream()
    stream.show(6, face(intensity=0.9))
    assert what(stream.show(6, face('anger', 0.5))) == [(ENDED, 'happiness')]
    assert stream.labels() == {('front', 1): NEUTRAL}


def test_cool_down_puts_the_next_start_off_but_never_an_end():
    stream = Stream(cool_down=3.0)
    stream.show(6, face(intensity=0.9))
    assert what(stream.show(6, face(intensity=0.0))) == [(ENDED, 'happiness')]
    assert not stream.show(29, face(intensity=0.9))
    assert what(stream.show(1, face(intensity=0.9))) == [(STARTED, 'happiness')]


def test_an_emotion_counts_from_the_first_image_that_showed_it():
    """Though its start was put off: it was weak at first, then it cooled down."""
    stream = Stream(cool_down=3.0)
    stream.show(5, face())
    weak = stream.stamp + STEP
    assert not stream.show(20, face(intensity=0.4))
    assert not stream.show(1, face(intensity=1.0))
    assert not stream.show(1, face(intensity=0.8))
    (started,) = stream.show(1, face(intensity=0.8))
    assert (started.type, started.since_ns) == (STARTED, weak)
    assert started.duration == stream.people.main.duration == pytest.approx(2.2)
    assert started.mean_intensity == pytest.approx((20 * 0.4 + 1.0 + 2 * 0.8) / 23)

    over = stream.stamp + STEP
    stream.show(5, face())
    # Between two images far from each other, several leave the window at once.
    assert what(stream.show(1, face(), step=10**9)) == [(ENDED, 'happiness')]
    assert (stream.people.main.label, stream.people.main.since_ns) == (NEUTRAL, over)

    stream.show(1, face(intensity=0.9))  # an image that does not show it, and it begins anew
    stream.show(1, face('anger', 0.9))
    began = stream.stamp + STEP
    assert not stream.show(1, face(intensity=1.0))
    (started,) = stream.show(27, face(intensity=0.9))
    assert (started.since_ns, started.peak_intensity) == (began, 1.0)
    assert started.duration == pytest.approx(2.7)


@pytest.mark.parametrize('rate', [2, 5, 15, 30, 60])
def test_time_counts_and_not_frames(rate):
    stream = Stream(min_duration=1.0)
    step = -(-(10**9) // rate)
    stream.show(rate, face(), step=step)
    assert not stream.show(rate, face(intensity=0.9), step=step)
    assert what(stream.show(1, face(intensity=0.9), step=step)) == [(STARTED, 'happiness')]


def test_the_same_images_give_the_same_events():
    def run():
        stream = Stream()
        for emotion, intensity in (('anger', 0.9), ('fear', 0.2), ('sadness', 0.7)) * 3:
            stream.show(9, face(emotion, intensity), face('surprise', intensity, track_id=2))
        return stream.events

    assert run() == run() != []


def test_a_coasting_face_proves_nothing():
    stream = Stream()
    coasting = face(intensity=0.9, state=TrackState.COASTING)
    stream.show(3, face(intensity=0.9))
    assert not stream.show(20, coasting)
    assert what(stream.show(4, face(intensity=0.9))) == [(STARTED, 'happiness')]
    assert not stream.show(20, coasting, step=STEP)
    assert stream.labels() == {('front', 1): 'happiness'}
    assert what(stream.show(1)) == [(ENDED, 'happiness')]


def test_a_new_track_is_nobody_yet():
    stream = Stream()
    assert not stream.show(20, face(intensity=0.9, state=TrackState.NEW))
    assert stream.labels() == {} and stream.people.main is None


def test_a_track_that_vanishes_ends_its_emotion():
    stream = Stream()
    stream.show(10, face(intensity=0.9), face(intensity=0.0, track_id=2))
    (ended,) = stream.show(1, face(intensity=0.0, track_id=2))
    assert (ended.type, ended.track_id) == (ENDED, 1)
    assert ended.duration == pytest.approx(0.9)
    assert stream.labels() == {('front', 2): NEUTRAL}


def test_cameras_are_kept_apart():
    stream = Stream()
    for _ in range(10):
        stream.show(1, face(intensity=0.9), camera='left', step=STEP)
        stream.show(1, face('anger', 0.9), camera='right', step=0)
    assert [(event.camera, event.label) for event in stream.events] == [
        ('left', 'happiness'),
        ('right', 'anger'),
    ]
    assert what(stream.people.forget('left')) == [(ENDED, 'happiness')]
    assert stream.labels() == {('right', 1): 'anger'}


@pytest.mark.parametrize('jump', [-(10**10), -1, 3 * 10**9, 10**18], ids=str)
def test_a_stamp_that_jumps_ends_what_was(jump):
    stream = Stream()
    stream.show(10, face(intensity=0.9))
    (ended,) = stream.show(1, face(intensity=0.9), step=jump)
    assert ended.type == ENDED and ended.duration == pytest.approx(0.9)
    assert stream.people.jumps == 1
    assert what(stream.show(5, face(intensity=0.9))) == [(STARTED, 'happiness')]
    assert stream.people.jumps == 1


def test_a_stamp_that_stands_still_is_no_time():
    stream = Stream()
    assert not stream.show(1, face(intensity=0.9), step=0)
    assert not stream.show(100, face(intensity=0.3), step=0)
    assert stream.people.jumps == 0
    (started,) = stream.show(5, face(intensity=0.9))
    # Images of no time weigh nothing, and are not kept.
    assert started.intensity == started.mean_intensity == pytest.approx(0.9)
    assert started.duration == pytest.approx(0.5)
    (person,) = stream.people
    for _ in range(2):
        stream.show(100, face(intensity=0.9), step=0)
        assert len(person._window) == 6
        stream.show(1, face(intensity=0.9))


def test_a_restarted_emotion_node_counts_its_faces_again():
    stream = Stream()
    stream.show(10, face(intensity=0.9, sequence_length=50))
    assert what(stream.show(1, face(intensity=0.9, sequence_length=1))) == [(ENDED, 'happiness')]
    assert what(stream.show(5, face(intensity=0.9, sequence_length=2))) == [(STARTED, 'happiness')]


def test_an_image_without_pixels_is_refused_and_changes_nothing():
    stream = Stream()
    stream.show(6, face(intensity=0.9))
    with pytest.raises(ValueError, match='0 x 640 pixels'):
        stream.people.update('front', stream.stamp + STEP, (0, 640), [])
    assert stream.labels() == {('front', 1): 'happiness'}


def main_id(stream):
    return stream.people.main and stream.people.main.track_id


def test_nearest_is_main_and_does_not_flip():
    stream = Stream(main_person='nearest', main_hold=2.0)
    stream.show(1, face(track_id=1, size=100), face(track_id=2, size=120))
    assert main_id(stream) == 2
    for _ in range(50):  # both come and go
        stream.show(10, face(track_id=1, size=200), face(track_id=2, size=120))
        stream.show(10, face(track_id=1, size=100), face(track_id=2, size=120))
        assert main_id(stream) == 2
    stream.show(100, face(track_id=1, size=140), face(track_id=2, size=120))
    assert main_id(stream) == 2  # not clearly nearer
    stream.show(20, face(track_id=1, size=200), face(track_id=2, size=120))
    assert main_id(stream) == 2
    stream.show(1, face(track_id=1, size=200), face(track_id=2, size=120))
    assert main_id(stream) == 1
    main = stream.people.main
    assert (main.x, main.y, main.size) == pytest.approx((200 / 640, 150 / 480, 200 / 480))


def test_who_takes_over_when_the_main_person_goes():
    stream = Stream()
    assert main_id(stream) is None
    stream.show(1, face(track_id=1, size=200), face(track_id=2))
    stream.show(1, face(track_id=2))
    assert main_id(stream) == 2
    stream.show(1)
    assert main_id(stream) is None


def test_longest_and_strongest_can_be_main():
    stream = Stream(main_person='longest')
    stream.show(1, face(track_id=1))
    stream.show(100, face(track_id=1), face('anger', 0.9, track_id=2, size=300))
    assert main_id(stream) == 1
    stream.people.set_options(main_person='strongest')
    stream.show(22, face(track_id=1), face('anger', 0.9, track_id=2))
    assert main_id(stream) == 2


def test_cameras_of_different_clocks_have_one_time():
    stream = Stream(main_hold=2.0)
    stream.show(2, face(size=100), camera='left')
    for turn in range(30):
        stream.show(1, face(size=100), camera='left')
        stream.people.update('right', turn * STEP, (480, 640), [face(size=200)])
        assert stream.people.main.camera == ('left' if turn < 20 else 'right')


class Cameras:
    """Cameras that each have a clock of their own, before which nobody is."""

    def __init__(self, *names):
        self.people, self.clocks = People(**OPTIONS_HERE), {}
        for number, name in enumerate(names):
            self.clocks[name] = number * 10**15

    def show(self, *names, frames=10):
        """Let time go on for so many images; return for how long it did [images]."""
        before = self.people.time_ns
        for _ in range(frames):
            for name in self.clocks:
                self.clocks[name] += STEP
            for name in names:
                self.people.update(name, self.clocks[name], (480, 640), [])
        return (self.people.time_ns - before) / STEP


@pytest.mark.parametrize('jump', [15 * STEP, 10**12], ids=['within max_gap', 'beyond it'])
def test_time_goes_on_without_the_camera_whose_clock_was_ahead(jump):
    cameras = Cameras('back', 'left', 'right')
    cameras.show('left', 'right', 'back')
    cameras.people.forget('back')
    cameras.clocks['left'] += jump
    cameras.show('left', 'right')
    cameras.people.forget('left')
    assert cameras.show('right') == 10
    # Those that come back go on with the others, whoever stays.
    assert cameras.show('left', 'right') == 10
    cameras.people.forget('right')
    assert cameras.show('left') == 10
    cameras.people.forget('left')
    cameras.show('back', frames=1)
    assert cameras.show('back') == 10


def test_time_goes_on_where_a_clock_was_ahead_and_is_set_back():
    cameras = Cameras('left', 'right', 'third')
    cameras.show('left', 'right', 'third')
    cameras.clocks['left'] += 10**12
    cameras.show('left', 'right', 'third')
    cameras.clocks['left'] -= 10**12
    assert cameras.show('left', 'right', 'third') == pytest.approx(10, abs=1)
    for gone, left in (('left', ('right', 'third')), ('third', ('right',))):
        cameras.people.forget(gone)
        assert cameras.show(*left) == pytest.approx(10, abs=1)


def test_time_goes_on_when_the_last_camera_was_away():
    cameras = Cameras('left')
    cameras.show('left')
    cameras.people.forget('left')
    cameras.show(frames=50)
    assert cameras.show('left') == 60


@pytest.mark.parametrize('seed', range(5))
def test_time_goes_on_with_whoever_is_left(seed):
    """Whatever clocks and cameras did before."""
    random = Random(seed)
    cameras = Cameras('back', 'left', 'right')
    for _ in range(100):
        one = random.choice(list(cameras.clocks))
        if random.random() < 0.5:
            cameras.people.forget(one)
        else:
            cameras.clocks[one] += random.choice((-1, 1)) * 10 ** random.randrange(8, 13)
        shown = random.sample(list(cameras.clocks), random.randrange(1, 4))
        cameras.show(*shown, frames=random.randrange(1, 5))
        for other in set(cameras.clocks) - set(shown):
            cameras.people.forget(other)
        assert cameras.show(*shown) == pytest.approx(10, abs=1)


def test_time_goes_on_where_a_recording_is_played_again():
    stream = Stream()
    stream.show(1)
    before = stream.people.time_ns
    for _ in range(5):
        stream.show(10)
        stream.stamp -= 11 * STEP
        stream.show(1)
    assert stream.people.time_ns - before == 50 * STEP


def test_who_came_first_is_the_longest_in_view_by_any_clock():
    stream = Stream(main_person='longest', main_hold=0.5)
    stream.people.update('right', 0, (480, 640), [face()])
    for turn in range(1, 20):
        stream.show(1, face(), camera='left')
        stream.people.update('right', turn * STEP, (480, 640), [face()])
    assert stream.people.main.camera == 'right'
    stream = Stream(main_person='longest', main_hold=0.5)
    stream.show(5, face(), camera='left')
    for turn in range(1, 20):
        stream.show(1, face(), camera='left')
        stream.people.update('right', turn * STEP, (480, 640), [face()])
    assert stream.people.main.camera == 'left'


def test_the_nearer_camera_has_the_main_person():
    stream = Stream()
    stream.show(1, face(size=100), camera='left')
    stream.show(1, face(size=300), camera='right', step=0)
    for _ in range(30):
        stream.show(1, face(size=100), camera='left')
        stream.show(1, face(size=300), camera='right', step=0)
    assert stream.people.main.camera == 'right'


def test_options_are_checked_and_live():
    assert checked({}) == DEFAULTS and all(option.live for option in OPTIONS)
    with pytest.raises(ValueError, match='leave_intensity is 0.7 and enter_intensity 0.6: expec'):
        People(leave_intensity=0.7, enter_intensity=0.6)
    stream = Stream()
    with pytest.raises(ValueError, match='min_duration takes 0.05 to 10.0 s, not 0'):
        stream.people.set_options(min_duration=0, cool_down=2.0)
    stream.people.set_options(min_duration=0.2)
    assert what(stream.show(3, face(intensity=0.9))) == [(STARTED, 'happiness')]


def test_messages_will_do_for_faces():
    """The node hands on messages: the fields are the same, the state is a plain number."""
    stream = Stream()
    for _ in range(6):
        stream.show(1, replace(face(intensity=0.9), state=1))
    assert stream.events
    assert not Stream().show(20, replace(face(intensity=0.9), state=2))


@pytest.mark.parametrize('seed', range(5))
def test_events_tell_the_whole_story(seed):
    """Whatever the images show: who follows the events knows every stable emotion."""
    random = Random(seed)
    stream = Stream(enter_intensity=0.3, min_duration=0.2, cool_down=0.2)
    told = {}
    for _ in range(1000):
        faces = [
            face(
                random.choice(EMOTIONS[:2]),
                random.random() ** 0.3,
                track_id,
                random.choice((TrackState.CONFIRMED,) * 9 + tuple(TrackState)),
            )
            for track_id in range(1, random.randrange(2, 5))
        ]
        step = random.choice((STEP // 3, STEP // 3, STEP)) if random.random() < 0.99 else -STEP
        for event in stream.show(1, *faces, camera=random.choice(('left', 'right')), step=step):
            who = event.camera, event.track_id
            assert (
                told.get(who, '')
                == ({STARTED: '', CHANGED: event.previous_label, ENDED: event.label}[event.type])
            )
            assert event.label != event.previous_label
            assert 0 <= event.intensity <= event.peak_intensity <= 1 and event.duration >= 0
            assert 0.3 <= event.mean_intensity <= event.peak_intensity
            told[who] = '' if event.type == ENDED else event.label
        assert {who: label for who, label in told.items() if label} == {
            who: label for who, label in stream.labels().items() if label != NEUTRAL
        }
        everybody = list(stream.people)
        assert (stream.people.main in everybody) if everybody else stream.people.main is None
    assert {event.type for event in stream.events} == {STARTED, CHANGED, ENDED}


@pytest.mark.parametrize(
    'fields, reason',
    [
        ({'label': ''}, "label_id 6 has the label '', expected one of 0 anger, 1 disgust"),
        ({'label_id': 3}, "label_id 3 has the label 'neutral', expected one of 0 anger"),
        ({'label_id': 7}, 'label_id 7 has'),
        ({'state': 3}, 'state is 3, expected 0 .. 2'),
        ({'roi': Roi(0, 0, 0, 9)}, r'roi has 0 x 9 pixels at \(0, 0\), expected one or more'),
        ({'roi': Roi(600, 0, 41, 9)}, 'within an image of 640 x 480'),
        ({'roi': Roi(0, 2**32 - 1, 9, 9)}, 'within an image of 640 x 480'),
        ({'intensity': float('nan')}, 'is not within 0 .. 1'),
        ({'confidence': 1.5}, 'is not within 0 .. 1'),
        ({'scores': (0.0, 0.0, 2.0, 0.0, 0.0, 0.0)}, 'is not within 0 .. 1'),
    ],
)
def test_a_face_that_no_pipeline_gives_is_refused_and_changes_nothing(fields, reason):
    stream = Stream()
    stream.show(6, face(intensity=0.9))
    with pytest.raises(ValueError, match=f'face 2: .*{reason}'):
        stream.show(1, face(), replace(face(track_id=2), **fields))
    assert stream.labels() == {('front', 1): 'happiness'}
    assert what(stream.show(6, face())) == [(ENDED, 'happiness')]
