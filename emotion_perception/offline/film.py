"""The annotated video of a page: of bounded length and size, its time that of the recording."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.drawing import draw_faces
from emotion_perception.emotions import FaceEmotion, Roi
from emotion_perception.videos import VideoWriter

#: Frames at most: a minute at 30 frames a second, an hour at one in two seconds.
FRAMES = 1800

#: Bytes at most, about.
BYTES = 12_000_000

#: Width and height [pixels] at most.
_SIZE = 640, 480

#: Bits per second that are enough at this size.
_BIT_RATE = 2_000_000

_RATE = 30.0


class Film:
    """Writes what a camera saw, with the faces drawn on it, as a video of constant rate.

    :param path: of the file, .mp4.
    :param start_ns: time of the first image [ns].
    :param end_ns: time of the last image [ns].
    :param rate: images a second of the camera.
    :param share: of FRAMES and BYTES that it may take, 0 .. 1.
    """

    def __init__(self, path: Path, start_ns: int, end_ns: int, rate: float, share: float) -> None:
        self._path = path
        self._start = start_ns
        duration = max((end_ns - start_ns) * 1e-9, 1 / _RATE)
        #: Frames per second.
        self.rate = min(rate, _RATE, share * FRAMES / duration)
        bits = max(min(_BIT_RATE, round(8 * share * BYTES / duration)), 8000)
        # x264 holds the bits of a frame in 32 bits: with more, the frames of decades are grey.
        bits = min(bits, int(2**30 * self.rate))
        self._options = {
            'crf': '26',
            'preset': 'fast',
            'g': '30',
            'movflags': 'faststart',
            'maxrate': str(bits),
            'bufsize': str(2 * bits),
        }
        self._writer: VideoWriter | None = None
        self._frames = 0
        self._waiting: tuple[npt.NDArray[np.uint8], Sequence[FaceEmotion]] | None = None

    def show(
        self, time_ns: int, image: npt.NDArray[np.uint8], faces: Sequence[FaceEmotion]
    ) -> None:
        """Add an image, uint8 [H,W,3] BGR; each frame shows the newest one of its time."""
        while self._waiting and self._start + self._frames * 1e9 / self.rate < time_ns:
            self._write(*self._waiting)
        self._waiting = image, faces

    def close(self) -> None:
        """Write what is left, and close the file."""
        if self._waiting:
            self._write(*self._waiting)
        if self._writer:
            self._writer.close()

    def _write(self, image: npt.NDArray[np.uint8], faces: Sequence[FaceEmotion]) -> None:
        height, width = image.shape[:2]
        scale = min(_SIZE[0] / width, _SIZE[1] / height, 1.0)
        if self._writer is None:
            # Even, as the pixel format wants it.
            self._size = (
                2 * max(round(scale * width / 2), 1),
                2 * max(round(scale * height / 2), 1),
            )
            self._writer = VideoWriter(
                self._path, self._size[0], self._size[1], self.rate, 'libx264', self._options
            )
        shown = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        factors = self._size[0] / width, self._size[1] / height
        draw_faces(
            np.asarray(shown, np.uint8),
            [replace(face, roi=_scaled(face.roi, *factors)) for face in faces],
        )
        self._writer.write(np.asarray(shown, np.uint8))
        self._frames += 1


def _scaled(roi: Roi, horizontally: float, vertically: float) -> Roi:
    return Roi(
        round(roi.x_offset * horizontally),
        round(roi.y_offset * vertically),
        round(roi.width * horizontally),
        round(roi.height * vertically),
    )
