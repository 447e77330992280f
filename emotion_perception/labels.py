"""One face's label, which does not flicker: it goes by the mean over a short time.

Robots act on the label. In single frames of a face that talks the strongest class goes to and
fro; over most of a second it does not.
"""

from collections import deque

import numpy as np
import numpy.typing as npt

from emotion_perception.emotions import EMOTIONS, LABELS, NEUTRAL
from emotion_perception.temporal import STEPS_PER_SECOND

_NEUTRAL = LABELS.index(NEUTRAL)

#: Strengths that are the intensities 0 and 1. A head that calls talk neutral stays far below 1 even
#: at the apex. With these, the intensities of onsets follow E2's target best, over people who were
#: not trained on (intensity_mae of ``train --folds``).
WEAKEST, STRONGEST = 0.06, 0.44


class StableLabel:
    """The label of one face through time. It goes by the frames' stamps, not by their number."""

    def __init__(self) -> None:
        self.label_id = _NEUTRAL  #: index of LABELS, after the newest frame
        self._frames: deque[tuple[int, npt.NDArray[np.float32]]] = deque()
        self._stamp_ns: int | None = None
        self._now_ns = 0  # time that has passed since the first frame

    def update(
        self,
        stamp_ns: int,
        strengths: npt.NDArray[np.float32],
        *,
        neutral_threshold: float,
        neutral_hysteresis: float,
        label_window: float,
    ) -> int:
        """Take the newest frame's result; return the label, an index of LABELS.

        What counts is the mean strength of each class over the last frames. The strongest class
        is the label where it reaches the threshold, otherwise neutral.

        :param stamp_ns: time of the frame [ns]. Where stamps stand still, a frame takes 1/30 s.
        :param strengths: float32 [6], 0..1, the temporal head's values.
        :param neutral_threshold: mean strength from which a neutral face gets an emotion's label.
        :param neutral_hysteresis: by how much that mean must fall below the threshold before the
            label is neutral again, at most half of the threshold. From one emotion to another it
            changes when the other is stronger by half of this.
        :param label_window: seconds over which the mean is taken; of a face that was seen for a
            shorter time it is the mean so far. 0: the newest frame alone.
        """
        if self._stamp_ns is not None:
            self._now_ns += stamp_ns - self._stamp_ns or round(1e9 / STEPS_PER_SECOND)
        self._stamp_ns = stamp_ns
        self._frames.append((self._now_ns, strengths))
        while self._now_ns - self._frames[0][0] > label_window * 1e9:
            self._frames.popleft()
        means = np.mean([frame for _, frame in self._frames], 0)
        strongest, before = int(means.argmax()), self.label_id
        if before == _NEUTRAL:
            shows = means[strongest] >= neutral_threshold
        else:
            # A mean is never below 0: a face must be able to fall below what is left.
            below = min(neutral_hysteresis, neutral_threshold / 2)
            shows = means[strongest] >= neutral_threshold - below
            if means[strongest] < means[before] + neutral_hysteresis / 2:
                strongest = before
        self.label_id = strongest if shows else _NEUTRAL
        return self.label_id


def intensity_of(strength: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return the intensity that is published, 0 (neutral) .. 1 (apex), of a strength or many."""
    scaled = (np.asarray(strength, np.float32) - WEAKEST) / (STRONGEST - WEAKEST)
    return np.asarray(scaled.clip(0, 1), np.float32)


def confidence_of(label_id: int, scores: npt.NDArray[np.float32], intensity: float) -> float:
    """Return how sure a label is: of an emotion its score; of neutral 1 - half the intensity."""
    return float(scores[label_id]) if label_id < len(EMOTIONS) else 1.0 - intensity / 2
