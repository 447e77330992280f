"""The temporal head in Keras: an LSTM of one unit for each class, over encoded frames.

``emotion_perception/temporal.py`` runs the same head without Keras, and says what it reads.
"""

from typing import Any

import keras
from keras import layers, ops
import numpy as np
import numpy.typing as npt

from emotion_perception.temporal import (
    CHANGE,
    COMPARED,
    EVIDENCE_LIMIT,
    Floats,
    GATES,
    KEPT,
    LIVE,
    LOOK,
    LOOK_HALF_KNOWN,
    LOOK_MEMORY,
    READ,
    SCALE,
    TINY,
    UNITS,
)

#: Numbers of a frame: what is kept of it, and the step since the frame before.
FRAME = KEPT + 1

#: What the mean squared distance of the LSTM's weights to what they begin with costs, added to
#: E1 and E2.
FROM_START = 0.03

#: What the mean squared distance of a class's weights to their mean over the classes costs.
BETWEEN_CLASSES = 0.9

#: What the gates begin with: how they read the class's share, any expression, and the changes of
#: the share, of the readout of change, of any expression. Input: only what shows an expression is
#: taken in. Forget: half of what was seen is kept from frame to frame, less where an expression is
#: surely shown; it is the label that is steadied over most of a second, see labels.py. Cell: which.
_KERNEL = (
    (0.5, 1.5, 0.3, 0.3, 0.3),
    (0.0, -0.5, 0.0, 0.0, 0.0),
    (1.0, 0.7, 0.5, 0.5, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0),
)
_BIASES = 1.0, 0.0, 1.0, 4.0


class HeadInputs(layers.Layer):
    """Frames [n,t,36] and the neutral looks before them [n,14] to what the LSTM reads, [n,t,31].

    The last number is the step. See :func:`emotion_perception.temporal.read_frames`.
    """

    def call(self, frames: Any, looks: Any) -> Any:
        live, steps = frames[..., LIVE], frames[..., KEPT:]
        any_expression = ops.logsumexp(live[..., :UNITS], -1, keepdims=True)
        evidence = ops.clip(any_expression - live[..., UNITS:], -EVIDENCE_LIMIT, EVIDENCE_LIMIT)
        compared = ops.concatenate(
            [live[..., :UNITS] - any_expression, frames[..., CHANGE], evidence], -1
        )
        counts = ops.sigmoid(-evidence) ** 2 * steps
        # Sums that decay with time, as plain sums of what is weighed by how late it comes.
        age = ops.cumsum(steps, 1) / LOOK_MEMORY
        added = counts * ops.exp(age) * ops.concatenate([compared, ops.ones_like(counts)], -1)
        before = ops.exp(-age) * (looks[:, np.newaxis] + ops.cumsum(added, 1) - added)
        weight = before[..., COMPARED:]
        known = weight / (weight + LOOK_HALF_KNOWN)
        change = known * (compared - before[..., :COMPARED] / ops.maximum(weight, TINY))
        read = ops.concatenate(
            [
                compared[..., :UNITS],
                ops.repeat(evidence, UNITS, -1),
                change[..., : 2 * UNITS],
                ops.repeat(change[..., 2 * UNITS :], UNITS, -1),
            ],
            -1,
        )
        return ops.concatenate([read / SCALE, steps], -1)


class FromStart(keras.regularizers.Regularizer):
    """The cost of weights that leave what they began with.

    Li et al., Explicit Inductive Bias for Transfer Learning with Convolutional Networks, ICML 2018.
    What a head begins with is known to be sound; few people may improve on it, but are too few to
    learn it from. Fewer still show one and the same emotion: what they have in common with the
    others is learnt from all.

    :param cost: what a squared distance of 1 costs.
    :param between: what a squared distance of 1 to the mean over the last axis, the classes, costs.
    """

    def __init__(self, start: Floats, cost: float, between: float = 0.0) -> None:
        self._start, self._cost, self._between = start, cost, between

    def __call__(self, weights: Any) -> Any:
        apart = weights - ops.mean(weights, -1, keepdims=True)
        return self._cost * ops.sum(ops.square(weights - self._start)) + (
            self._between * ops.sum(ops.square(apart))
        )


