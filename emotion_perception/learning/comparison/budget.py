"""Training within a budget of time.

The learning rate falls to zero with the share of the budget that is used, so that a training
which runs out of time ends as settled as one that does not.
"""

from collections.abc import Iterable
from time import perf_counter
from typing import Any

import keras
from keras import layers
import numpy as np
import numpy.typing as npt

from emotion_perception.learning.encoder.augmentation import resize
from emotion_perception.learning.encoder.labelled_stills import Stills
from emotion_perception.learning.encoder.trainer import class_prior, for_crops, StillsTrainer

#: Batches between two looks at the clock.
_ROUND = 4

#: Steps of the schedule over a whole budget of stills, and those in which the rate rises.
_SCHEDULE, _WARMUP = 1000, 50


class Budget:
    """So much to do, and so many seconds for it, counted from now."""

    def __init__(self, total: int, seconds: float) -> None:
        self._total, self._seconds = total, seconds
        self._start = perf_counter()

    def share(self, done: int) -> float:
        """Return the share that is used, 0 .. 1, of whichever is nearer to its end."""
        if done >= self._total:
            return 1.0
        return min(max(done / self._total, (perf_counter() - self._start) / self._seconds), 1.0)


def train_encoder(
    config: dict[str, Any], stills: Stills, seconds: float
) -> tuple[keras.Model, float]:
    """Train an encoder with its heads for stills.

    :param config: as for :func:`emotion_perception.learning.encoder.trainer.train_stills`, with
        ``size`` and ``epochs`` in place of ``phases``.
    :param stills: :class:`~emotion_perception.learning.encoder.labelled_stills.Stills`.
    :param seconds: budget; what comes first ends the training, this or the last epoch.
    :return: the stills model, float32, and the epochs that it got.
    :raises ValueError: when there are too few stills.
    """
    count = _ROUND * config['batch_size']
    if len(stills) < count:
        raise ValueError(
            f'{len(stills)} web faces are too few: training takes {count} at a time '
            f'({_ROUND} batches)'
        )
    keras.utils.set_random_seed(config['seed'])
    rng = np.random.default_rng(config['seed'])
    trainer = StillsTrainer(
        {**config, 'phases': [{'size': config['size']}]},
        _SCHEDULE - _WARMUP,
        _WARMUP,
        config['prior'] * np.log(class_prior(stills)),
    )
    budget, seen = Budget(config['epochs'] * len(stills), seconds), 0
    while (share := budget.share(seen)) < 1:
        trainer.optimizer.iterations.assign(round(share * _SCHEDULE))
        part = rng.choice(len(stills), count, replace=False)
        trainer.run_epoch(stills.take(part), config['size'], seen)
        seen += count
    part = rng.choice(len(stills), count, replace=False)
    plain = np.stack([resize(image, config['size']) for image in stills.images[part]])
    estimate_statistics(trainer.model, np.split(plain[..., None], _ROUND))
    return for_crops(trainer.model, config['backbone']), seen / len(stills)


def estimate_statistics(model: keras.Model, batches: Iterable[npt.NDArray[np.float32]]) -> None:
    """Set the means and deviations of a model's batch normalisations to those over batches.

    Their moving averages lag behind the weights; after a short training some have hardly left
    what they began with (a momentum of .99 needs hundreds of steps).
    """
    normalisations = [
        layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)
    ]
    for number, batch in enumerate(batches):
        for layer in normalisations:
            layer.momentum = number / (number + 1)
        model(batch, training=True)
