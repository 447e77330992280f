"""Test what a recording shows: `python -m emotion_perception.expect --help`."""

import argparse
from collections.abc import Sequence
from functools import partial
import sys
from typing import Any

try:
    from emotion_perception.offline.expectations import emotions_in
    from emotion_perception.offline.storage import BagError
except ModuleNotFoundError as error:
    sys.exit(
        f'{error.name} is missing: pip install emotion_perception[bags], or '
        'pip install -r requirements/bags.txt'
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Check what the command line expects; exit code 1, and why, when it is not so."""
    parser = argparse.ArgumentParser(
        prog='python -m emotion_perception.expect',
        description='Test what the people in a bag or video show. Times are seconds from its '
        'first image on.',
    )
    parser.add_argument('recording', metavar='IN', help='bag of images or of results, or video')
    parser.add_argument(
        '--shown',
        nargs=3,
        action='append',
        default=[],
        metavar=('EMOTION', 'START', 'END'),
        help='one face shows it in half of the images of that time',
    )
    parser.add_argument(
        '--absent',
        nargs='+',
        action='append',
        default=[],
        metavar='EMOTION',
        help='EMOTION [START END]: no face shows it',
    )
    parser.add_argument(
        '--share',
        type=float,
        help='share of the images that must show it (.5), or of those of a face that may (0)',
    )
    parser.add_argument('--topic', default='', help='image topic, where there are several')
    arguments = parser.parse_args(argv)
    options = {} if arguments.share is None else {'share': arguments.share}
    topics = {arguments.topic: ''} if arguments.topic else {}
    if any(len(words) not in (1, 3) for words in arguments.absent):
        parser.error('--absent takes EMOTION, or EMOTION START END')
    if not arguments.shown and not arguments.absent:
        parser.error('nothing is expected: give --shown or --absent')
    failures = 0
    try:
        emotions = emotions_in(arguments.recording, topics=topics)
        expected = [partial(emotions.assert_shown, *words) for words in _read(arguments.shown)]
        expected += [partial(emotions.assert_absent, *words) for words in _read(arguments.absent)]
        for expectation in expected:
            try:
                expectation(**options)
            except AssertionError as failure:
                print(failure, file=sys.stderr)
                failures += 1
    except (BagError, ValueError, OSError) as error:
        sys.exit(str(error))
    sys.exit(1 if failures else 0)


def _read(expectations: list[list[str]]) -> list[tuple[Any, ...]]:
    return [(label, *map(float, times)) for label, *times in expectations]


if __name__ == '__main__':
    main()
