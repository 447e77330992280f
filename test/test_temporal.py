"""The temporal head of the running system against the trained one, and against itself."""
import json
import shutil

import numpy as np
import pytest

from emotion_perception.recognition import load_model, shipped_model
from emotion_perception.temporal import EIGHT, KEPT, neutral_evidence, TemporalHead, Windows

LENGTHS = (1, 2, 99, 100, 101, 300)


def random_kept(length, seed=0):
    """Return float32 [length,27]: logits that wander, as those of a face do."""
    rng = np.random.default_rng((seed, length))
    steps = rng.normal(0, 0.8, (length, KEPT))
    steps[0] = rng.normal(0, 3, KEPT)
    return steps.cumsum(0).clip(-12, 12).astype(np.float32)


def random_weights(seed=0):
    """Return the weights of a head that remembers long, none of them 0."""
    rng = np.random.default_rng(seed)
    return {'kernel': rng.normal(0, 0.3, (2, 4, 6)), 'recurrent': rng.normal(0, 0.8, (4, 6)),
            'bias': rng.normal(0, 1, (4, 6)) + np.array([[0], [4], [0], [0]]), 'sharpness': 7.0,
            'neutral_prior': rng.normal(0, 1, 6)}


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Return the shipped encoder with a head of random weights."""
    path = tmp_path_factory.mktemp('model') / 'random.json'
    shutil.copy(shipped_model().with_suffix('.tflite'), path.with_suffix('.tflite'))
    head = {name: np.asarray(value).tolist() for name, value in random_weights().items()}
    path.write_text(json.dumps({**json.loads(shipped_model().read_text()), 'head': head}))
    return load_model(path)


@pytest.fixture(scope='module')
def keras_head(keras_head_of):
    """Return a head in Keras with random weights."""
    return keras_head_of(random_weights())


@pytest.mark.parametrize('length', LENGTHS)
def test_equals_the_keras_network_over_the_whole_window(keras_head, length):
    import keras
    kept = random_kept(length)
    head, windows = TemporalHead(keras_head.weights_for_numpy()), Windows(100)
    for frame in kept:
        scores, values = head.advance([windows], frame[np.newaxis])
    assert len(windows) == min(length, 100)
    expected_values = np.array(keras_head(kept[np.newaxis, -100:]))[0]
    expected = np.array(keras.ops.softmax(keras_head.sharpness * expected_values))
    np.testing.assert_allclose(scores[0], expected[-1], atol=1e-4)
    np.testing.assert_allclose(values[0], expected_values[-1], atol=1e-4)
    all_scores, all_values = head.every(kept[-100:], 100)
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
        scores, values = head.advance([together[i] for i in now], kept)
        for row, i in enumerate(now):
            single_scores, single_values = head.advance([alone[i]], kept[row:row + 1])
            np.testing.assert_allclose(scores[row], single_scores[0], atol=1e-5)
            np.testing.assert_allclose(values[row], single_values[0], atol=1e-5)


def test_every_frame_is_the_last_of_the_sequence_up_to_it():
    head = TemporalHead(random_weights())
    kept = random_kept(30)
    scores, values = head.every(kept, 100)
    for i in range(30):
        up_to = head.every(kept[:i + 1], 100)
        np.testing.assert_allclose(scores[i], up_to[0][-1], atol=1e-5)
        np.testing.assert_allclose(values[i], up_to[1][-1], atol=1e-5)


def test_scores_are_probabilities_of_the_values_and_values_an_lstms():
    scores, values = TemporalHead(random_weights()).every(random_kept(100), 100)
    assert scores.dtype == values.dtype == np.float32
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    assert (scores >= 0).all() and (np.abs(values) <= 1).all()
    np.testing.assert_array_equal(scores.argmax(1), values.argmax(1))
    odds = np.log(scores[:, 0] / scores[:, 1])
    np.testing.assert_allclose(odds, 7.0 * (values[:, 0] - values[:, 1]), atol=1e-3)


def test_neutral_evidence_is_the_log_odds_of_the_seventh_of_eight():
    kept = random_kept(20)
    powers = np.exp(kept[:, EIGHT].astype(float))
    odds = powers[:, 6] / (powers.sum(1) - powers[:, 6])
    np.testing.assert_allclose(neutral_evidence(kept)[:, 0], np.log(odds), rtol=1e-4, atol=1e-4)


def test_extreme_logits_stay_finite():
    closed = random_weights()
    closed['bias'][:2] = -1000      # input and forget gate
    for output in TemporalHead(closed).every(random_kept(3), 100):
        assert np.isfinite(output).all()
    kept = np.zeros((100, KEPT), np.float32)
    kept[::2, 6 + 6] = 200
    kept[1::2, 0] = kept[1::2, 6] = 200
    for output in TemporalHead(random_weights()).every(kept, 100):
        assert np.isfinite(output).all()


@pytest.mark.parametrize('length', [1, 100, 130])
def test_classify_all_equals_watching_live(model, length):
    kept = random_kept(length)
    all_scores, all_intensities = model.classify_all(kept)
    assert all_scores.shape == all_intensities.shape == (length, 6)
    windows = Windows(100)
    for i in range(length):
        scores, intensities = model.advance([windows], kept[i:i + 1])
        np.testing.assert_allclose(all_scores[i], scores[0], atol=1e-5)
        np.testing.assert_allclose(all_intensities[i], intensities[0], atol=1e-5)
    assert all_intensities.min() == 0 and all_intensities.max() <= 1


def test_the_window_is_100_frames_and_what_lies_before_has_no_influence(model):
    kept = random_kept(110)
    changed = kept.copy()
    changed[9, :14] = -changed[9, :14]
    before, after = model.classify_all(kept)[1], model.classify_all(changed)[1]
    np.testing.assert_array_equal(before[109], after[109])
    assert np.abs(before[108] - after[108]).max() > 1e-6
