"""Read NumPy archives, the packed form of a data set."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile
import zlib

import numpy as np
import numpy.typing as npt

from emotion_perception.datasets.sample import DatasetError

#: Arrays that hold whole numbers, and how many dimensions they have; all others hold a text a row.
_NUMBERS = {'images': 3, 'votes': 2, 'frame': 1}

#: What NumPy and zipfile raise on files that are damaged, or not theirs.
_DAMAGE = (
    BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
)


def names_in(path: Path) -> set[str]:
    """Return the set of array names in an ``.npz`` file, empty for another file.

    :raises DatasetError: when it is named so, and is none.
    """
    if path.suffix.lower() != '.npz':
        return set()
    try:
        with _opened(path) as data:
            return set(data.files)
    except _DAMAGE as error:
        raise DatasetError(f'{path} cannot be read as a NumPy archive: {_reason(error)}') from error


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
        with _opened(path) as data:
            found = {name: np.asanyarray(data[name]) for name in names}
    except _DAMAGE as error:
        raise DatasetError(f'{path} cannot be read: {_reason(error)}; expected {layout}') from error
    images = found['images']
    if images.dtype != np.uint8 or images.ndim != _NUMBERS['images'] or 0 in images.shape[1:]:
        raise DatasetError(
            f'{path}: images are {images.dtype} {list(images.shape)}, not uint8 '
            f'[n,h,w]; expected {layout}'
        )
    for name, array in found.items():
        if array.dtype.kind not in ('iu' if name in _NUMBERS else 'U'):
            kind = 'whole numbers' if name in _NUMBERS else "text, such as 'happiness' for a label"
            raise DatasetError(f'{path}: {name} is {array.dtype}, not {kind}; expected {layout}')
        if array.ndim != _NUMBERS.get(name, 1) or len(array) != len(images):
            raise DatasetError(
                f'{path}: {name} is {list(array.shape)}, but there are '
                f'{len(images)} images; expected {layout}'
            )
    return found


def _opened(path: Path) -> Any:
    data = np.load(path)
    if isinstance(data, np.lib.npyio.NpzFile):
        return closing(data)
    raise ValueError('it is a single array (.npy); np.savez writes archives')


def _reason(error: BaseException) -> str:
    if 'pickle' in str(error):
        return 'it holds Python objects, which are not loaded: save uint8 and text (dtype U)'
    return str(error) or type(error).__name__
