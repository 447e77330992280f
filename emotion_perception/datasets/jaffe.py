"""JAFFE as its authors give it: a flat folder, labels in the names."""

from pathlib import Path
import re

from emotion_perception.datasets.files import is_picture, visible, warn_of_others
from emotion_perception.datasets.sample import Recording

SET = 'jaffe'
LAYOUT = 'JAFFE: a folder of KA.AN1.39.tiff (subject, expression and take, number)'

_LABELS = {
    'AN': 'anger',
    'DI': 'disgust',
    'FE': 'fear',
    'HA': 'happiness',
    'NE': 'neutral',
    'SA': 'sadness',
    'SU': 'surprise',
}
_NAME = re.compile(r'([A-Z]{2})\.([A-Z]{2})\d\.\d+\.\w+')


def recognises(path: Path) -> bool:
    return path.is_dir() and any(map(_match, path.iterdir()))


def recordings(path: Path) -> list[Recording]:
    matches = {file: _match(file) for file in visible(path)}
    warn_of_others(path, [file for file, match in matches.items() if not match])
    return [
        Recording(name=file.name, source=[file], label=_LABELS[match[2]], subject=match[1])
        for file, match in matches.items()
        if match
    ]


def _match(file: Path) -> re.Match[str] | None:
    match = _NAME.fullmatch(file.name)
    return match if match and match[2] in _LABELS and is_picture(file) else None
