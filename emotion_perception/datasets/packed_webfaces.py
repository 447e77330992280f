"""Labelled face crops as one NumPy archive."""

from pathlib import Path

from emotion_perception.datasets.archive import arrays, names_in
from emotion_perception.datasets.sample import label_of, Recording

SET = 'webfaces'
LAYOUT = 'packed faces: NAME.npz with images [n,h,w], label, name'


def recognises(path: Path) -> bool:
    return 'label' in names_in(path)


def recordings(path: Path) -> list[Recording]:
    data = arrays(path, ('images', 'label', 'name'), LAYOUT)
    return [
        Recording(name=name, source=image, label=label_of(label, path, LAYOUT))
        for name, image, label in zip(data['name'].tolist(), data['images'], data['label'].tolist())
    ]
