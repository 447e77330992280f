"""Publishes the results as REP-155 (ROS4HRI) has them, each face under a namespace of its own."""

from collections.abc import Collection
from time import monotonic
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from emotion_perception.emotions import EXPRESSIONS, TrackState
from emotion_perception.msg import EmotionArray, FaceEmotion
from emotion_perception.nodes import messages
from emotion_perception.nodes.matched_images import MatchedImages
from emotion_perception.nodes.mirror import Mirror
from emotion_perception.nodes.running import run
from emotion_perception.nodes.video_publisher import letterbox

#: Side of the cropped faces in pixels, REP-155's default.
CROPPED_SIZE = 128

#: Seconds without a result after which a camera's faces are no longer tracked.
SILENCE = 2.0


class FaceOutputs:
    """The publishers of one face."""

    def __init__(self, node: 'Ros4Hri', face_id: str, images: MatchedImages) -> None:
        hri, topic = node.hri, f'/humans/faces/{face_id}'
        self._node, self._inputs = node, (node.emotions, images)
        self.roi = node.create_output(
            hri.NormalizedRegionOfInterest2D, f'{topic}/roi', [node.emotions]
        )
        self.expression = node.create_output(hri.Expression, f'{topic}/expression', [node.emotions])
        self.cropped = node.create_output(Image, f'{topic}/cropped', self._inputs)

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in (self.roi, self.expression, self.cropped):
            for feed in self._inputs:
                feed.outputs.discard(publisher)
            self._node.destroy_publisher(publisher)
        for feed in self._inputs:
            feed.adapt()


class Ros4Hri(Mirror):
    """Publishes /humans/faces/tracked, and /humans/faces/<id>/roi, /expression and /cropped.

    The ids are <camera>_<track_id>, and <camera>_<track_id>_<n> after the emotion node was started
    for the nth time, for it then begins anew with its track ids. Images are read only while
    somebody subscribes to /cropped.

    :raises ModuleNotFoundError: when hri_msgs is not installed.
    """

    def __init__(self) -> None:
        self.hri = messages.optional_messages('hri_msgs')
        super().__init__('ros4hri')
        self._tracked = self.create_output(
            self.hri.IdsList, '/humans/faces/tracked', [self.emotions]
        )
        self._images = {
            camera: MatchedImages(self, camera, self._publish_cropped)
            for camera in self.image_topics
        }
        #: Camera -> id -> publishers.
        self._faces: dict[str, dict[str, FaceOutputs]] = {
            camera: {} for camera in self.image_topics
        }
        self._sources: set[bytes] = set()  # of the results
        self._starts = 0  # of the emotion node
        self._newest = dict.fromkeys(self.image_topics, monotonic())
        # Steady time: under simulated time the node's own clock may stand still.
        self.create_timer(
            SILENCE / 2, self._forget_silent, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def on_emotions(self, message: EmotionArray) -> None:
        """Publish the same result."""
        camera = message.camera
        self._newest[camera] = monotonic()
        self._look_for_start(message.header)
        faces = {self._face_id(camera, face): face for face in message.faces}
        self._track(camera, faces, message.header)
        size = (message.image_width, message.image_height)
        for face_id, face in faces.items():
            outputs = self._faces[camera][face_id]
            outputs.roi.publish(normalized_roi(self.hri, message.header, face, size))
            outputs.expression.publish(expression(self.hri, message.header, face))
        self._images[camera].add_result(message)

    def _face_id(self, camera: str, face: FaceEmotion) -> str:
        start = f'_{self._starts}' if self._starts > 1 else ''
        return f'{self.tokens[camera]}_{face.track_id}{start}'

    def _look_for_start(self, header: Header) -> None:
        """Forget the faces of an emotion node that was started again."""
        topic = self.resolve_topic_name(messages.EMOTIONS_TOPIC)
        found = {bytes(known.endpoint_gid) for known in self.get_publishers_info_by_topic(topic)}
        if found - self._sources:  # one that was killed is still among them for a while
            self._sources |= found
            self._starts += 1
            for camera, faces in self._faces.items():
                if faces:
                    self._track(camera, (), header)

    def _track(self, camera: str, ids: Collection[str], header: Header) -> None:
        """Have topics for exactly these faces of a camera, and publish who is tracked."""
        outputs = self._faces[camera]
        for gone in set(outputs) - set(ids):
            outputs.pop(gone).destroy()
        for new in ids:
            if new not in outputs:
                outputs[new] = FaceOutputs(self, new, self._images[camera])
        self._tracked.publish(
            self.hri.IdsList(
                header=header, ids=[face_id for faces in self._faces.values() for face_id in faces]
            )
        )

    def _forget_silent(self) -> None:
        for camera, faces in self._faces.items():
            if faces and monotonic() - self._newest[camera] > SILENCE:
                header = self.hri.IdsList().header
                header.stamp = self.get_clock().now().to_msg()
                self._track(camera, (), header)

    def _publish_cropped(self, image: npt.NDArray[np.uint8], result: EmotionArray) -> None:
        for face in result.faces:
            outputs = self._faces[result.camera].get(self._face_id(result.camera, face))
            if outputs and outputs.cropped.get_subscription_count():
                outputs.cropped.publish(
                    messages.image_from_bgr(cropped(image, face.roi), result.header)
                )


def normalized_roi(
    hri: ModuleType, header: Header, face: FaceEmotion, size: tuple[int, int]
) -> Any:
    """Fill a NormalizedRegionOfInterest2D; its confidence c is 0 where the region is predicted.

    :param hri: the module hri_msgs.msg.
    :param size: width and height of the image in pixels.
    """
    (width, height), roi = size, face.roi
    return hri.NormalizedRegionOfInterest2D(
        header=header,
        xmin=roi.x_offset / width,
        ymin=roi.y_offset / height,
        xmax=(roi.x_offset + roi.width) / width,
        ymax=(roi.y_offset + roi.height) / height,
        c=0.0 if face.state == TrackState.COASTING else 1.0,
    )


def expression(hri: ModuleType, header: Header, face: FaceEmotion) -> Any:
    """Fill an Expression; valence and arousal, which are not known, are NaN.

    :param hri: the module hri_msgs.msg.
    """
    return hri.Expression(
        header=header,
        expression=EXPRESSIONS[face.label],
        valence=float('nan'),
        arousal=float('nan'),
        confidence=face.confidence,
    )


def cropped(image: npt.NDArray[np.uint8], roi: RegionOfInterest) -> npt.NDArray[np.uint8]:
    """Cut a face out, scaled and centred on black.

    :param image: uint8 [H,W,3].
    :param roi: of one pixel or more within the image.
    :return: uint8 [128,128,3].
    """
    rows = slice(roi.y_offset, roi.y_offset + roi.height)
    columns = slice(roi.x_offset, roi.x_offset + roi.width)
    return letterbox(image[rows, columns], CROPPED_SIZE, CROPPED_SIZE)


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run('ros4hri', Ros4Hri)


if __name__ == '__main__':
    main()
