"""A page to look at: what each face showed, over its pictures, beside the annotated video."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
import heapq
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from emotion_perception.crops import crop_face, CROP_SIZE
from emotion_perception.emotions import FaceEmotion
from emotion_perception.offline.curves import Curve
from emotion_perception.offline.film import Film, FRAMES
from emotion_perception.offline.pages import data_address, picture, timeline, write_page
from emotion_perception.offline.recordings import Recording
from emotion_perception.offline.result_bag import ImageResult, images_with_results, read_results
from emotion_perception.rotation import roi_as_mounted, upright

#: Faces of a camera that are shown; of more, those that are in the most images.
FACES = 40

#: Pictures of a face at most.
PICTURES = 16

#: Gaps that are listed at most, the longest.
GAPS = 20

#: So many times the usual time from one image to the next is a gap.
_GAP = 2.5

#: Columns of the chart of images a second.
_COLUMNS = 400

#: Times of the clock begin here; before that, they count from the start of something.
_CLOCK_NS = 10**18


@dataclass
class _Camera:
    """What is in the results of a camera, in bounded memory."""

    image_size: tuple[int, int]  # of the first image: height, width [pixels]
    start_ns: int
    end_ns: int
    images: int = 0
    with_faces: int = 0
    curves: dict[int, Curve] = field(default_factory=dict)  # by track id
    left_out: int = 0  # faces that are not kept
    _intervals: Counter[int] = field(default_factory=Counter)  # ms -> how often
    _longest: list[tuple[int, int]] = field(default_factory=list)  # interval, its start [ns]
    _rates: Counter[int] = field(default_factory=Counter)  # column -> images
    _column_ns: int = 10**9

    def add(self, result: ImageResult) -> None:
        """Take the next result."""
        if self.images:
            interval = result.time_ns - self.end_ns
            self._intervals[min(interval // 10**6, 10_000)] += 1
            heapq.heappush(self._longest, (interval, self.end_ns))
            if len(self._longest) > GAPS:
                heapq.heappop(self._longest)
        self.end_ns = max(self.end_ns, result.time_ns)
        while abs(result.time_ns - self.start_ns) // self._column_ns >= _COLUMNS:
            self._column_ns *= 2
            self._rates = _joined(self._rates)
        self._rates[(result.time_ns - self.start_ns) // self._column_ns] += 1
        self.images += 1
        self.with_faces += bool(result.faces)
        for face in result.faces:
            self.curves.setdefault(face.track_id, Curve(face.track_id)).add(result.time_ns, face)
        if len(self.curves) > 3 * FACES:
            self._forget({face.track_id for face in result.faces})

    def choose(self) -> None:
        """Keep the faces that are shown."""
        self._forget(set())

    def _forget(self, present: set[int]) -> None:
        """Leave out the faces that were in the fewest images, but not those that are present."""
        order = sorted(
            self.curves.values(),
            reverse=True,
            key=lambda curve: (curve.track_id in present, curve.images),
        )
        self.left_out += len(order[FACES:])
        self.curves = {
            curve.track_id: curve
            for curve in sorted(order[:FACES], key=lambda curve: curve.track_id)
        }

    @property
    def period(self) -> float:
        """Usual time from one image to the next [s]."""
        half, count = self._intervals.total() / 2, 0
        for milliseconds, number in sorted(self._intervals.items()):
            count += number
            if count >= half:
                return max(milliseconds, 1) * 1e-3
        return 1 / 30

    @property
    def rate(self) -> float:
        """Images a second, gaps included."""
        return (self.images - 1) / max((self.end_ns - self.start_ns) * 1e-9, self.period)

    def gaps(self) -> list[tuple[int, int]]:
        """Give the gaps between images by their start: start [ns], length [ns]."""
        return sorted(
            (start, length) for length, start in self._longest if length > _GAP * 1e9 * self.period
        )

    def rates(self) -> list[float]:
        """Give the images a second of each column of the time, from start to end."""
        last = (self.end_ns - self.start_ns) // self._column_ns
        seconds = [self._column_ns * 1e-9] * int(last)
        rest = (self.end_ns - self.start_ns) * 1e-9 + self.period - sum(seconds)
        return [
            self._rates[column] / length
            for column, length in enumerate([*seconds, max(rest, self.period)])
        ]


def _joined(columns: Counter[int]) -> Counter[int]:
    joined: Counter[int] = Counter()
    for column, number in columns.items():
        joined[column // 2] += number
    return joined


def gather(results: Iterable[ImageResult]) -> dict[str, _Camera]:
    """Sum results up by camera, in memory that does not grow with their number."""
    cameras: dict[str, _Camera] = {}
    for result in results:
        if result.camera not in cameras:
            cameras[result.camera] = _Camera(result.image_size, result.time_ns, result.time_ns)
        cameras[result.camera].add(result)
    for camera in cameras.values():
        camera.choose()
    return cameras


@dataclass
class _Pictures:
    """What is to be seen of a camera."""

    film: Film
    path: Path
    curves: dict[int, Curve]
    strips: dict[int, dict[int, npt.NDArray[np.uint8]]]  # track id -> place -> crop

    def add(self, time_ns: int, image: npt.NDArray[np.uint8], faces: list[FaceEmotion]) -> None:
        """Take an image, uint8 [H,W,3] BGR, heads up."""
        self.film.show(time_ns, image, faces)
        for face in faces:
            if curve := self.curves.get(face.track_id):
                count = pictures_of(curve)
                span = max(curve.end_ns - curve.start_ns, 1)
                place = min(count * (time_ns - curve.start_ns) // span, count - 1)
                # The middle of its time, or what comes nearest before.
                if 2 * count * (time_ns - curve.start_ns) <= (2 * place + 1) * span or (
                    place not in self.strips[face.track_id]
                ):
                    self.strips[face.track_id][place] = crop_face(image, face.roi)

    def strip(self, track_id: int) -> str:
        """Give the pictures of a face side by side, as an address that holds them."""
        count = pictures_of(self.curves[track_id])
        image = np.full((CROP_SIZE, count * CROP_SIZE, 3), 40, np.uint8)
        for place, crop in self.strips[track_id].items():
            image[:, place * CROP_SIZE : (place + 1) * CROP_SIZE] = crop
        return picture(image)


def pictures_of(curve: Curve) -> int:
    """Give the number of pictures of a face."""
    return min(PICTURES, curve.images)


def write_report(
    recording: Recording,
    folder: Path,
    cameras: Mapping[str, str],
    rotation: int,
    about: Mapping[str, str],
) -> Path:
    """Write ``report.html`` beside the finished results of a recording.

    The page is of bounded size: FRAMES frames of video, FACES faces of a camera, with STEPS
    points and PICTURES pictures each. It says what it leaves out.

    :param cameras: topic -> camera, as the results were made with; of a video '' -> camera.
    :param rotation: by which the images are turned so that heads point up, one of TURNS.
    :param about: what the results were made of.
    :raises BagError: when the recording or the results cannot be read.
    """
    seen = gather(read_results(folder))
    zero = min(camera.start_ns for camera in seen.values())
    with TemporaryDirectory() as temporary:
        pictures = {}
        for number, (name, camera) in enumerate(seen.items()):
            path = Path(temporary) / f'{number}.mp4'
            film = Film(path, camera.start_ns, camera.end_ns, 1 / camera.period, 1 / len(seen))
            pictures[name] = _Pictures(
                film, path, camera.curves, {track_id: {} for track_id in camera.curves}
            )
        for image, result in images_with_results(recording, cameras, folder):
            turned = upright(image, rotation)
            # The way back is the rest of a whole turn.
            faces = [_turned(face, -rotation % 360, turned) for face in result.faces]
            pictures[result.camera].add(result.time_ns, turned, faces)
        for shown in pictures.values():
            shown.film.close()
        path = folder / 'report.html'
        write_page(
            path,
            'report.html',
            name=recording.name,
            about=about,
            started=started(zero),
            frames=FRAMES,
            cameras=[_section(name, camera, pictures[name], zero) for name, camera in seen.items()],
        )
    return path


def started(time_ns: int) -> str:
    """Give a time as date and time of day, UTC; '' where it is no time of a clock."""
    if time_ns < _CLOCK_NS:
        return ''
    return f'{datetime.fromtimestamp(time_ns * 1e-9, timezone.utc):%Y-%m-%d %H:%M:%S} UTC'


def _turned(face: FaceEmotion, degrees: int, image: npt.NDArray[np.uint8]) -> FaceEmotion:
    return replace(face, roi=roi_as_mounted(face.roi, degrees, *image.shape[:2]))


def _section(name: str, camera: _Camera, pictures: _Pictures, zero: int) -> dict[str, object]:
    """Give what the page shows of a camera."""
    span = max(camera.end_ns - camera.start_ns, 1)
    rates = camera.rates()
    most = max(rates)
    faces = []
    for track_id, curve in camera.curves.items():
        shown = timeline(curve, zero, curve.start_ns, curve.end_ns)
        shown['strip'] = pictures.strip(track_id)
        shown['count'] = pictures_of(curve)
        shown['bars'] = [
            {
                'x': 1000 * (start - camera.start_ns) / span,
                'width': max(1000 * (end - start) / span, 1.5),
                'label': label,
            }
            for start, end, label in curve.spans()
        ]
        faces.append(shown)
    return {
        'name': name,
        'height': camera.image_size[0],
        'width': camera.image_size[1],
        'images': camera.images,
        'with_faces': camera.with_faces,
        'rate': camera.rate,
        'period': camera.period,
        'start': (camera.start_ns - zero) * 1e-9,
        'end': (camera.end_ns - zero) * 1e-9,
        'faces': faces,
        'left_out': camera.left_out,
        'most': most,
        'rates': ' '.join(
            f'{1000 * place / len(rates):.1f},{100 - 100 * rate / most:.1f} '
            f'{1000 * (place + 1) / len(rates):.1f},{100 - 100 * rate / most:.1f}'
            for place, rate in enumerate(rates)
        ),
        'gaps': [
            {
                'start': (start - zero) * 1e-9,
                'length': length * 1e-9,
                'x': 1000 * (start - camera.start_ns) / span,
                'width': max(1000 * length / span, 1.5),
            }
            for start, length in camera.gaps()
        ],
        'video': data_address('video/mp4', pictures.path.read_bytes()),
        'video_rate': pictures.film.rate,
    }
