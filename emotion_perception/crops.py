"""Image and box to the crop that training, evaluation and the running node all see.

The geometry is a contract between training and running: it is written into the model
description at export and compared when a model is loaded.
"""

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.emotions import Roi

#: Rows and columns of a crop.
CROP_SIZE = 64

#: Side of the crop as a multiple of the face box's longer side. A Haar box as it is lines up
#: with the faces of FER2013: over CK+ the mean crops of both agree best at 1.0 (correlation .92).
CROP_SCALE = 1.0

#: Standard deviation [grey levels] below which a crop is even, and the same as a share of its mean.
EVEN = 4.0
EVEN_SHARE = 0.15

#: The geometry as it stands in a model's description.
CROP = {'size': CROP_SIZE, 'scale': CROP_SCALE, 'channels': 'BGR'}

#: What the encoder does with a crop before all else; only the encoder does it.
NORMALISATION = 'inside the encoder: grey, each crop to mean 0 and deviation 1'


def crop_face(image: npt.NDArray[np.uint8], roi: Roi) -> npt.NDArray[np.uint8]:
    """Cut the square around a face out of an image.

    :param image: uint8 [H,W,3], BGR.
    :param roi: the face's :class:`~emotion_perception.emotions.Roi`; parts outside of the
        image are filled with the image's nearest edge.
    :return: uint8 [64,64,3], BGR.
    :raises ValueError: when the region is empty or does not touch the image.
    """
    height, width = image.shape[:2]
    if roi.width < 1 or roi.height < 1:
        raise ValueError(f'a face region needs a width and a height of 1 or more, not {roi}')
    side = max(1, round(max(roi.width, roi.height) * CROP_SCALE))
    left = round(roi.x_offset + (roi.width - side) / 2)
    top = round(roi.y_offset + (roi.height - side) / 2)
    right, bottom = left + side, top + side
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise ValueError(f'{roi} lies outside of the image of {width} x {height} pixels')
    inside = image[max(top, 0) : bottom, max(left, 0) : right]
    if inside.shape[:2] != (side, side):
        inside = np.asarray(
            cv2.copyMakeBorder(
                inside,
                max(-top, 0),
                max(bottom - height, 0),
                max(-left, 0),
                max(right - width, 0),
                cv2.BORDER_REPLICATE,
            ),
            np.uint8,
        )
    return _resize(inside)


def is_even(crop: npt.NDArray[np.uint8]) -> bool:
    """Tell whether a crop, uint8 [64,64,3], shows hardly more than one shade, and is not dark.

    A wall or a curtain is even: what is seen in it are mostly the traces of compression. A face
    is so only in thick haze. In the dark its grey levels are few, but far apart beside their mean.
    """
    mean, deviation = (float(values.mean()) for values in cv2.meanStdDev(crop))
    return deviation < min(EVEN, EVEN_SHARE * mean)


def fit_crop(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Bring an image that is a face crop already (FER2013, CK48) to the crop's form.

    :param image: uint8 [H,W] grey or [H,W,3] BGR.
    :return: uint8 [64,64,3], BGR.
    """
    if image.ndim == 2:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    return _resize(image)


def _resize(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    # Area averaging is the low-pass filter that a large face needs before it is shrunk.
    shrinks = image.shape[0] > CROP_SIZE
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(
        cv2.resize(image, (CROP_SIZE, CROP_SIZE), interpolation=interpolation), np.uint8
    )
