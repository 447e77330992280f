"""The nodes that show results in another form, each a process of its own, over DDS."""
from contextlib import contextmanager
import signal
import subprocess
import sys
from time import monotonic

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from builtin_interfaces.msg import Time  # noqa: E402
from emotion_perception.drawing import COLOURS  # noqa: E402
from emotion_perception.emotions import FaceEmotion, LABELS, Roi, TrackState  # noqa: E402
from emotion_perception.msg import EmotionArray  # noqa: E402
from emotion_perception.nodes import messages  # noqa: E402
from emotion_perception.nodes.matched_images import StampPairs  # noqa: E402
from emotion_perception.nodes.mirror import topic_token  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

LIMIT = 60.0  # seconds after which a test gives up; nothing is judged by its duration

GREY = np.full((120, 160, 3), 90, np.uint8)

pytestmark = pytest.mark.usefixtures('ros')


def face(track_id=1, label='happiness', roi=Roi(40, 30, 60, 50), intensity=0.8, confidence=0.9,
         state=TrackState.CONFIRMED):
    return FaceEmotion(track_id, state, roi, label, LABELS.index(label), intensity, confidence,
                       (0.02, 0.02, 0.02, 0.9, 0.02, 0.02), 20, 0.7)


class Viewer:
    """In place of camera and emotion node: publishes what a mirror reads, and looks at it."""

    def __init__(self, name, process, log):
        self.process, self._log, self._stamp = process, log, 0
        self.node = rclpy.create_node(f'viewer_of_{name}')
        self._emotions = self.node.create_publisher(EmotionArray, 'emotion_node/emotions', 10)
        self._cameras = {}
        self._views = []

    def log(self):
        return self._log.read_text()

    def spin(self, seconds):
        end = monotonic() + seconds
        while monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.02)

    def wait_for(self, condition, repeat=lambda: None):
        """Wait until the condition holds; do repeat every now and then."""
        end = monotonic() + LIMIT
        while not (result := condition()):
            if self.process.poll() is not None:
                pytest.fail(f'node ended with {self.process.returncode}:\n{self.log()}')
            if monotonic() > end:
                pytest.fail(f'waited for nothing; the node says:\n{self.log()}')
            repeat()
            self.spin(0.1)
        return result

    def look_at(self, message_type, topic, qos=1):
        """Subscribe; return the list in which the messages gather."""
        seen = []
        self._views.append(self.node.create_subscription(message_type, topic, seen.append, qos))
        return seen

    def look_away(self):
        for view in self._views:
            self.node.destroy_subscription(view)
        self._views.clear()

    def camera(self, topic='image', message_type=Image):
        if topic not in self._cameras:
            self._cameras[topic] = self.node.create_publisher(
                message_type, topic, qos_profile_sensor_data)
        return self._cameras[topic]

    def header(self):
        self._stamp += 33_000_000
        return Header(stamp=Time(sec=100 + self._stamp // 10**9, nanosec=self._stamp % 10**9),
                      frame_id='eye')

    def send_image(self, header, topic='image'):
        self.camera(topic).publish(messages.image_from_bgr(GREY, header))

    def send_result(self, header, faces=(), camera='camera'):
        self._emotions.publish(messages.emotion_array(header, camera, GREY.shape[:2], faces))

    def show(self, seen, *faces, topic='image', camera='camera'):
        """Send an image and its result until the mirror shows it; return what it shows."""
        def send():
            header = self.header()
            self.send_image(header, topic)
            self.send_result(header, faces, camera)
        seen.clear()
        self.wait_for(lambda: seen, send)
        return seen[-1]

    def listens(self, topic):
        """Tell whether the mirror is subscribed to a topic."""
        return any(info.node_name.startswith(('annotated', 'detections', 'foxglove', 'ros4hri'))
                   for info in self.node.get_subscriptions_info_by_topic(topic))


def command(node, *arguments):
    return [sys.executable, '-c', f'from emotion_perception.nodes.{node} import main; main()',
            '--ros-args', *arguments]


@contextmanager
def mirror(folder, node, *arguments):
    log = folder / f'{node}.log'
    with log.open('w') as stream:
        process = subprocess.Popen(command(node, *arguments), cwd=folder, stdout=stream,
                                   stderr=subprocess.STDOUT)
    viewer = Viewer(node, process, log)
    try:
        yield viewer
    finally:
        viewer.node.destroy_node()
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT)
    assert process.returncode == 0, log.read_text()
    assert 'Traceback' not in log.read_text()


@pytest.fixture(scope='module')
def annotated(tmp_path_factory):
    with mirror(tmp_path_factory.mktemp('annotated'), 'annotated_image',
                '-p', 'image_topics:=[image,/left/image]', '-p', 'camera_names:=[camera,le ft]',
                ) as viewer:
        yield viewer
        viewer.look_away()


