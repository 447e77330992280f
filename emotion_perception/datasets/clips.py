"""A folder of labelled clips of one's own."""
from emotion_perception.datasets.sample import DatasetError, label_of, Recording, SAMPLE_LABELS

LAYOUT = ('clips of one\'s own: FOLDER/LABEL/PERSON_xxx.mp4 (.avi, .mkv, .mov, .webm) or '
          'FOLDER/LABEL/PERSON_xxx/*.jpg (*.png), LABEL being one of ' + ', '.join(SAMPLE_LABELS))

_VIDEOS = ('.mp4', '.avi', '.mkv', '.mov', '.webm')
_IMAGES = ('.jpg', '.jpeg', '.png')


def recognises(path):
    return path.is_dir() and any(map(_folder_label, path.iterdir()))


def recordings(path):
    """List videos and folders of images; the person is the name up to the first underscore."""
    listed = []
    for folder in sorted(path.iterdir()):
        if not folder.is_dir():
            continue
        label = _folder_label(folder)
        if label is None:
            raise DatasetError(f'{folder} is not named after a label; expected {LAYOUT}')
        for clip in sorted(folder.iterdir()):
            if clip.is_dir():
                source = sorted(f for f in clip.iterdir() if f.suffix.lower() in _IMAGES)
                if not source:
                    raise DatasetError(f'{clip} holds no image; expected {LAYOUT}')
            elif clip.suffix.lower() in _VIDEOS:
                source = clip
            else:
                raise DatasetError(f'{clip} is no video; expected {LAYOUT}')
            listed.append(Recording(name=f'{label}/{clip.stem}', source=source, label=label,
                                    subject=clip.stem.split('_')[0]))
    return listed


def _folder_label(path):
    try:
        return label_of(path.name) if path.is_dir() else None
    except KeyError:
        return None
