"""A folder of labelled clips of one's own."""

from pathlib import Path

from emotion_perception.datasets.files import is_video, pictures, visible, warn_of_others
from emotion_perception.datasets.sample import (
    DatasetError,
    is_label,
    label_of,
    Recording,
    SAMPLE_LABELS,
)

SET = 'clips'
LAYOUT = (
    "clips of one's own: FOLDER/LABEL/PERSON_xxx.mp4 (.avi, .mkv, .mov, .webm, ...) or "
    'FOLDER/LABEL/PERSON_xxx/*.jpg (*.png, ...), LABEL being one of ' + ', '.join(SAMPLE_LABELS)
)


def recognises(path: Path) -> bool:
    return path.is_dir() and any(map(is_label, path.iterdir()))


def recordings(path: Path) -> list[Recording]:
    """List videos and folders of images; the person is the name up to the first underscore."""
    listed: list[Recording] = []
    others: list[Path] = []
    for folder in visible(path):
        clips = {clip: source_of(clip) for clip in visible(folder)} if folder.is_dir() else {}
        if not any(clips.values()) and not is_label(folder):
            others.append(folder)
            continue
        label = label_of(folder.name, folder, LAYOUT)
        if not any(clips.values()):
            raise DatasetError(f'{folder} holds no clip; expected {LAYOUT}')
        for clip, source in clips.items():
            if not source:
                others.append(clip)
                continue
            if isinstance(source, list):
                others += set(visible(clip)) - set(source)
            listed.append(
                Recording(
                    name=f'{folder.name}/{clip.name}',
                    source=source,
                    label=label,
                    subject=clip.stem.split('_')[0],
                )
            )
    warn_of_others(path, others)
    return listed


def source_of(clip: Path) -> Path | list[Path] | None:
    """Return the video, or the pictures of a folder in order; None for what is no clip."""
    return clip if is_video(clip) else pictures(clip) or None


def unlabelled(path: Path) -> str:
    """Say which clip or folder of clips in a path stands under no label; '' for none."""
    for clip in visible(path) if path.is_dir() else [path]:
        if is_video(clip):
            return f'{clip.name} lies in no folder that is named by a label'
        if clip.is_dir() and any(map(is_video, clip.iterdir())):
            return f'the folder {clip.name} is named by no label'
    return ''
