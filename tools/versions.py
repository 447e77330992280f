"""Say how the installed libraries differ from those with which all tests passed last.

    python tools/versions.py            compare with requirements/tested.txt
    python tools/versions.py --write    put the installed ones there

Run with the environment's own interpreter.
"""

from importlib.metadata import distributions
from pathlib import Path
import platform
import sys

TESTED = Path(__file__).resolve().parent.parent / 'requirements' / 'tested.txt'


def installed() -> dict[str, str]:
    """Give the version of each library of this environment, and of Python."""
    found = {
        (library.name or '').lower().replace('_', '-'): library.version
        for library in distributions()
    }
    found.pop('emotion-perception', None)
    return {'python': platform.python_version(), **found}


def tested() -> dict[str, str]:
    """Give the versions that stand in the file."""
    return dict(line.split('==') for line in TESTED.read_text().splitlines() if '==' in line)


def difference(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Give a line for each library that is another one."""
    return [
        f'{name}: {old.get(name, "-")} -> {new.get(name, "-")}'
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def main() -> None:
    """Print the differences, or write the file."""
    if '--write' in sys.argv:
        lines = [f'{name}=={version}\n' for name, version in sorted(installed().items())]
        TESTED.write_text(
            '# With these all tests passed last. Written by make test-latest.\n' + ''.join(lines)
        )
        return
    if not TESTED.exists():
        sys.exit(f'nothing to compare with: make test-latest writes {TESTED.name}')
    changed = difference(tested(), installed())
    print(
        f'{len(changed)} libraries differ from those with which all tests passed last'
        + ':' * bool(changed),
        *changed,
        sep='\n  ',
    )


if __name__ == '__main__':
    main()
