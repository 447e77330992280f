"""What is kept of one face: the newest frames, encoded once each, with their stamps."""
from collections import deque

import numpy as np


class FaceSequence:
    """The last frames of a face, at most ``limit`` of them.

    What is kept of a frame is what the temporal head reads of it, so a frame is encoded once
    however long the sequence is.
    """

    def __init__(self, limit):
        self._kept = deque(maxlen=limit)
        self._stamps = deque(maxlen=limit)

    def append(self, kept, stamp_ns):
        """Add the newest frame: float32 [K] of the encoder, and its stamp in nanoseconds."""
        self._kept.append(kept)
        self._stamps.append(stamp_ns)

    def __len__(self):
        return len(self._kept)

    @property
    def duration(self):
        """Seconds from the oldest kept frame to the newest."""
        return (self._stamps[-1] - self._stamps[0]) / 1e9

    def array(self):
        """Return what is kept, oldest first: float32 [frames,K]."""
        return np.array(self._kept)
