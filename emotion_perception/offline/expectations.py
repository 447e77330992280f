"""Says of a recording what its people should show; for tests, see docs/bags.md."""

from collections import Counter, defaultdict
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from emotion_perception.emotions import LABELS
from emotion_perception.offline.messages import EMOTION_ARRAY
from emotion_perception.offline.processing import process, Settings
from emotion_perception.offline.recordings import Bag, find_recording
from emotion_perception.offline.result_bag import ImageResult, read_results
from emotion_perception.offline.storage import BagError


def emotions_in(place: str | os.PathLike[str], **settings: Any) -> 'Emotions':
    """Read the results from a bag, or make them of a bag's images or a video.

    :param settings: as of :class:`~emotion_perception.offline.processing.Settings`, for making.
    :raises BagError: when it is not one recording, or cannot be read to its end.
    """
    place = Path(place)
    recording = find_recording(place)
    if not recording.is_video:
        with Bag(recording.paths) as bag:
            if any(topic.type == EMOTION_ARRAY for topic in bag.topics.values()):
                return Emotions(place, list(read_results(place)))
    with TemporaryDirectory() as folder:
        whole = Settings(Path(folder), **settings)
        outcome = process(recording, whole)
        if outcome.error:
            raise BagError(outcome.error)
        return Emotions(place, list(read_results(whole.folder_of(recording))))


class Emotions:
    """What a recording's faces show, and what is to be expected of it.

    Times are seconds from the first image on.
    """

    def __init__(self, place: Path, results: list[ImageResult]) -> None:
        self._place = place
        # Of several cameras, the image that was recorded first may not be the first one.
        self._start = min((result.time_ns for result in results), default=0)
        #: The results of each image.
        self.results = results

    def assert_shown(self, label: str, start: float, end: float, share: float = 0.5) -> None:
        """Assert that one and the same face shows an emotion in a span of time.

        :param label: one of LABELS, the six emotions and neutral.
        :param share: of the images of its camera in the span that must show it, 0 to 1.
        :raises AssertionError: when none does; says what is shown instead.
        """
        images, faces = self._between(label, start, end)
        shown = {face: Counter(labels) for face, labels in faces.items()}
        if not any(
            counts[label] >= share * images[camera] for (camera, _), counts in shown.items()
        ):
            counted = ' or '.join(str(number) for number in images.values())
            raise AssertionError(
                f'{self._place}: no face shows {label} in {share:.0%} of the {counted} images '
                f'from {start:g} s to {end:g} s: '
                + (
                    ', '.join(
                        f'face {face} ({_shares(counts, images[camera])})'
                        for (camera, face), counts in shown.items()
                    )
                    or 'there is no face'
                )
            )

    def assert_absent(
        self, label: str, start: float = 0.0, end: float = float('inf'), share: float = 0.0
    ) -> None:
        """Assert that nobody shows an emotion in a span of time.

        :param share: of the images of a face in the span that may show it nevertheless, 0 to 1.
        :raises AssertionError: when somebody does; says who, and when first.
        """
        _, faces = self._between(label, start, end)
        for (camera, face), labels in faces.items():
            times = [time for time, shown in zip(labels.times, labels) if shown == label]
            if len(times) > share * len(labels):
                raise AssertionError(
                    f'{self._place}: face {face} shows {label} in {len(times)} of its '
                    f'{len(labels)} images, at {times[0]:.2f} s first'
                )

    def _between(
        self, label: str, start: float, end: float
    ) -> tuple[Counter[str], dict[tuple[str, int], '_Labels']]:
        """Count the images of each camera in a span, and give the labels of each face in it."""
        if label not in LABELS:
            raise ValueError(f'{label!r} is none of {", ".join(LABELS)}')
        images: Counter[str] = Counter()
        faces: dict[tuple[str, int], _Labels] = defaultdict(_Labels)
        for result in self.results:
            time = (result.time_ns - self._start) * 1e-9
            if start <= time <= end:
                images[result.camera] += 1
                for face in result.faces:
                    labels = faces[result.camera, face.track_id]
                    labels.append(face.label)
                    labels.times.append(time)
        if not images:
            last = max((result.time_ns for result in self.results), default=self._start)
            length = (last - self._start) * 1e-9
            raise AssertionError(
                f'{self._place}: there is no image from {start:g} s to {end:g} s; '
                f'it lasts {length:.2f} s'
            )
        return images, faces


class _Labels(list[str]):
    """The labels of a face in a span, and their times [s]."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []


def _shares(counts: Counter[str], images: int) -> str:
    return ', '.join(f'{label} {count / images:.0%}' for label, count in counts.most_common())
