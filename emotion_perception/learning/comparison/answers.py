"""What networks say of people whom they were trained without, and how often they are right."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_perception.evaluation.metrics import (
    bootstrap_interval,
    correlation,
    mean_absolute_error,
    wilson_interval,
)
from emotion_perception.evaluation.sequences import PERCENTS
from emotion_perception.evaluation.watched import clips_figures, Watched, watched_as
from emotion_perception.learning.comparison.faces import Faces
from emotion_perception.temporal import Floats, UNITS


class Answers:
    """What the networks of one seed say of the people that each was trained without.

    :param mean_so_far: answer by the mean of scores and strengths up to a frame, not by its own.
    """

    def __init__(self, mean_so_far: bool = False) -> None:
        self._mean_so_far = mean_so_far
        #: Each clip of live video.
        self.clips: list[Watched] = []
        #: For each sequence: whether it is right at each of PERCENTS.
        self.right: list[list[bool]] = []
        #: For each sequence, [t]: the intensity of its class, and E2's target.
        self.intensities: list[npt.NDArray[np.floating[Any]]] = []
        self.targets: list[npt.NDArray[np.floating[Any]]] = []
        #: For each set: whether each still is right.
        self.stills: dict[str, list[bool]] = {}

    def add(
        self, faces: Faces, fold: int, network: Callable[[Floats], Any], sharpness: float
    ) -> None:
        """Ask a network about the people of a fold.

        :param network: function of frames [n,t,...] to values, see ``networks.py``; ``sharpness``
            is the one that goes with it.
        """
        for clip in faces.clips:
            if clip.fold == fold:
                scores, strengths = self._answer(network, sharpness, clip.frames[0])
                self.clips.append(watched_as(clip.sample, scores, strengths))
        for where, label, frames, target in faces.sequences:
            if where == fold:
                scores, strengths = self._answer(network, sharpness, frames)
                given = scores.argmax(1)
                self.right.append(
                    [given[-(-percent * len(given) // 100) - 1] == label for percent in PERCENTS]
                )
                self.intensities.append(strengths[:, label])
                self.targets.append(target)
        asked = [still for still in faces.stills if still[1] == fold]
        if asked:
            frames = np.stack([frame for *_, frame in asked])[:, np.newaxis]
            given = np.array(network(frames))[:, 0, :UNITS].argmax(1)
            for (name, _, label, _), answer in zip(asked, given):
                self.stills.setdefault(name, []).append(answer == label)

    def _answer(
        self, network: Callable[[Floats], Any], sharpness: float, frames: Floats
    ) -> tuple[Floats, Floats]:
        """Return scores, of the six, and strengths, 0 .. 1, of each frame, float32 [t,6]."""
        values = np.array(network(frames[np.newaxis]))[0]
        scores = _softmax(sharpness * values[:, :UNITS])
        if values.shape[1] == UNITS:
            strengths = values.clip(0, 1)
        else:
            strengths = _softmax(sharpness * values)[:, :UNITS]
        if self._mean_so_far:
            return _mean_so_far(scores), _mean_so_far(strengths)
        return scores, strengths


def figures(answers: list[Answers], with_intensity: bool) -> dict[str, Any]:
    """Return the figures of a row, a dict for JSON: means over seeds, and 95 % intervals.

    Intervals are those of the sequences (stills), not of the seeds, which see the same ones:
    Wilson's, and bootstrap over the sequences for the mean of the five points. Those of live video
    are explained at :func:`~emotion_perception.evaluation.watched.clips_figures`.

    :param answers: list of :class:`Answers`, one a seed.
    :param with_intensity: whether the networks' values are intensities.
    """
    right = np.array([a.right for a in answers], float)  # [seeds, sequences, points]
    at = right.mean((0, 1))
    live = [clips_figures(a.clips) for a in answers]
    result = {
        'clips': live[0]['n'],
        'both': float(np.mean([seed['both'] for seed in live])),
        'both_of_seeds': [seed['both'] for seed in live],
        **{
            name: float(np.mean([seed[group][f'{name}_of_clips'] for seed in live]))
            for group, name in (
                ('neutral', 'share_neutral'),
                ('emotional', 'right'),
                ('emotional', 'wrong'),
            )
        },
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


def _mean_so_far(values: Floats) -> Floats:
    count = np.arange(1, len(values) + 1)[:, np.newaxis]
    return np.asarray(values.cumsum(0) / count, np.float32)


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))
