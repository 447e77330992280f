"""Judges a camera by its counts: which conditions hold at a report."""

from collections.abc import Iterator, Sequence
from statistics import median
from time import monotonic

from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rclpy.utilities import get_rmw_implementation_identifier

from emotion_perception.nodes.camera_counts import CameraCounts
from emotion_perception.nodes.conditions import ERROR, Problem, problem, WARN
from emotion_perception.nodes.messages import IMAGE_TRANSPORTS
from emotion_perception.nodes.status import SILENCE
from emotion_perception.nodes.transport import cause_of_loss

#: Seconds by which no image is late: stamps that lie further off are another clock's.
OTHER_CLOCK = 60.0

#: Images of the last seconds from which on their loss is judged.
ENOUGH = 5


class Judge:
    """Finds the problems of cameras; asks the ROS graph for what it must know of publishers."""

    def __init__(self, node: Node, image_transport: str) -> None:
        """Prepare it.

        :param node: with the parameters that hold the thresholds.
        :param image_transport: one of IMAGE_TRANSPORTS.
        """
        self._node = node
        self._transport = image_transport
        #: Topic -> gids of its publishers when last there were any.
        self._publishers: dict[str, set[bytes]] = {}

    def problems(self, counts: CameraCounts, before: CameraCounts) -> list[Problem]:
        """Judge the time since the last report.

        :param counts: now.
        :param before: at the last report.
        """
        publishers = self._node.get_publishers_info_by_topic(counts.topic)
        found = [
            *self._silence(counts, publishers),
            *self._loss(counts, before, publishers),
            *self._new_publisher(counts, publishers),
            *self._clock(counts, before),
        ]
        for name, count, details in (
            ('internal_error', 'errors', {'error': counts.error}),
            ('restarted', 'restarts', {}),
            ('late_images', 'late', {}),
            ('resized', 'resizes', {}),
            ('gaps', 'gaps', {}),
            ('unusable', 'unusable', {'reason': counts.unusable_reason}),
            ('overload', 'overload', {'received': counts.received - before.received}),
        ):
            new = getattr(counts, count) - getattr(before, count)
            if new > 0:
                found.append(problem(name, count=new, **details))
        return found

    def _limit(self, name: str) -> float:
        limit: float = self._node.get_parameter(name).value
        return limit

    def _level(self, value: float, threshold: str) -> bytes | None:
        """Judge by the parameters <threshold>_error, where 0 stands for never, and _warn."""
        if 0 < self._limit(f'{threshold}_error') <= value:
            return ERROR
        return WARN if value >= self._limit(f'{threshold}_warn') else None

    def _silence(
        self, counts: CameraCounts, publishers: Sequence[TopicEndpointInfo]
    ) -> Iterator[Problem]:
        seconds = monotonic() - counts.newest
        if seconds <= SILENCE:
            return
        topic, expected = counts.topic, IMAGE_TRANSPORTS[self._transport].type_name
        types = {publisher.topic_type for publisher in publishers} - {expected}
        if not publishers:
            base = topic.removesuffix(IMAGE_TRANSPORTS[self._transport].suffix)
            others = {
                base + transport.suffix: name
                for name, transport in IMAGE_TRANSPORTS.items()
                if name != self._transport
            }
            other = next((other for other in others if self._node.count_publishers(other)), None)
            if other:
                yield problem('other_transport', topic=topic, other=other, transport=others[other])
            else:
                yield problem('publisher_gone' if counts.received else 'no_publisher', topic=topic)
        elif types:
            yield problem(
                'wrong_type', topic=topic, found=', '.join(sorted(types)), expected=expected
            )
        elif counts.incompatible:
            yield problem('incompatible_qos', topic=topic, policy=counts.incompatible)
        elif counts.received:
            yield problem('stopped', topic=topic, seconds=seconds)
        else:
            cause = self._cause(counts, publishers)
            yield problem('never_arrived', topic=topic, cause=cause.text, way_out=cause.way_out)

    def _loss(
        self, counts: CameraCounts, before: CameraCounts, publishers: Sequence[TopicEndpointInfo]
    ) -> Iterator[Problem]:
        reports = [*counts.window, (counts.received - before.received, counts.lost - before.lost)]
        received, lost = map(sum, zip(*reports))
        sent = received + lost
        level = self._level(lost / max(sent, 1), 'loss')
        if lost and sent >= ENOUGH and level:
            cause = self._cause(counts, publishers)
            yield problem(
                'lost',
                level,
                lost=lost,
                sent=sent,
                seconds=len(reports),
                cause=cause.text,
                way_out=cause.way_out,
            )

    def _cause(self, counts: CameraCounts, publishers: Sequence[TopicEndpointInfo]) -> Problem:
        # Bytes 2 and 3 of an endpoint's id are the machine's, as Fast DDS makes them.
        own = self._node.get_publishers_info_by_topic('/diagnostics')
        machines = {
            bytes(publisher.endpoint_gid[:4])
            for publisher in own
            if publisher.node_name == self._node.get_name()
        }
        elsewhere = bool(machines) and not any(
            bytes(publisher.endpoint_gid[:4]) in machines for publisher in publishers
        )
        name, details = cause_of_loss(
            get_rmw_implementation_identifier(), counts.largest, elsewhere
        )
        return problem(name, WARN, **details)

    def _new_publisher(
        self, counts: CameraCounts, publishers: Sequence[TopicEndpointInfo]
    ) -> Iterator[Problem]:
        now = {bytes(publisher.endpoint_gid) for publisher in publishers}
        before = self._publishers.get(counts.topic)
        if now:
            self._publishers[counts.topic] = now
        # One that was killed is still counted, for the 20 s of its lease.
        if before and now - before:
            yield problem('new_publisher', topic=counts.topic)

    def _clock(self, counts: CameraCounts, before: CameraCounts) -> Iterator[Problem]:
        """Judge the stamps of the results, and how old these are."""
        results = counts.processed - before.processed
        clock = self._node.get_clock().now().nanoseconds
        if not counts.ages or not clock:  # without a clock nothing can be compared with it
            return
        age = median(counts.ages)
        if counts.stamp == 0:
            yield problem('zero_stamps', self._level(abs(age), 'clock_offset') or WARN)
        elif results > 1 and counts.still_stamps - before.still_stamps >= results - 1:
            yield problem('still_stamps')
        elif age > OTHER_CLOCK:
            yield problem('stamps_behind', self._level(age, 'clock_offset') or WARN, seconds=age)
        elif level := self._level(-age, 'clock_offset'):
            yield problem('stamps_ahead', level, seconds=-age)
        elif level := self._level(age, 'latency'):
            yield problem('old_images', level, seconds=age)
