"""The images of a recording, one after the other, with their times."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_perception.images import bgr_from_compressed_image, bgr_from_image, BitDepth
from emotion_perception.offline.messages import (
    COMPRESSED_IMAGE,
    decode,
    header_of,
    IMAGE,
    nanoseconds,
)
from emotion_perception.offline.recordings import Bag
from emotion_perception.offline.storage import BagError, Message, Topic
from emotion_perception.pipeline import LATE_NS
from emotion_perception.videos import Video, VideoError, VideoInterrupted

_TO_BGR: dict[str, Callable[..., npt.NDArray[np.uint8]]] = {
    IMAGE: bgr_from_image,
    COMPRESSED_IMAGE: bgr_from_compressed_image,
}


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a recording, or why it is none."""

    camera: str
    log_time: int  #: when it was recorded [ns]
    time_ns: int  #: when it was taken, for the pipeline [ns]
    header: Any  #: as std_msgs/Header; None where it cannot be read
    pixels: npt.NDArray[np.uint8] | None  #: [H,W,3] BGR; None where they cannot be used
    problem: str = ''  #: why they cannot
    distrust: str = ''  #: of the first image whose log time counts: why its stamp does not


class ImageClock:
    """Tells when the images of one topic were taken.

    That is the stamp of their header. Where a stamp is zero, or a second one in a row so far before
    the last one that the image is not just late (see pipeline.py), as in a bag of several
    recordings, it is the log time from there on.

    :param left_out: whether the images that the pipeline leaves out are among those that are told
        of, as they are not among results.
    """

    def __init__(self, left_out: bool = True) -> None:
        #: Why the log time counts; '' while the stamps do.
        self.distrust = ''
        self._last = 0
        self._left_out = left_out
        self._was_back = False

    def time(self, stamp_ns: int, log_time: int) -> int:
        """Give the time of the next image [ns]."""
        if not self.distrust:
            if stamp_ns <= 0:
                self.distrust = 'the images have no stamp'
            is_back = stamp_ns <= self._last - LATE_NS
            if is_back and (self._was_back or not self._left_out):
                self.distrust = (
                    f'the stamps of the images run backwards, from {self._last} to {stamp_ns} ns'
                )
            self._was_back = is_back
            self._last = max(stamp_ns, self._last)
        return log_time if self.distrust else stamp_ns


def image_topics(bag: Bag) -> list[Topic]:
    """Give the topics of a bag that carry images, and have any."""
    return [
        topic
        for topic in sorted(bag.topics.values(), key=lambda topic: topic.name)
        if topic.type in _TO_BGR and topic.encoding == 'cdr' and topic.count
    ]


def choose_cameras(bag: Bag, asked: Mapping[str, str]) -> dict[str, str]:
    """Tell which topics are read, and how their cameras are called.

    :param asked: topic -> camera, for those that are wanted; a camera '' gets a name. Empty: the
        one image topic that there is, where a camera's compressed images beside its raw ones do
        not count.
    :return: topic -> camera.
    :raises BagError: when a topic is missing, is of another type or empty, or when it is in
        doubt which are meant; lists what there is.
    """
    candidates = {topic.name for topic in image_topics(bag)}
    if not asked:
        single = {
            name
            for name in candidates
            if name.removesuffix('/compressed') not in candidates - {name}
        }
        if len(single) != 1:
            raise BagError(
                (
                    'which of the image topics is meant? name one or several'
                    if single
                    else 'there is no topic with images in it'
                )
                + ', there are:\n'
                + topic_table(bag)
            )
        asked = dict.fromkeys(single, '')
    for name in asked:
        if name not in candidates:
            topic = bag.topics.get(name)
            problem = (
                f'there is no topic {name}'
                if topic is None
                else f'{name} holds no message'
                if topic.type in _TO_BGR and not topic.count
                else f'{name} is of type {topic.type}, not {" or ".join(_TO_BGR)}'
            )
            raise BagError(f'{problem}; there are:\n' + topic_table(bag))
    # One camera is called as the node calls it, several by their topics.
    cameras = {
        name: camera or ('camera' if len(asked) == 1 else name) for name, camera in asked.items()
    }
    if len(set(cameras.values())) != len(cameras):
        raise BagError(f'the cameras have the same name: {cameras}')
    return cameras


def topic_table(bag: Bag) -> str:
    """List the topics of a bag, those with images first, with what these are like."""
    images = {topic.name for topic in image_topics(bag)}
    lines = []
    for topic in sorted(
        bag.topics.values(), key=lambda topic: (topic.name not in images, topic.name)
    ):
        about = f', {_first_image(bag, topic)}' if topic.name in images else ''
        lines.append(f'  {topic.name}  ({topic.type}, {topic.count} messages{about})')
    return '\n'.join(lines) or '  nothing'


def _first_image(bag: Bag, topic: Topic) -> str:
    try:
        message = decode(next(bag.messages({topic.name})).data, topic.type)
        if topic.type == IMAGE:
            return f'{message.width} x {message.height} {message.encoding}'
        height, width, _ = bgr_from_compressed_image(message).shape
        return f'{width} x {height} {message.format}'
    except (BagError, ValueError, StopIteration) as error:
        return f'unusable: {error}'


def images_of_bag(
    bag: Bag,
    cameras: Mapping[str, str],
    copied: frozenset[str] = frozenset(),
) -> Generator[Image | Message, None, None]:
    """Read the images of a bag by log time, and the messages to be copied among them.

    :param cameras: topic -> camera.
    :param copied: topics whose messages are given as they are; of an image's before the image.
    :raises BagError: where the bag is damaged.
    """
    streams = {topic: (ImageClock(), BitDepth()) for topic in cameras}
    for message in bag.messages({*cameras, *copied}):
        if message.topic in copied:
            yield message
        if message.topic in cameras:
            topic = bag.topics[message.topic]
            yield _image(message, topic.type, cameras[topic.name], *streams[topic.name])


def _image(
    message: Message, type_name: str, camera: str, clock: ImageClock, depth: BitDepth
) -> Image:
    try:
        content = decode(message.data, type_name)
    except ValueError as error:
        return Image(camera, message.log_time, 0, None, None, str(error))
    try:
        pixels = _TO_BGR[type_name](content, depth=depth)
    except ValueError as error:
        # Its stamp, such as the zero of an empty message, says nothing of the others.
        return Image(camera, message.log_time, 0, content.header, None, str(error))
    trusted = not clock.distrust
    time_ns = clock.time(nanoseconds(content.header.stamp), message.log_time)
    return Image(
        camera,
        message.log_time,
        time_ns,
        content.header,
        pixels,
        distrust=clock.distrust if trusted else '',
    )


def images_of_video(path: Path, camera: str) -> Generator[Image | Message, None, None]:
    """Read the images of a video; their times, which are their log times too, begin at 0.

    :raises BagError: when it cannot be read.
    :raises VideoInterrupted: when it may be read later.
    """
    try:
        with Video(path) as video:
            for stamp_ns, pixels in video:
                yield Image(camera, stamp_ns, stamp_ns, header_of(stamp_ns, camera), pixels)
    except VideoInterrupted:
        raise
    except VideoError as error:
        raise BagError(str(error)) from error
