"""FER+ as one NumPy archive: images, votes and the FER2013 label of the same image."""

from pathlib import Path

from emotion_perception.datasets.archive import arrays, names_in
from emotion_perception.datasets.sample import (
    DatasetError,
    label_of,
    majority_label,
    Recording,
    VOTE_NAMES,
)

SET = 'fer2013'
LAYOUT = 'packed FER+: NAME.npz with images [n,48,48], votes [n,10], fer2013_label, name'


def recognises(path: Path) -> bool:
    return 'votes' in names_in(path)


def recordings(path: Path) -> list[Recording]:
    data = arrays(path, ('images', 'votes', 'fer2013_label', 'name'), LAYOUT)
    votes = data['votes']
    if votes.shape[1] != len(VOTE_NAMES) or votes.min(initial=0) < 0:
        raise DatasetError(
            f'{path}: votes are {list(votes.shape)} from {votes.min(initial=0)} on, not '
            f'{len(VOTE_NAMES)} counts a row; expected {LAYOUT}'
        )
    return [
        Recording(
            name=name,
            source=image,
            votes=votes,
            label=majority_label(votes),
            fer2013_label=label_of(label, path, LAYOUT),
            part=path.stem,
        )
        for name, image, votes, label in zip(
            data['name'].tolist(), data['images'], data['votes'], data['fer2013_label'].tolist()
        )
    ]
