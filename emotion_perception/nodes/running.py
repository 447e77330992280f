"""The life of a node's process, from its parameters to its exit code."""
from contextlib import contextmanager, suppress
import os
import sys
from threading import Timer

import rclpy
from rclpy.exceptions import NotInitializedException, ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger

#: Seconds that the middleware gets to take down its connections.
END_LIMIT = 3.0


@contextmanager
def end_in_time():
    """End the process soon after this context, whatever the middleware does.

    Fast DDS 3.2 sometimes waits for ever on its own mutex while it takes down the TCP channels
    that LARGE_DATA brings (TCPChannelResourceBasic::disconnect). No work is left by then.
    """
    code = 1
    try:
        yield
        code = 0
    except (KeyboardInterrupt, ExternalShutdownException):
        code = 0
        raise
    finally:
        timer = Timer(END_LIMIT, os._exit, [code])
        timer.daemon = True
        timer.start()


def run(name, node_type):
    """Run a node until SIGINT, SIGTERM or the end of its work.

    Exit code 1, with the reason in the log, when the node refuses to start.

    :param node_type: makes the node, which has ``running()``, the context in which it works, and
        ``finished``, a future that is done when there is no more to do.
    """
    with suppress(KeyboardInterrupt, ExternalShutdownException), rclpy.init(), end_in_time():
        try:
            # Before the node: a signal that meets a half-made executor leaves a traceback.
            executor = SingleThreadedExecutor()
            try:
                node = node_type()
            except (ParameterException, ValueError, OSError) as error:
                get_logger(name).fatal(str(error))
                sys.exit(1)
            with node.running():
                executor.add_node(node)
                executor.spin_until_future_complete(node.finished)
        except (NotInitializedException, rclpy_implementation.RCLError):
            # A signal shuts ROS down at once, also while a callback is about to publish.
            if rclpy.ok():
                raise
