"""Adapt a trained model to the camera and the people of one robot, from a few labelled clips."""

import os
from pathlib import Path
import sys

import keras
import numpy as np

from emotion_perception.datasets import load, person_of, Sample
from emotion_perception.emotions import LABELS
from emotion_perception.evaluation.watched import share_of, watch_sample
from emotion_perception.learning.encoder.labelled_stills import EIGHT, SMOOTHING
from emotion_perception.learning.encoder.networks import FEATURES, GreyEncoder
from emotion_perception.learning.export import check_writable, read_weights, write_all
from emotion_perception.learning.head.episodes import grey_variants
from emotion_perception.learning.head.network import FromStart
from emotion_perception.recognition import file_of, load_model, Model

VARIANTS = 6  # augmented variants of each clip
FRAMES = 40  # frames of a clip that are used, evenly spread
EPOCHS = 30
LEARNING_RATE = 3e-4

#: What the squared distance of the head's weights to those it had costs.
FROM_START = 2.0


def adapt_to_clips(
    start: str | os.PathLike[str], clips: str | os.PathLike[str], output: str | os.PathLike[str]
) -> tuple[float, float]:
    """Train the eight-class head of a model anew on clips; measure before and after.

    The temporal head reads the eight classes, with what the adapter adds. The encoder and the
    adapter stay as they are, and what the head leaves of what it knew has a cost: a handful of
    people must not make the model forget all others, nor the labels that they do not show. The
    last clip of each label, in the order of names, is kept aside. Contempt is only trained on,
    so that it is not taken for a neutral face; no such label is published.

    :param start: the model to begin with (its .json; the .weights.npz lies beside it).
    :param clips: folder of labelled clips.
    :param output: path of the adapted model.
    :return: (accuracy before, accuracy after): share of the frames of the clips kept aside that
        get the right label as the node would publish it, neutral included; clips count alike.
    :raises FileNotFoundError: when a file of the model is missing.
    :raises ValueError: when a label has fewer than two clips, a clip does not say who is seen, or
        the model cannot be written.
    """
    start, output = Path(start), Path(output)
    check_writable(output)
    model = load_model(start)
    weights = file_of(start, '.weights.npz')
    if not weights.is_file():
        raise FileNotFoundError(
            f'{weights} is missing: a model is adapted from its weights, so '
            'begin with one that has them beside it, as models/emotion.json'
        )
    stills_model = read_weights(weights)
    samples = load(clips)
    by_label: dict[str, list[Sample]] = {}
    for sample in sorted(samples, key=lambda s: s.name):
        if sample.label:
            by_label.setdefault(sample.label, []).append(sample)
    contempt = by_label.pop('contempt', [])
    single = [label for label, group in by_label.items() if len(group) < 2]
    if single or not by_label:
        raise ValueError(
            f'{clips}: each label needs two clips or more, one of them is kept '
            f'aside; too few for {", ".join(single) or "any label"}'
        )
    train = [s for group in by_label.values() for s in group[:-1]] + contempt
    aside = [group[-1] for group in by_label.values()]
    people = sorted(set(map(person_of, train)).union(model.trained_on.get(samples.set_name, ())))

    before = _accuracy(model, aside)
    _train_head(stills_model, train)
    about = {
        **model.description,
        'name': file_of(output, '').name,
        'trained_on': {
            **model.trained_on,
            samples.set_name: people,
        },
    }
    write_all(output, stills_model, model.description['head'], about)
    after = _accuracy(load_model(output), aside)
    print(
        f'{len(train)} clips trained on, {len(aside)} kept aside: '
        f'{before:.3f} of their frames right before, {after:.3f} after',
        flush=True,
    )
    if after < before:
        print(
            f'warning: {start} was better on the clips kept aside than {output}, which was adapted',
            file=sys.stderr,
        )
    return before, after


def _train_head(stills_model: keras.Model, samples: list[Sample]) -> None:
    encoder, eight = GreyEncoder(stills_model), stills_model.get_layer('eight')
    features, targets = [], []
    for i, sample in enumerate(samples):
        chosen = np.unique(np.linspace(0, len(sample.frames) - 1, FRAMES).round().astype(int))
        grey = grey_variants(sample.frames[chosen], encoder.size, VARIANTS, i)
        features.append(encoder(grey)[1].reshape(-1, FEATURES))
        one_hot = np.array(EIGHT) == sample.label
        targets.append(np.tile(one_hot * (1 - SMOOTHING) + SMOOTHING / 8, (len(features[-1]), 1)))
    for variable in eight.trainable_weights:
        variable.regularizer = FromStart(variable.numpy(), FROM_START)
    head = keras.Sequential([keras.Input((FEATURES,)), eight])
    head.compile(
        keras.optimizers.AdamW(LEARNING_RATE),
        keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    keras.utils.set_random_seed(1)
    head.fit(
        np.concatenate(features), np.concatenate(targets), batch_size=64, epochs=EPOCHS, verbose=0
    )


def _accuracy(model: Model, samples: list[Sample]) -> float:
    return float(
        np.mean(
            [
                share_of(watch_sample(model, sample), LABELS.index(str(sample.label)))
                for sample in samples
            ]
        )
    )
