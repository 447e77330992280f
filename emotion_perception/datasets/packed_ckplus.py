"""CK+ in part, packed: whole sequences, apex frames and crops of the apexes."""
from emotion_perception.datasets.archive import arrays, names_in
from emotion_perception.datasets.ckplus import RATE
from emotion_perception.datasets.reading import rows
from emotion_perception.datasets.sample import DatasetError, label_of, Recording

LAYOUT = ('packed CK+: sequences.csv with sequences/SEQUENCE/NNN.jpg, apex.csv with '
          'apex/*.jpg; the folder, or one of both tables; or ck48.npz')


def recognises(path):
    if path.suffix == '.npz':
        return {'sequence', 'frame'} <= names_in(path)
    return path.name in ('sequences.csv', 'apex.csv') or (path / 'sequences.csv').exists() \
        or (path / 'apex.csv').exists()


def recordings(path):
    if path.suffix == '.npz':
        return _crops(path)
    if path.is_file():
        return _sequences(path) if path.name == 'sequences.csv' else _apexes(path)
    return _sequences(path / 'sequences.csv') + _apexes(path / 'apex.csv')


def _sequences(table):
    listed = []
    for row in rows(table, ('sequence', 'subject', 'label', 'n_frames',
                            'complete_neutral_to_apex'), LAYOUT):
        folder = table.parent / 'sequences' / row['sequence']
        images = sorted(folder.glob('*.jpg'))
        if len(images) != int(row['n_frames']):
            raise DatasetError(f'{folder} holds {len(images)} images, {table} says '
                               f'{row["n_frames"]}; expected {LAYOUT}')
        listed.append(Recording(
            name=row['sequence'], source=images, label=label_of(row['label']),
            subject=row['subject'], rate=RATE,
            neutral_to_apex=row['complete_neutral_to_apex'] == '1'))
    return listed


def _apexes(table):
    return [Recording(name=row['file'], source=[table.parent / 'apex' / row['file']],
                      label=label_of(row['label']), subject=row['subject'], intensity=1.0)
            for row in rows(table, ('file', 'subject', 'label'), LAYOUT)]


def _crops(path):
    data = arrays(path, ('images', 'label', 'subject', 'sequence', 'frame'), LAYOUT)
    return [Recording(name=f'{sequence}_{frame:08}', source=image, label=label_of(label),
                      subject=subject)
            for sequence, frame, image, label, subject in zip(
                data['sequence'].tolist(), data['frame'].tolist(), data['images'],
                data['label'].tolist(), data['subject'].tolist())]
