"""The walk of an image: find faces, follow them, crop, encode, keep, classify. No ROS.

The only file that knows all the others; everything that it does is deterministic, so the same
images and stamps give the same results, live or from a recording.
"""
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
import os
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception import options as option_table
from emotion_perception.crops import crop_face
from emotion_perception.detection import FaceDetector
from emotion_perception.emotions import LABELS, FaceEmotion, TrackState
from emotion_perception.face_finder import FaceFinder
from emotion_perception.labels import confidence_of
from emotion_perception.recognition import load_model
from emotion_perception.sequence import FaceSequence
from emotion_perception.temporal import FACE
from emotion_perception.tracking import Track

#: [ns] An image whose stamp lies less than this before the last one's is late, and left out ...
LATE_NS = 500_000_000

#: ... until so many in a row were: then the stream has begun anew.
LATE_IN_A_ROW = 5


#: The name of a camera, an image of it, uint8 [H,W,3] BGR, and the image's stamp [ns].
CameraImage = tuple[str, npt.NDArray[np.uint8], int]


@dataclass
class _Camera:
    """What is remembered of one camera."""

    finder: FaceFinder
    last_stamp: int | None = None
    sequences: dict[int, FaceSequence] = field(default_factory=dict)  # by track id
    restarts: int = 0       # for a stamp that jumped back
    late: int = 0           # images left out, for a stamp a little before the last one
    late_in_a_row: int = 0

    def restart(self) -> None:
        self.finder.restart()
        self.sequences = {}
        self.last_stamp = None
        self.late_in_a_row = 0

    def takes(self, stamp_ns: int) -> bool:
        """Take the next image's stamp; return False where the image is to be left out."""
        if self.last_stamp is not None and stamp_ns < self.last_stamp:
            if (self.last_stamp - stamp_ns < LATE_NS and self.late_in_a_row < LATE_IN_A_ROW):
                self.late += 1
                self.late_in_a_row += 1
                return False
            self.restart()
            self.restarts += 1
        self.late_in_a_row = 0
        self.last_stamp = stamp_ns
        return True


