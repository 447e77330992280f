"""The life of a node's process, from its parameters to its exit code."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
import re
import signal
import sys
from time import sleep
from typing import Any, NoReturn, Protocol

import rclpy
from rclpy.exceptions import NameValidationException, NotInitializedException, ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger
from rclpy.task import Future
from rclpy.utilities import remove_ros_args

#: What stops ROS from starting, by a pattern of rcl's message, and what would be right.
START_ERRORS = {
    'log(ging)? directory': 'set ROS_LOG_DIR to a folder that can be written',
    'Sequence should be of same type': 'expected lists of one type, such as [0, 180] or [a, b]',
    'params.file': 'expected a YAML file of the form "/**: {ros__parameters: {NAME: VALUE}}"',
    'parameter override': 'expected -p NAME:=VALUE',
    'remap rule': 'expected -r FROM:=TO, of letters, digits, _ and /',
    'namespace': 'expected -r __ns:=/NAME or /NAME/NAME',
    'log level': 'expected debug, info, warn, error or fatal',
    'ROS_DOMAIN_ID|domain id': 'expected a number of 0 to 232 in ROS_DOMAIN_ID',
    'surrogates': 'expected UTF-8 arguments; set LC_ALL=C.UTF-8, or put them into a parameter file',
}

#: Seconds that the middleware gets to take down its connections; a busy machine needs some.
END_LIMIT = 10

#: Seconds after a signal within which ROS counts as shut down.
SHUTDOWN_LIMIT = 0.2


class WorkingNode(Protocol):
    """A node whose work has an end."""

    #: Done when there is no more to do; its exception is why the node cannot go on.
    finished: Future

    def running(self) -> AbstractContextManager[None]:
        """Give the context in which it works."""


@contextmanager
def initialised(**options: Any) -> Iterator[None]:
    """Keep ROS initialised within this context.

    What ``rclpy.init`` returns does the same, but not yet in Jazzy. Where ROS does not start, the
    process ends with exit code 1, and with the reason in one line.

    :param options: of ``rclpy.init``.
    """
    try:
        rclpy.init(**options)
    except (RuntimeError, ValueError) as error:  # as in run()
        sys.exit(start_error(error))
    try:
        yield
    finally:
        rclpy.try_shutdown()


@contextmanager
def end_in_time() -> Iterator[None]:
    """See to it that the process ends soon after this context, by SIGALRM if need be.

    With the transport LARGE_DATA, which is not ours but may be the user's, Fast DDS 3.2 sometimes
    waits for ever on its own mutex while it takes down its TCP channels
    (TCPChannelResourceBasic::disconnect), and Python waits with it, so that only the kernel can
    end that. No work is left by then.
    """
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(END_LIMIT)


def give_up(name: str, error: object) -> NoReturn:
    """Say why a node ends, and end with exit code 1."""
    get_logger(name).fatal(str(error))
    sys.exit(1)


def start_error(error: Exception) -> str:
    """Put why ROS does not start into one line, with what would be right."""
    # rcl appends the places in its source; what it says of one may end with a line's end.
    said = ' '.join(re.sub(r',? at /\S+:\d+', '', str(error)).split())
    right = next(
        (right for pattern, right in START_ERRORS.items() if re.search(pattern, said)),
        'see the arguments after --ros-args, and the variables ROS_* and RMW_*',
    )
    return f'ROS does not start: {said}: {right}'


def run(name: str, node_type: Callable[[], WorkingNode]) -> None:
    """Run a node until SIGINT, SIGTERM or the end of its work.

    Exit code 1, with the reason in the log, when the node refuses to start or cannot go on.

    :param node_type: makes the node.
    """
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        # As SIGINT has it: where ROS is shut down already, a second one would kill the process.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            rclpy.init()
        # RCLError is a RuntimeError; what is not UTF-8 is a ValueError.
        except (RuntimeError, ValueError) as error:
            give_up(name, start_error(error))
        if others := remove_ros_args(sys.argv)[1:]:
            get_logger(name).warning(
                f'Arguments that are not read: {" ".join(others)}: those for ROS follow --ros-args, '
                'such as --ros-args -p NAME:=VALUE'
            )
        try:
            with end_in_time():
                _run(name, node_type)
        except (NotInitializedException, RuntimeError):
            # A signal shuts ROS down at once, also while a callback is about to publish, and
            # breaks calls into rclpy, whose errors (RCLError, pybind11's) are RuntimeErrors.
            sleep(SHUTDOWN_LIMIT)
            if rclpy.ok():
                raise
        finally:
            rclpy.try_shutdown()
    # Ctrl-C comes twice under ros2 launch, from the terminal and from launch.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _run(name: str, node_type: Callable[[], WorkingNode]) -> None:
    # Before the node: a signal that meets a half-made executor leaves a traceback.
    executor = SingleThreadedExecutor()
    try:
        node = node_type()
    except (
        NameValidationException,
        ParameterException,
        ValueError,
        OSError,
        ModuleNotFoundError,
    ) as error:
        give_up(name, error)
    except rclpy_implementation.RCLError as error:
        sleep(SHUTDOWN_LIMIT)
        if not rclpy.ok():  # by a signal
            return
        give_up(name, start_error(error))
    with node.running():
        executor.add_node(node)
        executor.spin_until_future_complete(node.finished)
    if node.finished.done() and (reason := node.finished.exception()):
        give_up(name, reason)
