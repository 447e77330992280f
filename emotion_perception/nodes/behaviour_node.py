"""The node that robots act on: EmotionArray in, events, people and requests for behaviours out."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
import os.path
from pathlib import Path
from time import monotonic

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from std_msgs.msg import Header

from emotion_perception import msg
from emotion_perception.behaviour.events import EmotionEvent, Person
from emotion_perception.behaviour.options import checked, DEFAULTS, OPTIONS
from emotion_perception.behaviour.people import People
from emotion_perception.behaviour.rules import Request, Rules
from emotion_perception.emotions import LABELS, NEUTRAL
from emotion_perception.nodes import parameters, status
from emotion_perception.nodes.conditions import Problem, problem
from emotion_perception.nodes.messages import EMOTIONS_TOPIC, nanoseconds, optional_messages
from emotion_perception.nodes.running import run
from emotion_perception.options import Option

#: Images whose stamps lie no further apart belong to one instant [s].
INSTANT = 0.01

#: Seconds for which an instant waits for those cameras that have not answered yet.
PATIENCE = 0.03

#: Seconds between two looks at whether images still come.
PERIOD = 0.2

RULES = Option(
    'rules',
    '',
    'File of rules (YAML) by which behaviours are requested; empty: none. '
    'Set again, it is read again',
    live=True,
)


class BehaviourNode(Node):
    """Publishes what a behaviour needs to know of the people whom emotion_node sees.

    :raises ParameterException: when a parameter is out of range.
    :raises ValueError: when a parameter has a value that cannot be, or the rules are missing or
        wrong.
    """

    def __init__(self) -> None:
        super().__init__('behaviour_node')
        values = parameters.declare(self, OPTIONS)
        self._max_gap = values['max_gap']
        self._people = People(**values)
        self._unusable = ''  # why the newest unusable result is that
        self._counts: Counter[str] = Counter()  # of what happened, since the start
        self._reported: Counter[str] = Counter()  # the same, at the last report
        self._headers: dict[str, Header] = {}  # of each camera's newest result
        self._arrivals: dict[str, int] = {}  # when that came, see _now [ns]
        self._updated: set[str] = set()  # cameras with a result in this instant
        self._stamp_ns = 0  # of the first of these
        self._events: list[EmotionEvent] = []  # of this instant
        self._newest = monotonic()  # arrival of the newest result, or the start [s]
        #: Never done: only a signal ends this node.
        self.finished = Future()

        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._events_publisher = self.create_publisher(msg.EmotionEvents, '~/events', 10)
        self._people_publisher = self.create_publisher(msg.People, '~/people', latched)
        self._main_publisher = self.create_publisher(msg.MainPerson, '~/main_person', latched)
        self._requests_publisher = self.create_publisher(msg.BehaviourRequests, '~/requests', 10)
        self._expression_publisher: Publisher | None = None
        # Rules that are checked and not yet set, and the publisher for their expression_topic.
        self._staged: tuple[Rules, Publisher | None] | None = None
        self._stage_rules(*parameters.declare(self, [RULES]).values())
        self._set_rules()
        parameters.warn_of_unknown(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        # Reliable as the results are: every one counts for the time that an emotion lasts.
        self._subscription = self.create_subscription(
            msg.EmotionArray, EMOTIONS_TOPIC, self._on_emotions, 10
        )
        # Steady time: under simulated time the node's own clock stands still until /clock comes.
        self._steady = steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._patience = self.create_timer(PATIENCE, self._end_instant, clock=steady)
        self._patience.cancel()
        self.create_timer(PERIOD, self._look_for_silence, clock=steady)
        self._status = status.StatusPublisher(self)
        self.create_timer(status.PERIOD, self._report, clock=steady)
        self._people_message = msg.People()
        self._main_message = msg.MainPerson(label=NEUTRAL, label_id=LABELS.index(NEUTRAL))
        self._people_publisher.publish(self._people_message)
        self._main_publisher.publish(self._main_message)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Work; all of it happens in callbacks."""
        yield

    def _on_emotions(self, message: msg.EmotionArray) -> None:
        stamp_ns = nanoseconds(message.header.stamp)
        if message.camera in self._updated or abs(stamp_ns - self._stamp_ns) > INSTANT * 1e9:
            self._end_instant()
        try:
            self._events += self._people.update(
                message.camera, stamp_ns, (message.image_height, message.image_width), message.faces
            )
        except ValueError as error:
            self._counts['unusable results'] += 1
            self._unusable = f'camera {message.camera}: {error}'
            self.get_logger().warning(
                f'Camera {message.camera}: unusable result: {error}', throttle_duration_sec=1.0
            )
            return
        self._headers[message.camera] = message.header
        self._arrivals[message.camera] = self._now()
        if not self._updated:
            self._stamp_ns = stamp_ns
        self._updated.add(message.camera)
        if self._people.jumps > self._counts['jumps of stamps']:
            self._counts['jumps of stamps'] = self._people.jumps
            self.get_logger().warning(
                f'Camera {message.camera}: its stamps jumped (parameter max_gap), so all emotions '
                'there have ended. Has a recording begun again, or are there two publishers on '
                f'{self._subscription.topic_name}?',
                throttle_duration_sec=10.0,
            )
        self._newest = monotonic()
        self._counts['results'] += 1
        if self._updated >= set(self._arrivals):
            self._end_instant()
        else:
            self._patience.reset()

    def _end_instant(self) -> None:
        """Publish what the results of one instant have changed."""
        self._patience.cancel()
        if not self._updated:
            return
        header = max(
            (self._headers[camera] for camera in self._updated),
            key=lambda header: nanoseconds(header.stamp),
        )
        if self._events:
            self._counts['events'] += len(self._events)
            self._events_publisher.publish(
                msg.EmotionEvents(header=header, events=list(map(_event, self._events)))
            )
        people = [_person(person) for person in self._people]
        if people != self._people_message.people:
            self._people_message = msg.People(header=header, people=people)
            self._people_publisher.publish(self._people_message)
        self._publish_main(header)
        requests = self._rules.update(list(self._people), self._people.main, self._people.time_ns)
        if requests:
            self._publish_requests(header, requests)
        self._events.clear()
        self._updated.clear()

    def _publish_main(self, header: Header) -> None:
        main = self._people.main
        if main is None:
            message = msg.MainPerson(header=header, label=NEUTRAL, label_id=LABELS.index(NEUTRAL))
            news = self._main_message.track_id != 0
        else:
            message = msg.MainPerson(
                header=self._headers[main.camera],
                camera=main.camera,
                track_id=main.track_id,
                label=main.label,
                label_id=LABELS.index(main.label),
                intensity=main.intensity,
                since=_time(main.since_ns),
                duration=main.duration,
                x=main.x,
                y=main.y,
                size=main.size,
            )
            news = message != self._main_message
        if news:
            self._main_message = message
            self._main_publisher.publish(message)

    def _publish_requests(self, header: Header, requests: list[Request]) -> None:
        self._counts['requests'] += len(requests)
        publishers = filter(None, (self._requests_publisher, self._expression_publisher))
        if not any(publisher.get_subscription_count() for publisher in publishers):
            self._counts['requests to nobody'] += len(requests)
        self._requests_publisher.publish(
            msg.BehaviourRequests(
                header=header,
                requests=[
                    msg.BehaviourRequest(
                        rule=request.rule,
                        name=request.name,
                        priority=request.priority,
                        parameters=[
                            KeyValue(key=key, value=value)
                            for key, value in request.parameters.items()
                        ],
                        camera=request.camera,
                        track_id=request.track_id,
                        label=request.label,
                        intensity=request.intensity,
                    )
                    for request in requests
                ],
            )
        )
        if self._expression_publisher:
            for request in requests:
                if request.name == 'set_expression' and 'expression' in request.parameters:
                    self._expression_publisher.publish(
                        self._expression_publisher.msg_type(
                            header=Header(stamp=header.stamp),
                            confidence=1.0,
                            expression=request.parameters['expression'],
                            valence=float('nan'),
                            arousal=float('nan'),
                        )
                    )

    def _now(self) -> int:
        """Return the time by which silence is measured [ns].

        Simulated time where it is used. Else steady time: the wall clock may be set anew, and
        that is no silence.
        """
        simulated = self.get_parameter('use_sim_time').value
        now: int = (self.get_clock() if simulated else self._steady).now().nanoseconds
        return now

    def _look_for_silence(self) -> None:
        """End the emotions before cameras that have stopped."""
        now = self._now()
        for camera, arrival in self._arrivals.items():
            self._arrivals[camera] = min(arrival, now)  # simulated time may have begun anew
        if now - min(self._arrivals.values(), default=now) <= self._max_gap * 1e9:
            return
        # Those that have stopped together end in one message.
        limit = now - (self._max_gap - PATIENCE) * 1e9
        for camera in [camera for camera, arrival in self._arrivals.items() if arrival < limit]:
            del self._arrivals[camera]
            self._events += self._people.forget(camera)
            self._updated.add(camera)
        self._end_instant()

    def _report(self) -> None:
        counts, new = self._counts, self._counts - self._reported
        self._reported = counts.copy()
        people = list(self._people)
        self._status.report(
            'behaviours',
            self._problems(new),
            f'{new["results"] / status.PERIOD:.0f} results/s',
            {
                'topic': self._subscription.topic_name,
                'cameras': len(self._arrivals),
                'people': len(people),
                **{
                    name: counts[name]
                    for name in ('results', 'unusable results', 'jumps of stamps', 'events')
                },
                'rules': len(self._rules),
                'requests': counts['requests'],
                'requests to nobody': counts['requests to nobody'],
            },
            arrived=new['results'] > 0,
        )

    def _problems(self, new: Counter[str]) -> Iterator[Problem]:
        yield from status.silence(self, self._subscription.topic_name, self._newest)
        if count := new['unusable results']:
            yield problem('unusable_results', count=count, reason=self._unusable)
        if count := new['jumps of stamps']:
            yield problem('stamps_jumped', count=count)
        if count := new['requests to nobody']:
            yield problem('nobody_obeys', count=count, topic=self._requests_publisher.topic_name)

    def _stage_rules(self, path: str) -> None:
        """Read a file of rules for _set_rules, and make the publisher for its expression topic.

        :raises ValueError: when one of both cannot be.
        """
        if self._staged and self._staged[1]:  # the parameter was refused by somebody else
            self.destroy_publisher(self._staged[1])
        self._staged = None
        try:
            # The shell leaves ~ where := stands before it.
            place = Path(os.path.expanduser(path))
            if path and place.exists() and not place.is_file():  # such as /dev/zero, without end
                raise ValueError('is no file')
            text = place.read_text(encoding='utf-8') if path else ''
            rules = Rules(text)
        except (OSError, ValueError) as error:
            raise ValueError(f'rules {path}: {error}') from error
        publisher = None
        if rules.expression_topic:
            try:
                publisher = self.create_publisher(
                    optional_messages('hri_msgs').Expression, rules.expression_topic, 10
                )
            # RCLError is a RuntimeError: this process has another type there, or may not publish.
            except (
                ModuleNotFoundError,
                InvalidTopicNameException,
                RuntimeError,
                ValueError,
            ) as error:
                reason = ' '.join(str(error).split())
                raise ValueError(f'rules {path}: expression_topic: {reason}') from error
        self._staged = rules, publisher

    def _set_rules(self) -> None:
        assert self._staged  # just checked
        if self._expression_publisher:
            self.destroy_publisher(self._expression_publisher)
        self._rules, self._expression_publisher = self._staged
        self._staged = None

    def _check_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        given = {parameter.name: parameter.value for parameter in changed}
        try:
            checked({name: given.get(name, self.get_parameter(name).value) for name in DEFAULTS})
            if RULES.name in given:
                self._stage_rules(RULES.check(given[RULES.name]))
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, changed: list[Parameter]) -> None:
        """Take parameters over that are set: only now nobody else can refuse them any more."""
        given = {parameter.name: parameter.value for parameter in changed}
        if RULES.name in given:
            self._set_rules()
        self._people.set_options(**{name: given[name] for name in DEFAULTS if name in given})
        self._max_gap = given.get('max_gap', self._max_gap)


def _time(nanoseconds_: int) -> Time:
    return Time(sec=nanoseconds_ // 10**9, nanosec=nanoseconds_ % 10**9)


def _event(event: EmotionEvent) -> msg.EmotionEvent:
    return msg.EmotionEvent(
        type=event.type,
        camera=event.camera,
        track_id=event.track_id,
        label=event.label,
        label_id=LABELS.index(event.label),
        previous_label=event.previous_label,
        intensity=event.intensity,
        peak_intensity=event.peak_intensity,
        mean_intensity=event.mean_intensity,
        since=_time(event.since_ns),
        duration=event.duration,
    )


def _person(person: Person) -> msg.PersonEmotion:
    return msg.PersonEmotion(
        camera=person.camera,
        track_id=person.track_id,
        label=person.label,
        label_id=LABELS.index(person.label),
        since=_time(person.since_ns),
        seen_since=_time(person.seen_since_ns),
    )


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run('behaviour_node', BehaviourNode)


if __name__ == '__main__':
    main()
