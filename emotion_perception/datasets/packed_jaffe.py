"""JAFFE in part, packed: images and a table."""

from pathlib import Path

from emotion_perception.datasets.reading import rows
from emotion_perception.datasets.sample import label_of, Recording

SET = 'jaffe'
LAYOUT = 'packed JAFFE: labels.csv (file,subject,label) beside its images'


def recognises(path: Path) -> bool:
    return path.name == 'labels.csv' or (path / 'labels.csv').exists()


def recordings(path: Path) -> list[Recording]:
    table = path if path.is_file() else path / 'labels.csv'
    return [
        Recording(
            name=row['file'],
            source=[table.parent / row['file']],
            label=label_of(row['label'], table, LAYOUT),
            subject=row['subject'],
        )
        for row in rows(table, ('file', 'subject', 'label'), LAYOUT)
    ]
