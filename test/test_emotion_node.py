"""The emotion node as a process of its own, over DDS."""

import array
import signal
import subprocess
import sys
from time import monotonic

import cv2
import numpy as np
import pytest
import yaml

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from rcl_interfaces.msg import ParameterType  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from emotion_perception.emotions import TrackState  # noqa: E402
from emotion_perception.nodes.messages import nanoseconds  # noqa: E402
from emotion_perception.nodes.newest_images import NewestImages  # noqa: E402
from emotion_perception.nodes.parameters import NODE_OPTIONS  # noqa: E402
from emotion_perception.options import OPTIONS  # noqa: E402
from processes import LIMIT, wait_for  # noqa: E402
from robot import count, emotion_node, EMPTY, MAIN, values  # noqa: E402

pytestmark = pytest.mark.usefixtures('ros')


@pytest.fixture(scope='module')
def robot(tmp_path_factory):
    """Give a node with default parameters, shared by the tests that leave it as it is."""
    with emotion_node(tmp_path_factory.mktemp('node'), 'emotion_node') as robot:
        yield robot.warm_up()


def test_one_result_for_every_image_also_with_no_face(robot):
    robot.results.clear()
    for _ in range(10):
        sent, result = robot.process_image(EMPTY)
        assert result.header == sent.header
        assert result.camera == 'camera'
        assert (result.image_width, result.image_height) == (160, 120)
        assert result.faces == []
    robot.spin(0.5)
    assert len(robot.results) == 10


def test_a_face_is_found_and_keeps_its_id(robot, portrait):
    results = [robot.process_image(portrait)[1] for _ in range(15)]
    (face,) = results[-1].faces
    assert {f.track_id for result in results for f in result.faces} == {face.track_id}
    assert face.state == TrackState.CONFIRMED
    assert face.roi.x_offset + face.roi.width <= 320
    assert face.sequence_length > 1 and face.sequence_duration > 0
    assert sum(face.scores) == pytest.approx(1, abs=1e-4)
    assert max(len(result.faces) for result in results) == 1


@pytest.mark.parametrize(
    'encoding, bytes_a_pixel',
    [
        ('bgr8', 3),
        ('rgb8', 3),
        ('bgra8', 4),
        ('rgba8', 4),
        ('mono8', 1),
        ('mono16', 2),
        ('yuv422', 2),
        ('yuv422_yuy2', 2),
        ('bayer_rggb8', 1),
        ('bayer_bggr8', 1),
        ('bayer_gbrg8', 1),
        ('bayer_grbg8', 1),
    ],
)
def test_every_encoding_is_processed(robot, encoding, bytes_a_pixel):
    step = 160 * bytes_a_pixel
    data = array.array('B', bytes(step * 120))
    _, result = robot.process_image(
        Image(encoding=encoding, width=160, height=120, step=step, data=data)
    )
    assert (result.image_width, result.image_height) == (160, 120)


def test_unusable_images_are_counted_and_the_node_lives_on(robot):
    before = count(robot.next_report()['camera camera'], 'images unusable')
    robot.results.clear()
    bad = [{'encoding': 'h264'}, {'step': 1}, {'height': 7}, {'width': 0, 'height': 0, 'step': 0}]
    for number, fields in enumerate(bad, start=1):
        robot.send(EMPTY, **fields)
        status = robot.next_report(
            lambda all: count(all['camera camera'], 'images unusable') >= before + number
        )
        assert status['camera camera'].level == DiagnosticStatus.WARN
    assert 'the image is empty: 0 x 0' in status['camera camera'].message
    assert robot.results == []
    assert "unknown encoding 'h264', expected one of bgr8" in robot.log()
    robot.process_image(EMPTY)


def test_unusable_images_are_logged_at_most_once_a_second(robot):
    before = robot.log().count('step is 2,')
    start = monotonic()
    for _ in range(40):
        robot.send(EMPTY, step=2)
        robot.spin(0.02)
    seconds = monotonic() - start
    robot.process_image(EMPTY)
    assert robot.log().count('step is 2,') - before <= 1 + seconds


