"""The pixels of image messages, whoever has read them: from DDS, or from a bag without ROS.

A message is anything with the fields of ``sensor_msgs/Image`` or ``sensor_msgs/CompressedImage``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
import heapq
import io
import os
import re
import threading
from types import SimpleNamespace
from typing import Any
import warnings

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL.TiffImagePlugin import TiffImageFile

#: Pixels of an image at most, unless told otherwise: those of 8K video.
MAX_PIXELS = 7680 * 4320

#: Formats of compressed images that are taken, by Pillow's names.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF')

# Encoding (sensor_msgs/image_encodings.hpp) -> samples a pixel, bytes a sample, conversion to BGR.
# ROS names a Bayer pattern by its first two pixels, OpenCV by the second row's second and third.
_LAYOUTS = {
    'bgr8': (3, 1, None),
    '8UC3': (3, 1, None),
    'rgb8': (3, 1, cv2.COLOR_RGB2BGR),
    'bgra8': (4, 1, cv2.COLOR_BGRA2BGR),
    'rgba8': (4, 1, cv2.COLOR_RGBA2BGR),
    'mono8': (1, 1, cv2.COLOR_GRAY2BGR),
    '8UC1': (1, 1, cv2.COLOR_GRAY2BGR),
    'mono16': (1, 2, cv2.COLOR_GRAY2BGR),
    '16UC1': (1, 2, cv2.COLOR_GRAY2BGR),
    'yuv422': (2, 1, cv2.COLOR_YUV2BGR_UYVY),
    'uyvy': (2, 1, cv2.COLOR_YUV2BGR_UYVY),
    'yuv422_yuy2': (2, 1, cv2.COLOR_YUV2BGR_YUY2),
    'yuyv': (2, 1, cv2.COLOR_YUV2BGR_YUY2),
    '8UC4': (4, 1, cv2.COLOR_BGRA2BGR),
    'bgr16': (3, 2, None),
    '16UC3': (3, 2, None),
    'rgb16': (3, 2, cv2.COLOR_RGB2BGR),
    'bgra16': (4, 2, cv2.COLOR_BGRA2BGR),
    '16UC4': (4, 2, cv2.COLOR_BGRA2BGR),
    'rgba16': (4, 2, cv2.COLOR_RGBA2BGR),
    'bayer_rggb8': (1, 1, cv2.COLOR_BayerBG2BGR),
    'bayer_bggr8': (1, 1, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg8': (1, 1, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg8': (1, 1, cv2.COLOR_BayerGB2BGR),
    'bayer_rggb16': (1, 2, cv2.COLOR_BayerBG2BGR),
    'bayer_bggr16': (1, 2, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg16': (1, 2, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg16': (1, 2, cv2.COLOR_BayerGB2BGR),
}

# A plane of brightness, and after it a plane of pairs of colour. Encoding -> rows of `step` bytes
# for each row of the picture, conversion to BGR.
_TWO_PLANES = {
    'nv12': (1.5, cv2.COLOR_YUV2BGR_NV12),
    'nv21': (1.5, cv2.COLOR_YUV2BGR_NV21),
    'nv24': (3, cv2.COLOR_YUV2BGR_NV12),
}

#: Bits that cameras fill of the 16 of a sample.
_BIT_DEPTHS = (8, 10, 12, 14, 16)

#: Share of a 16-bit image's samples that may lie above its bit depth: defect pixels.
_OUTLIERS = 0.001

# OpenCV turns TIFF as its tag says even where it is told not to. Tag (as in EXIF) -> way back.
_ORIENTATION = 274
_UNTURNED: dict[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.swapaxes(0, 1),
    6: np.rot90,
    7: lambda image: np.rot90(image, 2).swapaxes(0, 1),
    8: lambda image: np.rot90(image, -1),
}

# What libjpeg, libpng and OpenCV write to stderr about a broken picture.
_COMPLAINT = re.compile(
    rb'(Corrupt JPEG data|Premature end of JPEG|Invalid (SOS|JPEG)|Inconsistent progression|'
    rb'Unsupported marker|libpng (error|warning):|\[ ?(WARN|ERROR):|\s*$)'
)

_stderr_lock = threading.Lock()


class BitDepth:
    """Bits in use in a stream of images of 16-bit samples: the most that two images have used.

    Cameras of 10, 12 or 14 bits leave the upper ones empty, and no field of the message says so.
    Kept for the whole stream, so that brightness does not jump from image to image; by two
    images, so that a broken one does not darken all others. Images of another size are another
    stream, of a camera that was started again.
    """

    def __init__(self) -> None:
        self.bits = _BIT_DEPTHS[0]
        self._most = [self.bits] * 2
        self._shape: tuple[int, ...] | None = None

    def to_8_bits(self, samples: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
        """Scale uint16 samples of any shape to uint8, by the bits in use."""
        if samples.shape != self._shape:
            self._most, self._shape = [_BIT_DEPTHS[0]] * 2, samples.shape
        used = next(
            bits
            for bits in _BIT_DEPTHS
            if np.count_nonzero(samples >> bits) <= _OUTLIERS * samples.size
        )
        self._most = heapq.nlargest(2, (*self._most, used))
        self.bits = max(used, self._most[1])
        return np.asarray(np.minimum(samples >> self.bits - 8, 255), np.uint8)


def rows_of(message: Any) -> npt.NDArray[np.uint8]:
    """Give the bytes of a ``sensor_msgs/Image`` row by row: uint8 [H,step], a view."""
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)


def bgr_from_image(
    message: Any,
    rows_of: Callable[[Any], npt.NDArray[np.uint8]] = rows_of,
    depth: BitDepth | None = None,
    max_pixels: int = MAX_PIXELS,
) -> npt.NDArray[np.uint8]:
    """Give the pixels of a ``sensor_msgs/Image``.

    :param rows_of: gives the bytes of a message whose sizes are right, as :func:`rows_of` does.
    :param depth: :class:`BitDepth` of the stream; None: this image of 16 bits is judged alone.
    :param max_pixels: width x height at most.
    :return: uint8 [H,W,3], BGR. Of a ``bgr8`` image it is a view of the message, not a copy.
    :raises ValueError: when the encoding is not one of the known, the image is too large, or size,
        step and data disagree.
    """
    encoding, height, width, step = message.encoding, message.height, message.width, message.step
    to_bgr: int | None
    rows_a_row: float
    if encoding in _TWO_PLANES:
        samples, sample_bytes = 1, 1
        rows_a_row, to_bgr = _TWO_PLANES[encoding]
    elif encoding in _LAYOUTS:
        samples, sample_bytes, to_bgr = _LAYOUTS[encoding]
        rows_a_row = 1
    else:
        raise ValueError(
            f'unknown encoding {shortened(encoding)}, expected one of '
            f'{", ".join((*_LAYOUTS, *_TWO_PLANES))}'
        )
    row_bytes = width * samples * sample_bytes
    if height < 1 or width < 1:
        raise ValueError(f'the image is empty: {width} x {height} pixels')
    _check_pixels(width, height, max_pixels)
    if step < row_bytes:
        raise ValueError(
            f'step is {step}, expected at least {row_bytes} bytes for {width} pixels of {encoding}'
        )
    if encoding in _TWO_PLANES and (width % 2 or height % 2):
        raise ValueError(f'the size is {width} x {height}, expected even numbers for {encoding}')
    if samples == 2 and width % 2:
        raise ValueError(f'width is {width}, expected an even one for {encoding}')
    rows = int(height * rows_a_row)
    if len(message.data) != step * rows:
        raise ValueError(
            f'data holds {len(message.data)} bytes, expected step x '
            f'{"height" if rows == height else "rows"} = '
            f'{step} x {rows} = {step * rows}'
        )

    data = rows_of(SimpleNamespace(height=rows, step=step, data=message.data))
    if encoding in _TWO_PLANES:
        planes = _nv12(data, width, height, step)
        return np.asarray(cv2.cvtColor(planes, _TWO_PLANES[encoding][1]), np.uint8)
    pixels = data[:, :row_bytes]
    if sample_bytes == 2:
        order = '>u2' if message.is_bigendian else '<u2'
        deep = np.ascontiguousarray(pixels).view(order).astype(np.uint16, copy=False)
        pixels = (depth or BitDepth()).to_8_bits(deep)
    pixels = pixels.reshape(height, width, samples)
    return pixels if to_bgr is None else np.asarray(cv2.cvtColor(pixels, to_bgr), np.uint8)


def _nv12(data: npt.NDArray[np.uint8], width: int, height: int, step: int) -> npt.NDArray[np.uint8]:
    """Give both planes in OpenCV's layout, a pair of colour for 2 x 2 pixels: [H*3/2,W]."""
    if len(data) == 3 * height:  # a pair for each pixel: more than a face is recognised by
        colour = data[height:].reshape(height, 2 * step)[::2, : 2 * width]
        colour = colour.reshape(height // 2, width, 2)[:, ::2].reshape(height // 2, width)
        return np.vstack([data[:height, :width], colour])
    return np.ascontiguousarray(data[:, :width])


def bgr_from_compressed_image(
    message: Any, depth: BitDepth | None = None, max_pixels: int = MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """Decode a ``sensor_msgs/CompressedImage``, see :data:`FORMATS`.

    As it is stored: a turn that EXIF asks for would part it from the camera's raw image.

    :param depth: :class:`BitDepth` of the stream; None: this image of 16 bits is judged alone.
    :param max_pixels: width x height at most; checked before anything is decoded.
    :return: uint8 [H,W,3], BGR.
    :raises ValueError: when the data is no whole picture, or a too large one.
    """
    data = np.frombuffer(message.data, np.uint8)
    what = f'{data.size} bytes of format {shortened(message.format)}'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of what is refused or of no weight
            with PIL.Image.open(io.BytesIO(data.data), formats=FORMATS) as picture:
                _check_pixels(*picture.size, max_pixels)
                turn = None
                if isinstance(picture, TiffImageFile):
                    turn = picture.tag_v2.get(_ORIENTATION)
    except PIL.Image.DecompressionBombError as error:
        raise ValueError(f'{what}: {error}') from error
    # SyntaxError is what Pillow raises on damaged PNG chunks.
    except (OSError, SyntaxError) as error:
        raise ValueError(
            f'{what} do not decode, expected a whole picture in one of {", ".join(FORMATS)}'
        ) from error
    with libraries_quiet():
        try:
            image = cv2.imdecode(
                data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
            )
        except cv2.error:
            image = None
    if image is None:
        raise ValueError(f'{what} do not decode, expected a whole picture')
    if turn in _UNTURNED:
        image = np.ascontiguousarray(_UNTURNED[turn](image))
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    if image.dtype != np.uint16:
        raise ValueError(f'{what} hold samples of {image.dtype}, expected 8 or 16 bits')
    return (depth or BitDepth()).to_8_bits(np.asarray(image, np.uint16))


def shortened(text: str, length: int = 40) -> str:
    """Quote a text that came from elsewhere, in one line and of a length that fits a log."""
    return repr(text) if len(text) <= length else f'{text[:length]!r}... ({len(text)} characters)'


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ValueError(
            f'the image has {width} x {height} = {width * height} pixels, expected '
            f'at most {max_pixels} (max_pixels)'
        )


@contextmanager
def libraries_quiet() -> Iterator[None]:
    """Keep what image libraries print about broken pictures from stderr.

    They write to the file descriptor, past every logger, a line and more for each picture. What
    others write in the meantime follows afterwards.
    """
    with _stderr_lock:
        try:
            stderr = os.dup(2)
        except OSError:  # closed: nothing to keep quiet
            yield
            return
        with os.fdopen(os.memfd_create('stderr'), 'rb') as written:
            os.dup2(written.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(stderr, 2)
                written.seek(0)
                for line in written:
                    if not _COMPLAINT.match(line):
                        with suppress(OSError):
                            os.write(stderr, line)
                os.close(stderr)
