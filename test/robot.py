"""What stands around a node in tests: a node of the test's own; a robot with cameras and ears."""

from contextlib import contextmanager
import sys
from time import monotonic

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import rclpy
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_perception.msg import EmotionArray
from emotion_perception.nodes.messages import image_from_bgr
from processes import running, wait_for

MAIN = 'from emotion_perception.nodes.emotion_node import main; main()'
EMPTY = np.full((120, 160, 3), 90, np.uint8)


class Opposite:
    """A node of the test's own, opposite a process whose log it reads: it listens and waits."""

    def __init__(self, name, process, log):
        self.name, self.process, self._log, self._stamp = name, process, log, 0
        self.node = rclpy.create_node(f'opposite_{name}')

    def log(self):
        return self._log.read_text()

    def spin(self, seconds):
        end = monotonic() + seconds
        while monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.05)

    def wait_for(self, condition, work=None):
        """Listen, and do some work ten times a second, until the condition holds."""

        def listen():
            if work:
                work()
                self.spin(0.1)
            else:
                rclpy.spin_once(self.node, timeout_sec=0.05)

        return wait_for(condition, listen, self.process, self.log)

    def wait_done(self, future):
        self.wait_for(future.done)
        return future.result()


class Robot(Opposite):
    """Cameras and a listener around one emotion node."""

    def __init__(self, name, process, log, image_type=Image, topics=('image',)):
        super().__init__(name, process, log)
        self.cameras = {
            topic: self.node.create_publisher(image_type, topic, qos_profile_sensor_data)
            for topic in topics
        }
        self.results, self.reports = [], []
        self.node.create_subscription(EmotionArray, f'/{name}/emotions', self.results.append, 100)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_report, 10)
        self.parameters = AsyncParameterClient(self.node, name)

    def _on_report(self, message):
        status = [s for s in message.status if s.name.startswith(f'{self.name}: ')]
        if status:
            self.reports.append(message)

    def header(self):
        self._stamp += 33_000_000
        return Header(
            stamp=Time(sec=self._stamp // 10**9, nanosec=self._stamp % 10**9), frame_id='eye'
        )

    def send(self, image, topic='image', **fields):
        """Publish pixels (or a ready message) under the next stamp; return the message."""
        message = image_from_bgr(image, Header()) if isinstance(image, np.ndarray) else image
        for field, value in fields.items():
            setattr(message, field, value)
        message.header = self.header()
        self.cameras[topic].publish(message)
        return message

    def results_of(self, message):
        return [result for result in self.results if result.header.stamp == message.header.stamp]

    def process_image(self, image, topic='image', **fields):
        """Publish an image and wait for its one result."""
        sent = self.send(image, topic, **fields)
        self.wait_for(lambda: self.results_of(sent))
        (result,) = self.results_of(sent)
        return sent, result

    def warm_up(self, image=EMPTY):
        """Publish until the first result shows that all is connected."""
        self.wait_for(
            lambda: all(camera.get_subscription_count() for camera in self.cameras.values())
        )
        for topic in self.cameras:
            seen = len(self.results)

            def connected():
                self.send(image, topic)
                self.spin(0.3)
                return len(self.results) > seen

            self.wait_for(connected)
        self.spin(1.0)
        self.results.clear()
        return self

    def next_report(self, condition=lambda status: True):
        """Wait for a report after now that meets the condition: dict task -> status."""
        self.reports.clear()

        def report():
            for message in self.reports:
                status = {s.name.removeprefix(f'{self.name}: '): s for s in message.status}
                if condition(status):
                    return status

        return self.wait_for(report)


def values(status):
    return {value.key: value.value for value in status.values}


def count(status, what):
    return int(values(status)[what])


@contextmanager
def emotion_node(folder, name, *arguments, code=MAIN, **robot):
    log = folder / f'{name}.log'
    command = [sys.executable, '-c', code, '--ros-args', '-r', f'__node:={name}', *arguments]
    with running(command, log) as process:
        robot = Robot(name, process, log, **robot)
        try:
            yield robot
        finally:
            robot.node.destroy_node()
