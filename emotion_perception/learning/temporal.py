"""The temporal head in Keras: an LSTM of one unit for each class, over what is kept of each frame.

``emotion_perception/temporal.py`` runs the same head without Keras.
"""
import keras
import numpy as np
from keras import layers, ops

from emotion_perception.temporal import (
    CHANGE, EIGHT, GATES, KEPT, NEUTRAL_LIMIT, NEUTRAL_PULL, PRIOR_WEIGHT, READ, SIX, TINY,
    UNITS)

#: What the LSTM's squared distance to what it began with costs, added to E1 and E2.
FROM_START = 4.0

#: What each unit's cell begins with: as much of either reading of its class.
_READ = 0.3

#: Biases that the gates begin with: input, forget, cell, output. From frame to frame a good half
#: of what was seen is kept; the output gate is open, so that a full expression is shown as one.
_BIASES = 0.0, 0.5, 0.0, 4.0


class HeadInputs(layers.Layer):
    """Kept frames [n,t,27] to what the LSTM reads, [n,t,12].

    The difference of the six logits, and that of the readout of change, to the face's neutral look.
    As far as that was not seen, what stands for it is of the logits that of people at large, of the
    readout of change the frame itself, so that no change is read where none can be known.
    """

    def build(self, shape):
        self.prior = self.add_weight(shape=(UNITS,), initializer='zeros', name='prior')

    def call(self, kept):
        logits, change, eight = kept[..., SIX], kept[..., CHANGE], kept[..., EIGHT]
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


class FromStart(keras.regularizers.Regularizer):
    """The cost of weights that leave what they began with.

    Li et al., Explicit Inductive Bias for Transfer Learning with Convolutional Networks, ICML 2018.
    What a head begins with is known to be sound; two dozen sequences may improve on it, but are too
    few to learn it from.

    :param cost: what a squared distance of 1 costs.
    """

    def __init__(self, start, cost):
        self._start, self._cost = start, cost

    def __call__(self, weights):
        return self._cost * ops.sum(ops.square(weights - self._start))


class ClassCells(layers.Layer):
    """The cell of an LSTM of one unit for each class: no unit reads another one's class.

    The encoder has told the classes apart; from two dozen sequences the head would learn which
    faces in them were taken for which others.

    The cell is divided by the weight of what went into it, as in the sLSTM (Beck et al., xLSTM,
    NeurIPS 2024): it is a mean over the frames in which the gates say what each counts. A sum, as
    the classic cell is one, cannot say as much of one image as of a video without making a strong
    expression of a weak one that lasts.
    """

    def __init__(self):
        super().__init__()
        self.state_size = [UNITS] * 3
        self.output_size = UNITS

    def build(self, shape):
        start = {'kernel': np.zeros((READ, GATES, UNITS), np.float32),
                 'recurrent': np.zeros((GATES, UNITS), np.float32),
                 'bias': np.tile(np.float32(_BIASES)[:, np.newaxis], UNITS)}
        start['kernel'][:, 2] = _READ
        self.kernel, self.recurrent, self.bias = (
            self.add_weight(shape=value.shape, initializer=_constant(value),
                            regularizer=FromStart(value, FROM_START), name=name)
            for name, value in start.items())

    def call(self, compared, states):
        hidden, cell, counted = states
        compared = ops.reshape(compared, (-1, READ, 1, UNITS))
        gates = (ops.sum(compared * self.kernel, 1) + hidden[:, np.newaxis] * self.recurrent
                 + self.bias)
        take, keep, show = (ops.sigmoid(gates[:, i]) for i in (0, 1, 3))
        cell = keep * cell + take * ops.tanh(gates[:, 2])
        counted = keep * counted + take
        hidden = show * cell / (counted + TINY)
        return hidden, [hidden, cell, counted]


class HeadNetwork(keras.Model):
    """Kept frames [n,t,27] to the LSTM's values [n,t,6] in -1..1.

    It begins as a running mean of how far each class's evidence is from the neutral look.
    """

    def __init__(self):
        super().__init__()
        self.inputs_of = HeadInputs(name='inputs')
        self.lstm = layers.RNN(ClassCells(), return_sequences=True, name='lstm')
        self.sharpness = self.add_weight(shape=(), initializer=_constant(6.0),
                                         name='sharpness')
        self(np.zeros((1, 1, KEPT), np.float32))

    def call(self, kept):
        return self.lstm(self.inputs_of(kept))

    def weights_for_numpy(self):
        """Return the dict of arrays that :class:`emotion_perception.temporal.TemporalHead` takes."""
        kernel, recurrent, bias = self.lstm.get_weights()
        return {'kernel': kernel, 'recurrent': recurrent, 'bias': bias,
                'sharpness': float(self.sharpness), 'neutral_prior': self.inputs_of.prior.numpy()}


def _constant(value):
    return keras.initializers.Constant(value)
