"""Every condition that emotion_node reports, brought about by real publishers."""

import array
import os
from pathlib import Path
import subprocess
import sys
from time import time_ns

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header, String  # noqa: E402

from emotion_perception.nodes import camera_problems, conditions  # noqa: E402
from emotion_perception.nodes.camera_counts import CameraCounts  # noqa: E402
from emotion_perception.nodes.camera_subscription import (  # noqa: E402
    CameraSubscription,
    EVERY_PUBLISHER,
    LATCHED,
)
from emotion_perception.nodes.messages import image_from_bgr, IMAGE_TRANSPORTS  # noqa: E402
from emotion_perception.nodes.status import silence  # noqa: E402
from emotion_perception.nodes.transport import cause_of_loss, FAST_DDS_SETTINGS  # noqa: E402
from processes import wait_for  # noqa: E402
from robot import count, emotion_node, EMPTY, MAIN, values  # noqa: E402

pytestmark = pytest.mark.usefixtures('ros')

WARN, ERROR, OK = DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.OK
CAMERAS = (
    'nobody',
    'other',
    'typed',
    'silent',
    'gone',
    'stopped',
    'zero',
    'still',
    'ahead',
    'behind',
    'old',
    'late',
    'slow',
    'good',
)


def found_in(status):
    return set(values(status).get('conditions', '').split(', ')) - {''}


def stamp(nanoseconds):
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


@pytest.fixture(scope='module')
def cameras(tmp_path_factory):
    """Give one node with a camera for each fault of a publisher, and what its publishers are."""
    topics = ','.join(f'/{name}/image' for name in CAMERAS)
    with emotion_node(
        tmp_path_factory.mktemp('conditions'),
        'doctor',
        '-p',
        f'image_topics:=[{topics}]',
        '-p',
        f'camera_names:=[{",".join(CAMERAS)}]',
        topics=[f'/{name}/image' for name in CAMERAS if name not in ('nobody', 'other', 'typed')],
    ) as robot:
        robot.others = [
            robot.node.create_publisher(CompressedImage, '/other/image/compressed', 1),
            robot.node.create_publisher(String, '/typed/image', 1),
        ]
        robot.wait_for(
            lambda: all(camera.get_subscription_count() for camera in robot.cameras.values())
        )
        for camera in ('gone', 'stopped'):
            robot.wait_for(
                lambda: (
                    publish(robot, camera, 0)
                    and any(result.camera == camera for result in robot.results)
                )
            )
        robot.node.destroy_publisher(robot.cameras['/gone/image'])
        yield robot


def publish(robot, camera, stamp_ns, **fields):
    message = image_from_bgr(EMPTY, Header(stamp=stamp(stamp_ns)))
    for name, value in fields.items():
        setattr(message, name, value)
    robot.cameras[f'/{camera}/image'].publish(message)
    robot.spin(0.1)
    return True


def wait_for_conditions(robot, camera, expected, level, work=lambda: None):
    """Wait for a report with exactly these conditions of a camera; return its status."""

    def reported():
        work()
        robot.spin(0.05)
        for message in robot.reports:
            for status in message.status:
                if status.name == f'{robot.name}: camera {camera}' and (
                    found_in(status) == expected
                ):
                    return status

    robot.reports.clear()
    status = robot.wait_for(reported)
    assert status.level == level
    return status


@pytest.mark.parametrize(
    'camera, condition, text, way_out',
    [
        (
            'nobody',
            'no_publisher',
            'no image on /nobody/image: nobody publishes it',
            'start the camera',
        ),
        (
            'other',
            'other_transport',
            'but /other/image/compressed is published',
            'set image_transport to compressed',
        ),
        (
            'typed',
            'wrong_type',
            'it carries std_msgs/msg/String, expected sensor_msgs/msg/Image',
            'set image_topics',
        ),
        (
            'silent',
            'never_arrived',
            'has arrived though it is published. Over Fast DDS both ends need '
            'FASTDDS_BUILTIN_TRANSPORTS=DEFAULT?sockets_size=4MB',
            'where the camera is started',
        ),
        ('gone', 'publisher_gone', 'its publisher has gone', 'start the camera again'),
        ('stopped', 'stopped', 's though its publisher is there', 'look at the camera'),
    ],
)
def test_why_no_image_comes(cameras, camera, condition, text, way_out):
    status = wait_for_conditions(cameras, camera, {condition}, WARN)
    assert text in status.message and way_out in values(status)['way out']

    def lines():
        return [
            line
            for line in cameras.log().splitlines()
            if f'Camera {camera}: ' in line and 'WARN' in line and text in line
        ]

    cameras.wait_for(lines)
    (line,) = lines()
    assert way_out in line


