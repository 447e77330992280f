"""Processes that tests start, and waiting for what they do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import signal
import socket
import subprocess
from time import monotonic
from typing import Any

import pytest

LIMIT = 60.0  # seconds after which a test gives up; nothing is judged by its duration

_domains = []  # open as long as this process runs


def take_ros_domain() -> str:
    """Give a ROS domain that no other process of tests on this machine has; of 1 to 101."""
    for offset in range(101):
        number = 1 + (os.getpid() + offset) % 101
        place = socket.socket(socket.AF_UNIX)
        try:
            place.bind(f'\0emotion_perception tests in ROS domain {number}')
        except OSError:
            place.close()
        else:
            _domains.append(place)
            return str(number)
    raise RuntimeError('tests have all 101 ROS domains of this machine')


def wait_for(
    condition: Callable[[], Any],
    work: Callable[[], Any],
    process: subprocess.Popen | None = None,
    told: Callable[[], str] = lambda: '',
    limit: float = LIMIT,
) -> Any:
    """Do some work again and again until a condition holds; return what the condition gave.

    :param process: the test fails when it ends meanwhile.
    :param told: gives what is shown when the test fails, such as a log.
    """
    end = monotonic() + limit
    while not (result := condition()):
        if process is not None and process.poll() is not None:
            pytest.fail(f'the process ended with {process.returncode}:\n{told()}')
        if monotonic() > end:
            pytest.fail(f'waited for nothing:\n{told()}')
        work()
    return result


@contextmanager
def running(command: list, log: Path, **environment: str) -> Iterator[subprocess.Popen]:
    """Run a command in the folder of its log; end it as Ctrl-C does, and wait for that."""
    with log.open('a') as stream:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
    try:
        yield process
    finally:
        # Killed, a node would leave its shared memory behind.
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT)
