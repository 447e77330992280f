"""Images of cameras that are mounted sideways or upside down."""

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.emotions import Roi

#: Degrees clockwise that an image may be turned by -> OpenCV's name of that.
TURNS = {
    0: None,
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def upright(image: npt.NDArray[np.uint8], degrees: int) -> npt.NDArray[np.uint8]:
    """Turn an image clockwise, so that heads point up.

    :param image: uint8 [H,W,3].
    :param degrees: one of TURNS.
    :return: uint8 [H,W,3], or [W,H,3] after a quarter turn.
    """
    turn = TURNS[degrees]
    return image if turn is None else np.asarray(cv2.rotate(image, turn), np.uint8)


def roi_as_mounted(roi: Roi, degrees: int, height: int, width: int) -> Roi:
    """Give the region of the image as it came that a region of the turned one shows.

    :param roi: pixels of the turned image.
    :param degrees: that it was turned by, one of TURNS.
    :param height: of the image as it came, and width [pixels].
    """
    x, y, w, h = roi
    return Roi(
        *{
            0: (x, y, w, h),
            90: (y, height - x - w, h, w),
            180: (width - x - w, height - y - h, w, h),
            270: (width - y - h, x, h, w),
        }[degrees]
    )
