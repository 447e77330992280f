"""The launch files, run by ros2 launch."""
import os
import shutil
import signal
import subprocess
import time

import cv2
import numpy as np
import pytest

pytest.importorskip('launch_ros', reason='needs launch and launch_ros, which pip does not have')
rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')
if shutil.which('ros2') is None:
    pytest.skip('needs the command ros2', allow_module_level=True)

from emotion_perception.msg import EmotionArray  # noqa: E402

LIMIT = 120.0  # seconds after which a test gives up; nothing is judged by its duration


@pytest.mark.parametrize('file, arguments', [
    ('emotion.launch.py', ['params_file', 'image_topic', 'camera_name', 'image_transport', 'model',
                           'namespace', 'use_sim_time', 'log_level', 'large_data']),
    ('demo.launch.py', ['video', 'camera', 'namespace', 'large_data']),
])
def test_arguments_are_described(file, arguments):
    shown = subprocess.run(['ros2', 'launch', 'emotion_perception', file, '--show-args'],
                           capture_output=True, text=True, check=True, timeout=LIMIT).stdout
    for argument in arguments:
        assert f"'{argument}':" in shown
    assert 'no description given' not in shown.lower()


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
        ['ros2', 'launch', 'emotion_perception', 'demo.launch.py', f'video:={video}',
         'model:=/nowhere.json'], capture_output=True, text=True, timeout=LIMIT)
    assert '/nowhere.json is missing' in ended.stdout + ended.stderr


def test_demo_loops_a_video_through_the_node(ros, video, monkeypatch):
    monkeypatch.delenv('FASTDDS_BUILTIN_TRANSPORTS', raising=False)

    launch = subprocess.Popen(
        ['ros2', 'launch', 'emotion_perception', 'demo.launch.py', f'video:={video}',
         'namespace:=robot', 'camera_name:=front', 'image_topic:=/elsewhere',
         'image_transport:=compressed', 'use_sim_time:=true'], start_new_session=True)
    results = []
    try:
        node = rclpy.create_node('listener')
        node.create_subscription(
            EmotionArray, '/robot/emotion_node/emotions', results.append, 10)
        end = time.monotonic() + LIMIT
        # More than the video has, so it was played again.
        while len(results) < 5 and launch.poll() is None and time.monotonic() < end:
            rclpy.spin_once(node, timeout_sec=0.1)
        node.destroy_node()
    finally:
        # As Ctrl-C does in a terminal: to launch and to the nodes.
        os.killpg(launch.pid, signal.SIGINT)
        launch.wait(LIMIT)
    assert len(results) >= 5
    assert {result.camera for result in results} == {'front'}
    assert (results[0].image_width, results[0].image_height) == (640, 480)
