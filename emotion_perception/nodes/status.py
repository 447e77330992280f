"""How a node tells what is wrong: on /diagnostics once a second, and once in the log."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import monotonic

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from emotion_perception.nodes.conditions import ERROR, Problem, problem, worst_first

#: Seconds between two reports.
PERIOD = 1.0

#: Seconds without images or results after which that is reported.
SILENCE = 5.0

#: Seconds for which a condition must have been absent before it is logged again.
QUIET = 60.0

#: Conditions of a camera that end with 'images arrive'.
NO_IMAGES = {
    'other_transport',
    'publisher_gone',
    'no_publisher',
    'wrong_type',
    'incompatible_qos',
    'never_arrived',
    'stopped',
}

#: Conditions that end with 'results arrive'.
NO_RESULTS = {'no_results', 'results_stopped'}

#: Conditions that must hold at two reports in a row before they are logged: a publisher that has
#: just come needs a moment to connect.
PATIENT = NO_IMAGES | NO_RESULTS | {'lost', 'same_name', 'no_clock'}

#: Conditions that are logged where they happen.
LOGGED_ELSEWHERE = {
    'internal_error',
    'transition_failed',
    'unusable',
    'unusable_results',
    'stamps_jumped',
}


class StatusPublisher:
    """The publisher of a node's reports, and the log of what they say."""

    def __init__(self, node: Node) -> None:
        self._node = node
        #: (who, condition) -> when it held last [s]
        self._last_seen: dict[tuple[str, str], float] = {}
        self._held: dict[str, set[str]] = {}  # who -> conditions at the last report
        # Not a lifecycle publisher: that drops what an inactive node has to tell.
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def publish(self, status: Sequence[DiagnosticStatus]) -> None:
        """Publish one report."""
        report = DiagnosticArray(status=status)
        report.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(report)

    def report(
        self,
        task: str,
        problems: Iterable[Problem],
        message: str,
        values: Mapping[str, object],
        arrived: bool,
    ) -> None:
        """Publish and log the report of a node that has one task: :meth:`status`, :meth:`log`."""
        problems = [*problems, *self.node_problems()]
        self.log('Node', problems, arrived)
        self.publish([self.status(task, problems, message, values)])

    def node_problems(self) -> Iterator[Problem]:
        """Find what can be wrong with every node."""
        if self._node.get_parameter('use_sim_time').value and (
            self._node.get_clock().now().nanoseconds == 0
        ):
            yield problem('no_clock')
        namesakes = self._node.get_node_names_and_namespaces().count(
            (self._node.get_name(), self._node.get_namespace())
        )
        if namesakes > 1:
            yield problem('same_name', count=namesakes, node=self._node.get_fully_qualified_name())

    def status(
        self, task: str, problems: list[Problem], message: str, values: Mapping[str, object]
    ) -> DiagnosticStatus:
        """Fill in the status of one of the node's tasks.

        :param message: what is said while there is no problem.
        """
        problems = worst_first(problems)
        if problems:
            values = {
                **values,
                'conditions': ', '.join(found.name for found in problems),
                'way out': '; '.join(found.way_out for found in problems),
            }
        return DiagnosticStatus(
            level=problems[0].level if problems else DiagnosticStatus.OK,
            name=f'{self._node.get_fully_qualified_name().lstrip("/")}: {task}',
            message='; '.join(found.text for found in problems) or message,
            hardware_id='none',
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )

    def log(self, who: str, problems: Sequence[Problem], arrived: bool = False) -> None:
        """Log each condition once while it lasts, with the way out, and the end of silence.

        :param arrived: whether images, or results, have come since the last report: silence also
            ends where nothing is waited for any more.
        """
        now = monotonic()
        held, names = self._held.get(who, set()), {found.name for found in problems}
        self._held[who] = names
        for found in problems:
            key = who, found.name
            if found.name in LOGGED_ELSEWHERE or found.name in PATIENT - held:
                continue
            if now - self._last_seen.get(key, -QUIET) >= QUIET:
                said = f'{who}: {found.text}: {found.way_out}'
                # Two lines: rclpy allows each call one severity.
                if found.level == ERROR:
                    self._node.get_logger().error(said)
                else:
                    self._node.get_logger().warning(said)
            self._last_seen[key] = now
        for kind, silent in (('images', NO_IMAGES), ('results', NO_RESULTS)):
            ended = [name for name in silent - names if self._last_seen.pop((who, name), None)]
            if ended and arrived and not names & silent:
                self._node.get_logger().info(f'{who}: {kind} arrive')

    def forget(self, who: str, condition: str) -> None:
        """Let a condition be logged again when it comes again."""
        self._last_seen.pop((who, condition), None)


def silence(node: Node, topic: str, newest: float) -> Iterator[Problem]:
    """Judge the results that a node reads.

    :param topic: where they come, after remapping.
    :param newest: when the newest one came, or when the node began to wait [s].
    """
    seconds = monotonic() - newest
    if seconds > SILENCE:
        if node.count_publishers(topic):
            yield problem('results_stopped', topic=topic, seconds=seconds)
        else:
            yield problem('no_results', topic=topic)
