"""One recording through the pipeline into a result bag: every image, as fast as it goes."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Full, Queue
import signal
from threading import current_thread, Event, main_thread
from time import perf_counter
from typing import Any, TypeVar

from emotion_perception.emotions import FaceEmotion
from emotion_perception.offline.images import choose_cameras, Image, images_of_bag, images_of_video
from emotion_perception.offline.messages import (
    EMOTION_ARRAY,
    emotion_array,
    encode,
    IMAGE_ANNOTATIONS,
    image_annotations,
)
from emotion_perception.offline.recordings import Bag, Recording
from emotion_perception.offline.result_bag import (
    check_about,
    error_of,
    is_finished,
    ResultBag,
    RESULTS_TOPIC,
)
from emotion_perception.offline.storage import BagError, Message, Topic
from emotion_perception.offline.tables import write_table
from emotion_perception.options import checked
from emotion_perception.pipeline import EmotionPipeline, FoundFaces
from emotion_perception.rotation import roi_as_mounted, upright
from emotion_perception.videos import Video

#: Images that each of the threads is ahead of the next one.
_AHEAD = 4

_Item = TypeVar('_Item')


@dataclass(frozen=True)
class Settings:
    """How recordings are processed; the same for all of a run."""

    output: Path  #: folder of the results
    topics: dict[str, str] = field(default_factory=dict)  #: see choose_cameras
    copied: tuple[str, ...] | None = ()  #: topics to copy; None for all
    rotation: int = 0  #: one of rotation.TURNS, of all cameras
    annotations: bool = False  #: also write ImageAnnotations
    table: str = 'csv'  #: kind of the table, see write_table
    rerun: bool = False  #: also write a Rerun recording
    report: bool = False  #: also write a page to look at
    humble: bool = False  #: metadata.yaml for Humble
    model: str | None = None  #: description; None: the shipped model
    options: dict[str, Any] = field(default_factory=dict)  #: of the pipeline

    def folder_of(self, recording: Recording) -> Path:
        """Return the folder of a recording's results."""
        return self.output / recording.name


@dataclass
class Outcome:
    """What came of one recording."""

    name: str
    images: int = 0  #: that were processed
    seconds: float = 0.0  #: that they took
    done_before: bool = False
    error: str = ''  #: why not all of it was processed; '' when it was
    warnings: list[str] = field(default_factory=list)


def process(
    recording: Recording,
    settings: Settings,
    progress: Callable[[int, int], None] = lambda more, total: None,
) -> Outcome:
    """Process a recording; results that are there already are not made again.

    :param progress: called with the number of images read since it was called last, and the
        first time with that of all images, if it is known; else with 0.
    :return: what came of it, also where the recording cannot be read, or not to its end: then
        what was read before is kept. A full disk is an error of this kind, too.
    :raises ValueError: for a wrong option or model.
    :raises FileNotFoundError: when the model is missing.
    :raises KeyboardInterrupt: after completing the file as far as it goes.
    """
    outcome = Outcome(recording.name)
    started = perf_counter()
    pipeline = EmotionPipeline(settings.model, **settings.options)
    folder = settings.folder_of(recording)
    try:
        with _opened(recording, settings, outcome) as source:
            about = _about(recording, settings, pipeline, source.cameras)
            outcome.done_before = is_finished(folder)
            if outcome.done_before:
                check_about(folder, about)
                outcome.error = error_of(folder) or outcome.error
            else:
                with _signals_held() as stop:
                    _write(source, folder, about, settings, pipeline, outcome, progress, stop)
            if is_finished(folder):
                _write_views(recording, settings, folder, source.cameras, about)
    except (BagError, OSError) as error:
        outcome.error = str(error)
    outcome.seconds = perf_counter() - started
    return outcome


def _write_views(
    recording: Recording,
    settings: Settings,
    folder: Path,
    cameras: dict[str, str],
    about: dict[str, str],
) -> None:
    """Write what is made of the finished results, unless it is there."""
    if not (folder / f'emotions.{settings.table}').exists():
        write_table(folder, settings.table)
    if settings.rerun and not (folder / 'emotions.rrd').exists():
        # A large library, which most runs do without.
        from emotion_perception.offline.rerun_file import write_rerun

        write_rerun(recording, folder, cameras)
    if settings.report and not (folder / 'report.html').exists():
        # Only this needs Jinja2.
        from emotion_perception.offline.report import write_report

        write_report(recording, folder, cameras, settings.rotation, about)


