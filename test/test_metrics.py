import math

import numpy as np
import pytest

from emotion_perception.evaluation import metrics
from emotion_perception.options import DEFAULTS


def test_accuracy_recall_and_confusion_of_a_known_case():
    labels, predictions = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 0])
    assert metrics.accuracy(labels, predictions) == pytest.approx(3 / 5)
    matrix = metrics.confusion_matrix(labels, predictions, 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(metrics.recalls(matrix), [2 / 3, 1, 0, np.nan])
    assert metrics.macro_recall(labels, predictions, 4) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_calibration_error_of_a_known_case():
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    # .9: one of two right, .4 off; .6: both right, .4 off.
    assert metrics.expected_calibration_error(np.array([0, 1, 0, 0]), scores) == pytest.approx(0.4)


def test_calibrated_scores_have_a_small_calibration_error():
    random = np.random.default_rng(0)
    scores = random.dirichlet(np.ones(6), 20000)
    labels = (random.random((20000, 1)) > scores.cumsum(1)).sum(1)
    assert metrics.expected_calibration_error(labels, scores) < 0.02
    assert metrics.expected_calibration_error(labels, scores[:, ::-1]) > 0.1


def test_a_certain_score_counts_in_the_last_bin():
    assert metrics.expected_calibration_error(np.array([1]), np.array([[1.0, 0.0]])) == 1


@pytest.mark.parametrize(
    'share, count, low, high',
    [(0.5, 10, 0.2366, 0.7634), (0.0, 10, 0.0, 0.2775), (1.0, 25, 0.8668, 1.0)],
)
def test_wilson_interval_of_published_values(share, count, low, high):
    assert metrics.wilson_interval(share, count) == pytest.approx((low, high), abs=1e-3)


def test_bootstrap_interval_of_a_mean_agrees_with_theory():
    values = np.random.default_rng(1).normal(2, 1, 400)
    low, high = metrics.bootstrap_interval(np.mean, values)
    assert low == pytest.approx(values.mean() - 1.96 / 20, abs=0.02)
    assert high == pytest.approx(values.mean() + 1.96 / 20, abs=0.02)


def test_bootstrap_draws_whole_sequences_together():
    a = [np.full(3, k) for k in range(10)]
    b = [np.full(3, -k) for k in range(10)]
    assert metrics.bootstrap_interval(
        lambda x, y: np.abs(np.concatenate(x) + np.concatenate(y)).max(), a, b
    ) == (0, 0)


def test_correlation_and_mean_absolute_error():
    a = np.array([0.0, 1.0, 2.0])
    assert metrics.correlation(a, 3 * a + 1) == pytest.approx(1)
    assert metrics.correlation(a, -a) == pytest.approx(-1)
    assert math.isnan(metrics.correlation(a, np.ones(3)))
    assert metrics.mean_absolute_error(a, a + 0.5) == pytest.approx(0.5)


def test_apex_similarity_rises_from_0_to_1():
    angles = np.radians([90, 60, 30, 0])
    features = np.stack([np.cos(angles), np.sin(angles)], 1) * [[1], [5], [2], [0.1]]
    np.testing.assert_allclose(metrics.apex_similarity(features), np.cos(angles), atol=1e-9)


@pytest.mark.parametrize('frames', [1, 4])
def test_apex_similarity_of_a_still_face_is_one(frames):
    assert metrics.apex_similarity(np.ones((frames, 3))).tolist() == [1] * frames


def test_the_published_label_is_neutral_below_the_threshold():
    strengths = np.zeros((3, 6))
    threshold = DEFAULTS['neutral_threshold']
    strengths[[0, 1, 2], [3, 3, 5]] = threshold - 0.01, threshold, 1
    assert metrics.published_labels(strengths).tolist() == [6, 3, 5], 'three faces'
    same = metrics.published_labels(strengths, np.arange(3) * 10**8)
    assert same.tolist() == [6, 6, 6], 'one face: the mean counts'


@pytest.mark.parametrize(
    'seconds, means', [(0, [1, 3, 8, 0]), (0.1, [1, 2, 5.5, 0]), (9, [1, 2, 4, 3])]
)
def test_the_mean_over_time_goes_by_stamps(seconds, means):
    values = np.array([[1.0], [3.0], [8.0], [0.0]])
    stamps = np.array([0, 0.1, 0.2, 5]) * 1e9
    assert metrics.mean_over(values, stamps, seconds).ravel().tolist() == means


@pytest.mark.parametrize(
    'predictions, lag', [([5, 5, 5], 0), ([1, 1, 5, 5], 2), ([1, 5, 1, 5], 3), ([5, 5, 1], None)]
)
def test_lag_is_counted_until_the_label_stays(predictions, lag):
    assert metrics.lag_of_change(predictions, 5) == lag
