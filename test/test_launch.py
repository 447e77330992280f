"""The launch files, run by ros2 launch."""

from contextlib import contextmanager
from importlib.util import find_spec
import os
import re
import shutil
import signal
import subprocess

import cv2
import numpy as np
import pytest

pytest.importorskip('launch_ros', reason='needs launch and launch_ros, which pip does not have')
rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')
if shutil.which('ros2') is None:
    pytest.skip('needs the command ros2', allow_module_level=True)

from rclpy.parameter import parameter_value_to_python  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from emotion_perception.msg import EmotionArray  # noqa: E402
from emotion_perception.nodes.messages import image_from_bgr  # noqa: E402
from processes import wait_for  # noqa: E402

LIMIT = 120.0  # seconds after which a test gives up; nothing is judged by its duration


NODE = {'model', 'autostart', 'respawn', 'params_file', 'camera_name'}
EVERYWHERE = {'namespace', 'log_level', 'large_data', 'enclaves'}
OUTPUTS = {
    'annotated_image',
    'detections',
    'foxglove_annotations',
    'ros4hri',
    'behaviour_node',
    'rules',
    'behaviour_params_file',
    'rviz',
}
TOPIC = {'image_topic', 'image_transport'}
CLOCK = {'use_sim_time'}


@pytest.mark.parametrize(
    'file, arguments',
    [
        ('emotion.launch.py', NODE | TOPIC | CLOCK),
        ('demo.launch.py', {'video'} | NODE),
        ('replay.launch.py', {'bag', 'rate', 'loop', 'start_offset'} | NODE | TOPIC | OUTPUTS),
        ('outputs.launch.py', {'params_file', 'camera_name'} | TOPIC | CLOCK | OUTPUTS),
        ('webcam.launch.py', {'device'} | NODE | OUTPUTS),
        ('cameras.launch.py', NODE | TOPIC | CLOCK | OUTPUTS),
        ('everything.launch.py', NODE | TOPIC | CLOCK | OUTPUTS),
        ('behaviours.launch.py', NODE | TOPIC | CLOCK | OUTPUTS),
    ],
)
def test_the_arguments_that_a_file_follows_are_listed_and_described(file, arguments):
    shown = subprocess.run(
        ['ros2', 'launch', 'emotion_perception', file, '--show-args'],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    ).stdout
    assert sorted(re.findall(r"^    '(\w+)':$", shown, re.MULTILINE)) == sorted(
        arguments | EVERYWHERE
    )
    assert 'no description given' not in shown.lower()


