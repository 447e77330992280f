"""Train a model, or adapt one: `python -m emotion_perception.train --help`."""
import argparse
import os
from pathlib import Path
from string import Template

import yaml

from emotion_perception.learning.own_clips import adapt_to_clips
from emotion_perception.learning.recipe import Recipe

#: What a configuration needs; asked for at once, since some of it is used hours later.
_KEYS = ('name', 'run_dir', 'sets', 'folds', 'stills', 'adapter', 'head')


def main(argv=None):
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog='python -m emotion_perception.train',
        description='Train a model from a configuration, going on where an earlier run stopped; '
                    'or adapt a trained one to clips of your own.')
    parser.add_argument('config', nargs='?', type=Path, metavar='CONFIG.yaml',
                        help='e.g. config/training/default.yaml; $NAMES of the environment count')
    parser.add_argument('--folds', action='store_true',
                        help='train and measure once for each fold of people instead')
    parser.add_argument('--output', type=Path, metavar='MODEL',
                        help='where to write the model (default: run_dir/emotion)')
    parser.add_argument('--from', dest='start', type=Path, metavar='MODEL',
                        help='with --clips: the model to adapt')
    parser.add_argument('--clips', type=Path, metavar='FOLDER',
                        help='labelled clips of your own: FOLDER/<label>/<person>_<any>.mp4')
    arguments = parser.parse_args(argv)
    if bool(arguments.config) == bool(arguments.clips):
        parser.error('either a CONFIG.yaml or --clips FOLDER is needed')
    if arguments.start and not arguments.clips:
        parser.error('--from MODEL goes with --clips FOLDER')
    if arguments.clips:
        if not (arguments.start and arguments.output):
            parser.error('--clips needs --from MODEL and --output MODEL')
        try:
            adapt_to_clips(arguments.start, arguments.clips, arguments.output)
        except (FileNotFoundError, ValueError) as error:
            parser.error(str(error))
    else:
        try:
            config = read_config(arguments.config)
            missing = [key for key in _KEYS if key not in config]
            if missing:
                raise ValueError(f'{", ".join(missing)} missing; see '
                                 'config/training/default.yaml')
            recipe = Recipe(config)
        except (OSError, yaml.YAMLError, ValueError) as error:
            parser.error(f'{arguments.config}: {error}')
        if arguments.folds:
            recipe.measure_folds()
        else:
            recipe.write(arguments.output or recipe.run_dir / 'emotion')


def read_config(path):
    """Return a configuration as a dict, its $NAMES replaced from the environment.

    :raises OSError, yaml.YAMLError, ValueError: when it cannot be read, or a name is not set.
    """
    try:
        read = yaml.safe_load(Template(path.read_text()).substitute(os.environ))
    except KeyError as error:
        raise ValueError(f'${error.args[0]} is not set in the environment') from error
    if not isinstance(read, dict):
        raise ValueError('not a configuration, which is a YAML table of keys and values')
    return read


if __name__ == '__main__':
    main()
