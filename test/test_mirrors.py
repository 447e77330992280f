"""The nodes that show results in another form, each a process of its own, over DDS."""

from contextlib import contextmanager
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from emotion_perception.annotations import image_annotations  # noqa: E402
from emotion_perception.drawing import COLOURS  # noqa: E402
from emotion_perception.emotions import FaceEmotion, LABELS, Roi, TrackState  # noqa: E402
from emotion_perception.msg import EmotionArray, FaceEmotion as FaceEmotionMessage  # noqa: E402
from emotion_perception.nodes import detections, messages, ros4hri  # noqa: E402
from emotion_perception.nodes.matched_images import StampPairs  # noqa: E402
from emotion_perception.nodes.mirror import topic_token  # noqa: E402
from processes import LIMIT, running  # noqa: E402
from robot import Opposite, values  # noqa: E402

GREY = np.full((120, 160, 3), 90, np.uint8)

pytestmark = pytest.mark.usefixtures('ros')


def face(
    track_id=1,
    label='happiness',
    roi=Roi(40, 30, 60, 50),
    intensity=0.8,
    confidence=0.9,
    state=TrackState.CONFIRMED,
):
    return FaceEmotion(
        track_id,
        state,
        roi,
        label,
        LABELS.index(label),
        intensity,
        confidence,
        (0.02, 0.02, 0.02, 0.9, 0.02, 0.02),
        20,
        0.7,
    )


class Viewer(Opposite):
    """In place of camera and emotion node: publishes what a mirror reads, and looks at it."""

    def __init__(self, name, process, log):
        super().__init__(name, process, log)
        self.emotions = self.node.create_publisher(EmotionArray, 'emotion_node/emotions', 10)
        self._cameras = {}
        self._views = []
        self._reports = []
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_report, 10)

    def _on_report(self, message):
        self._reports += [s for s in message.status if s.name == f'{self.name}: output']

    def wait_for_report(self, condition, work=None):
        """Wait for a report with this condition, '' for none; return its status."""
        self._reports.clear()

        def reported():
            for status in self._reports:
                found = values(status).get('conditions', '')
                if condition in found and bool(condition) == bool(found):
                    return status

        return self.wait_for(reported, work)

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
                message_type, topic, qos_profile_sensor_data
            )
        return self._cameras[topic]

    def header(self):
        self._stamp += 33_000_000
        return Header(
            stamp=Time(sec=100 + self._stamp // 10**9, nanosec=self._stamp % 10**9), frame_id='eye'
        )

    def send_image(self, header, topic='image'):
        self.camera(topic).publish(messages.image_from_bgr(GREY, header))

    def send_result(self, header, faces=(), camera='camera'):
        self.emotions.publish(messages.emotion_array(header, camera, GREY.shape[:2], faces))

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
        return any(
            info.node_name.startswith(('annotated', 'detections', 'foxglove', 'ros4hri'))
            for info in self.node.get_subscriptions_info_by_topic(topic)
        )


def command(node, *arguments):
    return [
        sys.executable,
        '-c',
        f'from emotion_perception.nodes.{node} import main; main()',
        '--ros-args',
        *arguments,
    ]


@contextmanager
def mirror(folder, node, *arguments):
    log = folder / f'{node}.log'
    with running(command(node, *arguments), log) as process:
        viewer = Viewer(node, process, log)
        try:
            yield viewer
        finally:
            viewer.node.destroy_node()
    assert process.returncode == 0, log.read_text()
    assert 'Traceback' not in log.read_text()


@pytest.fixture(scope='module')
def annotated(tmp_path_factory):
    with mirror(
        tmp_path_factory.mktemp('annotated'),
        'annotated_image',
        '-p',
        'image_topics:=[image,/left/image]',
        '-p',
        'camera_names:=[camera,le ft]',
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
    # Of 10 bits: a dark image is not shown brighter than it was to the node.
    for value in (1000, 1000, 100):
        header = annotated.header()
        deep = np.full(GREY.shape[:2], value, '<u2')
        seen.clear()
        annotated.camera().publish(
            Image(
                header=header,
                height=GREY.shape[0],
                width=GREY.shape[1],
                encoding='mono16',
                step=2 * GREY.shape[1],
                data=deep.tobytes(),
            )
        )
        annotated.send_result(header)
        annotated.wait_for(lambda header=header: [image.header for image in seen] == [header])
        assert messages.bgr_from_image(seen[0])[100, 10, 0] == value >> 2
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
        COLOURS['anger'],
        COLOURS['fear'],
    ]
    annotated.look_away()


def test_annotated_image_works_only_while_somebody_looks(annotated):
    annotated.wait_for(lambda: annotated.node.count_publishers('/annotated_image/camera'))
    topics = ('/emotion_node/emotions', '/image', '/left/image')
    annotated.wait_for(lambda: not any(map(annotated.listens, topics)))
    seen = annotated.look_at(CompressedImage, '/annotated_image/le20ft/compressed')
    annotated.show(seen, topic='/left/image', camera='le ft')
    assert annotated.listens('/emotion_node/emotions') and annotated.listens('/left/image')
    assert not annotated.listens('/image')
    annotated.look_away()
    annotated.wait_for(lambda: not annotated.listens('/emotion_node/emotions'))
    annotated.wait_for(lambda: not annotated.listens('/left/image'))


def test_annotated_image_says_why_it_shows_nothing(annotated):
    annotated.look_at(Image, '/annotated_image/camera')
    status = annotated.wait_for_report(
        'images_missing', lambda: annotated.send_result(annotated.header())
    )
    assert status.level == DiagnosticStatus.WARN
    assert 'results came without their images on /image' in status.message
    status = annotated.wait_for_report(
        'unknown_camera', lambda: annotated.send_result(annotated.header(), camera='other')
    )
    assert 'results of other are left out, which camera_names lacks' in status.message
    annotated.wait_for(lambda: 'Node: results of other are left out' in annotated.log())
    status = annotated.wait_for_report('results_stopped')
    assert 'no results on /emotion_node/emotions for ' in status.message
    annotated.wait_for(lambda: 'Node: no results on /emotion_node/emotions' in annotated.log())
    annotated.look_away()
    status = annotated.wait_for_report('')
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'nobody looks')
    assert 'results arrive' not in annotated.log()