@contextmanager
def launched(log, file, *arguments):
    """Run a launch file; what it says goes to log."""
    with log.open('w') as stream:
        launch = subprocess.Popen(
            ['ros2', 'launch', 'emotion_perception', file, *arguments],
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield launch
    finally:
        # As Ctrl-C does in a terminal: to launch and to the nodes.
        if launch.poll() is None:
            os.killpg(launch.pid, signal.SIGINT)
        launch.wait(LIMIT)


def publish_until(node, topics, condition, launch, log):
    """Publish grey images on the topics until the condition holds."""
    publishers = [node.create_publisher(Image, topic, qos_profile_sensor_data) for topic in topics]

    def work():
        for publisher in publishers:
            publisher.publish(
                image_from_bgr(
                    np.full((120, 160, 3), 90, np.uint8),
                    Header(stamp=node.get_clock().now().to_msg(), frame_id='eye'),
                )
            )
        rclpy.spin_once(node, timeout_sec=0.1)

    wait_for(
        lambda: condition() or launch.poll() is not None, work, told=log.read_text, limit=LIMIT
    )
    return condition()


@pytest.fixture
def listener(ros):
    node = rclpy.create_node('listener_at_launch')
    yield node
    node.destroy_node()


def test_everything_is_on_and_follows_the_arguments(listener, tmp_path):
    log = tmp_path / 'log'
    seen, results = [], []
    listener.create_subscription(
        CompressedImage, '/robot/annotated_image/front/compressed', seen.append, 1
    )
    listener.create_subscription(EmotionArray, '/robot/emotion_node/emotions', results.append, 1)
    expected = {('/robot', name) for name in ('emotion_node', 'annotated_image', 'behaviour_node')}
    missing = 0
    for name, package in (
        ('detections', 'vision_msgs'),
        ('ros4hri', 'hri_msgs'),
        ('foxglove_annotations', 'foxglove_msgs'),
    ):
        if find_spec(package):
            expected.add(('/robot', name))
        else:
            missing += 1
    with launched(
        log, 'everything.launch.py', 'image_topic:=/eye', 'camera_name:=front', 'namespace:=robot'
    ) as launch:

        def complete():
            nodes = {(space, name) for name, space in listener.get_node_names_and_namespaces()}
            return (
                seen
                and results
                and nodes >= expected
                and log.read_text().count('_msgs is not installed: apt') == missing
            )

        assert publish_until(listener, ['/eye'], complete, launch, log), log.read_text()
    assert results[-1].camera == 'front'
    assert 'Traceback' not in log.read_text()


def test_outputs_can_be_switched_and_have_enclaves(listener, tmp_path):
    log = tmp_path / 'log'
    with launched(
        log,
        'outputs.launch.py',
        'annotated_image:=false',
        'behaviour_node:=true',
        'enclaves:=/emotion_perception',
    ) as launch:

        def nodes():
            return {
                name: enclave
                for name, _, enclave in listener.get_node_names_and_namespaces_with_enclaves()
            }

        assert publish_until(listener, [], lambda: 'behaviour_node' in nodes(), launch, log)
        assert 'annotated_image' not in nodes()
        assert nodes()['behaviour_node'] == '/emotion_perception/behaviour_node'


def test_cameras_of_one_file(listener, tmp_path):
    file = tmp_path / 'two.yaml'
    file.write_text(
        '/**:\n  ros__parameters:\n    image_topics: [/left/eye, /right/eye]\n'
        '    camera_names: [left, right]\n'
    )
    results, seen = [], []
    listener.create_subscription(EmotionArray, '/emotion_node/emotions', results.append, 10)
    listener.create_subscription(Image, '/annotated_image/right', seen.append, 1)
    log = tmp_path / 'log'
    with launched(log, 'cameras.launch.py', f'params_file:={file}') as launch:

        def complete():
            return seen and {result.camera for result in results} == {'left', 'right'}

        assert publish_until(listener, ['/left/eye', '/right/eye'], complete, launch, log)


@pytest.mark.parametrize('are_given', [False, True])
def test_what_is_not_given_stays_as_the_files_have_it(are_given, listener, tmp_path):
    in_file, argument = tmp_path / 'in_file.yaml', tmp_path / 'argument.yaml'
    for rules in (in_file, argument):
        rules.write_text('rules: {smile: {behaviour: say}}')
    params_file, behaviour_params_file = tmp_path / 'emotion.yaml', tmp_path / 'behaviour.yaml'
    params_file.write_text('/**: {ros__parameters: {use_sim_time: true}}')
    behaviour_params_file.write_text(
        f'/**: {{ros__parameters: {{use_sim_time: true, rules: {in_file}}}}}'
    )
    log = tmp_path / 'log'
    with launched(
        log,
        'outputs.launch.py',
        'behaviour_node:=true',
        f'params_file:={params_file}',
        f'behaviour_params_file:={behaviour_params_file}',
        *(['use_sim_time:=false', f'rules:={argument}'] if are_given else []),
    ) as launch:

        def values(node, *names):
            client = AsyncParameterClient(listener, node)
            assert publish_until(listener, [], client.services_are_ready, launch, log)
            future = client.get_parameters(names)
            assert publish_until(listener, [], future.done, launch, log)
            return [parameter_value_to_python(value) for value in future.result().values]

        assert values('annotated_image', 'use_sim_time') == [not are_given]
        assert values('behaviour_node', 'use_sim_time', 'rules') == [
            not are_given,
            str(argument if are_given else in_file),
        ]


def test_a_webcam_that_does_not_open_ends_its_launch():
    ended = subprocess.run(
        ['ros2', 'launch', 'emotion_perception', 'webcam.launch.py', 'device:=63'],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert 'webcam 63 does not open' in ended.stdout + ended.stderr


@pytest.fixture
def video(tmp_path):
    path = tmp_path / 'grey.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 30, (160, 120))
    for _ in range(3):
        writer.write(np.full((120, 160, 3), 90, np.uint8))
    writer.release()
    return path


def test_demo_ends_with_its_node(video):
    ended = subprocess.run(
        [
            'ros2',
            'launch',
            'emotion_perception',
            'demo.launch.py',
            f'video:={video}',
            'model:=/nowhere.json',
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert '/nowhere.json is missing' in ended.stdout + ended.stderr
    assert ended.returncode == 1


def test_demo_loops_a_video_through_the_node(ros, video, monkeypatch):
    monkeypatch.delenv('FASTDDS_BUILTIN_TRANSPORTS', raising=False)

    launch = subprocess.Popen(
        [
            'ros2',
            'launch',
            'emotion_perception',
            'demo.launch.py',
            f'video:={video}',
            'namespace:=robot',
            'camera_name:=front',
            'image_topic:=/elsewhere',
            'image_transport:=compressed',
            'use_sim_time:=true',
        ],
        start_new_session=True,
    )
    results = []
    try:
        node = rclpy.create_node('listener')
        node.create_subscription(EmotionArray, '/robot/emotion_node/emotions', results.append, 10)
        # More than the video has, so it was played again.
        wait_for(
            lambda: len(results) >= 5,
            lambda: rclpy.spin_once(node, timeout_sec=0.1),
            launch,
            limit=LIMIT,
        )
        node.destroy_node()
    finally:
        # As Ctrl-C does in a terminal: to launch and to the nodes.
        os.killpg(launch.pid, signal.SIGINT)
        launch.wait(LIMIT)
    assert {result.camera for result in results} == {'front'}
    assert (results[0].image_width, results[0].image_height) == (640, 480)


def test_replay_ends_with_the_bag(listener, tmp_path, portrait, bag_messages, write_bag):
    bag = write_bag(tmp_path / 'run', {'/eye': bag_messages([portrait] * 30)})
    results, log = [], tmp_path / 'log'
    listener.create_subscription(EmotionArray, '/emotion_node/emotions', results.append, 100)
    # An output that has no messages, as here perhaps this one, ends alone. Slowly: a second of
    # results may be over before the listener has met the node.
    with launched(
        log,
        'replay.launch.py',
        f'bag:={bag}',
        'image_topic:=/eye',
        'rate:=0.25',
        'foxglove_annotations:=true',
        'annotated_image:=true',
    ) as launch:
        publish_until(listener, [], lambda: launch.poll() is not None, launch, log)
        assert launch.poll() == 0, log.read_text()
    assert results and results[-1].faces
    assert all(result.header.stamp.sec in (1_700_000_000, 1_700_000_001) for result in results)
