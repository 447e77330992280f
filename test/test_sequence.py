"""What is kept of one face."""
import numpy as np

from emotion_perception.sequence import FaceSequence


def kept(number):
    return np.full(21, number, np.float32)


def test_grows_to_its_limit_and_then_forgets_the_oldest():
    sequence = FaceSequence(3)
    for number in range(5):
        sequence.append(kept(number), 10 ** 9 * number)
        assert len(sequence) == min(number + 1, 3)
    assert sequence.array().shape == (3, 21) and sequence.array().dtype == np.float32
    np.testing.assert_array_equal(sequence.array()[:, 0], [2, 3, 4])


def test_duration_spans_the_frames_that_are_kept():
    sequence = FaceSequence(3)
    stamps = [0, 1_500_000_000, 1_600_000_000, 4_000_000_000]
    durations = []
    for stamp in stamps:
        sequence.append(kept(0), stamp)
        durations.append(sequence.duration)
    np.testing.assert_allclose(durations, [0, 1.5, 1.6, 2.5])


def test_duration_is_exact_for_stamps_of_today():
    sequence = FaceSequence(100)
    sequence.append(kept(0), 1_800_000_000_000_000_000)
    sequence.append(kept(0), 1_800_000_000_000_000_001)
    assert sequence.duration == 1e-9


def test_array_does_not_change_with_the_sequence():
    sequence = FaceSequence(2)
    sequence.append(kept(1), 0)
    before = sequence.array()
    sequence.append(kept(2), 1)
    np.testing.assert_array_equal(before, [kept(1)])
