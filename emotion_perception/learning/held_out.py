"""Faces for folds of people: what is trained on without a fold, and the answers on that fold."""
from itertools import accumulate, pairwise

import numpy as np

from emotion_perception.emotions import EMOTIONS
from emotion_perception.evaluation.metrics import (
    apex_similarity, bootstrap_interval, correlation, mean_absolute_error, wilson_interval)
from emotion_perception.evaluation.sequences import PERCENTS
from emotion_perception.learning.augmentation import augment, resize
from emotion_perception.learning.episodes import (
    grey_variants, held_episode, live_episode, onset_episode, vote_intensity)
from emotion_perception.learning.lab_faces import all_onsets
from emotion_perception.learning.targets import stills_from

#: Versions of each sequence: as it is, and augmented.
_VARIANTS = 3

#: The fold of web faces, which nobody holds out.
_NO_FOLD = -1


class Crops:
    """Grey crops of web and lab faces, those to train on augmented, to be encoded in one go.

    :param web: samples of stills with votes; may be empty.
    :param lab: :class:`~emotion_perception.learning.lab_faces.LabFaces`.
    :param config: dict with ``web_images``, ``lab_repeats``, ``seed``.
    :param size: rows and columns.
    :raises ValueError: when the lab sets lack stills or complete sequences of the six classes.
    """

    def __init__(self, web, lab, config, size):
        rng = np.random.default_rng(config['seed'])
        samples = [sample for set_ in lab.sets for sample in set_]
        fold_of = {person: fold for fold, people in enumerate(lab.folds) for person in people}
        measured = [(set_.set_name, s) for set_ in lab.sets for s in set_
                    if len(s.frames) == 1 and s.label in EMOTIONS]
        self.real = sum(s.neutral_to_apex and s.label in EMOTIONS for s in samples)
        if not measured or not self.real:
            raise ValueError('the lab sets need both, stills and sequences from neutral to apex of '
                             'the six classes, for networks to be compared on')
        onsets = list(all_onsets(samples, rng))
        #: (fold, person, class) of each onset; the ``real`` first ones are sequences, not made.
        self.onsets = [(fold_of[person], person, label) for person, label, _ in onsets]
        parts = [grey_variants(frames, size, _VARIANTS, number)
                 for number, (_, _, frames) in enumerate(onsets)]

        chosen = [web[i] for i in rng.choice(
            len(web), min(config['web_images'], len(web)), replace=False)]
        self.folds = np.full(len(chosen), _NO_FOLD)
        stills = [s for s in samples if len(s.frames) == 1 and s.label != 'contempt'
                  ] * config['lab_repeats']
        self.folds = np.append(self.folds, [fold_of[s.subject] for s in stills]).astype(int)
        self.targets, self.intensity = stills_from(chosen + stills), vote_intensity(
            chosen + stills)
        parts.append(np.stack([augment(image, size, rng) for image in self.targets.images]))

        #: (set, fold, class) of each still to measure.
        self.measured = [(name, fold_of[s.subject], EMOTIONS.index(s.label))
                         for name, s in measured]
        parts.append(np.stack([resize(image, size) for image in stills_from(
            [s for _, s in measured]).images]))
        self._shapes = [part.shape[:-2] for part in parts]
        #: float32 [n,size,size] in 0..255, all of them.
        self.grey = np.concatenate([part.reshape(-1, size, size) for part in parts])

    def divided(self, encoded):
        """Divide what became of ``grey``, [n,...]; return the parts that it was made of."""
        ends = [0, *accumulate(int(np.prod(shape)) for shape in self._shapes)]
        return [encoded[a:b].reshape(*shape, *encoded.shape[1:])
                for (a, b), shape in zip(pairwise(ends), self._shapes)]


