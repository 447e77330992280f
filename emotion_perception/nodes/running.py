"""The life of a node's process, from its parameters to its exit code."""
from contextlib import contextmanager, suppress
import signal
import sys
from time import sleep

import rclpy
from rclpy.exceptions import (
    NameValidationException, NotInitializedException, ParameterException)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger

#: Seconds that the middleware gets to take down its connections.
END_LIMIT = 3

#: Seconds after a signal within which ROS counts as shut down.
SHUTDOWN_LIMIT = 0.2


@contextmanager
def initialised(**options):
    """Keep ROS initialised within this context.

    What ``rclpy.init`` returns does the same, but not yet in Jazzy.

    :param options: of ``rclpy.init``.
    """
    rclpy.init(**options)
    try:
        yield
    finally:
        rclpy.try_shutdown()


@contextmanager
def end_in_time():
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


def give_up(name, error):
    """Say why a node ends, and end with exit code 1."""
    get_logger(name).fatal(str(error))
    sys.exit(1)


def run(name, node_type):
    """Run a node until SIGINT, SIGTERM or the end of its work.

    Exit code 1, with the reason in the log, when the node refuses to start or cannot go on.

    :param node_type: makes the node, which has ``running()``, the context in which it works, and
        ``finished``, a future that is done when there is no more to do; its exception is why the
        node cannot go on.
    """
    with suppress(KeyboardInterrupt, ExternalShutdownException), initialised(), end_in_time():
        try:
            # Before the node: a signal that meets a half-made executor leaves a traceback.
            executor = SingleThreadedExecutor()
            try:
                node = node_type()
            except (NameValidationException, ParameterException, ValueError, OSError,
                    ModuleNotFoundError) as error:
                give_up(name, error)
            with node.running():
                executor.add_node(node)
                executor.spin_until_future_complete(node.finished)
            if node.finished.done() and (error := node.finished.exception()):
                give_up(name, error)
        except (NotInitializedException, RuntimeError):
            # A signal shuts ROS down at once, also while a callback is about to publish, and
            # breaks calls into rclpy, whose errors (RCLError, pybind11's) are RuntimeErrors.
            sleep(SHUTDOWN_LIMIT)
            if rclpy.ok():
                raise
    # Ctrl-C comes twice under ros2 launch, from the terminal and from launch.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
