"""The recipe of a model: an encoder from web stills, brought to lab faces, then a head.

Folds hold people out of every step after the first, which sees no person of a lab set.
"""
import json
import zlib
from pathlib import Path

import numpy as np

from emotion_perception.datasets import load
from emotion_perception.emotions import EMOTIONS, NEUTRAL
from emotion_perception.learning.augmentation import augment
from emotion_perception.learning.change import change_readout
from emotion_perception.learning.episodes import (
    grey_variants, held_episode, live_episode, onset_episode, onset_frames, vote_intensity)
from emotion_perception.evaluation.sequences import evaluate_sequences
from emotion_perception.evaluation.stills import evaluate_stills
from emotion_perception.learning.export import (
    describe, encoder_bytes, read_weights, write_all, write_weights)
from emotion_perception.learning.networks import GreyEncoder
from emotion_perception.learning.stills import train_stills
from emotion_perception.learning.targets import stills_from
from emotion_perception.learning.temporal import train_head
from emotion_perception.recognition import Model
from emotion_perception.temporal import CHANGE, SIX

#: Augmented variants of every sequence that the head is trained on.
VARIANTS = 8


class LabFaces:
    """Samples of known people, dealt out to folds."""

    def __init__(self, whole, crops, folds):
        """Load sets.

        :param whole: paths of sets of whole images; figures are measured on them.
        :param crops: paths of sets of ready crops of the same people; only trained on.
        """
        self.sets = [load(path) for path in whole]
        self.crops = [sample for path in crops for sample in load(path)]
        self._folds = folds
        # People with complete sequences are dealt out first: one a fold makes the folds of
        # leave-one-subject-out. All others follow by a checksum of their name.
        watched = sorted({sample.subject for samples in self.sets for sample in samples
                          if sample.neutral_to_apex and sample.label in EMOTIONS})
        self._fold_of = {subject: i % folds for i, subject in enumerate(watched)}

    def fold_of(self, sample):
        """Return the fold, 0 .. folds - 1, that a sample's person is held out in."""
        return self._fold_of.get(
            sample.subject, zlib.crc32(sample.subject.encode()) % self._folds)

    def without(self, fold):
        """Return (samples of whole images, crops) of everybody who is not in a fold."""
        return ([sample for samples in self.sets for sample in samples
                 if self.fold_of(sample) != fold],
                [sample for sample in self.crops if self.fold_of(sample) != fold])

    def people(self):
        """Return {set name: sorted list of people}."""
        return {samples.set_name: sorted({sample.subject for sample in samples})
                for samples in self.sets}


def lab_stills(samples):
    """Return stills of lab samples: stills as they are, onsets as a neutral and an apex.

    :raises ValueError: when there is neither.
    """
    onsets = [s for s in samples if s.neutral_to_apex]
    chosen = [s for s in samples if len(s.frames) == 1]
    chosen += [_Still(s.frames[:1], NEUTRAL) for s in onsets] + onsets
    if not chosen:
        raise ValueError(f'none of the {len(samples)} lab samples is a still or runs from '
                         'neutral to apex: the lab sets need one or the other')
    stills = stills_from(chosen)
    # Lab sets show an expression in nearly every image. The eight-class head, which also tells
    # how neutral a face is, must not learn from them that neutral faces are rare.
    stills.weights['eight'][:] = 0
    return stills


class _Still:
    """A frame of a sequence, as far as targets need it."""

    votes = fer2013_label = None

    def __init__(self, frames, label):
        self.frames, self.label = frames, label


def adapt(base, config, web, lab, valid, run_dir):
    """Bring an encoder that was trained on web faces to lab faces, without losing the former.

    :param base: stills model.
    :param web: :class:`~emotion_perception.learning.targets.Stills`, of which a share goes on.
    :param lab: list of samples.
    """
    rng = np.random.default_rng(config['seed'])
    share = rng.choice(len(web), min(config['web_images'], len(web)), replace=False)
    stills = lab_stills(lab)
    repeated = stills.take(np.tile(np.arange(len(stills)), config['lab_repeats']))
    return train_stills(config, web.take(share) + repeated, valid, run_dir, start=base)


