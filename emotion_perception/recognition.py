"""Crops to emotions: the encoder (LiteRT) and the temporal head, checked as they are loaded."""

import hashlib
import json
import os
from pathlib import Path
import re
from typing import Any

from ai_edge_litert.interpreter import Interpreter
import numpy as np
import numpy.typing as npt

from emotion_perception.crops import CROP, CROP_SIZE, NORMALISATION
from emotion_perception.emotions import EMOTIONS
from emotion_perception.temporal import (
    EIGHT,
    Floats,
    HEAD_WEIGHTS,
    KEPT,
    SEVEN,
    STEPS_PER_SECOND,
    TemporalHead,
    Windows,
)

#: Crops that are encoded in one call at most; more are encoded in several.
MAX_BATCH = 16


def shipped_model() -> Path:
    """Return the path of the description of the model that comes with the package."""
    # Installed, the models lie in the package; in a checkout, beside it.
    for folder in (Path(__file__).parent, Path(__file__).parent.parent):
        path = folder / 'models' / 'emotion.json'
        if path.exists():
            return path
    raise FileNotFoundError(f'no models/emotion.json in {Path(__file__).parent} or beside it')


def file_of(model: str | os.PathLike[str], suffix: str) -> Path:
    """Return the path of one of a model's files.

    :param model: path of the model, with or without the suffix of one of its files; other dots
        in it belong to its name.
    """
    model = Path(model)
    return model.with_name(re.sub(r'\.(json|tflite|weights\.npz)$', '', model.name) + suffix)


def load_model(path: str | os.PathLike[str] | None = None, threads: int = 1) -> 'Model':
    """Load a model and check that it is what its description says.

    :param path: of a model, see :func:`file_of`; None for the one that comes with the package.
    :param threads: threads of the encoder.
    :raises FileNotFoundError: when one of the two files is missing.
    :raises ValueError: when the description cannot be read, the encoder is not the one
        described (SHA-256), or the model was made for other classes or another crop than this
        version of the package has.
    """
    model = path or shipped_model()
    description_path, encoder_path = file_of(model, '.json'), file_of(model, '.tflite')
    for file in (description_path, encoder_path):
        if not file.is_file():
            raise FileNotFoundError(
                f'{file} is missing: a model is a description (.json) and an encoder (.tflite)'
            )
    description = _description(description_path)
    encoder = encoder_path.read_bytes()
    for what, found, expected in (
        (
            'SHA-256 of the encoder',
            hashlib.sha256(encoder).hexdigest(),
            description['encoder']['sha256'],
        ),
        ('class order', description['classes'], list(EMOTIONS)),
        ('crop geometry', description['crop'], CROP),
        ('normalisation', description['normalisation'], NORMALISATION),
        ('SHA-256 of the description', checksum_of(description), description['sha256']),
    ):
        if found != expected:
            raise ValueError(f'{description_path}: the {what} is {found}, but should be {expected}')
    try:
        return Model(description, encoder, threads)
    except ValueError as error:
        raise ValueError(f'{encoder_path}: {error}') from error


