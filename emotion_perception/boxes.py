"""What detection hands to tracking: boxes, with a small picture of what is in them."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.emotions import Roi

#: Left edge, top edge, width and height; a Box and a Roi are such.
Rectangle = tuple[float, float, float, float]


class Box(NamedTuple):
    """A rectangle in pixels of the image, not yet rounded or clipped."""

    x: float  #: left edge
    y: float  #: top edge
    width: float
    height: float

    @property
    def center(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    def scaled(self, factor: float) -> 'Box':
        """Return the box of so many times its size, about the same centre."""
        x, y = self.center
        return Box(
            x - factor * self.width / 2,
            y - factor * self.height / 2,
            factor * self.width,
            factor * self.height,
        )

    def roi(self, image_width: int, image_height: int) -> Roi:
        """Return the part inside the image as a Roi, at least one pixel large."""
        left = min(max(round(self.x), 0), image_width - 1)
        top = min(max(round(self.y), 0), image_height - 1)
        right = min(max(round(self.x + self.width), left + 1), image_width)
        bottom = min(max(round(self.y + self.height), top + 1), image_height)
        return Roi(left, top, right - left, bottom - top)


class Detection(NamedTuple):
    """A face found in one frame."""

    box: Box
    patch: npt.NDArray[np.uint8] | None = (
        None  #: uint8 [n,n] small picture of it, to tell faces apart
    )
    #: Found with as many neighbours as a new face needs, or not; the track's own share of such
    #: detections where its picture was found without them.
    sure: float = True
    tilt: int = 0  #: degrees clockwise by which it is tilted; the small picture is upright


def picture_of(
    gray: npt.NDArray[np.uint8], roi: Roi, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Return what is seen in a part of an image, as small as size [pixels]."""
    part = gray[roi.y_offset : roi.y_offset + roi.height, roi.x_offset : roi.x_offset + roi.width]
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.float32)


def overlap(a: Rectangle, b: Rectangle) -> float:
    """Return the shared area of two boxes over the smaller one's area, 0 .. 1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0) / min(a[2] * a[3], b[2] * b[3])


def is_chin(box: Rectangle, face: Rectangle) -> bool:
    """Say whether a box is where a larger face has its chin and neck, which look like a face."""
    (x, _), (u, v) = Box(*box).center, Box(*face).center
    return (
        box[2] < 0.75 * face[2]
        and abs(x - u) < 0.35 * face[2]
        and box[1] > v
        and overlap(box, face) > 0.05
    )


def similarity(
    a: npt.NDArray[np.uint8] | None, b: npt.NDArray[np.uint8] | None, turn: float = 0
) -> float:
    """Return how alike two patches are: normalised cross-correlation, best over small shifts.

    turn: degrees anticlockwise by which the first one is turned before.
    """
    if a is None or b is None:
        return 1.0
    if turn:
        middle = (len(a) - 1) / 2
        matrix = cv2.getRotationMatrix2D((middle, middle), turn, 1)
        a = np.asarray(
            cv2.warpAffine(a, matrix, (len(a), len(a)), borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
    rim = len(b) // 8
    return float(cv2.matchTemplate(a, b[rim:-rim, rim:-rim], cv2.TM_CCOEFF_NORMED).max())
