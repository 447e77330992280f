"""Single pictures in folders that are named by their labels."""

from collections.abc import Iterator
from pathlib import Path

from emotion_perception.datasets.clips import source_of
from emotion_perception.datasets.files import is_picture, visible, warn_of_others
from emotion_perception.datasets.sample import is_label, label_of, Recording, SAMPLE_LABELS

SET = 'pictures'
LAYOUT = (
    'pictures: FOLDER/LABEL/*.jpg (*.png, ...) or FOLDER/PART/LABEL/*.jpg, LABEL being one '
    f'of {", ".join(SAMPLE_LABELS)}, PART train, valid or test; '
    'a small picture, as of 48x48 pixels, is taken for the crop of a face'
)

#: Pixels of the sides up to which a picture is a crop: beside a face that is large enough to be
#: found, there is no room in it for much else.
CROP_SIDE = 112

_PARTS = {
    'train': 'train',
    'training': 'train',
    'val': 'valid',
    'valid': 'valid',
    'validation': 'valid',
    'publictest': 'valid',
    'test': 'test',
    'privatetest': 'test',
}


def recognises(path: Path) -> bool:
    inside = [file for folder in _label_folders(path) for file in visible(folder)]
    return any(map(is_picture, inside)) and not any(map(source_of, inside))


def recordings(path: Path) -> list[Recording]:
    return list(recordings_of(path, LAYOUT))


def recordings_of(path: Path, layout: str) -> Iterator[Recording]:
    """List the pictures with label and part, and warn of what else there is.

    :param layout: its description for errors.
    :raises DatasetError: when a folder with pictures is named by no label.
    """
    others: list[Path] = []
    for parent in _parents(path):
        for folder in visible(parent):
            inside = visible(folder) if folder.is_dir() else []
            pictures = list(filter(is_picture, inside))
            others += set(inside) - set(pictures) if pictures else [folder]
            for picture in pictures:
                yield Recording(
                    name=str(picture.relative_to(path)),
                    source=[picture],
                    crop_side=CROP_SIDE,
                    label=label_of(folder.name, folder, layout),
                    part=_PARTS.get(parent.name.lower()),
                )
    warn_of_others(path, others)


def first_picture(path: Path) -> Path | None:
    """Return the first picture of what is such a layout; None for what is none."""
    if not recognises(path):
        return None
    return next(
        file for folder in _label_folders(path) for file in visible(folder) if is_picture(file)
    )


def has_parts(path: Path) -> bool:
    """Tell whether it is divided into parts, or is one."""
    return all(parent.name.lower() in _PARTS for parent in _parents(path))


def _label_folders(path: Path) -> list[Path]:
    return [folder for parent in _parents(path) for folder in visible(parent) if is_label(folder)]


def _parents(path: Path) -> list[Path]:
    """Return the folders that hold the folders of labels, or would."""
    if not path.is_dir():
        return []
    return [
        folder for folder in visible(path) if folder.is_dir() and folder.name.lower() in _PARTS
    ] or [path]
