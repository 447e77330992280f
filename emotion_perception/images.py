"""The pixels of image messages, whoever has read them: from DDS, or from a bag without ROS.

A message is anything with the fields of ``sensor_msgs/Image`` or ``sensor_msgs/CompressedImage``.
"""
import cv2
import numpy as np

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
    'bayer_rggb8': (1, 1, cv2.COLOR_BayerBG2BGR),
    'bayer_bggr8': (1, 1, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg8': (1, 1, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg8': (1, 1, cv2.COLOR_BayerGB2BGR),
    'bayer_rggb16': (1, 2, cv2.COLOR_BayerBG2BGR),
    'bayer_bggr16': (1, 2, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg16': (1, 2, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg16': (1, 2, cv2.COLOR_BayerGB2BGR),
}


def rows_of(message):
    """Give the bytes of a ``sensor_msgs/Image`` row by row: uint8 [H,step], a view."""
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)


def bgr_from_image(message, rows_of=rows_of):
    """Give the pixels of a ``sensor_msgs/Image``.

    :param rows_of: gives the bytes of a message whose sizes are right, as :func:`rows_of` does.
    :return: uint8 [H,W,3], BGR. Of a ``bgr8`` image it is a view of the message, not a copy. Of
        a 16-bit image it is the upper 8 bits.
    :raises ValueError: when the encoding is not one of the known, or size, step and data disagree.
    """
    layout = _LAYOUTS.get(message.encoding)
    if layout is None:
        raise ValueError(
            f"unknown encoding '{message.encoding}', expected one of {', '.join(_LAYOUTS)}")
    samples, sample_bytes, to_bgr = layout
    height, width, step = message.height, message.width, message.step
    row_bytes = width * samples * sample_bytes
    if height < 1 or width < 1:
        raise ValueError(f'the image is empty: {width} x {height} pixels')
    if step < row_bytes:
        raise ValueError(f'step is {step}, expected at least {row_bytes} bytes '
                         f'for {width} pixels of {message.encoding}')
    if len(message.data) != step * height:
        raise ValueError(f'data holds {len(message.data)} bytes, expected step x height = '
                         f'{step} x {height} = {step * height}')
    if samples == 2 and width % 2:
        raise ValueError(f'width is {width}, expected an even one for {message.encoding}')

    rows = rows_of(message)
    pixels = rows[:, :row_bytes].reshape(height, width, samples * sample_bytes)
    if sample_bytes == 2:
        pixels = pixels[:, :, (0 if message.is_bigendian else 1)::2]
    return pixels if to_bgr is None else cv2.cvtColor(pixels, to_bgr)


def bgr_from_compressed_image(message):
    """Decode a ``sensor_msgs/CompressedImage`` (JPEG, PNG, whatever OpenCV reads).

    :return: uint8 [H,W,3], BGR.
    :raises ValueError: when the data is no whole picture.
    """
    data = np.frombuffer(message.data, np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:      # a header that tells of more pixels than OpenCV allows
        raise ValueError(f"{data.size} bytes of format '{message.format}' do not decode: "
                         f'{error}') from error
    if image is None:
        raise ValueError(f"{data.size} bytes of format '{message.format}' do not decode, "
                         'expected a whole JPEG or PNG picture')
    return image