@dataclass
class _Source:
    """An open recording."""

    images: Generator[Image | Message, None, None]  # Message: to be copied
    cameras: dict[str, str]  # topic -> camera
    topics: dict[str, Topic]  # by name
    total: int | None  # images


@contextmanager
def _opened(recording: Recording, settings: Settings, outcome: Outcome) -> Iterator[_Source]:
    if recording.problem:
        raise BagError(recording.problem)
    if recording.is_video:
        camera = next(iter(settings.topics.values()), '') or 'camera'
        with Video(recording.paths[0]) as video:
            total = video.frame_count
        yield _Source(images_of_video(recording.paths[0], camera), {'': camera}, {}, total)
        return
    with Bag(recording.paths) as bag:
        cameras = choose_cameras(bag, settings.topics)
        outcome.error = bag.damage
        yield _Source(
            images_of_bag(bag, cameras, _copied(bag, cameras, settings, outcome)),
            cameras,
            bag.topics,
            sum(bag.topics[topic].count for topic in cameras),
        )


def _copied(
    bag: Bag, cameras: dict[str, str], settings: Settings, outcome: Outcome
) -> frozenset[str]:
    """Give the topics to copy, without results of other runs, which nobody could tell apart."""
    written = {RESULTS_TOPIC}
    if settings.annotations:
        written.update(_annotation_topics(cameras).values())
    results = {
        topic.name
        for topic in bag.topics.values()
        if topic.name in written or topic.type == EMOTION_ARRAY
    }
    copied = set(bag.topics if settings.copied is None else settings.copied)
    if missing := copied - set(bag.topics):
        raise BagError(
            f'there is no topic {", ".join(sorted(missing))} to copy; there are '
            f'{", ".join(sorted(bag.topics))}'
        )
    if mixed := copied & results:
        said = f'{", ".join(sorted(mixed))} would be mixed up with the results of this run'
        if settings.copied is not None:
            raise BagError(f'{said}: copy other topics')
        outcome.warnings.append(f'not copied: {said}')
    return frozenset(copied - results)


def _about(
    recording: Recording, settings: Settings, pipeline: EmotionPipeline, cameras: dict[str, str]
) -> dict[str, str]:
    """Say what results are made of: the same gives the same bytes."""
    # Threads change the speed alone.
    options = checked(settings.options | {'threads': 1})
    copied = 'all' if settings.copied is None else ' '.join(sorted(settings.copied))
    return {
        'recording': recording.name,
        'recording_bytes': str(recording.size),
        'cameras': ' '.join(f'{camera}:={topic}' for topic, camera in cameras.items()),
        'copied': copied,
        'rotation': str(settings.rotation),
        'annotations': str(settings.annotations).lower(),
        'humble': str(settings.humble).lower(),
        'model': pipeline.model_name,
        'model_sha256': pipeline.model_sha256,
        **{name: str(value) for name, value in options.items() if name != 'threads'},
    }


