"""Parameters, topics and remappings as emotion_node reads them, each in a process of its own."""

import os
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from processes import LIMIT  # noqa: E402
from robot import MAIN  # noqa: E402

pytestmark = pytest.mark.usefixtures('ros')

#: Makes the node, without work to do, and says what it is subscribed to and what it reports.
MADE = """
import rclpy
from emotion_perception.nodes.emotion_node import EmotionNode
rclpy.init()
node = EmotionNode()
print(sorted((name, counts.topic) for name, counts in node._diagnostics._cameras.items()))
print(sorted((s._camera, s.topic) for s in node._image_subscriptions))
node.destroy_node()
"""


def made(folder, *arguments):
    """Return the two lines that MADE prints, and what is logged."""
    ended = subprocess.run(
        [sys.executable, '-c', MADE, '--ros-args', *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines(), ended.stderr


@pytest.mark.parametrize(
    'arguments, topics',
    [
        (['-r', 'image:=/eye/image'], {'camera': '/eye/image'}),
        (
            [
                '-p',
                'image_topics:=[/l/image,/r/image]',
                '-p',
                'camera_names:=[l,r]',
                '-r',
                '/l/image:=/r/image',
                '-r',
                '/r/image:=/l/image',
            ],
            {'l': '/r/image', 'r': '/l/image'},
        ),
        (
            ['-p', 'image_transport:=compressed', '-r', 'image:=/eye/image'],
            {'camera': '/eye/image/compressed'},
        ),
        (
            ['-p', 'image_transport:=compressed', '-r', 'image/compressed:=/jpegs'],
            {'camera': '/jpegs'},
        ),
        (
            [
                '-p',
                'image_transport:=compressed',
                '-p',
                'image_topics:=[/l/image,/r/image]',
                '-p',
                'camera_names:=[l,r]',
                '-r',
                '/l/image:=/r/image',
                '-r',
                '/r/image:=/l/image',
            ],
            {'l': '/r/image/compressed', 'r': '/l/image/compressed'},
        ),
        (['-r', '__ns:=/robot'], {'camera': '/robot/image'}),
    ],
)
def test_what_is_said_is_what_is_subscribed(tmp_path, arguments, topics):
    (reported, subscribed), log = made(tmp_path, *arguments)
    assert reported == subscribed == str(sorted(topics.items()))
    for camera, topic in topics.items():
        assert f'Camera {camera}: waits for' in log and f' on {topic}\n' in log


@pytest.mark.parametrize(
    'arguments, reason, right',
    [
        (['-p', 'image_topics:=[]'], 'image_topics is empty', 'such as [/camera/image_raw]'),
        (
            ['-p', 'image_topics:=[/eye/image/compressed]'],
            'expected the base name, /eye/image, ',
            'image_transport compressed',
        ),
        (
            ['-p', 'image_transport:=compressed', '-r', 'image:=/eye/image/compressed'],
            'expected the base name, /eye/image, ',
            'which adds /compressed',
        ),
        (['-p', 'image_topics:=[""]'], "image_topics has ''", 'must not be empty'),
        (
            ['-p', 'image_topics:=[/eye//image]'],
            "has '/eye//image'",
            "must not contain repeated '/'",
        ),
        (
            ['-p', 'image_topics:=["{eye}/image"]'],
            "has '{eye}/image'",
            'unknown substitution: {eye}',
        ),
        (
            ['-p', 'image_topics:=[/a, /b]', '-p', 'camera_names:=[a, b]', '-r', '/b:=/a'],
            'give /a to more than one camera',
            'expected a topic of its own for each',
        ),
        (['-p', 'camera_names:=[""]'], "camera_names ['']", 'none empty'),
        (
            ['-p', 'image_topics:=/eye'],
            "image_topics is '/eye'",
            'expected a list of text, such as [',
        ),
        (['-p', 'rotation:=90'], 'rotation is 90', 'expected a list of numbers, such as [0]'),
        (
            ['-p', 'label_window:=1'],
            'label_window is 1',
            'a number with a decimal point, such as 0.9',
        ),
        (
            ['-p', 'max_coast_frames:=9', '-p', 'max_coast_seconds:=0.3'],
            'max_coast_frames is the old name',
            'give max_coast_seconds alone',
        ),
        (['-p', 'rotation:=[45]'], 'rotation is [45]', 'expected 0, 90, 180, 270'),
        (['-p', 'rotation:=[0, 90]'], 'rotation is [0, 90]', 'for each of 1 cameras'),
        (['-p', 'model:=~/nowhere.json'], f'{os.path.expanduser("~")}/nowhere.json is missing', ''),
        (['-p', 'cascade:=~/nowhere.xml'], f'{os.path.expanduser("~")}/nowhere.xml', ''),
    ],
)
def test_a_start_that_cannot_be_says_what_would_be_right(tmp_path, arguments, reason, right):
    ended = subprocess.run(
        [sys.executable, '-c', MAIN, '--ros-args', *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    (line,) = ended.stderr.splitlines()
    assert 'FATAL' in line and reason in line and right in line
    assert ended.returncode == 1


FOR_ANOTHER = '{node}:\n  ros__parameters:\n    {name}: 2\n'


@pytest.mark.parametrize(
    'arguments, warning',
    [
        (['-p', 'thread:=3'], 'There is no parameter thread, did you mean threads?'),
        (['-p', 'xyzzy:=3'], 'There is no parameter xyzzy: there are use_sim_time'),
        (['-p', 'emotion_nod:threads:=3'], 'emotion_nod, expected /emotion_node'),
        (['-r', '__node:=eye', '-p', 'emotion_node:threads:=3'], 'emotion_node, expected /eye'),
        (
            ['--params-file', 'wrong.yaml'],
            'wrong.yaml has parameters for a node /emotion_nod, expected '
            '/emotion_node (or /** for any): threads are not read',
        ),
        (['--params-file', 'several.yaml'], 'several.yaml has parameters for a node /emotion_nod,'),
        (['--params-file', 'windows.yaml'], 'windows.yaml has parameters for a node /emotion_nod,'),
        (['--params-file', 'two.yaml'], 'two.yaml has parameters for a node /emotion_nod,'),
        (['-p', 'emotion_node:threads:=3'], None),
        (['--params-file', 'any.yaml'], None),
        (['--params-file', 'right.yaml'], None),
        (['-r', '__ns:=/robot', '--params-file', 'nested.yaml'], None),
    ],
)
def test_parameters_that_nobody_reads_are_a_warning(tmp_path, arguments, warning):
    (tmp_path / 'wrong.yaml').write_text(FOR_ANOTHER.format(node='emotion_nod', name='threads'))
    (tmp_path / 'right.yaml').write_text(
        FOR_ANOTHER.format(node='emotion_node', name='threads')
        + FOR_ANOTHER.format(node='camera_driver', name='gain')
    )
    (tmp_path / 'several.yaml').write_text(
        FOR_ANOTHER.format(node='/**', name='min_neighbors')
        + FOR_ANOTHER.format(node='emotion_nod', name='threads')
    )
    (tmp_path / 'any.yaml').write_text(FOR_ANOTHER.format(node='/**/emotion_node', name='threads'))
    (tmp_path / 'nested.yaml').write_text(
        'robot:\n  emotion_node:\n    ros__parameters:\n      threads: 2\n'
    )
    (tmp_path / 'windows.yaml').write_text((tmp_path / 'wrong.yaml').read_text(), 'utf-16')
    (tmp_path / 'two.yaml').write_text('---\n'.join([(tmp_path / 'wrong.yaml').read_text()] * 2))
    _, log = made(tmp_path, *arguments)
    warnings = [line for line in log.splitlines() if 'WARN' in line]
    if warning is None:
        assert not warnings
    else:
        (line,) = warnings
        assert warning in line
