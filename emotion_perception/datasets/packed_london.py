"""Face Research Lab London Set in part, packed: people neutral and smiling, and a table."""

from pathlib import Path

from emotion_perception.datasets.reading import rows
from emotion_perception.datasets.sample import label_of, Recording

SET = 'london'
COLUMNS = ('file', 'subject', 'label', 'age', 'gender', 'ethnicity')
LAYOUT = f'packed London set: people.csv ({",".join(COLUMNS)}) beside its images'


def recognises(path: Path) -> bool:
    return path.name == 'people.csv' or (path / 'people.csv').exists()


def recordings(path: Path) -> list[Recording]:
    table = path if path.is_file() else path / 'people.csv'
    return [
        Recording(
            name=row['file'],
            source=[table.parent / row['file']],
            label=label_of(row['label'], table, LAYOUT),
            subject=row['subject'],
            groups={
                'gender': row['gender'],
                'ethnicity': row['ethnicity'],
                'age': _decade(row['age']),
            },
        )
        for row in rows(table, COLUMNS, LAYOUT)
    ]


def _decade(age: str) -> str:
    """Return an age as its decade, '20-29'; 'unknown' where it is no number."""
    if not age.isdecimal():
        return 'unknown'
    first = int(age) // 10 * 10
    return f'{first}-{first + 9}'
