"""The readout of change: which expression a face moves toward, whatever it looks like at rest.

A linear map of the encoder's features, fitted to how they differ between a frame of an onset and
its first, neutral frame. The temporal head reads it as the difference to a face's neutral look.
"""

import numpy as np
import numpy.typing as npt

from emotion_perception.emotions import EMOTIONS

#: How far the scatter within the classes is drawn toward the identity (times its mean variance):
#: there are more features than there are different onsets to learn them from.
RIDGE = 1.0

#: Share of an onset's largest change below which a frame shows too little to learn from.
LEAST = 0.2

#: The readout is fitted to the direction of a change, c / (|c| + SOFTNESS * the onset's largest):
#: early in an onset, when little has changed yet, the direction is all there is.
SOFTNESS = 0.3

#: Deviation of the readout over all changes, twice that of the six logits: early in an onset the
#: head is to see it above their noise.
DEVIATION = 4.0


def change_readout(
    onsets: list[tuple[npt.NDArray[np.float32], str]],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Fit Fisher's linear discriminant of the six classes to changes of features.

    R. A. Fisher, The Use of Multiple Measurements in Taxonomic Problems (1936), for several
    classes: the inverse of the scatter within them times the differences of their means.

    :param onsets: list of (features float32 [variants,t,k], one of EMOTIONS); the first frame of
        each is neutral.
    :return: float32 [k,6], one column a class, to DEVIATION over the changes of all onsets, and
        float32 [6], which brings the mean neutral frame to 0.
    :raises ValueError: when a class has no onset.
    """
    absent = [name for name in EMOTIONS if name not in {label for _, label in onsets}]
    if absent:
        raise ValueError(
            f'no onset shows {", ".join(absent)}: the readout of change needs each '
            f'of {", ".join(EMOTIONS)}'
        )
    changes = [
        (features - features[:, :1]).reshape(-1, features.shape[-1]) for features, _ in onsets
    ]
    parts = [_directions(part) for part in changes]
    classes = np.concatenate(
        [np.full(len(part), EMOTIONS.index(label)) for part, (_, label) in zip(parts, onsets)]
    )
    directions = np.concatenate(parts).astype(np.float64)
    means = np.stack([directions[classes == number].mean(0) for number in range(len(EMOTIONS))])
    scatter = np.cov((directions - means[classes]).T)
    scatter += RIDGE * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    readout = np.linalg.solve(scatter, (means - means.mean(0)).T)
    readout *= DEVIATION / (np.concatenate(changes) @ readout).std()
    neutral = np.concatenate([features[:, 0] for features, _ in onsets]).mean(0)
    return readout.astype(np.float32), (-neutral @ readout).astype(np.float32)


def _directions(changes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the directions of an onset's changes, [n,k], without those that are too small."""
    sizes = np.linalg.norm(changes, axis=1, keepdims=True)
    largest = sizes.max()
    directions: npt.NDArray[np.float32] = changes / np.maximum(sizes + SOFTNESS * largest, 1e-12)
    return np.asarray(directions[sizes[:, 0] >= LEAST * largest])
