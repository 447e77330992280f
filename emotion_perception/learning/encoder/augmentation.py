"""Random changes to crops that leave the expression as it is.

The seed's list (flip, rotation, shift, pixel values) and what live video adds: boxes that are
too loose or too tight, faces far away (blur), a light from one side, something in front.
"""

import cv2
import numpy as np
import numpy.typing as npt


def augment(
    crop: npt.NDArray[np.uint8], size: int, rng: np.random.Generator, gamma: float = 0.25
) -> npt.NDArray[np.float32]:
    """Warp, shade and partly cover one grey crop.

    :param crop: uint8 [h,h], grey.
    :param size: rows and columns of the result.
    :param rng: ``numpy.random.Generator``.
    :param gamma: deviation of the logarithm of the power that the pixels are raised to.
    :return: float32 [size,size] in 0..255.
    """
    if rng.random() < 0.25:
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)
    pixels = _warp(
        crop,
        size,
        flip=rng.random() < 0.5,
        angle=rng.normal(0, 8),
        zoom=np.exp(rng.normal(0, 0.09)),
        stretch=np.exp(rng.normal(0, 0.04)),
        shift=rng.normal(0, 0.045, 2),
    )
    pixels = 255 * (pixels.astype(np.float32) / 255) ** np.exp(rng.normal(0, gamma))
    if rng.random() < 0.3:
        slope = rng.normal(0, 40, 2)
        ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
        pixels += slope[0] * ramp[:, None] + slope[1] * ramp
    pixels += rng.uniform(0, 6) * rng.standard_normal(pixels.shape, np.float32)
    if rng.random() < 0.4:
        height, width = rng.integers(size // 8, size // 3, 2)
        top, left = rng.integers(0, size - height), rng.integers(0, size - width)
        pixels[top : top + height, left : left + width] = rng.uniform(0, 255)
    return np.asarray(pixels.clip(0, 255), np.float32)


def resize(crop: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.float32]:
    """Sample a grey crop, uint8 [h,h], as :func:`augment` does, with nothing changed."""
    return _warp(crop, size).astype(np.float32)


def _warp(
    crop: npt.NDArray[np.uint8],
    size: int,
    flip: bool = False,
    angle: float = 0.0,
    zoom: float = 1.0,
    stretch: float = 1.0,
    shift: npt.ArrayLike = (0.0, 0.0),
) -> npt.NDArray[np.uint8]:
    # One warp from crop to result, so that nothing is blurred by a second interpolation. Pixel
    # centres count: (i + .5) / h of the crop falls on (j + .5) / size of the result.
    scale = size / crop.shape[0] * zoom
    cos, sin = scale * np.cos(np.deg2rad(angle)), scale * np.sin(np.deg2rad(angle))
    linear = np.array(
        [[cos * stretch * (-1 if flip else 1), -sin], [sin * stretch * (-1 if flip else 1), cos]]
    )
    offset = (
        (size - 1) / 2 + np.multiply(shift, size) - linear @ np.full(2, (crop.shape[0] - 1) / 2)
    )
    warped = cv2.warpAffine(
        crop,
        np.column_stack([linear, offset]),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)
