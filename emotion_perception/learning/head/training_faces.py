"""Web faces and known people as an encoder reads them: what the adapter and the head learn from.

The encoder has seen none of the known people, so each face is encoded once, whoever is held out.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from emotion_perception.datasets import person_of, Sample
from emotion_perception.emotions import NEUTRAL
from emotion_perception.learning.encoder.augmentation import augment
from emotion_perception.learning.encoder.labelled_stills import SEVEN, SMOOTHING, stills_from
from emotion_perception.learning.encoder.networks import FEATURES, GreyEncoder
from emotion_perception.learning.encoder.trainer import class_prior
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
from emotion_perception.learning.head.network import frames_of
from emotion_perception.learning.head.trainer import Draw
from emotion_perception.learning.lab.adapter import train_adapter
from emotion_perception.learning.lab.change_readout import change_readout
from emotion_perception.learning.lab.faces import (
    all_onsets,
    clips_of,
    lab_stills,
    LabFaces,
    steps_of,
)
from emotion_perception.temporal import CHANGE, Floats, LIVE, STEPS_PER_SECOND

#: Augmented variants of every lab face, and of every clip.
VARIANTS = 8
CLIP_VARIANTS = 2

#: Frames of a clip that are stills for the adapter, a second.
CLIP_STILLS = 6.0

#: Frames between two of a clip that teach what a face is.
CLIP_EVERY_FACE = 10

#: Who is seen on web faces: nobody is known.
_NOBODY = ''


@dataclass
class _Clip:
    person: str
    label: str
    steps: Floats  # [t], time since the frame before [1/30 s]
    kept: Floats  # [v,t,35]
    seen: npt.NDArray[np.float16]  # [v,t,k]


class TrainingFaces:
    """Faces, encoded by a stills model whose adapter adds nothing yet.

    :param stills_model: has seen none of the people.
    :param web: samples of stills with votes.
    :param lab: :class:`~emotion_perception.learning.lab.faces.LabFaces`.
    :param config: dict with ``web_images`` (how many of ``web``), ``seed``.
    """

    def __init__(
        self,
        stills_model: keras.Model,
        web: Sequence[Sample],
        lab: LabFaces,
        config: dict[str, Any],
    ) -> None:
        self._encode = GreyEncoder(stills_model)
        rng = np.random.default_rng(config['seed'])
        samples = [sample for set_ in lab.sets for sample in set_]
        #: (person, class, kept [v,t,35], seen [v,t,k]) of each onset.
        self._onsets = [
            (
                person,
                label,
                *self._encoded(grey_variants(frames, self._encode.size, VARIANTS, number)),
            )
            for number, (person, label, frames) in enumerate(all_onsets(samples, rng))
        ]
        #: Of each set of live video: its clips.
        self._clips = [
            [self._clip(sample, number) for number, sample in enumerate(clips_of(set_))]
            for set_ in lab.live
        ]

        web = [
            web[i] for i in rng.choice(len(web), min(config['web_images'], len(web)), replace=False)
        ]
        sets = [lab_stills(set_) for set_ in lab.sets]
        stills = web + [sample for set_ in sets for sample in set_ * VARIANTS]
        # Half of the web faces are for the adapter, the others for the head.
        self._for_adapter = np.arange(len(stills)) % 2 == 0
        self._for_adapter[len(web) :] = True
        self._for_head = ~self._for_adapter
        self._for_head[len(web) :] = True
        #: Of each still: the person, the label, and the set (0: web).
        self._people = np.array(
            [_NOBODY] * len(web) + [person_of(s) for set_ in sets for s in set_ * VARIANTS]
        )
        self._labels = np.array([s.label or NEUTRAL for s in stills])
        self._sets = np.repeat(
            range(len(sets) + 1), [len(web), *(VARIANTS * len(set_) for set_ in sets)]
        )
        targets = stills_from(stills)
        self._six, self._weights = targets.targets['six'], targets.weights['six']
        self._prior = class_prior(targets.take(np.flatnonzero(self._sets == 0)))
        # As strong as people see an expression, divided among the classes as E1 has it: otherwise
        # the two would pull an image on which taggers and FER2013 disagree to different classes.
        self._intensity = vote_intensity(stills).sum(1, keepdims=True) * self._six
        # Augmented, web faces too: the encoder knows its own training images too well.
        self._kept, self._seen = self._encoded(
            np.stack([augment(image, self._encode.size, rng) for image in targets.images])
        )

    def _encoded(self, grey: Floats) -> tuple[Floats, npt.NDArray[np.float16]]:
        """Return kept float32 [...,35] and, as the adapter sees it, float16 [...,k]."""
        kept, features, places = self._encode(grey)
        return kept, np.concatenate([features, places], -1).astype(np.float16)

    def _clip(self, sample: Sample, number: int) -> _Clip:
        return _Clip(
            person_of(sample),
            str(sample.label),
            steps_of(sample),
            *self._encoded(grey_variants(sample.frames, self._encode.size, CLIP_VARIANTS, number)),
        )

    def train_adapter(self, held_out: frozenset[str], config: dict[str, Any]) -> keras.Model:
        """Train an adapter without some people.

        :param held_out: set of people.
        :param config: as for :func:`~emotion_perception.learning.lab.adapter.train_adapter`, and
            ``lab`` and ``live``: what each of these sets weighs, all web faces 1.

        Web faces are to be read as they are without an adapter (Li and Hoiem, Learning without
        Forgetting, ECCV 2016).
        """
        used = self._for_adapter & ~np.isin(self._people, list(held_out))
        kept, seen = [self._kept[used]], [self._seen[used]]
        people, labels = [*self._people[used]], [*self._labels[used]]
        sets, shares = [*self._sets[used]], [1.0, *config['lab'], *config['live']]
        for number, clips in enumerate(self._clips, 1 + max(self._sets)):
            for clip in clips:
                if clip.person not in held_out:
                    every = max(round(STEPS_PER_SECOND / CLIP_STILLS / np.median(clip.steps)), 1)
                    # Each variant at other frames.
                    for start, (of_frames, as_seen) in enumerate(zip(clip.kept, clip.seen)):
                        frames = slice(start * every // CLIP_VARIANTS, None, every)
                        kept.append(of_frames[frames])
                        seen.append(as_seen[frames])
                        people += [clip.person] * len(kept[-1])
                        labels += [clip.label] * len(kept[-1])
                        sets += [number] * len(kept[-1])
        live = np.concatenate(kept)[:, LIVE]
        targets = np.array(keras.ops.softmax(live))
        set_of = np.array(sets)
        known = set_of > 0
        one_hot = np.equal(np.array(labels)[:, np.newaxis], SEVEN)
        targets[known] = (one_hot * (1 - SMOOTHING) + SMOOTHING / len(SEVEN))[known]
        # Who is seen often in one expression counts for less than as many others would.
        times = Counter(zip(people, labels))
        weights = np.array([times[key] ** -0.5 for key in zip(people, labels)], np.float32)
        weights[~known] = 1
        for number, share in enumerate(shares):
            of_set = set_of == number
            if of_set.any():
                weights[of_set] *= share * (~known).sum() / weights[of_set].sum()
        return train_adapter(np.concatenate(seen), live, targets, weights, config)

    def face_features(self) -> Floats:
        """Return features of faces of all kinds, float32 [n,512]."""
        clips = [
            clip.seen[:, ::CLIP_EVERY_FACE, :FEATURES].reshape(-1, FEATURES)
            for set_ in self._clips
            for clip in set_
        ]
        return np.concatenate([self._seen[:, :FEATURES], *clips]).astype(np.float32)

    def change_readout(self, held_out: frozenset[str]) -> tuple[Floats, Floats]:
        """Return the readout of change without some people, and its offset."""
        return change_readout(
            [
                (seen[..., :FEATURES].astype(np.float32), label)
                for person, label, _, seen in self._onsets
                if person not in held_out
            ]
        )

    def episodes(
        self,
        strangers: list[tuple[frozenset[str], keras.Model]],
        change: tuple[Floats, Floats],
        config: dict[str, Any],
    ) -> Draw:
        """Return the function that draws a batch of episodes for the head.

        Each person is read by an adapter that was trained without that person, as the head will
        find people in use. What an adapter says of people whom it knows is too sure of itself,
        and would leave the head little to learn.

        :param strangers: list of (people, adapter that was trained without them); only these
            people are shown. Web faces are read by the first adapter.
        :param change: readout of change, and its offset.
        :param config: dict with the episodes of each kind in a batch: ``stills``, ``sequences``
            (onsets), ``neutral_clips``, ``emotional_clips``; ``lab_repeats`` (how often a lab
            still is drawn for a web one), ``prior`` (share of the web set's log prior that is
            taken out), ``noise``.
        """

        def read(kept: Floats, as_seen: npt.NDArray[np.float16], adapter: keras.Model) -> Floats:
            kept, seen = kept.copy(), as_seen.astype(np.float32)
            added = adapter(seen.reshape(-1, seen.shape[-1]), training=False).numpy()
            kept[..., LIVE] += added.reshape(*kept.shape[:-1], -1)
            kept[..., CHANGE] = seen[..., :FEATURES] @ change[0] + change[1]
            return kept

        adapter_of = {person: adapter for people, adapter in strangers for person in people}
        onsets: dict[str, list[list[Episode]]] = {}
        for person, label, kept, seen in self._onsets:
            if person in adapter_of:
                onsets.setdefault(person, []).append(
                    [
                        onset_episode(frames_of(of_frames), features, label)
                        for of_frames, features in zip(
                            read(kept, seen, adapter_of[person]), seen[..., :FEATURES]
                        )
                    ]
                )
        people = sorted(onsets)

        clips: Clips = {}
        for clip in (clip for set_ in self._clips for clip in set_ if clip.person in adapter_of):
            frames = frames_of(
                read(clip.kept, clip.seen, adapter_of[clip.person]),
                np.tile(clip.steps, (CLIP_VARIANTS, 1)),
            )
            clips.setdefault(clip.label, {}).setdefault(clip.person, []).append(frames)

        stills = np.empty_like(self._kept)
        for some, adapter in [([_NOBODY], strangers[0][1]), *strangers]:
            theirs = np.isin(self._people, list(some))
            stills[theirs] = read(self._kept[theirs], self._seen[theirs], adapter)
        stills = frames_of(stills)
        # What is rare in the web set is drawn more often, as its loss was shifted for the encoder.
        # Who shows none of the six, by anybody's word, is drawn as often as the mean.
        rarity = self._prior ** -config['prior'] / (self._prior ** (1 - config['prior'])).sum()
        often = 1 + self._six @ (rarity - 1)
        share = np.where(self._sets == 0, often, config['lab_repeats'] / VARIANTS)
        share *= self._for_head & np.isin(self._people, [_NOBODY, *adapter_of])
        share /= share.sum()

        def draw(rng: np.random.Generator) -> list[Episode]:
            episodes = []
            for i in rng.choice(len(share), config['stills'], p=share):
                length = 1 if rng.random() < 0.6 else int(rng.integers(2, 60))
                episodes.append(
                    held_episode(
                        stills[i],
                        self._six[i],
                        self._weights[i],
                        self._intensity[i],
                        length,
                        config['noise'] * (length > 1),
                        rng,
                    )
                )
            for person in rng.choice(people, config['sequences']):
                episodes.append(
                    live_episode(
                        [variants[rng.integers(VARIANTS)] for variants in onsets[person]],
                        config['noise'],
                        rng,
                    )
                )
            return episodes + clip_episodes(clips, config, rng)

        return draw