def head_episodes(stills_model, web, lab, config):
    """Set the readout of change, and encode what the head is trained on.

    :param stills_model: its ``change`` is fitted to the onsets.
    :param web: samples of stills with votes.
    :param lab: samples with people: onsets, and stills from which onsets are made.
    :return: the function that draws a batch of episodes.
    """
    encode = GreyEncoder(stills_model)
    rng = np.random.default_rng(config['seed'])
    encoded = [(subject, label, *encode(grey_variants(frames, encode.size, VARIANTS, i)))
               for i, (subject, label, frames) in enumerate(all_onsets(lab, rng))]
    readout, offset = change_readout([(features, label) for _, label, _, features in encoded])
    stills_model.get_layer('change').set_weights([readout, offset])
    encode = GreyEncoder(stills_model)
    onsets = {}
    for subject, label, kept, features in encoded:
        kept[..., CHANGE] = features @ readout + offset
        onsets.setdefault(subject, []).append(
            [onset_episode(*variant, label) for variant in zip(kept, features)])
    people = sorted(onsets)

    chosen = [web[i] for i in rng.choice(len(web), config['web_images'], replace=False)]
    chosen += [s for s in lab if len(s.frames) == 1 and s.label != 'contempt'
               ] * config['lab_repeats']
    stills = stills_from(chosen)
    # Augmented, since the encoder knows its own training images too well.
    kept, _ = encode(np.stack([augment(image, encode.size, rng) for image in stills.images]))
    six, six_weight = stills.targets['six'], stills.weights['six']
    # As strong as people see an expression, divided among the classes as E1 has it: otherwise the
    # two would pull an image on which taggers and FER2013 disagree to different classes.
    intensity = vote_intensity(chosen).sum(1, keepdims=True) * six

    def draw(rng):
        episodes = []
        for i in rng.integers(0, len(chosen), config['stills']):
            length = 1 if rng.random() < 0.6 else int(rng.integers(2, 30))
            episodes.append(held_episode(
                kept[i], six[i], six_weight[i], intensity[i], length,
                config['noise'] * (length > 1), rng))
        for person in rng.choice(people, config['sequences']):
            episodes.append(live_episode(
                [variants[rng.integers(VARIANTS)] for variants in onsets[person]],
                config['noise'], rng))
        return episodes

    return draw


def all_onsets(lab, rng):
    """Yield (subject, label, frames): real onsets, then ones made of neutral-apex pairs."""
    neutral = {}
    for sample in lab:
        if sample.neutral_to_apex or sample.label == NEUTRAL:
            neutral.setdefault(sample.subject, []).append(sample.frames[0])
        if sample.neutral_to_apex and sample.label in EMOTIONS:
            yield sample.subject, sample.label, sample.frames
    for sample in lab:
        if len(sample.frames) == 1 and sample.label in EMOTIONS and sample.subject in neutral:
            choices = neutral[sample.subject]
            yield sample.subject, sample.label, onset_frames(
                choices[rng.integers(len(choices))], sample.frames[0], int(rng.integers(6, 24)))


def calibrated(stills_model, head, valid):
    """Set the head's sharpness so that scores are probabilities of being right.

    One number, the one of least negative log likelihood over the images of ``valid`` that
    are labelled with one of the six classes (temperature scaling: Guo et al., ICML 2017).
    """
    model = in_memory(stills_model, head, int8=False)
    six = [sample for sample in valid if sample.label in EMOTIONS]
    truth = [EMOTIONS.index(sample.label) for sample in six]
    kept = model.encode(np.concatenate([sample.frames for sample in six]))
    scores, _ = model.classify([frame[np.newaxis] for frame in kept])
    logs = np.log(np.maximum(scores, 1e-30))

    def loss(factor):
        logits = logs * factor
        logits -= np.log(np.exp(logits).sum(1, keepdims=True))
        return -logits[np.arange(len(truth)), truth].mean()

    best = min(np.geomspace(0.3, 4, 100), key=loss)
    return {**head, 'sharpness': head['sharpness'] * float(best)}


def in_memory(stills_model, head, int8=True):
    """Return a model that runs like a shipped one, without being written."""
    encoder = encoder_bytes(stills_model, int8)
    return Model(describe(encoder, head, {'name': stills_model.name}, int8), encoder, threads=2)


class CnnAlone:
    """A model without its temporal head: the encoder's six logits, frame by frame."""

    def __init__(self, model):
        self.encode, self.features = model.encode, model.features
        self.stills_scores = model.stills_scores

    def classify(self, sequences):
        return self.classify_all(np.stack([sequence[-1] for sequence in sequences]))

    def classify_all(self, kept):
        powers = np.exp(kept[:, SIX] - kept[:, SIX].max(1, keepdims=True))
        scores = powers / powers.sum(1, keepdims=True)
        return scores, scores