def test_reports(robot):
    first = robot.next_report()
    for _ in range(5):
        robot.process_image(EMPTY)
    last = robot.next_report(
        lambda all: (
            count(all['camera camera'], 'images processed')
            >= count(first['camera camera'], 'images processed') + 5
        )
    )
    assert set(last) == {'camera camera', 'processing'}
    for status in last.values():
        assert status.hardware_id == 'none'
    camera = last['camera camera']
    assert values(camera)['topic'] == '/image'
    assert count(camera, 'images received') == sum(
        count(camera, f'images {what}')
        for what in ('processed', 'dropped (overload)', 'unusable', 'late (left out)')
    )
    assert last['processing'].level == DiagnosticStatus.OK
    assert len(values(last['processing'])['model SHA-256']) == 64
    stages = {key.removesuffix(' [ms/image]') for key in values(last['processing'])}
    assert {'conversion', 'detection', 'crop', 'encoding', 'head', 'publish'} <= stages


def test_a_stamp_that_goes_back_is_reported(robot):
    robot.process_image(EMPTY)
    before = count(robot.next_report()['camera camera'], 'stamps that went back')
    robot._stamp -= 10**9
    robot.send(EMPTY)  # alone, it would be left out
    robot.spin(0.3)
    robot.process_image(EMPTY)
    status = robot.next_report(
        lambda all: count(all['camera camera'], 'stamps that went back') > before
    )
    assert status['camera camera'].level == DiagnosticStatus.WARN
    assert '1 stamps went back' in status['camera camera'].message


def test_a_late_image_is_reported_and_has_no_result(robot):
    robot.process_image(EMPTY)
    before = count(robot.next_report()['camera camera'], 'images late (left out)')
    robot.results.clear()
    newest, robot._stamp = robot._stamp, robot._stamp - 10**8
    robot.send(EMPTY)
    status = robot.next_report(
        lambda all: count(all['camera camera'], 'images late (left out)') > before
    )
    robot._stamp = newest
    assert status['camera camera'].level == DiagnosticStatus.WARN
    assert '1 images left out' in status['camera camera'].message
    assert robot.results == []
    robot.process_image(EMPTY)


def test_a_change_of_image_size_is_reported(robot):
    robot.process_image(EMPTY)
    before = count(robot.next_report()['camera camera'], 'changes of image size')
    robot.process_image(np.ascontiguousarray(EMPTY[:-8]))
    status = robot.next_report(
        lambda all: count(all['camera camera'], 'changes of image size') > before
    )
    robot.process_image(EMPTY)
    assert status['camera camera'].level == DiagnosticStatus.WARN
    assert 'the size of the images changed' in status['camera camera'].message


def test_parameter_file_has_every_parameter_with_its_default(root):
    file = yaml.safe_load((root / 'config' / 'emotion.yaml').read_text())
    assert file['/**']['ros__parameters'] == {
        option.name: option.default for option in (*NODE_OPTIONS, *OPTIONS)
    }


def test_parameters_are_described(robot):
    names = [option.name for option in (*NODE_OPTIONS, *OPTIONS)]
    found = robot.wait_done(robot.parameters.describe_parameters(names)).descriptors
    for option, descriptor in zip((*NODE_OPTIONS, *OPTIONS), found):
        assert descriptor.name == option.name
        assert descriptor.description.startswith(option.description)
        assert descriptor.read_only is not option.live
        assert descriptor.type != ParameterType.PARAMETER_NOT_SET
        for limits in (*descriptor.integer_range, *descriptor.floating_point_range):
            assert (limits.from_value, limits.to_value) == (option.minimum, option.maximum)


