"""The demo from end to end: three processes over DDS."""
from dataclasses import replace
import io
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from emotion_perception import demo  # noqa: E402
from emotion_perception.drawing import draw_faces  # noqa: E402
from emotion_perception.emotions import FaceEmotion, Roi, TrackState  # noqa: E402

FACE = FaceEmotion(3, TrackState.CONFIRMED, Roi(40, 50, 60, 60), 'happiness', 3, 0.5, 0.75,
                   (0.0, 0.0, 0.0, 0.75, 0.0, 0.25), 100, 3.3)


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Write two seconds of a portrait that moves."""
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    portrait = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    path = tmp_path_factory.mktemp('video') / 'portrait.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 30, (480, 480))
    for number in range(60):
        writer.write(np.ascontiguousarray(portrait[:480, number // 2:][:, :480]))
    writer.release()
    return path


def run_demo(*arguments, folder):
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(1 + os.getpid() % 100)}
    return subprocess.run(
        [sys.executable, '-c', 'from emotion_perception.demo import main; main()', *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=180)


def test_demo_from_end_to_end(video, tmp_path):
    ended = run_demo('--video', str(video), folder=tmp_path)
    summary = json.loads((tmp_path / 'demo' / 'summary.json').read_text())
    assert summary['frames_published'] == 60
    assert 0 < summary['messages_received'] <= 60
    # Whether every image got its result in time is the machine's business in a test.
    enough = summary['messages_received'] > 57
    assert ended.returncode == (0 if enough else 1), ended.stdout + ended.stderr
    assert summary['tracks'] == 1
    assert 0 < summary['latency_ms']['median'] <= summary['latency_ms']['p95']
    assert len(summary['model_sha256']) == 64
    annotated = cv2.VideoCapture(str(tmp_path / 'demo' / 'annotated.mp4'))
    assert annotated.get(cv2.CAP_PROP_FRAME_COUNT) == 60
    still = cv2.imread(str(tmp_path / 'demo' / 'annotated.png'))
    assert still.shape == (480, 640, 3)
    assert sorted(path.name for path in (tmp_path / 'demo').iterdir()) == [
        'annotated.mp4', 'annotated.png', 'summary.json']


def test_demo_fails_with_the_reason(tmp_path):
    ended = run_demo('--video', 'nowhere.mp4', folder=tmp_path)
    assert ended.returncode == 1
    assert 'nowhere.mp4' in ended.stderr and 'no such file' in ended.stderr
    assert 'demo failed: the video publisher' in ended.stderr
    assert not (tmp_path / 'demo' / 'summary.json').exists()


def test_table_fits_a_terminal():
    lines = demo.table('head', [FACE])
    assert max(map(len, lines)) <= 80
    row = lines[-1]
    for part in ('3', 'confirmed', 'happiness', '##########..........', '0.50', '0.75', '100'):
        assert part in row


def test_display_draws_over_its_last_table_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True
    terminal = Terminal()
    display = demo.Display(terminal)
    display._redraw(['a', 'b'])
    display._redraw(['c'])
    assert terminal.getvalue() == 'a\nb\n\x1b[2A\x1b[Jc\n'


def test_drawing_stays_with_the_face():
    image = np.zeros((200, 400, 3), np.uint8)
    draw_faces(image, [FACE])
    assert image[50, 70].any() and image[110, 70].any()        # the box
    assert image[116, 50].max() > image[116, 95].max() > 0     # half of the bar
    assert not image[150:].any() and not image[:, 320:].any()


@pytest.mark.parametrize('roi', [Roi(0, 0, 400, 200), Roi(390, 0, 10, 10), Roi(0, 190, 10, 10)])
def test_drawing_at_the_edge(roi):
    image = np.zeros((200, 400, 3), np.uint8)
    draw_faces(image, [replace(FACE, roi=roi)])
    assert image.any()