class Recipe:
    """A configuration's run. Each step is left out when an earlier run has its result."""

    def __init__(self, config):
        self._config = config
        self.run_dir = Path(config['run_dir'])
        sets = config['sets']
        self._web = load(sets['web']['train'], 'stills')
        self._valid = load(sets['web']['valid'], 'stills')
        self._lab = LabFaces(sets['lab'], sets['lab_crops'], config['folds'])
        self._claim_run_dir()

    def _claim_run_dir(self):
        """Refuse results of another configuration; what only concerns heads may differ."""
        steps = json.dumps({key: self._config.get(key) for key in (
            'sets', 'folds', 'stills', 'adapt')}, indent=1)
        path = self.run_dir / 'steps.json'
        if path.exists() and path.read_text() != steps:
            raise ValueError(f'{self.run_dir} holds results of another configuration, see '
                             f'{path}: take another run_dir, or remove that folder')
        self.run_dir.mkdir(parents=True, exist_ok=True)
        path.write_text(steps)

    def write(self, output):
        """Train on everybody; write the model in int8 and float32, and its weights."""
        stills_model, draw = self._encoder(None)
        about = {'name': self._config['name'],
                 'trained_on': {'fer2013': ['train'], **self._lab.people()}}
        write_all(output, stills_model, self._head(stills_model, draw), about)

    def measure_folds(self):
        """Train without each fold's people, measure on them; print and write the figures.

        Beside the model stands its CNN alone. Figures are means over the folds, each counting
        as often as it has samples.
        """
        found = {}
        for fold in range(self._config['folds']):
            stills_model, draw = self._encoder(fold)
            model = in_memory(stills_model, self._head(stills_model, draw))
            models = {'model': model, 'CNN alone': CnnAlone(model)}
            for samples in self._lab.sets:
                held_out = [s for s in samples if self._lab.fold_of(s) == fold]
                stills = [s for s in held_out if len(s.frames) == 1]
                sequences = [s for s in held_out if s.neutral_to_apex and s.label in EMOTIONS]
                for name, model in models.items():
                    rows = found.setdefault(name, {})
                    if any(s.label in EMOTIONS for s in stills):
                        rows.setdefault(f'{samples.set_name} stills', []).append(
                            evaluate_stills(model, stills))
                    if sequences:
                        rows.setdefault(f'{samples.set_name} sequences', []).append(
                            evaluate_sequences(model, sequences))
        figures = {name: {what: _pooled(results) for what, results in rows.items()}
                   for name, rows in found.items()}
        (self.run_dir / 'folds.json').write_text(json.dumps(figures, indent=1) + '\n')
        print(json.dumps(figures, indent=1))

    def _encoder(self, fold):
        """Return (stills model, draw of episodes), trained without the people of a fold."""
        web, valid = stills_from(self._web), stills_from(self._valid)
        base = self._step('stills', lambda: train_stills(
            self._config['stills'], web, valid, self.run_dir / 'stills'))
        whole, crops = self._lab.without(fold)
        name = 'adapt' if fold is None else f'adapt_without_{fold}'
        stills_model = self._step(name, lambda: adapt(
            base, self._config['adapt'], web, whole + crops, valid, self.run_dir / name))
        return stills_model, head_episodes(stills_model, self._web, whole, self._config['head'])

    def _head(self, stills_model, draw):
        head = train_head(draw, self._config['head'])
        return calibrated(stills_model, head.weights_for_numpy(), self._valid)

    def _step(self, name, train):
        path = self.run_dir / f'{name}.npz'
        if not path.exists():
            write_weights(path, train())
        return read_weights(path)


def _pooled(results):
    """Join the figures of folds into means, each fold counting as often as it has samples."""
    counts = [result['n'] for result in results]

    def mean(values):
        if isinstance(values[0], dict):
            return {key: mean([value[key] for value in values]) for key in values[0]}
        return float(np.average(values, weights=counts))

    return {'n': sum(counts), **{
        key: mean([result[key] for result in results])
        for key in ('accuracy_6', 'accuracy_at', 'intensity_correlation', 'intensity_mae',
                    'below_threshold_six', 'below_threshold_neutral')
        if all(key in result for result in results)}}
