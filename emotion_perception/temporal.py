"""The temporal head as the running system computes it: kept frames in, scores out.

The head is an LSTM with one unit a class (six), small enough that plain numpy runs all faces of
a frame together faster than any runtime is called. ``learning/temporal.py`` trains the same
head with Keras; a test holds both against each other.

A window of at most 100 frames is always run from its first frame with a fresh state. Keeping
the state for ever would be cheaper but would make the output depend on all that was ever seen;
so the result equals that of the whole-window network at every length.
"""
import numpy as np

#: What the encoder gives for a frame: logits of the six classes, of the eight (FER+: the six,
#: neutral, contempt), of the seven (FER2013: the six, neutral).
SIX, EIGHT, SEVEN = slice(0, 6), slice(6, 14), slice(14, 21)
KEPT = 21
_NEUTRAL = 6
UNITS = 6

#: Log odds beyond which a frame counts as surely neutral, or surely not.
NEUTRAL_LIMIT = 8.0

# Input, forget, cell, output: of sigmoid gates half a tanh of half the sum, and a half more.
_GATE_SCALE = np.repeat(np.float32([0.5, 0.5, 1.0, 0.5]), UNITS)
_GATE_SHIFT = np.repeat(np.float32([0.5, 0.5, 0.0, 0.5]), UNITS)


def neutral_evidence(kept):
    """Return the log odds of the neutral class against all others, [..., 1]."""
    eight = kept[..., EIGHT]
    others = np.delete(eight, _NEUTRAL, axis=-1)
    top = others.max(-1, keepdims=True)
    rest = np.log(np.exp(others - top).sum(-1, keepdims=True)) + top
    return eight[..., _NEUTRAL:_NEUTRAL + 1] - rest


class TemporalHead:
    """The trained head.

    :param weights: dict of arrays: ``kernel`` [inputs,24], ``recurrent`` [6,24], ``bias`` [24]
        (gates in Keras' order: input, forget, cell, output), ``sharpness`` (scalar k of
        softmax(k h)), ``neutral_pull`` (scalar, how strongly neutral frames make the reference),
        ``offset`` [6] and ``scale`` (scalar), which bring the six logits to the head's range.
    """

    def __init__(self, weights):
        # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: one tanh serves the sigmoid gates and the cell.
        self._kernel = np.asarray(weights['kernel'], np.float32) * _GATE_SCALE
        self._recurrent = np.asarray(weights['recurrent'], np.float32) * _GATE_SCALE
        self._bias = np.asarray(weights['bias'], np.float32) * _GATE_SCALE
        self._sharpness = np.float32(weights['sharpness'])
        self._pull = np.float32(weights['neutral_pull'])
        self._offset = np.asarray(weights['offset'], np.float32)
        self._scale = np.float32(weights['scale'])

    def newest(self, sequences):
        """Run each sequence to its newest frame.

        :param sequences: list of float32 [frames,21], each of one frame or more.
        :return: scores float32 [n,6] that sum to 1, and the LSTM's values float32 [n,6], -1..1.
        """
        values = self._run(sequences)[-1]
        return self._scores(values), values

    def every(self, sequence):
        """Run one sequence; return scores and values, float32 [frames,6], of each frame."""
        values = self._run([sequence])[:, 0]
        return self._scores(values), values

    def _inputs(self, kept):
        logits = (kept[..., SIX] + self._offset) * self._scale
        neutral = neutral_evidence(kept)
        # The face's own neutral look: the mean of the frames so far, the more neutral ones
        # counting more. Subtracting it leaves what has changed in the face.
        weight = np.exp(self._pull * neutral.clip(-NEUTRAL_LIMIT, NEUTRAL_LIMIT))
        reference = np.cumsum(weight * logits, 0) / np.cumsum(weight, 0)
        return np.concatenate([logits, logits - reference, neutral], -1)

    def _run(self, sequences):
        steps = max(len(sequence) for sequence in sequences)
        # Sequences end together; a shorter one begins later. Before that its gates are 0, and so
        # its state stays 0.
        gates = np.zeros((steps, len(sequences), 4 * UNITS), np.float32)
        for i, sequence in enumerate(sequences):
            gates[steps - len(sequence):, i] = self._inputs(sequence) @ self._kernel + self._bias
        values = np.zeros((steps, len(sequences), UNITS), np.float32)
        cell = np.zeros((len(sequences), UNITS), np.float32)
        hidden = cell
        for step in range(steps):
            gate = np.tanh(gates[step] + hidden @ self._recurrent)
            gate *= _GATE_SCALE
            gate += _GATE_SHIFT
            take, keep, new, show = (gate[:, i:i + UNITS] for i in range(0, 4 * UNITS, UNITS))
            cell = keep * cell + take * new
            hidden = show * np.tanh(cell)
            values[step] = hidden
        return values

    def _scores(self, values):
        powers = np.exp(self._sharpness * (values - values.max(-1, keepdims=True)))
        return powers / powers.sum(-1, keepdims=True)
