"""What a face showed over time, in bounded memory however long it is seen."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from emotion_perception.emotions import FaceEmotion, LABELS, TrackState

#: Steps of a curve at most; as many points as a screen shows.
STEPS = 500


@dataclass(slots=True)
class Step:
    """Some images of a face in a row, as one."""

    start_ns: int
    end_ns: int  #: time of the last image
    images: int
    labels: Counter[str]
    intensity: float  #: summed over the images
    scores: npt.NDArray[np.float64]  #: float64 [6], summed over the images

    @property
    def label(self) -> str:
        """The label of most of its images; of two, the first by LABELS."""
        return max(LABELS, key=lambda label: self.labels[label])

    def joined(self, later: 'Step') -> 'Step':
        """Return it and the one after it as one."""
        return Step(
            self.start_ns,
            later.end_ns,
            self.images + later.images,
            self.labels + later.labels,
            self.intensity + later.intensity,
            self.scores + later.scores,
        )


@dataclass(slots=True)
class Curve:
    """A face through time, in STEPS steps at most: where there are more, each two become one."""

    track_id: int
    images: int = 0
    coasting: int = 0  #: images of these in which it was not detected
    strongest: float = 0.0  #: intensity
    strongest_ns: int = 0  #: ... and when
    labels: Counter[str] = field(default_factory=Counter)  #: images with each label
    steps: list[Step] = field(default_factory=list)
    _each: int = 1  # images of a step

    def add(self, time_ns: int, face: FaceEmotion) -> None:
        """Take what the next image shows."""
        self.images += 1
        self.coasting += face.state == TrackState.COASTING
        self.labels[face.label] += 1
        if face.intensity > self.strongest:
            self.strongest, self.strongest_ns = face.intensity, time_ns
        step = Step(
            time_ns,
            time_ns,
            1,
            Counter([face.label]),
            face.intensity,
            np.asarray(face.scores, np.float64),
        )
        if self.steps and self.steps[-1].images < self._each:
            self.steps[-1] = self.steps[-1].joined(step)
            return
        if len(self.steps) >= STEPS:
            pairs = zip(self.steps[::2], self.steps[1::2])
            self.steps = [first.joined(second) for first, second in pairs]
            self._each *= 2
        self.steps.append(step)

    @property
    def start_ns(self) -> int:
        """Time of its first image [ns]."""
        return self.steps[0].start_ns

    @property
    def end_ns(self) -> int:
        """Time of its last image [ns]."""
        return self.steps[-1].end_ns

    def spans(self) -> list[tuple[int, int, str]]:
        """Give from when to when it has which label, as (start [ns], end [ns], label)."""
        found: list[tuple[int, int, str]] = []
        for step, following in zip(self.steps, [*self.steps[1:], None]):
            end = following.start_ns if following else step.end_ns
            if found and found[-1][2] == step.label:
                found[-1] = found[-1][0], end, step.label
            else:
                found.append((step.start_ns, end, step.label))
        return found
