"""How calm and how quick the events are that robots act on, on whole videos.

Each goes through the pipeline and the logic of behaviour_node, as a camera's images would.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.behaviour.events import ENDED
from emotion_perception.behaviour.people import People
from emotion_perception.datasets import clips, DatasetError, packed_london
from emotion_perception.datasets.reading import frames_of, read_image
from emotion_perception.emotions import EMOTIONS, NEUTRAL
from emotion_perception.evaluation.metrics import wilson_interval
from emotion_perception.pipeline import EmotionPipeline
from emotion_perception.videos import USUAL_RATE

LAYOUT = (
    'pairs of photographs: FOLDER/PERSON_neutral.jpg and FOLDER/PERSON_EMOTION.jpg, '
    'EMOTION being one of ' + ', '.join(EMOTIONS) + f'; or {clips.LAYOUT}'
)

#: A pair becomes a video: so long neutral, then the fade to the emotion, then so long held [s].
REST, FADE, HOLD = 1.0, 0.5, 2.0


#: Of what was heard: time [s] and label.
Heard = list[tuple[float, str]]


@dataclass(frozen=True)
class Clip:
    """A video of one person who shows one thing."""

    name: str
    subject: str | None  #: who is seen
    label: str | None  #: one of LABELS, or contempt
    images: Callable[[], Iterable[tuple[int, npt.NDArray[np.uint8]]]]  #: stamps [ns] and images
    begins: float = 0.0  #: when the label begins to show [s]
    shows: float = 0.0  #: when it is half there [s]; delays count from here


def clips_in(path: Path) -> tuple[str, list[Clip]]:
    """List the clips of a folder, pairs of photographs made into clips.

    :param path: a folder in one of the layouts of ``LAYOUT``.
    :return: the name under which a model says on whom of them it was trained, and the clips.
    :raises DatasetError: when the path has none of these layouts.
    """
    if found := list(_pairs(path)):
        return packed_london.SET, found
    if found := list(_clips(path)):
        return clips.SET, found
    raise DatasetError(f'{path} holds no such clips; expected {LAYOUT}')


def evaluate_events(pipeline: EmotionPipeline, found: list[Clip]) -> dict[str, Any]:
    """Measure the events of behaviour_node, as it comes, on clips or on pairs of photographs.

    A pair is made a video of 30 frames a second: ``REST`` seconds of the neutral photograph,
    ``FADE`` in which the one becomes the other, and ``HOLD`` of the emotion.

    :return: dict for JSON. ``neutral`` and each emotion that the set shows have ``clips``,
        ``minutes``; ``false_starts`` and ``false_starts_per_minute``: events in which an emotion
        started that is not the clip's, or before it begins to show; ``false_labels_per_minute``:
        the same of the labels of single images, each change to an emotion counting. An emotion
        has also ``seen``: clips in which it became the stable one, ``share`` with the 95 %
        interval of Wilson in ``interval``, and ``delay``: the median time to the event [s], from
        where it is half there in a pair, and from the first image in a clip.
    :raises DatasetError: when a file cannot be read.
    """
    heard = [(clip, *_run(pipeline, clip)) for clip in found]
    return {
        label: _figures([item for item in heard if item[0].label == label])
        for label in (NEUTRAL, *EMOTIONS)
        if any(clip.label == label for clip in found)
    }


def fade(
    neutral: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Make a pair of photographs a video, stamp [ns] and image a frame; see REST, FADE, HOLD."""
    if other.shape != neutral.shape:
        height, width = neutral.shape[:2]
        other = np.asarray(cv2.resize(other, (width, height)), np.uint8)
    for frame in range(round((REST + FADE + HOLD) * USUAL_RATE)):
        share = min(max((frame / USUAL_RATE - REST) / FADE, 0.0), 1.0)
        yield (
            round(frame * 1e9 / USUAL_RATE),
            np.asarray(cv2.addWeighted(neutral, 1.0 - share, other, share, 0.0), np.uint8),
        )


def _pairs(path: Path) -> Iterator[Clip]:
    for first in sorted(path.glob(f'*_{NEUTRAL}.*')):
        person = first.stem.removesuffix(f'_{NEUTRAL}')
        for emotion in EMOTIONS:
            second = first.with_stem(f'{person}_{emotion}')
            if second.is_file():
                yield Clip(
                    f'{person}_{emotion}',
                    person,
                    emotion,
                    partial(_faded, first, second),
                    REST,
                    REST + FADE / 2,
                )


def _faded(first: Path, second: Path) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    return fade(read_image(first, LAYOUT), read_image(second, LAYOUT))


def _clips(path: Path) -> Iterator[Clip]:
    if not clips.recognises(path):
        return
    for recording in clips.recordings(path):
        yield Clip(
            recording.name,
            recording.subject,
            recording.label,
            partial(frames_of, recording, clips.LAYOUT),
        )


def _run(pipeline: EmotionPipeline, clip: Clip) -> tuple[float, Heard, Heard]:
    """Return the length of a clip [s], its events, and the labels that single images start.

    Both are lists of (time [s], label).
    """
    people, stamp = People(), 0
    started: Heard = []
    labels: Heard = []
    before: dict[int, str] = {}
    for stamp, image in clip.images():
        faces = pipeline.process(image, stamp, clip.name)
        height, width = image.shape[:2]
        started += [
            (stamp * 1e-9, event.label)
            for event in people.update(clip.name, stamp, (height, width), faces)
            if event.type != ENDED
        ]
        labels += [
            (stamp * 1e-9, face.label)
            for face in faces
            if face.label not in (NEUTRAL, before.get(face.track_id))
        ]
        before = {face.track_id: face.label for face in faces}
    pipeline.reset(clip.name)
    return stamp * 1e-9, started, labels


def _figures(heard: list[tuple[Clip, float, Heard, Heard]]) -> dict[str, Any]:
    label = heard[0][0].label
    minutes = sum(length for _, length, _, _ in heard) / 60
    false = [
        sum(name != label or time < clip.begins for time, name in happened)
        for clip, _, *lists in heard
        for happened in lists
    ]
    figures: dict[str, Any] = {
        'clips': len(heard),
        'minutes': minutes,
        'false_starts': sum(false[0::2]),
        'false_starts_per_minute': sum(false[0::2]) / minutes,
        'false_labels_per_minute': sum(false[1::2]) / minutes,
    }
    if label != NEUTRAL:
        delays = [
            [time - clip.shows for time, name in started if name == label and time >= clip.begins][
                :1
            ]
            for clip, _, started, _ in heard
        ]
        seen = [first for found in delays for first in found]
        figures |= {
            'seen': len(seen),
            'share': len(seen) / len(heard),
            'interval': wilson_interval(len(seen) / len(heard), len(heard)),
            'delay': median(seen) if seen else None,
            'missed': [clip.name for (clip, *_), found in zip(heard, delays) if not found],
        }
    return figures
