"""Train a model, or adapt one: `python -m emotion_perception.train --help`."""

import argparse
from collections.abc import Sequence
import os
from pathlib import Path
import warnings

from emotion_perception.learning.configuration import read_config, TRAINING
from emotion_perception.learning.export import check_writable
from emotion_perception.learning.own_clips import adapt_to_clips
from emotion_perception.learning.recipe import Recipe


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog='python -m emotion_perception.train',
        description='Train a model from a configuration, going on where an earlier run stopped; '
        'or adapt a trained one to clips of your own.',
    )
    parser.add_argument(
        'config',
        nargs='?',
        type=Path,
        metavar='CONFIG.yaml',
        help='e.g. config/training/default.yaml; $NAMES of the environment count',
    )
    parser.add_argument(
        '--folds',
        action='store_true',
        help='train and measure once for each fold of people instead',
    )
    parser.add_argument(
        '--output',
        type=_model,
        metavar='MODEL',
        help='where to write the model (default: run_dir/emotion)',
    )
    parser.add_argument(
        '--from', dest='start', type=Path, metavar='MODEL', help='with --clips: the model to adapt'
    )
    parser.add_argument(
        '--clips',
        type=Path,
        metavar='FOLDER',
        help='labelled clips of your own: FOLDER/<label>/<person>_<any>.mp4',
    )
    arguments = parser.parse_args(argv)
    warnings.formatwarning = lambda message, *_, **__: f'warning: {message}\n'
    if bool(arguments.config) == bool(arguments.clips):
        parser.error('either a CONFIG.yaml or --clips FOLDER is needed')
    if arguments.start and not arguments.clips:
        parser.error('--from MODEL goes with --clips FOLDER')
    if arguments.folds and (arguments.clips or arguments.output):
        parser.error('--folds goes with a CONFIG.yaml alone: it measures, and writes no model')
    if arguments.clips and not (arguments.start and arguments.output):
        parser.error('--clips needs --from MODEL and --output MODEL')
    try:
        if arguments.clips:
            adapt_to_clips(arguments.start, arguments.clips, arguments.output)
        else:
            _train(arguments)
    except (OSError, ValueError) as error:
        parser.error(f'{arguments.config}: {error}' if arguments.config else str(error))


def _train(arguments: argparse.Namespace) -> None:
    config = read_config(arguments.config, TRAINING)
    if arguments.folds:
        Recipe(config).measure_folds()
    else:
        output = arguments.output or Path(config['run_dir']) / 'emotion'
        check_writable(output)
        Recipe(config).write(output)


def _model(text: str) -> Path:
    if text.endswith(os.sep) or Path(text).is_dir():
        raise argparse.ArgumentTypeError(
            f'{text} is a folder: name a model in it, as in {Path(text) / "emotion"}'
        )
    return Path(text)


if __name__ == '__main__':
    main()
