"""The files of a data set's folders: in order, and without what is no picture and no clip."""

from collections.abc import Iterable
from pathlib import Path
import re
import warnings

from emotion_perception.videos import SUFFIXES

#: Suffixes of the pictures that OpenCV reads.
PICTURES = (
    '.jpg',
    '.jpeg',
    '.jpe',
    '.jp2',
    '.png',
    '.bmp',
    '.dib',
    '.tif',
    '.tiff',
    '.webp',
    '.pgm',
    '.ppm',
    '.pbm',
    '.pnm',
    '.gif',
    '.avif',
)

#: Names in one warning.
_NAMED = 10


def is_picture(path: Path) -> bool:
    """Tell whether a file is named like a picture; ``._NAME``, which macOS leaves, is none."""
    return _is_named(path, PICTURES)


def is_video(path: Path) -> bool:
    """Tell whether a file is named like a video."""
    return _is_named(path, SUFFIXES)


def visible(folder: Path) -> list[Path]:
    """List what a folder holds but hidden files, ordered by :func:`by_number`."""
    return sorted(
        (path for path in folder.iterdir() if not path.name.startswith('.')), key=by_number
    )


def pictures(folder: Path) -> list[Path]:
    """List the pictures of a folder in their order; what else it holds is for the caller to say."""
    return [path for path in visible(folder) if is_picture(path)] if folder.is_dir() else []


def by_number(path: Path) -> tuple[list[str | int], str]:
    """Return a key to sort paths by: numbers in their names count as such, 2.jpg before 10.jpg."""
    parts = re.split(r'(\d+)', str(path))
    return [int(part) if part.isdecimal() else part for part in parts], str(path)


def warn_of_others(path: Path, others: Iterable[Path]) -> None:
    """Warn, once, of what was left out of a data set because it is no picture and no clip.

    :param path: the data set.
    :param others: what was left out.
    """
    names = sorted({other.name for other in others})
    if names:
        rest = f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''
        warnings.warn(
            f'{path}: neither picture nor clip of this layout, left out: '
            f'{", ".join(names[:_NAMED])}{rest}',
            stacklevel=2,
        )


def _is_named(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes and not path.name.startswith('.') and path.is_file()
