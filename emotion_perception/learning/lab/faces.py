"""Faces of known people, in laboratories and in live video: folds of people, stills, onsets."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
import os

import numpy as np
import numpy.typing as npt

from emotion_perception.datasets import load, person_of, Sample
from emotion_perception.emotions import EMOTIONS, NEUTRAL
from emotion_perception.temporal import Floats, STEPS_PER_SECOND


class LabFaces:
    """Samples of known people, dealt out to folds.

    :param paths: of the sets of stills and onsets.
    :param folds: how many.
    :param live: paths of sets of clips that show their label from the first frame to the last.
    :raises ValueError: when a set has nothing that is trained on, see :func:`lab_stills` and
        :func:`clips_of`, or does not say who is seen, or there are fewer people than folds.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        folds: int,
        live: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        #: The sets of stills and onsets, and those of clips.
        self.sets = [load(path) for path in paths]
        self.live = [load(path, 'sequences') for path in live]
        for path, samples in zip(paths, self.sets):
            if not lab_stills(samples):
                raise ValueError(
                    f'{path} cannot serve as a lab set: it has no still of the six '
                    'classes or neutral, and no sequence from neutral to apex'
                )
        for path, samples in zip(live, self.live):
            if not clips_of(samples):
                raise ValueError(
                    f'{path} cannot serve as a set of live clips: it has no clip of '
                    'the six classes or neutral'
                )
        # People with complete sequences are dealt out first: one a fold makes the folds of
        # leave-one-subject-out. All others follow, set by set, so that each is spread evenly.
        watched = {
            person_of(sample)
            for samples in self.sets
            for sample in samples
            if sample.neutral_to_apex and sample.label in EMOTIONS
        }
        people: list[str] = []
        for some in (
            watched,
            *(set(map(person_of, set_)) for set_ in (*self.sets, *self.live)),
        ):
            people += sorted(some.difference(people))
        if len(people) < folds:
            raise ValueError(
                f'the {len(people)} people of {", ".join(map(str, [*paths, *live]))} do '
                f'not fill {folds} folds'
            )
        #: The people of each fold, frozen sets.
        self.folds = [frozenset(people[number::folds]) for number in range(folds)]

    def people(self) -> dict[str, list[str]]:
        """Return {set name: sorted list of people}; sets of one layout have one name."""
        people: dict[str, set[str]] = {}
        for samples in (*self.sets, *self.live):
            people.setdefault(samples.set_name, set()).update(map(person_of, samples))
        return {name: sorted(some) for name, some in people.items()}


def clips_of(samples: Sequence[Sample]) -> list[Sample]:
    """Return the clips that show one of the six classes or neutral from first frame to last."""
    return [
        s
        for s in samples
        if len(s.frames) > 1 and not s.neutral_to_apex and s.label in (*EMOTIONS, NEUTRAL)
    ]


def steps_of(sample: Sample) -> Floats:
    """Return the time since the frame before of each frame of a clip, float32 [t] [1/30 s]."""
    steps = np.ones(len(sample.frames), np.float32)
    if sample.stamps_ns is not None:
        steps[1:] = np.diff(sample.stamps_ns) * 1e-9 * STEPS_PER_SECOND
    return steps


def lab_stills(lab: Sequence[Sample]) -> list[Sample]:
    """Return the stills among samples, but those of contempt, and both ends of each onset."""
    onsets = [s for s in lab if s.neutral_to_apex]
    ends = [replace(s, frames=s.frames[:1], label=NEUTRAL, neutral_to_apex=False) for s in onsets]
    ends += [replace(s, frames=s.frames[-1:], neutral_to_apex=False) for s in onsets]
    return [s for s in [*lab, *ends] if len(s.frames) == 1 and s.label in (*EMOTIONS, NEUTRAL)]


def all_onsets(
    lab: Sequence[Sample],
    rng: np.random.Generator,
) -> Iterator[tuple[str, str, npt.NDArray[np.uint8]]]:
    """Yield (person, label, frames): real onsets, then ones made of neutral-apex pairs."""
    neutral: dict[str, list[npt.NDArray[np.uint8]]] = {}
    for sample in lab:
        if sample.neutral_to_apex or sample.label == NEUTRAL:
            neutral.setdefault(person_of(sample), []).append(sample.frames[0])
        if sample.neutral_to_apex and sample.label in EMOTIONS:
            yield person_of(sample), sample.label, sample.frames
    for sample in lab:
        person = person_of(sample)
        if len(sample.frames) == 1 and sample.label in EMOTIONS and person in neutral:
            choices = neutral[person]
            yield (
                person,
                sample.label,
                onset_frames(
                    choices[rng.integers(len(choices))], sample.frames[0], int(rng.integers(6, 24))
                ),
            )


def onset_frames(
    neutral: npt.NDArray[np.uint8], apex: npt.NDArray[np.uint8], length: int
) -> npt.NDArray[np.uint8]:
    """Cross-fade two crops of a person, uint8 [64,64,3], into an onset, uint8 [t,64,64,3]."""
    mix = (np.linspace(0, 1, length, dtype=np.float32) ** 1.5)[:, None, None, None]
    return np.asarray(np.rint(neutral * (1 - mix) + apex * mix).astype(np.uint8))
