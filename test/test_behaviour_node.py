"""The behaviour node as a process of its own, over DDS."""

from contextlib import contextmanager
import signal
import subprocess
import sys
from time import monotonic

import cv2
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image, RegionOfInterest  # noqa: E402
from std_msgs.msg import Header, String  # noqa: E402

from emotion_perception import msg  # noqa: E402
from emotion_perception.behaviour.events import EmotionEvent  # noqa: E402
from emotion_perception.behaviour.options import OPTIONS  # noqa: E402
from emotion_perception.behaviour.rules import Request  # noqa: E402
from emotion_perception.emotions import EMOTIONS, LABELS  # noqa: E402
from emotion_perception.evaluation.events import fade  # noqa: E402
from emotion_perception.nodes.behaviour_node import EMOTIONS_TOPIC, RULES  # noqa: E402
from emotion_perception.nodes.messages import image_from_bgr, nanoseconds  # noqa: E402
from processes import LIMIT, running, wait_for  # noqa: E402
from robot import count, Opposite, values  # noqa: E402

MAIN = 'from emotion_perception.nodes.behaviour_node import main; main()'
COMPOSED = """
from contextlib import ExitStack
from emotion_perception.nodes.behaviour_node import BehaviourNode
from emotion_perception.nodes.emotion_node import EmotionNode
from emotion_perception.nodes.running import initialised
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

with initialised(), ExitStack() as stack:
    executor = SingleThreadedExecutor()
    for node in (EmotionNode(), BehaviourNode()):
        stack.enter_context(node.running())
        executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
"""
# The wall clock may not be set here, so the node's own clock is, by the override of rclpy.
STEPPED = """
import signal
from rclpy.clock_type import ClockType
from rclpy.time import Time
from emotion_perception.nodes.behaviour_node import BehaviourNode
from emotion_perception.nodes.running import run

class Stepped(BehaviourNode):
    def __init__(self):
        super().__init__()
        signal.signal(signal.SIGUSR1, self.step)

    def step(self, *_):
        clock = self.get_clock()
        ahead = Time(nanoseconds=clock.now().nanoseconds + 10**12, clock_type=ClockType.ROS_TIME)
        clock._set_ros_time_is_active(True)
        clock.set_ros_time_override(ahead)

run('behaviour_node', Stepped)
"""
# Whether hri_msgs are installed or not, another message stands for Expression. And somebody refuses
# parameters, two at once, when the node has found them right.
EXPRESSIVE = """
import sys
from types import SimpleNamespace
from rcl_interfaces.msg import SetParametersResult
from std_msgs.msg import String
from emotion_perception.nodes.behaviour_node import BehaviourNode
from emotion_perception.nodes.running import run

sys.modules['hri_msgs.msg'] = SimpleNamespace(Expression=String)

class Refused(BehaviourNode):
    def __init__(self):
        super().__init__()
        self._on_set_parameters_callbacks.append(
            lambda changed: SetParametersResult(successful=len(changed) == 1)
        )

run('behaviour_node', Refused)
"""
#: The tests count on these, whatever the defaults are.
FIXED = {'enter_intensity': 0.6, 'min_duration': 0.5}

STEP = 100_000_000  # ns between two images
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)

SMILE = """
rules:
  smile:
    behaviour: set_expression
    priority: 200
    parameters: {expression: '{expression}', face: '{track_id}'}
"""

pytestmark = pytest.mark.usefixtures('ros')


def face(label='happiness', intensity=0.0, track_id=1, size=100):
    return msg.FaceEmotion(
        track_id=track_id,
        state=msg.FaceEmotion.CONFIRMED,
        intensity=intensity,
        roi=RegionOfInterest(x_offset=100, y_offset=50, width=size, height=size),
        label=label,
        label_id=LABELS.index(label),
        sequence_length=100,
        scores=[0.9 if name == label else 0.02 for name in EMOTIONS],
    )


