"""The temporal head as the running system computes it: encoded frames in, scores out.

The head is an LSTM with one unit for each of the six classes. Of each frame a unit reads the
absolute evidence (how likely its class is, and whether there is any expression at all), and how
far both are from the face's own neutral look. The head is so small that plain numpy runs all
faces of a frame together faster than any runtime is called. ``learning/head/network.py`` trains the
same head with Keras; a test holds both against each other.

A result rests on a window of at most 100 frames, which the LSTM runs through from a fresh state.
Nor is the window run again for each frame: the state of every window that began in one of the
last 100 frames is kept, and a new frame moves all of them by one step at once. The oldest
window's state is the result, and equals that of the whole-window network at every length. The
face's neutral look is older than the window: it is an input of that network.
"""

import numpy as np
import numpy.typing as npt

#: What the encoder gives for a frame. Logits of the six classes, of the eight (FER+: the six,
#: neutral, contempt) and of the seven (FER2013: the six, neutral), as web photographs teach them.
#: LIVE: logits of the six and neutral, adapted to live video, which the head reads. CHANGE: what
#: tells the six classes by how a face differs from its neutral look. FACE: log odds that the
#: crop shows a face.
SIX, EIGHT, SEVEN, LIVE, CHANGE, FACE = (
    slice(0, 6),
    slice(6, 14),
    slice(14, 21),
    slice(21, 28),
    slice(28, 34),
    34,
)
KEPT = 35
UNITS = 6
READ = 5  #: numbers that a unit reads of a frame, see :func:`read_frames`
COMPARED = 2 * UNITS + 1  #: numbers of a frame that are compared with the face's neutral look
LOOK = COMPARED + 1  #: numbers that hold a neutral look: weighted sums, and the weight
GATES = 4  #: input, forget, cell, output, in this order everywhere

#: Names of a trained head's weights, and their shapes, see :class:`TemporalHead`.
HEAD_WEIGHTS = {
    'kernel': (READ, GATES, UNITS),
    'recurrent': (GATES, UNITS),
    'bias': (GATES, UNITS),
    'sharpness': (),
}

#: Steps are time in units of a frame at 30 frames per second, which the gates are trained in.
STEPS_PER_SECOND = 30.0

#: Shortest and longest step: two images of one stamp are still two; what lies further back than
#: the longest has no say.
STEP_LIMITS = 0.1, 30.0

#: Log odds beyond which an expression counts as surely shown, or surely not.
EVIDENCE_LIMIT = 8.0

#: Steps after which a frame counts 1/e for the neutral look: one minute.
LOOK_MEMORY = 60 * STEPS_PER_SECOND

#: Steps of surely neutral frames after which the neutral look is half known.
LOOK_HALF_KNOWN = 2.0

#: What is read is divided by this, so that the head's weights are near 1.
SCALE = 4.0

#: Added to what a cell is divided by, which is 0 while the forget gate is fully open.
TINY = 1e-6

Floats = npt.NDArray[np.float32]

# Of sigmoid gates half a tanh of half the sum, and a half more.
_GATE_SCALE = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), UNITS)
_GATE_SHIFT = np.repeat(np.array([0.5, 0.5, 0.0, 0.5], np.float32), UNITS)


def read_frames(kept: Floats, looks: Floats, steps: Floats) -> tuple[Floats, Floats]:
    """Compare a new frame of several faces with their neutral looks.

    Each unit reads: the log of its class's share among the six; the log odds of any expression
    against neutral; by how much its class's log share, its readout of change, and those log odds
    are above the face's neutral look, each as far as that look is known.

    :param kept: float32 [n,35], what the encoder gives.
    :param looks: float32 [n,14], the neutral looks before this frame: sums over past frames,
        those that look more neutral counting more, and the sum of their weights.
    :param steps: float32 [n], time since the face's frame before.
    :return: what is read, float32 [n,5,6], and the neutral looks after this frame.
    """
    live = kept[:, LIVE]
    top = live[:, :UNITS].max(1, keepdims=True)
    any_expression = np.log(np.exp(live[:, :UNITS] - top).sum(1, keepdims=True)) + top
    evidence = (any_expression - live[:, UNITS:]).clip(-EVIDENCE_LIMIT, EVIDENCE_LIMIT)
    compared = np.concatenate([live[:, :UNITS] - any_expression, kept[:, CHANGE], evidence], 1)

    before = looks * np.exp(-steps / np.float32(LOOK_MEMORY))[:, np.newaxis]
    weight = before[:, COMPARED:]
    known = weight / (weight + LOOK_HALF_KNOWN)
    change = known * (compared - before[:, :COMPARED] / np.maximum(weight, TINY))
    read = np.concatenate(
        [
            compared[:, :UNITS],
            np.repeat(evidence, UNITS, 1),
            change[:, : 2 * UNITS],
            np.repeat(change[:, 2 * UNITS :], UNITS, 1),
        ],
        1,
    )

    neutral = 1 / (1 + np.exp(evidence))
    counts = neutral**2 * steps[:, np.newaxis]
    after = before + counts * np.concatenate([compared, np.ones_like(counts)], 1)
    return np.asarray(read / SCALE, np.float32).reshape(-1, READ, UNITS), after


