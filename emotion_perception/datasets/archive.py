"""Read NumPy archives, the packed form of a data set."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
import zlib

import numpy as np
import numpy.typing as npt

from emotion_perception.datasets.sample import DatasetError

#: Arrays that hold numbers; all others hold text.
_NUMBERS = ('images', 'votes', 'frame')


def names_in(path: Path) -> set[str]:
    """Return the set of array names in an ``.npz`` file; DatasetError when it is none."""
    try:
        with np.load(path) as data:
            return set(data.files)
    except (BadZipFile, ValueError, EOFError, OSError) as error:
        raise DatasetError(f'{path} cannot be read as a NumPy archive: {error}') from error


def arrays(path: Path, names: Iterable[str], layout: str) -> dict[str, npt.NDArray[Any]]:
    """Return the named arrays of an ``.npz`` file, one row a face in each.

    :raises DatasetError: when one is missing, cannot be read, has rows more or less than the
        others or numbers for text, or when ``images`` are not uint8 [n,h,w]; names the file and
        the layout.
    """
    missing = set(names) - names_in(path)
    if missing:
        raise DatasetError(f'{path} has no array {", ".join(sorted(missing))}; expected {layout}')
    try:
        with np.load(path) as data:
            found = {name: data[name] for name in names}
    except (BadZipFile, zlib.error, ValueError, EOFError, OSError) as error:
        raise DatasetError(f'{path} cannot be read: {error}; expected {layout}') from error
    images = found['images']
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DatasetError(
            f'{path}: images are {images.dtype} {list(images.shape)}, not uint8 '
            f'[n,h,w]; expected {layout}'
        )
    for name, array in found.items():
        if array.dtype.kind not in ('iuf' if name in _NUMBERS else 'U'):
            kind = 'numbers' if name in _NUMBERS else "text, such as 'happiness' for a label"
            raise DatasetError(f'{path}: {name} is {array.dtype}, not {kind}; expected {layout}')
        if array.shape[:1] != images.shape[:1]:
            raise DatasetError(
                f'{path}: {name} is {list(array.shape)}, but there are '
                f'{len(images)} images; expected {layout}'
            )
    return found
