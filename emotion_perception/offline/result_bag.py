"""The bag of results: written so that nothing is lost, and read back."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
import fcntl
from io import StringIO
from itertools import islice
import os
from pathlib import Path
from typing import Any, cast, IO

from mcap.exceptions import McapError
from mcap.records import Metadata
from mcap.stream_reader import StreamReader
from mcap.writer import Writer
import numpy as np
import numpy.typing as npt
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2.metadata import dump_qos_v8, dump_qos_v9
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from emotion_perception.emotions import FaceEmotion
from emotion_perception.offline.images import Image, ImageClock, images_of_bag, images_of_video
from emotion_perception.offline.messages import (
    decode,
    definition,
    EMOTION_ARRAY,
    faces_of,
    MessageError,
    nanoseconds,
    type_hash,
)
from emotion_perception.offline.recordings import Bag, find_recording, Recording
from emotion_perception.offline.storage import BagError, Message, Topic

#: Where the node publishes too.
RESULTS_TOPIC = '/emotion_node/emotions'

#: Name of the record in the file that says what the results were made of.
_ABOUT = 'emotion_perception'

#: Key in metadata.yaml of why the rest of the recording was not read.
_ERROR = 'error'

_FOREVER = QosTime(9223372036, 854775807)

#: As the node publishes.
_QOS = [
    Qos(
        QosHistory.KEEP_LAST,
        10,
        QosReliability.RELIABLE,
        QosDurability.VOLATILE,
        _FOREVER,
        _FOREVER,
        QosLiveliness.AUTOMATIC,
        _FOREVER,
        False,
    )
]


class ResultBag:
    """Writes ``folder/<its name>_0.mcap``, and metadata.yaml when it is finished.

    What stands in the file already, of an earlier run, stays as long as the same bytes are
    written again. Every second of the recording is complete in the file once it is over.

    :param about: what the results are made of; a file of something else is not touched.
    :param humble: write metadata.yaml so that Humble reads it, too (version 8).
    :raises BagError: when the folder holds results of something else, or another process
        writes there.
    :raises OSError: here and in each method, when the disk is full, or cannot be written.
    """

    def __init__(self, folder: Path, about: dict[str, str], humble: bool = False) -> None:
        self._about = about
        self._version = 8 if humble else 9
        self._path = file_in(folder)
        check_about(folder, about)
        folder.mkdir(parents=True, exist_ok=True)
        self._file = _ContinuedFile(self._path)
        self._writer = Writer(cast(IO[bytes], self._file))
        self._channels: dict[str, tuple[int, Topic]] = {}  # by the topic's name
        self._counts: dict[str, int] = {}  # messages, by the topic's name
        self._held: list[Message] = []  # results whose time has not come yet
        self._last_result = self._second = -1
        self._times: tuple[int, int] | None = None  # first and last log time
        self._writer.start(profile='ros2')
        self._writer.add_metadata(_ABOUT, about)
        self.add_topic(RESULTS_TOPIC, EMOTION_ARRAY)

    def add_topic(self, name: str, type_name: str) -> None:
        """Add a topic for results of a type that we define."""
        qos = dump_qos_v8(_QOS) if self._version == 8 else _yaml(dump_qos_v9(_QOS)).strip()
        self._register(
            Topic(
                name,
                type_name,
                0,
                'cdr',
                definition(type_name),
                'ros2msg',
                (('offered_qos_profiles', qos), ('topic_type_hash', type_hash(type_name))),
            )
        )

    def add_results(self, log_time: int, time_ns: int, results: dict[str, bytes]) -> None:
        """Add what belongs to an image, one nanosecond after it; no two have the same time.

        :param log_time: of the image [ns].
        :param time_ns: when it was taken [ns]; the time of publishing of its results, too.
        :param results: topic -> message (CDR).
        """
        self._release()
        self._last_result = max(log_time, self._last_result) + 1
        self._held = [
            Message(topic, self._last_result, data, time_ns, self._counts[topic])
            for topic, data in results.items()
        ]

    def copy(self, message: Message, topic: Topic) -> None:
        """Add a message of the recording as it is."""
        if topic.name not in self._channels:
            self._register(topic)
        self._release(message.log_time)
        self._write(message)

    def finish(self, error: str = '') -> None:
        """Complete the file, and write metadata.yaml, which says that it is finished.

        :param error: why the rest of the recording cannot be read; '' where there is none.
        """
        self._end()
        temporary = self._path.with_name('metadata.yaml.tmp')
        temporary.write_text(_yaml({'rosbag2_bagfile_information': self._metadata(error)}))
        os.replace(temporary, self._path.with_name('metadata.yaml'))

    def interrupt(self) -> None:
        """Complete the file as far as it goes, so that every reader opens it.

        While it only repeats what an earlier run has written, that stays as it is.
        """
        if not self._file.repeats:
            self._end()

    def discard(self) -> None:
        """Remove the file, and the folder if it is empty then."""
        self._path.unlink()
        with suppress(OSError):
            self._path.parent.rmdir()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _end(self) -> None:
        self._release()
        self._writer.finish()
        self._file.end()

    def _register(self, topic: Topic) -> None:
        schema = self._writer.register_schema(topic.type, topic.definition_format, topic.definition)
        self._channels[topic.name] = (
            self._writer.register_channel(topic.name, topic.encoding, schema, dict(topic.metadata)),
            topic,
        )
        self._counts[topic.name] = 0

    def _release(self, now: int | None = None) -> None:
        """Write the results that are held, unless they come after now."""
        if self._held and (now is None or self._held[0].log_time <= now):
            held, self._held = self._held, []
            for message in held:
                self._write(message)

    def _write(self, message: Message) -> None:
        second = message.log_time // 10**9
        if second != self._second:
            self._writer.flush()
            self._second = second
        channel, _ = self._channels[message.topic]
        self._writer.add_message(
            channel, message.log_time, message.data, message.publish_time, message.sequence
        )
        self._counts[message.topic] += 1
        first, last = self._times or (message.log_time, message.log_time)
        self._times = min(first, message.log_time), max(last, message.log_time)

    def _metadata(self, error: str) -> dict[str, Any]:
        first, last = self._times or (0, 0)
        times = {
            'starting_time': {'nanoseconds_since_epoch': first},
            'duration': {'nanoseconds': last - first},
            'message_count': sum(self._counts.values()),
        }
        return {
            'version': self._version,
            'storage_identifier': 'mcap',
            **times,
            'topics_with_message_count': [
                {
                    'topic_metadata': self._topic_metadata(topic),
                    'message_count': self._counts[topic.name],
                }
                for _, topic in self._channels.values()
            ],
            'compression_format': '',
            'compression_mode': '',
            'relative_file_paths': [self._path.name],
            'files': [{'path': self._path.name, **times}],
            'custom_data': self._about | ({_ERROR: error} if error else {}),
            'ros_distro': 'humble' if self._version == 8 else 'kilted',
        }

    def _topic_metadata(self, topic: Topic) -> dict[str, Any]:
        qos = topic.offered_qos
        return {
            'name': topic.name,
            'type': topic.type,
            'serialization_format': topic.encoding,
            'offered_qos_profiles': dump_qos_v8(qos) if self._version == 8 else dump_qos_v9(qos),
            'type_description_hash': dict(topic.metadata).get('topic_type_hash', ''),
        }


class _ContinuedFile:
    """A file that is written again from its beginning and keeps what is the same.

    Unbuffered, because a buffer that no longer fits on the disk would be in the way of closing.

    :raises BagError: when another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), 'r+b', buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise BagError(f'{path} is being written by another process') from None
        self._kept = os.fstat(self._file.fileno()).st_size
        self._offset = 0

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        if self.repeats:
            old = self._file.read(min(len(data), self._kept - self._offset))
            if rest[: len(old)] == old:
                rest = rest[len(old) :]
                self._offset += len(old)
            else:
                self._kept = 0
                self._file.seek(self._offset)
                self._file.truncate()
        while rest:
            written = self._file.write(rest)
            rest = rest[written:]
            self._offset += written
        return len(data)

    @property
    def repeats(self) -> bool:
        """Whether more than what was written now stands in the file."""
        return self._offset < self._kept

    def tell(self) -> int:
        return self._offset

    def flush(self) -> None:
        pass

    def end(self) -> None:
        """Make this the end of the file."""
        self._file.truncate(self._offset)

    def close(self) -> None:
        self._file.close()