class EmotionPipeline:
    """Images in, emotions out, for any number of cameras.

    :param model: path of a model description; None for the model that comes with the package.
    :param options: any of :data:`emotion_perception.options.OPTIONS`.
    :raises ValueError: for a wrong option or a model that does not fit this version.
    :raises FileNotFoundError: when the model or the face cascade is missing.

    Not thread-safe: one thread at a time.
    """

    def __init__(self, model: str | os.PathLike[str] | None = None,
                 **options: bool | int | float | str) -> None:
        self._options = option_table.checked(options)
        self._model = load_model(model, self._options['threads'])
        self._cameras: dict[str, _Camera] = {}
        self._new_finder()      # a missing cascade is told of now, not with the first image
        self._pool = ThreadPoolExecutor(self._options['threads'])
        #: Seconds that each stage of the last batch took, by the stage's name.
        self.timings: dict[str, float] = {}

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the encoder file in use, hexadecimal."""
        return self._model.sha256

    @property
    def model_name(self) -> str:
        """Name of the model in use, as its description gives it."""
        name: str = self._model.description['name']
        return name

    @property
    def trained_on(self) -> dict[str, list[str]]:
        """People (or parts of sets) that the model in use was trained on, {set name: list}."""
        return self._model.trained_on

    def process(self, image: npt.NDArray[np.uint8], stamp_ns: int,
                camera: str = 'camera') -> list[FaceEmotion]:
        """Process the next image of one camera.

        :param image: uint8 [H,W,3], BGR.
        :param stamp_ns: when the image was taken, integer nanoseconds. An image less than half a
            second older than the camera's last one is late: it is counted and left out. An
            earlier stamp, or a sixth late image in a row (a recording that begins again),
            forgets the camera's faces. So do a gap of more than max_coast_seconds and an image
            of another size.
        :param camera: any name; each camera has its own tracks and ids.
        :return: list of :class:`~emotion_perception.emotions.FaceEmotion`, in order of id; empty
            for a late image.
        :raises ValueError: when the image is not uint8 [H,W,3] with at least one pixel.
        """
        return self.process_batch([(camera, image, stamp_ns)])[0] or []

    def process_batch(self, batch: Sequence[CameraImage]) -> list[list[FaceEmotion] | None]:
        """Process one image of each of several cameras; all faces are encoded together.

        :param batch: list of ``(camera, image, stamp_ns)``, each camera at most once.
        :return: for each item in order, what :meth:`process` returns; None for a late image.
        :raises ValueError: before anything is processed, if any item is wrong.
        """
        if len({camera for camera, _, _ in batch}) != len(batch):
            raise ValueError('a batch holds at most one image of each camera')
        for camera, image, _ in batch:
            _check_image(camera, image)
        self.timings = dict.fromkeys(('detection', 'crop', 'encoding', 'head'), 0.0)

        start = perf_counter()
        items, batch = batch, []
        for camera, image, stamp_ns in items:
            if camera not in self._cameras:
                self._cameras[camera] = _Camera(self._new_finder())
            if self._cameras[camera].takes(stamp_ns):
                batch.append((camera, image, stamp_ns))
        # One camera is not worth the way to another thread and back.
        tracks = list((self._pool.map if len(batch) > 1 else map)(self._follow, batch))
        start = self._clock('detection', start)
        # A face that is only guessed at must not enter its sequence; its last result stands.
        seen = [(state.sequences[track.track_id], track, image, stamp_ns)
                for (_, image, stamp_ns), (state, found) in zip(batch, tracks)
                for track in found
                if track.undetected == 0 and track.state != TrackState.COASTING]
        crops = [crop_face(image, track.box.roi(image.shape[1], image.shape[0]))
                 for _, track, image, _ in seen]
        start = self._clock('crop', start)
        kept = self._model.encode(np.stack(crops)) if seen else None
        start = self._clock('encoding', start)
        if kept is not None:
            stamps_ns = [stamp_ns for *_, stamp_ns in seen]
            results = self._model.advance(
                [sequence.windows for sequence, *_ in seen], kept, stamps_ns)
            stability = self._chosen('neutral_threshold', 'neutral_hysteresis', 'label_window')
            for (sequence, *_, stamp_ns), face, scores, intensities in zip(
                    seen, kept[:, FACE], *results):
                sequence.append(stamp_ns, scores, intensities, float(face))
                sequence.label.update(stamp_ns, intensities, **stability)
        faces = {camera: [self._face(track, image.shape, state.sequences[track.track_id])
                          for track in found if self._shows(track, state)]
                 for (camera, image, _), (state, found) in zip(batch, tracks)}
        self._clock('head', start)
        return [faces.get(camera) for camera, _, _ in items]

    def reset(self, camera: str | None = None) -> None:
        """Forget the faces of one camera, or of all of them; their ids are not given again."""
        for name, state in self._cameras.items():
            if camera in (None, name):
                state.restart()

    def restarts(self, camera: str) -> int:
        """Return how often a camera's faces were forgotten because a stamp jumped back."""
        return self._cameras[camera].restarts

    def late(self, camera: str) -> int:
        """Return how many images of a camera were left out for a stamp a little too old."""
        return self._cameras[camera].late

    def resizes(self, camera: str) -> int:
        """Return how often a camera's faces were forgotten because its images changed size."""
        return self._cameras[camera].finder.resizes

    def set_options(self, **options: bool | int | float | str) -> None:
        """Change options that may be changed while running.

        :raises ValueError: for an unknown or wrong option, or one that is fixed at start; then
            nothing is changed.
        """
        options = option_table.renamed(options)
        merged = option_table.checked({**self._options, **options})
        fixed = [option.name for option in option_table.OPTIONS
                 if option.name in options and not option.live]
        if fixed:
            raise ValueError(f'{", ".join(fixed)} can only be set at start')
        self._options = merged
        for camera in self._cameras.values():
            camera.finder.configure(**self._chosen('max_coast_seconds', 'track_mode'))

    def _follow(self, item: CameraImage) -> tuple[_Camera, list[Track]]:
        """Return what is known of the camera, and its tracks after this image."""
        camera, image, stamp_ns = item
        state = self._cameras[camera]
        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        tracks = state.finder.update(gray, stamp_ns)
        limit = self._options['sequence_limit']
        state.sequences = {
            track.track_id: state.sequences.get(track.track_id) or FaceSequence(limit)
            for track in tracks}
        return state, tracks

    def _new_finder(self) -> FaceFinder:
        # A detector of its own: OpenCV's cascades cannot be shared by threads.
        detector = FaceDetector(**self._chosen(
            'cascade', 'scale_factor', 'min_neighbors', 'min_face_size', 'detection_interval'))
        return FaceFinder(detector, **self._chosen('max_coast_seconds', 'max_faces', 'track_mode'))

    def _shows(self, track: Track, state: _Camera) -> bool:
        # A face that became the nearest one while out of sight has no sequence yet.
        sequence = state.sequences[track.track_id]
        return len(sequence) > 0 and sequence.shows_face and (
            track.state != TrackState.NEW or self._options['publish_new_tracks'])

    def _face(self, track: Track, shape: tuple[int, ...], sequence: FaceSequence) -> FaceEmotion:
        intensity = float(sequence.intensities[sequence.scores.argmax()])
        label_id = sequence.label.label_id
        return FaceEmotion(
            track.track_id, track.state, track.box.roi(shape[1], shape[0]),
            LABELS[label_id], label_id, intensity,
            confidence_of(label_id, sequence.scores, intensity), tuple(sequence.scores.tolist()),
            len(sequence), sequence.duration)

    def _chosen(self, *names: str) -> dict[str, Any]:
        return {name: self._options[name] for name in names}

    def _clock(self, stage: str, start: float) -> float:
        now = perf_counter()
        self.timings[stage] += now - start
        return now


def _check_image(camera: str, image: object) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or (
            image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape):
        found = (f'{image.dtype} {list(image.shape)}' if isinstance(image, np.ndarray)
                 else type(image).__name__)
        raise ValueError(f'the image of {camera} is {found}, but a uint8 array [H,W,3] (BGR) '
                         'with at least one pixel is needed')
