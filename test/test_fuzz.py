"""Random images through the real node: it lives, its memory stays, and everything is counted.

FUZZ_IMAGES sets how many; as it comes, a few hundred.
"""

import array
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from builtin_interfaces.msg import Time  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from robot import count, emotion_node  # noqa: E402

IMAGES = int(os.environ.get('FUZZ_IMAGES', 400))
CAMERAS = ('a', 'b', 'c')
#: Encodings and what a pixel takes [bytes]; the last three are never right.
ENCODINGS = {
    'bgr8': 3,
    'rgb8': 3,
    'bgra8': 4,
    'rgba8': 4,
    '8UC4': 4,
    'mono8': 1,
    'mono16': 2,
    '16UC1': 2,
    'bgr16': 6,
    'yuv422': 2,
    'yuv422_yuy2': 2,
    'nv12': 1.5,
    'nv21': 1.5,
    'nv24': 3,
    'bayer_rggb8': 1,
    'bayer_gbrg16': 2,
    '32FC1': 4,
    'h264': 1,
    '': 1,
}

pytestmark = pytest.mark.usefixtures('ros')


class Stream:
    """One camera that does everything wrong that a camera can do."""

    def __init__(self, seed, face):
        self._random = np.random.default_rng(seed)
        self._face = face
        self._stamp = 10**9
        self._at = 0.0  # where the face is, in widths of the image
        self._size = 240, 320

    def message(self):
        random = self._random
        if random.random() < 0.05:
            self._size = tuple(int(side) for side in random.integers(1, 500, 2))
        encoding = random.choice(list(ENCODINGS)) if random.random() < 0.3 else 'bgr8'
        height, width = self._size
        image = self._picture(height, width)
        step = int(width * (ENCODINGS[encoding] if encoding[:2] != 'nv' else 1))
        step += int(random.integers(0, 9)) * (random.random() < 0.2)
        if encoding == 'bgr8':
            data = np.zeros((height, step), np.uint8)
            data[:, : width * 3] = image.reshape(height, -1)
        else:
            rows = int(height * (ENCODINGS[encoding] if encoding[:2] == 'nv' else 1))
            data = random.integers(0, 256, rows * step, np.uint8)
        if random.random() < 0.05:
            step = int(random.integers(0, 4000))
        if random.random() < 0.03:
            data = data.reshape(-1)[: int(random.integers(0, data.size + 1))]
        self._stamp += (
            int(random.choice([33, 33, 33, 33, 33, 0, -1, -40, 600, 2000, -5000, 3_600_000]))
            * 10**6
        )
        self._stamp = max(self._stamp, 0)
        header = Header(stamp=Time(sec=self._stamp // 10**9 % 2**31, nanosec=self._stamp % 10**9))
        return Image(
            header=header,
            height=height,
            width=width,
            encoding=encoding,
            step=step,
            is_bigendian=int(random.integers(0, 2)),
            data=array.array('B', np.ascontiguousarray(data).tobytes()),
        )

    def _picture(self, height, width):
        """Draw the face, which walks through the image and comes and goes."""
        image = np.full((height, width, 3), 120, np.uint8)
        self._at = (self._at + 0.04) % 1.6
        side = max(int(min(height, width) * 0.9), 1)
        face = cv2.resize(self._face, (side, side))
        left = int((self._at - 0.4) * width)
        begin, end = max(left, 0), min(left + side, width)
        if begin < end:
            image[:side, begin:end] = face[:, begin - left : end - left]
        return image


def memory(process):
    status = Path(f'/proc/{process.pid}/status').read_text()
    return int(status.split('VmRSS:')[1].split()[0]) / 1e3


@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='memory is read from /proc')
def test_random_images_are_answered_or_counted(tmp_path, portrait):
    topics = [f'/{camera}/image' for camera in CAMERAS]
    with emotion_node(
        tmp_path,
        'fuzzed',
        '-p',
        f'image_topics:=[{",".join(topics)}]',
        '-p',
        f'camera_names:=[{",".join(CAMERAS)}]',
        '-p',
        'rotation:=[0,90,180]',
        '-p',
        'min_face_size:=32',
        topics=topics,
    ) as robot:
        robot.warm_up(portrait)
        streams = [Stream(seed, portrait[:200, 60:260]) for seed in range(len(CAMERAS))]
        megabytes = []
        for number in range(IMAGES):
            message = streams[number % len(CAMERAS)].message()
            robot.cameras[topics[number % len(CAMERAS)]].publish(message)
            robot.spin(0.005)
            if number % max(IMAGES // 40, 1) == 0:
                megabytes.append(memory(robot.process))
        robot.spin(2.0)
        status = robot.next_report()
        answered = 0
        for camera in CAMERAS:
            found = status[f'camera {camera}']
            received = count(found, 'images received')
            assert received + count(found, 'images lost in transport') <= IMAGES
            assert count(found, 'unexpected errors') == 0, robot.log()
            assert count(found, 'images unusable') > 0
            assert received == sum(
                count(found, f'images {what}')
                for what in ('processed', 'dropped (overload)', 'unusable', 'late (left out)')
            )
            answered += count(found, 'images processed')
        assert answered > IMAGES / 10
        # Buffers grow to the largest image that has come; after that nothing does.
        half = len(megabytes) // 2
        assert max(megabytes[half:]) < max(megabytes[:half]) + 60, megabytes
        print(f'{IMAGES} images, {answered} answered, memory [MB]: {megabytes}')
        assert 'Traceback' not in robot.log()
        for topic in topics:
            robot.results.clear()
            # Behind the last stamp, the first ones may be left out.
            robot.wait_for(lambda: robot.results, lambda: robot.send(portrait, topic))
