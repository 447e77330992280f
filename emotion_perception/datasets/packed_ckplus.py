"""CK+ in part, packed: whole sequences, apex frames and crops of the apexes."""

from pathlib import Path

from emotion_perception.datasets.archive import arrays, names_in
from emotion_perception.datasets.ckplus import RATE
from emotion_perception.datasets.files import pictures, visible, warn_of_others
from emotion_perception.datasets.reading import rows
from emotion_perception.datasets.sample import DatasetError, label_of, Recording

SET = 'ckplus'
LAYOUT = (
    'packed CK+: sequences.csv with sequences/SEQUENCE/NNN.jpg, apex.csv with '
    'apex/*.jpg (or another picture); the folder, or one of both tables; or ck48.npz'
)

_TABLES = ('sequences.csv', 'apex.csv')


def recognises(path: Path) -> bool:
    return {'sequence', 'frame'} <= names_in(path) or path.name in _TABLES or bool(_tables(path))


def recordings(path: Path) -> list[Recording]:
    if names_in(path):
        return _crops(path)
    return [
        recording
        for table in ([path] if path.is_file() else _tables(path))
        for recording in (_sequences(table) if table.name == _TABLES[0] else _apexes(table))
    ]


def _tables(folder: Path) -> list[Path]:
    """Return the tables that are there, or whose images are."""
    return [
        folder / name
        for name in _TABLES
        if (folder / name).exists() or (folder / name).with_suffix('').is_dir()
    ]


def _sequences(table: Path) -> list[Recording]:
    listed: list[Recording] = []
    others: list[Path] = []
    for row in rows(
        table, ('sequence', 'subject', 'label', 'n_frames', 'complete_neutral_to_apex'), LAYOUT
    ):
        folder = table.parent / 'sequences' / row['sequence']
        images = pictures(folder)
        if str(len(images)) != row['n_frames']:
            raise DatasetError(
                f'{folder} holds {len(images)} images, {table} says '
                f'{row["n_frames"]}; expected {LAYOUT}'
            )
        listed.append(
            Recording(
                name=row['sequence'],
                source=images,
                subject=row['subject'],
                rate=RATE,
                label=label_of(row['label'], table, LAYOUT),
                neutral_to_apex=row['complete_neutral_to_apex'] == '1',
            )
        )
        others += set(visible(folder)) - set(images)
    warn_of_others(table.parent, others)
    return listed


def _apexes(table: Path) -> list[Recording]:
    return [
        Recording(
            name=row['file'],
            source=[table.parent / 'apex' / row['file']],
            label=label_of(row['label'], table, LAYOUT),
            subject=row['subject'],
            intensity=1.0,
        )
        for row in rows(table, ('file', 'subject', 'label'), LAYOUT)
    ]


def _crops(path: Path) -> list[Recording]:
    data = arrays(path, ('images', 'label', 'subject', 'sequence', 'frame'), LAYOUT)
    return [
        Recording(
            name=f'{sequence}_{frame:08}',
            source=image,
            label=label_of(label, path, LAYOUT),
            subject=subject,
        )
        for sequence, frame, image, label, subject in zip(
            data['sequence'].tolist(),
            data['frame'].tolist(),
            data['images'],
            data['label'].tolist(),
            data['subject'].tolist(),
        )
    ]
