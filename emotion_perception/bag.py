"""Emotions out of bags and videos, without ROS: `python -m emotion_perception.bag --help`."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from io import TextIOWrapper
import os
from pathlib import Path
import signal
import sys
from threading import Lock
from typing import Any

from emotion_perception.options import OPTIONS
from emotion_perception.pipeline import EmotionPipeline
from emotion_perception.rotation import TURNS

try:
    from tqdm import tqdm

    from emotion_perception.offline.comparison import compare, in_words, TOLERANCE, write_comparison
    from emotion_perception.offline.images import topic_table
    from emotion_perception.offline.many import process_here, process_on_cluster
    from emotion_perception.offline.processing import Outcome, process, Settings
    from emotion_perception.offline.recordings import (
        Bag,
        find_recording,
        find_recordings,
        Recording,
    )
    from emotion_perception.offline.storage import BagError
except ModuleNotFoundError as error:
    sys.exit(
        f'{error.name} is missing: pip install emotion_perception[bags], or '
        'pip install -r requirements/bags.txt'
    )


def parse_arguments(
    argv: Sequence[str] | None = None,
) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m emotion_perception.bag',
        description='Process every image of bags (MCAP, sqlite3) and videos, and write the '
        'results of each into a bag and a table of its own. The same command goes '
        'on where it was stopped.',
    )
    add = parser.add_argument
    add(
        'recordings',
        nargs='*',
        type=Path,
        metavar='IN',
        help='a bag (its folder or file), a video, or a folder with any number of them',
    )
    add(
        '-o',
        '--output',
        type=Path,
        metavar='OUT',
        help='folder of the results (emotions), or of the comparison (comparison)',
    )
    add('--list', action='store_true', help='only list what topics there are')
    add(
        '--topic',
        nargs='+',
        action='extend',
        default=[],
        metavar='[CAMERA:=]TOPIC',
        help='image topic to read, where there are several, and how its camera is called',
    )
    add(
        '--compare',
        nargs=2,
        type=Path,
        metavar=('A', 'B'),
        help='compare two bags of results over one recording, image by image: writes '
        'comparison.html and comparison.json; exit code 1 where they differ. IN: the '
        'recording, for pictures',
    )
    add(
        '--tolerance',
        type=float,
        default=TOLERANCE,
        metavar='X',
        help='of --compare: intensities that differ by no more are the same (%(default)s)',
    )
    add(
        '--copy',
        nargs='*',
        metavar='TOPIC',
        help='also copy these topics into the results; none named: all',
    )
    add(
        '--rotation',
        type=int,
        choices=TURNS,
        default=0,
        metavar='DEGREES',
        help='turn the images clockwise by 90, 180 or 270, so that heads point up',
    )
    add(
        '--annotations',
        action='store_true',
        help='also write foxglove_msgs/ImageAnnotations, which draw on the images in Foxglove',
    )
    add(
        '--table',
        choices=('csv', 'parquet'),
        default='csv',
        help='kind of the table (%(default)s); parquet needs pyarrow',
    )
    add(
        '--rerun',
        action='store_true',
        help='also write an .rrd for the Rerun viewer; needs rerun-sdk',
    )
    add('--report', action='store_true', help='also write report.html, a page to look at')
    add('--humble', action='store_true', help='write a metadata.yaml that Humble reads, too')
    add('--model', help='model description (default: the one of the package)')
    add(
        '-p',
        '--param',
        action='append',
        default=[],
        metavar='NAME:=VALUE',
        help='parameter of the pipeline, as the node has it; one of '
        + ', '.join(option.name for option in OPTIONS),
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        '-j',
        '--jobs',
        type=int,
        metavar='N',
        help='recordings at once (default: one for each core)',
    )
    where.add_argument('--cluster', metavar='ADDRESS', help='scheduler of a Dask cluster')
    return parser, parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Process what the command line asks for; exit code 1 when something was not processed."""
    parser, arguments = parse_arguments(argv)
    if arguments.output is None:
        arguments.output = Path('comparison' if arguments.compare else 'emotions')
    if arguments.compare:
        sys.exit(compare_runs(parser, arguments))
    if not arguments.recordings:
        parser.error('IN is missing: a bag, a video, or a folder of them')
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')  # paths may be of another encoding
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        recordings = find_recordings(arguments.recordings, leave_out=arguments.output)
        if arguments.list:
            sys.exit(list_topics(recordings))
        settings = settings_of(arguments)
        # What is wrong with options and model shows now, and not once for each recording.
        EmotionPipeline(settings.model, **settings.options)
    except (BagError, ValueError, OSError) as error:
        parser.error(str(error))
    try:
        failed = run(recordings, settings, arguments)
    except OSError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print('\nstopped; the same command goes on from there', file=sys.stderr)
        sys.exit(130)
    sys.exit(1 if failed else 0)


