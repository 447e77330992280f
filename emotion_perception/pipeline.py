"""The walk of an image: find faces, follow them, crop, encode, keep, classify. No ROS.

The only file that knows all the others; everything that it does is deterministic, so the same
images and stamps give the same results, live or from a recording.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
import os
from time import perf_counter
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception import options as option_table
from emotion_perception.crops import crop_face, is_even
from emotion_perception.detection import FaceDetector
from emotion_perception.emotions import FaceEmotion, LABELS, Roi, TrackState
from emotion_perception.face_finder import FaceFinder
from emotion_perception.labels import confidence_of, intensity_of
from emotion_perception.recognition import load_model
from emotion_perception.sequence import FaceSequence
from emotion_perception.temporal import FACE
from emotion_perception.tracking import nearness, Track

#: [ns] An image whose stamp lies less than this before the last one's is late. It is left out, and so
#: are those after it until one comes after the last ...
LATE_NS = 500_000_000

#: ... except where at least so many were late and then a stamp goes back again: that is a short
#: recording which begins again. Where a stamp lies farther back, only one is left out: a second one
#: is no accident.
LATE_IN_A_ROW = 5


#: The name of a camera, an image of it, uint8 [H,W,3] BGR, and the image's stamp [ns]. To type
#: checkers the image is any array, for so are those of OpenCV; its type is checked as it comes.
CameraImage = tuple[str, npt.NDArray[Any], int]


@dataclass
class _Camera:
    """What is remembered of one camera."""

    finder: FaceFinder
    last_stamp: int | None = None
    restarts: int = 0  # for stamps that jumped back
    late: int = 0  # images left out, for a stamp before the last one
    late_in_a_row: int = 0  # since a stamp came after the last one
    last_late: int = 0  # the newest of their stamps

    def restart(self) -> None:
        self.finder.restart()
        self.last_stamp = None
        self.late_in_a_row = 0

    def takes(self, stamp_ns: int) -> bool:
        """Take the next image's stamp; return False where the image is to be left out."""
        if self.last_stamp is not None and stamp_ns < self.last_stamp:
            if self.last_stamp - stamp_ns < LATE_NS:
                anew = self.late_in_a_row >= LATE_IN_A_ROW and stamp_ns < self.last_late
            else:
                anew = self.late_in_a_row > 0 and self.last_stamp - self.last_late >= LATE_NS
            if not anew:
                self.late += 1
                self.late_in_a_row += 1
                self.last_late = stamp_ns
                return False
            self.restart()
            self.restarts += 1
        if stamp_ns != self.last_stamp:
            self.late_in_a_row = 0
        self.last_stamp = stamp_ns
        return True


class FoundFace(NamedTuple):
    """A face that is followed, as it was in one image."""

    track_id: int
    state: TrackState
    roi: Roi
    width: float  #: of its box, which may reach out of the image
    #: uint8 [64,64,3] BGR; None of a face that is only guessed at.
    crop: npt.NDArray[np.uint8] | None


class FoundFaces(NamedTuple):
    """What was found in one image."""

    camera: str
    stamp_ns: int
    faces: list[FoundFace] | None  #: None for a late image


