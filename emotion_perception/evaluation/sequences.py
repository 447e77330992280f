"""How well a model reads sequences: how early, how fast, and how strong."""

from collections.abc import Callable
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_perception.datasets.sample import Sample
from emotion_perception.emotions import EMOTIONS, LABELS
from emotion_perception.evaluation.classifier import Classifier
from emotion_perception.evaluation.metrics import (
    accuracy,
    apex_similarity,
    bootstrap_interval,
    confusion_matrix,
    correlation,
    expected_calibration_error,
    lag_of_change,
    macro_recall,
    mean_absolute_error,
    published_labels,
    recalls,
    wilson_interval,
)
from emotion_perception.labels import intensity_of
from emotion_perception.temporal import Floats
from emotion_perception.videos import USUAL_RATE

#: Points of a sequence at which its label is looked at [% of its frames].
PERCENTS = (20, 40, 60, 80, 100)

#: From frame to frame where a set says no times [ns].
_INTERVAL_NS = 10**9 / USUAL_RATE

#: Frame rates to which sequences are resampled [frames per second].
RATES = (5, 15, 30)


def evaluate_sequences(model: Classifier, samples: list[Sample]) -> dict[str, Any]:
    """Measure a model on sequences.

    The headline counts the sequences that run from neutral to apex; in a set without such, as
    clips of one's own are, all others. Of those that are labelled with one of the six classes:

    - ``accuracy_at``: of the top score at frame ceil(p n / 100), counted from 1, of n;
    - ``accuracy_6``, ``macro_recall_6``, ``ece``: at the last frame.

    Of neutral-to-apex sequences alone:

    - ``intensity_correlation``, ``intensity_mae``: the intensity of the sequence's class
      against E2's target (:func:`~.metrics.apex_similarity` of the model's own features),
      over all frames.

    Of the others alone, which show their label from the first frame on:

    - ``accuracy_frames``: share of the frames with the right label as the node publishes it,
      each sequence counting alike; those of neutral faces count as well.

    Of all:

    - ``lag``: the sequences of one person joined end to end in the order of the list, as one
      stream; after each change of label, the frames until the published label is the new
      one for good. An onset begins neutral, so it is itself a part of the lag.
      Changes at which that never happens are in ``missed``;
    - ``rates``: accuracy and lag again, resampled to 5, 15 and 30 frames a second; without
      the sequences whose own rate is not known.

    Where a set has both, the figures of those that do not run from neutral to apex are in
    ``other``, in the same form.

    :param model: what :func:`emotion_perception.recognition.load_model` returns.
    :param samples: list of :class:`~emotion_perception.datasets.Sample`.
    :return: dict for JSON; fractions 0 .. 1, lags in frames and seconds. ``n`` counts the
        sequences of the six classes, ``intervals`` holds 95 % intervals: Wilson's for
        accuracies, bootstrap over the sequences for the rest.
    :raises ValueError: when no sequence is labelled with one of the six classes.
    """
    return sequence_figures(
        [Sequence(model, sample) for sample in samples if sample.label in LABELS]
    )


def sequence_figures(sequences: list['Sequence']) -> dict[str, Any]:
    """Return the figures of :func:`evaluate_sequences`.

    :param sequences: list of :class:`Sequence`, labelled with one of LABELS; those of one person
        are read by one model.
    """
    if not any(map(_is_of_six, sequences)):
        raise ValueError(f'no sequence is labelled {", ".join(EMOTIONS)}')
    complete = [s for s in sequences if s.sample.neutral_to_apex and _is_of_six(s)]
    other = [s for s in sequences if not s.sample.neutral_to_apex]
    result = _onsets(complete) if complete else _clips(other)
    if complete and any(map(_is_of_six, other)):
        result['other'] = _clips(other)
    return result


class Sequence:
    """A sample as a model reads it: each frame is encoded once."""

    def __init__(
        self,
        model: Classifier,
        sample: Sample,
        kept: Floats | None = None,
        stamps_ns: npt.NDArray[Any] | None = None,
    ) -> None:
        self.model, self.sample = model, sample
        self.kept = model.encode(sample.frames) if kept is None else kept
        #: When each frame is shown [ns]; 30 frames a second where that is not known.
        stamps_ns = sample.stamps_ns if stamps_ns is None else stamps_ns
        if stamps_ns is None:
            stamps_ns = np.arange(len(self.kept)) * _INTERVAL_NS
        self.stamps_ns = stamps_ns

    @cached_property
    def answers(self) -> tuple[Floats, Floats]:
        """Scores and strengths of each frame, float32 [t,6] each."""
        return self.model.classify_all(self.kept, self.stamps_ns)

    @property
    def label(self) -> int:
        return LABELS.index(str(self.sample.label))

    def at_rate(self, rate: float) -> 'Sequence':
        """Return it as seen at another frame rate; its own has to be known."""
        assert self.sample.stamps_ns is not None
        kept = self.kept[resampled(self.sample.stamps_ns, rate)]
        return Sequence(self.model, self.sample, kept, np.arange(len(kept)) * 1e9 / rate)


def resampled(stamps_ns: npt.NDArray[np.int64], new_rate: float) -> npt.NDArray[np.intp]:
    """Return the indices of the frames that a slower or faster camera would have given.

    :param stamps_ns: int64 [n], when each frame was shown.

    They are taken backwards from the last frame, so that each rate ends on the apex. At each
    moment it is the newest frame so far; a faster camera shows frames more than once.
    """
    stamps = (stamps_ns - stamps_ns[0]) * 1e-9
    times = stamps[-1] - np.arange(int(stamps[-1] * new_rate + 1e-6), -1, -1) / new_rate
    places = np.searchsorted(stamps, times + 1e-6, side='right')  # stamps are rounded
    return np.asarray(places - 1)


