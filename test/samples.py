"""Small samples of faces, for the tests of training."""

import numpy as np

from emotion_perception.datasets import Sample
from emotion_perception.datasets.sample import VOTE_NAMES

#: How tests train an adapter: in little time, on all that they give it.
ADAPTER = {
    'web_images': 24,
    'lab': [1.0],
    'live': [0.5],
    'strength': 1.0,
    'epochs': 20,
    'batch_size': 8,
    'learning_rate': 0.01,
    'weight_decay': 0.0,
    'dropout': 0.0,
    'seed': 1,
}


def sample(label, frames=None, subject='A', **fields):
    """Give a sample of one black crop, or of these frames."""
    frames = np.zeros((1, 64, 64, 3), np.uint8) if frames is None else frames
    return Sample(f'{subject}-{label}', subject, label, frames, **fields)


def votes(**counts):
    """Give the votes of FER+ taggers, uint8 [10]."""
    return np.array([counts.get(name, 0) for name in VOTE_NAMES], np.uint8)
