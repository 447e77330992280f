"""What the configurations of training and of the comparison hold, checked as they are read."""

from collections.abc import Callable, Collection
import math
import os
from pathlib import Path
from string import Template
from typing import Any

import yaml

from emotion_perception.learning.encoder.networks import BACKBONES

#: What a value should be, and whether one is that.
Kind = tuple[str, Callable[[Any], bool]]


def _whole(low: int) -> Kind:
    return f'a whole number from {low} on', lambda v: type(v) is int and v >= low


def _number(which: str, fits: Callable[[Any], bool]) -> Kind:
    return f'a number {which}', lambda v: type(v) in (int, float) and math.isfinite(v) and fits(v)


def _one_of(names: Collection[str]) -> Kind:
    return f'one of {", ".join(names)}', lambda v: isinstance(v, str) and v in names


def _optional(table: dict[str, Any]) -> dict[str, Any]:
    return {f'{key}?': kind for key, kind in table.items()}


_TEXT = 'a text', lambda v: isinstance(v, str) and v != ''
_SWITCH = 'true or false', lambda v: isinstance(v, bool)
_NATURAL, _COUNT, _FOLDS, _SIZE = map(_whole, (0, 1, 2, 16))
_POSITIVE = _number('above 0', lambda v: v > 0)
_NOT_NEGATIVE = _number('from 0 on', lambda v: v >= 0)
_SHARE = _number('from 0 to 1', lambda v: 0 <= v <= 1)

_REGULAR = {
    'weight_decay': _NOT_NEGATIVE,
    'dropout': _number('from 0 to below 1', lambda v: 0 <= v < 1),
}
_BATCHES = {'batch_size': _COUNT, 'learning_rate': _POSITIVE}
_PRECISION = {'precision': _one_of(('float32', 'mixed_bfloat16', 'mixed_float16'))}
_EPISODES = {
    'steps': _COUNT,
    'stills': _COUNT,
    'sequences': _NATURAL,
    'neutral_clips': _NATURAL,
    'emotional_clips': _NATURAL,
    'noise': _NOT_NEGATIVE,
    'lab_repeats': _NOT_NEGATIVE,
    'learning_rate': _POSITIVE,
    'e2': _SHARE,
    'e3': _NOT_NEGATIVE,
    'seed': _NATURAL,
}
_ENCODER = {
    'size': _SIZE,
    'epochs': _COUNT,
    'gamma': _NOT_NEGATIVE,
    'prior': _SHARE,
    'seed': _NATURAL,
    **_BATCHES,
    **_REGULAR,
    **_PRECISION,
}
_TEMPORAL = {
    **_EPISODES,
    'steps': _NATURAL,
    'lab_repeats': _COUNT,
    'frames': _COUNT,
    'web_images': _COUNT,
}

#: Configurations: {key: what it holds}, a list of what each item is, or (text, test) of a value.
#: Keys that end in ? may be left out; ``...`` stands for any text as a key.
# fmt: off
TRAINING = {
    'name': _TEXT, 'run_dir': _TEXT, 'folds': _FOLDS,
    'sets': {'web': {'train': _TEXT, 'valid': _TEXT}, 'lab': [_TEXT], 'live': [_TEXT],
             'one_face': [_TEXT]},
    'stills': {
        'backbone': _one_of(BACKBONES), 'batch_size': _COUNT, 'prior': _SHARE, **_PRECISION,
        'cycles': [{'learning_rate': _POSITIVE, **_REGULAR, 'gamma': _NOT_NEGATIVE,
                    'seed': _NATURAL, 'phases': [{'size': _SIZE, 'epochs': _COUNT}]}]},
    'adapter': {'web_images': _COUNT, 'lab': [_NOT_NEGATIVE], 'live': [_NOT_NEGATIVE],
                'strength': _SHARE, 'epochs': _COUNT, 'seed': _NATURAL,
                **_BATCHES, **_REGULAR},
    'head': {'epochs': _COUNT, 'prior': _SHARE, **_EPISODES}}
# fmt: on
# fmt: off
COMPARISON = {
    'run_dir': _TEXT, 'folds': _FOLDS, 'sets': {'web': _TEXT, 'lab': [_TEXT], 'live': [_TEXT]},
    'seeds': [_NATURAL], 'stills_seconds': _POSITIVE, 'fold_seconds': _POSITIVE,
    'stills': {**_ENCODER, 'changed?': {f'{name}?': _optional(_ENCODER) for name in BACKBONES}},
    'temporal': _TEMPORAL,
    'rows': {...: {'network': _TEXT, 'backbone?': _TEXT, 'mean_so_far?': _SWITCH,
                   'fold_seconds?': _POSITIVE, **_optional(_TEMPORAL)}}}
# fmt: on


def read_config(path: Path, expected: dict[Any, Any]) -> dict[str, Any]:
    """Return a configuration as a dict, its $NAMES replaced from the environment.

    :param expected: ``TRAINING`` or ``COMPARISON``.
    :raises OSError, ValueError: when it cannot be read, a name is not set, or it does not hold
        what is expected.
    """
    try:
        read: dict[str, Any] = yaml.safe_load(Template(path.read_text()).substitute(os.environ))
    except KeyError as error:
        raise ValueError(f'${error.args[0]} is not set in the environment') from error
    except yaml.YAMLError as error:
        raise ValueError(' '.join(str(error).split())) from error
    _check(read, expected, '')
    return read


def _check(value: Any, expected: Any, where: str) -> None:
    name = where or 'the configuration'
    if isinstance(expected, list):
        if not isinstance(value, list) or not value:
            raise ValueError(f'{name} should be a list, not {value!r}')
        for number, item in enumerate(value):
            _check(item, expected[0], f'{where}[{number}]')
    elif isinstance(expected, dict):
        known: dict[Any, Any] = {
            key if key is ... else key.rstrip('?'): kind for key, kind in expected.items()
        }
        keys = 'names' if ... in known else ', '.join(known)
        if not isinstance(value, dict) or not value and ... in known:
            raise ValueError(f'{name} should be a table of {keys}, not {value!r}')
        wrong = [
            f'{key} is missing'
            for key in expected
            if key is not ... and key in known and key not in value
        ]
        wrong += [
            f'{key} is unknown'
            for key in value
            if key not in known and not (... in known and isinstance(key, str))
        ]
        if wrong:
            raise ValueError(f'{name}: {", ".join(wrong)}; its keys are {keys}')
        for key, item in value.items():
            _check(item, known[key if key in known else ...], f'{where}.{key}'.lstrip('.'))
    elif not expected[1](value):
        raise ValueError(f'{name} should be {expected[0]}, not {value!r}{_plain(value)}')


def _plain(value: Any) -> str:
    """Say how a number is written that YAML takes for text, such as 1e-3."""
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        return ''
    written = yaml.safe_dump(int(number) if number.is_integer() else number)
    return f', which YAML reads as text: write {written.split()[0]}'