@pytest.mark.parametrize(
    'camera, condition, stamps',
    [
        ('zero', 'zero_stamps', lambda i: 0),
        ('still', 'still_stamps', lambda i: 1_700_000_000 * 10**9),
        ('ahead', 'stamps_ahead', lambda i: time_ns() + 3600 * 10**9),
        ('behind', 'stamps_behind', lambda i: 10**9 + i * 10**8),
    ],
)
def test_stamps_of_another_clock_are_a_warning_and_no_latency(cameras, camera, condition, stamps):
    sent = []

    def work():
        sent.append(publish(cameras, camera, stamps(len(sent))))

    status = wait_for_conditions(cameras, camera, {condition}, WARN, work)
    assert values(status)['median latency, stamp to result [ms]'] == 'none'
    assert int(values(status)['images processed']) > 0


def test_old_images_are_a_warning_and_an_error_by_thresholds(cameras):
    def set_parameter(name, value):
        (result,) = cameras.wait_done(
            cameras.parameters.set_parameters([Parameter(name, value=value)])
        ).results
        assert result.successful, result.reason

    def work():
        publish(cameras, 'old', time_ns() - 10**9)

    status = wait_for_conditions(cameras, 'old', {'old_images'}, WARN, work)
    assert 1000 < float(values(status)['median latency, stamp to result [ms]']) < 3000
    set_parameter('latency_error', 0.9)
    cameras.wait_for(
        lambda: (
            work()
            or any(
                status.level == ERROR
                for message in cameras.reports
                for status in message.status
                if status.name.endswith('camera old')
            )
        )
    )
    set_parameter('latency_error', 2.0)
    set_parameter('latency_warn', 5.0)
    wait_for_conditions(cameras, 'old', set(), OK, work)
    set_parameter('latency_warn', 0.5)


def test_a_good_camera_has_no_condition(cameras):
    latency = 'none'  # of a second in which no image was answered yet
    while latency == 'none':
        status = wait_for_conditions(
            cameras, 'good', set(), OK, lambda: publish(cameras, 'good', time_ns())
        )
        latency = values(status)['median latency, stamp to result [ms]']
    assert 'images/s' in status.message
    assert float(latency) < 500


def test_a_camera_so_slow_that_no_face_is_seen_twice_is_no_secret(cameras, portrait):
    face = image_from_bgr(portrait, Header())
    fields = {name: getattr(face, name) for name in ('data', 'height', 'width', 'step')}
    stamps = iter(range(0, 1000 * 10**9, 5 * 10**9))
    cameras.reports.clear()
    cameras.wait_for(
        lambda: any(
            'gaps' in found_in(status) and 'max_coast_seconds' in values(status)['way out']
            for message in cameras.reports
            for status in message.status
            if status.name.endswith('camera slow')
        ),
        lambda: publish(cameras, 'slow', 1_700_000_000 * 10**9 + next(stamps), **fields),
    )


def test_a_late_image_another_size_and_a_jump_back_each_have_their_condition(cameras):
    publish(cameras, 'late', time_ns())
    publish(cameras, 'late', time_ns())

    def in_time():
        publish(cameras, 'late', time_ns())

    wait_for_conditions(cameras, 'late', set(), OK, in_time)
    publish(cameras, 'late', time_ns() - 400_000_000)
    wait_for_conditions(cameras, 'late', {'late_images'}, WARN, in_time)
    publish(cameras, 'late', time_ns(), width=80, height=240, step=240)
    wait_for_conditions(cameras, 'late', {'resized'}, WARN)
    wait_for_conditions(
        cameras,
        'late',
        set(),
        OK,
        lambda: publish(cameras, 'late', time_ns(), width=80, height=240, step=240),
    )
    for _ in range(2):  # one alone would be left out
        publish(cameras, 'late', time_ns() - 30 * 10**9, width=80, height=240, step=240)
        cameras.spin(0.1)
    cameras.wait_for(
        lambda: (
            cameras.spin(0.1)
            or any(
                'restarted' in found_in(status)
                for message in cameras.reports
                for status in message.status
                if status.name.endswith('camera late')
            )
        )
    )


