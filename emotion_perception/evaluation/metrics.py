"""Figures of merit and their confidence intervals; arrays in, numbers out."""

from collections.abc import Callable
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_perception.labels import StableLabel
from emotion_perception.options import DEFAULTS

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]

#: Resamples of a bootstrap interval.
_RESAMPLES = 1000


def accuracy(labels: npt.ArrayLike, predictions: npt.ArrayLike) -> float:
    """Return the share of predictions that are right; both are integers [n]."""
    return float(np.mean(np.asarray(labels) == np.asarray(predictions)))


def confusion_matrix(
    labels: Integers, predictions: Integers, classes: int
) -> npt.NDArray[np.int64]:
    """Return int64 [classes,classes]: rows are the true classes, columns the predicted ones."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def recalls(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return float [classes] of a confusion matrix; NaN for a class that does not occur."""
    counts = matrix.sum(1)
    found = np.full(len(matrix), np.nan)
    np.divide(matrix.diagonal(), counts, out=found, where=counts > 0)
    return found


def macro_recall(labels: Integers, predictions: Integers, classes: int) -> float:
    """Return the mean recall over the classes that occur."""
    return float(np.nanmean(recalls(confusion_matrix(labels, predictions, classes))))


def expected_calibration_error(labels: Integers, scores: Floats, bins: int = 15) -> float:
    """Return how far confidence and accuracy are apart, on average over the samples, 0 .. 1.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017: bins of equal width over
    the top score, (k/bins, (k+1)/bins].

    :param labels: integers [n].
    :param scores: float [n,classes], rows sum to 1.
    """
    confidence = scores.max(1)
    correct = scores.argmax(1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval (low, high) of a share among so many trials.

    Wilson, Probable inference, JASA 22 (1927); it holds for small counts and near 0 and 1.
    """
    z = 1.959964
    center = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max((center - spread) / scale, 0.0), min((center + spread) / scale, 1.0)


def bootstrap_interval(
    figure: Callable[..., float], *arrays: npt.NDArray[Any] | list[npt.NDArray[Any]], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval (low, high) of a figure.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. What is drawn
    again is the first axis: samples, or sequences where frames of one hang together.

    :param figure: function of resampled ``arrays`` to a number.
    :param arrays: of equal length.
    """
    random = np.random.default_rng(seed)
    count = len(arrays[0])
    values = []
    for _ in range(_RESAMPLES):
        drawn = random.integers(count, size=count)
        values.append(
            figure(
                *(
                    [array[i] for i in drawn] if isinstance(array, list) else array[drawn]
                    for array in arrays
                )
            )
        )
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def correlation(a: Floats, b: Floats) -> float:
    """Return Pearson's correlation of two float [n], NaN where one of them is constant."""
    a, b = a - np.mean(a), b - np.mean(b)
    norm = math.sqrt(np.dot(a, a) * np.dot(b, b))
    return float(np.dot(a, b) / norm) if norm > 0 else math.nan


def mean_absolute_error(a: Floats, b: Floats) -> float:
    """Return the mean distance of two float [n]."""
    return float(np.mean(np.abs(a - b)))


def apex_similarity(features: Floats) -> Floats:
    """Return E2's target s_t: how near each frame is to the apex, float [n], 0 .. 1.

    Cosine similarity of each frame's feature with the last one's, min-max normalised over the
    sequence. Where all are equally near, they are all apexes: 1.

    :param features: float [n,k], of a sequence from neutral to apex.
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit[-1]
    low, high = similarity.min(), similarity.max()
    if high - low < 1e-6:
        return np.ones(len(features))
    return np.asarray((similarity - low) / (high - low))


def published_labels(
    strengths: npt.NDArray[np.float32], stamps_ns: npt.NDArray[Any] | None = None
) -> npt.NDArray[np.int64]:
    """Return the label that the node publishes with its default options, an index of LABELS.

    :param strengths: float [n,6], 0 .. 1.
    :param stamps_ns: times [n] of one face's frames [ns]; None where each is another face's.
    :return: integers [n].
    """
    stability = {
        name: DEFAULTS[name] for name in ('neutral_threshold', 'neutral_hysteresis', 'label_window')
    }
    one_face, labels = StableLabel(), []
    for i in range(len(strengths)):
        face, stamp = (StableLabel(), 0) if stamps_ns is None else (one_face, int(stamps_ns[i]))
        labels.append(face.update(stamp, strengths[i], **stability))
    return np.array(labels)


def mean_over(values: Floats, stamps_ns: npt.ArrayLike, seconds: float) -> Floats:
    """Return the mean of each frame and of those up to so many seconds before it.

    :param values: float [n,k].
    :param stamps_ns: times [n] of the frames [ns], ascending.
    :param seconds: 0: the frame alone.
    """
    first = np.searchsorted(stamps_ns, np.asarray(stamps_ns) - seconds * 1e9)
    return np.stack([values[begin : end + 1].mean(0) for end, begin in enumerate(first)])


def lag_of_change(predictions: npt.ArrayLike, label: int) -> int | None:
    """Return after how many frames a new label is given for good, None where it never is.

    :param predictions: integers [n], from the first frame of the new expression to its last.
    :param label: integer, the new expression.
    :return: 0 where already the first frame, and every later one, has the new label.
    """
    given = np.asarray(predictions)
    wrong = np.flatnonzero(given != label)
    lag = int(wrong[-1]) + 1 if len(wrong) else 0
    return lag if lag < len(given) else None
