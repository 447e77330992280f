"""The temporal head in Keras: an LSTM with one unit a class, over what is kept of each frame.

``emotion_perception/temporal.py`` runs the same head without Keras.
"""
import keras
import numpy as np
from keras import layers, ops

from emotion_perception.temporal import CHANGE, EIGHT, KEPT, NEUTRAL_LIMIT, SIX, UNITS

#: What the squares of the LSTM's links between classes cost, added to E1 and E2.
BETWEEN_CLASSES = 0.01


class HeadInputs(layers.Layer):
    """Kept frames [n,t,27] to what the LSTM reads, [n,t,19].

    The six logits; their difference, and that of the readout of change, to the face's neutral look;
    the evidence for neutral. What is taken for the neutral look before it was seen: of the logits
    that of people at large, of the readout of change the frame itself, so that no change is read
    where none can be known.
    """

    def build(self, shape):
        self.offset = self.add_weight(shape=(UNITS,), initializer='zeros', name='offset')
        self.scale = self.add_weight(shape=(), initializer=_constant(0.5), name='scale')
        self.pull = self.add_weight(shape=(), initializer=_constant(1.0), name='neutral_pull')
        self.prior = self.add_weight(shape=(UNITS,), initializer='zeros', name='prior')
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
        prior = ops.concatenate(
            [ops.broadcast_to(self.prior, ops.shape(logits)), kept[..., CHANGE]], -1)
        reference = ((ops.cumsum(weight * compared, 1) + prior_weight * prior)
                     / (ops.cumsum(weight, 1) + prior_weight))
        return ops.concatenate([logits, compared - reference, neutral], -1)


class BetweenClasses(keras.regularizers.Regularizer):
    """The cost of links from one class to another one's unit, in an LSTM with one unit a class.

    The encoder has told the classes apart; from two dozen sequences the head would learn which
    faces in them were taken for which others.
    """

    def __call__(self, weights):
        """Return the cost of a kernel, [k,24]: rows of six classes each; a row beyond is free."""
        rows, columns = weights.shape
        classes = np.arange(rows // UNITS * UNITS)
        between = classes[:, np.newaxis] % UNITS != np.arange(columns) % UNITS
        return BETWEEN_CLASSES * ops.sum(ops.square(weights[:len(classes)]) * between)


class HeadNetwork(keras.Model):
    """Kept frames [n,t,27] to the LSTM's values [n,t,6] in -1..1.

    It begins as nearly what the logits say: all gates open, each unit reading its class.
    """

    def __init__(self):
        super().__init__()
        self.inputs_of = HeadInputs(name='inputs')
        self.lstm = layers.LSTM(
            UNITS, return_sequences=True, kernel_regularizer=BetweenClasses(),
            recurrent_regularizer=BetweenClasses(), name='lstm')
        self.sharpness = self.add_weight(shape=(), initializer=_constant(6.0),
                                         name='sharpness')
        self(np.zeros((1, 1, KEPT), np.float32))
        kernel, recurrent, bias = self.lstm.get_weights()
        units = np.arange(UNITS)
        kernel *= 0.1
        recurrent *= 0.1
        kernel[units, 2 * UNITS + units] = 0.6       # the cell's candidate, from the logits
        kernel[UNITS + units, 2 * UNITS + units] = 0.6  # and from what has changed in them,
        kernel[2 * UNITS + units, 2 * UNITS + units] = 0.6  # and in the readout of change
        bias[:] = np.repeat([2.0, -1.0, 0.0, 2.0], UNITS)
        self.lstm.set_weights([kernel, recurrent, bias])

    def call(self, kept):
        return self.lstm(self.inputs_of(kept))

    def weights_for_numpy(self):
        """Return the dict of arrays that :class:`emotion_perception.temporal.TemporalHead` takes."""
        kernel, recurrent, bias = self.lstm.get_weights()
        return {'kernel': kernel, 'recurrent': recurrent, 'bias': bias,
                'sharpness': float(self.sharpness), 'scale': float(self.inputs_of.scale),
                'neutral_pull': float(self.inputs_of.pull),
                'neutral_prior': self.inputs_of.prior.numpy(),
                'prior_weight': float(ops.exp(self.inputs_of.log_prior_weight)),
                'offset': self.inputs_of.offset.numpy()}


def _constant(value):
    return keras.initializers.Constant(value)
