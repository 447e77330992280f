"""Publishes the results as vision_msgs, which general tools read."""

from types import ModuleType
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header

from emotion_perception.emotions import LABELS
from emotion_perception.msg import EmotionArray, FaceEmotion
from emotion_perception.nodes.messages import optional_messages
from emotion_perception.nodes.mirror import Mirror
from emotion_perception.nodes.running import run


class Detections(Mirror):
    """Publishes ~/<camera> (Detection2DArray) and, latched, ~/label_info (LabelInfo).

    :raises ModuleNotFoundError: when vision_msgs is not installed.
    """

    def __init__(self) -> None:
        self._vision = optional_messages('vision_msgs')
        super().__init__('detections')
        self._outputs = {
            camera: self.create_output(self._vision.Detection2DArray, f'~/{token}', [self.emotions])
            for camera, token in self.tokens.items()
        }
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._label_info = self.create_publisher(self._vision.LabelInfo, '~/label_info', latched)
        self._label_info.publish(label_info(self._vision, self.get_clock().now().to_msg()))

    def on_emotions(self, message: EmotionArray) -> None:
        """Publish the same result as detections."""
        self._outputs[message.camera].publish(detection_array(self._vision, message))


def label_info(vision: ModuleType, stamp: Time) -> Any:
    """Fill the LabelInfo that tells the names of the class ids.

    :param vision: the module vision_msgs.msg.
    """
    info = vision.LabelInfo(
        class_map=[
            vision.VisionClass(class_id=position, class_name=label)
            for position, label in enumerate(LABELS)
        ]
    )
    info.header.stamp = stamp
    return info


def detection_array(vision: ModuleType, message: EmotionArray) -> Any:
    """Turn an EmotionArray into a Detection2DArray.

    Of each face the id is its track_id, and its one hypothesis is its label: class_id is the
    label_id in decimal, score the confidence. The pose of the hypothesis stays empty.

    :param vision: the module vision_msgs.msg.
    """
    return vision.Detection2DArray(
        header=message.header,
        detections=[_detection(vision, message.header, face) for face in message.faces],
    )


def _detection(vision: ModuleType, header: Header, face: FaceEmotion) -> Any:
    detection = vision.Detection2D(header=header, id=str(face.track_id))
    hypothesis = vision.ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = str(face.label_id)
    hypothesis.hypothesis.score = face.confidence
    detection.results.append(hypothesis)
    detection.bbox.center.position.x = face.roi.x_offset + face.roi.width / 2
    detection.bbox.center.position.y = face.roi.y_offset + face.roi.height / 2
    detection.bbox.size_x = float(face.roi.width)
    detection.bbox.size_y = float(face.roi.height)
    return detection


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run('detections', Detections)


if __name__ == '__main__':
    main()
