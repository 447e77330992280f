"""Training of an encoder on stills: small images first, resumable at every epoch."""

from concurrent.futures import ThreadPoolExecutor
import csv
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tqdm import tqdm

from emotion_perception.emotions import EMOTIONS
from emotion_perception.learning.encoder.augmentation import augment, resize
from emotion_perception.learning.encoder.labelled_stills import Stills
from emotion_perception.learning.encoder.networks import build_encoder, build_stills_model

#: Weight of each head in the sum of the losses.
HEAD_WEIGHTS = {'six': 1.0, 'eight': 1.0, 'seven': 1.0}

#: Batches over which the statistics of averaged weights are measured.
STATISTICS = 100

_ByHead = dict[str, npt.NDArray[np.float32]]


def train_stills(
    config: dict[str, Any],
    train: Stills,
    valid: Stills,
    run_dir: str | os.PathLike[str],
    start: keras.Model | None = None,
) -> keras.Model:
    """Train an encoder with its heads for stills, or go on where an earlier run was stopped.

    :param config: dict with ``backbone``, ``phases`` (list of ``{size, epochs}``),
        ``batch_size``, ``learning_rate``, ``weight_decay``, ``dropout``, ``gamma`` (see
        :func:`~emotion_perception.learning.encoder.augmentation.augment`), ``prior``, ``seed``,
        ``precision`` (a Keras dtype policy).
    :param train: :class:`~emotion_perception.learning.encoder.labelled_stills.Stills`.
    :param valid: the same; measured after each epoch, never trained on.
    :param run_dir: folder of the checkpoint and of the curve.
    :param start: a stills model whose weights to begin with; random ones otherwise.
    :return: the trained stills model, float32, with crops [n,64,64,3] as its input.
    :raises ValueError: when ``train`` does not fill a batch, or lacks one of the six classes.
    """
    batches = len(train) // config['batch_size']
    if not batches:
        raise ValueError(
            f'{len(train)} stills to train on do not fill one batch: give more of '
            f'them, or a batch_size below {config["batch_size"]}'
        )
    shift = config['prior'] * np.log(class_prior(train))
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(config['seed'])
    sizes = [phase['size'] for phase in config['phases'] for _ in range(phase['epochs'])]
    # The losses see logits shifted by the class prior (Menon et al., Long-tail learning via
    # logit adjustment, ICLR 2021), so that what is rare in the set is not rare in the scores.
    trainer = StillsTrainer(config, batches * len(sizes), batches, shift)
    if start is not None:
        trainer.model.set_weights(start.get_weights())
    checkpoint = run_dir / 'state.npz'
    first = trainer.restore(checkpoint) if checkpoint.exists() else 0
    writer = tf.summary.create_file_writer(str(run_dir / 'tensorboard'))
    for epoch in range(first, len(sizes)):
        size = sizes[epoch]
        losses = trainer.run_epoch(train, size, epoch)
        row = {
            'epoch': epoch + 1,
            'size': size,
            'loss': float(np.mean(losses)),
            **stills_accuracy(trainer.model, valid, size),
        }
        trainer.save(checkpoint, epoch + 1)
        _append(run_dir / 'curve.csv', row)
        with writer.as_default(step=epoch + 1):
            for name, value in row.items():
                tf.summary.scalar(name, value)
        _print(row)
    return for_crops(trainer.model, config['backbone'])


def average_weights(
    models: list[keras.Model], train: Stills, valid: Stills, config: dict[str, Any]
) -> keras.Model:
    """Return a stills model whose weights are the mean of others' that come from one another.

    Where cycles of training end, the weights differ while the loss is about the same, and their
    mean generalises better than any of them (Izmailov et al., Averaging Weights Leads to Wider
    Optima and Better Generalization, UAI 2018). What normalises batches is measured anew, as the
    mean of statistics is not the statistics of the mean.

    :param models: stills models of one backbone.
    :param train, valid, config: as for :func:`train_stills`; of the phases the last one counts.
    """
    size, rng = config['phases'][-1]['size'], np.random.default_rng(config['seed'])
    mean = build_stills_model(
        build_encoder(config['backbone'], size, config['dropout']), config['dropout']
    )
    mean.set_weights(
        [np.mean(arrays, 0) for arrays in zip(*(model.get_weights() for model in models))]
    )
    for _ in range(STATISTICS):
        images = train.images[rng.integers(len(train), size=config['batch_size'])]
        mean(
            np.stack([augment(image, size, rng, config['gamma']) for image in images])[..., None],
            training=True,
        )
    _print({'mean of': len(models), 'size': size, **stills_accuracy(mean, valid, size)})
    return for_crops(mean, config['backbone'])


def for_crops(model: keras.Model, backbone: str) -> keras.Model:
    """Return a stills model of the same weights in float32, for crops [n,64,64,3]."""
    result = build_stills_model(build_encoder(backbone))
    result.set_weights(model.get_weights())
    return result


