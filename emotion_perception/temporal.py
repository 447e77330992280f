"""The temporal head as the running system computes it: kept frames in, scores out.

The head has an LSTM of one unit for each of the six classes. Each reads two numbers of a frame:
how far the frame is from the face's neutral look toward its class, by the six logits and by the
readout of change. Its cell is divided by the weight of what its gates let in (the normaliser of
the sLSTM: Beck et al., xLSTM, NeurIPS 2024), which makes it a mean, not a sum: an expression that
lasts is as strong as in a single image, not stronger. The head is so small that plain numpy runs
all faces of a frame together faster than any runtime is called. ``learning/temporal.py`` trains the
same head with Keras; a test holds both against each other.

A result rests on a window of at most 100 frames, which the LSTMs run through from a fresh state.
Keeping one state for ever would be cheaper still, but the result would then depend on all that
was ever seen. Nor is the window run again for each frame: the state of every window that began in
one of the last 100 frames is kept, and a new frame moves all of them by one step at once. The
oldest window's state is the result, and equals that of the whole-window network at every length.
"""
import numpy as np

#: What the encoder gives for a frame: logits of the six classes, of the eight (FER+: the six,
#: neutral, contempt), of the seven (FER2013: the six, neutral), and the readout of change: what
#: tells the six classes by how a face differs from its neutral look.
SIX, EIGHT, SEVEN, CHANGE = slice(0, 6), slice(6, 14), slice(14, 21), slice(21, 27)
KEPT = 27
_NEUTRAL = 6
UNITS = 6
READ = 2                    #: what a unit reads of a frame: by the logits, by the readout of change
COMPARED = READ * UNITS     #: what a frame is compared in, for all units
GATES = 4                   #: input, forget, cell, output, in this order everywhere

#: Names of a trained head's weights, and their shapes, see :class:`TemporalHead`.
HEAD_WEIGHTS = {'kernel': (READ, GATES, UNITS), 'recurrent': (GATES, UNITS),
                'bias': (GATES, UNITS), 'sharpness': (), 'neutral_prior': (UNITS,)}

#: Log odds beyond which a frame counts as surely neutral, or surely not.
NEUTRAL_LIMIT = 8.0

#: How much more a frame counts for the face's neutral look, the surer it is neutral: weight
#: exp(NEUTRAL_PULL n), n the log odds of neutral. Not trained: two dozen sequences would teach the
#: head to remember what their people look like instead.
NEUTRAL_PULL = 2.0

#: What the look of people at large weighs beside the most neutral frame.
PRIOR_WEIGHT = 0.5

#: Added to what a cell is divided by, which is 0 as long as the input gate is fully closed.
TINY = 1e-6

# Of sigmoid gates half a tanh of half the sum, and a half more.
_GATE_SCALE = np.repeat(np.float32([0.5, 0.5, 1.0, 0.5]), UNITS)
_GATE_SHIFT = np.repeat(np.float32([0.5, 0.5, 0.0, 0.5]), UNITS)


def neutral_evidence(kept):
    """Return the log odds of the neutral class against all others, [..., 1]."""
    eight = kept[..., EIGHT]
    others = np.delete(eight, _NEUTRAL, axis=-1)
    top = others.max(-1, keepdims=True)
    rest = np.log(np.exp(others - top).sum(-1, keepdims=True)) + top
    return eight[..., _NEUTRAL:_NEUTRAL + 1] - rest


class Windows:
    """The states of the windows of one face: one for each of its last ``limit`` frames.

    In a row: hidden state (6), cell (6), what it is divided by (6), weighted sum of what a frame is
    compared in (12), sum of weights (1), largest weight (1).
    """

    def __init__(self, limit):
        self._states = np.zeros((limit, 3 * UNITS + COMPARED + 2), np.float32)
        self._frames = 0

    def __len__(self):
        """Return the frames in the longest window."""
        return min(self._frames, len(self._states))

    def begin(self):
        """Begin a window with a new frame, in place of one that is full; return all states."""
        self._states[self._frames % len(self._states)] = 0
        self._frames += 1
        return self._states[:len(self)]

    @property
    def oldest(self):
        """Row of the window that began first."""
        return self._frames % len(self._states) if self._frames > len(self._states) else 0


