"""How well a model reads sequences: how early, how fast, and how strong."""
from itertools import groupby

import numpy as np

from emotion_perception.emotions import EMOTIONS
from emotion_perception.evaluation.metrics import (
    accuracy, apex_similarity, bootstrap_interval, confusion_matrix, correlation,
    expected_calibration_error, lag_of_change, macro_recall, mean_absolute_error, recalls,
    wilson_interval)

#: Points of a sequence at which its label is looked at [% of its frames].
PERCENTS = (20, 40, 60, 80, 100)

#: Frame rates to which sequences are resampled [frames per second].
RATES = (5, 15, 30)


def evaluate_sequences(model, samples):
    """Measure a model on sequences.

    The headline counts the sequences of the six classes that run from neutral to apex:

    - ``accuracy_at``: of the label given at frame ceil(p n / 100), counted from 1, of n;
    - ``accuracy_6``, ``macro_recall_6``, ``ece``: at the last frame;
    - ``intensity_correlation``, ``intensity_mae``: the intensity of the sequence's class
      against E2's target (:func:`~.metrics.apex_similarity` of the model's own features),
      over all frames;
    - ``lag``: the sequences of one person joined end to end in the order of the list, as one
      stream; after each change of expression, the frames until the label is the new one for
      good. The new sequence begins neutral, so its own onset is part of the lag.
      Changes at which that never happens are in ``missed``;
    - ``rates``: accuracy and lag again, resampled to 5, 15 and 30 frames a second.

    Other labelled sequences (partial ones, clips) are in ``other``: share of frames and of last
    frames with the right label, and their lag.

    :param model: what :func:`emotion_perception.recognition.load_model` returns.
    :param samples: list of :class:`~emotion_perception.datasets.Sample`.
    :return: dict for JSON; fractions 0 .. 1, lags in frames and seconds. ``intervals`` holds
        95 % intervals: Wilson's for accuracies, bootstrap over the sequences for the rest.
    :raises ValueError: when no sequence is labelled with one of the six classes.
    """
    labelled = [_Sequence(model, sample) for sample in samples if sample.label in EMOTIONS]
    if not labelled:
        raise ValueError(f'no sequence is labelled {", ".join(EMOTIONS)}')
    complete = [sequence for sequence in labelled if sequence.sample.neutral_to_apex]
    other = [sequence for sequence in labelled if not sequence.sample.neutral_to_apex]
    result = {'n': len(complete), 'intervals': {}}
    if complete:
        result |= _headline(model, complete, result['intervals'])
    if other:
        outputs = [(s.label, model.classify_all(s.kept)[0].argmax(1)) for s in other]
        result['other'] = {
            'n': len(other),
            'accuracy_frames': float(np.mean([np.mean(p == label) for label, p in outputs])),
            'accuracy_last': float(np.mean([p[-1] == label for label, p in outputs])),
            'lag': _lag(model, other)}
    return result


class _Sequence:
    """A sample with what the model keeps of its frames: each frame is encoded once."""

    def __init__(self, model, sample, kept=None):
        self.sample = sample
        self.label = EMOTIONS.index(sample.label)
        self.kept = model.encode(sample.frames) if kept is None else kept

    def at_rate(self, rate):
        """Return it as seen at another frame rate."""
        return _Sequence(None, self.sample,
                         self.kept[resampled(len(self.kept), self.sample.rate, rate)])


def resampled(count, rate, new_rate):
    """Return the indices of the frames that a slower or faster camera would have given.

    They are taken backwards from the last frame, so that each rate ends on the apex. At each
    moment it is the newest frame so far; a faster camera shows frames more than once.
    """
    duration = (count - 1) / rate
    times = duration - np.arange(int(duration * new_rate + 1e-9), -1, -1) / new_rate
    return np.floor(times * rate + 1e-6).astype(int)


def _subject(sequence):
    return sequence.sample.subject


def _headline(model, sequences, intervals):
    count = len(sequences)
    truth = np.array([sequence.label for sequence in sequences])
    outputs = [model.classify_all(sequence.kept) for sequence in sequences]
    result = {'accuracy_at': _accuracy_at(truth, [scores for scores, _ in outputs])}
    intervals['accuracy_at'] = {percent: wilson_interval(share, count)
                                for percent, share in result['accuracy_at'].items()}

    last = np.stack([scores[-1] for scores, _ in outputs])
    predictions = last.argmax(1)
    matrix = confusion_matrix(truth, predictions, 6)
    result |= {'accuracy_6': accuracy(truth, predictions),
               'macro_recall_6': macro_recall(truth, predictions, 6),
               'recalls_6': [None if np.isnan(r) else float(r) for r in recalls(matrix)],
               'confusion_6': matrix.tolist(),
               'ece': expected_calibration_error(truth, last)}
    intervals['accuracy_6'] = wilson_interval(result['accuracy_6'], count)
    intervals['macro_recall_6'] = bootstrap_interval(
        lambda t, p: macro_recall(t, p, 6), truth, predictions)
    intervals['ece'] = bootstrap_interval(expected_calibration_error, truth, last)

    targets = [apex_similarity(model.features(s.sample.frames)) for s in sequences]
    given = [intensities[:, s.label] for s, (_, intensities) in zip(sequences, outputs)]
    for name, figure in (('intensity_correlation', correlation),
                         ('intensity_mae', mean_absolute_error)):
        def pooled(a, b, figure=figure):
            return figure(np.concatenate(a), np.concatenate(b))
        value = pooled(given, targets)
        defined = not np.isnan(value)  # no correlation where the intensity never changes
        result[name] = value if defined else None
        intervals[name] = bootstrap_interval(pooled, given, targets) if defined else None

    result['lag'] = _lag(model, sequences)
    result['rates'] = {}
    timed = [sequence for sequence in sequences if sequence.sample.rate]
    for rate in RATES if timed else ():
        seen = [sequence.at_rate(rate) for sequence in timed]
        scores = [model.classify_all(sequence.kept)[0] for sequence in seen]
        labels = np.array([sequence.label for sequence in seen])
        result['rates'][str(rate)] = {'accuracy_at': _accuracy_at(labels, scores),
                                      'lag': _lag(model, seen, rate)}
    return result


def _accuracy_at(truth, scores):
    """Return {'20': accuracy, ..} for the scores [T,6] of each sequence."""
    shares = {}
    for percent in PERCENTS:
        answers = [s[-(-percent * len(s) // 100) - 1].argmax() for s in scores]
        shares[str(percent)] = accuracy(truth, answers)
    return shares


def _lag(model, sequences, rate=None):
    """Return the lag over all changes of expression in the streams of joined sequences."""
    lags, seconds = [], []
    known = [sequence for sequence in sequences if sequence.sample.subject]
    for _, group in groupby(sorted(known, key=_subject), key=_subject):
        stream = list(group)
        predictions = model.classify_all(
            np.concatenate([sequence.kept for sequence in stream]))[0].argmax(1)
        start = len(stream[0].kept)
        for before, after in zip(stream, stream[1:]):
            end = start + len(after.kept)
            if before.label != after.label:
                lag = lag_of_change(predictions[start:end], after.label)
                lags.append(lag)
                frame_rate = rate or after.sample.rate
                if lag is not None and frame_rate:
                    seconds.append(lag / frame_rate)
            start = end
    settled = [lag for lag in lags if lag is not None]
    return {'changes': len(lags), 'missed': len(lags) - len(settled),
            'frames': float(np.mean(settled)) if settled else None,
            'seconds': float(np.mean(seconds)) if seconds else None}
