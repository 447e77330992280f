"""Publishes the cameras' images with the results drawn on them."""

import array

import cv2
import numpy as np
import numpy.typing as npt
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image

from emotion_perception.drawing import draw_faces
from emotion_perception.msg import EmotionArray
from emotion_perception.nodes import messages
from emotion_perception.nodes.matched_images import MatchedImages
from emotion_perception.nodes.mirror import Mirror
from emotion_perception.nodes.running import run
from emotion_perception.options import Option

OPTIONS = (Option('jpeg_quality', 80, 'Quality of the compressed images', 1, 100),)


class AnnotatedImage(Mirror):
    """Publishes ~/<camera> (Image, bgr8) and ~/<camera>/compressed (CompressedImage, JPEG).

    One for every image that the emotion node has processed, with its header.
    """

    def __init__(self) -> None:
        super().__init__('annotated_image', OPTIONS)
        self._encoding = (cv2.IMWRITE_JPEG_QUALITY, self.values['jpeg_quality'])
        self._images: dict[str, MatchedImages] = {}
        self._raw: dict[str, Publisher] = {}
        self._compressed: dict[str, Publisher] = {}
        for camera, token in self.tokens.items():
            self._images[camera] = MatchedImages(self, camera, self._publish)
            inputs = (self._images[camera], self.emotions)
            self._raw[camera] = self.create_output(Image, f'~/{token}', inputs)
            self._compressed[camera] = self.create_output(
                CompressedImage, f'~/{token}/compressed', inputs
            )

    def on_emotions(self, message: EmotionArray) -> None:
        """Draw on the image of the same stamp, now or when it comes."""
        self._images[message.camera].add_result(message)

    def _publish(self, image: npt.NDArray[np.uint8], result: EmotionArray) -> None:
        draw_faces(image, result.faces)
        raw, compressed = self._raw[result.camera], self._compressed[result.camera]
        if raw.get_subscription_count():
            raw.publish(messages.image_from_bgr(image, result.header))
        if compressed.get_subscription_count():
            _, jpeg = cv2.imencode('.jpg', image, self._encoding)
            compressed.publish(
                CompressedImage(
                    header=result.header,
                    format='bgr8; jpeg compressed bgr8',
                    data=array.array('B', jpeg.tobytes()),
                )
            )


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run('annotated_image', AnnotatedImage)


if __name__ == '__main__':
    main()
