"""What the nodes that show the results in another form have in common.

A mirror reads the topic emotion_node/emotions, and works only while somebody looks at it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.task import Future

from emotion_perception.emotions import check_faces
from emotion_perception.msg import EmotionArray
from emotion_perception.nodes import parameters, status
from emotion_perception.nodes.conditions import Problem, problem
from emotion_perception.nodes.messages import EMOTIONS_TOPIC
from emotion_perception.options import Option


class Input:
    """A subscription that exists only while one of its outputs has a subscriber."""

    def __init__(
        self,
        node: 'Mirror',
        message_type: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile,
    ) -> None:
        """Prepare it; the arguments are those of ``Node.create_subscription``."""
        self._node = node
        self._arguments = message_type, topic, callback
        self._qos = qos
        self.newest = monotonic()  #: when the newest message came, or waiting began [s]
        self._subscription: Subscription | None = None
        self.outputs: set[Publisher] = set()
        node.inputs.append(self)

    def wanted(self) -> bool:
        """Tell whether somebody looks at one of the outputs."""
        return any(output.get_subscription_count() for output in self.outputs)

    def adapt(self) -> None:
        """Subscribe or unsubscribe, as the outputs have it now."""
        wanted = self.wanted()
        if wanted and self._subscription is None:
            self._subscription = self._node.create_subscription(*self._arguments, self._qos)
            self.newest = monotonic()
        elif not wanted:
            self.unsubscribe()

    def problems(self) -> Iterator[Problem]:
        """Tell what has been wrong since the last report."""
        yield from ()

    def unsubscribe(self) -> None:
        """Receive no more, until :meth:`adapt`."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None


class Mirror(Node):
    """Hands the results of the cameras it knows to on_emotions, while somebody looks.

    It takes the emotion node's own parameters image_topics, camera_names and image_transport, so
    that both can be started with one parameter file.

    :raises ValueError: when camera names and image topics do not match, or a topic can be none.
    """

    def __init__(self, name: str, options: tuple[Option, ...] = ()) -> None:
        super().__init__(name)
        #: Every Input there is.
        self.inputs: list[Input] = []
        #: Values of the parameters, by name: of CAMERA_OPTIONS, and of options.
        self.values = values = parameters.declare(self, (*parameters.CAMERA_OPTIONS, *options))
        parameters.warn_of_unknown(self)
        #: Image topic of each camera to subscribe to, with the suffix of its transport.
        self.image_topics = parameters.image_topics(self, values)
        self.image_transport: str = values['image_transport']
        #: What stands for each camera in topics.
        self.tokens = {camera: topic_token(camera) for camera in self.image_topics}
        if len(set(self.tokens.values())) < len(self.tokens):
            raise ValueError(
                f'camera_names {list(self.tokens)} make topics '
                f'{list(self.tokens.values())}, expected all different'
            )
        #: Never done: a mirror has no end of its own.
        self.finished = Future()
        self.emotions = Input(
            self, EmotionArray, EMOTIONS_TOPIC, self._on_emotions, QoSProfile(depth=10)
        )
        self._counts: Counter[str] = Counter()  # of what came, since the start
        self._reported: Counter[str] = Counter()  # the same, at the last report
        self._unusable = ''  # why the newest unusable result is that
        self._strangers: set[str] = set()  # since the last report
        self._status = status.StatusPublisher(self)
        self.create_timer(
            status.PERIOD, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Do all work in callbacks."""
        yield

    def create_output(
        self, message_type: type[Any], topic: str, inputs: Iterable[Input]
    ) -> Publisher:
        """Make a publisher whose subscribers turn these inputs on.

        Reliable, so that RViz and other tools receive it as they come; of depth 1, since only the
        newest is of interest.
        """
        inputs = tuple(inputs)

        def adapt(_: object) -> None:
            for feed in inputs:
                feed.adapt()

        publisher = self.create_publisher(
            message_type, topic, 1, event_callbacks=PublisherEventCallbacks(matched=adapt)
        )
        for feed in inputs:
            feed.outputs.add(publisher)
        return publisher

    def on_emotions(self, message: EmotionArray) -> None:
        """Take one result of a camera in image_topics; it has passed check_faces."""
        raise NotImplementedError

    def _on_emotions(self, message: EmotionArray) -> None:
        try:
            check_faces((message.image_height, message.image_width), message.faces)
        except ValueError as error:
            self._counts['unusable results'] += 1
            self._unusable = f'camera {message.camera}: {error}'
            self.get_logger().warning(
                f'Camera {message.camera}: unusable result: {error}', throttle_duration_sec=1.0
            )
            return
        self.emotions.newest = monotonic()
        self._counts['results'] += 1
        if message.camera in self.image_topics:
            self.on_emotions(message)
        else:
            self._strangers.add(message.camera)

    def _report(self) -> None:
        looked_at = self.emotions.wanted()
        new = self._counts - self._reported
        self._reported = self._counts.copy()
        self._status.report(
            'output',
            self._problems(looked_at, new['unusable results']),
            f'{new["results"] / status.PERIOD:.0f} results/s' if looked_at else 'nobody looks',
            {
                'topic': self.resolve_topic_name(EMOTIONS_TOPIC),
                **{name: self._counts[name] for name in ('results', 'unusable results')},
            },
            arrived=new['results'] > 0,
        )

    def _problems(self, looked_at: bool, unusable: int) -> Iterator[Problem]:
        if looked_at:
            topic = self.resolve_topic_name(EMOTIONS_TOPIC)
            yield from status.silence(self, topic, self.emotions.newest)
        if unusable:
            yield problem('unusable_results', count=unusable, reason=self._unusable)
        if self._strangers:
            yield problem('unknown_camera', cameras=', '.join(sorted(self._strangers)))
            self._strangers.clear()
        for feed in self.inputs:
            yield from feed.problems()


def topic_token(name: str) -> str:
    """Make a camera's name a part of a topic: what a topic cannot hold becomes its hex code."""
    token = ''.join(c if c.isascii() and (c.isalnum() or c == '_') else f'{ord(c):x}' for c in name)
    return token if token[:1].isalpha() else f'camera_{token}'