def _subject(sequence: Sequence) -> str:
    return str(sequence.sample.subject)


def _is_of_six(sequence: Sequence) -> bool:
    return sequence.sample.label in EMOTIONS


def _onsets(sequences: list[Sequence]) -> dict[str, Any]:
    """Return the figures of sequences of the six classes that run from neutral to apex."""
    result = _figures(sequences)
    targets = [apex_similarity(s.model.features(s.sample.frames)) for s in sequences]
    given = [intensity_of(s.answers[1][:, s.label]) for s in sequences]
    for name, figure in (
        ('intensity_correlation', correlation),
        ('intensity_mae', mean_absolute_error),
    ):

        def pooled(
            a: list[Floats], b: list[Floats], figure: Callable[..., float] = figure
        ) -> float:
            return figure(np.concatenate(a), np.concatenate(b))

        value = pooled(given, targets)
        defined = not np.isnan(value)  # no correlation where the intensity never changes
        result[name] = value if defined else None
        result['intervals'][name] = bootstrap_interval(pooled, given, targets) if defined else None
    return result


def _clips(sequences: list[Sequence]) -> dict[str, Any]:
    """Return the figures of sequences that show their label from the first frame on."""
    shares = [np.mean(published_labels(s.answers[1], s.stamps_ns) == s.label) for s in sequences]
    return _figures(sequences) | {'accuracy_frames': float(np.mean(shares))}


def _figures(sequences: list[Sequence]) -> dict[str, Any]:
    """Return what all sequences have in common, one of the six classes among them at least."""
    six = [sequence for sequence in sequences if _is_of_six(sequence)]
    truth = np.array([sequence.label for sequence in six])
    scores = [sequence.answers[0] for sequence in six]
    last = np.stack([s[-1] for s in scores])
    predictions = last.argmax(1)
    matrix = confusion_matrix(truth, predictions, 6)
    result: dict[str, Any] = {
        'n': len(six),
        'accuracy_at': _accuracy_at(truth, scores),
        'accuracy_6': accuracy(truth, predictions),
        'macro_recall_6': macro_recall(truth, predictions, 6),
        'recalls_6': [None if np.isnan(r) else float(r) for r in recalls(matrix)],
        'confusion_6': matrix.tolist(),
        'ece': expected_calibration_error(truth, last),
    }
    result['intervals'] = {
        'accuracy_at': {
            percent: wilson_interval(share, len(six))
            for percent, share in result['accuracy_at'].items()
        },
        'accuracy_6': wilson_interval(result['accuracy_6'], len(six)),
        'macro_recall_6': bootstrap_interval(
            lambda t, p: macro_recall(t, p, 6), truth, predictions
        ),
        'ece': bootstrap_interval(expected_calibration_error, truth, last),
    }
    result['lag'] = _lag(sequences)
    result['rates'] = {
        str(rate): figures for rate in RATES if (figures := _at_rate(sequences, rate))
    }
    return result


def _at_rate(sequences: list[Sequence], rate: float) -> dict[str, Any] | None:
    """Return accuracy and lag at another frame rate; None when no sequence's own is known."""
    seen = [
        sequence.at_rate(rate) for sequence in sequences if sequence.sample.stamps_ns is not None
    ]
    six = [sequence for sequence in seen if _is_of_six(sequence)]
    if not six:
        return None
    return {
        'accuracy_at': _accuracy_at(
            np.array([sequence.label for sequence in six]),
            [sequence.answers[0] for sequence in six],
        ),
        'lag': _lag(seen, rate),
    }


def _accuracy_at(truth: npt.NDArray[np.int64], scores: list[Floats]) -> dict[str, float]:
    """Return {'20': accuracy, ..} for the scores [T,6] of each sequence."""
    shares = {}
    for percent in PERCENTS:
        answers = [s[-(-percent * len(s) // 100) - 1].argmax() for s in scores]
        shares[str(percent)] = accuracy(truth, answers)
    return shares


def _lag(sequences: list[Sequence], rate: float | None = None) -> dict[str, Any]:
    """Return the lag over all changes of label in the streams of joined sequences."""
    lags: list[int | None] = []
    seconds: list[float] = []
    known = [sequence for sequence in sequences if sequence.sample.subject]
    for _, group in groupby(sorted(known, key=_subject), key=_subject):
        stream = list(group)
        kept, stamps = _joined(stream)
        predictions = published_labels(stream[0].model.classify_all(kept, stamps)[1], stamps)
        start = len(stream[0].kept)
        for before, after in zip(stream, stream[1:]):
            end = start + len(after.kept)
            if before.label != after.label:
                lag = lag_of_change(predictions[start:end], after.label)
                lags.append(lag)
                if lag is not None and rate:
                    seconds.append(lag / rate)
                elif lag is not None and (shown := after.sample.stamps_ns) is not None:
                    seconds.append(float(shown[lag] - shown[0]) * 1e-9)
            start = end
    settled = [lag for lag in lags if lag is not None]
    return {
        'changes': len(lags),
        'missed': len(lags) - len(settled),
        'frames': float(np.mean(settled)) if settled else None,
        'seconds': float(np.mean(seconds)) if seconds else None,
    }


def _joined(stream: list[Sequence]) -> tuple[Floats, npt.NDArray[Any]]:
    """Return what is kept of the frames of sequences, one after the other, and their times [ns]."""
    stamps: list[npt.NDArray[Any]] = []
    end = 0.0
    for sequence in stream:
        stamps.append(sequence.stamps_ns - sequence.stamps_ns[0] + end)
        end = stamps[-1][-1] + _INTERVAL_NS
    return np.concatenate([sequence.kept for sequence in stream]), np.concatenate(stamps)
