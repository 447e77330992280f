"""Clips as they were watched: what was published of them, frame by frame, and the figures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_perception.datasets.sample import Sample
from emotion_perception.emotions import EMOTIONS, LABELS, NEUTRAL
from emotion_perception.evaluation.classifier import Classifier
from emotion_perception.evaluation.metrics import bootstrap_interval, published_labels
from emotion_perception.labels import intensity_of
from emotion_perception.videos import USUAL_RATE

#: Stands for a label where no face is published.
NO_FACE = -1

_NEUTRAL = LABELS.index(NEUTRAL)


@dataclass
class Watched:
    """What was published of one clip's largest face, frame by frame."""

    name: str
    person: str | None
    label: str | None  #: what the clip shows; None where it is not labelled
    stamps_ns: npt.NDArray[np.int64]  #: [t]
    label_ids: npt.NDArray[np.int64]  #: [t], index of LABELS or NO_FACE
    scores: npt.NDArray[np.float32]  #: [t,6]
    intensities: npt.NDArray[np.float32]  #: [t]
    track_ids: npt.NDArray[np.int64]  #: [t], NO_FACE where none
    crops: list[npt.NDArray[np.uint8] | None] = field(default_factory=list)  #: [t], for plots

    @property
    def seconds(self) -> float:
        """How long it is."""
        if len(self.stamps_ns) < 2:
            return 0.0
        span = float(self.stamps_ns[-1] - self.stamps_ns[0]) * 1e-9
        return span * len(self.stamps_ns) / (len(self.stamps_ns) - 1)

    @property
    def changes(self) -> int:
        """How often the label changes from one frame with a face to the next."""
        return int(np.count_nonzero(np.diff(self.label_ids[self.label_ids != NO_FACE])))

    @property
    def starts(self) -> int:
        """How often the label of an emotion begins after neutral, or with the first face."""
        emotional = self.label_ids[self.label_ids != NO_FACE] != _NEUTRAL
        return int(np.count_nonzero(emotional & ~np.concatenate([[False], emotional[:-1]])))


def watch_sample(model: Classifier, sample: Sample) -> Watched:
    """Read a clip whose crops are there already, cut as the live tracker does."""
    return watched_as(sample, *model.classify_all(model.encode(sample.frames), sample.stamps_ns))


def watched_as(
    sample: Sample, scores: npt.NDArray[np.float32], strengths: npt.NDArray[np.float32]
) -> Watched:
    """Return what is published of a clip that was read so, float32 [t,6] both."""
    stamps = sample.stamps_ns
    if stamps is None:
        stamps = np.asarray(np.arange(len(scores)) * (1e9 / USUAL_RATE), np.int64)
    labels = published_labels(strengths, stamps)
    return Watched(
        sample.name,
        sample.subject,
        sample.label,
        stamps,
        labels,
        scores,
        intensity_of(strengths[np.arange(len(scores)), scores.argmax(1)]),
        np.ones(len(scores), np.int64),
    )


