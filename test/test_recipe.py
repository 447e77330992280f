"""The recipe of a model: what stands around the training of its parts."""

import cv2
import numpy as np
import pytest

pytest.importorskip('tensorflow')

import keras  # noqa: E402

from emotion_perception.emotions import EMOTIONS  # noqa: E402
from emotion_perception.learning import recipe  # noqa: E402
from emotion_perception.learning.encoder import networks  # noqa: E402
from emotion_perception.learning.head.network import HeadNetwork  # noqa: E402
from emotion_perception.recognition import load_model  # noqa: E402
from emotion_perception.temporal import KEPT, STEPS_PER_SECOND  # noqa: E402
from samples import sample  # noqa: E402


def test_sharpness_is_calibrated(tiny, faces):
    keras.utils.set_random_seed(0)
    model = networks.build_stills_model(networks.build_encoder(tiny))
    head = HeadNetwork()
    weights = head.weights_for_numpy()
    frames = np.repeat(np.stack([cv2.resize(face, (64, 64)) for face in faces])[..., None], 3, 3)
    running = recipe.in_memory(model, weights, int8=False)
    kept = running.encode(frames)
    answers = running.classify([frame[None] for frame in kept])[0].argmax(1)
    rng = np.random.default_rng(0)

    def sharpness(right):
        """Calibrate on samples of which such a share is labelled with the model's answer."""
        chance = rng.integers(0, 6, len(answers))
        labels = np.where(rng.random(len(answers)) < right, answers, chance)
        samples = [sample(EMOTIONS[label], frame[None]) for label, frame in zip(labels, frames)]
        samples += [sample('neutral', frames[:1]), sample(None, frames[:1])]
        found = recipe.calibrated(model, weights, samples)
        assert all(np.array_equal(found[k], weights[k]) for k in weights if k != 'sharpness')
        return found['sharpness']

    assert sharpness(right=1.0) == pytest.approx(4 * weights['sharpness'])
    assert sharpness(right=0.0) < sharpness(right=1.0)


class Always:
    """A model that answers with one class, and knows no neutral face."""

    def __init__(self, label):
        self._scores = np.float32([np.equal(EMOTIONS, label)])

    def encode(self, crops):
        return np.zeros((len(crops), KEPT), np.float32)

    def classify(self, sequences):
        return (np.repeat(self._scores, len(sequences), 0),) * 2

    def stills_scores(self, kept):
        return {name: np.zeros((len(kept), count)) for name, count in (('eight', 8), ('seven', 7))}


def test_the_answers_of_all_folds_are_measured_together():
    answers = recipe._Stills()
    answers.add(Always('fear'), [sample('fear')])
    answers.add(Always('anger'), [sample('anger'), sample('fear'), sample('neutral')])
    figures = answers.figures()
    assert figures['n'] == 3 and figures['accuracy_6'] == pytest.approx(2 / 3)
    assert figures['macro_recall_6'] == pytest.approx(0.75)
    assert figures['below_threshold_neutral'] == 0


def test_the_head_of_eight_classes_is_averaged_over_half_a_second(faces):
    crops = np.stack([cv2.resize(face, (64, 64)) for face in faces[:20]])
    model = load_model()
    eight = recipe.EightClasses(model)
    kept = eight.encode(np.repeat(crops[..., np.newaxis], 3, 3))
    six = model.stills_scores(kept)['eight'][:, :6]
    scores, strengths = eight.classify_all(kept, np.arange(20) * 10**8)
    np.testing.assert_allclose(strengths[19], six[14:].mean(0), rtol=1e-5)
    np.testing.assert_allclose(strengths[0], six[0], rtol=1e-5)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
    untimed, _ = eight.classify_all(kept)
    timed, _ = eight.classify_all(kept, np.arange(20) * 1e9 / STEPS_PER_SECOND)
    np.testing.assert_array_equal(untimed, timed)
    alone, _ = eight.classify([kept[3:5], kept[7:8]])
    np.testing.assert_allclose(alone, six[[4, 7]] / six[[4, 7]].sum(1, keepdims=True), rtol=1e-5)