def file_in(folder: Path) -> Path:
    """Return the file of the result bag that a folder is."""
    return folder / f'{folder.name}_0.mcap'


def is_finished(folder: Path) -> bool:
    """Tell whether a folder holds results to the end of their recording."""
    return (folder / 'metadata.yaml').exists()


def error_of(folder: Path) -> str:
    """Say why finished results end before their recording does; '' where they do not.

    :raises BagError: when metadata.yaml cannot be read.
    """
    path = folder / 'metadata.yaml'
    try:
        metadata = YAML(typ='safe').load(path)['rosbag2_bagfile_information']
        return str((metadata.get('custom_data') or {}).get(_ERROR, ''))
    except (YAMLError, KeyError, TypeError, AttributeError) as error:
        raise BagError(f'{path} is damaged: remove it, and it is written anew') from error


def check_about(folder: Path, about: dict[str, str]) -> None:
    """See that what a folder holds, if anything, is made of the same.

    :raises BagError: when it is not; says what differs.
    """
    found = _about(file_in(folder))
    if found is None:
        return
    for key in about.keys() | found.keys():
        if found.get(key) != about.get(key):
            raise BagError(
                f'{folder} holds results of something else ({key}: {found.get(key)}, now '
                f'{about.get(key)}): give another -o, or remove that folder'
            )