def class_prior(train: Stills) -> npt.NDArray[np.float32]:
    """Return the share of each of the six classes in what is trained on, float [6].

    :raises ValueError: when one of them has none.
    """
    sums = train.weights['six'] @ train.targets['six']
    absent = [name for name, total in zip(EMOTIONS, sums) if total == 0]
    if absent:
        raise ValueError(
            f'no still to train on shows {", ".join(absent)}: each of '
            f'{", ".join(EMOTIONS)} is needed'
        )
    return np.asarray(sums / sums.sum())


def stills_accuracy(model: keras.Model, stills: Stills, size: int) -> dict[str, float]:
    """Accuracy of each head against the most likely class of its target."""
    inputs = np.stack([resize(image, size) for image in stills.images])
    logits = model.predict(inputs[..., None], batch_size=256, verbose=0)
    result = {}
    for head, target in stills.targets.items():
        counted = stills.weights[head] > 0
        hits = logits[head].argmax(1) == target.argmax(1)
        result[head] = float(hits[counted].mean()) if counted.any() else float('nan')
    return result


class StillsTrainer:
    """The network in training, its optimizer and its loss."""

    def __init__(
        self,
        config: dict[str, Any],
        steps: int,
        warmup: int,
        prior_shift: npt.NDArray[np.float32],
    ) -> None:
        self._config = config
        self._shift = tf.constant(prior_shift, tf.float32)
        sizes = {phase['size'] for phase in config['phases']}
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(config['precision'])
        self.model = build_stills_model(
            build_encoder(
                config['backbone'], sizes.pop() if len(sizes) == 1 else None, config['dropout']
            ),
            config['dropout'],
        )
        keras.config.set_dtype_policy(policy)
        variables = self.model.trainable_variables
        self.optimizer = keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(
                0.0, steps, warmup_target=config['learning_rate'], warmup_steps=warmup
            ),
            momentum=0.9,
            nesterov=True,
            weight_decay=config['weight_decay'],
        )
        self.optimizer.exclude_from_weight_decay(
            [v for v in variables if v.path.split('/')[-1] != 'kernel']
        )
        self.optimizer.build(variables)
        # Not the weights alone: what dropout draws next is a variable of the model, too.
        self._variables = self.model.variables + self.optimizer.variables

    def run_epoch(self, train: Stills, size: int, epoch: int) -> list[float]:
        rng = np.random.default_rng((self._config['seed'], epoch))
        order = rng.permutation(len(train))
        batch_size = self._config['batch_size']
        starts = range(0, len(order) - batch_size + 1, batch_size)

        def batch(start: int) -> tuple[npt.NDArray[np.float32], _ByHead, _ByHead]:
            part = train.take(np.sort(order[start : start + batch_size]))
            images = np.stack(
                [augment(image, size, rng, self._config['gamma']) for image in part.images]
            )
            return images[..., None], part.targets, part.weights

        losses = []
        # One thread keeps the order of the random numbers; it works while the network does.
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(batch, starts[0])
            for following in tqdm(
                [*starts[1:], None], desc=f'epoch {epoch + 1}', leave=False, disable=None
            ):
                images, targets, weights = pending.result()
                if following is not None:
                    pending = pool.submit(batch, following)
                losses.append(
                    float(
                        self._step(*tf.nest.map_structure(tf.constant, (images, targets, weights)))
                    )
                )
        return losses

    @tf.function(reduce_retracing=False)
    def _step(self, images: Any, targets: dict[str, Any], weights: dict[str, Any]) -> Any:
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            logits = {**logits, 'six': logits['six'] + self._shift}
            loss = sum(
                weight
                * tf.reduce_mean(
                    weights[head]
                    * tf.nn.softmax_cross_entropy_with_logits(targets[head], logits[head])
                )
                for head, weight in HEAD_WEIGHTS.items()
            )
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self.optimizer.apply(gradients)
        return loss

    def save(self, path: Path, epoch: int) -> None:
        """Write the whole state of training at the end of an epoch, all or nothing."""
        partial = path.with_name('state.partial.npz')
        np.savez(
            partial,
            epoch=epoch,
            **{f'variable_{i:03d}': variable.numpy() for i, variable in enumerate(self._variables)},
        )
        os.replace(partial, path)

    def restore(self, path: Path) -> int:
        """Take up a saved state; return the number of epochs that it has behind it.

        :raises ValueError: when the state is none of this network and its optimizer.
        """
        with np.load(path) as state:
            saved = [state[key] for key in sorted(state) if key.startswith('variable_')]
            if [array.shape for array in saved] != [tuple(v.shape) for v in self._variables]:
                raise ValueError(
                    f'{path} is no state of this network and its optimizer: take '
                    'another run_dir, or remove that file to begin anew'
                )
            for variable, array in zip(self._variables, saved):
                variable.assign(array)
            return int(state['epoch'])


def _print(row: dict[str, float]) -> None:
    print('  '.join(f'{name} {value:.4g}' for name, value in row.items()), flush=True)


def _append(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with open(path, 'a', newline='') as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
