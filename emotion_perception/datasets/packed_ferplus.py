"""FER+ as one NumPy archive: images, votes and the FER2013 label of the same image."""

from pathlib import Path

from emotion_perception.datasets.archive import arrays, names_in
from emotion_perception.datasets.sample import DatasetError, majority_label, Recording, VOTE_NAMES

SET = 'fer2013'
LAYOUT = 'packed FER+: NAME.npz with images [n,48,48], votes [n,10], fer2013_label, name'


def recognises(path: Path) -> bool:
    return path.suffix == '.npz' and 'votes' in names_in(path)


def recordings(path: Path) -> list[Recording]:
    data = arrays(path, ('images', 'votes', 'fer2013_label', 'name'), LAYOUT)
    if data['votes'].shape[1:] != (len(VOTE_NAMES),):
        raise DatasetError(f'{path}: votes are {list(data["votes"].shape)}; expected {LAYOUT}')
    return [
        Recording(
            name=name,
            source=image,
            votes=votes,
            label=majority_label(votes),
            fer2013_label=label,
            part=path.stem,
        )
        for name, image, votes, label in zip(
            data['name'].tolist(), data['images'], data['votes'], data['fer2013_label'].tolist()
        )
    ]