@contextmanager
def _signals_held() -> Iterator[Event]:
    """Tell of SIGINT and SIGTERM by an event, so that they do not meet a half-written record.

    A second one interrupts at once.
    """
    stop = Event()

    def on_signal(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    held: dict[int, Any] = {}
    if current_thread() is main_thread():  # others get no signals
        held = {
            number: signal.signal(number, on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) != signal.SIG_IGN
        }
    try:
        yield stop
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


def _write(
    source: _Source,
    folder: Path,
    about: dict[str, str],
    settings: Settings,
    pipeline: EmotionPipeline,
    outcome: Outcome,
    progress: Callable[[int, int], None],
    stop: Event,
) -> None:
    """Process the images and complete the bag, unless the disk is full."""
    bag = ResultBag(folder, about, settings.humble)
    unusable: Counter[str] = Counter()
    late: Counter[str] = Counter()
    problems: dict[str, str] = {}
    try:
        topics = _annotation_topics(source.cameras) if settings.annotations else {}
        for topic in topics.values():
            bag.add_topic(topic, IMAGE_ANNOTATIONS)
        progress(0, source.total or 0)
        with closing(_ahead(_find(pipeline, source.images, settings.rotation))) as items:
            for item, found in items:
                if stop.is_set():
                    raise KeyboardInterrupt
                if isinstance(item, Message):
                    bag.copy(item, source.topics[item.topic])
                    continue
                if item.distrust:
                    outcome.warnings.append(
                        f'{item.camera}: {item.distrust}; from there on the log time counts'
                    )
                progress(1, 0)
                if found is None:
                    unusable[item.camera] += 1
                    problems.setdefault(item.camera, item.problem)
                    continue
                (faces,) = pipeline.read(found)
                if faces is None:
                    late[item.camera] += 1
                    continue
                bag.add_results(
                    item.log_time, item.time_ns, _results(item, faces, settings.rotation, topics)
                )
                outcome.images += 1
        outcome.warnings += [
            f'{camera}: {number} unusable images, the first: {problems[camera]}'
            for camera, number in unusable.items()
        ]
        outcome.warnings += [
            f'{camera}: {number} late images were left out, as the node does'
            for camera, number in late.items()
        ]
        if not outcome.images:
            raise BagError('; '.join(outcome.warnings) or 'there is no image in it')
        bag.finish(outcome.error)
    except BagError as error:
        # The rest of the recording cannot be read: this is all there will be.
        outcome.error = str(error)
        if outcome.images:
            bag.finish(outcome.error)
        else:
            bag.discard()
    except OSError as error:
        raise OSError(
            f'{folder}: {error.strerror or error}; what is written is kept, and the '
            'same command goes on from there'
        ) from error
    except KeyboardInterrupt:
        with suppress(OSError):
            bag.interrupt()
        raise
    finally:
        bag.close()


def _annotation_topics(cameras: dict[str, str]) -> dict[str, str]:
    if len(cameras) == 1:
        return dict.fromkeys(cameras.values(), '/emotion_node/annotations')
    return {camera: f'/emotion_node/annotations/{camera.strip("/")}' for camera in cameras.values()}


def _find(
    pipeline: EmotionPipeline,
    images: Generator[Image | Message, None, None],
    rotation: int,
) -> Generator[tuple[Image | Message, list[FoundFaces] | None], None, None]:
    """Read and decode in a thread of its own, and find the faces in this one.

    Gives the images, and with each what the pipeline found, or None where it is unusable.
    """
    with closing(_ahead(images)) as items:
        for item in items:
            found = None
            if not isinstance(item, Message):
                if item.distrust:
                    pipeline.reset(item.camera)
                if item.pixels is not None:
                    found = pipeline.find(
                        [(item.camera, upright(item.pixels, rotation), item.time_ns)]
                    )
            yield item, found


def _results(
    image: Image, faces: list[FaceEmotion], rotation: int, annotation_topics: dict[str, str]
) -> dict[str, bytes]:
    assert image.pixels is not None
    height, width = image.pixels.shape[:2]
    faces = [replace(face, roi=roi_as_mounted(face.roi, rotation, height, width)) for face in faces]
    array = emotion_array(image.header, image.camera, (height, width), faces)
    results = {RESULTS_TOPIC: encode(array, EMOTION_ARRAY)}
    if topic := annotation_topics.get(image.camera):
        results[topic] = encode(image_annotations(image.header, faces), IMAGE_ANNOTATIONS)
    return results


def _ahead(items: Generator[_Item, None, None]) -> Generator[_Item, None, None]:
    """Run a generator in a thread of its own, some items ahead."""
    waiting: Queue[_Item | None] = Queue(_AHEAD)
    stopped = Event()

    def hand_over(item: _Item | None) -> None:
        while not stopped.is_set():
            with suppress(Full):
                waiting.put(item, timeout=0.1)
                return

    def run() -> None:
        try:
            with closing(items):
                for item in items:
                    hand_over(item)
                    if stopped.is_set():
                        return
        finally:
            hand_over(None)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            while (item := waiting.get()) is not None:
                yield item
            running.result()
        finally:
            stopped.set()
