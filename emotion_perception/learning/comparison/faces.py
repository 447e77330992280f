"""Faces for folds of people: what networks are trained on without a fold, and asked about."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_perception.datasets import person_of, Sample
from emotion_perception.emotions import EMOTIONS
from emotion_perception.evaluation.metrics import apex_similarity, Floats
from emotion_perception.learning.encoder.augmentation import augment, resize
from emotion_perception.learning.encoder.labelled_stills import stills_from
from emotion_perception.learning.head.episodes import (
    clip_episodes,
    Clips,
    Episode,
    grey_variants,
    held_episode,
    live_episode,
    onset_episode,
    vote_intensity,
)
from emotion_perception.learning.lab.faces import all_onsets, clips_of, LabFaces, steps_of

#: Versions of each sequence, and of each clip: as it is, and augmented.
_VARIANTS, _CLIP_VARIANTS = 3, 2

#: The fold of web faces, which nobody holds out.
_NO_FOLD = -1


@dataclass
class Clip:
    """A clip that shows its label throughout, and what a network reads of it."""

    fold: int
    sample: Sample
    frames: npt.NDArray[np.float32]  #: [v,t,...], as it is, then augmented


class Crops:
    """Grey crops of web and known faces, those to train on augmented, to be encoded in one go.

    :param web: samples of stills with votes; may be empty.
    :param lab: :class:`~emotion_perception.learning.lab.faces.LabFaces`.
    :param config: dict with ``web_images``, ``lab_repeats``, ``seed``.
    :param size: rows and columns.
    :raises ValueError: when the lab sets lack stills or complete sequences of the six classes.
    """

    def __init__(
        self, web: Sequence[Sample], lab: LabFaces, config: dict[str, Any], size: int
    ) -> None:
        rng = np.random.default_rng(config['seed'])
        samples = [sample for set_ in lab.sets for sample in set_]
        fold_of = {person: fold for fold, people in enumerate(lab.folds) for person in people}
        measured = [
            (set_.set_name, s, EMOTIONS.index(s.label))
            for set_ in lab.sets
            for s in set_
            if len(s.frames) == 1 and s.label in EMOTIONS
        ]
        self.real = sum(s.neutral_to_apex and s.label in EMOTIONS for s in samples)
        if not measured or not self.real:
            raise ValueError(
                'the lab sets need both, stills and sequences from neutral to apex of '
                'the six classes, for networks to be compared on'
            )
        onsets = list(all_onsets(samples, rng))
        #: (fold, person, class) of each onset; the ``real`` first ones are sequences, not made.
        self.onsets = [(fold_of[person], person, label) for person, label, _ in onsets]
        parts = [
            grey_variants(frames, size, _VARIANTS, number)
            for number, (_, _, frames) in enumerate(onsets)
        ]

        chosen = [
            web[i] for i in rng.choice(len(web), min(config['web_images'], len(web)), replace=False)
        ]
        self.folds = np.full(len(chosen), _NO_FOLD)
        stills = [s for s in samples if len(s.frames) == 1 and s.label != 'contempt'] * config[
            'lab_repeats'
        ]
        self.folds = np.append(self.folds, [fold_of[person_of(s)] for s in stills]).astype(int)
        self.targets, self.intensity = stills_from(chosen + stills), vote_intensity(chosen + stills)
        parts.append(np.stack([augment(image, size, rng) for image in self.targets.images]))

        #: (set, fold, class) of each still to measure.
        self.measured = [(name, fold_of[person_of(s)], label) for name, s, label in measured]
        parts.append(
            np.stack(
                [resize(image, size) for image in stills_from([s for _, s, _ in measured]).images]
            )
        )

        #: (fold, sample) of each clip.
        self.clips = [(fold_of[person_of(s)], s) for set_ in lab.live for s in clips_of(set_)]
        #: float32 [n], time since the frame before [1/30 s], of each of ``grey``.
        self.steps = np.ones(sum(int(np.prod(part.shape[:-2])) for part in parts), np.float32)
        for number, (_, sample) in enumerate(self.clips):
            parts.append(grey_variants(sample.frames, size, _CLIP_VARIANTS, number))
            self.steps = np.append(self.steps, np.tile(steps_of(sample), _CLIP_VARIANTS))
        self._shapes = [part.shape[:-2] for part in parts]
        #: float32 [n,size,size] in 0..255, all of them.
        self.grey = np.concatenate([part.reshape(-1, size, size) for part in parts])

    def divided(self, encoded: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        """Divide what became of ``grey``, [n,...]; return the parts that it was made of."""
        ends = [0, *accumulate(int(np.prod(shape)) for shape in self._shapes)]
        return [
            encoded[a:b].reshape(*shape, *encoded.shape[1:])
            for (a, b), shape in zip(pairwise(ends), self._shapes)
        ]


class Faces:
    """Crops as networks read them.

    :param crops: :class:`Crops`.
    :param read: float32 [n,...], what is read of each of ``crops.grey``.
    :param features: float32 [n,k], of which E2's target is made.
    :param timed: whether the last number that is read of a frame is its step.
    """

    def __init__(
        self,
        crops: Crops,
        read: npt.NDArray[np.float32],
        features: npt.NDArray[np.float32],
        timed: bool = False,
    ) -> None:
        parts = crops.divided(read)
        onsets = parts[: len(crops.onsets)]
        self._stills, measured, *clips = parts[len(crops.onsets) :]
        #: Each :class:`Clip`.
        self.clips = [Clip(*known, frames) for known, frames in zip(crops.clips, clips)]
        self._timed = timed
        onset_features = crops.divided(features)
        self._crops, self._deviation = crops, float(read.std())
        self._people: dict[tuple[int, str], list[list[Episode]]] = {}
        #: (fold, class, frames [t,...], E2's target [t]) of each sequence to measure.
        self.sequences: list[tuple[int, int, npt.NDArray[np.float32], Floats]] = []
        for i, (fold, person, label) in enumerate(crops.onsets):
            episodes = [
                onset_episode(*variant, label) for variant in zip(onsets[i], onset_features[i])
            ]
            self._people.setdefault((fold, person), []).append(episodes)
            if i < crops.real:
                self.sequences.append(
                    (
                        fold,
                        EMOTIONS.index(label),
                        onsets[i][0],
                        apex_similarity(onset_features[i][0]),
                    )
                )
        #: (set, fold, class, frame [...]) of each still to measure.
        self.stills = [(*known, frame) for known, frame in zip(crops.measured, measured)]

    def draw(self, rng: np.random.Generator, without: int, config: dict[str, Any]) -> list[Episode]:
        """Draw a batch of episodes that shows nobody of a fold.

        :param config: dict with ``stills``, ``sequences``, ``neutral_clips`` and
            ``emotional_clips`` (episodes of each), ``frames`` (longest episode), ``noise``
            (jitter, in deviations of what is read).
        """
        crops, noise = self._crops, config['noise'] * self._deviation
        episodes = []
        for i in rng.choice(np.flatnonzero(crops.folds != without), config['stills']):
            length = 1 if rng.random() < 0.6 else int(rng.integers(2, 30))
            held = held_episode(
                self._stills[i].ravel(),
                crops.targets.targets['six'][i],
                crops.targets.weights['six'][i],
                crops.intensity[i],
                length,
                noise * (length > 1),
                rng,
            )
            held.kept = held.kept.reshape(length, *self._stills.shape[1:])
            episodes.append(held)
        people = [onsets for (fold, _), onsets in self._people.items() if fold != without]
        for number in rng.integers(0, len(people), config['sequences']):
            episodes.append(
                live_episode(
                    [variants[rng.integers(_VARIANTS)] for variants in people[number]], noise, rng
                )
            )
        clips: Clips = {}
        for clip in self.clips:
            if clip.fold != without:
                of_label = clips.setdefault(str(clip.sample.label), {})
                of_label.setdefault(person_of(clip.sample), []).append(clip.frames)
        episodes += clip_episodes(clips, config, rng, self._timed)
        return [episode.take(slice(config['frames'])) for episode in episodes]
