"""Tell from two images whether the picture was cut: to another scene, or to another person.

A face after a cut is a new one, even where it is in the place of the one before.
"""

from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.boxes import Box, picture_of

SCENE = (16, 12)  # [pixels] size of an image of the whole scene
LEAST_CONTRAST = 5  # [grey levels] standard deviation of such an image that shows anything
CUT = 0.5  # change of two such images, 1 - correlation, above which the scene is another
#                         one: from one to the next frame 1 in 10,000 is above .4, after a cut most
JUMP = 0.05  # change above which it may be another one that looks alike; few cuts make less
LEAP = 3.0  # ... if that is so many times the largest change in
LATELY = 10  # [frames] before: who moves far has begun to move before
SAME_HEAD = 0.93  # correlation above which a head, or its face, is still the same one ...
HEAD_CHANGE = 1.0  # [1/s] ... by so much less, the more time lies between the two images. After
#                         cuts between clips of actors 1 in 100 is more alike at 30 images a second,
#                         2 at 15; of 34 jumps in clips without a cut none is less alike
HEAD_SOON = 0.1  # [s] ... up to then: later, who moves looks as unlike as another person
HEAD = (32, 32)  # [pixels] size of a picture of a head and what is beside it ...
HEAD_SIZE = 1.5  # ... in sizes of the face: two faces alone look more alike
HEAD_SIZES = (0.9, 1.0, 1.1)  # of these, at which they are compared
HALF_SIZE = 1.2  # [face sizes] of a picture of which half is enough, ...
SAME_HALF = 0.95  # ... at this correlation: a hand may hide the rest
HALVES = (np.s_[:12], np.s_[12:], np.s_[:, :12], np.s_[:, 12:])  # of its middle, 24 x 24


class CutDetector:
    """What changes from image to image of one stream."""

    def __init__(self) -> None:
        #: The whole scene is another one.
        self.is_cut = False
        #: So much changed at once that another person may be there.
        self.is_jump = False
        #: Correlation below which a head or a face is another one, after so short a time.
        self.same = 0.0
        self._scene: npt.NDArray[np.float32] | None = None  # the last one that showed anything
        self._seconds = 0.0  # since then
        self._changes: deque[float] = deque(maxlen=LATELY)
        #: The last image that showed anything, and the one before it.
        self._last = self._before = np.empty((0, 0), np.uint8)

    def update(self, gray: npt.NDArray[np.uint8], seconds: float) -> None:
        """See the next image, uint8 [H,W], so long after the one before [s]."""
        self._seconds += seconds
        self.same = SAME_HEAD - HEAD_CHANGE * self._seconds
        is_soon = self._seconds < HEAD_SOON
        change = self._change(gray)
        self.is_cut = change > CUT
        self.is_jump = (
            is_soon
            and change > max(JUMP, LEAP * max(self._changes, default=0.0))
            and self._before.shape == gray.shape
        )
        self._changes.append(change)

    def is_another_head(self, face: Box) -> bool:
        """Say whether the last two images show two heads there.

        face: of the head in the one before. Only after a jump.
        """
        return (
            self._likeness(face.scaled(HEAD_SIZE))[0] < self.same
            and self._likeness(face.scaled(HALF_SIZE))[1] < SAME_HALF
        )

    def _change(self, gray: npt.NDArray[np.uint8]) -> float:
        """Return how much the scene differs from the last one, 0 .. 2: 1 - correlation."""
        # Every fourth pixel is enough, and cheap.
        scene = np.asarray(
            cv2.resize(gray[::4, ::4], SCENE, interpolation=cv2.INTER_AREA), np.float32
        )
        if scene.std() < LEAST_CONTRAST:  # a dark image between two others is no cut
            return 0.0
        before, self._scene = self._scene, scene
        self._before, self._last, self._seconds = self._last, gray.copy(), 0.0
        return 0.0 if before is None else 1 - _correlation(scene, before)

    def _likeness(self, box: Box) -> tuple[float, float]:
        """Return how much a part of the last image looks as in the one before, and its best half.

        Correlations, -1 .. 1, where and at the size at which the whole is most alike.
        """
        rim, shape = HEAD[0] // 8, self._last.shape[::-1]
        before = picture_of(self._before, box.roi(*shape), HEAD)[rim:-rim, rim:-rim]
        found = []
        for size in HEAD_SIZES:
            now = picture_of(self._last, box.scaled(size).roi(*shape), HEAD)
            match = cv2.matchTemplate(now, before, cv2.TM_CCOEFF_NORMED)
            _, likeness, _, (x, y) = cv2.minMaxLoc(match)
            found.append((likeness, size, now[y : y + len(before), x : x + len(before)]))
        likeness, _, now = max(found)
        return likeness, max(_correlation(now[half], before[half]) for half in HALVES)


def _correlation(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Return that of two pictures of one size, -1 .. 1."""
    return float(cv2.matchTemplate(a, b, cv2.TM_CCOEFF_NORMED)[0, 0])
