"""Faces of unknown people from the web, in the parts that their set is divided into."""

import os

from emotion_perception.datasets import load, Samples


def load_web_faces(path: str | os.PathLike[str], part: str) -> Samples:
    """Load the stills of one part, 'train' or 'valid'; all of a set that is not divided.

    :return: :class:`~emotion_perception.datasets.Samples`.
    :raises ValueError: when the set has parts, but not this one.
    """
    samples = load(path, 'stills')
    chosen = [sample for sample in samples if sample.part in (None, part)]
    if not chosen:
        raise ValueError(
            f'{path} has no part {part!r}, but '
            f'{", ".join(sorted({str(sample.part) for sample in samples}))}'
        )
    return Samples(samples.set_name, chosen, samples.without_face)