class Faces:
    """Crops as networks read them.

    :param crops: :class:`Crops`.
    :param read: float32 [n,...], what is read of each of ``crops.grey``.
    :param features: float32 [n,k], of which E2's target is made.
    """

    def __init__(self, crops, read, features):
        *onsets, self._stills, measured = crops.divided(read)
        onset_features = crops.divided(features)
        self._crops, self._deviation = crops, float(read.std())
        self._people = {}
        #: (fold, class, frames [t,...], E2's target [t]) of each sequence to measure.
        self.sequences = []
        for i, (fold, person, label) in enumerate(crops.onsets):
            episodes = [onset_episode(*variant, label)
                        for variant in zip(onsets[i], onset_features[i])]
            self._people.setdefault((fold, person), []).append(episodes)
            if i < crops.real:
                self.sequences.append((fold, EMOTIONS.index(label), onsets[i][0],
                                       apex_similarity(onset_features[i][0])))
        #: (set, fold, class, frame [...]) of each still to measure.
        self.stills = [(*known, frame) for known, frame in zip(crops.measured, measured)]

    def draw(self, rng, without, config):
        """Draw a batch of episodes that shows nobody of a fold.

        :param config: dict with ``stills`` and ``sequences`` (episodes of each), ``frames``
            (longest episode), ``noise`` (jitter, in deviations of what is read).
        """
        crops, noise = self._crops, config['noise'] * self._deviation
        episodes = []
        for i in rng.choice(np.flatnonzero(crops.folds != without), config['stills']):
            length = 1 if rng.random() < 0.6 else int(rng.integers(2, 30))
            held = held_episode(
                self._stills[i].ravel(), crops.targets.targets['six'][i],
                crops.targets.weights['six'][i], crops.intensity[i], length,
                noise * (length > 1), rng)
            held.kept = held.kept.reshape(length, *self._stills.shape[1:])
            episodes.append(held)
        people = [onsets for (fold, _), onsets in self._people.items() if fold != without]
        for number in rng.integers(0, len(people), config['sequences']):
            episodes.append(live_episode(
                [variants[rng.integers(_VARIANTS)] for variants in people[number]], noise, rng))
        return [episode.take(slice(config['frames'])) for episode in episodes]


class Answers:
    """What the networks of one seed say of the people that each was trained without."""

    def __init__(self):
        #: For each sequence: whether it is right at each of PERCENTS.
        self.right = []
        #: For each sequence, [t]: the intensity of its class, and E2's target.
        self.intensities, self.targets = [], []
        #: For each set: whether each still is right.
        self.stills = {}

    def add(self, faces, fold, network, mean_so_far):
        """Ask a network about the people of a fold.

        :param mean_so_far: answer by the mean of the scores up to a frame, not by its own.
        """
        for where, label, frames, target in faces.sequences:
            if where == fold:
                values = np.array(network(frames[np.newaxis]))[0]
                scores = _softmax(float(network.sharpness) * values)
                if mean_so_far:
                    scores = scores.cumsum(0) / np.arange(1, len(scores) + 1)[:, np.newaxis]
                given = scores.argmax(1)
                self.right.append([given[-(-percent * len(given) // 100) - 1] == label
                                   for percent in PERCENTS])
                self.intensities.append(values[:, label].clip(0, 1))
                self.targets.append(target)
        asked = [still for still in faces.stills if still[1] == fold]
        if asked:
            frames = np.stack([frame for *_, frame in asked])[:, np.newaxis]
            given = np.array(network(frames))[:, 0].argmax(1)
            for (name, _, label, _), answer in zip(asked, given):
                self.stills.setdefault(name, []).append(answer == label)


def figures(answers, with_intensity):
    """Return the figures of a row, a dict for JSON: means over seeds, and 95 % intervals.

    Intervals are those of the sequences (stills), not of the seeds, which see the same ones:
    Wilson's, and bootstrap over the sequences for the mean of the five points.

    :param answers: list of :class:`Answers`, one a seed.
    :param with_intensity: whether the networks' values are intensities.
    """
    right = np.array([a.right for a in answers], float)     # [seeds, sequences, points]
    at = right.mean((0, 1))
    result = {
        'n': right.shape[1],
        'accuracy_at': {str(p): float(share) for p, share in zip(PERCENTS, at)},
        'accuracy_at_intervals': {str(p): wilson_interval(float(share), right.shape[1])
                                  for p, share in zip(PERCENTS, at)},
        'mean': float(right.mean()),
        'mean_interval': bootstrap_interval(np.mean, right.mean(0)),
        'mean_of_seeds': right.mean((1, 2)).tolist(),
        'stills': {}}
    for name in answers[0].stills:
        of_seeds = np.array([a.stills[name] for a in answers], float)
        share = float(of_seeds.mean())
        result['stills'][name] = {
            'n': of_seeds.shape[1], 'accuracy_6': share, 'of_seeds': of_seeds.mean(1).tolist(),
            'interval': wilson_interval(share, of_seeds.shape[1])}
    if with_intensity:
        for name, figure in (('intensity_correlation', correlation),
                             ('intensity_mae', mean_absolute_error)):
            result[name] = float(np.mean([
                figure(np.concatenate(a.intensities), np.concatenate(a.targets))
                for a in answers]))
    return result


def _softmax(values):
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
