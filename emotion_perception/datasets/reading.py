"""Read what a layout lists: stills and sequences, files and crops, into samples."""

from collections.abc import Callable, Iterable, Iterator
import csv
import io
from itertools import islice
from pathlib import Path
from types import ModuleType
import warnings

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from emotion_perception.crops import crop_face, fit_crop
from emotion_perception.datasets.sample import DatasetError, Recording, Sample, Samples
from emotion_perception.detection import FaceDetector
from emotion_perception.emotions import NEUTRAL, Roi
from emotion_perception.face_finder import FaceFinder
from emotion_perception.images import BitDepth, libraries_quiet
from emotion_perception.videos import USUAL_RATE, Video, VideoError

#: Of the colours that OpenCV makes BGR of, and of 8 or 16 bits.
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH


def read(layout: ModuleType, recordings: list[Recording], kind: str | None = None) -> Samples:
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
        recordings = [r for r in recordings if r.is_still] or [
            _apex(r) for r in recordings if r.neutral_to_apex
        ]
    elif kind == 'sequences':
        recordings = [r for r in recordings if not r.is_still]
    elif kind is not None:
        raise ValueError(f"kind is None, 'stills' or 'sequences', not {kind!r}")
    detector = None
    samples, without_face = [], []
    for recording in recordings:
        frames, stamps = _given_crop(recording, layout.LAYOUT), None
        if frames is None:
            detector = detector or FaceDetector()
            frames, stamps = _crops(recording, layout.LAYOUT, detector)
            if frames is None:
                without_face.append(recording.name)
                continue
        samples.append(
            Sample(
                name=recording.name,
                subject=recording.subject,
                label=recording.label,
                frames=frames,
                intensity=_intensity(recording, len(frames)),
                votes=recording.votes,
                fer2013_label=recording.fer2013_label,
                part=recording.part,
                stamps_ns=stamps,
                neutral_to_apex=recording.neutral_to_apex,
                groups=recording.groups,
            )
        )
    if without_face:
        warnings.warn(
            f'no face found in {len(without_face)} of {len(recordings)} (in half of the '
            'frames or more), which are left out: ' + ', '.join(without_face),
            stacklevel=3,
        )
    return Samples(layout.SET, samples, without_face)


def rows(path: Path, columns: Iterable[str], layout: str) -> Iterator[dict[str, str]]:
    """Read a table, one row after the other.

    :param path: a CSV file.
    :param columns: names that its header must have.
    :param layout: the layout's description for the error.
    :return: an iterator of dict, one a row.
    :raises DatasetError: when the file, a column or a cell is missing, or it is no table.
    """
    if not path.is_file():
        raise DatasetError(f'{path} is missing; expected {layout}')
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(f'{path} has no column {", ".join(missing)}; expected {layout}')
            for line, row in enumerate(reader, start=2):
                if any(row[name] is None for name in columns):
                    raise DatasetError(
                        f'{path}, line {line}: fewer cells than columns; expected {layout}'
                    )
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f'{path} cannot be read as a table: {error}; expected {layout}'
        ) from error


def read_image(path: Path, layout: str, depth: BitDepth | None = None) -> npt.NDArray[np.uint8]:
    """Read an image file as uint8 [H,W,3] BGR; DatasetError when that fails.

    As of a video, it is turned upright where the file (EXIF) says how.

    :param depth: :class:`BitDepth` of the sequence; None: this image of 16 bits is judged alone.
    """
    # Not by imread, which does not survive a name that is no UTF-8.
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except FileNotFoundError:
        raise DatasetError(f'{path} is missing; expected {layout}') from None
    except OSError as error:
        raise DatasetError(f'{path} cannot be read: {error.strerror}; expected {layout}') from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of what is large, or damaged
            PIL.Image.open(io.BytesIO(content.data)).close()
    except PIL.Image.DecompressionBombError as error:
        raise DatasetError(f'{path}: {error}; expected {layout}') from None
    except (OSError, SyntaxError):
        pass  # OpenCV reads more formats
    with libraries_quiet():
        image = cv2.imdecode(content, _AS_STORED) if content.size else None
    if image is None:
        raise DatasetError(f'{path} cannot be read as an image; expected {layout}')
    if image.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f'{path} holds {image.dtype}, not 8 or 16 bits; expected {layout}')
    if image.dtype == np.uint16:
        return (depth or BitDepth()).to_8_bits(np.asarray(image, np.uint16))
    return np.asarray(image, np.uint8)


