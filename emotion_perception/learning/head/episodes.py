"""What the temporal head is trained on: many short videos out of few sequences and stills.

Complete sequences are scarce, so they are played at other speeds, held at the apex, played
back to neutral and joined; pairs of a person's neutral and apex image become onsets; a still
is a sequence of one frame, or of many when somebody holds an expression from the first frame.
Clips of people who talk are shown as they are, in parts and at several frame rates: neutral ones,
in which no class is to be seen, and those of an emotion, perhaps before or after a neutral one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.datasets.sample import Sample, VOTE_NAMES
from emotion_perception.emotions import EMOTIONS, NEUTRAL
from emotion_perception.evaluation.metrics import apex_similarity
from emotion_perception.learning.encoder.augmentation import augment, resize

#: Frames of an episode; the window that the running system looks back on.
LONGEST = 100
_COLUMNS = len(EMOTIONS)


#: {label: {person: clips, the variants [v,t,...] of each}}.
Clips = dict[str, dict[str, list[npt.NDArray[np.float32]]]]


@dataclass
class Episode:
    """Encoded frames with what the head should say at each of them."""

    kept: npt.NDArray[np.float32]  #: [t,K], or as the networks compared with it read frames
    labels: npt.NDArray[np.float32]  #: [t,6], rows sum to 1
    label_weight: npt.NDArray[np.float32]  #: [t], 0 where no expression is shown
    intensity: npt.NDArray[np.float32]  #: [t,6], E2's target

    def take(self, frames: slice | npt.NDArray[np.int64]) -> 'Episode':
        return Episode(
            self.kept[frames],
            self.labels[frames],
            self.label_weight[frames],
            self.intensity[frames],
        )

    def then(self, other: 'Episode') -> 'Episode':
        return Episode(
            *(
                np.concatenate(pair)
                for pair in zip(
                    (self.kept, self.labels, self.label_weight, self.intensity),
                    (other.kept, other.labels, other.label_weight, other.intensity),
                )
            )
        )


def grey_variants(
    frames: npt.NDArray[np.uint8], size: int, variants: int, seed: int
) -> npt.NDArray[np.float32]:
    """Return float32 [variants,t,size,size] in 0..255: the plain frames, then augmented ones.

    Each variant changes all frames of a sequence alike, as one camera and one face would.

    :param frames: uint8 [t,64,64,3].
    """
    grey = [np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8) for frame in frames]
    played = [[resize(frame, size) for frame in grey]]
    played += [
        [augment(frame, size, np.random.default_rng((seed, variant))) for frame in grey]
        for variant in range(1, variants)
    ]
    return np.array(played, np.float32)


def onset_episode(kept: npt.NDArray[np.float32], features: npt.NDArray[Any], label: str) -> Episode:
    """Make an episode of a sequence from neutral to apex, with E2's target as its intensity.

    :param kept: float32 [t,K]; ``features``: float32 [t,512]; ``label``: one of EMOTIONS.
    """
    one_hot = np.equal(EMOTIONS, label).astype(np.float32)
    strength = apex_similarity(features).astype(np.float32)
    return Episode(
        kept,
        np.tile(one_hot, (len(kept), 1)),
        np.ones(len(kept), np.float32),
        strength[:, None] * one_hot,
    )


def held_episode(
    kept: npt.NDArray[np.float32],
    six: npt.NDArray[np.float32],
    six_weight: float,
    intensity: npt.NDArray[np.float32],
    length: int,
    noise: float,
    rng: np.random.Generator,
) -> Episode:
    """Make an episode of one still that is held: float32 [K] and its targets, with jitter."""
    frames = _jittered(np.tile(kept, (length, 1)), noise, rng)
    return Episode(
        frames,
        np.tile(six, (length, 1)),
        np.full(length, six_weight, np.float32),
        np.tile(intensity, (length, 1)),
    )


def clip_episodes(
    clips: Clips, config: dict[str, Any], rng: np.random.Generator, timed: bool = True
) -> list[Episode]:
    """Draw episodes of clips: each label as often as the others, each of its people, too.

    :param config: dict with ``neutral_clips`` and ``emotional_clips``, how many of each.
    :param timed: see :func:`clip_episode`.
    """
    episodes = []
    for labels, count in (
        ({NEUTRAL}, config['neutral_clips']),
        (clips.keys() - {NEUTRAL}, config['emotional_clips']),
    ):
        shown = sorted(label for label in labels if clips.get(label))
        for label in rng.choice(shown, count) if shown else ():
            person = rng.choice(sorted(clips[label]))
            frames = _one_of(clips[label][person], rng)
            theirs = clips.get(NEUTRAL, {}).get(person)
            neutral = _one_of(theirs, rng) if theirs else None
            episodes.append(clip_episode(frames, label, neutral, rng, timed))
    return episodes


def _one_of(
    clips: list[npt.NDArray[np.float32]], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Choose a clip and one of its variants."""
    variants = clips[rng.integers(len(clips))]
    return np.asarray(variants[rng.integers(len(variants))])