def test_annotated_image_leaves_unusable_results_out(annotated):
    seen = annotated.look_at(Image, '/annotated_image/camera')
    annotated.show(seen, face())
    nobody = EmotionArray(camera='camera', faces=[FaceEmotionMessage(track_id=1)])
    nameless = messages.emotion_array(annotated.header(), 'camera', GREY.shape[:2], [face()])
    nameless.faces[0].label = 'joy'
    for unusable, reason in (
        (nobody, 'the image has 0 x 0 pixels, expected at least one'),
        (nameless, "face 1: label_id 3 has the label 'joy', expected one of 0 anger"),
    ):
        annotated.send_image(unusable.header)
        status = annotated.wait_for_report(
            'unusable_results', lambda unusable=unusable: annotated.emotions.publish(unusable)
        )
        assert status.level == DiagnosticStatus.WARN
        assert f'unusable results: camera camera: {reason}' in status.message
        assert int(values(status)['unusable results']) > 0
        assert f'Camera camera: unusable result: {reason}' in annotated.log()
    annotated.show(seen, face())
    annotated.look_away()


def test_annotated_image_draws_on_no_image_of_another_size(annotated):
    seen = annotated.look_at(Image, '/annotated_image/camera')
    annotated.show(seen)
    annotated.spin(0.3)
    seen.clear()

    def send():
        annotated.send_image(Header())
        annotated.emotions.publish(messages.emotion_array(Header(), 'camera', (240, 320), []))

    annotated.wait_for_report('images_missing', send)
    assert seen == []
    annotated.show(seen, face())
    annotated.look_away()