def compare_runs(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Compare two bags of results; return 1 where they differ, otherwise 0."""
    a, b = arguments.compare
    try:
        if len(arguments.recordings) > 1:
            raise BagError(f'--compare is about one recording, not {len(arguments.recordings)}')
        recording = find_recording(arguments.recordings[0]) if arguments.recordings else None
        comparison = compare(a, b, arguments.tolerance)
        write_comparison(
            a,
            b,
            comparison,
            arguments.output,
            recording,
            _topics(arguments),
        )
    except (BagError, OSError) as error:
        parser.error(str(error))
    print('\n'.join(in_words(comparison)))
    print(f'{arguments.output}: comparison.html, comparison.json')
    return 0 if comparison.same else 1


def _topics(arguments: argparse.Namespace) -> dict[str, str]:
    named = [item.rpartition(':=') for item in arguments.topic]
    return {topic: camera for camera, _, topic in named}


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Turn the command line into settings.

    :raises ValueError: for a parameter that does not exist or has a wrong value, and where a
        library is missing that what is asked for needs.
    """
    here = not arguments.cluster  # the workers of a cluster have libraries of their own
    for wanted, option, library, extra in (
        (here and arguments.table == 'parquet', '--table parquet', 'pyarrow', 'parquet'),
        (here and arguments.rerun, '--rerun', 'rerun', 'rerun'),
        (arguments.cluster, '--cluster', 'distributed', 'cluster'),
    ):
        try:
            if wanted:
                import_module(library)
        except ImportError as error:
            raise ValueError(f'{option} needs the extra [{extra}]: {error}') from error
    copied = arguments.copy if arguments.copy is None else tuple(arguments.copy) or None
    return Settings(
        # Workers elsewhere have another working folder.
        output=arguments.output.resolve(),
        topics=_topics(arguments),
        copied=() if arguments.copy is None else copied,
        rotation=arguments.rotation,
        annotations=arguments.annotations,
        table=arguments.table,
        rerun=arguments.rerun,
        report=arguments.report,
        humble=arguments.humble,
        model=arguments.model and str(Path(arguments.model).resolve()),
        options=dict(map(parameter, arguments.param)),
    )


def parameter(text: str) -> tuple[str, Any]:
    """Read NAME:=VALUE in the type that the parameter has.

    :raises ValueError: when it is no such thing.
    """
    name, _, value = text.partition(':=')
    kinds: dict[str, type[Any]] = {option.name: type(option.default) for option in OPTIONS}
    if name not in kinds:
        raise ValueError(f'-p {text}: no parameter {name}; there are {", ".join(kinds)}')
    if kinds[name] is bool:
        if value not in ('true', 'false'):
            raise ValueError(f'-p {text}: true or false is expected')
        return name, value == 'true'
    try:
        return name, kinds[name](value)
    except ValueError as error:
        raise ValueError(f'-p {text}: {error}') from error


def list_topics(recordings: list[Recording]) -> str | None:
    """Print what topics the bags have; return what does not open, or None."""
    problems = []
    for recording in recordings:
        print(f'{recording.name}:')
        if recording.is_video:
            print('  a video')
            continue
        try:
            if recording.problem:
                raise BagError(recording.problem)
            with Bag(recording.paths) as bag:
                print(topic_table(bag))
                if bag.damage:
                    print(f'  {bag.damage}')
        except BagError as error:
            problems.append(str(error))
    return '\n'.join(problems) or None


def run(recordings: list[Recording], settings: Settings, arguments: argparse.Namespace) -> int:
    """Process the recordings, show how far it is, and sum up; return the number of failures."""
    lock = Lock()
    outcomes = []
    # Without a terminal there is one line for each recording, and no bar.
    with tqdm(unit=' images', total=0, smoothing=0.05, disable=None) as bar:

        def progress(more: int, total: int) -> None:
            with lock:
                bar.total = (bar.total or 0) + (total or 0)
                bar.update(more)

        for outcome in _outcomes(recordings, settings, arguments, progress):
            outcomes.append(outcome)
            bar.clear()
            print(line(outcome, settings), flush=True)
    failed = [outcome.name for outcome in outcomes if outcome.error]
    if len(recordings) > 1:
        before = sum(outcome.done_before and not outcome.error for outcome in outcomes)
        print(
            f'{len(outcomes)} recordings: {len(outcomes) - before - len(failed)} processed, '
            f'{before} done before, {len(failed)} with errors'
            + (f': {", ".join(failed)}' if failed else '')
        )
    return len(failed)


def _outcomes(
    recordings: list[Recording],
    settings: Settings,
    arguments: argparse.Namespace,
    progress: Callable[[int, int], None],
) -> Iterable[Outcome]:
    if arguments.cluster:
        return process_on_cluster(recordings, settings, arguments.cluster)
    if len(recordings) > 1:
        jobs = arguments.jobs or len(os.sched_getaffinity(0))
        return process_here(recordings, settings, jobs, progress)
    return [process(recordings[0], settings, progress)]


def line(outcome: Outcome, settings: Settings) -> str:
    """Say in one line what came of a recording, and below it what is to be known."""
    if outcome.done_before:
        what = 'done before'
    elif outcome.images:
        what = (
            f'{outcome.images} images in {outcome.seconds:.1f} s '
            f'({outcome.images / outcome.seconds:.0f} a second) -> '
            f'{settings.output / outcome.name}'
        )
    else:
        what = 'nothing'
    notes = [f'  warning: {warning}' for warning in outcome.warnings]
    notes += [f'  ERROR: {outcome.error}'] if outcome.error else []
    return '\n'.join([f'{outcome.name}: {what}', *notes])


if __name__ == '__main__':
    main()
