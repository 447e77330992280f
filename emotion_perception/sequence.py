"""What is kept of one face: its newest frames, as far as the next result needs them."""

from collections import deque

import numpy as np
import numpy.typing as npt

from emotion_perception.labels import StableLabel
from emotion_perception.temporal import Windows

#: Weight of the newest frame in how far a track is believed to show a face.
_FORGET_FACE = 0.1

#: Log odds that an even crop must show to count as a face: a curtain has shown 8, the faintest of
#: a hundred faces in thick haze 12.
_EVEN_FACE = 10.0


class FaceSequence:
    """The last frames of a face, at most ``limit`` of them, and what they say.

    A frame is encoded once and moves the state of the temporal head by one step, however long
    the sequence is.
    """

    def __init__(self, limit: int) -> None:
        self._stamps: deque[int] = deque(maxlen=limit)
        self.windows = Windows(limit)  #: the temporal head's state
        self.label = StableLabel()
        #: float32 [6] each, after the newest frame; see :meth:`.Model.advance`.
        self.scores: npt.NDArray[np.float32] = np.zeros(6, np.float32)
        self.strengths: npt.NDArray[np.float32] = np.zeros(6, np.float32)
        self._face = 0.0
        self._frames = 0  # all that were added

    def append(
        self,
        stamp_ns: int,
        scores: npt.NDArray[np.float32],
        strengths: npt.NDArray[np.float32],
        face: float,
        even: bool = False,
    ) -> None:
        """Add the newest frame's stamp [ns] and result; the head has moved ``windows`` on.

        :param face: log odds that the frame shows a face.
        :param even: whether its crop is even, see :func:`~emotion_perception.crops.is_even`.
        """
        if even:
            face -= _EVEN_FACE
        self._frames += 1
        weight = max(_FORGET_FACE, 1 / self._frames)
        self._face += weight * (face - self._face)
        self._stamps.append(stamp_ns)
        self.scores, self.strengths = scores, strengths

    @property
    def shows_face(self) -> bool:
        """Tell whether its frames are more likely those of a face than of something else."""
        return self._face >= 0

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def duration(self) -> float:
        """Seconds from the oldest frame to the newest."""
        return (self._stamps[-1] - self._stamps[0]) / 1e9
