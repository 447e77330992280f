"""JAFFE as its authors give it: a flat folder, labels in the names."""
import re

from emotion_perception.datasets.sample import Recording

SET = 'jaffe'
LAYOUT = 'JAFFE: a folder of KA.AN1.39.tiff (subject, expression and take, number)'

_LABELS = {'AN': 'anger', 'DI': 'disgust', 'FE': 'fear', 'HA': 'happiness', 'NE': 'neutral',
           'SA': 'sadness', 'SU': 'surprise'}
_NAME = re.compile(r'([A-Z]{2})\.([A-Z]{2})\d\.\d+\.(tiff?|png|jpg)')


def recognises(path):
    return path.is_dir() and any(_NAME.fullmatch(file.name) for file in path.iterdir())


def recordings(path):
    matches = [(file, _NAME.fullmatch(file.name)) for file in sorted(path.iterdir())]
    return [Recording(name=file.name, source=[file], label=_LABELS[match[2]], subject=match[1])
            for file, match in matches if match and match[2] in _LABELS]
