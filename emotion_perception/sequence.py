"""What is kept of one face: its newest frames, as far as the next result needs them."""
from collections import deque

from emotion_perception.temporal import Windows


class FaceSequence:
    """The last frames of a face, at most ``limit`` of them, and what they say.

    A frame is encoded once and moves the state of the temporal head by one step, however long
    the sequence is.
    """

    def __init__(self, limit):
        self._stamps = deque(maxlen=limit)
        self.windows = Windows(limit)   #: the temporal head's state
        self.scores = None              #: float32 [6], after the newest frame
        self.intensities = None         #: float32 [6], after the newest frame

    def append(self, stamp_ns, scores, intensities):
        """Add the newest frame's stamp [ns] and result; the head has moved ``windows`` on."""
        self._stamps.append(stamp_ns)
        self.scores, self.intensities = scores, intensities

    def __len__(self):
        return len(self._stamps)

    @property
    def duration(self):
        """Seconds from the oldest frame to the newest."""
        return (self._stamps[-1] - self._stamps[0]) / 1e9
