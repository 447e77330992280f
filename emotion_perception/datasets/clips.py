"""A folder of labelled clips of one's own."""
from emotion_perception.datasets.sample import (
    DatasetError, label_of, LABEL_OF_NAME, Recording, SAMPLE_LABELS)

SET = 'clips'
LAYOUT = ('clips of one\'s own: FOLDER/LABEL/PERSON_xxx.mp4 (.avi, .mkv, .mov, .webm) or '
          'FOLDER/LABEL/PERSON_xxx/*.jpg (*.png), LABEL being one of ' + ', '.join(SAMPLE_LABELS))

_VIDEOS = ('.mp4', '.avi', '.mkv', '.mov', '.webm')
_IMAGES = ('.jpg', '.jpeg', '.png')


def recognises(path):
    return path.is_dir() and any(map(_is_label, path.iterdir()))


def recordings(path):
    """List videos and folders of images; the person is the name up to the first underscore."""
    listed = []
    for folder in sorted(path.glob('[!.]*')):
        if not folder.is_dir():
            continue
        label = label_of(folder.name, folder, LAYOUT)
        clips = sorted(folder.glob('[!.]*'))
        if not clips:
            raise DatasetError(f'{folder} holds no clip; expected {LAYOUT}')
        for clip in clips:
            if clip.is_dir():
                source = sorted(f for f in clip.iterdir() if f.suffix.lower() in _IMAGES)
                if not source:
                    raise DatasetError(f'{clip} holds no image; expected {LAYOUT}')
            elif clip.suffix.lower() in _VIDEOS:
                source = clip
            else:
                raise DatasetError(f'{clip} is no video; expected {LAYOUT}')
            listed.append(Recording(name=f'{folder.name}/{clip.name}', source=source, label=label,
                                    subject=clip.stem.split('_')[0]))
    return listed


def unlabelled(path):
    """Say which clip or folder of clips in a path stands under no label; '' for none."""
    for clip in sorted(path.glob('[!.]*')) if path.is_dir() else [path]:
        if _is_video(clip):
            return f'{clip.name} lies in no folder that is named by a label'
        if clip.is_dir() and any(map(_is_video, clip.iterdir())):
            return f'the folder {clip.name} is named by no label'
    return ''


def _is_video(path):
    return path.suffix.lower() in _VIDEOS and path.is_file()


def _is_label(path):
    return path.is_dir() and path.name.lower() in LABEL_OF_NAME
