"""Recognise the layout of a data set and load it."""

import os
from pathlib import Path
from types import ModuleType

from emotion_perception.datasets import (
    ckplus,
    ckplus48,
    clips,
    fer2013,
    fer2013_pictures,
    ferplus,
    jaffe,
    labelled_pictures,
    mmi,
    oulu_casia,
    packed_ckplus,
    packed_ferplus,
    packed_jaffe,
    packed_london,
    packed_webfaces,
    ravdess,
)
from emotion_perception.datasets.reading import read
from emotion_perception.datasets.sample import DatasetError, SAMPLE_LABELS, Samples

#: Each has ``SET`` (which data set it is), ``LAYOUT`` (a description), ``recognises(path)`` and
#: ``recordings(path)``; what several would take goes to the first.
_LAYOUTS = (
    packed_ferplus,
    packed_ckplus,
    packed_webfaces,
    packed_jaffe,
    packed_london,
    ferplus,
    fer2013,
    ckplus,
    jaffe,
    mmi,
    oulu_casia,
    ravdess,
    ckplus48,
    fer2013_pictures,
    labelled_pictures,
    clips,
)


def load(path: str | os.PathLike[str], kind: str | None = None) -> Samples:
    """Load a data set; its layout is recognised.

    :param path: folder or file.
    :param kind: None for all that it holds, 'stills' or 'sequences'. The stills of a set that
        has neutral-to-apex sequences only are their last frames.
    :return: :class:`~emotion_perception.datasets.Samples`, a list of
        :class:`~emotion_perception.datasets.Sample`. What is left out because no face was
        found is warned of and stands in its ``without_face``.
    :raises DatasetError: when no layout fits, when a file is missing or cannot be read, when
        no sample of that kind or no face is found.
    """
    path = Path(os.path.expanduser(path))
    layout = layout_of(path)
    recordings = layout.recordings(path)
    if not recordings:
        raise DatasetError(f'{path} holds no labelled face; expected {layout.LAYOUT}')
    samples = read(layout, recordings, kind)
    if not samples:
        found = 'shows no face that was found' if samples.without_face else f'holds no {kind}'
        raise DatasetError(f'{path} {found}; it was read as {layout.LAYOUT}')
    return samples


def layout_of(path: Path) -> ModuleType:
    """Return the module of the layout that a data set has.

    :raises DatasetError: when there is nothing, or it has none of the known layouts.
    """
    if not path.exists():
        raise DatasetError(f'{path} does not exist')
    for layout in _LAYOUTS:
        if layout.recognises(path):
            return layout
    clip = clips.unlabelled(path)
    if clip:
        raise DatasetError(
            f'{path}: labels are missing: {clip}; expected '
            'FOLDER/<label>/<person>_<any>.mp4, <label> being one of '
            f'{", ".join(SAMPLE_LABELS)}'
        )
    known = '\n'.join(f'  {layout.LAYOUT}' for layout in _LAYOUTS)
    raise DatasetError(f'{path} has none of the known layouts, which are\n{known}')
