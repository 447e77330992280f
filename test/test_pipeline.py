"""The whole walk, with real images of a face."""

import cv2
from hypothesis import given, settings, strategies
import numpy as np
import pytest

from emotion_perception.emotions import EMOTIONS, LABELS, NEUTRAL, TrackState
from emotion_perception.pipeline import EmotionPipeline
from emotion_perception.recognition import load_model
from emotion_perception.temporal import FACE
from emotion_perception.videos import Video

PERIOD = 33_333_333  # [ns]
START = 1_700_000_000_000_000_000
BLANK = np.full((240, 320, 3), 90, np.uint8)


@pytest.fixture(scope='session')
def portrait():
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    return cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)


@pytest.fixture(scope='session')
def video(portrait):
    """Return a function of a count to frames, uint8 [240,320,3], of a face that moves."""

    def frames(count):
        return [
            cv2.warpAffine(
                portrait,
                np.float64(
                    [
                        [0.7 * zoom, 0, 10 + 20 * np.sin(i / 9)],
                        [0, 0.7 * zoom, 5 + 10 * np.sin(i / 13)],
                    ]
                ),
                (320, 240),
                flags=cv2.INTER_AREA,
            )
            for i, zoom in ((i, 1 + 0.1 * np.sin(i / 17)) for i in range(count))
        ]

    return frames


@pytest.fixture(scope='session')
def two_faces(portrait):
    """Return an image of a large face on the left and a small one on the right."""
    face = portrait[0:260, 100:340]
    image = np.full((240, 420, 3), 90, np.uint8)
    image[:, :221] = cv2.resize(face, (221, 240), interpolation=cv2.INTER_AREA)
    image[60:200, 270:399] = cv2.resize(face, (129, 140), interpolation=cv2.INTER_AREA)
    return image


def run(pipeline, frames, camera='camera', start=START):
    return [pipeline.process(frame, start + i * PERIOD, camera) for i, frame in enumerate(frames)]


def numbers(results):
    """Return results without the ids."""
    return [
        [(f.roi, f.label, f.intensity, f.scores, f.sequence_length) for f in faces]
        for faces in results
    ]


def test_one_face_over_a_video(video):
    results = run(EmotionPipeline(), video(105))
    assert all(len(faces) == 1 for faces in results[4:]), 'confirmed within the first five'
    assert {face.track_id for faces in results for face in faces} == {1}
    assert {face.state for faces in results for face in faces} == {TrackState.CONFIRMED}
    for i, faces in enumerate(results):
        for face in faces:
            assert face.sequence_length == min(i + 1, 100)
            assert face.sequence_duration == pytest.approx(min(i, 99) * PERIOD / 1e9)
            check_face(face, 320, 240)
            # The face stands around here (the middle of the portrait's is at 222, 118).
            zoom = 0.7 * (1 + 0.1 * np.sin(i / 17))
            middle = (222 * zoom + 10 + 20 * np.sin(i / 9), 118 * zoom + 5 + 10 * np.sin(i / 13))
            assert abs(face.roi.x_offset + face.roi.width / 2 - middle[0]) < 20
            assert abs(face.roi.y_offset + face.roi.height / 2 - middle[1]) < 20


def check_face(face, width, height):
    assert face.label == LABELS[face.label_id]
    assert len(face.scores) == 6 and sum(face.scores) == pytest.approx(1, abs=1e-4)
    assert 0 <= face.intensity <= 1 and 0 <= face.confidence <= 1
    if face.label == NEUTRAL:
        assert face.confidence == pytest.approx(1 - face.intensity / 2)
    else:
        assert face.label == EMOTIONS[np.argmax(face.scores)]
        assert face.confidence == max(face.scores)
    assert face.roi.x_offset >= 0 and face.roi.x_offset + face.roi.width <= width
    assert face.roi.y_offset >= 0 and face.roi.y_offset + face.roi.height <= height


def test_results_are_those_of_the_crops_of_the_regions(video):
    """Whoever crops the published regions and runs the model gets the published scores."""
    from emotion_perception.crops import crop_face

    frames = video(8)
    results = run(EmotionPipeline(publish_new_tracks=True), frames)
    crops = np.stack([crop_face(frame, faces[0].roi) for frame, faces in zip(frames, results)])
    model = load_model(None)
    scores, _ = model.classify_all(model.encode(crops))
    np.testing.assert_allclose(scores, [faces[0].scores for faces in results], atol=1e-4)