def test_an_image_that_was_latched_before_the_mirror_subscribed(annotated):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    camera = annotated.node.create_publisher(Image, '/left/image', latched)
    header = annotated.header()
    camera.publish(messages.image_from_bgr(GREY, header))
    # The camera of other tests, which latches nothing.
    annotated.node.destroy_publisher(annotated.camera('/left/image'))
    del annotated._cameras['/left/image']
    seen = annotated.look_at(Image, '/annotated_image/le20ft')
    annotated.wait_for(lambda: annotated.listens('/emotion_node/emotions'))
    annotated.wait_for(
        lambda: seen, lambda: annotated.send_result(header, [face()], camera='le ft')
    )
    assert seen[0].header == header
    annotated.look_away()
    annotated.node.destroy_publisher(camera)


def test_views_show_what_is_published(annotated, root):
    layout = json.loads((root / 'config' / 'foxglove_layout.json').read_text())
    panels = layout['configById'].values()
    paths = [path['value'] for panel in panels for path in panel.get('paths', ())]
    paths += [panel['topicPath'] for panel in panels if 'topicPath' in panel]
    fields = FaceEmotionMessage.get_fields_and_field_types()
    for path in paths:
        topic, _, rest = path.partition('.')
        assert topic == '/emotion_node/emotions'
        assert rest == 'faces[:]' or re.match(r'faces\[0\]\.(\w+)', rest)[1] in fields

    images = [panel['imageMode']['imageTopic'] for panel in panels if 'imageMode' in panel]
    rviz = yaml.safe_load((root / 'config' / 'emotion.rviz').read_text())
    images += [display['Topic']['Value'] for display in rviz['Visualization Manager']['Displays']]
    assert images == ['/annotated_image/camera/compressed', '/annotated_image/camera']
    for topic in images:
        annotated.wait_for(lambda: annotated.node.count_publishers(topic))


