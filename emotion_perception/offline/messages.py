"""ROS messages as bags hold them (CDR), to and from what the pipeline works on, without ROS."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

from emotion_perception import annotations
from emotion_perception.emotions import FaceEmotion, Roi, TrackState

EMOTION_ARRAY = 'emotion_perception/msg/EmotionArray'
IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
IMAGE_ANNOTATIONS = 'foxglove_msgs/msg/ImageAnnotations'

_SEPARATOR = '=' * 80 + '\n'

# The fields of Foxglove's messages, which draw on an image. Times are of the image's stamp.
_FOXGLOVE = {
    'ImageAnnotations': 'foxglove_msgs/CircleAnnotation[] circles\n'
    'foxglove_msgs/PointsAnnotation[] points\n'
    'foxglove_msgs/TextAnnotation[] texts\n',
    'CircleAnnotation': 'builtin_interfaces/Time timestamp\nfoxglove_msgs/Point2 position\n'
    'float64 diameter\nfloat64 thickness\nfoxglove_msgs/Color fill_color\n'
    'foxglove_msgs/Color outline_color\n',
    'PointsAnnotation': 'builtin_interfaces/Time timestamp\nuint8 UNKNOWN=0\nuint8 POINTS=1\n'
    'uint8 LINE_LOOP=2\nuint8 LINE_STRIP=3\nuint8 LINE_LIST=4\nuint8 type\n'
    'foxglove_msgs/Point2[] points\nfoxglove_msgs/Color outline_color\n'
    'foxglove_msgs/Color[] outline_colors\nfoxglove_msgs/Color fill_color\n'
    'float64 thickness\n',
    'TextAnnotation': 'builtin_interfaces/Time timestamp\nfoxglove_msgs/Point2 position\n'
    'string text\nfloat64 font_size\nfoxglove_msgs/Color text_color\n'
    'foxglove_msgs/Color background_color\n',
    'Point2': 'float64 x\nfloat64 y\n',
    'Color': 'float64 r\nfloat64 g\nfloat64 b\nfloat64 a\n',
}


class MessageError(ValueError):
    """The bytes of a message are not what its type says."""


@cache
def typestore() -> Typestore:
    """Return rosbags' types: those of ROS 2, ours, and Foxglove's annotations."""
    store = get_typestore(Stores.ROS2_KILTED)
    for package, definitions in (
        ('emotion_perception', _own_definitions()),
        ('foxglove_msgs', _FOXGLOVE),
    ):
        types: dict[str, Any] = {}
        for name, text in definitions.items():
            types |= get_types_from_msg(text, f'{package}/msg/{name}')
        store.register(types)
    return store


def definition(type_name: str) -> bytes:
    """Give a type's definition and those of all types in it, as bags carry it (ros2msg).

    Ours have their comments.
    """
    text, _ = typestore().generate_msgdef(type_name, ros_version=2)
    own = {f'emotion_perception/{name}': text for name, text in _own_definitions().items()}
    first, *others = text.split(_SEPARATOR)
    parts = [own.get(type_name.replace('/msg/', '/'), first)]
    for other in others:
        head, _, fields = other.partition('\n')
        parts.append(f'{head}\n' + own.get(head.removeprefix('MSG: '), fields))
    return _SEPARATOR.join(part.rstrip('\n') + '\n' for part in parts).encode()


def type_hash(type_name: str) -> str:
    """Give a type's hash (REP 2011), as ROS 2 has it too."""
    return str(typestore().hash_rihs01(type_name))


def decode(data: bytes, type_name: str) -> Any:
    """Read CDR.

    :return: an object with the message's fields; arrays of numbers are views of the data.
    :raises MessageError: when the data does not fit the type.
    """
    try:
        return typestore().deserialize_cdr(data, type_name)
    except (SerdeError, AssertionError, IndexError, ValueError) as error:
        raise MessageError(f'{len(data)} bytes are no {type_name}: {error}') from error


def encode(message: Any, type_name: str) -> bytes:
    """Write CDR."""
    return bytes(typestore().serialize_cdr(message, type_name))


def emotion_array(
    header: Any, camera: str, image_size: tuple[int, int], faces: list[FaceEmotion]
) -> Any:
    """Fill an ``EmotionArray``, field by field what the node publishes.

    :param header: of the image: ``frame_id``, and ``stamp`` with ``sec`` and ``nanosec``.
    :param image_size: height and width of the image in pixels.
    """
    height, width = image_size
    return _new(
        EMOTION_ARRAY,
        header=_header(header),
        camera=camera,
        image_width=width,
        image_height=height,
        faces=[_face_message(face) for face in faces],
    )


def faces_of(message: Any) -> list[FaceEmotion]:
    """Give the faces of an ``EmotionArray`` as the pipeline gave them, in float32."""
    return [
        FaceEmotion(
            face.track_id,
            TrackState(face.state),
            Roi(face.roi.x_offset, face.roi.y_offset, face.roi.width, face.roi.height),
            face.label,
            face.label_id,
            face.intensity,
            face.confidence,
            tuple(face.scores.tolist()),
            face.sequence_length,
            face.sequence_duration,
        )
        for face in message.faces
    ]


def image_annotations(header: Any, faces: list[FaceEmotion]) -> Any:
    """Draw the faces as Foxglove's ``ImageAnnotations``."""
    types = SimpleNamespace(
        **{name: typestore().types[f'foxglove_msgs/msg/{name}'] for name in _FOXGLOVE}
    )
    return annotations.image_annotations(types, _time(header.stamp), faces)


def header_of(stamp_ns: int, frame_id: str) -> SimpleNamespace:
    """Make a header for an image that has none."""
    sec, nanosec = divmod(stamp_ns, 10**9)
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=frame_id)


def nanoseconds(stamp: Any) -> int:
    """Turn a ``builtin_interfaces/Time`` into nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def _own_definitions() -> dict[str, str]:
    # Installed, they lie in the package; in a checkout, beside it.
    here = Path(__file__).parent.parent
    for folder in (here / 'definitions', here.parent / 'msg'):
        if folder.is_dir():
            return {
                name: (folder / f'{name}.msg').read_text()
                for name in ('EmotionArray', 'FaceEmotion')
            }
    raise FileNotFoundError(f'no message definitions in {here}/definitions')


def _new(type_name: str, **fields: Any) -> Any:
    return typestore().types[type_name](**fields)


def _header(header: Any) -> Any:
    return _new('std_msgs/msg/Header', stamp=_time(header.stamp), frame_id=header.frame_id)


def _time(stamp: Any) -> Any:
    return _new('builtin_interfaces/msg/Time', sec=stamp.sec, nanosec=stamp.nanosec)


def _face_message(face: FaceEmotion) -> Any:
    return _new(
        'emotion_perception/msg/FaceEmotion',
        track_id=face.track_id,
        state=int(face.state),
        roi=_new('sensor_msgs/msg/RegionOfInterest', **face.roi._asdict(), do_rectify=False),
        label=face.label,
        label_id=face.label_id,
        intensity=face.intensity,
        confidence=face.confidence,
        scores=np.array(face.scores, np.float32),
        sequence_length=face.sequence_length,
        sequence_duration=face.sequence_duration,
    )