def _about(path: Path) -> dict[str, str] | None:
    try:
        with path.open('rb') as file:
            for record in islice(StreamReader(file).records, 2):  # after the file's header
                if isinstance(record, Metadata) and record.name == _ABOUT:
                    return record.metadata
    except FileNotFoundError:
        return None
    except (McapError, ValueError) as error:
        # Killed before the first second was over, or no result bag at all.
        if path.stat().st_size < 4096:
            return None
        raise BagError(f'{path} is in the way: {error}') from error
    raise BagError(f'{path} is in the way: it is a bag that this command did not write')


def made_of(place: Path) -> dict[str, str]:
    """Say what the results in a bag were made of; {} of results that this command did not write.

    :raises BagError: when there is no bag.
    """
    recording = find_recording(place)
    try:
        return _about(recording.paths[0]) or {}
    except BagError:
        return {}


@dataclass(frozen=True, slots=True)
class ImageResult:
    """What was found in one image."""

    time_ns: int  #: when the image was taken [ns]
    camera: str
    frame_id: str  #: of the image
    image_size: tuple[int, int]  #: height and width of the image [pixels]
    faces: list[FaceEmotion]


def read_results(place: Path) -> Iterator[ImageResult]:
    """Read the results from a bag: of this package's command, or recorded from the node.

    Holds one at a time, in the order of their log times. Of a bag that was cut off, it gives
    what there is.

    :param place: the bag, its folder or a file of it.
    :raises BagError: when it cannot be read, or there are no results in it.
    """
    recording = find_recording(place)
    with Bag(recording.paths) as bag:
        topics = {topic.name for topic in bag.topics.values() if topic.type == EMOTION_ARRAY}
        if not topics:
            raise BagError(
                f'{place} holds no topic of type {EMOTION_ARRAY}; there are '
                f'{", ".join(sorted(bag.topics)) or "none"}'
            )
        is_ours = bool(made_of(place))
        clocks: dict[tuple[str, str], ImageClock] = {}
        for message in bag.messages(topics):
            try:
                content = decode(message.data, EMOTION_ARRAY)
                faces = faces_of(content)
            except MessageError as error:
                raise BagError(f'{place}: {error}; is it of another version?') from error
            clock = clocks.setdefault((message.topic, content.camera), ImageClock(left_out=False))
            time_ns = clock.time(nanoseconds(content.header.stamp), message.log_time - 1)
            if is_ours and message.publish_time != message.log_time:  # the same in older files
                time_ns = message.publish_time
            yield ImageResult(
                time_ns,
                content.camera,
                content.header.frame_id,
                (content.image_height, content.image_width),
                faces,
            )


def images_with_results(
    recording: Recording,
    cameras: Mapping[str, str],
    place: Path,
) -> Iterator[tuple[npt.NDArray[np.uint8], ImageResult]]:
    """Give each image of a recording that has a result, uint8 [H,W,3] BGR, and the result.

    :param cameras: topic -> camera, as the results were made with; of a video '' -> camera.
    :param place: of the results, as of :func:`read_results`.
    :raises BagError: when the recording or the results cannot be read.
    """
    with ExitStack() as stack:
        images: Iterator[Image | Message]
        if recording.is_video:
            images = images_of_video(recording.paths[0], *cameras.values())
        else:
            bag = stack.enter_context(Bag(recording.paths))
            images = images_of_bag(bag, cameras)
        # The results are in the order of the images; some images have none.
        results = read_results(place)
        result = next(results, None)
        for image in images:
            if (
                result is None
                or isinstance(image, Message)
                or image.pixels is None
                or (image.camera, image.time_ns) != (result.camera, result.time_ns)
            ):
                continue
            yield image.pixels, result
            if (result := next(results, None)) is None:
                return  # before what may be a damaged rest


def _yaml(content: Any) -> str:
    yaml = YAML(typ='safe')
    yaml.default_flow_style = False
    yaml.representer.ignore_aliases = lambda _: True
    text = StringIO()
    yaml.dump(content, text)
    return text.getvalue()
