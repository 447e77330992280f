"""What networks say of people whom they were trained without, and how often they are right."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from emotion_perception.evaluation.metrics import (
    bootstrap_interval,
    correlation,
    mean_absolute_error,
    wilson_interval,
)
from emotion_perception.evaluation.sequences import PERCENTS
from emotion_perception.learning.comparison.faces import Faces


class Answers:
    """What the networks of one seed say of the people that each was trained without."""

    def __init__(self) -> None:
        #: For each sequence: whether it is right at each of PERCENTS.
        self.right: list[list[bool]] = []
        #: For each sequence, [t]: the intensity of its class, and E2's target.
        self.intensities: list[npt.NDArray[np.floating[Any]]] = []
        self.targets: list[npt.NDArray[np.floating[Any]]] = []
        #: For each set: whether each still is right.
        self.stills: dict[str, list[bool]] = {}

    def add(self, faces: Faces, fold: int, network: keras.Model, mean_so_far: bool) -> None:
        """Ask a network about the people of a fold.

        :param mean_so_far: answer by the mean of the scores up to a frame, not by its own.
        """
        for where, label, frames, target in faces.sequences:
            if where == fold:
                values = np.array(network(frames[np.newaxis]))[0]
                scores = _softmax(float(network.sharpness) * values)
                if mean_so_far:
                    scores = scores.cumsum(0)  # in the order of the means
                given = scores.argmax(1)
                self.right.append(
                    [given[-(-percent * len(given) // 100) - 1] == label for percent in PERCENTS]
                )
                self.intensities.append(values[:, label].clip(0, 1))
                self.targets.append(target)
        asked = [still for still in faces.stills if still[1] == fold]
        if asked:
            frames = np.stack([frame for *_, frame in asked])[:, np.newaxis]
            given = np.array(network(frames))[:, 0].argmax(1)
            for (name, _, label, _), answer in zip(asked, given):
                self.stills.setdefault(name, []).append(answer == label)


def figures(answers: list[Answers], with_intensity: bool) -> dict[str, Any]:
    """Return the figures of a row, a dict for JSON: means over seeds, and 95 % intervals.

    Intervals are those of the sequences (stills), not of the seeds, which see the same ones:
    Wilson's, and bootstrap over the sequences for the mean of the five points.

    :param answers: list of :class:`Answers`, one a seed.
    :param with_intensity: whether the networks' values are intensities.
    """
    right = np.array([a.right for a in answers], float)  # [seeds, sequences, points]
    at = right.mean((0, 1))
    result = {
        'n': right.shape[1],
        'accuracy_at': {str(p): float(share) for p, share in zip(PERCENTS, at)},
        'accuracy_at_intervals': {
            str(p): wilson_interval(float(share), right.shape[1]) for p, share in zip(PERCENTS, at)
        },
        'mean': float(right.mean()),
        'mean_interval': bootstrap_interval(np.mean, right.mean(0)),
        'mean_of_seeds': right.mean((1, 2)).tolist(),
        'stills': {},
    }
    for name in answers[0].stills:
        of_seeds = np.array([a.stills[name] for a in answers], float)
        share = float(of_seeds.mean())
        result['stills'][name] = {
            'n': of_seeds.shape[1],
            'accuracy_6': share,
            'of_seeds': of_seeds.mean(1).tolist(),
            'interval': wilson_interval(share, of_seeds.shape[1]),
        }
    if with_intensity:
        for name, figure in (
            ('intensity_correlation', correlation),
            ('intensity_mae', mean_absolute_error),
        ):
            result[name] = float(
                np.mean(
                    [
                        figure(np.concatenate(a.intensities), np.concatenate(a.targets))
                        for a in answers
                    ]
                )
            )
    return result


def _softmax(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    powers = np.exp(values - values.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))
