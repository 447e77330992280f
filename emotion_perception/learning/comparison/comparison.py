"""Networks side by side: the same people held out, the same budgets of time.

The encoders see web faces alone, so that one training of each serves every fold; they stay as
they are while what stands behind them is trained on the people of the other folds. A budget is
in seconds: a slow network sees less, as it would wherever it is trained.
"""

from functools import cache, cached_property
import json
import os
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import tensorflow as tf

from emotion_perception.datasets import Samples
from emotion_perception.learning.comparison.answers import Answers, figures
from emotion_perception.learning.comparison.budget import Budget, train_encoder
from emotion_perception.learning.comparison.faces import Crops, Faces
from emotion_perception.learning.comparison.networks import (
    milliseconds,
    multiply_adds,
    NETWORKS,
    one_frame,
    PIXELS,
    SHAPES,
    WITH_INTENSITY,
)
from emotion_perception.learning.encoder.labelled_stills import stills_from
from emotion_perception.learning.encoder.networks import BACKBONES, GreyEncoder
from emotion_perception.learning.encoder.web_faces import load_web_faces
from emotion_perception.learning.export import read_weights, write_weights
from emotion_perception.learning.head.episodes import Episode
from emotion_perception.learning.head.network import frames_of
from emotion_perception.learning.head.trainer import SequenceTrainer
from emotion_perception.learning.lab.faces import LabFaces

#: Batches of episodes between two looks at the clock, and to E2.
_ROUND = 5


