"""The tracker on boxes whose truth is known."""

from math import isfinite, nan

import cv2
from hypothesis import given, strategies
import numpy as np
import pytest

from emotion_perception.boxes import Box, Detection, overlap, similarity
from emotion_perception.emotions import Roi, TrackState
from emotion_perception.tracking import nearest, SHARED_SECONDS, Tracker

FRAME_NS = 33_000_000


def face(x, y=100.0, size=80.0, patch=None):
    return Detection(Box(float(x), float(y), float(size), float(size)), patch)


def patch(seed):
    return np.random.default_rng(seed).integers(0, 256, (24, 24), np.uint8)


def run(tracker, frames, start=0):
    """Feed lists of detections; return [(track_id, state, box), ...] for every frame."""
    return [
        [
            (t.track_id, t.state, t.box)
            for t in tracker.update(detections, (start + index) * FRAME_NS)
        ]
        for index, detections in enumerate(frames)
    ]


def ids(frame):
    return [track_id for track_id, _, _ in frame]


def test_a_face_is_new_then_confirmed_and_keeps_its_id():
    frames = run(Tracker(), [[face(100 + 4 * i)] for i in range(30)])
    assert frames[0][0][:2] == (1, TrackState.NEW)
    assert all(frame[0][:2] == (1, TrackState.CONFIRMED) for frame in frames[4:])
    assert overlap(frames[-1][0][2], face(100 + 4 * 29).box) > 0.9


def test_ids_count_up_from_one_and_are_not_reused():
    tracker = Tracker(max_coast_seconds=0.1)
    first = run(tracker, [[face(0), face(300)]] * 5)
    assert ids(first[-1]) == [1, 2]
    assert ids(run(tracker, [[]] * 10, start=5)[-1]) == []
    assert ids(run(tracker, [[face(0)]], start=15)[-1]) == [3]


def test_a_blink_of_detection_leaves_the_track_coasting():
    tracker = Tracker()
    run(tracker, [[face(100)]] * 10)
    blink = run(tracker, [[], []], start=10)
    assert [frame[0][:2] for frame in blink] == [(1, TrackState.COASTING)] * 2
    assert run(tracker, [[face(100)]], start=12)[0][0][:2] == (1, TrackState.CONFIRMED)


def test_a_moving_face_is_found_again_behind_an_occlusion():
    tracker = Tracker()
    frames = [[face(100 + 6 * i)] if not 20 <= i < 32 else [] for i in range(50)]
    assert {track_id for frame in run(tracker, frames) for track_id in ids(frame)} == {1}


def test_a_face_that_is_no_longer_seen_comes_to_rest():
    frames = run(Tracker(), [[face(100 + 6 * i)] if i < 20 else [] for i in range(42)])
    [before], [after] = frames[19], frames[41]
    assert before[2].x < after[2].x < before[2].x + 70
    assert after[2].x - frames[38][0][2].x < 3


