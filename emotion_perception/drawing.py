"""Draws results onto the image that they belong to."""

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.emotions import EMOTIONS, FaceResult, NEUTRAL, TrackState

# BGR, well apart also for the colour-blind (Okabe and Ito).
COLOURS = dict(
    zip(
        (*EMOTIONS, NEUTRAL),
        (
            (0, 94, 213),
            (115, 158, 0),
            (167, 121, 204),
            (66, 228, 240),
            (178, 114, 0),
            (0, 159, 230),
            (200, 200, 200),
        ),
    )
)

#: The same as pages and plots have them, #RRGGBB.
HEX_COLOURS = {
    label: f'#{red:02x}{green:02x}{blue:02x}' for label, (blue, green, red) in COLOURS.items()
}

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_faces(image: npt.NDArray[np.uint8], faces: Iterable[FaceResult]) -> None:
    """Draw each face's box, id, label and confidence, and its intensity as a bar.

    :param image: uint8 [H,W,3], BGR; drawn on.
    """
    for face in faces:
        colour = COLOURS[face.label]
        left, top = face.roi.x_offset, face.roi.y_offset
        right, bottom = left + face.roi.width, top + face.roi.height
        # A coasting track's box is only predicted: thin.
        thickness = 1 if face.state == TrackState.COASTING else 2
        cv2.rectangle(image, (left, top), (right, bottom), colour, thickness, cv2.LINE_AA)
        _draw_bar(image, left, right, bottom + 4, face.intensity, colour)
        _draw_text(image, caption(face), left, top, colour)


def caption(face: FaceResult) -> str:
    """Return what stands at a face: its id, label and confidence."""
    return f'{face.track_id}  {face.label} {face.confidence:.0%}'


def _draw_bar(
    image: npt.NDArray[np.uint8],
    left: int,
    right: int,
    top: int,
    share: float,
    colour: tuple[int, int, int],
) -> None:
    end = left + round((right - left) * share)
    cv2.rectangle(image, (left, top), (right, top + 6), (40, 40, 40), cv2.FILLED)
    cv2.rectangle(image, (left, top), (end, top + 6), colour, cv2.FILLED)


def _draw_text(
    image: npt.NDArray[np.uint8], text: str, left: int, bottom: int, colour: tuple[int, int, int]
) -> None:
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.5, 1)
    # Inside of the image, also for a face at its edge.
    left = max(0, min(left, image.shape[1] - width - 6))
    bottom = max(bottom, height + 8)
    cv2.rectangle(
        image, (left, bottom - height - 8), (left + width + 6, bottom), colour, cv2.FILLED
    )
    cv2.putText(image, text, (left + 3, bottom - 4), _FONT, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