class Windows:
    """What the head keeps of one face: its neutral look, and the states of its windows.

    A window begins with each frame; those that began in the last ``limit`` frames are kept, a row
    each: hidden state (6), cell (6), what the cell is divided by (6).
    """

    def __init__(self, limit: int) -> None:
        self._states = np.zeros((limit, 3 * UNITS), np.float32)
        self._frames = 0
        self._stamp_ns: int | None = None
        self.look: Floats = np.zeros(LOOK, np.float32)  #: see :func:`read_frames`

    def __len__(self) -> int:
        """Return the frames in the longest window."""
        return min(self._frames, len(self._states))

    def step_to(self, stamp_ns: int) -> float:
        """Take note of a new frame's stamp [ns]; return the step since the frame before."""
        step = 1.0
        if self._stamp_ns is not None:
            low, high = STEP_LIMITS
            step = min(max((stamp_ns - self._stamp_ns) * 1e-9 * STEPS_PER_SECOND, low), high)
        self._stamp_ns = stamp_ns
        return step

    def begin(self) -> Floats:
        """Begin a window with a new frame, in place of one that is full; return all states."""
        self._states[self._frames % len(self._states)] = 0
        self._frames += 1
        return self._states[: len(self)]

    @property
    def oldest(self) -> int:
        """Row of the window that began first."""
        return self._frames % len(self._states) if self._frames > len(self._states) else 0


class TemporalHead:
    """The trained head.

    Its cell is a running mean of what the units take in: c = f c + (1 - f) i g, divided by the
    same sum of ones. So an expression that lasts is as strong as in a single image, not stronger.
    The forget gate f says how long that mean is: f to the power of the step is kept, which makes
    it a time and not a number of frames. The units' values are h = o c / n, -1..1.

    :param weights: dict of arrays: ``kernel`` [5,4,6] (what each gate of a class's unit makes of
        what is read), ``recurrent`` [4,6] (of the unit's own value), ``bias`` [4,6],
        ``sharpness`` (scalar k of softmax(k h)).
    """

    def __init__(self, weights: dict[str, npt.ArrayLike]) -> None:
        # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: one tanh serves the sigmoid gates and the cell.
        kernel, recurrent, bias = (
            np.asarray(weights[name], np.float32) for name in ('kernel', 'recurrent', 'bias')
        )
        self._kernel = kernel * _GATE_SCALE.reshape(GATES, UNITS)
        self._recurrent = recurrent.ravel() * _GATE_SCALE
        self._bias = bias.ravel() * _GATE_SCALE
        self._sharpness = np.float32(float(np.asarray(weights['sharpness'])))

    def advance(
        self, windows: list[Windows], kept: Floats, stamps_ns: list[int]
    ) -> tuple[Floats, Floats]:
        """Move faces on by one frame.

        :param windows: one a face; they are changed.
        :param kept: float32 [n,35], the new frame of each.
        :param stamps_ns: the time of each of these frames [ns].
        :return: scores float32 [n,6] that sum to 1, and the LSTM's values float32 [n,6], -1..1.
        """
        steps = np.array(
            [face.step_to(stamp) for face, stamp in zip(windows, stamps_ns)], np.float32
        )
        read, looks = read_frames(kept, np.stack([face.look for face in windows]), steps)
        for face, look in zip(windows, looks):
            face.look = look
        # All windows of a face see the same frame, so this part is the same for all of them.
        shared = np.einsum('nru,rgu->ngu', read, self._kernel).reshape(len(windows), -1)
        shared += self._bias

        parts = [face.begin() for face in windows]
        face_of = np.repeat(np.arange(len(windows)), [len(part) for part in parts])
        hidden, cell, counted = np.split(np.concatenate(parts), 3, axis=1)
        gate = np.tanh(shared[face_of] + np.tile(hidden, GATES) * self._recurrent)
        gate *= _GATE_SCALE
        gate += _GATE_SHIFT
        take, keep, new, show = np.split(gate, GATES, axis=1)
        keep = keep ** steps[face_of, np.newaxis]
        cell = keep * cell + (1 - keep) * take * new
        counted = keep * counted + (1 - keep)
        hidden = show * cell / (counted + TINY)

        values, end = np.empty((len(windows), UNITS), np.float32), 0
        states = np.concatenate([hidden, cell, counted], 1)
        for i, (face, part) in enumerate(zip(windows, parts)):
            start, end = end, end + len(part)
            part[:] = states[start:end]
            values[i] = part[face.oldest, :UNITS]
        return self._scores(values), values

    def every(self, kept: Floats, stamps_ns: npt.ArrayLike, limit: int) -> tuple[Floats, Floats]:
        """Run one sequence, float32 [t,35]; return scores and values, [t,6], of each frame."""
        windows = Windows(min(limit, len(kept)))
        outputs = [
            self.advance([windows], kept[i : i + 1], [int(stamp)])
            for i, stamp in enumerate(np.asarray(stamps_ns))
        ]
        scores, values = zip(*outputs)
        return np.concatenate(scores), np.concatenate(values)

    def _scores(self, values: Floats) -> Floats:
        powers: Floats = np.exp(self._sharpness * (values - values.max(-1, keepdims=True)))
        return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)
