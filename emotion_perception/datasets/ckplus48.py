"""CK+48: the last frames of CK+'s sequences as small pictures, in a folder for each label."""

from dataclasses import replace
from pathlib import Path
import re

from emotion_perception.datasets import labelled_pictures
from emotion_perception.datasets.sample import Recording

SET = 'ckplus'
LAYOUT = 'CK+48: anger/S010_004_00000017.png and so on (subject, sequence, frame)'

_NAME = re.compile(r'(S\d{3})_\d{3}_\d+')


def recognises(path: Path) -> bool:
    picture = labelled_pictures.first_picture(path)
    return picture is not None and _NAME.fullmatch(picture.stem) is not None


def recordings(path: Path) -> list[Recording]:
    """List the pictures; their names tell the subject."""
    listed = []
    for recording in labelled_pictures.recordings_of(path, LAYOUT):
        match = _NAME.fullmatch(Path(recording.name).stem)
        listed.append(replace(recording, subject=match[1] if match else None))
    return listed
