"""Read what a layout lists: stills and sequences, files and crops, into samples."""
import csv
import warnings
from itertools import count

import cv2
import numpy as np

from emotion_perception.crops import crop_face, fit_crop
from emotion_perception.datasets.sample import DatasetError, Sample, Samples
from emotion_perception.detection import FaceDetector
from emotion_perception.emotions import NEUTRAL
from emotion_perception.face_finder import FaceFinder

#: Frames per second that the tracker is told where a set does not say.
_USUAL_RATE = 30.0


def read(layout, recordings, kind=None):
    """Read recordings and crop their faces.

    :param layout: the module of their data set, with ``SET`` and ``LAYOUT``.
    :param recordings: list of :class:`Recording`.
    :param kind: None for all of them; 'stills' for single images, and the last frame of a
        set's neutral-to-apex sequences if it has no single images; 'sequences' for sequences.
    :return: :class:`Samples`. Recordings in less than half of whose frames a face was found
        are left out, listed in ``without_face`` and warned of.
    :raises DatasetError: when an image or a video cannot be read; names the file.
    """
    if kind == 'stills':
        recordings = [r for r in recordings if r.is_still] or \
            [_apex(r) for r in recordings if r.neutral_to_apex]
    elif kind == 'sequences':
        recordings = [r for r in recordings if not r.is_still]
    elif kind is not None:
        raise ValueError(f"kind is None, 'stills' or 'sequences', not {kind!r}")
    detector = None
    samples, without_face = [], []
    for recording in recordings:
        rate = recording.rate
        if isinstance(recording.source, np.ndarray):
            frames = fit_crop(recording.source)[np.newaxis]
        else:
            detector = detector or FaceDetector()
            images, rate = _images(recording, layout.LAYOUT)
            frames = _crops(images, _regions_of(recording, rate, detector))
            if frames is None:
                without_face.append(recording.name)
                continue
        samples.append(Sample(
            name=recording.name, subject=recording.subject, label=recording.label,
            frames=frames, intensity=_intensity(recording, len(frames)), votes=recording.votes,
            fer2013_label=recording.fer2013_label, part=recording.part, rate=rate,
            neutral_to_apex=recording.neutral_to_apex))
    if without_face:
        warnings.warn(f'no face found in {len(without_face)} of {len(recordings)} (in half of the '
                      'frames or more), which are left out: ' + ', '.join(without_face),
                      stacklevel=3)
    return Samples(layout.SET, samples, without_face)


def rows(path, columns, layout):
    """Read a table.

    :param path: a CSV file.
    :param columns: names that its header must have.
    :param layout: the layout's description for the error.
    :return: list of dict, one a row.
    :raises DatasetError: when the file, a column or a cell is missing, or it is no table.
    """
    if not path.is_file():
        raise DatasetError(f'{path} is missing; expected {layout}')
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(f'{path} has no column {", ".join(missing)}; '
                                   f'expected {layout}')
            listed = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f'{path} cannot be read as a table: {error}; '
                           f'expected {layout}') from error
    for line, row in enumerate(listed, start=2):
        if any(row[name] is None for name in columns):
            raise DatasetError(f'{path}, line {line}: fewer cells than columns; '
                               f'expected {layout}')
    return listed


def read_image(path, layout):
    """Read an image file as uint8 [H,W,3] BGR; DatasetError when that fails."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        found = 'cannot be read as an image' if path.is_file() else 'is missing'
        raise DatasetError(f'{path} {found}; expected {layout}')
    return image


def _apex(recording):
    fields = {name: getattr(recording, name)
              for name in ('name', 'label', 'subject', 'part', 'clockwise_turns')}
    return type(recording)(source=recording.source[-1:], intensity=1.0, **fields)


def _intensity(recording, frames):
    if recording.label == NEUTRAL:
        return np.zeros(frames, np.float32)
    if recording.intensity is None:
        return None
    return np.full(frames, recording.intensity, np.float32)


def _images(recording, layout):
    """Return an iterator over the whole frames of a recording, and their rate."""
    if isinstance(recording.source, list):
        images, rate = (read_image(path, layout) for path in recording.source), recording.rate
    else:
        images, rate = _read_video(recording.source, layout)
    if recording.clockwise_turns:
        images = (np.ascontiguousarray(np.rot90(image, -recording.clockwise_turns))
                  for image in images)
    return images, rate


def _read_video(path, layout):
    video = cv2.VideoCapture(str(path))
    rate = video.get(cv2.CAP_PROP_FPS)
    read, first = video.read()
    if not read:
        raise DatasetError(f'{path} cannot be read as a video; expected {layout}')

    def images():
        image, more = first, True
        while more:
            yield image
            more, image = video.read()

    return images(), rate if rate > 0 else None


def _regions_of(recording, rate, detector):
    """Return the function of one grey frame after the other to the largest face's region or None.

    It finds that face as the node does.
    """
    if recording.is_still:
        return lambda gray: next(iter(detector.detect(gray)), None)
    finder, stamps = FaceFinder(detector, track_mode='nearest'), count()

    def region(gray):
        tracks = finder.update(gray, round(next(stamps) * 1e9 / (rate or _USUAL_RATE)))
        return tracks[0].box.roi(*gray.shape[::-1]) if tracks else None

    return region


def _crops(images, region_of):
    """Crop one face a frame, uint8 [n,64,64,3]; None when less than half of them show one.

    Frames keep their places in the sequence: one without a face is cropped where the face was
    seen last, or at the beginning, where it is seen first. Whole frames are held no longer.
    """
    crops, waiting, last, seen = [], [], None, 0
    for image in images:
        region = region_of(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
        seen += region is not None
        last = region or last
        waiting.append(image)
        if last is not None:
            crops += [crop_face(frame, last) for frame in waiting]
            waiting.clear()
    return np.stack(crops) if seen and 2 * seen >= len(crops) else None
