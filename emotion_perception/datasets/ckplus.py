"""CK+, the Extended Cohn-Kanade set, as its authors give it."""

from pathlib import Path

from emotion_perception.datasets.files import by_number, pictures, visible, warn_of_others
from emotion_perception.datasets.sample import DatasetError, Recording

SET = 'ckplus'
LAYOUT = (
    'CK+: the folder with cohn-kanade-images/S005/001/S005_001_00000001.png and '
    'Emotion/S005/001/S005_001_00000011_emotion.txt'
)

#: The set's codes 0 to 7.
_LABELS = ('neutral', 'anger', 'contempt', 'disgust', 'fear', 'happiness', 'sadness', 'surprise')
#: Frames per second at which it was recorded.
RATE = 30.0


def recognises(path: Path) -> bool:
    return (path / 'cohn-kanade-images').is_dir()


def recordings(path: Path) -> list[Recording]:
    """List the sequences that CK+ gives an emotion for (327 of its 593)."""
    if not (path / 'Emotion').is_dir():
        raise DatasetError(f'{path / "Emotion"} is missing; expected {LAYOUT}')
    listed: list[Recording] = []
    others: list[Path] = []
    for file in sorted(path.glob('Emotion/[!.]*/[!.]*/[!.]*_emotion.txt'), key=by_number):
        subject, number = file.parts[-3:-1]
        folder = path / 'cohn-kanade-images' / subject / number
        images = pictures(folder)
        if not images:
            raise DatasetError(f'{folder} holds no image, but {file} labels it; expected {LAYOUT}')
        listed.append(
            Recording(
                name=f'{subject}_{number}',
                source=images,
                label=_label(file),
                subject=subject,
                rate=RATE,
                neutral_to_apex=True,
            )
        )
        others += set(visible(folder)) - set(images)
    warn_of_others(path, others)
    return listed


def _label(file: Path) -> str:
    try:
        return _LABELS[int(float(file.read_text()))]
    except (ValueError, IndexError) as error:
        raise DatasetError(f'{file} does not hold a code from 0 to 7; expected {LAYOUT}') from error