class Comparison:
    """A configuration's rows. A row whose result stands in ``run_dir`` is not run again.

    :param config: dict with ``run_dir``; ``sets`` (``web``; ``lab`` and ``live``, lists); ``folds``;
        ``seeds``; ``stills`` and ``temporal``, settings of both trainings; ``stills_seconds`` and
        ``fold_seconds``, their budgets, the latter shared by the seeds of a fold; and ``rows``:
        {name: {``network``, where it reads an encoder's output ``backbone``, perhaps
        ``mean_so_far``; further keys replace those of ``temporal`` and ``fold_seconds``}}.
    :raises ValueError: when a row asks for what there is not.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.rows: dict[str, dict[str, Any]] = config['rows']
        for name, row in self.rows.items():
            _check(name, row)
        self._config = config
        self._run_dir = Path(config['run_dir'])
        self._backbone: str | None = None
        self._faces: dict[str, Faces] = {}

    def run(self, name: str) -> dict[str, Any]:
        """Train and measure a row, where that has not been done; return its figures."""
        found = self.result(name)
        if found is None:
            print(name, flush=True)
            found = self._measured(name)
            _write(self._path(name), found)
        return found

    def result(self, name: str) -> dict[str, Any] | None:
        """Return the figures of a row, a dict; None while it has not been run.

        :raises ValueError: when they are those of another configuration.
        """
        return _read(self._path(name), self._settings(name))

    def _path(self, name: str) -> Path:
        plain = ''.join(c if c.isalnum() else '_' for c in name)
        return self._run_dir / 'rows' / f'{plain}.json'

    def _settings(self, name: str) -> dict[str, Any]:
        row = self.rows[name]
        shared = {key: self._config[key] for key in ('folds', 'seeds', 'fold_seconds')}
        sets = {name: self._config['sets'][name] for name in ('lab', 'live')}
        settings = {**sets, **shared, **self._config['temporal'], **row}
        if 'backbone' in row:
            settings['encoder'] = self._encoder_settings(row['backbone'])
        return settings

    def _encoder_settings(self, backbone: str) -> dict[str, Any]:
        stills = dict(self._config['stills'])
        changed = stills.pop('changed', {}).get(backbone, {})
        return {
            'backbone': backbone,
            'web': self._config['sets']['web'],
            'seconds': self._config['stills_seconds'],
            **stills,
            **changed,
        }

    @cached_property
    def _web(self) -> Samples:
        return load_web_faces(self._config['sets']['web'], 'train')

    @cached_property
    def _lab(self) -> LabFaces:
        sets = self._config['sets']
        return LabFaces(sets['lab'], self._config['folds'], sets['live'])

    def _measured(self, name: str) -> dict[str, Any]:
        settings = self._settings(name)
        make, reads = NETWORKS[settings['network']]
        encoder = self._encoder(settings.get('encoder'))
        faces, seeds = self._faces[reads], settings['seeds']
        trainer = SequenceTrainer(make, (settings['frames'], *SHAPES[reads]), settings, _ROUND)
        network = trainer.network
        traced = tf.function(
            network, input_signature=[tf.TensorSpec((None, None, *SHAPES[reads]), tf.float32)]
        )
        answers = [Answers(settings.get('mean_so_far', False)) for _ in seeds]
        steps, start = [], perf_counter()
        for fold in range(settings['folds']):

            def draw(rng: np.random.Generator, fold: int = fold) -> list[Episode]:
                return faces.draw(rng, fold, settings)

            for seed, of_seed in zip(seeds, answers):
                budget = Budget(settings['steps'], settings['fold_seconds'] / len(seeds))
                steps.append(trainer.train(draw, seed, budget.share))
                of_seed.add(faces, fold, traced, float(network.sharpness))
        seconds = perf_counter() - start
        found = figures(answers, settings['network'] in WITH_INTENSITY)
        cost = _cost_of_a_frame(settings['network'])
        print(
            f'  live {found["both"]:.3f}, onsets {found["mean"]:.3f}, {np.mean(steps):.0f} steps, '
            f'{seconds:.0f} s',
            flush=True,
        )
        return {
            'settings': settings,
            **found,
            'parameters': encoder['parameters'] + network.count_params(),
            'multiply_adds': encoder['multiply_adds'] + cost['multiply_adds'],
            'ms': encoder['ms'] + cost['ms'],
            'stills_epochs': encoder['epochs'],
            'stills_seconds': encoder['seconds'],
            'steps': float(np.mean(steps)),
            'folds_seconds': seconds,
        }

    def _encoder(self, settings: dict[str, Any] | None) -> dict[str, Any]:
        """Train an encoder, or find it; encode all faces. Return what it is and costs."""
        if settings is None:
            if 'grey' not in self._faces:
                crops = Crops([], self._lab, self._config['temporal'], PIXELS)
                # E2 is not trained on pixels; the target made of them is never looked at.
                self._faces['grey'] = Faces(
                    crops, crops.grey, crops.grey.reshape(len(crops.grey), -1)
                )
            return {'parameters': 0, 'multiply_adds': 0, 'ms': 0.0, 'epochs': None, 'seconds': 0.0}
        path = self._run_dir / 'encoders' / f'{settings["backbone"]}.npz'
        found = _read(path.with_suffix('.json'), settings)
        if found is None:
            print(f'  {settings["backbone"]} on web faces, {settings["seconds"]} s', flush=True)
            start = perf_counter()
            model, epochs = train_encoder(settings, stills_from(self._web), settings['seconds'])
            seconds = perf_counter() - start
            write_weights(path, model)
            network = GreyEncoder(model, settings['size']).network
            found = {
                'settings': settings,
                'epochs': epochs,
                'seconds': seconds,
                'parameters': network.count_params(),
                'multiply_adds': multiply_adds(network),
                'ms': milliseconds(network),
            }
            _write(path.with_suffix('.json'), found)
        if self._backbone != settings['backbone']:  # rows of one backbone follow each other
            encode = GreyEncoder(read_weights(path), settings['size'])
            crops = Crops(self._web, self._lab, self._config['temporal'], encode.size)
            kept, features, _ = encode(crops.grey)
            self._faces |= {
                'frames': Faces(crops, frames_of(kept, crops.steps), features, timed=True),
                'features': Faces(crops, features, features),
            }
            self._backbone = settings['backbone']
        return found


def _check(name: str, row: dict[str, Any]) -> None:
    network = row.get('network')
    if network not in NETWORKS:
        raise ValueError(
            f'row {name!r}: there is no network {network!r}, but {", ".join(NETWORKS)}'
        )
    if NETWORKS[network][1] == 'grey':
        if 'backbone' in row:
            raise ValueError(
                f'row {name!r}: {network} reads the crops themselves; leave out the backbone'
            )
    elif row.get('backbone') not in BACKBONES:
        raise ValueError(
            f'row {name!r}: {network} needs a backbone, one of '
            f'{", ".join(BACKBONES)}, not {row.get("backbone")!r}'
        )
    if (row.get('e2') or row.get('e3')) and network not in WITH_INTENSITY:
        raise ValueError(
            f'row {name!r}: only {", ".join(WITH_INTENSITY)} can be trained with '
            'E2 and the third term'
        )


@cache
def _cost_of_a_frame(network: str) -> dict[str, float]:
    model = one_frame(network)
    return {'multiply_adds': multiply_adds(model), 'ms': milliseconds(model)}


def _read(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Return a result, None where there is none."""
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    if found['settings'] != settings:
        raise ValueError(
            f'{path} is the result of other settings: take another run_dir, or remove that file'
        )
    return found


def _write(path: Path, result: dict[str, Any]) -> None:
    """Write a result, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    partial.write_text(json.dumps(result, indent=1) + '\n')
    os.replace(partial, path)
