"""What every data set is brought to: samples with unified labels, cropped as the node crops."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emotion_perception.emotions import EMOTIONS, NEUTRAL

#: Every label a sample can have.
SAMPLE_LABELS = EMOTIONS + (NEUTRAL, 'contempt')

#: Columns of the FER+ votes, in the order of ``fer2013new.csv``.
VOTE_NAMES = (
    'neutral',
    'happiness',
    'surprise',
    'sadness',
    'anger',
    'disgust',
    'fear',
    'contempt',
    'unknown',
    'NF',
)

#: What the sets' own names for the labels mean, in lower case.
LABEL_OF_NAME = {name: name for name in SAMPLE_LABELS} | {
    'angry': 'anger',
    'disgusted': 'disgust',
    'fearful': 'fear',
    'happy': 'happiness',
    'sad': 'sadness',
    'surprised': 'surprise',
}


class DatasetError(ValueError):
    """A data set is not what its layout says; the message names the file and the layout."""


@dataclass(frozen=True)
class Sample:
    """One labelled face: a still (one frame) or a sequence."""

    name: str  #: unique within its set
    subject: str | None  #: who is seen, None where the set does not say
    label: str | None  #: one of SAMPLE_LABELS, None where there is none (a tie, say)
    frames: npt.NDArray[np.uint8]  #: uint8 [n,64,64,3], BGR crops
    #: float32 [n], 0 neutral .. 1 apex, where it is known.
    intensity: npt.NDArray[np.float32] | None = None
    #: uint8 [10], FER+ votes in the order of VOTE_NAMES.
    votes: npt.NDArray[np.uint8] | None = None
    fer2013_label: str | None = None  #: the label that FER2013 gives to the same image
    part: str | None = None  #: 'train', 'valid' or 'test', where the set is divided
    #: int64 [n], when each frame of a sequence is shown, from 0 on; None where that is not known.
    stamps_ns: npt.NDArray[np.int64] | None = None
    neutral_to_apex: bool = False  #: the first frame is neutral and the last one the apex
    #: What the set tells of the person, {'gender': 'female', ..}.
    groups: dict[str, str] = field(default_factory=dict)

    @property
    def rate(self) -> float | None:
        """Mean frames per second; None where it is not known, and of a single frame."""
        if self.stamps_ns is None or len(self.stamps_ns) < 2:
            return None
        return (len(self.stamps_ns) - 1) * 1e9 / int(self.stamps_ns[-1] - self.stamps_ns[0])


class Samples(list[Sample]):
    """A data set: a list of :class:`Sample`."""

    def __init__(self, set_name: str, samples: Iterable[Sample], without_face: list[str]) -> None:
        super().__init__(samples)
        self.set_name = set_name  #: 'fer2013', 'ckplus', 'jaffe', ...
        self.without_face = without_face  #: names of what is left out


@dataclass(frozen=True)
class Recording:
    """One labelled face as a layout lists it, before it is read and cropped.

    ``source`` is the list of a sequence's image files in order (a still has one), a video
    file, or, for a set of face crops, the image itself as uint8 [h,w] or [h,w,3].
    The other fields are those of :class:`Sample`.
    """

    name: str
    source: list[Path] | Path | npt.NDArray[np.uint8]
    label: str | None
    subject: str | None = None
    intensity: float | None = None  #: of a still
    votes: npt.NDArray[np.uint8] | None = None
    fer2013_label: str | None = None
    part: str | None = None
    rate: float | None = None  #: of image files; a video knows its own
    neutral_to_apex: bool = False
    clockwise_turns: int = 0  #: quarter turns that bring lying frames upright
    groups: dict[str, str] = field(default_factory=dict)
    crop_side: int = 0  #: a still of at most so many pixels a side is a face crop

    @property
    def is_still(self) -> bool:
        """Tell whether it is one image."""
        return isinstance(self.source, np.ndarray) or (
            isinstance(self.source, list) and len(self.source) == 1
        )


def person_of(sample: Sample) -> str:
    """Return who is seen, for sets of which people are held out.

    :raises DatasetError: when the set does not say; names the sample.
    """
    if sample.subject is None:
        raise DatasetError(
            f'{sample.name}: the data set does not say who is seen; people are held out of '
            'training here, so every one of them must be named'
        )
    return sample.subject


def label_of(name: str, file: Path, layout: str) -> str:
    """Return the label that a set's own name for it means ('Happy' -> 'happiness').

    :raises DatasetError: when it means none of SAMPLE_LABELS; names the file and the layout.
    """
    if name.lower() not in LABEL_OF_NAME:
        raise DatasetError(
            f'{file}: {name!r} is none of {", ".join(SAMPLE_LABELS)}; expected {layout}'
        )
    return LABEL_OF_NAME[name.lower()]


def is_label(path: Path) -> bool:
    """Tell whether a path is a folder that is named by a label."""
    return path.is_dir() and path.name.lower() in LABEL_OF_NAME


def majority_label(votes: npt.NDArray[np.uint8]) -> str | None:
    """Return the label that most FER+ taggers chose.

    :param votes: integers [10] in the order of VOTE_NAMES.
    :return: one of SAMPLE_LABELS, or None at a tie and when most say 'unknown' or 'NF'.
    """
    top = np.flatnonzero(votes == votes.max())
    name = VOTE_NAMES[top[0]]
    return name if len(top) == 1 and name in SAMPLE_LABELS else None
