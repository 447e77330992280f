"""What is kept of one face."""

import numpy as np

from emotion_perception.sequence import FaceSequence

SCORES, STRENGTHS = np.full(6, 1 / 6, np.float32), np.zeros(6, np.float32)


def test_grows_to_its_limit():
    sequence = FaceSequence(3)
    for number in range(5):
        sequence.append(10**9 * number, SCORES, STRENGTHS, 1.0)
        assert len(sequence) == min(number + 1, 3)


def test_holds_the_newest_result():
    sequence = FaceSequence(3)
    for number in range(5):
        sequence.append(number, SCORES + number, STRENGTHS - number, 1.0)
    np.testing.assert_array_equal(sequence.scores, SCORES + 4)
    np.testing.assert_array_equal(sequence.strengths, STRENGTHS - 4)


def test_duration_spans_the_frames_that_are_kept():
    sequence = FaceSequence(3)
    stamps = [0, 1_500_000_000, 1_600_000_000, 4_000_000_000]
    durations = []
    for stamp in stamps:
        sequence.append(stamp, SCORES, STRENGTHS, 1.0)
        durations.append(sequence.duration)
    np.testing.assert_allclose(durations, [0, 1.5, 1.6, 2.5])


def test_duration_is_exact_for_stamps_of_today():
    sequence = FaceSequence(100)
    sequence.append(1_800_000_000_000_000_000, SCORES, STRENGTHS, 1.0)
    sequence.append(1_800_000_000_000_000_001, SCORES, STRENGTHS, 1.0)
    assert sequence.duration == 1e-9


def test_shows_a_face_as_long_as_its_frames_do_in_the_mean():
    sequence = FaceSequence(3)
    for odds, shows in ((4.0, True), (-2.0, True), (-5.0, False), (30.0, True)):
        sequence.append(0, SCORES, STRENGTHS, odds)
        assert sequence.shows_face is shows
    for _ in range(100):
        sequence.append(0, SCORES, STRENGTHS, -9.0)
    assert not sequence.shows_face


def test_how_far_it_is_believed_to_be_a_face_does_not_hang_on_the_limit():
    for limit in (1, 4, 100):
        sequence = FaceSequence(limit)
        for odds in [5.0] * 20 + [-9.0] * 3:
            sequence.append(0, SCORES, STRENGTHS, odds)
        assert sequence.shows_face, 'a few turned or blurred frames'


def test_what_is_even_must_look_more_like_a_face():
    for odds, even, shows in ((5.0, False, True), (5.0, True, False), (12.0, True, True)):
        sequence = FaceSequence(3)
        sequence.append(0, SCORES, STRENGTHS, odds, even)
        assert sequence.shows_face is shows