@pytest.mark.parametrize(
    'name, value, reason',
    [
        ('neutral_threshold', 1.5, 'out of range'),
        ('neutral_threshold', float('nan'), 'neutral_threshold'),
        ('neutral_threshold', 'high', 'Wrong parameter type'),
        ('track_mode', 'farthest', 'all, nearest'),
        ('max_coast_seconds', 0.0, 'out of range'),
        ('threads', 2, 'read-only'),
    ],
)
def test_bad_value_is_refused_live_with_a_reason(robot, name, value, reason):
    (result,) = robot.wait_done(
        robot.parameters.set_parameters([Parameter(name, value=value)])
    ).results
    assert not result.successful
    assert reason in result.reason


def test_parameter_changes_live(robot, portrait):
    def set_parameter(name, value):
        (result,) = robot.wait_done(
            robot.parameters.set_parameters([Parameter(name, value=value)])
        ).results
        assert result.successful, result.reason

    for _ in range(15):
        robot.process_image(portrait)
    set_parameter('neutral_threshold', 1.0)
    _, result = robot.process_image(portrait)
    (face,) = result.faces
    assert face.label == 'neutral' or face.intensity == 1.0
    set_parameter('neutral_threshold', 0.0)
    _, result = robot.process_image(portrait)
    assert result.faces[0].label != 'neutral'


def test_the_old_name_of_a_parameter_moves_its_new_name_live(robot):
    (result,) = robot.wait_done(
        robot.parameters.set_parameters([Parameter('max_coast_frames', value=15)])
    ).results
    assert result.successful, result.reason
    (value,) = robot.wait_done(robot.parameters.get_parameters(['max_coast_seconds'])).values
    assert value.double_value == 0.5
    assert 'max_coast_frames is now max_coast_seconds' in robot.log()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_node_at_work(tmp_path, portrait, number):
    with emotion_node(tmp_path, f'ended_by_{number.name.lower()}') as robot:
        robot.warm_up(portrait)
        for _ in range(5):
            robot.send(portrait)
        robot.process.send_signal(number)
        assert robot.process.wait(LIMIT) == 0, robot.log()
        # rcl itself says so when the signal meets a line on its way to /rosout.
        log = robot.log().replace('Failed to publish log message to rosout', '')
        assert 'Traceback' not in log and 'Failed' not in log


@pytest.mark.parametrize(
    'arguments, reason',
    [
        (['scale_factor:=9.0'], 'scale_factor'),
        (['threads:=many'], 'threads'),
        (['track_mode:=farthest'], 'track_mode takes one of all, nearest'),
        (['image_transport:=theora'], 'image_transport takes one of raw, compressed'),
        (
            ['camera_names:=[a,a]', 'image_topics:=[/x,/y]'],
            'one name for each topic, all different',
        ),
        (['image_topics:=[/my-camera/image]'], '/my-camera/image'),
        (['model:=/nowhere.json'], '/nowhere.json is missing'),
        (['cascade:=/nowhere.xml'], '/nowhere.xml'),
    ],
)
def test_bad_start_says_why(tmp_path, arguments, reason):
    command = [sys.executable, '-c', MAIN, '--ros-args']
    for argument in arguments:
        command += ['-p', argument]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)
    assert ended.returncode == 1
    assert 'FATAL' in ended.stderr and reason in ended.stderr
    assert 'Traceback' not in ended.stderr


def test_an_error_in_the_work_ends_the_node(tmp_path):
    code = (
        'from emotion_perception.pipeline import EmotionPipeline\n'
        'EmotionPipeline.process_batch = lambda self, batch: 1 / 0\n' + MAIN
    )
    with emotion_node(tmp_path, 'broken_node', code=code) as robot:

        def work():
            robot.send(EMPTY)
            robot.spin(0.2)

        wait_for(lambda: robot.process.poll() is not None, work)
        assert robot.process.returncode == 1
        assert 'ZeroDivisionError' in robot.log()


