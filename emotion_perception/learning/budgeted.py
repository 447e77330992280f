"""Training within a budget of time: encoders on stills, networks over sequences.

The learning rate falls to zero with the share of the budget that is used, so that a training
which runs out of time ends as settled as one that does not.
"""
import math
from time import perf_counter

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from emotion_perception.learning.augmentation import resize
from emotion_perception.learning.objectives import e1, e2, e3
from emotion_perception.learning.stills import StillsTrainer
from emotion_perception.learning.temporal import padded
from emotion_perception.temporal import UNITS

#: Batches between two looks at the clock: of stills, of episodes.
_STILLS_ROUND, _ROUND = 4, 5

#: Steps of the schedule over a whole budget of stills, and those in which the rate rises.
_SCHEDULE, _WARMUP = 1000, 50


class Budget:
    """So much to do, and so many seconds for it, counted from now."""

    def __init__(self, total, seconds):
        self._total, self._seconds = total, seconds
        self._start = perf_counter()

    def share(self, done):
        """Return the share that is used, 0 .. 1, of whichever is nearer to its end."""
        if done >= self._total:
            return 1.0
        return min(max(done / self._total, (perf_counter() - self._start) / self._seconds), 1.0)


def train_encoder(config, stills, seconds):
    """Train an encoder with its heads for stills.

    :param config: as for :func:`emotion_perception.learning.stills.train_stills`, with ``size``
        and ``epochs`` in place of ``phases``.
    :param stills: :class:`~emotion_perception.learning.targets.Stills`.
    :param seconds: budget; what comes first ends the training, this or the last epoch.
    :return: the stills model, float32, and the epochs that it got.
    :raises ValueError: when there are too few stills.
    """
    count = _STILLS_ROUND * config['batch_size']
    if len(stills) < count:
        raise ValueError(f'{len(stills)} web faces are too few: training takes {count} at a time '
                         f'({_STILLS_ROUND} batches)')
    keras.utils.set_random_seed(config['seed'])
    rng = np.random.default_rng(config['seed'])
    prior = np.average(stills.targets['six'], axis=0, weights=stills.weights['six'])
    trainer = StillsTrainer({**config, 'phases': [{'size': config['size']}]}, _SCHEDULE - _WARMUP,
                       _WARMUP, config['prior'] * np.log(prior))
    budget, seen = Budget(config['epochs'] * len(stills), seconds), 0
    while (share := budget.share(seen)) < 1:
        trainer.optimizer.iterations.assign(round(share * _SCHEDULE))
        part = rng.choice(len(stills), count, replace=False)
        trainer.run_epoch(stills.take(part), config['size'], seen)
        seen += count
    part = rng.choice(len(stills), count, replace=False)
    plain = np.stack([resize(image, config['size']) for image in stills.images[part]])
    estimate_statistics(trainer.model, np.split(plain[..., None], _STILLS_ROUND))
    return trainer.finished(), seen / len(stills)


def estimate_statistics(model, batches):
    """Set the means and deviations of a model's batch normalisations to those over batches.

    Their moving averages lag behind the weights; after a short training some have hardly left
    what they began with (a momentum of .99 needs hundreds of steps).
    """
    normalisations = [layer for layer in model.layers
                      if isinstance(layer, layers.BatchNormalization)]
    for number, batch in enumerate(batches):
        for layer in normalisations:
            layer.momentum = number / (number + 1)
        model(batch, training=True)


class SequenceTrainer:
    """A network over sequences, begun afresh for each fold and seed, traced once.

    E1 moves every weight; after each few steps of it the LSTM's weights alone are moved along
    E2, as :func:`emotion_perception.learning.temporal.train_head` does.

    :param make: function to a network with fresh weights (``learning/sequence_networks.py``).
    :param shape: of what the network reads of one frame.
    :param config: dict with ``learning_rate``, ``e2`` (0 leaves it out), ``e3`` (weight).
    """

    def __init__(self, make, shape, config):
        self._make, self._config = make, config
        self.network = make()
        self._moved = [self.network.trainable_variables]
        if config['e2']:
            self._moved.append(self.network.lstm.trainable_variables)
        self._optimizers = [keras.optimizers.Adam(config['learning_rate'], clipnorm=1.0)
                            for _ in self._moved]
        for optimizer, variables in zip(self._optimizers, self._moved):
            optimizer.build(variables)
        self._apex = tf.Variable(tf.eye(UNITS), trainable=False)
        frames, classes, weight = (tf.TensorSpec((None, None, *last)) for last in (
            shape, (UNITS,), ()))
        self._e1_step = tf.function(
            self._e1_step, input_signature=(frames, classes, weight, classes))
        self._e1_step.get_concrete_function()
        self._e2_step = tf.function(self._e2_step, input_signature=(frames, classes, weight))
        if config['e2']:
            self._e2_step.get_concrete_function()

    def train(self, draw, seed, budget):
        """Train from the beginning.

        :param draw: function of a ``numpy.random.Generator`` to a list of episodes.
        :param budget: :class:`Budget`, in steps of E1.
        :return: how many there were.
        """
        keras.utils.set_random_seed(seed)
        self.network.set_weights(self._make().get_weights())
        for optimizer in self._optimizers:
            for variable in optimizer.variables:
                variable.assign(tf.zeros_like(variable))
        self._apex.assign(tf.eye(UNITS))
        rng, done = np.random.default_rng(seed), 0
        while (share := budget.share(done)) < 1:
            rate = self._config['learning_rate'] * 0.5 * (1 + math.cos(math.pi * share))
            for optimizer in self._optimizers:
                optimizer.learning_rate.assign(rate)
            batches = [padded(draw(rng)) for _ in range(_ROUND)]
            for frames, labels, label_weight, intensity, _ in batches:
                self._e1_step(frames, labels, label_weight, intensity)
            if self._config['e2']:
                for frames, _, _, intensity, seen in batches:
                    self._e2_step(frames, intensity, seen)
            done += len(batches)
        return done

    def _e1_step(self, frames, labels, label_weight, intensity):
        with tf.GradientTape() as tape:
            values = self.network(frames)
            loss = e1(values, self.network.sharpness, labels, label_weight)
            if self._config['e3']:
                loss += self._config['e3'] * e3(values, labels, label_weight, self._apex)
        self._optimizers[0].apply(tape.gradient(loss, self._moved[0]), self._moved[0])
        # The classes' mean states where the expression is strongest, for the third term.
        strong = tf.reduce_max(intensity, -1, keepdims=True) > 0.9
        at_apex = labels * tf.cast(strong, tf.float32) * label_weight[..., None]
        sums = tf.einsum('nti,ntj->ij', at_apex, values)
        counts = tf.reduce_sum(at_apex, (0, 1))[:, None]
        self._apex.assign(0.9 * self._apex + 0.1 * tf.where(
            counts > 0, sums / tf.maximum(counts, 1e-9), self._apex))

    def _e2_step(self, frames, intensity, seen):
        with tf.GradientTape() as tape:
            loss = e2(self.network(frames), intensity, seen)
        self._optimizers[1].apply(tape.gradient(loss, self._moved[1]), self._moved[1])
