"""Read NumPy archives, the packed form of a data set."""
from zipfile import BadZipFile

import numpy as np

from emotion_perception.datasets.sample import DatasetError


def names_in(path):
    """Return the set of array names in an ``.npz`` file; DatasetError when it is none."""
    try:
        with np.load(path) as data:
            return set(data.files)
    except (BadZipFile, ValueError, EOFError, OSError) as error:
        raise DatasetError(f'{path} cannot be read as a NumPy archive: {error}') from error


def arrays(path, names, layout):
    """Return the named arrays of an ``.npz`` file; DatasetError names those that are missing."""
    with np.load(path) as data:
        missing = [name for name in names if name not in data.files]
        if missing:
            raise DatasetError(f'{path} has no array {", ".join(missing)}; expected {layout}')
        return {name: data[name] for name in names}
