"""FER2013 as folders of pictures, as it is often passed on."""

from dataclasses import replace
from pathlib import Path
import re

from emotion_perception.datasets import labelled_pictures
from emotion_perception.datasets.fer2013 import PARTS, SIDE
from emotion_perception.datasets.reading import read_image
from emotion_perception.datasets.sample import Recording

SET = 'fer2013'
LAYOUT = 'FER2013 as pictures of 48x48: train/angry/*.jpg, test/..., or one of these parts'

_NAME = re.compile(f'({"|".join(PARTS)})_')


def recognises(path: Path) -> bool:
    picture = labelled_pictures.first_picture(path)
    return (
        picture is not None
        and (labelled_pictures.has_parts(path) or _NAME.match(picture.name) is not None)
        and read_image(picture, LAYOUT).shape == (SIDE, SIDE, 3)
    )


def recordings(path: Path) -> list[Recording]:
    """List the pictures; the part is that of the name, or else of the folder.

    The copy that most people have puts both PublicTest and PrivateTest into the folder test.
    """
    listed = []
    for recording in labelled_pictures.recordings_of(path, LAYOUT):
        match = _NAME.match(Path(recording.name).name)
        listed.append(
            replace(
                recording,
                fer2013_label=recording.label,
                part=PARTS[match[1]] if match else recording.part,
            )
        )
    return listed