class Audience(Opposite):
    """What is sent to a behaviour node, and all that it publishes."""

    def __init__(self, name, process, log):
        super().__init__(name, process, log)
        self.emotions = self.node.create_publisher(msg.EmotionArray, EMOTIONS_TOPIC, 100)
        self.stamp = 10**18
        self.events, self.people, self.main, self.requests = [], [], [], []
        for type_, topic, kept, qos in (
            (msg.EmotionEvents, 'events', self.events, 100),
            (msg.People, 'people', self.people, LATCHED),
            (msg.MainPerson, 'main_person', self.main, LATCHED),
            (msg.BehaviourRequests, 'requests', self.requests, 100),
        ):
            self.node.create_subscription(type_, f'/{name}/{topic}', kept.append, qos)
        self.parameters = AsyncParameterClient(self.node, name)
        self.reports = []
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_report, 10)

    def _on_report(self, message):
        self.reports += [s for s in message.status if s.name == f'{self.name}: behaviours']

    def wait_for_report(self, *conditions, work=None):
        """Wait for a report with exactly these conditions; return its status."""
        self.reports.clear()

        def reported():
            for status in self.reports:
                if values(status).get('conditions', '') == ', '.join(conditions):
                    return status

        return self.wait_for(reported, work)

    def send(self, *faces, camera='front', step=STEP):
        self.stamp += step
        header = Header(
            stamp=Time(sec=self.stamp // 10**9, nanosec=self.stamp % 10**9),
            frame_id=f'{camera}_frame',
        )
        self.emotions.publish(
            msg.EmotionArray(
                header=header, camera=camera, image_width=640, image_height=480, faces=faces
            )
        )
        return header

    def show(self, frames, *faces, **where):
        """Send images and wait until the node has answered each."""
        for _ in range(frames):
            sent = self.send(*faces, **where)
            if faces:
                self.wait_for(lambda: self.main and self.main[-1].header == sent)

    def connect(self):
        """Wait until all topics are connected, and begin with nobody in view."""
        self.wait_for(
            lambda: (
                self.emotions.get_subscription_count()
                and self.people
                and self.main
                and all(
                    self.node.count_publishers(f'/{self.name}/{topic}')
                    for topic in ('events', 'requests')
                )
            )
        )
        self.send(face())
        self.wait_for(lambda: self.main[-1].track_id)
        self.gone()
        return self

    def gone(self):
        """Let the camera see nobody, and forget what was heard."""
        self.send()
        self.wait_for(lambda: self.main[-1].track_id == 0 and not self.people[-1].people)
        for kept in (self.events, self.requests):
            kept.clear()

    def set_parameters(self, **given):
        future = self.parameters.set_parameters(
            [Parameter(name, value=value) for name, value in given.items()]
        )
        return self.wait_done(future).results

    def set_at_once(self, **given):
        future = self.parameters.set_parameters_atomically(
            [Parameter(name, value=value) for name, value in given.items()]
        )
        return self.wait_done(future).result


@contextmanager
def behaviour_node(name, tmp_path, code=MAIN, **arguments):
    log = tmp_path / f'{name}.log'
    options = [
        f'{"behaviour_node:" if code != MAIN else ""}__node:={name}',
        *(f'{key}:={value}' for key, value in {**FIXED, **arguments}.items()),
    ]
    command = [
        sys.executable,
        '-c',
        code,
        '--ros-args',
        *(word for option in options for word in ('-r' if '__node:' in option else '-p', option)),
    ]
    with running(command, log, HOME=str(tmp_path)) as process:
        audience = Audience(name, process, log)
        try:
            yield audience
        finally:
            audience.node.destroy_node()


@pytest.fixture(scope='module')
def behaviours(ros, tmp_path_factory):
    folder = tmp_path_factory.mktemp('behaviours')
    (folder / 'smile.yaml').write_text(SMILE)
    with behaviour_node('behaviours', folder, rules=folder / 'smile.yaml') as audience:
        audience.folder = folder
        yield audience.connect()


@pytest.fixture
def audience(behaviours):
    behaviours.gone()
    yield behaviours
    behaviours.send()


def test_messages_hold_what_the_core_tells():
    given = set(msg.EmotionEvent.get_fields_and_field_types())
    assert given == {name.removesuffix('_ns') for name in EmotionEvent.__dataclass_fields__} | {
        'label_id'
    }
    assert set(msg.BehaviourRequest.get_fields_and_field_types()) == set(
        Request.__dataclass_fields__
    )
    kinds = [getattr(msg.EmotionEvent, kind) for kind in ('STARTED', 'CHANGED', 'ENDED')]
    assert kinds == ['started', 'changed', 'ended']


def test_an_emotion_comes_out_on_every_topic(audience):
    audience.show(5, face())
    assert audience.main[-1].label == 'neutral' and not audience.events
    began = audience.stamp + STEP
    audience.show(6, face(intensity=0.8))
    audience.wait_for(lambda: audience.events and audience.requests)
    (message,) = audience.events
    (event,) = message.events
    assert nanoseconds(message.header.stamp) == audience.stamp
    assert message.header.frame_id == 'front_frame'
    assert (event.type, event.camera, event.track_id) == ('started', 'front', 1)
    assert (event.label, event.label_id) == ('happiness', msg.FaceEmotion.HAPPINESS)
    assert nanoseconds(event.since) == began and event.duration == pytest.approx(0.5)
    assert event.intensity == event.peak_intensity == pytest.approx(0.8)

    main = audience.main[-1]
    assert (main.camera, main.track_id, main.label) == ('front', 1, 'happiness')
    assert (main.x, main.y, main.size) == pytest.approx((150 / 640, 100 / 480, 100 / 480))
    assert nanoseconds(main.since) == began and main.duration == pytest.approx(0.5)

    (requests,) = audience.requests
    (request,) = requests.requests
    assert (request.rule, request.name, request.priority) == ('smile', 'set_expression', 200)
    assert {p.key: p.value for p in request.parameters} == {'expression': 'happy', 'face': '1'}
    assert (request.camera, request.track_id, request.label) == ('front', 1, 'happiness')

    audience.show(20, face(intensity=0.9))
    assert len(audience.events) == len(audience.requests) == 1
    (person,) = audience.people[-1].people
    assert (person.camera, person.track_id, person.label) == ('front', 1, 'happiness')
    assert nanoseconds(person.since) == began
    assert nanoseconds(person.seen_since) == began - 5 * STEP

    audience.send()
    audience.wait_for(lambda: len(audience.events) == 2)
    assert audience.events[-1].events[0].type == 'ended'
    audience.wait_for(lambda: audience.main[-1].track_id == 0 and not audience.people[-1].people)


def test_all_events_of_an_instant_come_in_one_message(audience):
    """Of several people, and of several cameras."""
    for intensity in (0.0,) * 3 + (0.9,) * 6:
        audience.send(face(intensity=intensity), face('anger', intensity, 2))
        audience.send(face('fear', intensity), camera='back', step=0)
        audience.wait_for(lambda: nanoseconds(audience.main[-1].header.stamp) == audience.stamp)
    audience.wait_for(lambda: audience.events)
    (message,) = audience.events
    assert [(e.camera, e.track_id, e.label) for e in message.events] == [
        ('front', 1, 'happiness'),
        ('front', 2, 'anger'),
        ('back', 1, 'fear'),
    ]
    assert [(p.camera, p.track_id) for p in audience.people[-1].people] == [
        ('back', 1),
        ('front', 1),
        ('front', 2),
    ]
    audience.send(camera='back')


def test_cameras_that_are_not_in_step_do_not_wait_for_each_other(audience):
    audience.show(1, face())
    audience.send(face(), camera='back')
    audience.show(5, face(intensity=0.9))
    audience.show(1, face(intensity=0.9))  # back has no image, and is waited for in vain
    audience.wait_for(lambda: audience.events)
    assert [event.camera for event in audience.events[0].events] == ['front']
    audience.send(camera='back')


def test_who_subscribes_later_gets_the_state(audience):
    audience.show(6, face(intensity=0.9))
    people, main = [], []
    node = rclpy.create_node('latecomer')
    node.create_subscription(msg.People, '/behaviours/people', people.append, LATCHED)
    node.create_subscription(msg.MainPerson, '/behaviours/main_person', main.append, LATCHED)
    wait_for(lambda: people and main, lambda: rclpy.spin_once(node, timeout_sec=0.05))
    node.destroy_node()
    assert people[0].people[0].label == main[0].label == 'happiness'


def test_cameras_that_stop_end_their_emotions_in_one_message(audience):
    for _ in range(6):
        audience.send(face(intensity=0.9), camera='back')
        audience.send(face(intensity=0.9), step=0)
        audience.wait_for(lambda: nanoseconds(audience.main[-1].header.stamp) == audience.stamp)
    audience.wait_for(lambda: audience.events)
    audience.events.clear()
    audience.wait_for(lambda: audience.events)  # nothing is sent meanwhile
    assert {(event.type, event.camera) for event in audience.events[0].events} == {
        ('ended', 'back'),
        ('ended', 'front'),
    }
    assert audience.events[0].events[0].duration == pytest.approx(0.5)
    audience.wait_for(lambda: audience.main[-1].track_id == 0 and not audience.people[-1].people)
    audience.show(6, face(intensity=0.9))
    audience.wait_for(lambda: len(audience.events) == 2)


def test_a_stamp_that_jumps_is_reported_and_cool_downs_go_on(audience):
    path = audience.folder / 'seldom.yaml'
    path.write_text(SMILE.replace('smile:', 'seldom:') + '    cool_down: 2')

    def asked():
        return [m for m in audience.requests if m.requests[0].rule == 'seldom']

    assert audience.set_parameters(rules=str(path))[0].successful
    audience.show(6, face(intensity=0.9))
    audience.send(face(), step=-(10**11))
    status = audience.wait_for_report('stamps_jumped')
    assert status.level == DiagnosticStatus.WARN and status.message.startswith(
        'stamps jumped 1 times'
    )
    assert 'its stamps jumped' in audience.log()
    audience.wait_for(lambda: audience.events[-1].events[0].type == 'ended')
    # A recording that is shorter than the cool-down, played again: that goes on, and ends.
    audience.show(10, face(intensity=0.9))
    assert len(asked()) == 1
    audience.show(15, face(intensity=0.9))
    audience.wait_for(lambda: len(asked()) == 2)
    assert audience.set_parameters(rules=str(audience.folder / 'smile.yaml'))[0].successful


def test_a_result_without_an_image_size_is_refused(audience):
    audience.emotions.publish(msg.EmotionArray(camera='front', faces=[face()]))
    status = audience.wait_for_report('unusable_results')
    assert 'camera front: the image has 0 x 0 pixels' in status.message
    assert 'unusable result: the image has 0 x 0 pixels' in audience.log()
    audience.show(6, face(intensity=0.9))
    audience.wait_for(lambda: audience.events)


def test_parameters_are_described_and_live(audience):
    described = audience.parameters.describe_parameters(
        [option.name for option in (*OPTIONS, RULES)]
    )
    audience.wait_for(described.done)
    for option, found in zip((*OPTIONS, RULES), described.result().descriptors):
        assert option.description in found.description and not found.read_only
    low, high = audience.set_parameters(min_duration=20.0, main_person='oldest')
    assert not low.successful and not high.successful
    assert 'main_person takes one of nearest, longest, strongest' in high.reason
    (result,) = audience.set_parameters(leave_intensity=0.9)
    assert 'leave_intensity is 0.9 and enter_intensity 0.6: expected' in result.reason
    for refused in ({'main_person': 'oldest'}, {'rules': '/nowhere.yaml'}, {'use_sim_time': 1}):
        assert not audience.set_at_once(min_duration=2.0, **refused).successful
    audience.show(6, face(intensity=0.9))
    audience.wait_for(lambda: audience.events)
    audience.gone()
    result = audience.set_at_once(min_duration=0.2, enter_intensity=0.2, leave_intensity=0.1)
    assert result.successful
    assert audience.set_at_once(leave_intensity=0.3, enter_intensity=0.6).successful
    audience.show(3, face(intensity=0.9))
    audience.wait_for(lambda: audience.events)
    assert audience.set_parameters(min_duration=0.5)[0].successful


def test_rules_are_read_again_when_they_are_set(audience):
    path = audience.folder / 'smile.yaml'
    path.write_text('rules: {smile: {behaviour: }}')
    (result,) = audience.set_parameters(rules=str(path))
    assert not result.successful and 'rule smile needs a behaviour' in result.reason
    (result,) = audience.set_parameters(rules='/nowhere.yaml')
    assert not result.successful and "No such file or directory: '/nowhere.yaml'" in result.reason
    (result,) = audience.set_parameters(rules='/dev/zero')
    assert not result.successful and 'rules /dev/zero: is no file' in result.reason
    path.write_text('rules: {greet: {behaviour: say}}')
    (result,) = audience.set_parameters(rules='~/smile.yaml')  # the node's home is the folder
    assert result.successful
    audience.show(6, face(intensity=0.9))
    audience.wait_for(lambda: audience.requests)
    assert audience.requests[0].requests[0].name == 'say'
    path.write_text(SMILE)
    assert audience.set_parameters(rules=str(path))[0].successful


def test_an_expression_topic_needs_its_messages(audience):
    try:
        import hri_msgs  # noqa: F401

        pytest.skip('hri_msgs is installed')
    except ImportError:
        pass
    path = audience.folder / 'face.yaml'
    path.write_text('expression_topic: /robot_face/expression')
    (result,) = audience.set_parameters(rules=str(path))
    assert not result.successful and 'hri_msgs is not installed: apt' in result.reason


def test_an_expression_topic_that_ros_refuses_ends_nothing(tmp_path):
    smile, taken, shown = (tmp_path / f'{name}.yaml' for name in ('smile', 'taken', 'shown'))
    smile.write_text(SMILE)
    taken.write_text('expression_topic: /expressive/events')  # has another type
    shown.write_text('expression_topic: /robot_face/expression')
    with behaviour_node('expressive', tmp_path, code=EXPRESSIVE, rules=smile) as audience:
        audience.connect()

        def publishers():
            return audience.node.count_publishers('/robot_face/expression')

        (result,) = audience.set_parameters(rules=str(taken))
        assert not result.successful
        assert f'rules {taken}: expression_topic: ' in result.reason
        assert not audience.set_at_once(rules=str(shown), main_hold=1.0).successful
        audience.wait_for(publishers)
        audience.show(6, face(intensity=0.9))
        audience.wait_for(lambda: audience.requests)  # by the rules from before
        assert not audience.set_parameters(rules='/nowhere.yaml')[0].successful
        audience.wait_for(lambda: not publishers())
        assert audience.set_parameters(rules=str(shown))[0].successful
        audience.wait_for(publishers)
        assert audience.set_parameters(rules=str(smile))[0].successful
        audience.wait_for(lambda: not publishers())


def test_the_robots_face_shows_the_expression(tmp_path, ros):
    hri = pytest.importorskip('hri_msgs.msg', reason='needs hri_msgs')
    (tmp_path / 'face.yaml').write_text(SMILE + 'expression_topic: /robot_face/expression\n')
    with behaviour_node('face', tmp_path, rules=tmp_path / 'face.yaml') as audience:
        shown = []
        audience.node.create_subscription(
            hri.Expression, '/robot_face/expression', shown.append, 10
        )
        audience.wait_for(lambda: audience.node.count_publishers('/robot_face/expression'))
        audience.connect()
        audience.show(6, face(intensity=0.9))
        audience.wait_for(lambda: shown)
        assert shown[0].expression == hri.Expression.HAPPY


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'rules': '/nowhere.yaml'}, "No such file or directory: '/nowhere.yaml'"),
        ({'enter_intensity': '0.1'}, 'leave_intensity is 0.5 and enter_intensity 0.1'),
        ({'min_duration': '0.0'}, 'min_duration'),
    ],
)
def test_a_wrong_start_ends_with_its_reason(arguments, message, tmp_path):
    with behaviour_node('wrong', tmp_path, **arguments) as audience:
        assert audience.process.wait(LIMIT) == 1
        assert message in audience.log() and 'Traceback' not in audience.log()