def test_bad_start_says_why(tmp_path):
    ended = subprocess.run(
        command('annotated_image', '-p', 'camera_names:=[a-b,a2db]', '-p', 'image_topics:=[/a,/b]'),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert ended.returncode == 1
    assert "make topics ['a2db', 'a2db'], expected all different" in ended.stderr
    assert 'Traceback' not in ended.stderr


@pytest.mark.parametrize(
    'name, token',
    [('front_left', 'front_left'), ('a b', 'a20b'), ('2nd', 'camera_2nd'), ('é', 'e9')],
)
def test_a_camera_has_a_part_of_a_topic(name, token):
    assert topic_token(name) == token


def test_pairs_keep_the_newest():
    pairs = StampPairs(2)
    assert all(pairs.add_image(stamp, f'image {stamp}') is None for stamp in (1, 2, 3))
    assert pairs.add_result(1, 'result 1') is None
    assert pairs.add_result(3, 'result 3') == 'image 3'
    assert pairs.add_image(1, 'image 1') == 'result 1'


class PlainMessages:
    """In place of message packages that are not installed: messages that take any field.

    So the conversions run everywhere; their fields are checked where the packages are.
    """

    class PointsAnnotation(SimpleNamespace):
        LINE_LOOP = 2

    def __getattr__(self, name):
        return PLAIN.get(name, SimpleNamespace)


PLAIN = {
    'LabelInfo': lambda **fields: SimpleNamespace(header=Header(), **fields),
    'Detection2D': lambda **fields: SimpleNamespace(
        bbox=SimpleNamespace(center=SimpleNamespace(position=SimpleNamespace())),
        results=[],
        **fields,
    ),
    'ObjectHypothesisWithPose': lambda: SimpleNamespace(hypothesis=SimpleNamespace()),
    'ImageAnnotations': lambda **fields: SimpleNamespace(timestamp=Time(), **fields),
}


def messages_or_plain(package):
    try:
        return messages.optional_messages(package)
    except ModuleNotFoundError:
        return PlainMessages()


def result(*faces):
    header = Header(stamp=Time(sec=7, nanosec=8), frame_id='eye')
    return messages.emotion_array(header, 'camera', (120, 160), faces)


def test_a_result_as_detections():
    vision = messages_or_plain('vision_msgs')
    sent = result(face(3), face(4, 'neutral', Roi(0, 5, 7, 8), confidence=0.75))
    array = detections.detection_array(vision, sent)
    assert array.header == sent.header
    first, second = array.detections
    assert (first.header, first.id, second.id) == (sent.header, '3', '4')
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (70.0, 55.0)
    assert (first.bbox.size_x, first.bbox.size_y) == (60.0, 50.0)
    assert (second.bbox.center.position.x, second.bbox.center.position.y) == (3.5, 9.0)
    (hypothesis,) = second.results
    assert hypothesis.hypothesis.class_id == str(LABELS.index('neutral'))
    assert hypothesis.hypothesis.score == 0.75
    names = {
        str(known.class_id): known.class_name
        for known in detections.label_info(vision, sent.header.stamp).class_map
    }
    assert [names[found.results[0].hypothesis.class_id] for found in array.detections] == [
        'happiness',
        'neutral',
    ]
    assert list(names.values()) == list(LABELS)


def test_a_result_as_foxglove_annotations():
    sent = result(face(3), face(4, state=TrackState.COASTING))
    shown = image_annotations(messages_or_plain('foxglove_msgs'), sent.header.stamp, sent.faces)
    assert shown.timestamp == sent.header.stamp
    box, predicted = shown.points
    assert (box.timestamp, box.type) == (sent.header.stamp, 2)
    assert [(point.x, point.y) for point in box.points] == [
        (40, 30),
        (100, 30),
        (100, 80),
        (40, 80),
    ]
    assert box.thickness > predicted.thickness
    colour = box.outline_color
    assert [round(value * 255) for value in (colour.b, colour.g, colour.r)] == list(
        COLOURS['happiness']
    )
    text = shown.texts[0]
    assert text.timestamp == sent.header.stamp
    assert (text.position.x, text.position.y, text.text) == (40, 30, '3  happiness 90%')


def test_a_face_as_ros4hri():
    hri, header = messages_or_plain('hri_msgs'), result().header
    roi = ros4hri.normalized_roi(hri, header, face(), (160, 120))
    assert roi.header == header
    assert (roi.xmin, roi.ymin, roi.xmax, roi.ymax, roi.c) == (
        40 / 160,
        30 / 120,
        100 / 160,
        pytest.approx(80 / 120),
        1.0,
    )
    coasting = ros4hri.normalized_roi(hri, header, face(state=TrackState.COASTING), (160, 120))
    assert coasting.c == 0.0
    shown = ros4hri.expression(hri, header, face(label='fear', confidence=0.5))
    assert (shown.header, shown.expression, shown.confidence) == (header, 'scared', 0.5)
    assert np.isnan(shown.valence) and np.isnan(shown.arousal)


def test_every_label_has_a_name_in_ros4hri():
    assert set(ros4hri.EXPRESSIONS) == set(LABELS)
    hri = pytest.importorskip('hri_msgs.msg', reason='needs hri_msgs')
    for expression in ros4hri.EXPRESSIONS.values():
        assert getattr(hri.Expression, expression.upper()) == expression


def test_a_cropped_face_is_scaled_and_centred_on_black():
    image = np.full((120, 160, 3), 200, np.uint8)
    crop = ros4hri.cropped(image, Roi(40, 30, 60, 30))
    assert crop.shape == (128, 128, 3)
    assert (crop[32:96] == 200).all() and not crop[:32].any() and not crop[96:].any()


@pytest.mark.parametrize(
    'node, package',
    [
        ('detections', 'vision_msgs'),
        ('foxglove_annotations', 'foxglove_msgs'),
        ('ros4hri', 'hri_msgs'),
    ],
)
def test_without_its_messages_a_node_says_how_to_get_them(tmp_path, node, package):
    code = f'import sys; sys.modules["{package}"] = None\n' + command(node)[2]
    ended = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=os.environ | {'ROS_DISTRO': 'kilted'},
    )
    assert ended.returncode == 1
    assert f'{package} is not installed: apt install ros-kilted-{package.replace("_", "-")}' in (
        ended.stderr
    )
    assert 'Traceback' not in ended.stderr and ended.stderr.count('\n') == 1


