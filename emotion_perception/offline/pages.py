"""HTML pages that need nothing beside them: style, script, pictures and videos are inside."""

import base64
import os
from pathlib import Path

import cv2
from jinja2 import Environment, FileSystemLoader, StrictUndefined
import numpy as np
import numpy.typing as npt

from emotion_perception.drawing import HEX_COLOURS
from emotion_perception.emotions import EMOTIONS, LABELS, Roi
from emotion_perception.offline.curves import Curve

#: Of the pictures.
_JPEG_QUALITY = 80


def write_page(path: Path, template: str, **content: object) -> None:
    """Fill a template of this package and write it; the page appears when it is whole."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / 'templates'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters['seconds'] = seconds
    temporary = path.with_name(path.name + '.tmp')
    environment.get_template(template).stream(
        colours=HEX_COLOURS, emotions=EMOTIONS, labels=LABELS, **content
    ).dump(str(temporary), encoding='utf-8')
    os.replace(temporary, path)


def seconds(value: float) -> str:
    """Write a time as people do: 3.42 s, 1:05.3, 2:01:05."""
    if value < 60:
        return f'{value:.2f} s'
    tenths = round(10 * value)  # once, so that nobody reads 14:60.0
    minutes, tenths = divmod(tenths, 600)
    if minutes < 60:
        return f'{minutes}:{tenths / 10:04.1f}'
    return f'{minutes // 60}:{minutes % 60:02}:{tenths // 10:02}'


def picture(image: npt.NDArray[np.uint8]) -> str:
    """Turn an image, uint8 [H,W,3] BGR, into an address that holds it."""
    _, jpeg = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data_address('image/jpeg', jpeg.tobytes())


def data_address(kind: str, content: bytes) -> str:
    """Write content of a media type as an address that holds it."""
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'


def surroundings(image: npt.NDArray[np.uint8], roi: Roi, side: int) -> npt.NDArray[np.uint8]:
    """Cut out a face with some of what is around it.

    :param image: uint8 [H,W,3].
    :return: uint8 [side,side,3]; grey where the image ends.
    """
    half = round(0.8 * max(roi.width, roi.height))
    x, y = roi.x_offset + roi.width // 2, roi.y_offset + roi.height // 2
    framed = cv2.copyMakeBorder(
        image, half, half, half, half, cv2.BORDER_CONSTANT, value=(40, 40, 40)
    )
    cut = framed[y : y + 2 * half, x : x + 2 * half]
    return np.asarray(cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def timeline(curve: Curve, zero_ns: int, start_ns: int, end_ns: int) -> dict[str, object]:
    """Give what a page draws of a face: places from 0 at start to 1000 at end, heights 0 to 100.

    :param zero_ns: time from which the page counts.
    """
    start, span = start_ns, max(end_ns - start_ns, 1)

    def place(time_ns: float) -> float:
        return round(1000 * (time_ns - start) / span, 1)

    middles = [place((step.start_ns + step.end_ns) / 2) for step in curve.steps]
    intensities = [step.intensity / step.images for step in curve.steps]
    scores = np.array([step.scores / step.images for step in curve.steps])
    # A face of a single image is drawn over the whole width.
    if len(middles) == 1:
        middles, intensities, scores = [0.0, 1000.0], intensities * 2, np.repeat(scores, 2, 0)
    return {
        'id': curve.track_id,
        'start': (curve.start_ns - zero_ns) * 1e-9,
        'end': (curve.end_ns - zero_ns) * 1e-9,
        'images': curve.images,
        'coasting': curve.coasting,
        'strongest': curve.strongest,
        'strongest_at': (curve.strongest_ns - zero_ns) * 1e-9,
        'shares': [(label, count / curve.images) for label, count in curve.labels.most_common()],
        'spans': [
            {
                'start': (begin - zero_ns) * 1e-9,
                'end': (end - zero_ns) * 1e-9,
                'x': place(begin),
                'width': max(place(end) - place(begin), 1.0),
                'label': label,
            }
            for begin, end, label in curve.spans()
        ],
        'intensity': _points(middles, intensities),
        'scores': [_points(middles, column) for column in scores.T],
        'data': {
            'times': [round((step.start_ns - zero_ns) * 1e-9, 2) for step in curve.steps],
            'labels': [LABELS.index(step.label) for step in curve.steps],
            'intensities': [round(value, 2) for value in intensities],
            'scores': np.round(scores, 2).tolist(),
        },
    }


def _points(places: list[float], values: npt.ArrayLike) -> str:
    return ' '.join(f'{x:g},{100 - 100 * y:.1f}' for x, y in zip(places, np.asarray(values)))