def test_a_paused_simulation_ends_nothing_and_silence_is_told(tmp_path):
    (tmp_path / 'smile.yaml').write_text(SMILE)
    rules = tmp_path / 'smile.yaml'
    with behaviour_node('simulated', tmp_path, use_sim_time='true', rules=rules) as audience:
        status = audience.wait_for_report('no_clock', 'results_stopped')
        assert status.level == DiagnosticStatus.WARN
        assert 'no results on /emotion_node/emotions for ' in status.message
        audience.wait_for(lambda: 'no results on /emotion_node/emotions for ' in audience.log())
        clock = audience.node.create_publisher(Clock, '/clock', 10)
        audience.wait_for(clock.get_subscription_count)
        audience.connect()
        audience.wait_for(lambda: 'Node: results arrive' in audience.log(), audience.send)
        clock.publish(Clock(clock=Time(sec=1000)))
        audience.show(6, face(intensity=0.9))
        audience.wait_for(lambda: audience.events)
        audience.spin(3.0)  # longer than max_gap, of real time
        assert len(audience.events) == 1
        clock.publish(Clock(clock=Time(sec=1010)))
        audience.wait_for(lambda: len(audience.events) == 2)
        clock.publish(Clock(clock=Time(sec=1)))  # the simulation begins anew
        audience.show(6, face(intensity=0.9))
        audience.wait_for(lambda: len(audience.events) == 3)
        counted = audience.wait_for_report(work=audience.send)
        assert (counted.level, count(counted, 'people')) == (DiagnosticStatus.OK, 0)
        assert [count(counted, what) for what in ('rules', 'requests', 'requests to nobody')] == [
            1,
            2,
            0,
        ]
        (heard,) = (s for s in audience.node.subscriptions if s.topic_name.endswith('/requests'))
        audience.node.destroy_subscription(heard)
        status = audience.wait_for_report(
            'nobody_obeys', work=lambda: audience.show(6, face(intensity=0.9)) or audience.send()
        )
        assert 'nobody subscribes to /simulated/requests' in status.message