def clip_episode(
    frames: npt.NDArray[np.float32],
    label: str,
    neutral: npt.NDArray[np.float32] | None,
    rng: np.random.Generator,
    timed: bool = True,
) -> Episode:
    """Make an episode of a part of a clip that shows its label throughout.

    :param frames: float32 [t,36], with the step as the last number of each; as the networks
        compared with the head read frames where not ``timed``.
    :param label: one of EMOTIONS, or neutral, which is no expression: E1 does not count and E2's
        target is 0 for all classes.
    :param neutral: the frames of a neutral clip of the same person, or None. Half of the
        clips that have one follow it or are followed by it.
    """
    part = _part(frames, rng, timed)
    if neutral is not None and label != NEUTRAL and rng.random() < 0.5:
        other = _part(neutral, rng, timed)[: rng.integers(5, 51)]
        pieces = [(other, NEUTRAL), (part, label)]
        if rng.random() < 0.5:
            pieces = [(part[:50], label), (other, NEUTRAL)]
    else:
        pieces = [(part, label)]
    made = []
    for piece, name in pieces:
        one_hot = np.tile(np.equal(EMOTIONS, name).astype(np.float32), (len(piece), 1))
        shows = np.full(len(piece), name != NEUTRAL, np.float32)
        made.append(
            Episode(
                piece,
                np.where(shows[:, np.newaxis], one_hot, 1 / _COLUMNS).astype(np.float32),
                shows,
                one_hot,
            )
        )
    return reduce(Episode.then, made).take(slice(LONGEST))


def _part(
    frames: npt.NDArray[np.float32], rng: np.random.Generator, timed: bool
) -> npt.NDArray[np.float32]:
    """Return a part of a clip's frames, sometimes as a slower camera sees it."""
    every = int(rng.choice([1, 1, 1, 2, 5]))
    start = int(rng.integers(max(1, len(frames) - 20)))
    part = frames[start::every].copy()
    if timed:
        part[:, -1] *= every
    return part[:LONGEST]


def _jittered(
    frames: npt.NDArray[np.float32], noise: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Add noise to what is kept of each frame, but not to its step, the last number."""
    jitter = noise * rng.standard_normal(frames.shape).astype(np.float32)
    jitter[:, -1] = 0
    return np.asarray(frames + jitter)


def vote_intensity(samples: Sequence[Sample]) -> npt.NDArray[np.float32]:
    """Return E2's target of stills, float32 [n,6]: how much of each expression people see.

    FER+ images: the share of votes. Images with one label: 1 at that class; 0 when neutral.
    """
    columns = [VOTE_NAMES.index(name) for name in EMOTIONS]
    result = np.zeros((len(samples), _COLUMNS), np.float32)
    for i, sample in enumerate(samples):
        if sample.votes is not None:
            result[i] = sample.votes[columns] / max(int(sample.votes.sum()), 1)
        elif sample.label in EMOTIONS:
            result[i, EMOTIONS.index(str(sample.label))] = 1
        elif sample.label not in (NEUTRAL, 'contempt'):
            raise ValueError(f'{sample.name} has neither votes nor a label')
    return result


def live_episode(onsets: Sequence[Episode], noise: float, rng: np.random.Generator) -> Episode:
    """Play one or two onsets as a camera would see them, in random order and speed.

    Perhaps a rest, the onset, then perhaps a hold at the apex, then perhaps back to neutral, then
    perhaps another one, cut to at most LONGEST frames.
    """
    parts = []
    for onset in (onsets[i] for i in rng.permutation(len(onsets))[: rng.integers(1, 3)]):
        last = len(onset.kept) - 1
        speed = np.exp(rng.uniform(np.log(0.4), np.log(2.5)))
        frames = np.rint(np.linspace(0, last, max(2, round(last / speed) + 1)))
        if rng.random() < 0.4:
            frames = np.concatenate([np.zeros(rng.integers(1, 40)), frames])
        if rng.random() < 0.5:
            frames = np.concatenate([frames, np.full(rng.integers(1, 50), last)])
            if rng.random() < 0.5:
                frames = np.concatenate([frames, np.linspace(last, 0, rng.integers(4, 20))])
        parts.append(onset.take(np.rint(frames).astype(int)))
    episode = reduce(Episode.then, parts).take(slice(LONGEST))
    return Episode(
        _jittered(episode.kept, noise, rng), episode.labels, episode.label_weight, episode.intensity
    )
