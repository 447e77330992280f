"""How many faces of photographs are found, by who is shown, in full light and in the dark."""

from collections.abc import Sequence
import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emotion_perception.boxes import overlap, Rectangle
from emotion_perception.datasets import DatasetError
from emotion_perception.detection import FaceDetector, load_cascade
from emotion_perception.evaluation.metrics import wilson_interval

#: What the pixels are multiplied by.
LIGHTS = (1.0, 0.3, 0.15, 0.08)

#: Columns of people.csv by which the people are grouped, where they are there.
GROUPS = ('label', 'ethnicity', 'gender')

LAYOUT = (
    'a folder with people.csv (columns file and any of label, ethnicity, gender) and the '
    'pictures that it names, each of one face'
)


def evaluate_faces(path: Path) -> dict[str, Any]:
    """Measure the face detector on photographs of one face each.

    Where the face is, says a slow search with OpenCV's plain cascade in full light (scales 1.05
    apart, 5 neighbours); a region counts when it shares half of the smaller one's area with it.
    Beside ours stands the same cascade as it is mostly used (1.1, 3 neighbours).

    :param path: folder, LAYOUT.
    :return: dict for JSON: ``n``; ``unknown``, the pictures in which the slow search finds
        nothing, which are left out; ``lights`` {"1.0": {``found``, ``plain``, ``interval`` (95 %,
        Wilson) as fractions 0 .. 1, ``lost``: pictures in which only the plain cascade finds the
        face, ``false``: regions without a face, ``by``: {column: {value: [found, of]}}}}.
    :raises DatasetError: when the table or a picture is missing.
    """
    try:
        with (path / 'people.csv').open(newline='', encoding='utf-8-sig') as file:
            people = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f'{path}: {error}; expected {LAYOUT}') from error
    if not people or 'file' not in people[0]:
        raise DatasetError(f'{path}/people.csv names no files; expected {LAYOUT}')
    detector, plain = FaceDetector(), load_cascade()
    unknown, seen = [], []
    for person in people:
        gray = cv2.imread(str(path / person['file']), cv2.IMREAD_GRAYSCALE)
        if gray is None:
            raise DatasetError(
                f'{path / person["file"]} is missing or no picture; expected {LAYOUT}'
            )
        face = max(
            (_rectangle(hit) for hit in plain.detectMultiScale(gray, 1.05, 5)),
            key=lambda hit: hit[2],
            default=None,
        )
        if face is None:
            unknown.append(person['file'])
            continue
        for light in LIGHTS:
            dim = np.asarray(cv2.convertScaleAbs(gray, alpha=light), np.uint8)
            ours = [overlap(roi, face) > 0.5 for roi in detector.detect(dim)]
            theirs = any(
                overlap(_rectangle(hit), face) > 0.5 for hit in plain.detectMultiScale(dim, 1.1, 3)
            )
            seen.append((light, person, any(ours), theirs, ours.count(False)))
    return {
        'n': len(people) - len(unknown),
        'unknown': unknown,
        'lights': {
            str(light): _figures([row[1:] for row in seen if row[0] == light]) for light in LIGHTS
        },
    }


def _rectangle(hit: Sequence[int]) -> Rectangle:
    x, y, width, height = hit
    return x, y, width, height


def _figures(rows: list[tuple[dict[str, str], bool, bool, int]]) -> dict[str, Any]:
    found = sum(ours for _, ours, _, _ in rows)
    by: dict[str, dict[str, list[int]]] = {
        column: {} for column in GROUPS if rows and column in rows[0][0]
    }
    for person, ours, _, _ in rows:
        for column, counts in by.items():
            count = counts.setdefault(person[column], [0, 0])
            count[0] += ours
            count[1] += 1
    share = 1 / max(len(rows), 1)
    return {
        'found': found * share,
        'plain': sum(plain for _, _, plain, _ in rows) * share,
        'interval': wilson_interval(found * share, len(rows)) if rows else None,
        'lost': [person['file'] for person, ours, plain, _ in rows if plain and not ours],
        'false': sum(false for *_, false in rows),
        'by': by,
    }


def faces_report(result: dict[str, Any]) -> str:
    """Return the figures of evaluate_faces as text."""
    lines = [
        f'{result["n"]} pictures of one face each',
        'light   found [%]   (95 %)          plain cascade [%]   lost to it   no face',
    ]
    for light, row in result['lights'].items():
        low, high = row['interval'] or (0, 1)
        lines.append(
            f'{light:5} {100 * row["found"]:9.1f}   ({100 * low:.1f} .. {100 * high:.1f})'.ljust(36)
            + f'{100 * row["plain"]:13.1f}{len(row["lost"]):15}'
            f'{row["false"]:10}'
        )
    for column in next(iter(result['lights'].values()))['by']:
        lines += ['', column.ljust(16) + ''.join(f'{light:>12}' for light in result['lights'])]
        values = sorted({value for row in result['lights'].values() for value in row['by'][column]})
        for value in values:
            cells = (row['by'][column][value] for row in result['lights'].values())
            lines.append(value.ljust(16) + ''.join(f'{f"{n} of {of}":>12}' for n, of in cells))
    if result['unknown']:
        lines += ['', f'not counted, no face found by the slow search: {len(result["unknown"])}']
    return '\n'.join(lines)
