"""A robot around one emotion node, for tests: cameras, and ears for what the node says."""
from contextlib import contextmanager
import signal
import subprocess
import sys
from time import monotonic

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from emotion_perception.msg import EmotionArray
from emotion_perception.nodes.messages import image_from_bgr
import numpy as np
import pytest
import rclpy
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header

MAIN = 'from emotion_perception.nodes.emotion_node import main; main()'
LIMIT = 60.0  # seconds after which a test gives up; nothing is judged by its duration

EMPTY = np.full((120, 160, 3), 90, np.uint8)


class Robot:
    """Cameras and a listener around one emotion node."""

    def __init__(self, name, process, log, image_type=Image, topics=('image',)):
        self.process, self._log, self._stamp = process, log, 0
        self.node = rclpy.create_node(f'robot_of_{name}')
        self.cameras = {topic: self.node.create_publisher(
            image_type, topic, qos_profile_sensor_data) for topic in topics}
        self.results, self.reports = [], []
        self.node.create_subscription(
            EmotionArray, f'/{name}/emotions', self.results.append, 100)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_report, 10)
        self.parameters = AsyncParameterClient(self.node, name)
        self.name = name

    def _on_report(self, message):
        status = [s for s in message.status if s.name.startswith(f'{self.name}: ')]
        if status:
            self.reports.append(message)

    def log(self):
        return self._log.read_text()

    def wait_for(self, condition):
        end = monotonic() + LIMIT
        while not (result := condition()):
            if self.process.poll() is not None:
                pytest.fail(f'node ended with {self.process.returncode}:\n{self.log()}')
            if monotonic() > end:
                pytest.fail(f'waited for nothing; the node says:\n{self.log()}')
            rclpy.spin_once(self.node, timeout_sec=0.05)
        return result

    def header(self):
        self._stamp += 33_000_000
        return Header(stamp=Time(sec=self._stamp // 10**9, nanosec=self._stamp % 10**9),
                      frame_id='eye')

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
        result, = self.results_of(sent)
        return sent, result

    def warm_up(self, image=EMPTY):
        """Publish until the first result shows that all is connected."""
        self.wait_for(lambda: all(camera.get_subscription_count()
                                  for camera in self.cameras.values()))
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

    def spin(self, seconds):
        end = monotonic() + seconds
        while monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.05)

    def next_report(self, condition=lambda status: True):
        """Wait for a report after now that meets the condition: dict task -> status."""
        self.reports.clear()

        def report():
            for message in self.reports:
                status = {s.name.removeprefix(f'{self.name}: '): s for s in message.status}
                if condition(status):
                    return status
        return self.wait_for(report)

    def wait_done(self, future):
        self.wait_for(future.done)
        return future.result()


def values(status):
    return {value.key: value.value for value in status.values}


def count(status, what):
    return int(values(status)[what])


@contextmanager
def emotion_node(folder, name, *arguments, code=MAIN, **robot):
    log = folder / f'{name}.log'
    with log.open('w') as stream:
        process = subprocess.Popen(
            [sys.executable, '-c', code, '--ros-args', '-r', f'__node:={name}', *arguments],
            cwd=folder, stdout=stream, stderr=subprocess.STDOUT)
    robot = Robot(name, process, log, **robot)
    try:
        yield robot
    finally:
        robot.node.destroy_node()
        # Killed, it would leave its shared memory behind.
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT)
