"""A camera's images, each brought together with the result that was computed from it."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from emotion_perception.images import BitDepth
from emotion_perception.msg import EmotionArray
from emotion_perception.nodes import messages
from emotion_perception.nodes.camera_subscription import all_latched
from emotion_perception.nodes.conditions import Problem, problem
from emotion_perception.nodes.messages import ImageMessage
from emotion_perception.nodes.mirror import Input, Mirror
from emotion_perception.nodes.status import PERIOD

Image = TypeVar('Image')
Result = TypeVar('Result')
Waiting = TypeVar('Waiting')

#: Images, and results, that wait for the other at most: half a second at 30 Hz. The result of an
#: image comes within some frames; most images of an overloaded node never have one.
WAITING = 15

#: Best effort receives from every publisher. Images may come in a burst while one is drawn.
EVERY_PUBLISHER = QoSProfile(depth=WAITING, reliability=ReliabilityPolicy.BEST_EFFORT)

#: As emotion_node has it: what publishers have kept for those who come later.
LATCHED = QoSProfile(
    depth=WAITING,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

#: Results in a row without their image after which the node says so.
UNMATCHED = 30


class StampPairs(Generic[Image, Result]):
    """Matches images and results by stamp, whichever comes first.

    :param limit: images, and results, that wait for the other at most; the oldest go first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._images: OrderedDict[int, Image] = OrderedDict()
        self._results: OrderedDict[int, Result] = OrderedDict()

    def add_image(self, stamp_ns: int, image: Image) -> Result | None:
        """Take an image; return the result that waited for it, if any."""
        result = self._results.pop(stamp_ns, None)
        if result is None:
            self._keep(self._images, stamp_ns, image)
        return result

    def add_result(self, stamp_ns: int, result: Result) -> Image | None:
        """Take a result; return the image that waited for it, if any."""
        image = self._images.pop(stamp_ns, None)
        if image is None:
            self._keep(self._results, stamp_ns, result)
        return image

    def _keep(self, waiting: OrderedDict[int, Waiting], stamp_ns: int, value: Waiting) -> None:
        waiting[stamp_ns] = value
        if len(waiting) > self._limit:
            waiting.popitem(last=False)


class MatchedImages(Input):
    """A subscription to a camera's images that calls on_match for each that has a result."""

    def __init__(
        self,
        node: Mirror,
        camera: str,
        on_match: Callable[[npt.NDArray[np.uint8], EmotionArray], None],
    ) -> None:
        """Prepare it.

        :param on_match: takes the image, uint8 [H,W,3] BGR, which it may draw on, and its result.
        """
        transport = messages.IMAGE_TRANSPORTS[node.image_transport]
        topic = node.image_topics[camera]
        super().__init__(node, transport.message_type, topic, self._on_image, EVERY_PUBLISHER)
        self._camera, self._topic = camera, node.resolve_topic_name(topic)
        self._to_bgr = transport.to_bgr
        self._depth = BitDepth()
        self._on_match = on_match
        self._pairs: StampPairs[ImageMessage, EmotionArray] = StampPairs(WAITING)
        self._unmatched = 0  # results in a row
        self._unusable, self._reason = 0, ''  # images since the last report, and why the newest
        # A latching publisher may come later.
        node.create_timer(PERIOD, self.adapt, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def adapt(self) -> None:
        """Subscribe or unsubscribe; ask for what publishers have kept where all keep it."""
        qos = LATCHED if all_latched(self._node, self._topic) else EVERY_PUBLISHER
        if qos is not self._qos:
            self._qos = qos
            self.unsubscribe()
        super().adapt()

    def add_result(self, result: EmotionArray) -> None:
        """Take a result; its image may have come or be on its way."""
        if not self.wanted():  # so that no image comes
            return
        stamp = messages.nanoseconds(result.header.stamp)
        self._unmatched += 1
        if (image := self._pairs.add_result(stamp, result)) is not None:
            self._match(image, result)

    def problems(self) -> Iterator[Problem]:
        """Tell what has been wrong since the last report."""
        if self._unmatched > UNMATCHED and self.wanted():
            yield problem('images_missing', count=self._unmatched, topic=self._topic)
        if self._unusable:
            yield problem('unusable', count=self._unusable, reason=self._reason)
            self._unusable = 0

    def _on_image(self, image: ImageMessage) -> None:
        stamp = messages.nanoseconds(image.header.stamp)
        if (result := self._pairs.add_image(stamp, image)) is not None:
            self._match(image, result)

    def _match(self, image: ImageMessage, result: EmotionArray) -> None:
        try:
            pixels = self._to_bgr(image, depth=self._depth).copy()
        except ValueError as error:  # of a second publisher with the same stamps
            self._unmatched = 0
            self._unusable += 1
            self._reason = f'camera {self._camera}: {error}'
            self._node.get_logger().warning(
                f'Camera {self._camera}: unusable image: {error}', throttle_duration_sec=1.0
            )
            return
        # With stamps that are all zero, and a camera that was started again with another size.
        if pixels.shape[:2] != (result.image_height, result.image_width):
            return
        self._unmatched = 0
        self._on_match(pixels, result)
