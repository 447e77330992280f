"""What an executable does before its node is imported. Only the standard library is used here."""

from importlib import import_module
from importlib.util import find_spec
import os
import signal
import sys
from types import FrameType


def start(node: str) -> None:
    """Import the module of a node and run its main().

    Whatever stops that before ROS has started is told in one line, not in a traceback: a signal
    while modules are imported, and modules that are missing. Exit code 0 after a signal, else 1.
    """
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    if find_spec('emotion_perception.msg') is None:
        folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        sys.exit(
            f'{node}: {folder} is the source folder, which lacks the built messages: take it '
            'out of PYTHONPATH, or build the package and source its install/setup.bash'
        )
    try:
        module = import_module(f'emotion_perception.nodes.{node}')
    except ImportError as error:
        sys.exit(
            f'{node}: {error}: is the environment sourced, and all of requirements.txt '
            f'installed for {sys.executable}?'
        )
    for number, handler in before.items():
        signal.signal(number, handler)
    module.main()


def _stop(number: int, _: FrameType | None) -> None:
    # At once: an exception could be taken for a fault by whatever is being imported.
    print(f'stopped by {signal.Signals(number).name} while starting', file=sys.stderr, flush=True)
    os._exit(0)
