"""The temporal head in Keras: an LSTM with one unit a class, over what is kept of each frame.

``emotion_perception/temporal.py`` runs the same head without Keras.
"""
import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from emotion_perception.learning.episodes import LONGEST
from emotion_perception.learning.objectives import e1, e2, e3
from emotion_perception.temporal import CHANGE, EIGHT, KEPT, NEUTRAL_LIMIT, SIX, UNITS


class HeadInputs(layers.Layer):
    """Kept frames [n,t,27] to what the LSTM reads, [n,t,19].

    The six logits; their difference, and that of the readout of change, to the face's neutral look;
    the evidence for neutral.
    """

    def build(self, shape):
        self.offset = self.add_weight(shape=(UNITS,), initializer='zeros', name='offset')
        self.scale = self.add_weight(shape=(), initializer=_constant(0.5), name='scale')
        self.pull = self.add_weight(shape=(), initializer=_constant(1.0), name='neutral_pull')
        # What is taken for a face's neutral look before it was seen.
        self.prior = self.add_weight(shape=(2 * UNITS,), initializer='zeros', name='prior')
        self.log_prior_weight = self.add_weight(shape=(), initializer='zeros',
                                                name='log_prior_weight')

    def call(self, kept):
        logits = (kept[..., SIX] + self.offset) * self.scale
        eight = kept[..., EIGHT]
        others = ops.concatenate([eight[..., :6], eight[..., 7:]], -1)
        neutral = eight[..., 6:7] - ops.logsumexp(others, -1, keepdims=True)
        weight = ops.exp(self.pull * ops.clip(neutral, -NEUTRAL_LIMIT, NEUTRAL_LIMIT))
        compared = ops.concatenate([logits, kept[..., CHANGE]], -1)
        prior_weight = ops.exp(self.log_prior_weight)
        reference = ((ops.cumsum(weight * compared, 1) + prior_weight * self.prior)
                     / (ops.cumsum(weight, 1) + prior_weight))
        return ops.concatenate([logits, compared - reference, neutral], -1)


class HeadNetwork(keras.Model):
    """Kept frames [n,t,27] to the LSTM's values [n,t,6] in -1..1."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inputs_of = HeadInputs(name='inputs')
        self.lstm = layers.LSTM(UNITS, return_sequences=True, name='lstm')
        self.sharpness = self.add_weight(shape=(), initializer=_constant(6.0),
                                         name='sharpness')

    def call(self, kept):
        return self.lstm(self.inputs_of(kept))

    def start_as_identity(self):
        """Begin as nearly what the logits say: all gates open, each unit reading its class."""
        self(np.zeros((1, 1, KEPT), np.float32))
        kernel, recurrent, bias = self.lstm.get_weights()
        units = np.arange(UNITS)
        kernel *= 0.1
        recurrent *= 0.1
        kernel[units, 2 * UNITS + units] = 0.6       # the cell's candidate, from the logits
        kernel[UNITS + units, 2 * UNITS + units] = 0.6  # and from what has changed in them
        bias[:] = np.repeat([2.0, -1.0, 0.0, 2.0], UNITS)
        self.lstm.set_weights([kernel, recurrent, bias])

    def weights_for_numpy(self):
        """Return the dict of arrays that :class:`emotion_perception.temporal.TemporalHead` takes."""
        kernel, recurrent, bias = self.lstm.get_weights()
        return {'kernel': kernel, 'recurrent': recurrent, 'bias': bias,
                'sharpness': float(self.sharpness), 'scale': float(self.inputs_of.scale),
                'neutral_pull': float(self.inputs_of.pull),
                'prior': self.inputs_of.prior.numpy(),
                'prior_weight': float(ops.exp(self.inputs_of.log_prior_weight)),
                'offset': self.inputs_of.offset.numpy()}


def train_head(draw, config):
    """Train a head.

    As in the seed, each epoch is one of E1 (every weight), after which the LSTM's weights
    alone are moved along E2's gradient.

    :param draw: function of a ``numpy.random.Generator`` to a list of episodes, a new batch.
    :param config: dict with ``epochs``, ``steps`` (batches an epoch), ``learning_rate``, ``e2``
        (E2's share of the steps, 0 to leave it out), ``e3`` (the third term's weight), ``seed``.
    :return: :class:`HeadNetwork`.
    """
    keras.utils.set_random_seed(config['seed'])
    rng = np.random.default_rng(config['seed'])
    head = HeadNetwork()
    head.start_as_identity()
    total = config['epochs'] * config['steps']
    optimizers = [keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(
        config['learning_rate'], total), clipnorm=1.0) for _ in range(2)]
    everything, lstm = head.trainable_variables, head.lstm.trainable_variables
    optimizers[0].build(everything)
    optimizers[1].build(lstm)
    apex = tf.Variable(tf.eye(UNITS), trainable=False)

    @tf.function(reduce_retracing=True)
    def classify_step(kept, labels, label_weight, intensity):
        with tf.GradientTape() as tape:
            values = head(kept)
            loss = e1(values, head.sharpness, labels, label_weight)
            if config['e3']:
                loss += config['e3'] * e3(values, labels, label_weight, apex)
        optimizers[0].apply(tape.gradient(loss, everything), everything)
        # The classes' mean states where the expression is strongest, for the third term.
        strong = tf.reduce_max(intensity, -1, keepdims=True)
        at_apex = labels * tf.cast(strong > 0.9, tf.float32) * label_weight[..., None]
        sums = tf.einsum('nti,ntj->ij', at_apex, values)
        counts = tf.reduce_sum(at_apex, (0, 1))[:, None]
        apex.assign(0.9 * apex + 0.1 * tf.where(counts > 0, sums / tf.maximum(counts, 1), apex))
        return loss

    @tf.function(reduce_retracing=True)
    def intensity_step(kept, intensity, seen):
        with tf.GradientTape() as tape:
            loss = e2(head(kept), intensity, seen)
        optimizers[1].apply(tape.gradient(loss, lstm), lstm)
        return loss

    for _ in range(config['epochs']):
        batches = [padded(draw(rng)) for _ in range(config['steps'])]
        for kept, labels, label_weight, intensity, _ in batches:
            classify_step(kept, labels, label_weight, intensity)
        for kept, _, _, intensity, seen in batches[:round(config['e2'] * len(batches))]:
            intensity_step(kept, intensity, seen)
    return head


def padded(episodes):
    """Return kept, labels, label weights, intensities and weights of E2 of a batch, [n,t,...]."""
    longest = 10 * -(-max(len(e.kept) for e in episodes) // 10)  # few lengths, few tracings

    def stack(arrays):
        result = np.zeros((len(arrays), min(longest, LONGEST), *arrays[0].shape[1:]), np.float32)
        for row, array in zip(result, arrays):
            row[:len(array)] = array
        return result

    # Every episode counts alike, or the few long ones would drown the stills.
    seen = [np.full(len(e.kept), 1 / len(e.kept), np.float32) for e in episodes]
    return (stack([e.kept for e in episodes]), stack([e.labels for e in episodes]),
            stack([e.label_weight * share for e, share in zip(episodes, seen)]),
            stack([e.intensity for e in episodes]), stack(seen))


def _constant(value):
    return keras.initializers.Constant(value)