def test_a_step_of_the_clock_ends_nothing(tmp_path):
    with behaviour_node('stepped', tmp_path, code=STEPPED, max_gap=60.0) as audience:
        audience.connect()
        audience.show(6, face(intensity=0.9))
        audience.wait_for(lambda: audience.events)
        reports, now = [], audience.node.get_clock().now().nanoseconds
        audience.node.create_subscription(
            DiagnosticArray, '/diagnostics', lambda report: reports.append(report.header), 10
        )
        audience.process.send_signal(signal.SIGUSR1)
        # Between two reports it looks for silence several times.
        audience.wait_for(
            lambda: sum(nanoseconds(header.stamp) >= now + 10**12 for header in reports) >= 2
        )
        audience.show(1, face(intensity=0.9))
        assert len(audience.events) == 1


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it(number, tmp_path):
    with behaviour_node('signalled', tmp_path) as audience:
        audience.connect()
        audience.process.send_signal(number)
        assert audience.process.wait(LIMIT) == 0
        assert 'Traceback' not in audience.log()


@contextmanager
def example(path, *arguments, log):
    """Run a script of examples/ as a process; give a function that reads what it has printed."""
    with running([sys.executable, path, *arguments], log, PYTHONUNBUFFERED='1') as process:

        def printed():
            assert process.poll() is None, log.read_text()
            return log.read_text().splitlines()

        yield printed
    assert process.returncode == 0, log.read_text()


