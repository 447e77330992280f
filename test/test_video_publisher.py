"""The video publisher as a process of its own, over DDS."""

from fractions import Fraction
from pathlib import Path
import re
import signal
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from emotion_perception.nodes.messages import bgr_from_image, nanoseconds  # noqa: E402
from emotion_perception.nodes.video_publisher import letterbox  # noqa: E402
from processes import LIMIT, wait_for  # noqa: E402

MAIN = 'from emotion_perception.nodes.video_publisher import main; main()'

pytestmark = pytest.mark.usefixtures('ros')


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Write 12 frames of 80x60 at 10 Hz that become brighter by 20 each."""
    path = tmp_path_factory.mktemp('video') / 'brighter.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (80, 60))
    for number in range(12):
        writer.write(np.full((60, 80, 3), 20 * number, np.uint8))
    writer.release()
    return path


@pytest.fixture
def listener():
    node = rclpy.create_node('viewer')
    node.images = []
    qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, 'image', node.images.append, qos)
    yield node
    node.destroy_node()


def command(*parameters):
    arguments = [sys.executable, '-c', MAIN, '--ros-args']
    for parameter in parameters:
        arguments += ['-p', parameter] if ':=' in parameter else [parameter]
    return arguments


def play(listener, folder, *parameters):
    """Publish to the end, listening; return the images and what was logged."""
    process = subprocess.Popen(
        command('wait_for_subscriber:=true', *parameters),
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(
            lambda: process.poll() is not None, lambda: rclpy.spin_once(listener, timeout_sec=0.05)
        )
    finally:
        process.kill()
    log = process.communicate()[1]
    assert process.returncode == 0, log
    for _ in range(20):
        rclpy.spin_once(listener, timeout_sec=0.05)
    return listener.images, log


def brightness(messages):
    return [round(bgr_from_image(message).mean() / 20) for message in messages]


def test_a_video_is_published_once_to_its_end(listener, video, tmp_path):
    images, log = play(
        listener,
        tmp_path,
        f'video:={video}',
        'loop:=false',
        'rate:=10.0',
        'width:=80',
        'height:=60',
        'frame_id:=eye',
    )
    assert brightness(images) == list(range(12))
    assert 'Published 12 images' in log
    assert {image.header.frame_id for image in images} == {'eye'}
    assert {(image.encoding, image.width, image.height) for image in images} == {('bgr8', 80, 60)}
    stamps = [nanoseconds(image.header.stamp) for image in images]
    assert stamps == sorted(set(stamps))


def test_a_video_keeps_its_own_speed(listener, video, tmp_path):
    images, _ = play(
        listener,
        tmp_path,
        f'video:={video}',
        'loop:=false',
        'rate:=20.0',
        'width:=80',
        'height:=60',
    )
    assert brightness(images) == [number for number in range(12) for _ in range(2)]


def test_a_video_loops_until_max_images_and_is_recorded(listener, video, tmp_path):
    images, _ = play(
        listener,
        tmp_path,
        f'video:={video}',
        'rate:=10.0',
        'max_images:=15',
        'width:=80',
        'height:=60',
        'record:=published.avi',
    )
    assert brightness(images) == [*range(12), 0, 1, 2]
    stamps = [int(line) for line in (tmp_path / 'published.avi.stamps').read_text().split()]
    assert stamps == [nanoseconds(image.header.stamp) for image in images]
    recorded = cv2.VideoCapture(str(tmp_path / 'published.avi'))
    assert [round(recorded.read()[1].mean() / 20) for _ in stamps] == brightness(images)
    assert not recorded.read()[0]


def test_a_video_of_variable_rate_keeps_its_own_times(listener, tmp_path):
    # As a browser records: no nominal rate, times in milliseconds. The name has to survive, too.
    path = tmp_path / "it's a \U0001f600 $HOME.webm"
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libvpx', rate=25)
        stream.width, stream.height = 80, 60
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate((0, 10, 20, 110, 500, 900, 910)):
            frame = av.VideoFrame.from_ndarray(np.full((60, 80, 3), 20 * number, np.uint8), 'bgr24')
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    images, _ = play(
        listener,
        tmp_path,
        f'video:="{path}"',
        'loop:=false',
        'rate:=10.0',
        'width:=80',
        'height:=60',
    )
    assert brightness(images) == [2, 3, 3, 3, 3, 4, 4, 4, 4, 6, 6]


def test_a_video_that_breaks_off_is_no_secret(listener, tmp_path):
    path = tmp_path / 'broken.mkv'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=10)
        stream.width, stream.height = 80, 60
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(
                np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8), 'bgr24'
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 10])
    images, log = play(
        listener, tmp_path, f'video:={path}', 'loop:=false', 'rate:=100.0', '--log-level', 'error'
    )
    assert images
    assert re.search(
        r'ERROR.*broken.mkv lasts 10.0 s, but holds pictures .* only for [0-2].. s', log
    )


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it(video, tmp_path, number):
    process = subprocess.Popen(
        command(f'video:={video}'), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    log = process.stderr.readline()  # once it publishes
    process.send_signal(number)
    log += process.communicate(timeout=LIMIT)[1]
    assert process.returncode == 0, log
    # rcl itself says so when the signal meets a line on its way to /rosout.
    log = log.replace('Failed to publish log message to rosout', '')
    assert 'Traceback' not in log and 'Failed' not in log


@pytest.mark.parametrize(
    'parameter, reason',
    [
        ('video:=/nowhere.mp4', '/nowhere.mp4 cannot be read as a video: no such file'),
        (f'video:={__file__}', 'it is damaged, or in no format that FFmpeg knows'),
        ('video:=/', 'cannot be read as a video: it is a folder'),
        ('video:=http://127.0.0.1:1/a.mp4', 'this address gives none (Connection refused)'),
        ('record:=~/nowhere/a.avi', f'{Path.home()}/nowhere/a.avi cannot be written: No such file'),
        ('record:=/nowhere/a.avi', '/nowhere/a.avi cannot be written: No such file or directory'),
        ('device:=63', 'webcam 63 does not open'),
        ('rate:=0.0', 'rate'),
        ('rate:=30', 'rate is 30, expected a number with a decimal point, such as 30.0'),
    ],
)
def test_bad_start_says_why(tmp_path, parameter, reason):
    ended = subprocess.run(
        command(parameter), cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT
    )
    assert ended.returncode == 1
    assert 'FATAL' in ended.stderr and reason in ended.stderr
    assert 'Traceback' not in ended.stderr


def test_a_video_without_images_is_no_success(tmp_path):
    empty = tmp_path / 'empty.avi'
    writer = cv2.VideoWriter(str(empty), cv2.VideoWriter_fourcc(*'MJPG'), 10, (80, 60))
    writer.write(np.zeros((60, 80, 3), np.uint8))
    writer.release()
    data = empty.read_bytes()
    picture = data.index(b'\xff\xd8')
    empty.write_bytes(data[:picture] + bytes(len(data) - picture))
    ended = subprocess.run(
        command(f'video:={empty}'), cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT
    )
    assert ended.returncode == 1, ended.stderr
    assert 'FATAL' in ended.stderr and 'no picture in it can be decoded' in ended.stderr
    assert 'Traceback' not in ended.stderr


def test_letterbox_keeps_proportions():
    wide = letterbox(np.full((90, 160, 3), 200, np.uint8), 640, 480)
    assert wide.shape == (480, 640, 3)
    assert (wide[60:420] == 200).all() and not wide[:60].any() and not wide[420:].any()
    tall = letterbox(np.full((200, 100, 3), 200, np.uint8), 640, 480)
    assert (tall[:, 200:440] == 200).all() and not tall[:, :200].any()
    same = np.zeros((480, 640, 3), np.uint8)
    assert letterbox(same, 640, 480) is same