def checksum_of(description: dict[str, Any]) -> str:
    """Return the SHA-256, hexadecimal, of a description without its own ``sha256``."""
    rest = {key: value for key, value in description.items() if key != 'sha256'}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _description(path: Path) -> dict[str, Any]:
    try:
        description: dict[str, Any] = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is no model description: {error}') from error
    missing = [
        name
        for name in ('name', 'encoder', 'classes', 'crop', 'normalisation', 'head')
        if not isinstance(description, dict) or name not in description
    ]
    missing = missing or [
        name for name in ('encoder', 'head') if not isinstance(description[name], dict)
    ]
    if not missing and 'sha256' not in description['encoder']:
        missing = ['encoder.sha256']
    if missing:
        raise ValueError(f'{path} is no model description: {", ".join(missing)} is missing')
    missing = [f'head.{name}' for name in HEAD_WEIGHTS if name not in description['head']]
    missing += [] if 'sha256' in description else ['sha256']
    if missing:
        raise ValueError(
            f'{path} lacks {", ".join(missing)}: it was made by another version of the package; '
            'train it anew, or take the shipped model'
        )
    for name, shape in HEAD_WEIGHTS.items():
        try:
            array = np.asarray(description['head'][name], np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: the head's {name} is no array of numbers") from error
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(
                f"{path}: the head's {name} is of shape {list(array.shape)}, but "
                f'should be finite numbers of shape {list(shape)}'
            )
    return description


class Model:
    """An encoder that runs once for each face and frame, and a head over what it gave."""

    def __init__(self, description: dict[str, Any], encoder: bytes, threads: int) -> None:
        self.description = description
        self.trained_on: dict[str, list[str]] = description.get('trained_on', {})
        self.sha256: str = description['encoder']['sha256']
        self._head = TemporalHead(description['head'])
        self._interpreter = Interpreter(model_content=encoder, num_threads=threads)
        self._input = self._interpreter.get_input_details()[0]['index']
        # By shape, not by position: the order of the outputs is the converter's.
        outputs = {int(o['shape'][-1]): o['index'] for o in self._interpreter.get_output_details()}
        if set(outputs) != {KEPT, 512}:
            raise ValueError(
                f'an encoder of this version gives {KEPT} and 512 numbers of a face, '
                f'not {" and ".join(map(str, sorted(outputs)))}: train it anew, or '
                'take the shipped model'
            )
        self._kept, self._features = outputs[KEPT], outputs[512]
        self._batch: int | None = None

    def encode(self, crops: npt.NDArray[np.uint8]) -> Floats:
        """Encode crops, uint8 [n,64,64,3] BGR; return what is kept of each, float32 [n,35]."""
        return self._run(crops, self._kept)

    def features(self, crops: npt.NDArray[np.uint8]) -> Floats:
        """Return the spatial intensity vectors of crops, uint8 [n,64,64,3] -> float32 [n,512]."""
        return self._run(crops, self._features)

    def advance(
        self, windows: list[Windows], kept: Floats, stamps_ns: list[int]
    ) -> tuple[Floats, Floats]:
        """Classify the next frame of several faces.

        :param windows: list of :class:`~emotion_perception.temporal.Windows`, one a face.
        :param kept: float32 [n,35], what ``encode`` gave.
        :param stamps_ns: list of the frames' times [ns].
        :return: scores float32 [n,6] that sum to 1, and strengths float32 [n,6], 0..1: the LSTM's
            values, of which :func:`~emotion_perception.labels.intensity_of` makes intensities.
        """
        scores, values = self._head.advance(windows, kept, stamps_ns)
        return scores, values.clip(0, 1)

    def classify(self, sequences: list[Floats]) -> tuple[Floats, Floats]:
        """Classify the newest frame of whole sequences, list of float32 [frames,35], at 30 Hz.

        :return: scores and strengths, float32 [sequences,6] each.
        """
        results = [self.classify_all(kept) for kept in sequences]
        scores, strengths = (np.stack([part[-1] for part in parts]) for parts in zip(*results))
        return scores, strengths

    def classify_all(
        self, kept: Floats, stamps_ns: npt.ArrayLike | None = None, window: int = 100
    ) -> tuple[Floats, Floats]:
        """Classify every frame of one sequence, as if it had been watched live.

        :param kept: float32 [frames,35].
        :param stamps_ns: the frames' times [ns]; None: one step of the head apart.
        :return: scores and strengths, float32 [frames,6] each.
        """
        if stamps_ns is None:
            stamps_ns = np.arange(len(kept)) * 1e9 / STEPS_PER_SECOND
        scores, values = self._head.every(kept, stamps_ns, window)
        return scores, values.clip(0, 1)

    def stills_scores(self, kept: Floats) -> dict[str, Floats]:
        """Return the stills heads' probabilities, {'eight': float32 [n,8], 'seven': [n,7]}.

        The classes' order is in ``description['stills_classes']``.
        """
        return {'eight': _softmax(kept[:, EIGHT]), 'seven': _softmax(kept[:, SEVEN])}

    def _run(self, crops: npt.NDArray[np.uint8], output: int) -> Floats:
        if crops.dtype != np.uint8 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
            raise ValueError(
                f'crops are uint8 [n,{CROP_SIZE},{CROP_SIZE},3], '
                f'not {crops.dtype} {list(crops.shape)}'
            )
        parts = [
            self._run_batch(crops[i : i + MAX_BATCH], output)
            for i in range(0, len(crops), MAX_BATCH)
        ]
        return (
            np.concatenate(parts)
            if parts
            else np.empty((0, KEPT if output == self._kept else 512), np.float32)
        )

    def _run_batch(self, crops: npt.NDArray[np.uint8], output: int) -> Floats:
        if len(crops) != self._batch:
            self._batch = len(crops)
            self._interpreter.resize_tensor_input(self._input, crops.shape)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(crops))
        self._interpreter.invoke()
        result: Floats = self._interpreter.get_tensor(output)
        return result


def _softmax(logits: Floats) -> Floats:
    powers: Floats = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)
