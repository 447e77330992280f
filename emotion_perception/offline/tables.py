"""Results as a table, one row for each face in each image: CSV or Parquet."""

from collections.abc import Iterator
import csv
from itertools import islice
import os
from pathlib import Path
from typing import Any

from emotion_perception.emotions import EMOTIONS
from emotion_perception.offline.result_bag import ImageResult, read_results

#: Names of the columns. An image without a face has a row in which all after the camera is empty.
COLUMNS = (
    'time_ns',
    'camera',
    'track_id',
    'state',
    'x_offset',
    'y_offset',
    'width',
    'height',
    'label',
    'intensity',
    'confidence',
    *EMOTIONS,
    'sequence_length',
    'sequence_duration',
)

#: Rows that are kept in memory at once.
_ROWS = 10_000


def rows(results: Iterator[ImageResult]) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a table, in the order of COLUMNS; None where there is nothing."""
    for result in results:
        start = (result.time_ns, result.camera)
        for face in result.faces:
            yield (
                *start,
                face.track_id,
                face.state.name,
                *face.roi,
                face.label,
                face.intensity,
                face.confidence,
                *face.scores,
                face.sequence_length,
                face.sequence_duration,
            )
        if not result.faces:
            yield start + (None,) * (len(COLUMNS) - len(start))


def write_table(folder: Path, kind: str) -> Path:
    """Write ``emotions.csv`` or ``emotions.parquet`` beside the results in a folder.

    :param kind: ``csv``, or ``parquet``, for which pyarrow is needed.
    :raises BagError: when there are no results.
    """
    path = folder / f'emotions.{kind}'
    temporary = path.with_name(path.name + '.tmp')
    (_write_csv if kind == 'csv' else _write_parquet)(temporary, rows(read_results(folder)))
    os.replace(temporary, path)
    return path


def _write_csv(path: Path, content: Iterator[tuple[Any, ...]]) -> None:
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        # Nine digits give a float32 back as it was.
        writer.writerows(
            [f'{value:.9g}' if isinstance(value, float) else value for value in row]
            for row in content
        )


def _write_parquet(path: Path, content: Iterator[tuple[Any, ...]]) -> None:
    import pyarrow
    from pyarrow import parquet

    kinds = dict.fromkeys(COLUMNS, pyarrow.float32())
    kinds |= dict.fromkeys(('camera', 'state', 'label'), pyarrow.string())
    kinds |= dict.fromkeys(
        ('track_id', 'x_offset', 'y_offset', 'width', 'height', 'sequence_length'), pyarrow.uint32()
    )
    kinds['time_ns'] = pyarrow.int64()
    schema = pyarrow.schema(list(kinds.items()))
    with parquet.ParquetWriter(path, schema) as writer:
        while block := list(islice(content, _ROWS)):
            writer.write_table(
                pyarrow.table([list(column) for column in zip(*block)], schema=schema)
            )
