"""The subscription to one camera's images, such that every publisher is received."""

from collections.abc import Callable
from functools import partial

from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, qos_policy_name_from_kind, QoSProfile, ReliabilityPolicy

from emotion_perception.nodes.diagnostics import Diagnostics
from emotion_perception.nodes.messages import ImageMessage, ImageTransport

#: Best effort and volatile receive from every publisher. Depth 1: the newest image, never a queue.
EVERY_PUBLISHER = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.VOLATILE
)

#: What a publisher keeps for those who come later (latched) is sent to these alone.
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def all_latched(node: Node, topic: str) -> bool:
    """Tell whether a topic has publishers, and all keep what they send for those who come later.

    :param topic: after remapping.
    """
    offered = [publisher.qos_profile for publisher in node.get_publishers_info_by_topic(topic)]
    return bool(offered) and all(
        qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        and qos.reliability == ReliabilityPolicy.RELIABLE
        for qos in offered
    )


class CameraSubscription:
    """Receives images while it lives, with a quality of service that suits all publishers."""

    def __init__(
        self,
        node: Node,
        camera: str,
        transport: ImageTransport,
        topic: str,
        on_image: Callable[[str, ImageMessage], None],
        diagnostics: Diagnostics,
    ) -> None:
        """Subscribe.

        :param topic: before remapping.
        :param on_image: takes the camera's name and the message.
        """
        self._node = node
        self._camera = camera
        self._diagnostics = diagnostics
        self._arguments = transport.message_type, topic, partial(on_image, camera)
        self._events = SubscriptionEventCallbacks(
            message_lost=partial(diagnostics.lost, camera), incompatible_qos=self._on_incompatible
        )
        self._qos = EVERY_PUBLISHER
        self._subscribe()

    @property
    def topic(self) -> str:
        """The topic that is subscribed to, after remapping."""
        name: str = self._subscription.topic_name
        return name

    def destroy(self) -> None:
        """Receive no more."""
        self._node.destroy_subscription(self._subscription)

    def adapt(self) -> None:
        """Ask for what publishers have kept where all of them keep it."""
        qos = LATCHED if all_latched(self._node, self.topic) else EVERY_PUBLISHER
        if qos is not self._qos:
            self._qos = qos
            self.destroy()
            self._subscribe()

    def _subscribe(self) -> None:
        self._diagnostics.incompatible(self._camera, '')
        self._subscription = self._node.create_subscription(
            *self._arguments, self._qos, event_callbacks=self._events
        )

    def _on_incompatible(self, event: QoSRequestedIncompatibleQoSInfo) -> None:
        self._diagnostics.incompatible(
            self._camera, qos_policy_name_from_kind(event.last_policy_kind)
        )