def test_detections(tmp_path):
    vision = pytest.importorskip('vision_msgs.msg', reason='needs vision_msgs')
    with mirror(tmp_path, 'detections') as viewer:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        infos = viewer.look_at(vision.LabelInfo, '/detections/label_info', latched)
        viewer.wait_for(lambda: infos)
        assert not viewer.listens('/emotion_node/emotions')
        seen = viewer.look_at(vision.Detection2DArray, '/detections/camera')
        shown = viewer.show(seen, face(3))
        assert (shown.header.frame_id, shown.detections[0].id) == ('eye', '3')
        (label,) = (
            known.class_name
            for known in infos[0].class_map
            if str(known.class_id) == shown.detections[0].results[0].hypothesis.class_id
        )
        assert label == 'happiness'
        viewer.look_away()
        viewer.wait_for(lambda: not viewer.listens('/emotion_node/emotions'))


def test_foxglove_annotations(tmp_path):
    foxglove = pytest.importorskip('foxglove_msgs.msg', reason='needs foxglove_msgs')
    with mirror(tmp_path, 'foxglove_annotations') as viewer:
        seen = viewer.look_at(foxglove.ImageAnnotations, '/foxglove_annotations/camera')
        shown = viewer.show(seen, face(3))
        assert shown.texts[0].text == '3  happiness 90%'
        assert shown.points[0].type == foxglove.PointsAnnotation.LINE_LOOP
        viewer.look_away()
        viewer.wait_for(lambda: not viewer.listens('/emotion_node/emotions'))


def test_ros4hri(tmp_path):
    hri = pytest.importorskip('hri_msgs.msg', reason='needs hri_msgs')
    with mirror(tmp_path, 'ros4hri') as viewer:
        tracked = viewer.look_at(hri.IdsList, '/humans/faces/tracked')
        shown = viewer.show(tracked, face(3), face(4))
        assert (shown.header.frame_id, shown.ids) == ('eye', ['camera_3', 'camera_4'])
        assert not viewer.listens('/image')

        rois = viewer.look_at(hri.NormalizedRegionOfInterest2D, '/humans/faces/camera_3/roi')
        expressions = viewer.look_at(hri.Expression, '/humans/faces/camera_3/expression')
        both = (face(3), face(4))
        assert viewer.show(rois, *both).xmin == 0.25
        assert viewer.show(expressions, *both).expression == 'happy'
        crops = viewer.look_at(Image, '/humans/faces/camera_3/cropped')
        crop = viewer.show(crops, *both)
        assert (crop.width, crop.height, crop.header.frame_id) == (128, 128, 'eye')
        assert viewer.listens('/image')

        # The emotion node is started again, and counts from 1 again: these are other faces.
        first, viewer.emotions = (
            viewer.emotions,
            viewer.node.create_publisher(EmotionArray, 'emotion_node/emotions', 10),
        )
        viewer.node.destroy_publisher(first)
        viewer.wait_for(
            lambda: tracked[-1].ids == ['camera_3_2', 'camera_4_2'],
            lambda: viewer.send_result(viewer.header(), both),
        )
        viewer.wait_for(lambda: not viewer.node.count_publishers('/humans/faces/camera_3/roi'))
        viewer.wait_for(lambda: not viewer.listens('/image'))
        crops = viewer.look_at(Image, '/humans/faces/camera_3_2/cropped')
        viewer.show(crops, *both)

        viewer.wait_for(
            lambda: tracked[-1].ids == ['camera_4_2'],
            lambda: viewer.send_result(viewer.header(), [face(4)]),
        )
        viewer.wait_for(lambda: not viewer.node.count_publishers('/humans/faces/camera_3_2/roi'))
        viewer.wait_for(lambda: not viewer.listens('/image'))
        # The emotion node ends: nobody is tracked any more.
        viewer.wait_for(lambda: tracked[-1].ids == [])
        viewer.look_away()
        viewer.wait_for(lambda: not viewer.listens('/emotion_node/emotions'))
