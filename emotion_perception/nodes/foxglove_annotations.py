"""Publishes the results as annotations that Foxglove draws on the image."""
from types import ModuleType

from emotion_perception.drawing import caption, COLOURS
from emotion_perception.emotions import TrackState
from emotion_perception.nodes.messages import optional_messages
from emotion_perception.nodes.mirror import Mirror
from emotion_perception.nodes.running import run

#: Height of the captions in pixels of the image.
FONT_SIZE = 16.0


class FoxgloveAnnotations(Mirror):
    """Publishes ~/<camera> (foxglove_msgs/ImageAnnotations).

    :raises ModuleNotFoundError: when foxglove_msgs is not installed.
    """

    def __init__(self):
        self._foxglove = optional_messages('foxglove_msgs')
        super().__init__('foxglove_annotations')
        self._outputs = {
            camera: self.create_output(
                self._foxglove.ImageAnnotations, f'~/{token}', [self.emotions])
            for camera, token in self.tokens.items()}

    def on_emotions(self, message):
        """Publish the same result as annotations."""
        self._outputs[message.camera].publish(image_annotations(self._foxglove, message))


def image_annotations(foxglove: ModuleType, message):
    """Turn an EmotionArray into ImageAnnotations: a box and a caption a face.

    Colours and captions are those of the annotated image. Stamps are that of the image, by which
    Foxglove matches both.

    :param foxglove: the module foxglove_msgs.msg.
    """
    annotations = foxglove.ImageAnnotations()
    # Newer releases have it for the whole message, so that one without a face has a time as well.
    if hasattr(annotations, 'timestamp'):
        annotations.timestamp = message.header.stamp
    for face in message.faces:
        colour = _colour(foxglove, COLOURS[face.label])
        left, top = float(face.roi.x_offset), float(face.roi.y_offset)
        right, bottom = left + face.roi.width, top + face.roi.height
        annotations.points.append(foxglove.PointsAnnotation(
            timestamp=message.header.stamp, type=foxglove.PointsAnnotation.LINE_LOOP,
            points=[foxglove.Point2(x=x, y=y) for x, y in (
                (left, top), (right, top), (right, bottom), (left, bottom))],
            outline_color=colour,
            # A coasting track's box is only predicted: thin, as in the annotated image.
            thickness=1.0 if face.state == TrackState.COASTING else 2.0))
        annotations.texts.append(foxglove.TextAnnotation(
            timestamp=message.header.stamp, position=foxglove.Point2(x=left, y=top),
            text=caption(face), font_size=FONT_SIZE,
            text_color=_colour(foxglove, (0, 0, 0)), background_color=colour))
    return annotations


def _colour(foxglove, bgr):
    blue, green, red = (value / 255 for value in bgr)
    return foxglove.Color(r=red, g=green, b=blue, a=1.0)


def main():
    """Run the node until SIGINT or SIGTERM."""
    run('foxglove_annotations', FoxgloveAnnotations)


if __name__ == '__main__':
    main()