@pytest.mark.slow
def test_no_emotion_lingers_after_a_cut(data_dir):
    """Real video: a singer, then his guests. He is not among them, nor is the curtain behind him."""
    pipeline, found = EmotionPipeline(), []
    with Video(data_dir / 'clips' / 'face_recognition_short_hamilton_clip.mp4') as video:
        for stamp_ns, image in video:
            found.append({f.track_id: f.roi.x_offset for f in pipeline.process(image, stamp_ns)})
    assert all(len(faces) == 1 for faces in found[30:82])  # somebody in near darkness
    assert all(len(faces) == 1 for faces in found[100:211])
    assert all(not faces.keys() & found[210].keys() for faces in found[211:])
    assert all(min(faces.values()) < 70 for faces in found[213:])
    assert all(len(faces) == 2 for faces in found[225:])  # one of them turned away by half


def test_new_faces_only_when_asked_for(video):
    frames = video(3)
    assert run(EmotionPipeline(), frames)[0] == []
    [face] = run(EmotionPipeline(publish_new_tracks=True), frames)[0]
    assert face.state == TrackState.NEW
    assert (face.sequence_length, face.sequence_duration) == (1, 0.0)


def test_sequence_limit(video):
    [face] = run(EmotionPipeline(sequence_limit=4), video(8))[-1]
    assert face.sequence_length == 4
    assert face.sequence_duration == pytest.approx(3 * PERIOD / 1e9)


def test_the_same_frames_give_the_same_results(video):
    frames = video(12)
    pipeline = EmotionPipeline()
    first = run(pipeline, frames)
    assert any(first)
    assert run(EmotionPipeline(), frames) == first
    pipeline.reset()
    assert numbers(run(pipeline, frames)) == numbers(first)


def test_two_cameras_in_one_batch_equal_two_alone(video):
    left = video(10)
    right = [np.ascontiguousarray(frame[:, ::-1]) for frame in left[::-1]]
    pipeline = EmotionPipeline()
    together = [
        pipeline.process_batch(
            [('left', a, START + i * PERIOD), ('right', b, START + i * PERIOD + 5)]
        )
        for i, (a, b) in enumerate(zip(left, right))
    ]
    alone = zip(run(EmotionPipeline(), left), run(EmotionPipeline(), right))
    assert any(a and b for a, b in together)
    for (a, b), (expected_a, expected_b) in zip(together, alone):
        for faces, expected in ((a, expected_a), (b, expected_b)):
            assert [(f.track_id, f.roi, f.state, f.sequence_length) for f in faces] == [
                (f.track_id, f.roi, f.state, f.sequence_length) for f in expected
            ]
            for face, other in zip(faces, expected):
                np.testing.assert_allclose(face.scores, other.scores, atol=1e-4)
    assert set(pipeline.timings) and min(pipeline.timings.values()) >= 0


def test_what_is_found_may_be_read_later(video):
    frames = video(12)[:6] + [BLANK] * 2 + video(12)[6:]
    expected = run(EmotionPipeline(), frames)
    pipeline = EmotionPipeline()
    found = [
        pipeline.find([('camera', frame, START + i * PERIOD)]) for i, frame in enumerate(frames)
    ]
    assert [pipeline.read(batch)[0] for batch in found] == expected
    late = pipeline.find([('camera', frames[0], START)])
    assert pipeline.read(late) == [None]


def test_neutral_threshold(video):
    frames = video(6)
    [always] = run(EmotionPipeline(neutral_threshold=1.0), frames)[-1]
    [never] = run(
        EmotionPipeline(neutral_threshold=0.0, label_window=0.0, neutral_hysteresis=0.0), frames
    )[-1]
    assert always.label == NEUTRAL and always.label_id == LABELS.index(NEUTRAL)
    assert always.confidence == pytest.approx(1 - always.intensity / 2)
    assert never.label == EMOTIONS[np.argmax(never.scores)]
    assert never.confidence == max(never.scores)
    assert always.scores == never.scores and always.intensity == never.intensity


def test_a_stamp_that_jumps_back_begins_anew(video):
    frames = video(6)
    pipeline = EmotionPipeline(publish_new_tracks=True)
    assert run(pipeline, frames)[-1][0].sequence_length == 6
    assert pipeline.process(frames[0], START - 10**9) == []
    [face] = pipeline.process(frames[0], START - 10**9 + PERIOD)
    assert (face.state, face.sequence_length) == (TrackState.NEW, 1)
    assert (pipeline.restarts('camera'), pipeline.late('camera')) == (1, 1)


