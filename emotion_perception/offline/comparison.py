"""Two runs over one recording side by side: where do they differ, and how much does it matter."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
import heapq
from itertools import count
import json
from pathlib import Path

import numpy as np

from emotion_perception.boxes import overlap
from emotion_perception.emotions import FaceEmotion, LABELS, Roi
from emotion_perception.offline.curves import Curve
from emotion_perception.offline.images import choose_cameras
from emotion_perception.offline.pages import picture, surroundings, timeline, write_page
from emotion_perception.offline.recordings import Bag, Recording
from emotion_perception.offline.result_bag import (
    ImageResult,
    images_with_results,
    made_of,
    read_results,
)
from emotion_perception.offline.storage import BagError
from emotion_perception.rotation import upright

#: Differences that are kept, the most important ones.
DIFFERENCES = 100

#: Faces whose timelines are shown, those that differ for the longest.
FACES = 20

#: Intensities that differ by no more are taken as the same.
TOLERANCE = 0.05

#: Share of a face's region that the other run's region covers at least.
_SAME_PLACE = 0.5

#: Images of one run that wait for the same image of the other.
_WAITING = 500

#: [s] An image counts for the time since the one before, but for no more.
_LONGEST = 0.5

#: [pixels] of the pictures.
_PICTURE = 160

#: How far a run is that has no more results.
_END = float('inf'), float('inf')


@dataclass(slots=True)
class Difference:
    """Images in a row in which a face differs in the same way."""

    kind: str  #: label, intensity, only in a, only in b
    camera: str
    face_a: int | None  #: its track id in A; None where A has no face there
    face_b: int | None
    label_a: str  #: '' without a face
    label_b: str
    start_ns: int
    end_ns: int
    images: int = 0
    seconds: float = 0.0
    #: Seconds times strength: of intensities how far they are apart, otherwise the stronger one.
    importance: float = 0.0
    strongest: float = -1.0  #: strength in the image in which it is strongest
    strongest_ns: int = 0  #: ... that image's time,
    intensity_a: float | None = None  #: ... and the intensities in it
    intensity_b: float | None = None
    roi: Roi = Roi(0, 0, 1, 1)  #: ... and where the face is

    def add(
        self,
        time_ns: int,
        seconds: float,
        a: FaceEmotion | None,
        b: FaceEmotion | None,
    ) -> None:
        """Take the next image."""
        self.end_ns = time_ns
        self.images += 1
        self.seconds += seconds
        values = [face.intensity for face in (a, b) if face]
        strength = abs(values[0] - values[1]) if self.kind == 'intensity' else max(values)
        self.importance += seconds * strength
        if strength > self.strongest:
            self.strongest, self.strongest_ns = strength, time_ns
            self.intensity_a = a.intensity if a else None
            self.intensity_b = b.intensity if b else None
            face = a or b
            assert face
            self.roi = face.roi


@dataclass
class _Lane:
    """A face in both runs."""

    face_a: int | None
    face_b: int | None
    a: Curve = field(default_factory=lambda: Curve(0))
    b: Curve = field(default_factory=lambda: Curve(0))
    seconds: float = 0.0  # in which they differ


@dataclass
class Comparison:
    """What two runs have in common and where they differ, in bounded memory."""

    tolerance: float
    images: int = 0  #: that both have
    only_in_a: int = 0  #: images
    only_in_b: int = 0
    faces: int = 0  #: in these images, that both have
    faces_only_in_a: int = 0
    faces_only_in_b: int = 0
    start_ns: int | None = None  #: time of the first image
    #: Images of faces with each label in A and in B.
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    intensity_sum: float = 0.0  #: of the differences of the intensities
    intensity_most: float = 0.0
    scores_most: float = 0.0  #: greatest difference of a score
    more: int = 0  #: differences that are not kept
    lanes: dict[tuple[str, int | None, int | None], _Lane] = field(default_factory=dict)
    lanes_left_out: int = 0
    _kept: list[tuple[float, int, Difference]] = field(default_factory=list)
    _open: dict[tuple[object, ...], Difference] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)  # camera -> time of its last image
    _tie: Iterator[int] = field(default_factory=count)

    @property
    def same(self) -> bool:
        """Whether there is no difference."""
        return not (self._kept or self.only_in_a or self.only_in_b)

    @property
    def differences(self) -> list[Difference]:
        """The differences that are kept, the most important first."""
        return [
            difference
            for *_, difference in sorted(self._kept, key=lambda item: (-item[0], item[1]))
        ]

    def add(self, a: ImageResult, b: ImageResult) -> None:
        """Take the results of both runs for one image.

        :raises BagError: when the images are not the same.
        """
        if a.image_size != b.image_size:
            (height, width), (other_height, other_width) = a.image_size, b.image_size
            raise BagError(
                f'the images of A are {width} x {height}, those of B {other_width} x '
                f'{other_height}: these are no runs over the same recording'
            )
        time_ns, camera = a.time_ns, a.camera
        self.start_ns = time_ns if self.start_ns is None else min(self.start_ns, time_ns)
        seconds = min(max((time_ns - self._last.get(camera, time_ns)) * 1e-9, 0.0), _LONGEST)
        self._last[camera] = time_ns
        self.images += 1
        going_on = set()
        for face, other in _pairs(a.faces, b.faces):
            self._count(face, other)
            kind = self._kind(face, other)
            face_a, face_b = (there.track_id if there else None for there in (face, other))
            key = camera, face_a, face_b
            lane = self.lanes.setdefault(key, _Lane(face_a, face_b))
            for curve, there in ((lane.a, face), (lane.b, other)):
                if there:
                    curve.add(time_ns, there)
            if not kind:
                continue
            lane.seconds += seconds
            label_a, label_b = face.label if face else '', other.label if other else ''
            whole = kind, camera, face_a, face_b, label_a, label_b
            difference = self._open.setdefault(
                whole, Difference(*whole, start_ns=time_ns, end_ns=time_ns)
            )
            difference.add(time_ns, seconds, face, other)
            going_on.add(whole)
        for ended in [
            open_ for open_ in self._open if open_[1] == camera and open_ not in going_on
        ]:
            self._keep(self._open.pop(ended))
        if len(self.lanes) > 3 * FACES:
            self._forget()

    def finish(self) -> None:
        """Take the differences that go on to the end."""
        for difference in self._open.values():
            self._keep(difference)
        self._open = {}
        self._forget()

    def _count(self, face: FaceEmotion | None, other: FaceEmotion | None) -> None:
        self.faces += bool(face and other)
        self.faces_only_in_a += other is None
        self.faces_only_in_b += face is None
        if face and other:
            self.labels[face.label, other.label] += 1
            apart = abs(face.intensity - other.intensity)
            self.intensity_sum += apart
            self.intensity_most = max(self.intensity_most, apart)
            self.scores_most = max(
                self.scores_most, float(np.abs(np.subtract(face.scores, other.scores)).max())
            )

    def _kind(self, face: FaceEmotion | None, other: FaceEmotion | None) -> str:
        if other is None:
            return 'only in a'
        if face is None:
            return 'only in b'
        if face.label != other.label:
            return 'label'
        return 'intensity' if abs(face.intensity - other.intensity) > self.tolerance else ''

    def _keep(self, difference: Difference) -> None:
        heapq.heappush(self._kept, (difference.importance, -next(self._tie), difference))
        if len(self._kept) > DIFFERENCES:
            heapq.heappop(self._kept)
            self.more += 1

    def _forget(self) -> None:
        """Leave out the faces that differ for the shortest time."""
        order = sorted(
            self.lanes.items(),
            reverse=True,
            key=lambda item: (item[1].seconds, item[1].a.images + item[1].b.images),
        )
        self.lanes_left_out += len(order[FACES:])
        self.lanes = dict(order[:FACES])


def _pairs(
    faces: list[FaceEmotion],
    others: list[FaceEmotion],
) -> Iterator[tuple[FaceEmotion | None, FaceEmotion | None]]:
    """Give the faces that are in one place, the closest first, and then those without another."""
    left, right = list(faces), list(others)
    close = sorted(
        (
            (overlap(face.roi, other.roi), i, j)
            for i, face in enumerate(faces)
            for j, other in enumerate(others)
        ),
        key=lambda found: (-found[0], found[1:]),
    )
    for share, i, j in close:
        if share >= _SAME_PLACE and faces[i] in left and others[j] in right:
            left.remove(faces[i])
            right.remove(others[j])
            yield faces[i], others[j]
    yield from ((face, None) for face in left)
    yield from ((None, other) for other in right)


def compare(a: Path, b: Path, tolerance: float = TOLERANCE) -> Comparison:
    """Compare two runs over one recording, image by image, in memory that does not grow.

    :param a: bag of results, as of read_results; b likewise.
    :param tolerance: intensities that differ by no more are taken as the same, 0 .. 1.
    :raises BagError: when one cannot be read, or when they are not of the same recording.
    """
    about_a, about_b = made_of(a), made_of(b)
    for key in ('recording', 'recording_bytes'):
        if about_a.get(key) != about_b.get(key) and about_a and about_b:
            raise BagError(
                f'{a} and {b} are of different recordings ({key}: {about_a.get(key)}, '
                f'and {about_b.get(key)})'
            )
    comparison = Comparison(tolerance)
    streams = read_results(a), read_results(b)
    waiting: tuple[dict[tuple[str, int], ImageResult], ...] = {}, {}
    # How far each run is: how often a camera's time went back, and the newest time since.
    reached: list[tuple[float, float]] = [(0, -1), (0, -1)]
    last: tuple[dict[str, int], ...] = {}, {}
    while min(reached) < _END:
        # The run that is behind goes on, so that runs of other rates stay together.
        which = reached.index(min(reached))
        result = next(streams[which], None)
        if result is None:
            reached[which] = _END
            continue
        back, newest = reached[which]
        if result.time_ns < last[which].get(result.camera, result.time_ns):
            reached[which] = back + 1, result.time_ns
        else:
            reached[which] = back, max(newest, result.time_ns)
        last[which][result.camera] = result.time_ns
        image = result.camera, result.time_ns
        if other := waiting[1 - which].pop(image, None):
            comparison.add(*((other, result) if which else (result, other)))
            continue
        waiting[which][image] = result
        if len(waiting[which]) > _WAITING:
            del waiting[which][next(iter(waiting[which]))]
            comparison.only_in_a += which == 0
            comparison.only_in_b += which == 1
    comparison.only_in_a += len(waiting[0])
    comparison.only_in_b += len(waiting[1])
    comparison.finish()
    if not comparison.images:
        raise BagError(
            f'{a} and {b} have no image in common ({comparison.only_in_a} and '
            f'{comparison.only_in_b}): their times or cameras are not the same'
        )
    return comparison


def summary(comparison: Comparison) -> dict[str, object]:
    """Give the figures of a comparison, as JSON has them."""
    faces = comparison.faces
    same = sum(number for (a, b), number in comparison.labels.items() if a == b)
    return {
        'same': comparison.same,
        'tolerance': comparison.tolerance,
        'images': comparison.images,
        'images_only_in_a': comparison.only_in_a,
        'images_only_in_b': comparison.only_in_b,
        'faces': faces,
        'faces_only_in_a': comparison.faces_only_in_a,
        'faces_only_in_b': comparison.faces_only_in_b,
        'faces_with_the_same_label': same,
        'intensity_difference_mean': comparison.intensity_sum / faces if faces else None,
        'intensity_difference_most': comparison.intensity_most if faces else None,
        'score_difference_most': comparison.scores_most if faces else None,
        'differences': len(comparison.differences) + comparison.more,
    }


def in_words(comparison: Comparison) -> list[str]:
    """Say in a few lines how two runs differ."""
    found = summary(comparison)
    if comparison.same:
        verdict = 'the same'
    else:
        verdict = f'{found["differences"]} differences'
    lines = [
        f'{verdict}: {comparison.images} images in both, {comparison.only_in_a} only in A, '
        f'{comparison.only_in_b} only in B'
    ]
    if comparison.faces:
        lines.append(
            f'{comparison.faces} times a face in both, {comparison.faces_only_in_a} only in A, '
            f'{comparison.faces_only_in_b} only in B; the same label in '
            f'{100 * int(str(found["faces_with_the_same_label"])) / comparison.faces:.1f} %; '
            f'intensities differ by {comparison.intensity_sum / comparison.faces:.3f} in the mean, '
            f'by {comparison.intensity_most:.3f} at most'
        )
    return lines


def write_comparison(
    a: Path,
    b: Path,
    comparison: Comparison,
    folder: Path,
    recording: Recording | None = None,
    topics: Mapping[str, str] | None = None,
) -> None:
    """Write ``comparison.html`` and ``comparison.json``.

    :param recording: of which the runs are, for pictures; None: a page without.
    :param topics: see choose_cameras; for results that do not tell.
    :raises BagError: when the recording cannot be read, or is another one.
    :raises OSError: when the files cannot be written.
    """
    abouts = made_of(a), made_of(b)
    pictures = _pictures(a, abouts[0], comparison, recording, topics or {}) if recording else {}
    zero = comparison.start_ns or 0
    differences = [_shown(difference, zero) for difference in comparison.differences]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'comparison.json').write_text(
        json.dumps(
            {
                'a': {'path': str(a), 'made_of': abouts[0]},
                'b': {'path': str(b), 'made_of': abouts[1]},
                **summary(comparison),
                'most_important': differences,
            },
            indent=1,
        )
        + '\n'
    )
    keys = [key for key in {**abouts[0], **abouts[1]} if abouts[0].get(key) != abouts[1].get(key)]
    shown = [label for label in LABELS if any(label in pair for pair in comparison.labels)]
    write_page(
        folder / 'comparison.html',
        'comparison.html',
        a=str(a),
        b=str(b),
        lines=in_words(comparison),
        same=comparison.same,
        tolerance=comparison.tolerance,
        settings=[(key, abouts[0].get(key, ''), abouts[1].get(key, '')) for key in keys],
        confusion=[
            (label, [comparison.labels[label, other] for other in shown]) for label in shown
        ],
        shown=shown,
        differences=[
            {**difference, 'picture': pictures.get(number)}
            for number, difference in enumerate(differences)
        ],
        more=comparison.more,
        has_pictures=recording is not None,
        lanes=[
            _lane(camera, lane, zero)
            for (camera, *_), lane in comparison.lanes.items()
            if lane.seconds
        ],
        lanes_left_out=comparison.lanes_left_out,
    )


def _shown(difference: Difference, zero: int) -> dict[str, object]:
    return {
        'kind': difference.kind,
        'camera': difference.camera,
        'face_a': difference.face_a,
        'face_b': difference.face_b,
        'label_a': difference.label_a,
        'label_b': difference.label_b,
        'start': (difference.start_ns - zero) * 1e-9,
        'end': (difference.end_ns - zero) * 1e-9,
        'strongest_at': (difference.strongest_ns - zero) * 1e-9,
        'strongest_at_ns': difference.strongest_ns,
        'intensity_a': difference.intensity_a,
        'intensity_b': difference.intensity_b,
        'images': difference.images,
        'seconds': difference.seconds,
        'importance': difference.importance,
    }


def _lane(camera: str, lane: _Lane, zero: int) -> dict[str, object]:
    curves = [curve for curve in (lane.a, lane.b) if curve.images]
    start, end = min(c.start_ns for c in curves), max(c.end_ns for c in curves)
    return {
        'camera': camera,
        'face_a': lane.face_a,
        'face_b': lane.face_b,
        'start': (start - zero) * 1e-9,
        'end': (end - zero) * 1e-9,
        'seconds': lane.seconds,
        'a': timeline(lane.a, zero, start, end) if lane.a.images else None,
        'b': timeline(lane.b, zero, start, end) if lane.b.images else None,
    }


def _pictures(
    a: Path,
    about: Mapping[str, str],
    comparison: Comparison,
    recording: Recording,
    topics: Mapping[str, str],
) -> dict[int, str]:
    """Give a picture of each difference, by its number."""
    if about and about['recording_bytes'] != str(recording.size):
        raise BagError(
            f'{recording.paths[0].name} has {recording.size} bytes, but {a} is of '
            f'{about["recording"]} with {about["recording_bytes"]} bytes'
        )
    cameras = dict(_named(pair) for pair in about.get('cameras', '').split())
    if not cameras and recording.is_video:
        cameras = {'': next(iter(topics.values()), '') or 'camera'}
    elif not cameras:
        with Bag(recording.paths) as bag:
            cameras = choose_cameras(bag, topics)
    wanted: dict[tuple[str, int], list[int]] = {}
    for number, difference in enumerate(comparison.differences):
        wanted.setdefault((difference.camera, difference.strongest_ns), []).append(number)
    rotation = int(about.get('rotation', 0))
    found = {}
    for image, result in images_with_results(recording, cameras, a):
        for number in wanted.get((result.camera, result.time_ns), ()):
            cut = surroundings(image, comparison.differences[number].roi, _PICTURE)
            found[number] = picture(upright(cut, rotation))
    return found


def _named(pair: str) -> tuple[str, str]:
    camera, _, topic = pair.partition(':=')
    return topic, camera
