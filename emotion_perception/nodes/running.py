"""The life of a node's process, from its parameters to its exit code."""
from contextlib import suppress
import sys

import rclpy
from rclpy.exceptions import NotInitializedException, ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger


def run(name, node_type):
    """Run a node until SIGINT, SIGTERM or the end of its work.

    Exit code 1, with the reason in the log, when the node refuses to start.

    :param node_type: makes the node, which has ``running()``, the context in which it works, and
        ``finished``, a future that is done when there is no more to do.
    """
    with suppress(KeyboardInterrupt, ExternalShutdownException), rclpy.init():
        try:
            try:
                node = node_type()
            except (ParameterException, ValueError, OSError) as error:
                get_logger(name).fatal(str(error))
                sys.exit(1)
            with node.running():
                rclpy.spin_until_future_complete(node, node.finished)
        except (NotInitializedException, rclpy_implementation.RCLError):
            # A signal shuts ROS down at once, also while a callback is about to publish.
            if rclpy.ok():
                raise