def test_compressed_images(tmp_path):
    jpeg = cv2.imencode('.jpg', EMPTY)[1].tobytes()

    def message(data):
        return CompressedImage(format='jpeg', data=array.array('B', data))

    with emotion_node(
        tmp_path,
        'compressed_node',
        '-p',
        'image_transport:=compressed',
        '-r',
        'image:=/eye/image',
        image_type=CompressedImage,
        topics=['/eye/image/compressed'],
    ) as robot:
        robot.warm_up(message(jpeg))
        robot.send(message(jpeg[: len(jpeg) // 2]), '/eye/image/compressed')
        status = robot.next_report(lambda all: count(all['camera camera'], 'images unusable') == 1)
        assert 'do not decode' in status['camera camera'].message
        sent, result = robot.process_image(message(jpeg), '/eye/image/compressed')
        assert result.header == sent.header
        assert (result.image_width, result.image_height) == (160, 120)


def test_cameras_share_a_node_and_a_silent_one_holds_nobody_up(tmp_path, portrait):
    with emotion_node(
        tmp_path,
        'two_cameras',
        '-p',
        'image_topics:=[/left/image,/right/image,/dead/image]',
        '-p',
        'camera_names:=[left,right,dead]',
        topics=['/left/image', '/right/image'],
    ) as robot:
        robot.warm_up()
        for _ in range(15):
            _, left = robot.process_image(portrait, '/left/image')
            _, right = robot.process_image(EMPTY, '/right/image')
            assert (left.camera, right.camera) == ('left', 'right')
        assert len(left.faces) == 1 and right.faces == []
        status = robot.next_report(lambda all: all['camera dead'].level == DiagnosticStatus.WARN)
        assert status['camera dead'].message == 'no image on /dead/image: nobody publishes it'
        robot.next_report()
        assert robot.log().count('no image on /dead/image') == 1


def test_the_newest_image_wins_under_overload(tmp_path):
    slow = (
        'import time\n'
        'from emotion_perception.pipeline import EmotionPipeline\n'
        'process_batch = EmotionPipeline.process_batch\n'
        'def slow(self, batch):\n'
        '    time.sleep(1)\n'
        '    return process_batch(self, batch)\n'
        'EmotionPipeline.process_batch = slow\n' + MAIN
    )
    with emotion_node(tmp_path, 'slow_node', code=slow) as robot:
        robot.warm_up()
        before = count(robot.next_report()['camera camera'], 'images dropped (overload)')
        robot.results.clear()
        sent = []
        for _ in range(20):
            sent.append(robot.send(EMPTY))
            robot.spin(0.05)
        robot.wait_for(lambda: robot.results_of(sent[-1]))
        stamps = [nanoseconds(result.header.stamp) for result in robot.results]
        assert stamps == sorted(set(stamps)) and len(stamps) < len(sent)
        dropped = robot.next_report()['camera camera']
        assert count(dropped, 'images dropped (overload)') > before


def test_newest_image_replaces_the_one_before():
    images = NewestImages()
    assert not images.put('left', 1)
    assert not images.put('right', 2)
    assert images.put('left', 3)
    assert images.take() == {'left': 3, 'right': 2}
    assert not images.put('left', 4)
    images.close()
    assert images.take() == {}


def test_nodes_in_namespaces_report_under_names_of_their_own(tmp_path):
    with emotion_node(tmp_path, 'spaced', '-r', '__ns:=/left') as robot:
        robot.name = 'left/spaced'
        assert set(robot.next_report()) == {'camera camera', 'processing'}


def test_simulated_time(tmp_path):
    with emotion_node(tmp_path, 'replay', '-p', 'use_sim_time:=true') as robot:
        clock = robot.node.create_publisher(Clock, '/clock', 10)
        robot.warm_up()

        def simulated():
            clock.publish(Clock(clock=Time(sec=1234)))
            robot.spin(0.2)
            return any(report.header.stamp.sec == 1234 for report in robot.reports)

        robot.wait_for(simulated)
        robot.process_image(EMPTY)