def test_one_image_that_is_far_too_late_is_left_out_whatever_came_before(video):
    frames = video(8)
    pipeline = EmotionPipeline()
    run(pipeline, frames[:6])
    for back in (30_000_000, 600_000_000):
        assert pipeline.process(frames[6], START + 5 * PERIOD - back) == []
    assert pipeline.process(frames[7], START + 6 * PERIOD)[0].sequence_length == 7
    assert (pipeline.restarts('camera'), pipeline.late('camera')) == (0, 2)


@pytest.mark.parametrize('off, left_out', [(-(10**9), 2), (-START, 2), (400_000_000, 2 * 12)])
def test_single_stamps_that_are_off_forget_nobody(video, off, left_out):
    frames = video(60)
    pipeline = EmotionPipeline()
    results = [
        pipeline.process(frame, START + i * PERIOD + off * (i in (20, 40)))
        for i, frame in enumerate(frames)
    ]
    assert {face.track_id for faces in results for face in faces} == {1}
    assert (pipeline.restarts('camera'), pipeline.late('camera')) == (0, left_out)


def test_a_late_image_is_left_out(video):
    frames = video(6)
    pipeline = EmotionPipeline()
    run(pipeline, frames)
    late = START + 5 * PERIOD - 1_000_000
    assert pipeline.process(frames[-1], late) == []
    both = pipeline.process_batch([('camera', frames[-1], late), ('other', frames[0], START)])
    assert both == [None, []]
    [face] = pipeline.process(frames[-1], START + 6 * PERIOD)
    assert (face.track_id, face.sequence_length) == (1, 7)
    assert (pipeline.restarts('camera'), pipeline.late('camera')) == (0, 2)
    assert pipeline.late('other') == 0


def test_a_short_recording_may_begin_again(video):
    """Its images all look late, but late ones do not begin again."""
    frames = video(9)
    pipeline = EmotionPipeline()
    shown = [bool(faces) for _ in range(4) for faces in run(pipeline, frames)]
    assert sum(shown) >= 12
    assert pipeline.late('camera') == 2 * 8 and pipeline.restarts('camera') == 1


def test_a_clock_that_steps_back_a_little_forgets_nobody(video):
    frames = video(40)
    pipeline = EmotionPipeline()
    run(pipeline, frames[:20])
    results = run(pipeline, frames[20:], start=START + 20 * PERIOD - 300_000_000)
    assert {face.track_id for faces in results for face in faces} == {1}
    assert pipeline.late('camera') == 9 and pipeline.restarts('camera') == 0


@pytest.mark.parametrize('gap', [1.0, 3600.0])
def test_after_a_gap_a_face_and_its_sequence_are_new(video, gap):
    frames = video(12)
    pipeline = EmotionPipeline()
    [before] = run(pipeline, frames[:8])[-1]
    [after] = run(pipeline, frames[8:], start=START + 8 * PERIOD + int(gap * 1e9))[-1]
    assert after.track_id > before.track_id
    assert pipeline.gaps('camera') == 1
    assert after.sequence_length == 4 and after.sequence_duration < 0.2


def test_images_of_another_size_begin_anew(video):
    frames = video(20)
    pipeline = EmotionPipeline()
    run(pipeline, frames[:8])
    larger = [cv2.resize(frame, None, fx=2, fy=2) for frame in frames[8:]]
    results = run(pipeline, larger, start=START + 8 * PERIOD)
    assert [len(faces) for faces in results] == [0] + [1] * 11
    assert {face.track_id for [face] in results[1:]} == {2}
    assert pipeline.resizes('camera') == 1 and pipeline.restarts('camera') == 0


