"""Training of networks over sequences: the temporal head, and those that it is compared with."""

from collections.abc import Callable
import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from emotion_perception.learning.head.episodes import Episode, LONGEST
from emotion_perception.learning.head.network import FRAME, HeadNetwork
from emotion_perception.learning.head.objectives import e1, e2, e3
from emotion_perception.temporal import UNITS

#: Kinds of episodes that a batch is made of.
KINDS = ('stills', 'sequences', 'neutral_clips', 'emotional_clips')


#: A function of a random generator to a new batch.
Draw = Callable[[np.random.Generator], list[Episode]]


def train_head(draw: Draw, config: dict[str, Any]) -> HeadNetwork:
    """Train a temporal head.

    :param draw: function of a ``numpy.random.Generator`` to a list of episodes, a new batch.
    :param config: dict with ``epochs``, ``steps`` (batches an epoch), ``seed``, and what
        :class:`SequenceTrainer` takes.
    :return: :class:`~emotion_perception.learning.head.network.HeadNetwork`.
    """
    trainer = SequenceTrainer(HeadNetwork, (LONGEST, FRAME), config, config['steps'])
    total = config['epochs'] * config['steps']
    trainer.train(draw, config['seed'], lambda done: done / total)
    network: HeadNetwork = trainer.network
    return network


class SequenceTrainer:
    """A network over sequences: begun afresh for each training, compiled once for all.

    As in the seed, E1 moves every weight; after each round of it the LSTM's weights alone are
    moved along E2's gradient.

    :param make: function to a network with fresh weights, from frames [n,t,...] to values
        [n,t,6], or [n,t,7] where it has a value of neutral besides; what its weights cost by
        themselves (Keras' ``losses``) is added to both objectives.
    :param shape: of an episode: frames, to which all are padded, and what is read of a frame.
    :param config: dict with ``KINDS`` (episodes of each in a batch; the clips may be left out),
        ``learning_rate``, ``e2`` (E2's share of the steps, 0 to leave it out), ``e3`` (the third
        term's weight).
    :param batches: in a round.
    """

    def __init__(
        self,
        make: Callable[[], keras.Model],
        shape: tuple[int, ...],
        config: dict[str, Any],
        batches: int,
    ) -> None:
        self._make, self._config, self._batches = make, config, batches
        self.network = make()
        self._moved = [self.network.trainable_variables]
        if config['e2']:
            self._moved.append(self.network.lstm.trainable_variables)
        self._optimizers = [
            keras.optimizers.Adam(config['learning_rate'], clipnorm=1.0) for _ in self._moved
        ]
        for optimizer, variables in zip(self._optimizers, self._moved):
            optimizer.build(variables)
        self._apex = tf.Variable(tf.eye(UNITS), trainable=False)
        self._frames = shape[0]
        episodes = sum(config.get(kind, 0) for kind in KINDS)
        read, classes, weight = (
            tf.ones((episodes, self._frames, *last)) for last in (shape[1:], (UNITS,), ())
        )
        # XLA makes one piece of an LSTM's loop, ten times as fast; convolutions it makes slower.
        # Everything runs once here, so that no budget of time is spent on compiling.
        fast = len(shape) == 2
        self._move_by_e1 = tf.function(self._e1_step, jit_compile=fast)
        self._move_by_e1(read, classes, weight, classes, weight)
        self._move_by_e2 = tf.function(self._e2_step, jit_compile=fast)
        if config['e2']:
            self._move_by_e2(read, classes, weight)

    def train(self, draw: Draw, seed: int, share: Callable[[int], float]) -> int:
        """Train from the beginning; the rate falls to zero along half a cosine.

        :param draw: function of a ``numpy.random.Generator`` to a list of episodes, a new batch.
        :param share: function of the steps of E1 so far to the share of the training, 0 .. 1,
            that is done.
        :return: the steps of E1.
        """
        keras.utils.set_random_seed(seed)
        self.network.set_weights(self._make().get_weights())
        for optimizer in self._optimizers:
            for variable in optimizer.variables:
                variable.assign(tf.zeros_like(variable))
        self._apex.assign(tf.eye(UNITS))
        rng, done = np.random.default_rng(seed), 0
        while (part := share(done)) < 1:
            rate = self._config['learning_rate'] * 0.5 * (1 + math.cos(math.pi * part))
            for optimizer in self._optimizers:
                optimizer.learning_rate.assign(rate)
            batches = [padded(draw(rng), self._frames) for _ in range(self._batches)]
            for batch in batches:
                self._move_by_e1(*batch)
            for frames, _, _, intensity, seen in batches[
                : round(self._config['e2'] * len(batches))
            ]:
                self._move_by_e2(frames, intensity, seen)
            done += len(batches)
        return done

    def _e1_step(
        self, frames: Any, labels: Any, label_weight: Any, intensity: Any, seen: Any
    ) -> None:
        with tf.GradientTape() as tape:
            values = self.network(frames)
            if values.shape[-1] > UNITS:  # neutral is a class of its own
                shown = tf.math.divide_no_nan(label_weight, seen)[..., None]
                labels, label_weight = tf.concat([labels * shown, 1 - shown], -1), seen
            loss = e1(values, self.network.sharpness, labels, label_weight) + sum(
                self.network.losses
            )
            if self._config['e3']:
                loss += self._config['e3'] * e3(values, labels, label_weight, self._apex)
        self._optimizers[0].apply(tape.gradient(loss, self._moved[0]), self._moved[0])
        if self._config['e3']:
            self._follow_apex(values, labels, label_weight, intensity)

    def _follow_apex(self, values: Any, labels: Any, label_weight: Any, intensity: Any) -> None:
        """Follow the classes' mean states where the expression is strongest."""
        strong = tf.reduce_max(intensity, -1, keepdims=True) > 0.9
        at_apex = labels * tf.cast(strong, tf.float32) * label_weight[..., None]
        sums = tf.einsum('nti,ntj->ij', at_apex, values)
        counts = tf.reduce_sum(at_apex, (0, 1))[:, None]
        self._apex.assign(
            0.9 * self._apex
            + 0.1 * tf.where(counts > 0, sums / tf.maximum(counts, 1e-9), self._apex)
        )

    def _e2_step(self, frames: Any, intensity: Any, seen: Any) -> None:
        with tf.GradientTape() as tape:
            loss = e2(self.network(frames), intensity, seen) + sum(self.network.losses)
        self._optimizers[1].apply(tape.gradient(loss, self._moved[1]), self._moved[1])


def padded(episodes: list[Episode], frames: int) -> tuple[npt.NDArray[np.float32], ...]:
    """Return kept, labels, label weights, intensities, weights of E2 of a batch, [n,frames,..]."""

    def stack(arrays: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        result = np.zeros((len(arrays), frames, *arrays[0].shape[1:]), np.float32)
        for row, array in zip(result, arrays):
            row[: len(array)] = array
        return result

    # Every episode counts alike, or the few long ones would drown the stills.
    seen = [np.full(len(e.kept), 1 / len(e.kept), np.float32) for e in episodes]
    return (
        stack([e.kept for e in episodes]),
        stack([e.labels for e in episodes]),
        stack([e.label_weight * share for e, share in zip(episodes, seen)]),
        stack([e.intensity for e in episodes]),
        stack(seen),
    )