class TemporalHead:
    """The trained head.

    :param weights: dict of arrays: ``kernel`` [2,4,6] (what each gate of a class's unit makes of
        the difference to the neutral look by the six logits, by the readout of change),
        ``recurrent`` [4,6] (of the unit's own hidden state), ``bias`` [4,6], ``sharpness`` (scalar
        k of softmax(k h)), ``neutral_prior`` [6] (logits of the neutral look of people at large).
    """

    def __init__(self, weights):
        # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: one tanh serves the sigmoid gates and the cell.
        # As dense matrices, since one product is faster than many small ones side by side.
        own = np.tile(np.eye(UNITS, dtype=np.float32), GATES) * _GATE_SCALE
        kernel, recurrent, bias = (np.asarray(weights[name], np.float32)
                                   for name in ('kernel', 'recurrent', 'bias'))
        self._kernel = np.concatenate([own * gates.ravel() for gates in kernel])
        self._recurrent = own * recurrent.ravel()
        self._bias = bias.ravel() * _GATE_SCALE
        self._sharpness = np.float32(weights['sharpness'])
        self._prior = np.asarray(weights['neutral_prior'], np.float32)

    def advance(self, windows, kept):
        """Move faces on by one frame.

        :param windows: list of :class:`Windows`, one a face; they are changed.
        :param kept: float32 [n,27], the new frame of each.
        :return: scores float32 [n,6] that sum to 1, and the LSTM's values float32 [n,6], -1..1.
        """
        compared = np.concatenate([kept[:, SIX], kept[:, CHANGE]], -1)
        weight = np.exp(NEUTRAL_PULL * neutral_evidence(kept).clip(-NEUTRAL_LIMIT, NEUTRAL_LIMIT))

        # All windows of a face see the same frame; only the neutral look differs between them.
        # The readout of change knows no look of people at large: in its place stands the frame
        # itself, so that no change is read where none can be known.
        read = compared @ self._kernel + self._bias
        at_large = np.concatenate([np.tile(self._prior, (len(kept), 1)), kept[:, CHANGE]], -1)
        at_large = at_large @ self._kernel

        parts = [face.begin() for face in windows]
        face_of = np.repeat(np.arange(len(windows)), [len(part) for part in parts])
        hidden, cell, counted, sums, largest = np.split(
            np.concatenate(parts), np.cumsum((UNITS, UNITS, UNITS, COMPARED + 1)), axis=1)
        # The face's own neutral look: the mean of the window's frames, the more neutral ones
        # counting more. It is known as surely as its most neutral frame; as far as it is not, that
        # of people at large stands for it, so that an expression that is only held is not taken
        # for a neutral look in the end.
        sums = sums + np.concatenate([weight * compared, weight], -1)[face_of]
        largest = np.maximum(largest, weight[face_of])
        sure = largest / (largest + PRIOR_WEIGHT)
        own = sums[:, :COMPARED] / sums[:, COMPARED:] @ self._kernel
        gate = np.tanh(read[face_of] - sure * own - (1 - sure) * at_large[face_of]
                       + hidden @ self._recurrent)
        gate *= _GATE_SCALE
        gate += _GATE_SHIFT
        take, keep, new, show = np.split(gate, GATES, axis=1)
        cell = keep * cell + take * new
        counted = keep * counted + take
        hidden = show * cell / (counted + TINY)

        values, end = np.empty((len(windows), UNITS), np.float32), 0
        states = np.concatenate([hidden, cell, counted, sums, largest], 1)
        for i, (face, part) in enumerate(zip(windows, parts)):
            start, end = end, end + len(part)
            part[:] = states[start:end]
            values[i] = part[face.oldest, :UNITS]
        return self._scores(values), values

    def every(self, kept, limit):
        """Run one sequence, float32 [t,27]; return scores and values, [t,6], of each frame."""
        windows = Windows(min(limit, len(kept)))
        outputs = [self.advance([windows], kept[i:i + 1]) for i in range(len(kept))]
        return tuple(np.concatenate(parts) for parts in zip(*outputs))

    def _scores(self, values):
        powers = np.exp(self._sharpness * (values - values.max(-1, keepdims=True)))
        return powers / powers.sum(-1, keepdims=True)
