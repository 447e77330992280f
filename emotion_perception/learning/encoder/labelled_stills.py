"""What the heads for stills are trained toward, from the samples of any set."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.datasets.sample import Sample, VOTE_NAMES
from emotion_perception.emotions import EMOTIONS, NEUTRAL

#: Classes of the heads for stills, in the order of their outputs.
SEVEN = EMOTIONS + (NEUTRAL,)
EIGHT = SEVEN + ('contempt',)

_VOTES_OF_EIGHT = [VOTE_NAMES.index(name) for name in EIGHT]

#: FER+ has ten votes an image; its FER2013 label counts as this many more toward the six classes.
FER2013_VOTES = 4.0

#: Probability mass that a set with one label an image spreads over all the classes.
SMOOTHING = 0.06


@dataclass
class Stills:
    """Single frames with soft targets; a weight of 0 says that a set has no such label."""

    images: npt.NDArray[np.uint8]  #: [n,64,64], grey
    targets: dict[str, npt.NDArray[np.float32]]  #: head name -> [n,classes], rows sum to 1
    weights: dict[str, npt.NDArray[np.float32]]  #: head name -> [n]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: npt.ArrayLike) -> 'Stills':
        indices = np.asarray(indices)
        return Stills(
            self.images[indices],
            {head: target[indices] for head, target in self.targets.items()},
            {head: weight[indices] for head, weight in self.weights.items()},
        )


def stills_from(samples: Sequence[Sample]) -> Stills:
    """Turn the last frame of each sample into a still with targets.

    The six-class target joins the FER+ votes with the FER2013 label, so that an image which
    most people call neutral still teaches which expression it leans to.
    """
    count = len(samples)
    images = np.empty((count, *samples[0].frames.shape[1:3]), np.uint8)
    six, eight, seven = np.zeros((count, 6)), np.zeros((count, 8)), np.zeros((count, 7))
    six_weight = np.ones(count)
    for i, sample in enumerate(samples):
        images[i] = cv2.cvtColor(sample.frames[-1], cv2.COLOR_BGR2GRAY)
        if sample.votes is not None:
            eight[i] = sample.votes[_VOTES_OF_EIGHT]
            six[i] = eight[i][:6]
        elif sample.label is not None:
            one_hot = np.equal(EIGHT, sample.label)
            eight[i] = one_hot * (1 - SMOOTHING) + SMOOTHING / 8
            if one_hot[:6].any():
                six[i] = one_hot[:6] * (1 - SMOOTHING) + SMOOTHING / 6
        if sample.fer2013_label is not None:
            seven[i] = np.equal(SEVEN, sample.fer2013_label)
            six[i] += FER2013_VOTES * seven[i][:6]
        if sample.votes is not None:
            # What one tagger of ten saw, and the label does not name, is hardly to be learnt.
            six_weight[i] = min(1.0, six[i].sum() / FER2013_VOTES)
    targets: dict[str, npt.NDArray[np.float32]] = {}
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for head, target in (('six', six), ('eight', eight), ('seven', seven)):
        total = target.sum(1)
        targets[head] = (target / np.maximum(total, 1e-9)[:, None]).astype(np.float32)
        weight = six_weight if head == 'six' else np.ones(count)
        weights[head] = (weight * (total > 0)).astype(np.float32)
    return Stills(images, targets, weights)
