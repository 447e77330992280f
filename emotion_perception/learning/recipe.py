"""The recipe of a model: an encoder from web stills, brought to lab faces, then a head.

Folds hold people out of every step after the first, which sees no person of a lab set.
"""
import zlib

import keras
import numpy as np

from emotion_perception.datasets import load
from emotion_perception.emotions import EMOTIONS, NEUTRAL
from emotion_perception.learning.augmentation import augment
from emotion_perception.learning.episodes import (
    grey_variants, held_episode, live_episode, onset_episode, onset_frames, vote_intensity)
from emotion_perception.learning.export import describe, encoder_bytes
from emotion_perception.learning.networks import (
    INNER_SIZE, build_encoder, build_stills_model)
from emotion_perception.learning.stills import train_stills
from emotion_perception.learning.targets import stills_from
from emotion_perception.learning.temporal import train_head
from emotion_perception.recognition import Model

#: Augmented variants of every sequence that the head is trained on.
VARIANTS = 8


class LabFaces:
    """Samples with known people: stills, sequences, and the people of each fold."""

    def __init__(self, paths, folds):
        """Load sets; ``paths`` is a list of folders or files."""
        self.samples = [sample for path in paths for sample in load(path)]
        self._folds = folds
        # People with complete sequences are dealt out first: one a fold makes the folds of
        # leave-one-subject-out. All others follow by a checksum of their name.
        watched = sorted({s.subject for s in self.samples if s.neutral_to_apex
                          and s.label in EMOTIONS})
        self._fold_of = {subject: i % folds for i, subject in enumerate(watched)}

    def fold_of(self, sample):
        return self._fold_of.get(
            sample.subject, zlib.crc32(sample.subject.encode()) % self._folds)

    def split(self, fold):
        """Return (samples of people outside of a fold, samples of its people)."""
        inside = [self.fold_of(sample) == fold for sample in self.samples]
        return ([s for s, i in zip(self.samples, inside) if not i],
                [s for s, i in zip(self.samples, inside) if i])


def lab_stills(samples):
    """Return stills of lab samples: stills as they are, onsets as a neutral and an apex."""
    stills = stills_from([s for s in samples if len(s.frames) == 1])
    onsets = [s for s in samples if s.neutral_to_apex]
    if onsets:
        neutral = [_Still(s.frames[:1], NEUTRAL) for s in onsets]
        stills += stills_from(neutral) + stills_from(onsets)
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


class GreyEncoder:
    """A stills model's outputs for grey crops of INNER_SIZE, many at once."""

    def __init__(self, stills_model):
        grey = build_stills_model(build_encoder(stills_model.name.removesuffix('_stills'), None))
        grey.set_weights(stills_model.get_weights())
        self._network = keras.Model(grey.input, [
            keras.layers.Concatenate()([grey.output[head] for head in ('six', 'eight', 'seven')]),
            grey.get_layer('features').output])

    def __call__(self, grey):
        """Encode float32 [..., 48, 48]; return kept [..., 21] and features [..., 512]."""
        outputs = self._network.predict(
            grey.reshape(-1, INNER_SIZE, INNER_SIZE, 1), batch_size=256, verbose=0)
        return [out.reshape(*grey.shape[:-2], -1) for out in outputs]


def head_episodes(stills_model, web, lab, config):
    """Encode what the head is trained on; return the function that draws a batch of episodes.

    :param web: samples of stills with votes.
    :param lab: samples with people: onsets, and stills from which onsets are made.
    """
    encode = GreyEncoder(stills_model)
    rng = np.random.default_rng(config['seed'])
    onsets = {}
    for i, (subject, label, frames) in enumerate(_onsets(lab, rng)):
        kept, features = encode(grey_variants(frames, INNER_SIZE, VARIANTS, i))
        onsets.setdefault(subject, []).append(
            [onset_episode(*variant, label) for variant in zip(kept, features)])
    people = sorted(onsets)

    chosen = [web[i] for i in rng.choice(len(web), config['web_images'], replace=False)]
    chosen += [s for s in lab if len(s.frames) == 1 and s.label != 'contempt'
               ] * config['lab_repeats']
    stills, intensity = stills_from(chosen), vote_intensity(chosen)
    # Augmented, since the encoder knows its own training images too well.
    kept, _ = encode(np.stack([augment(image, INNER_SIZE, rng) for image in stills.images]))
    six, six_weight = stills.targets['six'], stills.weights['six']

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


def _onsets(lab, rng):
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


def in_memory(stills_model, head, int8=True):
    """Return a model that runs like a shipped one, without being written."""
    encoder = encoder_bytes(stills_model, int8)
    return Model(describe(encoder, head, {'name': stills_model.name}, int8), encoder, threads=2)
