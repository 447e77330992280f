"""Plays the images of a bag, with /clock, where there is no `ros2 bag play`."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import threading
from time import monotonic
import traceback

from builtin_interfaces.msg import Time
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from emotion_perception.nodes import parameters
from emotion_perception.nodes.running import run
from emotion_perception.nodes.video_publisher import SETTLING
from emotion_perception.offline.images import image_topics, topic_table
from emotion_perception.offline.recordings import Bag, find_recordings
from emotion_perception.offline.storage import BagError, Topic
from emotion_perception.options import Option

# fmt: off
OPTIONS = (
    Option('bag', '', 'Bag to play: its folder, or a file of it'),
    Option('rate', 1.0, 'Seconds of the bag played a second', 0.01, 100.0, live=True),
    Option('paused', False, 'Whether the bag and its clock stand still', live=True),
    Option('loop', False, 'Whether the bag starts again at its end'),
    Option('start_offset', 0.0, 'Time of the bag to leave out at its beginning', 0.0, 1e6,
           unit='s'),
    Option('wait_for_subscriber', False,
           'Whether to begin only when somebody subscribes to an image topic'),
)
# fmt: on

#: Seconds between two messages on /clock.
_CLOCK_PERIOD = 0.01


class BagPlayer(Node):
    """Publishes all image topics of a bag as they are, each with the QoS that it had, and /clock.

    The times of /clock are the log times of the bag, as with ``ros2 bag play --clock``.

    :raises ParameterException: when a parameter is out of range.
    :raises ValueError: when the bag cannot be read, or has no images.
    """

    def __init__(self) -> None:
        super().__init__('bag_player')
        self._values = parameters.declare(self, OPTIONS)
        parameters.warn_of_unknown(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        #: Done at the end of the bag, or with why it cannot be played to its end.
        self.finished = Future()
        self._stopped = threading.Event()
        self._bag = _open(self._values['bag'])
        if self._bag.damage:
            self.get_logger().warning(self._bag.damage)
        self._clock_output = self.create_publisher(Clock, '/clock', 10)
        self._outputs: dict[str, Publisher] = {}
        for topic in image_topics(self._bag):
            kind = CompressedImage if topic.type.endswith('CompressedImage') else Image
            self._outputs[topic.name] = self.create_publisher(kind, topic.name, qos_of(topic))
            self.get_logger().info(f'Plays {topic.name}: {topic.count} images')
        self._now = 0  # time of the bag [ns]
        self._ticked = self._told = 0.0  # when it was advanced, and published, last [s]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Play in a thread of its own, until the end or the end of this context."""
        player = threading.Thread(target=self._play, name='player')
        player.start()
        try:
            yield
        finally:
            self._stopped.set()
            player.join()
            self._bag.close()

    def _on_set_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        self._values |= {parameter.name: parameter.value for parameter in changed}
        return SetParametersResult(successful=True)

    def _play(self) -> None:
        try:
            if self._values['wait_for_subscriber']:
                self._await_subscribers()
            count = self._play_once()
            while self._values['loop'] and not self._stopped.is_set():
                count += self._play_once()
        except BagError as error:
            self.finished.set_exception(error)
        except Exception as error:  # whatever it is: the process must not wait for ever
            if not self.context.ok():
                return  # a signal has shut ROS down, and publishing fails
            self.get_logger().error(''.join(traceback.format_exception(error)))
            self.finished.set_exception(
                RuntimeError(f'unexpected error, {type(error).__name__}: {error}')
            )
        else:
            self.get_logger().info(f'Played {count} images')
            self.finished.set_result(None)

    def _await_subscribers(self) -> None:
        """Wait for a subscriber, and until for SETTLING no other one comes."""
        self.get_logger().info('Waits until somebody subscribes to ' + ' or '.join(self._outputs))
        counts: dict[str, int] = {}
        changed = monotonic()
        while not self._stopped.wait(0.05):
            before = counts
            counts = {
                topic: publisher.get_subscription_count()
                for topic, publisher in self._outputs.items()
            }
            if counts != before:
                changed = monotonic()
            if any(counts.values()) and monotonic() - changed > SETTLING:
                if unheard := [topic for topic, count in counts.items() if not count]:
                    self.get_logger().info(f'Nobody subscribes to {", ".join(unheard)}')
                return

    def _play_once(self) -> int:
        """Play from the start to the end; return how many images that were.

        :raises BagError: where the bag is damaged, or has no image after start_offset.
        """
        offset = round(self._values['start_offset'] * 1e9)
        count = length = 0
        first: int | None = None
        for message in self._bag.messages(self._outputs):
            if first is None:
                first = message.log_time
                self._now, self._ticked = first + offset, monotonic()
            length = message.log_time - first
            if length >= offset and self._wait_until(message.log_time):
                self._outputs[message.topic].publish(bytes(message.data))
                count += 1
            if self._stopped.is_set():
                return count
        if not count:
            raise BagError(
                f'{self._values["bag"]} lasts {length * 1e-9:.3f} s from its first image to its '
                f'last: a start_offset of {offset * 1e-9:g} s leaves none to play'
            )
        return count

    def _wait_until(self, time: int) -> bool:
        """Wait for a time of the bag [ns]; return False when the player was stopped before."""
        while not self._stopped.is_set():
            now = monotonic()
            if not self._values['paused']:
                self._now += round((now - self._ticked) * self._values['rate'] * 1e9)
            self._ticked = now
            due = self._now >= time
            if due or now - self._told >= _CLOCK_PERIOD:
                sec, nanosec = divmod(self._now, 10**9)
                self._clock_output.publish(Clock(clock=Time(sec=sec, nanosec=nanosec)))
                self._told = now
            if due:
                return True
            self._stopped.wait(min((time - self._now) * 1e-9 / self._values['rate'], _CLOCK_PERIOD))
        return False


def _open(path: str) -> Bag:
    if not path:
        raise ValueError('the parameter bag is not set: expected the folder or file of a bag')
    try:
        found = find_recordings([Path(os.path.expanduser(path))])
        if len(found) != 1 or found[0].is_video:
            raise BagError(f'{path} is not one bag: ' + ', '.join(item.name for item in found))
        if found[0].problem:
            raise BagError(found[0].problem)
        bag = Bag(found[0].paths)
        if not image_topics(bag):
            raise BagError(f'{path} has no images; there are:\n{topic_table(bag)}')
    except BagError as error:
        raise ValueError(str(error)) from error
    return bag


def qos_of(topic: Topic) -> QoSProfile:
    """Give the QoS that a topic was recorded with; that of sensors where the bag does not tell."""
    if not topic.offered_qos:
        return qos_profile_sensor_data
    offered = topic.offered_qos[0]
    return QoSProfile(
        depth=max(1, offered.depth),
        reliability=ReliabilityPolicy.BEST_EFFORT
        if offered.reliability.name == 'BEST_EFFORT'
        else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL
        if offered.durability.name == 'TRANSIENT_LOCAL'
        else DurabilityPolicy.VOLATILE,
    )


def main() -> None:
    """Play until the end of the bag, SIGINT or SIGTERM."""
    run('bag_player', BagPlayer)


if __name__ == '__main__':
    main()