@contextmanager
def pretend_robot(root, tmp_path, rules):
    """Run an example's rules, and the robot that prints what it is asked to do."""
    hello = tmp_path / 'hello.yaml'
    hello.write_text('rules: {hello: {behaviour: hello}}')
    with (
        behaviour_node('behaviour_node', tmp_path, rules=hello) as audience,
        example(root / 'examples' / 'pretend_robot.py', log=tmp_path / 'robot.log') as printed,
    ):
        audience.connect()

        def greeted():
            audience.show(8, face(intensity=0.9))
            audience.gone()
            return printed()

        audience.wait_for(greeted)  # then the robot is connected, too
        (result,) = audience.set_parameters(rules=str(root / 'examples' / rules))
        assert result.successful
        yield audience, lambda: [line for line in printed() if line != 'hello']


def test_the_mirroring_face(root, tmp_path):
    with pretend_robot(root, tmp_path, 'mirroring_face.yaml') as (audience, printed):
        for label, intensity in (
            ('happiness', 0.9),
            ('anger', 0.9),
            ('surprise', 0.9),
            ('surprise', 0.1),
        ):
            audience.show(17, face(label, intensity))
        expected = [
            'set_expression expression=happy :-)',
            'set_expression expression=neutral :-|',
            'set_expression expression=surprised :-o',
            'set_expression expression=neutral :-|',
        ]
        audience.wait_for(lambda: len(printed()) >= len(expected))
        assert printed() == expected


