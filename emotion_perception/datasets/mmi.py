"""MMI facial expression database."""

from pathlib import Path
from xml.etree import ElementTree

from emotion_perception.datasets.files import by_number
from emotion_perception.datasets.reading import frames_of_video
from emotion_perception.datasets.sample import DatasetError, Recording

SET = 'mmi'
LAYOUT = (
    'MMI: the folder with Sessions/NUMBER/ of session.xml (view of the track), '
    'S001-100.avi and S001-100.xml (Metatag Emotion)'
)

#: The database's codes; those from 7 on are no basic emotions.
_LABELS = {
    '1': 'anger',
    '2': 'disgust',
    '3': 'fear',
    '4': 'happiness',
    '5': 'sadness',
    '6': 'surprise',
}
_PROFILE = '1'
_FRONTAL = '0'
#: Rows of the frontal videos that were recorded with the camera on its side.
_LYING_HEIGHT = 576


def recognises(path: Path) -> bool:
    return (path / 'Sessions').is_dir()


def recordings(path: Path) -> list[Recording]:
    """List the sessions with one of the six emotions, except those seen from the side.

    They run from neutral over the apex back to neutral.
    """
    listed = []
    for folder in sorted(path.glob('Sessions/[!.]*/'), key=by_number):
        view = _root(folder / 'session.xml').find('.//track')
        for annotation in sorted(folder.glob('S*-*.xml'), key=by_number):
            if annotation.stem.endswith('-oao_aucs'):  # action units
                continue
            emotion = _root(annotation).find(".//Metatag[@Name='Emotion']")
            code = None if emotion is None else emotion.get('Value')
            if code not in _LABELS:
                continue
            if view is not None and view.get('view') == _PROFILE:
                continue
            video = annotation.with_suffix('.avi')
            if not video.is_file():
                raise DatasetError(f'{video} is missing; expected {LAYOUT}')
            lying = view is not None and view.get('view') == _FRONTAL and _lies(video)
            listed.append(
                Recording(
                    name=annotation.stem,
                    source=video,
                    label=_LABELS[code],
                    subject=annotation.stem.split('-')[0],
                    clockwise_turns=int(lying),
                )
            )
    return listed


def _root(file: Path) -> ElementTree.Element:
    if not file.is_file():
        raise DatasetError(f'{file} is missing; expected {LAYOUT}')
    try:
        return ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise DatasetError(f'{file} is not XML: {error}; expected {LAYOUT}') from error


def _lies(video: Path) -> bool:
    _, image = next(frames_of_video(video, LAYOUT))
    return len(image) == _LYING_HEIGHT