class EmotionPipeline:
    """Images in, emotions out, for any number of cameras.

    :param model: path of a model description; None for the model that comes with the package.
    :param options: any of :data:`emotion_perception.options.OPTIONS`.
    :raises ValueError: for a wrong option or a model that does not fit this version.
    :raises FileNotFoundError: when the model or the face cascade is missing.

    Not thread-safe: one thread at a time, except that :meth:`read` may run beside :meth:`find`.
    """

    def __init__(
        self, model: str | os.PathLike[str] | None = None, **options: bool | int | float | str
    ) -> None:
        self._options = option_table.checked(options)
        self._model = load_model(model, self._options['threads'])
        self._cameras: dict[str, _Camera] = {}
        self._sequences: dict[str, dict[int, FaceSequence]] = {}  # by camera, by track id
        self._nearest: dict[str, int] = {}  # track id by camera
        self._new_finder()  # a missing cascade is told of now, not with the first image
        self._pool = ThreadPoolExecutor(self._options['threads'])
        #: Seconds that each stage of the last batch took, by the stage's name.
        self.timings = dict.fromkeys(('detection', 'crop', 'encoding', 'head'), 0.0)

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

    def process(
        self, image: npt.NDArray[Any], stamp_ns: int, camera: str = 'camera'
    ) -> list[FaceEmotion]:
        """Process the next image of one camera.

        :param image: uint8 [H,W,3], BGR.
        :param stamp_ns: when the image was taken, integer nanoseconds. An image that is older
            than the camera's last one is late: it is counted and left out. A second one in a row
            that is half a second or more older (a recording that begins again) forgets the
            camera's faces. So do a gap of more than max_coast_seconds and an image of another
            size.
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
        return self.read(self.find(batch))

    def find(self, batch: Sequence[CameraImage]) -> list[FoundFaces]:
        """Do the first half of :meth:`process_batch`: find the faces, follow them, crop them.

        It needs nothing of what :meth:`read` makes of them. So one thread may find in one batch
        what another thread reads of the batch before, with the same results.

        :param batch: as of :meth:`process_batch`.
        :return: list of :class:`FoundFaces`, for :meth:`read`.
        :raises ValueError: before anything is processed, if any item is wrong.
        """
        if len({camera for camera, _, _ in batch}) != len(batch):
            raise ValueError('a batch holds at most one image of each camera')
        for camera, image, _ in batch:
            _check_image(camera, image)
        start = perf_counter()
        taken = []
        for camera, image, stamp_ns in batch:
            if camera not in self._cameras:
                self._cameras[camera] = _Camera(self._new_finder())
            if self._cameras[camera].takes(stamp_ns):
                taken.append((camera, image, stamp_ns))
        if len(taken) > 1:
            # All are waited for, also where one fails: nobody else may touch their finders.
            following = [self._pool.submit(self._follow, item) for item in taken]
            wait(following)
            tracks = [follows.result() for follows in following]
        else:  # one camera is not worth the way to another thread and back
            tracks = [self._follow(item) for item in taken]
        start = self._clock('detection', start)
        found = {
            camera: [_found(track, image) for track in tracks_there]
            for (camera, image, _), tracks_there in zip(taken, tracks)
        }
        self._clock('crop', start)
        return [FoundFaces(camera, stamp_ns, found.get(camera)) for camera, _, stamp_ns in batch]

    def read(self, found: Sequence[FoundFaces]) -> list[list[FaceEmotion] | None]:
        """Do the second half of :meth:`process_batch`: encode the crops, keep, classify.

        :param found: what :meth:`find` returned; each batch once, in their order.
        :return: as of :meth:`process_batch`.
        """
        start = perf_counter()
        limit = self._options['sequence_limit']
        for camera, _, faces in found:
            if faces is not None:
                before = self._sequences.get(camera, {})
                self._sequences[camera] = {
                    face.track_id: before.get(face.track_id) or FaceSequence(limit)
                    for face in faces
                }
        chosen = {
            camera: self._faces_to_read(camera, faces)
            for camera, _, faces in found
            if faces is not None
        }
        # A face that is only guessed at must not enter its sequence; its last result stands.
        seen = [
            (self._sequences[camera][face.track_id], face.crop, stamp_ns)
            for camera, stamp_ns, _ in found
            for face in chosen.get(camera, ())
            if face.crop is not None
        ]
        kept = self._model.encode(np.stack([crop for _, crop, _ in seen])) if seen else None
        start = self._clock('encoding', start)
        if kept is not None:
            stamps_ns = [stamp_ns for *_, stamp_ns in seen]
            results = self._model.advance(
                [sequence.windows for sequence, *_ in seen], kept, stamps_ns
            )
            stability = self._chosen('neutral_threshold', 'neutral_hysteresis', 'label_window')
            for (sequence, crop, stamp_ns), face, scores, strengths in zip(
                seen, kept[:, FACE], *results
            ):
                sequence.append(stamp_ns, scores, strengths, float(face), is_even(crop))
                sequence.label.update(stamp_ns, strengths, **stability)
        emotions = [
            self._emotions(camera, chosen[camera]) if camera in chosen else None
            for camera, _, _ in found
        ]
        self._clock('head', start)
        return emotions

    def reset(self, camera: str | None = None) -> None:
        """Forget the faces of one camera, or of all of them; their ids are not given again."""
        for name, state in self._cameras.items():
            if camera in (None, name):
                state.restart()

    def restarts(self, camera: str) -> int:
        """Return how often a camera's faces were forgotten because stamps jumped back."""
        return self._cameras[camera].restarts

    def late(self, camera: str) -> int:
        """Return how many images of a camera were left out for a stamp that was too old."""
        return self._cameras[camera].late

    def resizes(self, camera: str) -> int:
        """Return how often a camera's faces were forgotten because its images changed size."""
        return self._cameras[camera].finder.resizes

    def gaps(self, camera: str) -> int:
        """Return how often a camera's faces were forgotten because of a gap in the stamps."""
        return self._cameras[camera].finder.gaps

    def set_options(self, **options: bool | int | float | str) -> None:
        """Change options that may be changed while running.

        :raises ValueError: for an unknown or wrong option, or one that is fixed at start; then
            nothing is changed.
        """
        options = option_table.renamed(options)
        merged = option_table.checked({**self._options, **options})
        fixed = [
            option.name
            for option in option_table.OPTIONS
            if option.name in options and not option.live
        ]
        if fixed:
            raise ValueError(f'{", ".join(fixed)} can only be set at start')
        self._options = merged
        for camera in self._cameras.values():
            camera.finder.configure(**self._chosen('max_coast_seconds'))

    def _follow(self, item: CameraImage) -> list[Track]:
        """Return the tracks of the camera after this image."""
        camera, image, stamp_ns = item
        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        return self._cameras[camera].finder.update(gray, stamp_ns)

    def _new_finder(self) -> FaceFinder:
        # A detector of its own: OpenCV's cascades cannot be shared by threads.
        detector = FaceDetector(
            **self._chosen(
                'cascade', 'scale_factor', 'min_neighbors', 'min_face_size', 'detection_interval'
            )
        )
        return FaceFinder(detector, **self._chosen('max_coast_seconds', 'max_faces'))

    def _faces_to_read(self, camera: str, faces: list[FoundFace]) -> list[FoundFace]:
        """Return all faces, or the nearest one behind those that were nearer but show no face.

        Those are read again, for they may turn out to be faces. The others keep what is known.
        """
        if self._options['track_mode'] == 'all':
            return faces
        before = self._nearest.get(camera)
        ordered = sorted(
            faces,
            key=lambda face: nearness(face.state, face.width, face.track_id == before),
            reverse=True,
        )
        for number, face in enumerate(ordered, 1):
            sequence = self._sequences[camera][face.track_id]
            if len(sequence) == 0 or sequence.shows_face:
                self._nearest[camera] = face.track_id
                return ordered[:number]
        return ordered

    def _emotions(self, camera: str, faces: list[FoundFace]) -> list[FaceEmotion]:
        sequences = self._sequences[camera]
        shown = [
            _emotion(face, sequences[face.track_id])
            for face in faces
            if self._shows(face, sequences[face.track_id])
        ]
        return shown if self._options['track_mode'] == 'all' else shown[:1]

    def _shows(self, face: FoundFace, sequence: FaceSequence) -> bool:
        # A face that became the nearest one while out of sight has no sequence yet.
        return (
            len(sequence) > 0
            and sequence.shows_face
            and (face.state != TrackState.NEW or self._options['publish_new_tracks'])
        )

    def _chosen(self, *names: str) -> dict[str, Any]:
        return {name: self._options[name] for name in names}

    def _clock(self, stage: str, start: float) -> float:
        now = perf_counter()
        self.timings[stage] = now - start
        return now


