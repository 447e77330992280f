"""How well a model reads single images."""

from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_perception.datasets.sample import Sample, SAMPLE_LABELS
from emotion_perception.emotions import EMOTIONS, LABELS, NEUTRAL
from emotion_perception.evaluation.classifier import Classifier
from emotion_perception.evaluation.metrics import (
    accuracy,
    bootstrap_interval,
    confusion_matrix,
    expected_calibration_error,
    macro_recall,
    published_labels,
    recalls,
    wilson_interval,
)
from emotion_perception.temporal import Floats

#: Frames for which a still is held, to see what a second of video makes of it.
HELD = 30


def evaluate_stills(
    model: Classifier, samples: list[Sample], labels: str = 'ferplus'
) -> dict[str, Any]:
    """Measure a model on stills.

    The six classes: every image that is labelled with one of them, as a sequence of one frame
    through the model's whole path; the answer is the top of the six scores. Seven classes (the
    six and neutral) and eight (contempt, too): the model's heads for stills, on sets that have
    labels for neutral (contempt). FER2013's labels for seven are asked of the head that was
    trained on them, all others of the one for eight, without its contempt.
    ``below_threshold_neutral`` and ``.._six``: share of the neutral images, and of the others,
    that the node would call neutral; ``.._held``: the same once it has seen them for HELD frames.
    ``groups``, of sets that tell of their people: {'gender': {'female': {label: share of images
    with the right published label, once they were seen for HELD frames}}}.

    :param model: what :func:`emotion_perception.recognition.load_model` returns.
    :param samples: list of :class:`~emotion_perception.datasets.Sample`; of each the last frame.
    :param labels: 'ferplus' for the samples' labels (of FER+ images what most of the ten
        taggers chose, without ties), 'fer2013' for their FER2013 labels.
    :return: dict for JSON; fractions 0 .. 1. ``intervals`` holds 95 % intervals: Wilson's for
        accuracies, bootstrap over the images for the rest.
    :raises ValueError: when no sample has a label of the six classes.
    """
    return stills_figures(samples, answers_to_stills(model, samples), labels)


def answers_to_stills(model: Classifier, samples: list[Sample]) -> dict[str, Floats]:
    """Return what a model says of samples, a dict of arrays [n,..].

    ``scores``, ``strengths``; ``scores_held``, ``strengths_held``; ``eight``, ``seven``.
    """
    kept = model.encode(np.stack([sample.frames[-1] for sample in samples]))
    answers = model.stills_scores(kept)
    for held, frames in (('', 1), ('_held', HELD)):
        answers['scores' + held], answers['strengths' + held] = model.classify(
            [np.tile(frame, (frames, 1)) for frame in kept]
        )
    return answers


def stills_figures(
    samples: list[Sample], answers: dict[str, Floats], labels: str = 'ferplus'
) -> dict[str, Any]:
    """Return the figures of :func:`evaluate_stills` for answers that were given."""
    truth = [sample.label if labels == 'ferplus' else sample.fer2013_label for sample in samples]
    six = [i for i, label in enumerate(truth) if label in EMOTIONS]
    if not six:
        raise ValueError(
            f'no image has a {"FER2013 " * (labels == "fer2013")}label of {", ".join(EMOTIONS)}'
        )
    scores = answers['scores']

    true_six = np.array([EMOTIONS.index(str(truth[i])) for i in six])
    result: dict[str, Any] = {'n': len(six), 'intervals': {}}
    _add_accuracy(result, 6, true_six, scores[six].argmax(1))
    result['ece'] = expected_calibration_error(true_six, scores[six])
    result['intervals']['ece'] = bootstrap_interval(
        expected_calibration_error, true_six, scores[six]
    )

    neutral = [i for i, label in enumerate(truth) if label == NEUTRAL]
    for held in ('', '_held'):
        weak = published_labels(answers['strengths' + held]) == LABELS.index(NEUTRAL)
        result['below_threshold_six' + held] = float(weak[six].mean())
        if neutral:
            result['below_threshold_neutral' + held] = float(weak[neutral].mean())

    if any(sample.groups for sample in samples):
        result['groups'] = _groups(samples, truth, published_labels(answers['strengths_held']))
    seven = answers['seven'] if labels == 'fer2013' else answers['eight'][:, : len(LABELS)]
    for given, classes in ((seven, LABELS), (answers['eight'], SAMPLE_LABELS)):
        if classes[-1] in truth:
            rows = [i for i, label in enumerate(truth) if label in classes]
            result[f'n_{len(classes)}'] = len(rows)
            _add_accuracy(
                result,
                len(classes),
                np.array([classes.index(str(truth[i])) for i in rows]),
                given[rows].argmax(1),
            )
    return result


def _groups(
    samples: list[Sample], truth: list[str | None], published: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Return the share of right published labels, by what the set tells of the people."""
    found: dict[str, dict[str, dict[str | None, list[bool]]]] = {}
    for sample, label, given in zip(samples, truth, published):
        for kind, value in sample.groups.items():
            rows = found.setdefault(kind, {}).setdefault(value, {})
            rows.setdefault(label, []).append(LABELS[given] == label)
    return {
        kind: {
            value: {
                label: {
                    'n': len(right),
                    'right': float(np.mean(right)),
                    'interval': wilson_interval(float(np.mean(right)), len(right)),
                }
                for label, right in rows.items()
            }
            for value, rows in sorted(values.items())
        }
        for kind, values in found.items()
    }


def _add_accuracy(
    result: dict[str, Any],
    classes: int,
    truth: npt.NDArray[np.int64],
    predictions: npt.NDArray[np.int64],
) -> None:
    matrix = confusion_matrix(truth, predictions, classes)
    figure, recall = f'accuracy_{classes}', f'macro_recall_{classes}'
    result[figure] = accuracy(truth, predictions)
    result[recall] = macro_recall(truth, predictions, classes)
    result[f'recalls_{classes}'] = [None if np.isnan(r) else float(r) for r in recalls(matrix)]
    result[f'confusion_{classes}'] = matrix.tolist()
    result['intervals'][figure] = wilson_interval(result[figure], len(truth))
    result['intervals'][recall] = bootstrap_interval(
        lambda t, p: macro_recall(t, p, classes), truth, predictions
    )
