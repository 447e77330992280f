"""Results as Foxglove's ImageAnnotations, which draw on an image; whoever makes the messages."""

from collections.abc import Iterable
from typing import Any

from emotion_perception.drawing import caption, COLOURS
from emotion_perception.emotions import FaceResult, TrackState

#: Height of the captions in pixels of the image.
FONT_SIZE = 16.0

_LINE_LOOP = 2  # PointsAnnotation.LINE_LOOP


def image_annotations(types: Any, stamp: object, faces: Iterable[FaceResult]) -> Any:
    """Draw a box and a caption for each face, in the colours of the annotated image.

    :param types: has the messages of foxglove_msgs by their names, such as the module
        foxglove_msgs.msg. Every field is given, for types without defaults.
    :param stamp: of the image, by which Foxglove matches both; builtin_interfaces/Time.
    :return: ImageAnnotations.
    """
    points, texts = [], []
    for face in faces:
        colour = _colour(types, COLOURS[face.label])
        left, top = float(face.roi.x_offset), float(face.roi.y_offset)
        right, bottom = left + face.roi.width, top + face.roi.height
        points.append(
            types.PointsAnnotation(
                timestamp=stamp,
                type=_LINE_LOOP,
                points=[
                    types.Point2(x=x, y=y)
                    for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
                ],
                outline_color=colour,
                outline_colors=[],
                fill_color=_colour(types, (0, 0, 0), opacity=0.0),
                # A coasting track's box is only predicted: thin, as in the annotated image.
                thickness=1.0 if face.state == TrackState.COASTING else 2.0,
            )
        )
        texts.append(
            types.TextAnnotation(
                timestamp=stamp,
                position=types.Point2(x=left, y=top),
                text=caption(face),
                font_size=FONT_SIZE,
                text_color=_colour(types, (0, 0, 0)),
                background_color=colour,
            )
        )
    annotations = types.ImageAnnotations(circles=[], points=points, texts=texts)
    # Newer releases have it for the whole message, so that one without a face has a time as well.
    if hasattr(annotations, 'timestamp'):
        annotations.timestamp = stamp
    return annotations


def _colour(types: Any, bgr: tuple[int, int, int], opacity: float = 1.0) -> Any:
    blue, green, red = (value / 255 for value in bgr)
    return types.Color(r=red, g=green, b=blue, a=opacity)