def _found(track: Track, image: npt.NDArray[np.uint8]) -> FoundFace:
    """Take down what becomes of a track with the next image."""
    roi = track.box.roi(image.shape[1], image.shape[0])
    is_seen = track.undetected == 0 and track.state != TrackState.COASTING and not track.waits
    crop = crop_face(image, roi) if is_seen else None
    return FoundFace(track.track_id, track.state, roi, track.box.width, crop)


def _emotion(face: FoundFace, sequence: FaceSequence) -> FaceEmotion:
    intensity = float(intensity_of(sequence.strengths[sequence.scores.argmax()]))
    label_id = sequence.label.label_id
    return FaceEmotion(
        face.track_id,
        face.state,
        face.roi,
        LABELS[label_id],
        label_id,
        intensity,
        confidence_of(label_id, sequence.scores, intensity),
        tuple(sequence.scores.tolist()),
        len(sequence),
        sequence.duration,
    )


def _check_image(camera: str, image: object) -> None:
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or (image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape)
    ):
        found = (
            f'{image.dtype} {list(image.shape)}'
            if isinstance(image, np.ndarray)
            else type(image).__name__
        )
        raise ValueError(
            f'the image of {camera} is {found}, but a uint8 array [H,W,3] (BGR) '
            'with at least one pixel is needed'
        )
