"""The vocabulary of the package: classes, track states, and the result for one face.

This file is the one source of the class order and of the track states. The message
definitions and the model description are checked against it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

#: The six expressions, in the order of every score vector, message and model.
EMOTIONS = ('anger', 'disgust', 'fear', 'happiness', 'sadness', 'surprise')

#: The label of a face whose expression is weaker than the neutral threshold.
NEUTRAL = 'neutral'

#: Every label that can be published; a label's position is its ``label_id``.
LABELS = EMOTIONS + (NEUTRAL,)

#: What REP-155 (``hri_msgs/Expression``) calls each label.
EXPRESSIONS = dict(
    zip(LABELS, ('angry', 'disgusted', 'scared', 'happy', 'sad', 'surprised', 'neutral'))
)


class TrackState(IntEnum):
    """What a track knows of its face in the newest frame."""

    NEW = 0  #: seen, but not often enough yet to be believed
    CONFIRMED = 1  #: believed, and seen in this frame
    #: Believed, but not detected in this frame; its region follows its picture or its motion.
    COASTING = 2


class Roi(NamedTuple):
    """A region of an image, in pixels of the original image (``sensor_msgs/RegionOfInterest``)."""

    x_offset: int  #: leftmost column
    y_offset: int  #: topmost row
    width: int  #: columns
    height: int  #: rows


class FaceResult(Protocol):
    """What is read of a result: of FaceEmotion here, and of the message of that name alike."""

    @property
    def track_id(self) -> int: ...
    @property
    def state(self) -> int: ...
    @property
    def roi(self) -> Roi: ...
    @property
    def label(self) -> str: ...
    @property
    def label_id(self) -> int: ...
    @property
    def intensity(self) -> float: ...
    @property
    def confidence(self) -> float: ...
    @property
    def scores(self) -> Sequence[float]: ...
    @property
    def sequence_length(self) -> int: ...


@dataclass(frozen=True, slots=True)
class FaceEmotion:
    """One face in one frame; field by field what ``msg/FaceEmotion.msg`` holds."""

    track_id: int  #: from 1 on, the same face keeps its id
    state: TrackState
    roi: Roi
    label: str  #: one of LABELS
    label_id: int  #: LABELS.index(label)
    intensity: float  #: strength of the strongest expression, 0 (neutral) .. 1 (apex)
    confidence: float  #: of an emotion its score, of neutral 1 - intensity / 2; 0 .. 1
    scores: tuple[float, ...]  #: probability of each of EMOTIONS if it shows one, sums to 1
    sequence_length: int  #: frames in the sequence, 1 .. 100
    sequence_duration: float  #: seconds from the sequence's first frame to its newest


def check_faces(image_size: tuple[int, int], faces: Iterable[FaceResult]) -> None:
    """Refuse results that the pipeline never gives, so that whoever reads them can rely on it.

    :param image_size: height and width of the image [pixels].
    :raises ValueError: says what is wrong, and of which face.
    """
    height, width = image_size
    if min(image_size) < 1:
        raise ValueError(f'the image has {height} x {width} pixels, expected at least one')
    for face in faces:
        roi = face.roi
        shares = face.intensity, face.confidence, *face.scores
        if (face.label_id, face.label) not in enumerate(LABELS):
            wrong = (
                f'label_id {face.label_id} has the label {face.label[:40]!r}, expected one of '
                f'{", ".join(f"{number} {label}" for number, label in enumerate(LABELS))}'
            )
        elif face.state not in list(TrackState):
            wrong = f'state is {face.state}, expected {min(TrackState)} .. {max(TrackState)}'
        elif (
            min(roi.width, roi.height) < 1
            or min(roi.x_offset, roi.y_offset) < 0
            or roi.x_offset + roi.width > width
            or roi.y_offset + roi.height > height
        ):
            wrong = (
                f'roi has {roi.width} x {roi.height} pixels at ({roi.x_offset}, {roi.y_offset}), '
                f'expected one or more within an image of {width} x {height}'
            )
        elif not all(0 <= share <= 1 for share in shares):  # NaN lies nowhere
            wrong = 'intensity, confidence or a score is not within 0 .. 1'
        else:
            continue
        raise ValueError(f'face {face.track_id}: {wrong}')