def box_colour(image, face):
    return tuple(int(value) for value in image[face.roi.y_offset + 10, face.roi.x_offset])


def test_annotated_image(annotated):
    happy = face()
    seen = annotated.look_at(Image, '/annotated_image/camera')
    shown = annotated.show(seen, happy)
    image = messages.bgr_from_image(shown)
    assert (shown.encoding, image.shape, shown.header.frame_id) == ('bgr8', GREY.shape, 'eye')
    assert box_colour(image, happy) == COLOURS['happiness']
    assert tuple(image[100, 10]) == (90, 90, 90)
    annotated.look_away()


def test_annotated_image_compressed(annotated):
    happy = face()
    seen = annotated.look_at(CompressedImage, '/annotated_image/camera/compressed')
    shown = annotated.show(seen, happy)
    assert shown.format == 'bgr8; jpeg compressed bgr8'
    image = cv2.imdecode(np.frombuffer(shown.data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == GREY.shape
    difference = np.subtract(box_colour(image, happy), COLOURS['happiness'], dtype=int)
    assert np.abs(difference).max() < 60  # of JPEG, which halves the resolution of colours
    annotated.look_away()


def test_annotated_image_matches_by_stamp_in_both_orders(annotated):
    seen = annotated.look_at(Image, '/annotated_image/camera', 10)
    annotated.show(seen)
    annotated.spin(0.3)
    seen.clear()
    headers = [annotated.header() for _ in range(4)]
    annotated.send_image(headers[0])
    annotated.send_image(headers[1])
    annotated.spin(0.3)
    annotated.send_result(headers[1], [face(label='anger')])
    annotated.send_result(headers[2], [face(label='fear')])
    annotated.spin(0.3)
    annotated.send_image(headers[2])
    annotated.send_image(headers[3])
    annotated.wait_for(lambda: len(seen) == 2)
    annotated.spin(0.3)
    assert [image.header for image in seen] == headers[1:3]
    assert [box_colour(messages.bgr_from_image(image), face()) for image in seen] == [
        COLOURS['anger'], COLOURS['fear']]
    annotated.look_away()


def test_annotated_image_works_only_while_somebody_looks(annotated):
    annotated.wait_for(lambda: annotated.node.count_publishers('/annotated_image/camera'))
    annotated.wait_for(lambda: not annotated.listens('/emotion_node/emotions'))
    assert not annotated.listens('/image') and not annotated.listens('/left/image')
    seen = annotated.look_at(CompressedImage, '/annotated_image/le20ft/compressed')
    annotated.show(seen, topic='/left/image', camera='le ft')
    assert annotated.listens('/emotion_node/emotions') and annotated.listens('/left/image')
    assert not annotated.listens('/image')
    annotated.look_away()
    annotated.wait_for(lambda: not annotated.listens('/emotion_node/emotions'))
    annotated.wait_for(lambda: not annotated.listens('/left/image'))


def test_annotated_image_says_why_it_shows_nothing(annotated):
    annotated.look_at(Image, '/annotated_image/camera')
    annotated.wait_for(lambda: 'results came without their images' in annotated.log(),
                       lambda: annotated.send_result(annotated.header()))
    assert 'Expected those images on /image' in annotated.log()
    annotated.wait_for(lambda: "Results of camera 'other' are left out" in annotated.log(),
                       lambda: annotated.send_result(annotated.header(), camera='other'))
    assert annotated.log().count("camera 'other'") == 1
    annotated.look_away()


def test_bad_start_says_why(tmp_path):
    ended = subprocess.run(
        command('annotated_image', '-p', 'camera_names:=[a-b,a2db]', '-p', 'image_topics:=[/a,/b]'),
        cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)
    assert ended.returncode == 1
    assert "make topics ['a2db', 'a2db'], expected all different" in ended.stderr
    assert 'Traceback' not in ended.stderr


@pytest.mark.parametrize('name, token', [
    ('front_left', 'front_left'), ('a b', 'a20b'), ('2nd', 'camera_2nd'), ('é', 'e9')])
def test_a_camera_has_a_part_of_a_topic(name, token):
    assert topic_token(name) == token


def test_pairs_keep_the_newest():
    pairs = StampPairs(2)
    assert all(pairs.add_image(stamp, f'image {stamp}') is None for stamp in (1, 2, 3))
    assert pairs.add_result(1, 'result 1') is None
    assert pairs.add_result(3, 'result 3') == 'image 3'
    assert pairs.add_image(1, 'image 1') == 'result 1'