def clips_figures(watched: list[Watched]) -> dict[str, Any]:
    """Return the figures of labelled clips, a dict for JSON.

    Shares are of the frames with a face. Each person counts alike: means are over a person's clips
    first, then over the people, and intervals (95 %) are by bootstrap over people.
    ``.._of_clips`` counts each clip alike.

    ``neutral``: ``share_neutral``, ``changes`` and ``false_starts`` a minute. ``emotional``:
    ``right``, ``neutral``, ``wrong``, ``by_emotion`` (share right of each class's clips) and
    ``mean_of_emotions``, ``changes`` a minute, ``first_right`` and ``stays_right``: seconds to the
    first right label, and to the one that stays to the end, medians over the clips in which there
    is one (``.._never``: in how many there is none). ``both``: mean of share_neutral and right,
    over clips. ``without_face``: share of frames; ``id_changes``: how often the largest face has
    another id than before.
    """
    neutral = [clip for clip in watched if clip.label == NEUTRAL]
    emotional = [clip for clip in watched if clip.label in EMOTIONS]
    result: dict[str, Any] = {'n': len(watched), 'people': len({c.person for c in watched})}
    if neutral:
        result['neutral'] = _of_people(
            neutral,
            {
                'share_neutral': lambda c: share_of(c, _NEUTRAL),
                'changes': lambda c: a_minute(c, c.changes),
                'false_starts': lambda c: a_minute(c, c.starts),
            },
        )
    if emotional:
        found = _of_people(
            emotional,
            {
                'right': lambda c: share_of(c, LABELS.index(c.label)),
                'neutral': lambda c: share_of(c, _NEUTRAL),
                'wrong': _wrong,
                'changes': lambda c: a_minute(c, c.changes),
            },
        )
        found['by_emotion'] = {
            emotion: float(np.mean(shares))
            for emotion in EMOTIONS
            if (
                shares := [
                    share_of(c, LABELS.index(emotion)) for c in emotional if c.label == emotion
                ]
            )
        }
        found['mean_of_emotions'] = float(np.mean(list(found['by_emotion'].values())))
        for name, moment in (('first_right', _first_right), ('stays_right', _stays_right)):
            moments = [moment(c) for c in emotional]
            there = [m for m in moments if m is not None]
            found[name] = float(np.median(there)) if there else None
            found[f'{name}_never'] = len(moments) - len(there)
        result['emotional'] = found
    if neutral and emotional:
        result['both'] = (
            result['neutral']['share_neutral_of_clips'] + result['emotional']['right_of_clips']
        ) / 2
    frames = sum(len(clip.label_ids) for clip in watched)
    result['without_face'] = (
        sum(int(np.count_nonzero(clip.label_ids == NO_FACE)) for clip in watched) / frames
    )
    result['id_changes'] = sum(_id_changes(clip) for clip in watched)
    return result


def _of_people(
    clips: list[Watched], figures: dict[str, Callable[[Watched], float]]
) -> dict[str, Any]:
    people = sorted({str(clip.person) for clip in clips})
    result: dict[str, Any] = {'n': len(clips), 'people': len(people), 'intervals': {}}
    for name, figure in figures.items():
        values = [figure(clip) for clip in clips]
        of_person = np.array(
            [
                np.mean([v for v, c in zip(values, clips) if str(c.person) == person])
                for person in people
            ]
        )
        result[name] = float(of_person.mean())
        result['intervals'][name] = bootstrap_interval(np.mean, of_person)
        result[f'{name}_of_clips'] = float(np.mean(values))
    return result


def share_of(clip: Watched, label_id: int) -> float:
    """Return the share of a label in the frames with a face; 0 where there is none."""
    seen = clip.label_ids[clip.label_ids != NO_FACE]
    return float(np.mean(seen == label_id)) if len(seen) else 0.0


def _wrong(clip: Watched) -> float:
    return sum(share_of(clip, LABELS.index(other)) for other in EMOTIONS if other != clip.label)


def a_minute(clip: Watched, count: int) -> float:
    """Return how often something happened a minute."""
    return 60 * count / clip.seconds if clip.seconds else 0.0


def _first_right(clip: Watched) -> float | None:
    right = np.flatnonzero(clip.label_ids == LABELS.index(clip.label))
    return _seconds_at(clip, int(right[0])) if len(right) else None


def _stays_right(clip: Watched) -> float | None:
    wrong = np.flatnonzero(clip.label_ids != LABELS.index(clip.label))
    first = int(wrong[-1]) + 1 if len(wrong) else 0
    return _seconds_at(clip, first) if first < len(clip.label_ids) else None


def _seconds_at(clip: Watched, frame: int) -> float:
    return float(clip.stamps_ns[frame] - clip.stamps_ns[0]) * 1e-9


def _id_changes(clip: Watched) -> int:
    ids = clip.track_ids[clip.track_ids != NO_FACE]
    return int(np.count_nonzero(np.diff(ids)))
