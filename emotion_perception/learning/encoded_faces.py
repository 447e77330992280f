"""Web and lab faces as an encoder reads them: what the adapter and the head are trained on.

The encoder has seen no person of a lab set, so each face is encoded once, whoever is held out.
"""
import keras
import numpy as np

from emotion_perception.learning.adapter import train_adapter
from emotion_perception.learning.augmentation import augment
from emotion_perception.learning.change import change_readout
from emotion_perception.learning.episodes import (
    grey_variants, held_episode, live_episode, onset_episode, vote_intensity)
from emotion_perception.learning.lab_faces import all_onsets, lab_stills
from emotion_perception.learning.networks import FEATURES, GreyEncoder
from emotion_perception.learning.stills import class_prior
from emotion_perception.learning.targets import stills_from
from emotion_perception.temporal import CHANGE, SIX

#: Augmented variants of every lab face.
VARIANTS = 8

#: Who is seen on web faces: nobody is known.
_NOBODY = ''


class EncodedFaces:
    """Faces, encoded by a stills model whose adapter adds nothing yet.

    :param stills_model: has seen none of the people.
    :param web: samples of stills with votes.
    :param lab: :class:`~emotion_perception.learning.lab_faces.LabFaces`.
    :param config: dict with ``web_images`` (how many of ``web``), ``seed``.
    """

    def __init__(self, stills_model, web, lab, config):
        self._encode = GreyEncoder(stills_model)
        rng = np.random.default_rng(config['seed'])
        samples = [sample for set_ in lab.sets for sample in set_]
        #: (person, class, kept [v,t,27], seen [v,t,k]) of each onset.
        self._onsets = [
            (person, label, *self._encoded(
                grey_variants(frames, self._encode.size, VARIANTS, number)))
            for number, (person, label, frames) in enumerate(all_onsets(samples, rng))]

        web = [web[i] for i in rng.choice(
            len(web), min(config['web_images'], len(web)), replace=False)]
        sets = [lab_stills(set_) for set_ in lab.sets]
        stills = web + [sample for set_ in sets for sample in set_ * VARIANTS]
        # Half of the web faces are for the adapter, the others for the head.
        self._for_adapter = np.arange(len(stills)) % 2 == 0
        self._for_adapter[len(web):] = True
        self._for_head = ~self._for_adapter
        self._for_head[len(web):] = True
        #: Of each still: the person, and the set (0: web).
        self._people = np.array([_NOBODY] * len(web) + [
            s.subject for set_ in sets for s in set_ * VARIANTS])
        self._sets = np.repeat(range(len(sets) + 1), [
            len(web), *(VARIANTS * len(set_) for set_ in sets)])
        targets = stills_from(stills)
        self._six, self._weights = targets.targets['six'], targets.weights['six']
        self._prior = class_prior(targets.take(np.flatnonzero(self._sets == 0)))
        # As strong as people see an expression, divided among the classes as E1 has it: otherwise
        # the two would pull an image on which taggers and FER2013 disagree to different classes.
        self._intensity = vote_intensity(stills).sum(1, keepdims=True) * self._six
        # Augmented, web faces too: the encoder knows its own training images too well.
        self._kept, self._seen = self._encoded(np.stack(
            [augment(image, self._encode.size, rng) for image in targets.images]))

    def _encoded(self, grey):
        """Return kept float32 [...,27] and, as the adapter sees it, float16 [...,k]."""
        kept, features, places = self._encode(grey)
        return kept, np.concatenate([features, places], -1).astype(np.float16)

    def train_adapter(self, held_out, config):
        """Train an adapter without some people.

        :param held_out: set of people.
        :param config: as for :func:`~emotion_perception.learning.adapter.train_adapter`, and
            ``lab`` (what all lab faces weigh, the web ones 1).

        Web faces are to be read as they are without an adapter (Li and Hoiem, Learning without
        Forgetting, ECCV 2016).
        """
        used = (self._for_adapter & ~np.isin(self._people, list(held_out))
                & (self._weights > 0))
        sets, six = self._sets[used], self._kept[used][:, SIX]
        weights = np.where(sets == 0, 1, self._weights[used])
        targets = np.where(sets[:, None] == 0, keras.ops.softmax(six), self._six[used])
        # Lab sets count alike, however many images they have.
        lab = [sets == number for number in set(sets) - {0}]
        for of_set in lab:
            weights[of_set] *= (config['lab'] / len(lab) * weights[sets == 0].sum()
                                / weights[of_set].sum())
        return train_adapter(self._seen[used], six, targets, weights, config)

    def change_readout(self, held_out):
        """Return the readout of change without some people, and its offset."""
        return change_readout([
            (seen[..., :FEATURES].astype(np.float32), label)
            for person, label, _, seen in self._onsets if person not in held_out])

    def episodes(self, strangers, change, config):
        """Return the function that draws a batch of episodes for the head.

        Each person is read by an adapter that was trained without that person, as the head will
        find people in use. What an adapter says of people whom it knows is too sure of itself,
        and would leave the head little to learn.

        :param strangers: list of (people, adapter that was trained without them); only these
            people are shown. Web faces are read by the first adapter.
        :param change: readout of change, and its offset.
        :param config: dict with ``stills``, ``sequences`` (episodes of each in a batch),
            ``lab_repeats`` (how often a lab still is drawn for a web one), ``prior`` (share of
            the web set's log prior that is taken out), ``noise``.
        """
        def read(kept, seen, adapter):
            kept, seen = kept.copy(), seen.astype(np.float32)
            added = adapter(seen.reshape(-1, seen.shape[-1]), training=False).numpy()
            kept[..., SIX] += added.reshape(*kept.shape[:-1], -1)
            kept[..., CHANGE] = seen[..., :FEATURES] @ change[0] + change[1]
            return kept

        adapter_of = {person: adapter for people, adapter in strangers for person in people}
        onsets = {}
        for person, label, kept, seen in self._onsets:
            if person in adapter_of:
                onsets.setdefault(person, []).append([
                    onset_episode(*variant, label) for variant in zip(
                        read(kept, seen, adapter_of[person]), seen[..., :FEATURES])])
        people = sorted(onsets)

        stills = np.empty_like(self._kept)
        for some, adapter in [([_NOBODY], strangers[0][1]), *strangers]:
            theirs = np.isin(self._people, list(some))
            stills[theirs] = read(self._kept[theirs], self._seen[theirs], adapter)
        # What is rare in the web set is drawn more often, as its loss was shifted for the encoder.
        # Who shows none of the six, by anybody's word, is drawn as often as the mean.
        rarity = self._prior ** -config['prior'] / (self._prior ** (1 - config['prior'])).sum()
        often = 1 + self._six @ (rarity - 1)
        share = np.where(self._sets == 0, often, config['lab_repeats'] / VARIANTS)
        share *= self._for_head & np.isin(self._people, [_NOBODY, *adapter_of])
        share /= share.sum()

        def draw(rng):
            episodes = []
            for i in rng.choice(len(share), config['stills'], p=share):
                length = 1 if rng.random() < 0.6 else int(rng.integers(2, 30))
                episodes.append(held_episode(
                    stills[i], self._six[i], self._weights[i], self._intensity[i], length,
                    config['noise'] * (length > 1), rng))
            for person in rng.choice(people, config['sequences']):
                episodes.append(live_episode(
                    [variants[rng.integers(VARIANTS)] for variants in onsets[person]],
                    config['noise'], rng))
            return episodes

        return draw
