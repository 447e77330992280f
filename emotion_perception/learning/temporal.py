"""The temporal head in Keras: an LSTM of one unit for each class, over what is kept of each frame.

``emotion_perception/temporal.py`` runs the same head without Keras.
"""
import keras
import numpy as np
from keras import layers, ops

from emotion_perception.temporal import (
    CHANGE, COMPARED, EIGHT, GATES, KEPT, NEUTRAL_LIMIT, NEUTRAL_PULL, PRIOR_WEIGHT, SIX, UNITS)

#: What the LSTM's squared distance to what it began with costs, added to E1 and E2.
FROM_START = 1.0

#: What each unit's cell begins with: its class by the logits, and by the readout of change.
_READ = 0.6, 0.3

#: Biases that the gates begin with, as Keras orders them: input and output open, so that one frame
#: can show a full expression; of what was seen, three quarters are kept from frame to frame.
_BIASES = 1.5, 1.0, 0.0, 3.0


class HeadInputs(layers.Layer):
    """Kept frames [n,t,27] to what the LSTM reads, [n,t,12].

    The difference of the six logits, and that of the readout of change, to the face's neutral look.
    As far as that was not seen, what stands for it is of the logits that of people at large, of the
    readout of change the frame itself, so that no change is read where none can be known.
    """

    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer=_constant(0.5), name='scale')
        self.prior = self.add_weight(shape=(UNITS,), initializer='zeros', name='prior')

    def call(self, kept):
        logits, change, eight = kept[..., SIX] * self.scale, kept[..., CHANGE], kept[..., EIGHT]
        others = ops.concatenate([eight[..., :6], eight[..., 7:]], -1)
        neutral = eight[..., 6:7] - ops.logsumexp(others, -1, keepdims=True)
        weight = ops.exp(NEUTRAL_PULL * ops.clip(neutral, -NEUTRAL_LIMIT, NEUTRAL_LIMIT))
        compared = ops.concatenate([logits, change], -1)
        own = ops.cumsum(weight * compared, 1) / ops.cumsum(weight, 1)
        steps = ops.arange(ops.shape(kept)[1])
        so_far = steps <= steps[:, np.newaxis]
        largest = ops.max(ops.where(so_far[..., np.newaxis], weight[:, np.newaxis], 0), 2)
        sure = largest / (largest + PRIOR_WEIGHT)
        at_large = ops.concatenate([ops.broadcast_to(self.prior, ops.shape(logits)), change], -1)
        return compared - sure * own - (1 - sure) * at_large


class OwnClass(keras.constraints.Constraint):
    """No links from one class to another one's unit, in an LSTM with one unit a class.

    The encoder has told the classes apart; from two dozen sequences the head would learn which
    faces in them were taken for which others.
    """

    def __call__(self, weights):
        rows, columns = np.indices(weights.shape)
        return weights * (rows % UNITS == columns % UNITS)


class FromStart(keras.regularizers.Regularizer):
    """The cost of weights that leave what they began with.

    Li et al., Explicit Inductive Bias for Transfer Learning with Convolutional Networks, ICML 2018.
    What a head begins with is known to be sound; two dozen sequences may improve on it, but are too
    few to learn it from.
    """

    def __init__(self, start):
        self._start = start

    def __call__(self, weights):
        return FROM_START * ops.sum(ops.square(weights - self._start))


class HeadNetwork(keras.Model):
    """Kept frames [n,t,27] to the LSTM's values [n,t,6] in -1..1.

    It begins as a running mean of how far each class's evidence is from the neutral look.
    """

    def __init__(self):
        super().__init__()
        self.inputs_of = HeadInputs(name='inputs')
        start = [np.zeros((COMPARED, GATES), np.float32), np.zeros((UNITS, GATES), np.float32),
                 np.repeat(np.float32(_BIASES), UNITS)]
        for rows, read in zip(np.split(start[0], len(_READ)), _READ):
            rows[:, 2 * UNITS:3 * UNITS] = read * np.eye(UNITS)
        kernel, recurrent, bias = map(FromStart, start)
        self.lstm = layers.LSTM(
            UNITS, return_sequences=True, kernel_regularizer=kernel,
            recurrent_regularizer=recurrent, bias_regularizer=bias,
            kernel_constraint=OwnClass(), recurrent_constraint=OwnClass(), name='lstm')
        self.sharpness = self.add_weight(shape=(), initializer=_constant(6.0),
                                         name='sharpness')
        self(np.zeros((1, 1, KEPT), np.float32))
        self.lstm.set_weights(start)

    def call(self, kept):
        return self.lstm(self.inputs_of(kept))

    def weights_for_numpy(self):
        """Return the dict of arrays that :class:`emotion_perception.temporal.TemporalHead` takes."""
        kernel, recurrent, bias = self.lstm.get_weights()
        gates = np.arange(GATES)
        return {'kernel': np.stack([rows[gates % UNITS, gates]
                                    for rows in np.split(kernel, len(_READ))]),
                'recurrent': recurrent[gates % UNITS, gates], 'bias': bias,
                'sharpness': float(self.sharpness), 'scale': float(self.inputs_of.scale),
                'neutral_prior': self.inputs_of.prior.numpy()}


def _constant(value):
    return keras.initializers.Constant(value)
