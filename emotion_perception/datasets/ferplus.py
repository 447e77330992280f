"""FER+: the votes of ten taggers on the images of FER2013."""

from pathlib import Path

import numpy as np

from emotion_perception.datasets import fer2013
from emotion_perception.datasets.reading import read_image, rows
from emotion_perception.datasets.sample import DatasetError, majority_label, Recording, VOTE_NAMES

SET = 'fer2013'
LAYOUT = (
    'FER+: fer2013new.csv (Usage, Image name, ten columns of votes) beside fer2013.csv, or '
    'beside the image folders FER2013Train, FER2013Valid, FER2013Test'
)

_FOLDERS = {'Training': 'FER2013Train', 'PublicTest': 'FER2013Valid', 'PrivateTest': 'FER2013Test'}


def recognises(path: Path) -> bool:
    return (
        path.name == 'fer2013new.csv'
        or (path / 'fer2013new.csv').exists()
        or any((path / name).is_dir() for name in _FOLDERS.values())
    )


def recordings(path: Path) -> list[Recording]:
    table = path if path.is_file() else path / 'fer2013new.csv'
    pixels = table.parent / 'fer2013.csv'
    listed = list(rows(table, ('Usage', 'Image name') + VOTE_NAMES, LAYOUT))
    faces = fer2013.read_table(pixels) if pixels.exists() else None
    if faces and len(faces) != len(listed):
        raise DatasetError(
            f'{table} has {len(listed)} rows, {pixels} has {len(faces)}; '
            'expected the same images in the same order'
        )
    found = []
    for i, row in enumerate(listed):
        name = row['Image name']
        if not name:  # FER+ took the image out of the set
            continue
        if row['Usage'] not in _FOLDERS or not all(row[v].isdecimal() for v in VOTE_NAMES):
            raise DatasetError(
                f'{table}, line {i + 2}: not one of {", ".join(_FOLDERS)} and '
                f'ten numbers of votes; expected {LAYOUT}'
            )
        votes = np.array([int(row[column]) for column in VOTE_NAMES], np.uint8)
        if faces:
            image, label, _ = faces[i]
        else:
            image, label = read_image(table.parent / _FOLDERS[row['Usage']] / name, LAYOUT), None
        found.append(
            Recording(
                name=name,
                source=image,
                votes=votes,
                label=majority_label(votes),
                fer2013_label=label,
                part=fer2013.PARTS[row['Usage']],
            )
        )
    return found