@given(
    strategies.lists(
        strategies.tuples(
            strategies.sampled_from(
                [0, PERIOD, PERIOD, -1_000_000, 700_000_000, 10**9, -(10**12), 10**14]
            ),
            strategies.integers(1, 400),
            strategies.integers(1, 400),
            strategies.integers(-300, 300),
            strategies.floats(0.2, 3),
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(deadline=None, max_examples=60)
def test_no_image_and_no_stamp_is_too_much(shared_pipeline, portrait, images):
    """Any sizes, any steps of time, faces anywhere, of any size."""
    pipeline = shared_pipeline
    pipeline.reset()
    stamp = START
    for step, width, height, offset, scale in images:
        stamp += step
        image = cv2.warpAffine(
            portrait,
            np.float64([[scale, 0, offset - scale * 100], [0, scale, offset / 2]]),
            (width, height),
        )
        for face in pipeline.process(image, stamp):
            check_face(face, width, height)
            assert face.sequence_duration < 100 * 1.2


@pytest.fixture(scope='session')
def shared_pipeline():
    return EmotionPipeline(publish_new_tracks=True)


def test_the_same_stamp_twice_goes_on(video):
    frames = video(6)
    pipeline = EmotionPipeline()
    run(pipeline, frames)
    [face] = pipeline.process(frames[-1], START + 5 * PERIOD)
    assert face.sequence_length == 7


def test_reset_forgets_one_camera_or_all(video):
    frames = video(4)
    pipeline = EmotionPipeline(publish_new_tracks=True)
    stamp = START + 4 * PERIOD

    def lengths():
        return [
            pipeline.process(frames[-1], stamp, camera)[0].sequence_length for camera in ('a', 'b')
        ]

    run(pipeline, frames, 'a')
    run(pipeline, frames, 'b')
    pipeline.reset('a')
    assert lengths() == [1, 5]
    pipeline.reset('never seen')
    pipeline.reset()
    assert lengths() == [1, 1]


def test_an_unseen_face_coasts_and_then_ends(video):
    frames = video(8)
    pipeline = EmotionPipeline(max_coast_seconds=0.1)
    [before] = run(pipeline, frames)[-1]
    after = run(pipeline, [BLANK] * 5, start=START + 8 * PERIOD)
    assert [len(faces) for faces in after] == [1, 1, 1, 0, 0]
    for [face] in after[:3]:
        assert (face.track_id, face.state) == (before.track_id, TrackState.COASTING)
        # What is only guessed at does not enter the sequence: the last result stands.
        assert face.sequence_length == before.sequence_length
        assert face.scores == pytest.approx(before.scores, abs=1e-6)
    [again] = run(pipeline, frames, start=START + 20 * PERIOD)[-1]
    assert again.track_id > before.track_id


def test_nearest_mode_follows_the_largest_face(two_faces):
    both = run(EmotionPipeline(), [two_faces] * 6)[-1]
    assert [face.track_id for face in both] == [1, 2]
    [nearest] = run(EmotionPipeline(track_mode='nearest'), [two_faces] * 6)[-1]
    assert nearest.roi == max(both, key=lambda face: face.roi.width).roi
    assert nearest.roi.x_offset < 200


def test_a_face_that_becomes_the_nearest_while_unseen_is_not_made_up(two_faces):
    pipeline = EmotionPipeline(track_mode='nearest', max_coast_seconds=0.1)
    small, nobody = two_faces.copy(), np.full_like(two_faces, 90)
    small[40:190, 50:180] = 90  # the room stays: it is no cut
    results = run(pipeline, [two_faces] * 8 + [small] * 2 + [nobody] * 4)
    assert [len(faces) for faces in results[7:]] == [1, 1, 1, 1, 0, 0, 0]

    pipeline = EmotionPipeline(track_mode='nearest')
    run(pipeline, [two_faces] * 8)
    pipeline.set_options(track_mode='all')
    assert len(pipeline.process(nobody, START + 8 * PERIOD)) == 1
    assert len(pipeline.process(two_faces, START + 9 * PERIOD)) == 2


def test_a_face_that_was_nearest_before_is_remembered(two_faces):
    small = two_faces.copy()
    small[40:190, 50:180] = 90  # the room stays: it is no cut
    pipeline = EmotionPipeline(track_mode='nearest', max_coast_seconds=0.1)
    results = run(pipeline, [small] * 6 + [two_faces] * 20 + [small] * 8)
    [first], [nearer], [again] = results[5], results[25], results[-1]
    assert nearer.track_id != first.track_id == again.track_id
    assert first.sequence_length < again.sequence_length


def test_what_is_no_face_hides_nobody_behind_it(two_faces, monkeypatch):
    pipeline = EmotionPipeline(track_mode='nearest')
    encode = pipeline._model.encode

    def with_a_poster_in_front(crops):
        kept = encode(crops)
        kept[0, FACE] = -20
        return kept

    monkeypatch.setattr(pipeline._model, 'encode', with_a_poster_in_front)
    [behind] = run(pipeline, [two_faces] * 6)[-1]
    assert behind.roi.x_offset > 200


def test_max_faces(two_faces):
    assert len(run(EmotionPipeline(max_faces=1), [two_faces] * 6)[-1]) == 1


def test_an_image_without_a_face_gives_nothing():
    pipeline = EmotionPipeline(publish_new_tracks=True)
    assert run(pipeline, [BLANK] * 3) == [[], [], []]
    assert pipeline.process_batch([]) == []


@pytest.mark.parametrize('shape', [(1, 1), (1, 400), (23, 23), (25, 25), (30, 500)])
def test_a_tiny_image_gives_nothing(shape):
    assert EmotionPipeline().process(np.zeros((*shape, 3), np.uint8), START) == []


@pytest.mark.parametrize(
    'image, found',
    [
        (np.zeros((48, 64, 3), np.float32), r'float32 \[48, 64, 3\]'),
        (np.zeros((48, 64, 3), np.int8), r'int8 \[48, 64, 3\]'),
        (np.zeros((48, 64), np.uint8), r'uint8 \[48, 64\]'),
        (np.zeros((48, 64, 1), np.uint8), r'uint8 \[48, 64, 1\]'),
        (np.zeros((48, 64, 4), np.uint8), r'uint8 \[48, 64, 4\]'),
        (np.zeros((0, 64, 3), np.uint8), r'uint8 \[0, 64, 3\]'),
        (np.zeros((48, 0, 3), np.uint8), r'uint8 \[48, 0, 3\]'),
        (None, 'NoneType'),
        ([[[0, 0, 0]]], 'list'),
    ],
)
def test_a_wrong_image_is_refused_before_anything_is_done(video, image, found):
    frames = video(5)
    pipeline = EmotionPipeline()
    run(pipeline, frames)
    with pytest.raises(ValueError, match=f'image of b is {found}, but a uint8 array'):
        pipeline.process_batch([('camera', frames[-1], START + 5 * PERIOD), ('b', image, START)])
    [face] = pipeline.process(frames[-1], START + 5 * PERIOD)
    assert face.sequence_length == 6


def test_a_camera_is_at_most_once_in_a_batch():
    with pytest.raises(ValueError, match='at most one image of each camera'):
        EmotionPipeline().process_batch([('a', BLANK, 0), ('a', BLANK, 1)])


def test_live_options(video, two_faces):
    frames = video(6)
    pipeline = EmotionPipeline()
    run(pipeline, frames)
    pipeline.set_options(neutral_threshold=1.0, publish_new_tracks=True)
    [face] = pipeline.process(frames[-1], START + 6 * PERIOD)
    assert face.label == NEUTRAL and face.sequence_length == 7, 'tracks live on'
    [face] = pipeline.process(frames[0], START, 'another')
    assert face.state == TrackState.NEW

    pipeline = EmotionPipeline(max_coast_seconds=0.2)
    run(pipeline, [two_faces] * 8)
    pipeline.set_options(track_mode='nearest', max_coast_seconds=0.034)
    blank = np.full_like(two_faces, 90)
    after = run(pipeline, [two_faces, blank, blank], start=START + 8 * PERIOD)
    assert [len(faces) for faces in after] == [1, 1, 0]


@pytest.mark.parametrize(
    'options, reason',
    [
        ({'min_face_size': 60}, 'min_face_size can only be set at start'),
        ({'threads': 2, 'neutral_threshold': 1.0}, 'threads can only be set at start'),
        ({'neutral_threshold': 2.0}, 'neutral_threshold takes 0.0 to 1.0'),
        ({'nothing': 1}, "no option 'nothing'"),
    ],
)
def test_options_that_cannot_be_set_change_nothing(video, options, reason):
    frames = video(6)
    pipeline = EmotionPipeline(neutral_threshold=0.0)
    run(pipeline, frames)
    with pytest.raises(ValueError, match=reason):
        pipeline.set_options(**options)
    assert pipeline.process(frames[-1], START + 6 * PERIOD)[0].label != NEUTRAL


def test_wrong_options_and_models_are_refused_at_start(tmp_path):
    with pytest.raises(ValueError, match="no option 'min_size'"):
        EmotionPipeline(min_size=20)
    with pytest.raises(FileNotFoundError, match='none.json is missing'):
        EmotionPipeline(tmp_path / 'none.json')
    with pytest.raises(FileNotFoundError, match='none.xml'):
        EmotionPipeline(cascade=str(tmp_path / 'none.xml'))


def test_says_which_model_it_runs():
    pipeline, model = EmotionPipeline(), load_model(None)
    assert pipeline.model_sha256 == model.sha256 and len(model.sha256) == 64
    assert pipeline.model_name == model.description['name']