class ClassCells(layers.Layer):
    """The cell of an LSTM of one unit for each class: no unit reads another one's class.

    The encoder has told the classes apart; from so few people the head would learn which faces
    among them were taken for which others.

    The cell is a mean over time of what the input gate lets in, and the forget gate says over how
    long. It is divided by the sum of its weights (the normaliser of the sLSTM: Beck et al., xLSTM,
    NeurIPS 2024), so that it is a mean from the first frame on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state_size = [UNITS] * 3
        self.output_size = UNITS

    def build(self, shape: tuple[int | None, ...]) -> None:
        kernel = np.repeat(np.transpose(np.array(_KERNEL, np.float32))[..., np.newaxis], UNITS, -1)
        start = {
            'kernel': kernel,
            'recurrent': np.zeros((GATES, UNITS), np.float32),
            'bias': np.tile(np.array(_BIASES, np.float32)[:, np.newaxis], UNITS),
        }
        self.kernel, self.recurrent, self.bias = (
            self.add_weight(
                shape=value.shape,
                initializer=_constant(value),
                regularizer=FromStart(value, FROM_START / value.size, BETWEEN_CLASSES / value.size),
                name=name,
            )
            for name, value in start.items()
        )

    def call(self, read: Any, states: Any) -> tuple[Any, list[Any]]:
        hidden, cell, counted = states
        step, read = read[:, -1:], ops.reshape(read[:, :-1], (-1, READ, 1, UNITS))
        gates = ops.sum(read * self.kernel, 1) + hidden[:, np.newaxis] * self.recurrent + self.bias
        take, keep, show = (ops.sigmoid(gates[:, i]) for i in (0, 1, 3))
        keep = ops.power(keep, step)
        cell = keep * cell + (1 - keep) * take * ops.tanh(gates[:, 2])
        counted = keep * counted + (1 - keep)
        hidden = show * cell / (counted + TINY)
        return hidden, [hidden, cell, counted]


class HeadNetwork(keras.Model):
    """Frames [n,t,36] to the LSTM's values [n,t,6] in -1..1.

    A face that was seen before has a neutral look, [n,14], which is a second input; without it
    none is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inputs_of = HeadInputs(name='inputs')
        self.lstm = layers.RNN(ClassCells(), return_sequences=True, name='lstm')
        self.sharpness = self.add_weight(shape=(), initializer=_constant(6.0), name='sharpness')
        self(np.zeros((1, 1, FRAME), np.float32))

    def call(self, frames: Any, looks: Any = None) -> Any:
        if looks is None:
            looks = ops.zeros((ops.shape(frames)[0], LOOK))
        return self.lstm(self.inputs_of(frames, looks))

    def weights_for_numpy(self) -> dict[str, Any]:
        """Return the dict of arrays that :class:`emotion_perception.temporal.TemporalHead` takes."""
        kernel, recurrent, bias = self.lstm.get_weights()
        return {
            'kernel': kernel,
            'recurrent': recurrent,
            'bias': bias,
            'sharpness': float(self.sharpness),
        }


def frames_of(kept: Floats, steps: npt.ArrayLike = 1.0) -> Floats:
    """Return frames for the head, float32 [...,36].

    :param kept: float32 [...,35].
    :param steps: time since the frame before [1/30 s], a number or float [...].
    """
    return np.concatenate(
        [kept, np.broadcast_to(np.asarray(steps, np.float32), kept.shape[:-1])[..., np.newaxis]],
        -1,
        dtype=np.float32,
    )


def _constant(value: float | Floats) -> keras.initializers.Initializer:
    return keras.initializers.Constant(value)
