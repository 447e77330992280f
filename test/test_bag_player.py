"""Bags played into the emotion node, and what it finds compared with the offline run."""

from contextlib import closing
import shutil
import signal
import sqlite3
import sys
from time import sleep

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')
pytest.importorskip('rosbags', reason='needs the extra [bags]')

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.qos import qos_profile_sensor_data, QoSProfile, ReliabilityPolicy  # noqa: E402
from rosbags.interfaces import (  # noqa: E402
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from emotion_perception.nodes.messages import nanoseconds  # noqa: E402
from emotion_perception.offline.messages import decode, EMOTION_ARRAY  # noqa: E402
from emotion_perception.offline.processing import process, Settings  # noqa: E402
from emotion_perception.offline.recordings import Bag, find_recordings  # noqa: E402
from emotion_perception.offline.result_bag import RESULTS_TOPIC  # noqa: E402
from processes import LIMIT, running, wait_for  # noqa: E402
from robot import emotion_node  # noqa: E402

pytestmark = pytest.mark.usefixtures('ros')

TOPIC = '/camera/image_raw'
COUNT = 40
FOREVER = QosTime(9223372036, 854775807)
QOS = Qos(
    QosHistory.KEEP_LAST,
    5,
    QosReliability.RELIABLE,
    QosDurability.VOLATILE,
    FOREVER,
    FOREVER,
    QosLiveliness.AUTOMATIC,
    FOREVER,
    False,
)


@pytest.fixture(scope='module')
def bags(moving_face, bag_messages, write_bag, tmp_path_factory):
    """Return a function of storage and kind of images to the folder of a bag."""
    folder = tmp_path_factory.mktemp('bags')
    frames = moving_face(COUNT)

    def bag(storage, kind):
        path = folder / f'{storage}_{kind}'
        if not path.exists():
            topic = TOPIC if kind == 'raw' else TOPIC + '/compressed'
            write_bag(path, {topic: bag_messages(frames, kind)}, storage, qos=[QOS])
        return path

    return bag


def player(folder, bag, *arguments):
    return running(
        [
            sys.executable,
            '-c',
            'from emotion_perception.nodes.bag_player import main; main()',
            '--ros-args',
            '-p',
            f'bag:={bag}',
            *arguments,
        ],
        folder / 'player.log',
    )


@pytest.fixture(scope='module', params=['raw', 'jpeg'])
def robot(request, tmp_path_factory):
    """Give a node with simulated time on the bags' topic, and the kind of images it takes."""
    transport = 'raw' if request.param == 'raw' else 'compressed'
    with emotion_node(
        tmp_path_factory.mktemp('node'),
        f'replay_{transport}',
        '-p',
        'use_sim_time:=true',
        '-r',
        f'image:={TOPIC}',
        '-p',
        f'image_transport:={transport}',
    ) as robot:
        robot.kind = request.param
        robot.times = []
        robot.node.create_subscription(
            Clock, '/clock', lambda message: robot.times.append(nanoseconds(message.clock)), 100
        )
        robot.wait_for(lambda: robot.reports)
        yield robot


def settle(robot):
    """Let what the test before sent arrive, and forget it: until half a second is silent."""
    silent = False
    while not silent:
        robot.results.clear()
        robot.times.clear()
        robot.spin(0.5)
        silent = not robot.results and not robot.times


def play(robot, folder, bag, *arguments):
    """Play a bag to its end; return the results."""
    (folder / 'player.log').unlink(missing_ok=True)
    settle(robot)
    # Else the first image of a bag that is played again is taken for a stamp that is off.
    client = robot.node.create_client(Trigger, f'/{robot.name}/reset_tracks')
    robot.wait_for(client.service_is_ready)
    robot.wait_done(client.call_async(Trigger.Request()))
    with player(
        folder, bag, '-p', 'wait_for_subscriber:=true', '-p', 'paused:=true', *arguments
    ) as process:
        # The first time on /clock shows that the robot hears it; images may be connected earlier.
        robot.wait_for(lambda: robot.times or process.poll() is not None)
        set_parameter(robot, 'paused', 'false')
        # To its own end; how long the middleware takes to go is not what is tested.
        log = folder / 'player.log'
        robot.wait_for(
            lambda: f'Played {COUNT} images' in log.read_text() or process.poll() is not None
        )
        assert f'Played {COUNT} images' in log.read_text(), log.read_text()
        robot.spin(0.5)
    return list(robot.results)


def plain(message):
    """Turn a message of ROS or of rosbags into lists, numbers and texts."""
    if hasattr(message, 'get_fields_and_field_types') or hasattr(message, '__dataclass_fields__'):
        names = (
            message.get_fields_and_field_types()
            if hasattr(message, 'get_fields_and_field_types')
            else message.__dataclass_fields__
        )
        return {name: plain(getattr(message, name)) for name in names if name != '__msgtype__'}
    if isinstance(message, np.ndarray):
        return message.tolist()
    return [plain(item) for item in message] if isinstance(message, list) else message


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_live_and_offline_agree_in_every_field(robot, storage, bags, tmp_path):
    bag = bags(storage, robot.kind)
    (recording,) = find_recordings([bag])
    process(recording, Settings(tmp_path))
    with Bag([tmp_path / bag.name / f'{bag.name}_0.mcap']) as results:
        expected = [
            plain(decode(message.data, EMOTION_ARRAY))
            for message in results.messages({RESULTS_TOPIC})
        ]
    assert len(expected) == COUNT and expected[-1]['faces']
    ids = []
    # Slower until nothing is dropped: how fast this machine is, is not what is tested.
    for rate in (0.5, 0.2, 0.05):
        found = [plain(message) for message in play(robot, tmp_path, bag, '-p', f'rate:={rate}')]
        if len(found) == COUNT:
            break
    else:
        pytest.skip('this machine drops images even at a twentieth of their rate')
    # Ids are not given again as long as the node runs.
    ids = {face['track_id'] for message in found for face in message['faces']}
    shift = min(ids) - 1
    for message in found:
        for face in message['faces']:
            face['track_id'] -= shift
    for message, other in zip(found, expected, strict=True):
        different = [
            (name, face[name], its[name])
            for face, its in zip(message.pop('faces'), other.pop('faces'), strict=True)
            for name in face
            if face[name] != its[name]
        ]
        assert not different
        assert message == other


@pytest.mark.parametrize('storage, rate', [('mcap', 1.0), ('sqlite3', 2.0), ('mcap', 4.0)])
def test_rates(robot, storage, rate, bags, tmp_path):
    results = play(robot, tmp_path, bags(storage, robot.kind), '-p', f'rate:={rate}')
    assert 0 < len(results) <= COUNT
    stamps = [nanoseconds(result.header.stamp) for result in results]
    assert stamps == sorted(stamps)
    # The clock covers the bag: its images were recorded 5 ms after their stamps.
    assert robot.times == sorted(robot.times)
    assert robot.times[0] >= 1_700_000_000_005_000_000
    assert robot.times[-1] >= 1_700_000_000_005_000_000 + (COUNT - 1) * 33_333_333


def test_loop_pause_and_start_offset(robot, bags, tmp_path):
    settle(robot)
    with player(
        tmp_path,
        bags('mcap', robot.kind),
        '-p',
        'loop:=true',
        '-p',
        'rate:=2.0',
        '-p',
        'start_offset:=0.9',
    ) as process:

        def stamps():
            return [nanoseconds(result.header.stamp) for result in robot.results]

        robot.wait_for(lambda: robot.results or process.poll() is not None)
        assert process.poll() is None, (tmp_path / 'player.log').read_text()
        # It began again, and the node goes on.
        robot.wait_for(lambda: np.any(np.diff(stamps()) < 0))
        assert min(stamps()) >= 1_700_000_000_895_000_000
        set_parameter(robot, 'paused', 'true')
        robot.spin(0.3)
        robot.results.clear()
        robot.times.clear()
        robot.spin(0.5)
        assert not robot.results
        assert robot.times and len(set(robot.times)) == 1  # its clock stands still
        set_parameter(robot, 'paused', 'false')
        robot.wait_for(lambda: len(robot.results) > 5)


@pytest.mark.parametrize('rate', [0.5, 4.0])
def test_what_ros2_bag_play_sends(robot, rate, bags):
    """Twice the bag, paused in its middle, and its /clock: best effort, depth 1, at 40 Hz.

    The clock is an hour ahead here, to tell it from that of the tests before.
    """
    kind = Image if robot.kind == 'raw' else CompressedImage
    topic = TOPIC if robot.kind == 'raw' else TOPIC + '/compressed'
    images = robot.node.create_publisher(kind, topic, 5)
    clock = robot.node.create_publisher(
        Clock, '/clock', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    robot.wait_for(lambda: images.get_subscription_count() and clock.get_subscription_count())
    with Bag(find_recordings([bags('sqlite3', robot.kind)])[0].paths) as bag:
        messages = list(bag.messages({topic}))
    settle(robot)
    robot.reports.clear()

    def tick(now):
        sec, nanosec = divmod(now + 3600 * 10**9, 10**9)
        clock.publish(Clock(clock=Time(sec=sec, nanosec=nanosec)))
        robot.spin(0.025)

    for _ in range(2):
        waiting, now = list(messages), messages[0].log_time
        while waiting:
            while waiting and waiting[0].log_time <= now:
                images.publish(waiting.pop(0).data)
            tick(now)
            now += round(rate * 25_000_000)
            if len(waiting) == COUNT // 2:
                for _ in range(20):
                    tick(now)
    hour = messages[0].log_time // 10**9 + 3600
    robot.wait_for(
        lambda: (
            [report for report in robot.reports if report.header.stamp.sec in (hour, hour + 1)]
            or tick(now)
        )
    )
    stamps = [nanoseconds(result.header.stamp) for result in robot.results]
    assert stamps and np.sum(np.diff(stamps) < 0) == 1
    for publisher in (images, clock):
        robot.node.destroy_publisher(publisher)


def set_parameter(robot, name, value):
    from rclpy.parameter import Parameter
    from rclpy.parameter_client import AsyncParameterClient

    client = AsyncParameterClient(robot.node, 'bag_player')
    robot.wait_for(client.services_are_ready)
    future = client.set_parameters([Parameter(name, value=value == 'true')])
    robot.wait_done(future)
    assert future.result().results[0].successful


def test_the_bags_own_qos(bags, tmp_path):
    node = rclpy.create_node('ear')
    try:
        node.create_subscription(Image, TOPIC, lambda _: None, qos_profile_sensor_data)
        with player(tmp_path, bags('mcap', 'raw'), '-p', 'rate:=0.1') as process:
            found = wait_for(
                lambda: [
                    info
                    for info in node.get_publishers_info_by_topic(TOPIC)
                    if info.node_name == 'bag_player'
                ],
                lambda: rclpy.spin_once(node, timeout_sec=0.1),
                process,
                (tmp_path / 'player.log').read_text,
            )
            assert found[0].qos_profile.reliability == ReliabilityPolicy.RELIABLE
    finally:
        node.destroy_node()


@pytest.mark.parametrize(
    'bag, reason',
    [
        ("''", 'the parameter bag is not set'),
        ('nothing', 'nothing: no such file or folder'),
        ('clip.mp4', 'clip.mp4 is not one bag'),
        ('.', 'is not one bag: a, clip'),
        ('a.mcap', 'a.mcap: is empty'),
    ],
)
def test_what_cannot_be_played_says_why(bag, reason, tmp_path):
    for name in ('clip.mp4', 'a.mcap'):
        (tmp_path / name).touch()
    with player(tmp_path, bag) as process:
        process.wait(LIMIT)
    assert process.returncode == 1
    said = (tmp_path / 'player.log').read_text()
    assert reason in said and 'Traceback' not in said


@pytest.mark.parametrize('loop', ['true', 'false'])
def test_a_start_offset_after_the_last_image_says_so(loop, bags, tmp_path):
    bag = bags('mcap', 'raw')
    with player(tmp_path, bag, '-p', 'start_offset:=60.0', '-p', f'loop:={loop}') as process:
        process.wait(LIMIT)
    assert process.returncode == 1
    said = (tmp_path / 'player.log').read_text()
    assert f'{bag} lasts 1.300 s from its first image to its last' in said
    assert 'a start_offset of 60 s leaves none to play' in said and 'Traceback' not in said


def test_topics_that_nobody_hears_hold_nothing_up(portrait, bag_messages, write_bag, tmp_path):
    heard, unheard = '/left/image_raw', '/left/image_raw/compressed'
    topics = {heard: bag_messages([portrait] * 3), unheard: bag_messages([portrait] * 3, 'jpeg')}
    bag, log = write_bag(tmp_path / 'both', topics, qos=[QOS]), tmp_path / 'player.log'
    node = rclpy.create_node('ear_of_one_topic')
    try:
        with player(tmp_path, bag, '-p', 'wait_for_subscriber:=true') as process:
            waits = f'Waits until somebody subscribes to {heard} or {unheard}'
            wait_for(lambda: waits in log.read_text(), lambda: sleep(0.1), process, log.read_text)
            node.create_subscription(Image, heard, lambda _: None, qos_profile_sensor_data)
            process.wait(LIMIT)
    finally:
        node.destroy_node()
    said = log.read_text()
    assert process.returncode == 0, said
    assert f'Nobody subscribes to {unheard}' in said and 'Played 6 images' in said


def test_an_unexpected_error_ends_it(bags, tmp_path):
    bag = shutil.copytree(bags('sqlite3', 'raw'), tmp_path / 'bag')
    (file,) = bag.glob('*.db3')
    with closing(sqlite3.connect(file)) as database:
        # A text in place of the bytes of a message: no writer of bags does that.
        database.execute("UPDATE messages SET data = 'text' WHERE id = 3")
        database.commit()
    with player(tmp_path, bag) as process:
        process.wait(LIMIT)
    said = (tmp_path / 'player.log').read_text()
    assert process.returncode == 1, said
    assert 'FATAL' in said and 'unexpected error, TypeError' in said and 'Traceback' in said


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it(bags, tmp_path, number):
    log, images = tmp_path / 'player.log', []
    node = rclpy.create_node('ear_until_a_signal')
    try:
        node.create_subscription(Image, TOPIC, images.append, qos_profile_sensor_data)
        # So fast that the signal meets it while it publishes.
        with player(
            tmp_path, bags('mcap', 'raw'), '-p', 'loop:=true', '-p', 'rate:=100.0'
        ) as process:
            wait_for(
                lambda: images,
                lambda: rclpy.spin_once(node, timeout_sec=0.1),
                process,
                log.read_text,
            )
            process.send_signal(number)
            process.wait(LIMIT)
    finally:
        node.destroy_node()
    # rcl itself says so when the signal meets a line on its way to /rosout.
    said = log.read_text().replace('Failed to publish log message to rosout', '')
    assert process.returncode == 0, said
    assert 'Traceback' not in said and 'Failed' not in said
