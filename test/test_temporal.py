"""The temporal head of the running system against the trained one, and against itself."""

import json
import shutil

import numpy as np
import pytest

from emotion_perception.recognition import checksum_of, load_model, shipped_model
from emotion_perception.temporal import (
    CHANGE,
    KEPT,
    LIVE,
    LOOK,
    read_frames,
    STEP_LIMITS,
    TemporalHead,
    Windows,
)

LENGTHS = (1, 2, 99, 100, 101, 300)


def random_kept(length, seed=0):
    """Return float32 [length,35]: logits that wander, as those of a face do."""
    rng = np.random.default_rng((seed, length))
    steps = rng.normal(0, 0.8, (length, KEPT))
    steps[0] = rng.normal(0, 3, KEPT)
    return steps.cumsum(0).clip(-12, 12).astype(np.float32)


def random_stamps(length, seed=0):
    """Return stamps [ns] of a camera that is now fast, now slow."""
    rng = np.random.default_rng((seed, length, 1))
    return (rng.uniform(0.01, 0.25, length).cumsum() * 1e9).astype(np.int64)


def random_weights(seed=0):
    """Return the weights of a head that remembers long, none of them 0."""
    rng = np.random.default_rng(seed)
    return {
        'kernel': rng.normal(0, 0.3, (5, 4, 6)),
        'recurrent': rng.normal(0, 0.8, (4, 6)),
        'bias': rng.normal(0, 1, (4, 6)) + np.array([[0], [4], [0], [0]]),
        'sharpness': 7.0,
    }


