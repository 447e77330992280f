"""FER2013 as Kaggle gives it: one table with the pixels as text."""
import numpy as np

from emotion_perception.datasets.reading import rows
from emotion_perception.datasets.sample import DatasetError, Recording

LAYOUT = 'FER2013: fer2013.csv with the columns emotion, pixels, Usage'

#: The set's codes 0 to 6.
_LABELS = ('anger', 'disgust', 'fear', 'happiness', 'sadness', 'surprise', 'neutral')
#: Column ``Usage``, which FER+ shares.
PARTS = {'Training': 'train', 'PublicTest': 'valid', 'PrivateTest': 'test'}


def recognises(path):
    return path.name == 'fer2013.csv' or (path / 'fer2013.csv').exists()


def recordings(path):
    listed = []
    for number, row in enumerate(image_rows(path if path.is_file() else path / 'fer2013.csv')):
        listed.append(Recording(
            name=f'fer{number:07}.png', source=pixels(row), label=label(row),
            fer2013_label=label(row), part=PARTS[row['Usage']]))
    return listed


def image_rows(table):
    """Return the rows of ``fer2013.csv``; DatasetError when it is not that."""
    listed = rows(table, ('emotion', 'pixels', 'Usage'), LAYOUT)
    for line, row in enumerate(listed, start=2):
        if row['Usage'] not in PARTS or row['emotion'] not in set('0123456') \
                or row['pixels'].count(' ') != 48 * 48 - 1:
            raise DatasetError(f'{table}, line {line}: not a class 0 to 6, 2304 pixels and '
                               f'one of {", ".join(PARTS)}; expected {LAYOUT}')
    return listed


def pixels(row):
    """Return a row's image, uint8 [48,48]."""
    return np.array(row['pixels'].split(), np.uint8).reshape(48, 48)


def label(row):
    """Return a row's label."""
    return _LABELS[int(row['emotion'])]