def test_the_comforter(root, tmp_path):
    with pretend_robot(root, tmp_path, 'comforter.yaml') as (audience, printed):
        audience.show(20, face('sadness', 0.8))
        audience.show(15, face('happiness', 0.8))
        audience.show(50, face('sadness', 0.8))
        audience.show(10, face('sadness', 0.1))
        expected = [
            'say input=What is the matter? Can I help?',
            'look_at camera=front x=0.23 y=0.21',
            'do_led_effect effect=breathe color=blue',
            'say input=I am glad that is over.',
        ]
        audience.wait_for(lambda: len(printed()) >= len(expected))
        assert printed() == expected


def test_the_tree_of_py_trees_ros(root, tmp_path):
    script = root / 'examples' / 'py_trees_comforter.py'
    try:
        import py_trees_ros  # noqa: F401
    except ImportError:
        told = subprocess.run([sys.executable, script], capture_output=True, text=True)
        assert told.returncode == 1
        assert 'this example needs py_trees_ros, apt install ros-$ROS_DISTRO-py' in told.stderr
        pytest.skip('needs py_trees_ros')
    with (
        behaviour_node('behaviour_node', tmp_path) as audience,
        example(script, log=tmp_path / 'tree.log'),
    ):
        said = []
        audience.node.create_subscription(String, '/say', said.append, 10)
        audience.connect()
        audience.wait_for(
            lambda: (
                audience.node.count_publishers('/say')
                and audience.node.count_subscribers('/behaviour_node/main_person') == 2
            )
        )
        for seconds, label, intensity, count in (
            (3, 'happiness', 0.9, 0),
            (3, 'sadness', 0.95, 1),
            (3, 'sadness', 0.95, 1),
            (2, 'sadness', 0.1, 1),
            (3, 'sadness', 0.95, 2),
        ):
            for _ in range(10 * seconds):
                audience.show(1, face(label, intensity))
            # Long enough for the tree, which ticks ten times a second.
            for _ in range(10):
                audience.show(1, face(label, intensity), step=STEP // 10)
                rclpy.spin_once(audience.node, timeout_sec=0.1)
            audience.wait_for(lambda: len(said) >= count)
            assert len(said) == count
        assert said[0].data == 'What is the matter?'


def show_smile(audience, data_dir):
    """Publish a face that begins to smile, each image when the one before is answered."""
    if not hasattr(audience, 'images'):
        audience.images = audience.node.create_publisher(Image, 'image', qos_profile_sensor_data)
        audience.results = []
        audience.node.create_subscription(
            msg.EmotionArray, EMOTIONS_TOPIC, audience.results.append, 10
        )
    neutral, smile = (
        cv2.imread(str(data_dir / 'london' / f'001_{label}.jpg'))
        for label in ('neutral', 'happiness')
    )

    def answered(image):
        audience.stamp += 33_000_000
        header = Header(stamp=Time(sec=audience.stamp // 10**9, nanosec=audience.stamp % 10**9))
        seen = len(audience.results)
        audience.images.publish(image_from_bgr(image, header))
        end = monotonic() + 1.0
        while len(audience.results) == seen and monotonic() < end:
            rclpy.spin_once(audience.node, timeout_sec=0.05)
        return len(audience.results) > seen

    def connected():
        """Tell whether an image went through both nodes and came back."""
        if answered(neutral):
            audience.spin(0.1)
            return audience.main[-1].header.stamp == audience.results[-1].header.stamp

    audience.wait_for(connected)
    for _, image in fade(neutral, smile):
        answered(image)


def test_from_images_to_events_though_emotion_node_is_killed(data_dir, tmp_path):
    """A smile in real images, twice: emotion_node is killed and started anew between them."""
    with behaviour_node('behaviour_node', tmp_path) as audience:
        audience.connect()
        for count in (1, 3):
            with running(
                [sys.executable, '-c', MAIN.replace('behaviour_node', 'emotion_node')],
                tmp_path / 'emotion_node.log',
            ) as emotion_node:
                show_smile(audience, data_dir)
                audience.wait_for(lambda: len(audience.events) >= count)
                emotion_node.kill()
                emotion_node.wait()
        audience.wait_for(lambda: len(audience.events) == 4)  # its emotions end without it
    events = [event for message in audience.events for event in message.events]
    assert [(event.type, event.label) for event in events] == [
        ('started', 'happiness'),
        ('ended', 'happiness'),
    ] * 2
    assert {event.camera for event in events} == {'camera'}


def test_both_nodes_in_one_executor(data_dir, tmp_path):
    with behaviour_node('behaviour_node', tmp_path, code=COMPOSED) as audience:
        audience.connect()
        show_smile(audience, data_dir)
        audience.wait_for(lambda: audience.events)
        assert audience.events[0].events[0].label == 'happiness'
        audience.process.send_signal(signal.SIGINT)
        assert audience.process.wait(LIMIT) == 0, audience.log()