def test_a_camera_that_is_started_again_is_reported(cameras):
    def work():
        publish(cameras, 'good', time_ns())

    wait_for_conditions(cameras, 'good', set(), OK, work)
    cameras.node.destroy_publisher(cameras.cameras['/good/image'])
    cameras.spin(1.5)
    cameras.cameras['/good/image'] = cameras.node.create_publisher(
        Image, '/good/image', qos_profile_sensor_data
    )
    wait_for_conditions(cameras, 'good', {'new_publisher'}, WARN)
    wait_for_conditions(cameras, 'good', set(), OK, work)


def test_images_published_before_the_node_started_arrive(tmp_path):
    node = rclpy.create_node('latched_camera')
    publisher = node.create_publisher(Image, '/latched/image', LATCHED)
    publisher.publish(image_from_bgr(EMPTY, Header(stamp=stamp(7))))
    with emotion_node(
        tmp_path, 'late_comer', '-p', 'image_topics:=[/latched/image]', topics=()
    ) as robot:
        robot.wait_for(lambda: robot.results)
        robot.spin(2.0)
        (result,) = robot.results
        assert result.header.stamp == stamp(7)
        # A second publisher that keeps nothing is received as well.
        robot.cameras['volatile'] = robot.node.create_publisher(
            Image, '/latched/image', qos_profile_sensor_data
        )
        robot.wait_for(
            lambda: robot.send(EMPTY, 'volatile') and not robot.spin(0.2) and len(robot.results) > 3
        )
    node.destroy_node()


class Ears:
    """What a CameraSubscription tells of: in place of Diagnostics."""

    def __init__(self):
        self.policy = ''

    def incompatible(self, camera, policy):
        self.policy = policy

    def lost(self, camera, event):
        pass


def test_a_quality_of_service_that_does_not_match_is_reported_until_it_is_adapted():
    node = rclpy.create_node('mismatch')
    ears, images = Ears(), []
    for name, value in (('loss_warn', 0.1), ('loss_error', 0.5)):
        node.declare_parameter(name, value)

    def spin_until(condition):
        wait_for(condition, lambda: rclpy.spin_once(node, timeout_sec=0.05))

    latched = node.create_publisher(Image, '/mixed/image', LATCHED)
    camera = CameraSubscription(
        node,
        'mixed',
        IMAGE_TRANSPORTS['raw'],
        '/mixed/image',
        lambda camera, message: images.append(message),
        ears,
    )
    spin_until(latched.get_subscription_count)
    camera.adapt()  # all publishers are latched
    node.destroy_publisher(latched)
    volatile = node.create_publisher(Image, '/mixed/image', EVERY_PUBLISHER)
    spin_until(lambda: ears.policy)
    counts = CameraCounts('/mixed/image', incompatible=ears.policy, newest=-1e9)
    (problem,) = camera_problems.Judge(node, 'raw').problems(counts, CameraCounts('/mixed/image'))
    assert problem.name == 'incompatible_qos' and ears.policy in problem.text
    (problem,) = silence(node, '/nowhere', -1e9)
    assert problem.name == 'no_results' and 'no results on /nowhere: nobody' in problem.text
    camera.adapt()
    assert ears.policy == ''
    spin_until(volatile.get_subscription_count)
    volatile.publish(image_from_bgr(EMPTY, Header()))
    spin_until(lambda: images)
    node.destroy_node()


SMALL_SEGMENT = """
import sys, time
import numpy as np, rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from emotion_perception.nodes.messages import image_from_bgr
rclpy.init()
node = rclpy.create_node('large_camera')
publisher = node.create_publisher(Image, 'image', qos_profile_sensor_data)
message = image_from_bgr(np.zeros((720, 1280, 3), np.uint8), Header())
while True:
    message.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(message)
    time.sleep(0.02)
"""


def test_heavy_loss_is_an_error_that_names_its_cause(tmp_path):
    environment = {
        name: value for name, value in os.environ.items() if name not in FAST_DDS_SETTINGS
    }
    with emotion_node(tmp_path, 'loser', topics=()) as robot:
        camera = subprocess.Popen(
            [sys.executable, '-c', SMALL_SEGMENT], cwd=tmp_path, env=environment
        )
        try:
            status = robot.next_report(
                lambda all: (
                    'lost' in found_in(all['camera camera']) and all['camera camera'].level == ERROR
                )
            )['camera camera']
        finally:
            camera.terminate()
            camera.wait()
        assert 'lost on the way. Over Fast DDS both ends need' in status.message
        assert count(status, 'images lost in transport') > 5


