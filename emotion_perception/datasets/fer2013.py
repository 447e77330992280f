"""FER2013 as Kaggle gives it: one table with the pixels as text."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from emotion_perception.datasets.reading import rows
from emotion_perception.datasets.sample import DatasetError, Recording

SET = 'fer2013'
LAYOUT = 'FER2013: fer2013.csv with the columns emotion, pixels, Usage'

_LABELS = {
    '0': 'anger',
    '1': 'disgust',
    '2': 'fear',
    '3': 'happiness',
    '4': 'sadness',
    '5': 'surprise',
    '6': 'neutral',
}
#: Rows and columns of an image.
SIDE = 48
#: Column ``Usage``, which FER+ shares.
PARTS = {'Training': 'train', 'PublicTest': 'valid', 'PrivateTest': 'test'}


def recognises(path: Path) -> bool:
    return path.name == 'fer2013.csv' or (path / 'fer2013.csv').exists()


def recordings(path: Path) -> list[Recording]:
    table = path if path.is_file() else path / 'fer2013.csv'
    return [
        Recording(
            name=f'fer{number:07}.png', source=image, label=label, fer2013_label=label, part=part
        )
        for number, (image, label, part) in enumerate(read_table(table))
    ]


def read_table(path: Path) -> list[tuple[npt.NDArray[np.uint8], str, str]]:
    """Return the image (uint8 [48,48]), the label and the part of each row of fer2013.csv.

    :raises DatasetError: when the table is not that; names the line.
    """
    faces = []
    for line, row in enumerate(rows(path, ('emotion', 'pixels', 'Usage'), LAYOUT), start=2):
        # Checked first, because numpy would read what it can and keep quiet about the rest.
        digits = row['pixels'].replace(' ', '').isdecimal()
        image = np.fromstring(row['pixels'], np.uint8, sep=' ') if digits else np.empty(0, np.uint8)
        if image.size != SIDE**2 or row['emotion'] not in _LABELS or row['Usage'] not in PARTS:
            raise DatasetError(
                f'{path}, line {line}: not a class 0 to 6, 2304 pixels and one '
                f'of {", ".join(PARTS)}; expected {LAYOUT}'
            )
        faces.append((image.reshape(SIDE, SIDE), _LABELS[row['emotion']], PARTS[row['Usage']]))
    return faces