def _apex(recording: Recording) -> Recording:
    assert isinstance(recording.source, list)  # of which it is the last
    fields = {
        name: getattr(recording, name)
        for name in ('name', 'label', 'subject', 'part', 'clockwise_turns')
    }
    return type(recording)(source=recording.source[-1:], intensity=1.0, **fields)


def _intensity(recording: Recording, frames: int) -> npt.NDArray[np.float32] | None:
    if recording.label == NEUTRAL:
        return np.zeros(frames, np.float32)
    if recording.intensity is None:
        return None
    return np.full(frames, recording.intensity, np.float32)


def frames_of_video(path: Path, layout: str) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Give stamp [ns] and image of each frame; DatasetError when it is no video."""
    try:
        with Video(path) as video:
            yield from video
    except VideoError as error:
        raise DatasetError(f'{error}; expected {layout}') from error


def _given_crop(recording: Recording, layout: str) -> npt.NDArray[np.uint8] | None:
    """Return the crop, uint8 [1,64,64,3], of what is one already, else None."""
    if isinstance(recording.source, np.ndarray):
        return fit_crop(recording.source)[np.newaxis]
    if recording.crop_side and isinstance(recording.source, list):
        image = read_image(recording.source[0], layout)
        if max(image.shape) <= recording.crop_side:
            return fit_crop(image)[np.newaxis]
    return None


def frames_of(recording: Recording, layout: str) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Give stamp [ns] and whole image of each frame, one after the other."""
    frames: Iterable[tuple[int, npt.NDArray[np.uint8]]]
    if isinstance(recording.source, list):
        interval_ns = 1e9 / (recording.rate or USUAL_RATE)
        depth = BitDepth()
        frames = (
            (round(number * interval_ns), read_image(path, layout, depth))
            for number, path in enumerate(recording.source)
        )
    else:
        assert isinstance(recording.source, Path)  # not a crop, which has no frames
        frames = frames_of_video(recording.source, layout)
    for stamp, image in frames:
        yield stamp, np.ascontiguousarray(np.rot90(image, -recording.clockwise_turns))


def _regions_of(
    recording: Recording,
    detector: FaceDetector,
) -> Callable[[npt.NDArray[np.uint8], int], Roi | None]:
    """Return the function of grey frame and stamp to the largest face's region.

    It is called with one frame after the other, and finds that face as the node does.
    """
    if recording.is_still:
        return lambda gray, stamp: next(iter(detector.detect(gray)), None)
    finder = FaceFinder(detector, track_mode='nearest')

    def region(gray: npt.NDArray[np.uint8], stamp: int) -> Roi | None:
        tracks = finder.update(gray, stamp)
        height, width = gray.shape
        return tracks[0].box.roi(width, height) if tracks else None

    return region


def _crops(
    recording: Recording,
    layout: str,
    detector: FaceDetector,
) -> tuple[npt.NDArray[np.uint8] | None, npt.NDArray[np.int64] | None]:
    """Crop one face a frame.

    Frames keep their places in the sequence: one without a face is cropped where the face was
    seen last, or at the beginning, where it is seen first. To that end the beginning is read
    again: no whole frame is kept, however long it takes until a face is seen.

    :return: the crops, uint8 [n,64,64,3], or None when less than half of the frames show a face;
        their stamps, int64 [n], or None where they are not known.
    """
    region_of = _regions_of(recording, detector)
    crops: list[npt.NDArray[np.uint8]] = []
    stamps: list[int] = []
    first: Roi | None = None
    last: Roi | None = None
    seen = 0
    for stamp, image in frames_of(recording, layout):
        stamps.append(stamp)
        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        region = region_of(gray, stamp)
        seen += region is not None
        first, last = first or region, region or last
        if last is not None:
            crops.append(crop_face(image, last))
    if first is None or 2 * seen < len(stamps):
        return None, None
    early = [
        crop_face(image, first)
        for _, image in islice(frames_of(recording, layout), len(stamps) - len(crops))
    ]
    knows_times = not recording.is_still and (recording.rate or isinstance(recording.source, Path))
    return np.stack(early + crops), np.array(stamps, np.int64) if knows_times else None