@pytest.mark.parametrize('rate, frames', [(10, 2), (30, 6), (60, 12)])
def test_a_lost_face_ends_after_max_coast_seconds(rate, frames):
    tracker = Tracker(max_coast_seconds=0.2)
    shown = [
        len(tracker.update([face(100)] if index < 10 else [], index * 10**9 // rate))
        for index in range(12 + frames)
    ]
    assert shown == [1] * (10 + frames) + [0] * 2


def test_a_lost_face_ends_where_the_stamps_stand_still():
    tracker = Tracker()
    shown = [len(tracker.update([face(100)] if index < 40 else [], 0)) for index in range(70)]
    assert shown == [1] * 64 + [0] * 6


@pytest.mark.parametrize('gap, same', [(0.5, True), (0.9, False), (3600, False)])
def test_after_a_gap_a_face_is_a_new_one(gap, same):
    tracker = Tracker()
    run(tracker, [[face(100)]] * 10)
    (track,) = tracker.update([face(100)], 9 * FRAME_NS + int(gap * 1e9))
    assert (track.track_id == 1) is same
    assert track.hits == (11 if same else 1)


def test_a_stream_of_few_images_has_its_faces():
    """Its own period is no gap; a longer time is."""
    tracker = Tracker()
    tracks = [tracker.update([face(100)], index * 10**9)[0] for index in range(6)]
    assert [track.track_id for track in tracks] == [1] + [2] * 5
    assert tracks[-1].state is TrackState.CONFIRMED
    assert tracker.update([face(100)], 8 * 10**9)[0].track_id == 3


def test_a_face_that_moved_is_the_same_where_it_stopped():
    """After a late image, or a step of the clock, it need not be where it was going."""
    tracker = Tracker()
    run(tracker, [[face(100 + 8 * index)] for index in range(20)])
    (track,) = tracker.update([face(100 + 8 * 20)], 19 * FRAME_NS + 500_000_000)
    assert (track.track_id, track.hits) == (1, 21)


@pytest.mark.parametrize('first, second', [(100, 300), (300, 100)])
def test_two_tracks_do_not_stay_on_one_face(first, second):
    """Two faces close in on one place, and one of them is found there from then on."""
    tracker = Tracker()
    run(tracker, [[face(first), face(second)]] * 20)
    frames = run(
        tracker,
        [[face(min(100 + 5 * index, 190)), face(max(300 - 5 * index, 210))] for index in range(30)],
        start=20,
    )
    assert len(frames[0]) == 2 and len(frames[-1]) == 1
    assert len(run(tracker, [[face(200)]] * 15, start=50)[-1]) == 1


def test_what_was_detected_once_does_not_linger():
    assert [len(frame) for frame in run(Tracker(), [[face(100)], [], []])] == [1, 1, 0]


def test_following_a_picture_moves_the_box_and_lets_it_coast_longer():
    tracker = Tracker(max_coast_seconds=4 * 0.033)
    run(tracker, [[face(100)]] * 10)
    for index in range(10):
        place = face(100 + 3 * index).box
        (track,) = tracker.update([], (10 + index) * FRAME_NS, {1: place})
        assert track.state is TrackState.COASTING
        assert track.box == place
    assert [len(frame) for frame in run(tracker, [[]] * 10, start=20)][-1] == 0


def test_a_track_that_was_not_looked_for_does_not_age():
    tracker = Tracker(max_coast_seconds=0.07)
    run(tracker, [[face(100)]] * 5)
    for index in range(5, 20):
        (track,) = tracker.update([], index * FRAME_NS, waiting=[1])
        assert track.waits
    assert (track.state, track.misses) == (TrackState.COASTING, 0)
    (track,) = tracker.update([face(100)], 20 * FRAME_NS, waiting=[1])
    assert not track.waits, 'a search of the whole image may find it'


@pytest.mark.parametrize('hidden', [False, True])
def test_ids_do_not_swap_when_two_people_cross(hidden):
    """The face behind is not detected while it is covered."""
    looks = patch(1), patch(2)
    frames = []
    for index in range(80):
        front, back = 20 + 6 * index, 500 - 6 * index
        detections = [face(front, patch=looks[0])]
        if not hidden or abs(front - back) > 70:
            detections.append(face(back, 104, patch=looks[1]))
        frames.append(detections[::-1] if index % 2 else detections)
    tracks = run(Tracker(), frames)
    assert {track_id for frame in tracks for track_id in ids(frame)} == {1, 2}
    last = {track_id: box for track_id, _, box in tracks[-1]}
    assert last[1].x > 400
    assert last[2].x < 100


def test_one_detection_feeds_one_track_only():
    tracker = Tracker()
    run(tracker, [[face(100), face(190)]] * 10)
    states = [state for _, state, _ in run(tracker, [[face(145)]], start=10)[0]]
    assert sorted(states) == [TrackState.CONFIRMED, TrackState.COASTING]


def test_a_second_box_on_a_tracked_face_starts_no_track():
    assert ids(run(Tracker(), [[face(100), face(120, 120, 40)]] * 10)[-1]) == [1]


def test_another_face_at_the_same_place_is_another_track():
    tracker = Tracker()
    run(tracker, [[face(100, patch=patch(1))]] * 10)
    after = run(tracker, [[face(100, patch=patch(2))]] * 40, start=10)
    assert ids(after[-1]) == [2]


def test_a_face_that_tilts_looks_the_same_when_its_picture_is_turned():
    degrees, picture = 20, cv2.GaussianBlur(patch(1), (0, 0), 2)
    turned = cv2.warpAffine(
        picture,
        cv2.getRotationMatrix2D((11.5, 11.5), degrees, 1),
        (24, 24),
        borderMode=cv2.BORDER_REFLECT,
    )
    assert similarity(picture, turned) < 0.8 and similarity(picture, turned, degrees) > 0.9


def test_the_box_is_steadier_than_the_detections():
    rng = np.random.default_rng(0)
    jitter = rng.normal(0, 3, (100, 3))
    boxes = [
        frame[0][2]
        for frame in run(Tracker(), [[face(100 + u, 100 + v, 80 + w)] for u, v, w in jitter])[10:]
    ]
    assert np.std([box.width for box in boxes]) < 0.6 * np.std(jitter[10:, 2])
    assert (
        np.std([box.center for box in boxes], axis=0).max()
        < np.std(jitter[10:, :2] + jitter[10:, 2:] / 2, axis=0).min()
    )


def test_the_box_of_a_still_face_stays_when_the_detections_jitter():
    random = np.random.default_rng(0)
    frames = run(Tracker(), [[face(*(100 + random.normal(0, 2, 2)))] for _ in range(60)])
    centers = np.array([frame[0][2].center for frame in frames])
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    assert np.median(steps) < 0.01 * 80  # those of the detections: .04 of a face
    assert np.linalg.norm(centers[-1] - 140) < 2  # and it rests where they are on average


def test_the_box_of_a_face_that_looks_the_same_stays_unless_it_is_elsewhere():
    tracker = Tracker()
    run(tracker, [[face(100)]] * 5)
    for index, (x, moves) in enumerate([(102, False), (97, False), (120, True)], 5):
        before = tracker.tracks[0].box
        (track,) = tracker.update([face(x)], index * FRAME_NS, still={1})
        assert (track.box != before) is moves and track.hits == index + 1


def test_a_face_that_jumps_is_followed_at_once():
    tracker = Tracker()
    run(tracker, [[face(100)]] * 10)
    frames = run(tracker, [[face(120)]] * 3, start=10)
    assert abs(frames[0][0][2].x - 100) > 12
    assert abs(frames[2][0][2].x - 120) < 4


@pytest.mark.parametrize('apart_ns', [0, 1, 20_000])
def test_images_that_come_in_a_burst_throw_no_face_away(apart_ns):
    tracker = Tracker()
    run(tracker, [[face(100)]] * 10)
    tracker.update([face(105)], 9 * FRAME_NS + apart_ns)
    (track,) = tracker.update([face(105)], 11 * FRAME_NS)
    assert track.track_id == 1 and abs(track.box.x - 105) < 8


def test_prediction_follows_the_stamps_not_the_calls():
    near, far = Tracker(), Tracker()
    for tracker in (near, far):
        run(tracker, [[face(100 + 6 * i)] for i in range(20)])
    step = near.predict(20 * FRAME_NS)[1].x - near.tracks[0].box.x
    leap = far.predict(22 * FRAME_NS)[1].x - far.tracks[0].box.x
    assert step == pytest.approx(6, abs=1.5)
    assert leap == pytest.approx(3 * step, rel=0.1)


def test_no_more_tracks_than_max_faces():
    crowd = [face(100 * i) for i in range(10)]
    assert len(run(Tracker(max_faces=4), [crowd] * 3)[-1]) == 4


def test_nearest_takes_the_largest_and_does_not_flip():
    tracker = Tracker()
    run(tracker, [[face(0, size=80), face(300, size=120)]] * 5)
    small, large = tracker.tracks
    assert nearest(tracker.tracks) is large
    run(tracker, [[face(0, size=80), face(300, size=88)]] * 20, start=5)
    assert nearest(tracker.tracks, previous_id=small.track_id) is small
    assert nearest(tracker.tracks, previous_id=large.track_id) is large
    assert nearest([]) is None


def test_bad_input_is_refused():
    tracker = Tracker()
    tracker.update([], 5)
    with pytest.raises(ValueError, match='backwards'):
        tracker.update([], 4)
    for bad in (face(nan), face(0, size=0), face(0, size=-5)):
        with pytest.raises(ValueError, match='finite box'):
            tracker.update([bad], 6)


def test_roi_is_clipped_to_the_image():
    assert Box(-10.4, 5.2, 30, 30).roi(100, 20) == Roi(0, 5, 20, 15)
    assert Box(200, 200, 30, 30).roi(100, 50) == Roi(99, 49, 1, 1)


NUMBERS = strategies.floats(-1e4, 1e4)
SIZES = strategies.floats(1, 2000)
BOXES = strategies.builds(Box, NUMBERS, NUMBERS, SIZES, SIZES)
#: Seconds between two frames: usual ones, none, almost none, an hour.
STEPS = strategies.one_of(strategies.floats(0, 4), strategies.sampled_from([0, 1e-9, 1 / 30, 3600]))


DETECTIONS = strategies.builds(Detection, BOXES, strategies.just(None), strategies.floats(0, 1))


@given(
    strategies.lists(
        strategies.tuples(STEPS, strategies.lists(DETECTIONS, max_size=4)), max_size=30
    )
)
def test_whatever_comes_the_tracks_are_sound(frames):
    """Any boxes at any times."""
    tracker, stamp, together, newest = Tracker(max_faces=3), 0, {}, 0
    for step, detections in frames:
        stamp += round(step * 1e9)
        gap = tracker.gap(stamp)
        tracks = tracker.update(detections, stamp)
        ids = [track.track_id for track in tracks]
        assert len(tracks) <= 3 and ids == sorted(set(ids))
        assert not gap or all(i > newest for i in ids)
        newest = max([newest, *ids])
        assert all(all(map(isfinite, t.box)) and min(t.box[2:]) > 0 for t in tracks)
        assert all(t.unseen_seconds <= 0.81 and t.undetected_seconds <= 2.41 for t in tracks)
        pairs = {
            (a.track_id, b.track_id)
            for a in tracks
            for b in tracks
            if a is not b and overlap(a.box, b.box) > 0.5
        }
        together = {pair: together.get(pair, 0) + step for pair in pairs}
        assert all(seconds <= SHARED_SECONDS + step for seconds in together.values())