def steps_of(stamps):
    """Return the steps that the head makes of stamps [ns], the first being 1."""
    return np.clip(np.diff(stamps, prepend=stamps[0] - 1e9 / 30) * 30e-9, *STEP_LIMITS)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Return the shipped encoder with a head of random weights."""
    path = tmp_path_factory.mktemp('model') / 'random.json'
    shutil.copy(shipped_model().with_suffix('.tflite'), path.with_suffix('.tflite'))
    head = {name: np.asarray(value).tolist() for name, value in random_weights().items()}
    description = {**json.loads(shipped_model().read_text()), 'head': head}
    path.write_text(json.dumps({**description, 'sha256': checksum_of(description)}))
    return load_model(path)


@pytest.fixture(scope='module')
def keras_head(keras_head_of):
    """Return a head in Keras with random weights."""
    return keras_head_of(random_weights())


@pytest.mark.parametrize('length', LENGTHS)
def test_equals_the_keras_network_over_the_whole_window(keras_head, length):
    import keras

    from emotion_perception.learning.head.network import frames_of

    kept, stamps = random_kept(length), random_stamps(length)
    head, windows = TemporalHead(keras_head.weights_for_numpy()), Windows(100)
    look = windows.look
    for i in range(length):
        if i == length - 100:  # what the window's first frame finds
            look = windows.look
        scores, values = head.advance([windows], kept[i : i + 1], [int(stamps[i])])
    assert len(windows) == min(length, 100)
    frames = frames_of(kept, steps_of(stamps))[np.newaxis, -100:]
    expected_values = np.array(keras_head(frames, look[np.newaxis]))[0]
    expected = np.array(keras.ops.softmax(keras_head.sharpness * expected_values))
    np.testing.assert_allclose(scores[0], expected[-1], atol=1e-4)
    np.testing.assert_allclose(values[0], expected_values[-1], atol=1e-4)
    if length <= 100:
        all_scores, all_values = head.every(kept, stamps, 100)
        np.testing.assert_allclose(all_scores, expected, atol=1e-4)
        np.testing.assert_allclose(all_values, expected_values, atol=1e-4)


def test_faces_of_different_lengths_do_not_touch_each_other():
    head = TemporalHead(random_weights())
    sequences = [random_kept(length, 1) for length in (40, 1, 100, 2, 99, 150)]
    together = [Windows(100) for _ in sequences]
    alone = [Windows(100) for _ in sequences]
    for step in range(150):
        # Each begins when there are as many steps left as it has frames.
        now = [i for i, s in enumerate(sequences) if step >= 150 - len(s)]
        kept = np.stack([sequences[i][step - 150 + len(sequences[i])] for i in now])
        stamps = [step * (20 + i) * 10**6 for i in now]
        scores, values = head.advance([together[i] for i in now], kept, stamps)
        for row, i in enumerate(now):
            single_scores, single_values = head.advance(
                [alone[i]], kept[row : row + 1], stamps[row : row + 1]
            )
            np.testing.assert_allclose(scores[row], single_scores[0], atol=1e-5)
            np.testing.assert_allclose(values[row], single_values[0], atol=1e-5)


def test_every_frame_is_the_last_of_the_sequence_up_to_it():
    head = TemporalHead(random_weights())
    kept, stamps = random_kept(30), random_stamps(30)
    scores, values = head.every(kept, stamps, 100)
    for i in range(30):
        up_to = head.every(kept[: i + 1], stamps[: i + 1], 100)
        np.testing.assert_allclose(scores[i], up_to[0][-1], atol=1e-5)
        np.testing.assert_allclose(values[i], up_to[1][-1], atol=1e-5)


def test_scores_are_probabilities_of_the_values_and_values_an_lstms():
    scores, values = TemporalHead(random_weights()).every(random_kept(100), random_stamps(100), 100)
    assert scores.dtype == values.dtype == np.float32
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    assert (scores >= 0).all() and (np.abs(values) <= 1).all()
    np.testing.assert_array_equal(scores.argmax(1), values.argmax(1))
    odds = np.log(scores[:, 0] / scores[:, 1])
    np.testing.assert_allclose(odds, 7.0 * (values[:, 0] - values[:, 1]), atol=1e-3)


def test_a_frame_is_read_as_it_is_and_against_the_neutral_look():
    kept = np.zeros((1, KEPT), np.float32)
    kept[0, LIVE] = [0, 0, 0, 2, 0, 0, 8]  # surely neutral, a friendly look
    kept[0, CHANGE] = 1
    read, look = read_frames(kept, np.zeros((1, LOOK), np.float32), np.ones(1, np.float32))
    share = 2 - np.log(np.exp(2) + 5)
    assert read[0, 0, 3] == pytest.approx(share / 4, abs=1e-5)
    np.testing.assert_allclose(read[0, 1], (np.log(np.exp(2) + 5) - 8) / 4, atol=1e-5)
    np.testing.assert_array_equal(read[0, 2:], 0)  # nothing to compare it with
    for _ in range(100):
        _, look = read_frames(kept, look, np.ones(1, np.float32))
    kept[0, LIVE] = [0, 0, 0, 4, 0, 0, 0]
    kept[0, CHANGE] = [1, 1, 1, 3, 1, 1]
    read, _ = read_frames(kept, look, np.ones(1, np.float32))
    now = 4 - np.log(np.exp(4) + 5)
    np.testing.assert_allclose(read[0, 2, 3], (now - share) / 4, rtol=0.05)
    np.testing.assert_allclose(read[0, 3], [0, 0, 0, 0.5, 0, 0], atol=0.02)
    assert (read[0, 4] > 1).all()


def test_a_held_expression_is_not_taken_for_the_neutral_look_and_a_look_outlasts_the_window():
    neutral, shown = np.zeros((2, 1, KEPT), np.float32)
    neutral[0, LIVE.stop - 1], shown[0, 0 + LIVE.start] = 6, 6
    look, step = np.zeros((1, LOOK), np.float32), np.ones(1, np.float32)
    for _ in range(30):
        _, look = read_frames(neutral, look, step)
    first, _ = read_frames(shown, look, step)
    for _ in range(300):  # ten seconds
        last, look = read_frames(shown, look, step)
    np.testing.assert_allclose(last[0, 2:], first[0, 2:], rtol=0.05, atol=0.01)


def test_time_counts_and_not_the_number_of_frames():
    head = TemporalHead({**random_weights(), 'recurrent': np.zeros((4, 6))})
    first, second = random_kept(2)

    def after(rate):
        frames = np.concatenate([np.tile(first, (rate, 1)), np.tile(second, (rate // 5, 1))])
        return head.every(frames, np.arange(len(frames)) * 10**9 // rate, 100)[1][-1]

    np.testing.assert_allclose(after(30), after(90), atol=0.06)


def test_extreme_logits_and_stamps_stay_finite():
    closed = random_weights()
    closed['bias'][:2] = -1000  # input and forget gate
    opened = random_weights()
    opened['bias'][1] = 1000  # the forget gate keeps all, and takes nothing
    for weights in (closed, opened):
        for output in TemporalHead(weights).every(random_kept(3), [0, 0, 10**18], 100):
            assert np.isfinite(output).all()
    kept = np.zeros((100, KEPT), np.float32)
    kept[::2, LIVE.stop - 1] = 200
    kept[1::2, LIVE.start] = 200
    for output in TemporalHead(random_weights()).every(kept, random_stamps(100), 100):
        assert np.isfinite(output).all()


@pytest.mark.parametrize('length', [1, 100, 130])
def test_classify_all_equals_watching_live(model, length):
    kept, stamps = random_kept(length), random_stamps(length)
    all_scores, all_strengths = model.classify_all(kept, stamps)
    assert all_scores.shape == all_strengths.shape == (length, 6)
    windows = Windows(100)
    for i in range(length):
        scores, strengths = model.advance([windows], kept[i : i + 1], [int(stamps[i])])
        np.testing.assert_allclose(all_scores[i], scores[0], atol=1e-5)
        np.testing.assert_allclose(all_strengths[i], strengths[0], atol=1e-5)
    assert all_strengths.min() == 0 and all_strengths.max() <= 1


def test_the_window_is_100_frames_and_only_the_neutral_look_is_older(model):
    kept = random_kept(110)
    changed = kept.copy()
    changed[9, LIVE.start : LIVE.stop - 1] += 9  # an expression: no neutral look
    changed[9, LIVE.start] += 5
    kept[9, LIVE.start : LIVE.stop - 1] += 9
    before, after = model.classify_all(kept)[1], model.classify_all(changed)[1]
    np.testing.assert_allclose(before[109], after[109], atol=1e-5)
    assert np.abs(before[108] - after[108]).max() > 1e-5
