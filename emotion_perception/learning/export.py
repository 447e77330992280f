"""Write a trained network as LiteRT files with their descriptions."""

from collections.abc import Iterator
from contextlib import contextmanager
import hashlib
import json
import os
from pathlib import Path
import sys
import tempfile
from typing import Any
import zipfile

import keras
import numpy as np
import tensorflow as tf

from emotion_perception.crops import CROP, CROP_SIZE, NORMALISATION
from emotion_perception.emotions import EMOTIONS
from emotion_perception.learning.encoder.labelled_stills import EIGHT, SEVEN
from emotion_perception.learning.encoder.networks import (
    build_encoder,
    build_stills_model,
    KEPT_HEADS,
)
from emotion_perception.recognition import checksum_of, file_of


def encoder_bytes(stills_model: keras.Model, int8: bool) -> bytes:
    """Convert a stills model to a LiteRT encoder.

    :param stills_model: as ``learning.networks.build_stills_model`` makes it.
    :param int8: store the weights in eight bits (activations are quantised as they come).
    :return: bytes of a model from ``crops`` uint8 [n,64,64,3] to ``kept`` float32 [n,35]
        (logits: six, eight, seven, live; change; face) and ``features`` float32 [n,512].
    """
    crops = keras.Input((CROP_SIZE, CROP_SIZE, 3), dtype='uint8', name='crops')
    encoder = keras.Model(
        stills_model.input,
        [
            *(stills_model.output[head] for head in KEPT_HEADS),
            stills_model.get_layer('features').output,
        ],
    )
    *heads, features = encoder(crops)
    model = keras.Model(crops, {'kept': keras.layers.Concatenate()(heads), 'features': features})
    with tempfile.TemporaryDirectory() as folder, _standard_error_dropped():
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converted: bytes = converter.convert()
        return converted


@contextmanager
def _standard_error_dropped() -> Iterator[None]:
    """Drop what the converter's C++ says of each of its steps; it has no loggers to be lowered."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, 'wb') as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def describe(
    encoder: bytes, head: dict[str, Any], about: dict[str, Any], int8: bool
) -> dict[str, Any]:
    """Return a model's description, a dict for JSON.

    :param encoder: the LiteRT file's bytes.
    :param head: the temporal head's weights, a dict of arrays.
    :param about: what else the description says (``name``, ``trained_on`` ...).
    """
    description = {
        **{key: value for key, value in about.items() if key != 'sha256'},
        'encoder': {
            'sha256': hashlib.sha256(encoder).hexdigest(),
            'weights': 'int8' if int8 else 'float32',
        },
        'classes': EMOTIONS,
        'stills_classes': {'eight': EIGHT, 'seven': SEVEN},
        'crop': CROP,
        'normalisation': NORMALISATION,
        'head': {
            name: np.asarray(value, np.float64).round(6).tolist() for name, value in head.items()
        },
    }
    # As JSON gives it back: the classes are a list there.
    return {**description, 'sha256': checksum_of(json.loads(json.dumps(description)))}


def write_model(
    path: str | os.PathLike[str],
    stills_model: keras.Model,
    head: dict[str, Any],
    about: dict[str, Any],
    int8: bool,
) -> None:
    """Write ``<path>.tflite`` and its description ``<path>.json``."""
    path = Path(path)
    encoder = encoder_bytes(stills_model, int8)
    path.parent.mkdir(parents=True, exist_ok=True)
    file_of(path, '.tflite').write_bytes(encoder)
    file_of(path, '.json').write_text(
        json.dumps(describe(encoder, head, about, int8), indent=1) + '\n'
    )


def write_all(
    path: str | os.PathLike[str],
    stills_model: keras.Model,
    head: dict[str, Any],
    about: dict[str, Any],
) -> None:
    """Write a model in int8 as ``<path>``, in float32 as ``<path>_float32``, and its weights.

    :param path: with or without the suffix of one of the files.
    """
    weights = file_of(path, '.weights.npz')
    write_weights(weights, stills_model)
    stills_model = read_weights(weights)  # rounded as they are written, for all to be the same
    write_model(path, stills_model, head, about, int8=True)
    write_model(file_of(path, '_float32'), stills_model, head, about, int8=False)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path where :func:`write_all` cannot write; missing folders are no hindrance.

    :raises ValueError: names what is in the way.
    """
    for suffix in ('.json', '.tflite', '.weights.npz', '_float32.json', '_float32.tflite'):
        file = file_of(path, suffix).absolute()
        there = next(place for place in (file, *file.parents) if place.exists())
        if there.is_dir() != (there != file) or not os.access(there, os.W_OK):
            raise ValueError(
                f'{file} cannot be written: {there} is no '
                f'{"file" if there == file else "folder"} that you may write to'
            )


def write_weights(path: str | os.PathLike[str], stills_model: keras.Model) -> None:
    """Write a stills model's weights in half precision, all or nothing; training goes on there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.stem}.partial.npz')
    np.savez(
        partial,
        backbone=stills_model.name.removesuffix('_stills'),
        **{
            f'weight_{i:03d}': weight.astype(np.float16)
            for i, weight in enumerate(stills_model.get_weights())
        },
    )
    os.replace(partial, path)


def read_weights(path: str | os.PathLike[str]) -> keras.Model:
    """Return the float32 stills model of a file that :func:`write_weights` wrote.

    :raises ValueError: when it is none, or holds the weights of another network.
    """
    try:
        with np.load(path) as arrays:
            model = build_stills_model(build_encoder(str(arrays['backbone'])))
            weights = [
                arrays[name].astype(np.float32)
                for name in sorted(arrays)
                if name.startswith('weight_')
            ]
    except (KeyError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise ValueError(f'{path} holds no weights of a model: {error}') from error
    if [array.shape for array in weights] != [tuple(w.shape) for w in model.weights]:
        raise ValueError(
            f'{path} holds weights of another network than {model.name} is in this '
            'version: train it anew, or take a model of this version'
        )
    model.set_weights(weights)
    return model
