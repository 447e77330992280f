"""Oulu-CASIA NIR&VIS, visible light and strong illumination."""

from pathlib import Path

from emotion_perception.datasets.files import by_number, pictures, visible, warn_of_others
from emotion_perception.datasets.sample import DatasetError, label_of, Recording

SET = 'oulu_casia'
LAYOUT = 'Oulu-CASIA: the folder with VL/Strong/P001/Anger/000.jpeg'

#: Frames per second at which it was recorded.
_RATE = 25.0


def recognises(path: Path) -> bool:
    return (path / 'VL').is_dir()


def recordings(path: Path) -> list[Recording]:
    if not (path / 'VL' / 'Strong').is_dir():
        raise DatasetError(f'{path / "VL" / "Strong"} is missing; expected {LAYOUT}')
    listed: list[Recording] = []
    others: list[Path] = []
    for folder in sorted(path.glob('VL/Strong/P*/[!.]*/'), key=by_number):
        subject, expression = folder.parts[-2:]
        images = pictures(folder)
        if not images:
            raise DatasetError(f'{folder} holds no image; expected {LAYOUT}')
        listed.append(
            Recording(
                name=f'{subject}_{expression}',
                source=images,
                subject=subject,
                rate=_RATE,
                label=label_of(expression, folder, LAYOUT),
                neutral_to_apex=True,
            )
        )
        others += set(visible(folder)) - set(images)
    warn_of_others(path, others)
    return listed
