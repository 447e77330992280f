"""ROS messages to and from what the pipeline works on.

In: ``sensor_msgs/Image`` to BGR pixels, by cv_bridge and :mod:`emotion_perception.images`. Out:
``FaceEmotion`` results to ``EmotionArray``.
"""

from collections.abc import Iterable
import importlib
import os
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, Protocol, TypeAlias

from builtin_interfaces.msg import Time
from cv_bridge import CvBridge
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from emotion_perception import emotions, images
from emotion_perception.msg import EmotionArray, FaceEmotion

#: Where the other nodes read the results; relative, so that all move into a namespace together.
#: Remap it where the emotion node has another name.
EMOTIONS_TOPIC = 'emotion_node/emotions'

#: Where messages that this package does not depend on come from.
OPTIONAL_MESSAGES = {
    'foxglove_msgs': 'https://github.com/foxglove/foxglove-sdk',
    'hri_msgs': 'https://github.com/ros4hri/hri_msgs/tree/humble-devel',  # its master is ROS 1
    'vision_msgs': 'https://github.com/ros-perception/vision_msgs',
}

ImageMessage: TypeAlias = Image | CompressedImage

_bridge = CvBridge()


def bgr_from_image(
    message: Image, depth: images.BitDepth | None = None, max_pixels: int = images.MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """Give the pixels of a ``sensor_msgs/Image``, see :func:`images.bgr_from_image`."""
    return images.bgr_from_image(message, _rows_of, depth, max_pixels)


def _rows_of(message: Any) -> npt.NDArray[np.uint8]:
    # Rows of bytes are what every cv_bridge reads alike: the one on PyPI knows no 4:2:2, takes
    # 16UC1 for 8 bits and overlooks the padding that a step can have. Not an Image message,
    # because that would copy the data.
    rows: npt.NDArray[np.uint8] = _bridge.imgmsg_to_cv2(
        SimpleNamespace(
            height=message.height,
            width=message.step,
            step=message.step,
            encoding='8UC1',
            is_bigendian=0,
            data=message.data,
        )
    )
    return rows


class ToBgr(Protocol):
    """Turns a message into pixels, uint8 [H,W,3] BGR; ValueError when it is no usable image."""

    def __call__(
        self, message: Any, *, depth: images.BitDepth | None = ..., max_pixels: int = ...
    ) -> npt.NDArray[np.uint8]: ...


class ImageTransport(NamedTuple):
    """How images come: as the parameter image_transport names it."""

    message_type: type[ImageMessage]
    type_name: str  #: of the message type, as the ROS graph tells it
    suffix: str  #: what follows the image topic
    to_bgr: ToBgr


IMAGE_TRANSPORTS = {
    'raw': ImageTransport(Image, 'sensor_msgs/msg/Image', '', bgr_from_image),
    'compressed': ImageTransport(
        CompressedImage,
        'sensor_msgs/msg/CompressedImage',
        '/compressed',
        images.bgr_from_compressed_image,
    ),
}


def image_from_bgr(image: npt.NDArray[np.uint8], header: Header) -> Image:
    """Fill a ``sensor_msgs/Image`` of encoding bgr8 with uint8 [H,W,3] pixels."""
    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding='bgr8', step=width * 3)
    # Assigning bytes would check them one by one.
    message.data.frombytes(np.ascontiguousarray(image))
    return message


def nanoseconds(stamp: Time) -> int:
    """Turn a ``builtin_interfaces/Time`` into nanoseconds."""
    return int(stamp.sec * 10**9 + stamp.nanosec)


def emotion_array(
    header: Header,
    camera: str,
    image_size: tuple[int, int],
    faces: Iterable[emotions.FaceEmotion],
) -> EmotionArray:
    """Fill an ``EmotionArray``.

    :param header: of the image, taken over as it is.
    :param camera: the camera's name.
    :param image_size: height and width of the image in pixels.
    :param faces: results, as the pipeline gives them.
    """
    height, width = image_size
    return EmotionArray(
        header=header,
        camera=camera,
        image_height=height,
        image_width=width,
        faces=[_face_emotion(face) for face in faces],
    )


def _face_emotion(face: emotions.FaceEmotion) -> FaceEmotion:
    return FaceEmotion(
        track_id=face.track_id,
        state=int(face.state),
        roi=RegionOfInterest(**face.roi._asdict()),
        label=face.label,
        label_id=face.label_id,
        intensity=face.intensity,
        confidence=face.confidence,
        scores=face.scores,
        sequence_length=face.sequence_length,
        sequence_duration=face.sequence_duration,
    )


def optional_messages(package: str) -> ModuleType:
    """Import the messages of a package that this one does not depend on.

    :param package: one of OPTIONAL_MESSAGES.
    :raises ModuleNotFoundError: says how to get them.
    """
    try:
        return importlib.import_module(f'{package}.msg')
    except ModuleNotFoundError as error:
        debian = f'ros-{os.environ.get("ROS_DISTRO", "$ROS_DISTRO")}-{package.replace("_", "-")}'
        raise ModuleNotFoundError(
            f'{package} is not installed: apt install {debian}, or build '
            f'{OPTIONAL_MESSAGES[package]} in your workspace and source it'
        ) from error
