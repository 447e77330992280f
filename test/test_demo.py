"""The demo from end to end: three processes over DDS."""

import ast
from dataclasses import replace
import json
import os
import re
import subprocess
import sys
from threading import Thread

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402

from emotion_perception import demo  # noqa: E402
from emotion_perception.drawing import draw_faces  # noqa: E402
from emotion_perception.emotions import FaceEmotion, Roi, TrackState  # noqa: E402
from emotion_perception.msg import EmotionArray  # noqa: E402
from emotion_perception.videos import Video, VideoWriter  # noqa: E402

FACE = FaceEmotion(
    3,
    TrackState.CONFIRMED,
    Roi(40, 50, 60, 60),
    'happiness',
    3,
    0.5,
    0.75,
    (0.0, 0.0, 0.0, 0.75, 0.0, 0.25),
    100,
    3.3,
)


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Write two seconds of a portrait that moves."""
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    portrait = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    path = tmp_path_factory.mktemp('video') / 'portrait.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 30, (480, 480))
    for number in range(60):
        writer.write(np.ascontiguousarray(portrait[:480, number // 2 :][:, :480]))
    writer.release()
    return path


@pytest.fixture
def results(ros):
    node = demo.Results()
    yield node
    node.destroy_node()


def run_demo(*arguments, folder):
    return subprocess.run(
        [sys.executable, '-c', 'from emotion_perception.demo import main; main()', *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.fixture
def other_node(ros):
    """Publish what an emotion node that runs already does, to topics of the usual names."""
    node = rclpy.create_node('emotion_node')
    publisher = node.create_publisher(EmotionArray, '~/emotions', 10)
    node.create_timer(0.01, lambda: publisher.publish(EmotionArray(camera='another')))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = Thread(target=executor.spin)
    thread.start()
    yield node
    executor.shutdown()
    thread.join()
    node.destroy_node()


def test_demo_from_end_to_end_beside_a_node_that_runs_already(video, tmp_path, other_node):
    ended = run_demo('--video', str(video), folder=tmp_path)
    summary = json.loads((tmp_path / 'demo' / 'summary.json').read_text())
    assert summary['frames_published'] == 60
    assert 0 < summary['messages_received'] <= 60
    assert summary['share_of_images'] == round(summary['messages_received'] / 60, 4)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ('no result came for' in ended.stdout) == (summary['messages_received'] < 60)
    assert summary['tracks'] == 1
    assert 0 < summary['latency_ms']['median'] <= summary['latency_ms']['p95']
    assert len(summary['model_sha256']) == 64
    annotated = cv2.VideoCapture(str(tmp_path / 'demo' / 'annotated.mp4'))
    assert annotated.get(cv2.CAP_PROP_FRAME_COUNT) == 60
    still = cv2.imread(str(tmp_path / 'demo' / 'annotated.png'))
    assert still.shape == (480, 640, 3)
    assert sorted(path.name for path in (tmp_path / 'demo').iterdir()) == [
        'annotated.mp4',
        'annotated.png',
        'summary.json',
    ]


@pytest.mark.parametrize(
    'argument', ['--camera=-1', '--seconds=nan', '--seconds=0', '--seconds=inf']
)
def test_numbers_that_cannot_be_are_refused(tmp_path, argument):
    ended = run_demo(argument, folder=tmp_path)
    option, value = argument.split('=')
    assert f"argument {option}: '{value}' is no " in ended.stderr and 'such as' in ended.stderr
    assert ended.returncode == 2


def test_demo_fails_with_the_reason(tmp_path):
    (tmp_path / 'file').write_text('')
    for arguments, reason in (
        (
            ['--video', 'nowhere.mp4'],
            f'{tmp_path}/nowhere.mp4 cannot be read as a video: no such file',
        ),
        (['--video', '.'], f'{tmp_path} cannot be read as a video: it is a folder'),
        (
            ['--video', 'http://127.0.0.1:1/a.mp4'],
            'http://127.0.0.1:1/a.mp4 cannot be read as '
            'a video: this address gives none (Connection refused)',
        ),
        (['--output', 'file'], f'{tmp_path}/file cannot be the output folder: it is a file'),
        (
            ['--output', '/proc/demo'],
            '/proc/demo cannot be the output folder: No such file or directory',
        ),
        (
            ['--seconds', '1e9'],
            f'{tmp_path}/demo has [0-9]+ MB of free disk space, and '
            '1000000000 s of video may take [0-9]+ MB',
        ),
    ):
        ended = run_demo(*arguments, folder=tmp_path)
        assert ended.returncode == 1
        assert re.fullmatch(
            f'demo failed: {reason}\n'.replace('(C', r'\(C').replace('d)', r'd\)'), ended.stderr
        ), ended.stderr


def test_demo_says_that_a_video_breaks_off_and_takes_any_name(video, tmp_path):
    broken = tmp_path / "it's a \U0001f600 $HOME.mkv"
    with Video(video) as source, VideoWriter(broken, 480, 480, 30, 'mjpeg') as writer:
        for _, image in source:
            writer.write(image)
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 5])
    ended = run_demo('--video', broken.name, folder=tmp_path)
    assert ended.returncode == 1
    assert re.search(
        f'demo failed: {re.escape(str(broken))} lasts 2.0 s, of which only 0.[2-5] s '
        'could be played',
        ended.stderr,
    )
    summary = json.loads((tmp_path / 'demo' / 'summary.json').read_text())
    assert 0 < summary['messages_received'] <= summary['frames_published'] < 15


def test_what_is_missing_is_told_with_its_reasons(results):
    results.diagnostics.update(
        {
            'images received': '90',
            'images dropped (overload)': '15',
            'images unusable': '0',
            'topic': '/image',
        }
    )
    results.messages += [None] * 75
    assert demo.what_is_missing(results, 75) == ''
    text = demo.what_is_missing(results, 100)
    assert text.startswith('no result came for 25 of 100 images')
    assert text.endswith(
        '; images received: 90, images dropped (overload): 15, images that never arrived: 10'
    )


def test_make_passes_any_file_name_on(root, tmp_path):
    (tmp_path / 'Makefile').write_text(
        (root / 'Makefile')
        .read_text()
        .replace('demo: build', 'demo:')
        .replace(
            '$(BIN)/python -m emotion_perception.demo',
            f"{sys.executable} -c 'import sys; print(sys.argv[1:])'",
        )
    )
    for name in ("it's me.mp4", 'a$b $(shell touch made).mp4', 'say "hello" `ls`.mp4', '-x y.mp4'):
        for command, environment in (
            (['make', '-s', '--no-print-directory', 'demo', f'VIDEO={name}'], {}),
            (['make', '-s', '--no-print-directory', 'demo'], {'VIDEO': name}),
        ):
            printed = subprocess.run(
                command,
                cwd=tmp_path,
                env=os.environ | environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            assert ast.literal_eval(printed.splitlines()[-1]) == [f'--video={name}']
    assert not (tmp_path / 'made').exists()


def test_a_name_that_ros_cannot_take_is_said():
    with pytest.raises(OSError, match='udcfc.*: ROS takes no name that is not in UTF-8'):
        demo.check_input(os.fsdecode(b'gl\xfc.avi'))


def test_drawing_stays_with_the_face():
    image = np.zeros((200, 400, 3), np.uint8)
    draw_faces(image, [FACE])
    assert image[50, 70].any() and image[110, 70].any()  # the box
    assert image[116, 50].max() > image[116, 95].max() > 0  # half of the bar
    assert not image[150:].any() and not image[:, 320:].any()


@pytest.mark.parametrize('roi', [Roi(0, 0, 400, 200), Roi(390, 0, 10, 10), Roi(0, 190, 10, 10)])
def test_drawing_at_the_edge(roi):
    image = np.zeros((200, 400, 3), np.uint8)
    draw_faces(image, [replace(FACE, roi=roi)])
    assert image.any()
