"""RAVDESS: actors who speak and sing with an emotion, on video."""

from pathlib import Path

from emotion_perception.datasets.files import is_video, visible, warn_of_others
from emotion_perception.datasets.sample import DatasetError, Recording

SET = 'ravdess'
LAYOUT = (
    'RAVDESS: the folder with Actor_01/01-01-03-02-01-01-01.mp4 (modality, channel, '
    'emotion, intensity, statement, repetition, actor)'
)

#: The set's codes; 02, calm, is none of our labels.
_CALM = '02'
_LABELS = {
    '01': 'neutral',
    '03': 'happiness',
    '04': 'sadness',
    '05': 'anger',
    '06': 'fear',
    '07': 'disgust',
    '08': 'surprise',
}


def recognises(path: Path) -> bool:
    return path.is_dir() and any(path.glob('Actor_*'))


def recordings(path: Path) -> list[Recording]:
    """List the clips but the calm ones; of the pair with and without sound only one."""
    files = [
        file
        for actor in visible(path)
        if actor.match('Actor_*') and actor.is_dir()
        for file in visible(actor)
    ]
    warn_of_others(path, [file for file in files if not is_video(file)])
    clips = {}
    for file in filter(is_video, files):
        codes = file.stem.split('-')
        if len(codes) != 7 or codes[2] not in (*_LABELS, _CALM):
            raise DatasetError(f'{file} is not named with seven codes; expected {LAYOUT}')
        if codes[2] != _CALM:
            clips[tuple(codes[1:])] = Recording(
                name=file.stem, source=file, label=_LABELS[codes[2]], subject=file.parent.name
            )
    return list(clips.values())