@pytest.mark.parametrize(
    'image_bytes, elsewhere, environment, rmem_max, cause, details',
    [
        (0, False, {}, None, 'setting_missing', {}),
        (0, False, FAST_DDS_SETTINGS, None, 'publisher_setting', {}),
        (
            0,
            False,
            FAST_DDS_SETTINGS | {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
            None,
            'localhost',
            {'variable': 'ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST'},
        ),
        (
            0,
            False,
            FAST_DDS_SETTINGS | {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'subnet'},  # ROS warns of it
            None,
            'localhost',
            {'variable': 'ROS_AUTOMATIC_DISCOVERY_RANGE=subnet'},
        ),
        (0, False, FAST_DDS_SETTINGS | {'ROS_LOCALHOST_ONLY': '1'}, None, 'localhost', {}),
        (24_883_200, False, FAST_DDS_SETTINGS, None, 'image_too_large', {'fitting': 14}),
        (7_000_000, False, FAST_DDS_SETTINGS, None, 'publisher_setting', {}),
        (900_000, True, FAST_DDS_SETTINGS, '212992', 'rmem_max', {'needed': 4_000_000}),
        (900_000, True, FAST_DDS_SETTINGS, '4194304', 'network', {}),
        (
            900_000,
            True,
            {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'},
            None,
            'publisher_setting',
            {},
        ),
    ],
)
def test_causes_of_loss(tmp_path, image_bytes, elsewhere, environment, rmem_max, cause, details):
    file = tmp_path / 'rmem_max'
    if rmem_max:
        file.write_text(rmem_max + '\n')
    found, filled_in = cause_of_loss('rmw_fastrtps_cpp', image_bytes, elsewhere, environment, file)
    assert found == cause
    assert details.items() <= filled_in.items()
    problem = conditions.problem(found, WARN, **filled_in)
    assert '{' not in problem.text + problem.way_out


def test_another_middleware_is_named():
    assert cause_of_loss('rmw_zenoh_cpp', 0, False)[0] == 'other_middleware'


def test_two_nodes_of_one_name_are_reported(tmp_path):
    with emotion_node(tmp_path, 'twin') as robot, emotion_node(tmp_path, 'twin', topics=()):
        status = robot.next_report(lambda all: 'same_name' in found_in(all['processing']))
        assert status['processing'].level == WARN
        assert '2 nodes are called /twin' in status['processing'].message


def test_a_clock_that_does_not_come_is_reported(tmp_path):
    with emotion_node(tmp_path, 'timeless', '-p', 'use_sim_time:=true') as robot:
        status = robot.next_report(lambda all: 'no_clock' in found_in(all['processing']))
        assert status['processing'].level == WARN
        robot.warm_up()
        robot.process_image(EMPTY)
        status = robot.next_report(
            lambda all: values(all['camera camera'])['rate of images [Hz]'] != '0.0'
        )
        assert values(status['camera camera'])['median latency, stamp to result [ms]'] == 'none'


#: A pipeline that cannot bear images of 98 columns.
TOUCHY = (
    'from emotion_perception.pipeline import EmotionPipeline\n'
    'process_batch = EmotionPipeline.process_batch\n'
    'def touchy(self, batch):\n'
    '    for _, image, _ in batch:\n'
    '        if image.shape[1] == 98: raise IndexError("98 is too many")\n'
    '    return process_batch(self, batch)\n'
    'EmotionPipeline.process_batch = touchy\n' + MAIN
)


def test_an_unexpected_error_costs_one_image_and_its_camera_the_faces(tmp_path, portrait):
    with emotion_node(
        tmp_path,
        'hurt',
        '-p',
        'image_topics:=[/l/image,/r/image]',
        '-p',
        'camera_names:=[l,r]',
        topics=['/l/image', '/r/image'],
        code=TOUCHY,
    ) as robot:
        robot.warm_up(portrait)
        ids = []
        for _ in range(12):
            results = [robot.process_image(portrait, f'/{camera}/image')[1] for camera in 'lr']
        ids = [result.faces[0].track_id for result in results]
        robot.send(np.zeros((98, 98, 3), np.uint8), '/l/image')
        status = robot.next_report(lambda all: 'internal_error' in found_in(all['camera l']))
        assert status['camera l'].level == ERROR
        assert 'IndexError: 98 is too many' in status['camera l'].message
        assert 'internal_error' not in found_in(status['camera r'])
        assert 'Traceback' in robot.log() and 'IndexError: 98 is too many' in robot.log()
        for _ in range(12):
            results = [robot.process_image(portrait, f'/{camera}/image')[1] for camera in 'lr']
        assert results[0].faces[0].track_id == ids[0] + 1
        assert results[1].faces[0].track_id == ids[1]
        status = robot.next_report(lambda all: all['camera l'].level != ERROR)
        assert count(status['camera l'], 'unexpected errors') == 1


def test_unusable_images_of_every_kind_are_counted(tmp_path):
    with emotion_node(tmp_path, 'strict', '-p', 'max_pixels:=20000') as robot:
        robot.warm_up()
        robot.send(np.zeros((200, 200, 3), np.uint8))
        status = robot.next_report(lambda all: 'unusable' in found_in(all['camera camera']))
        assert '200 x 200 = 40000 pixels, expected at most 20000' in status['camera camera'].message
        robot.process_image(EMPTY)


def test_sideways_cameras_see_faces_where_they_are(tmp_path, portrait):
    names = ['up', 'right', 'down', 'left']
    turns = [None, cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE]
    image = portrait[:, :300]
    with emotion_node(
        tmp_path,
        'tilted',
        '-p',
        f'image_topics:=[{",".join(f"/{n}/image" for n in names)}]',
        '-p',
        f'camera_names:=[{",".join(names)}]',
        '-p',
        'rotation:=[0,90,180,270]',
        topics=[f'/{name}/image' for name in names],
    ) as robot:
        robot.warm_up()
        faces = {}
        for name, turn in zip(names, turns):
            seen = image if turn is None else cv2.rotate(image, turn)
            for _ in range(12):
                _, result = robot.process_image(np.ascontiguousarray(seen), f'/{name}/image')
            assert (result.image_height, result.image_width) == seen.shape[:2]
            (face,) = result.faces
            roi = face.roi
            mask = np.zeros(seen.shape[:2], np.uint8)
            mask[
                roi.y_offset : roi.y_offset + roi.height, roi.x_offset : roi.x_offset + roi.width
            ] = 1
            back = {
                None: None,
                **dict(
                    zip(
                        turns[1:],
                        (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE),
                    )
                ),
            }[turn]
            faces[name] = mask if back is None else cv2.rotate(mask, back)
    for name in names[1:]:
        both = (faces[name] & faces['up']).sum() / (faces[name] | faces['up']).sum()
        assert both > 0.95, name


def test_compressed_images_of_16_bits_and_huge_ones(tmp_path, portrait):
    def png(image):
        return CompressedImage(
            format='16UC1; png compressed',
            data=array.array('B', cv2.imencode('.png', image)[1].tobytes()),
        )

    grey = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY).astype(np.uint16) << 2  # 10 bits
    topic = '/eye/image/compressed'
    with emotion_node(
        tmp_path,
        'infrared',
        '-p',
        'image_transport:=compressed',
        '-p',
        'image_topics:=[/eye/image]',
        image_type=CompressedImage,
        topics=[topic],
    ) as robot:
        robot.warm_up(png(grey))
        for _ in range(12):
            _, result = robot.process_image(png(grey), topic)
        assert len(result.faces) == 1
        robot.send(png(np.zeros((8000, 8000), np.uint8)), topic)
        status = robot.next_report(lambda all: 'unusable' in found_in(all['camera camera']))
        assert '8000 x 8000' in status['camera camera'].message


@pytest.mark.parametrize(
    'condition', (*conditions.CONDITIONS, *conditions.CAUSES), ids=lambda condition: condition.name
)
def test_no_condition_is_dead(condition):
    nodes = Path(conditions.__file__).parent
    assert any(
        f"'{condition.name}'" in path.read_text()
        for path in nodes.glob('*.py')
        if path.name != 'conditions.py'
    )
    assert condition.text and condition.way_out and len(condition.text) < 100
