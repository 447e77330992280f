"""Whole processes around emotion_node that are killed, hang or change: one node lives through all."""

import shutil
import signal
import sys
from time import sleep

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from emotion_perception.recognition import shipped_model  # noqa: E402
from processes import LIMIT, running, wait_for  # noqa: E402
from robot import count, emotion_node, values  # noqa: E402

pytestmark = pytest.mark.usefixtures('ros')

#: Publishes the pixels of a file under the clock's time: file, encoding, reliability.
CAMERA = """
import sys, time
import numpy as np, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

pixels, encoding = np.load(sys.argv[1]), sys.argv[2]
rclpy.init()
node = rclpy.create_node('camera')
publisher = node.create_publisher(
    Image, 'image', QoSProfile(depth=5, reliability=ReliabilityPolicy[sys.argv[3]])
)
height, width = pixels.shape[:2]
message = Image(height=height, width=width, encoding=encoding, step=pixels[0].nbytes)
message.data.frombytes(pixels.tobytes())
while True:
    message.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(message)
    time.sleep(0.05)
"""

#: Takes one result, wants to keep all that follow, and reads none of them.
READER = """
import rclpy
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from emotion_perception.msg import EmotionArray

rclpy.init()
node = rclpy.create_node('reader')
keep_all = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
taken = []
node.create_subscription(EmotionArray, 'survivor/emotions', taken.append, keep_all)
while not taken:
    rclpy.spin_once(node)
print('reads no more', flush=True)
import signal
signal.pause()
"""


def test_what_is_killed_hangs_or_changes_ends_nothing(tmp_path, portrait):
    shipped = shipped_model()
    for file in shipped.parent.glob(f'{shipped.stem}.*'):
        shutil.copy(file, tmp_path / file.name.replace(shipped.stem, 'mine', 1))
    colour, grey = tmp_path / 'colour.npy', tmp_path / 'grey.npy'
    np.save(colour, portrait)
    np.save(grey, np.ascontiguousarray(portrait[:300, :300, 1]).astype(np.uint16) << 2)

    def camera(*arguments):
        return running([sys.executable, '-c', CAMERA, *arguments], tmp_path / 'camera.log')

    with emotion_node(
        tmp_path, 'survivor', '-p', f'model:={tmp_path}/mine.json', topics=()
    ) as robot:

        def wait_for_face(width):
            robot.results.clear()
            robot.wait_for(
                lambda: any(
                    result.faces and result.image_width == width for result in robot.results
                )
            )

        log = tmp_path / 'reader.log'
        with (
            camera(colour, 'bgr8', 'BEST_EFFORT') as first,
            running([sys.executable, '-c', READER], log) as reader,
        ):
            wait_for_face(320)
            # Only a publisher that was there at a report can be told from a new one.
            robot.next_report(lambda status: count(status['camera camera'], 'images received'))
            robot.wait_for(lambda: 'reads no more' in log.read_text())
            reader.send_signal(signal.SIGSTOP)
            for file in tmp_path.glob('mine.*'):
                file.write_bytes(b'')
            wait_for_face(320)
            first.kill()
            first.wait()
            with camera(grey, 'mono16', 'RELIABLE'):
                found = set()

                def told():
                    for report in robot.reports:
                        for status in report.status:
                            found.update(values(status).get('conditions', '').split(', '))
                    return {'new_publisher', 'resized'} <= found

                robot.wait_for(told)
                wait_for_face(300)
            reader.kill()
        # Ctrl-C twice, as from a terminal and from launch.
        robot.process.send_signal(signal.SIGINT)
        sleep(0.02)
        robot.process.send_signal(signal.SIGINT)
        wait_for(lambda: robot.process.poll() is not None, lambda: sleep(0.02), limit=LIMIT)
        assert robot.process.returncode == 0, robot.log()
        assert 'Traceback' not in robot.log()
