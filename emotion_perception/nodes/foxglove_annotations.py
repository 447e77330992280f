"""Publishes the results as annotations that Foxglove draws on the image."""

from emotion_perception.annotations import image_annotations
from emotion_perception.msg import EmotionArray
from emotion_perception.nodes.messages import optional_messages
from emotion_perception.nodes.mirror import Mirror
from emotion_perception.nodes.running import run


class FoxgloveAnnotations(Mirror):
    """Publishes ~/<camera> (foxglove_msgs/ImageAnnotations).

    :raises ModuleNotFoundError: when foxglove_msgs is not installed.
    """

    def __init__(self) -> None:
        self._foxglove = optional_messages('foxglove_msgs')
        super().__init__('foxglove_annotations')
        self._outputs = {
            camera: self.create_output(
                self._foxglove.ImageAnnotations, f'~/{token}', [self.emotions]
            )
            for camera, token in self.tokens.items()
        }

    def on_emotions(self, message: EmotionArray) -> None:
        """Publish the same result as annotations."""
        self._outputs[message.camera].publish(
            image_annotations(self._foxglove, message.header.stamp, message.faces)
        )


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run('foxglove_annotations', FoxgloveAnnotations)


if __name__ == '__main__':
    main()
