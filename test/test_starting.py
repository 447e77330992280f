"""How a node's process starts, and what it says where it cannot."""

import os
from pathlib import Path
import signal
import subprocess
import sys
from time import sleep

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from processes import LIMIT, wait_for  # noqa: E402

START = 'from emotion_perception.nodes.starting import start; start("emotion_node")'


def start(folder, *arguments, **environment):
    """Start the node as its executable does, and wait for its end."""
    return subprocess.run(
        [sys.executable, '-c', START, *arguments],
        cwd=folder,
        capture_output=True,
        timeout=LIMIT,
        env=os.environ | environment,
    )


@pytest.mark.parametrize(
    'arguments, environment, reason, right',
    [
        ((), {'ROS_DOMAIN_ID': 'abc'}, 'not an integral number', '0 to 232'),
        (('-r', 'image'), {}, "Couldn't parse remap rule: '-r image'", '-r FROM:=TO'),
        (('-r', '__node:=a-b'), {}, '-r __node:=a-b', '-r FROM:=TO'),
        (('-p', 'threads'), {}, '-p threads', '-p NAME:=VALUE'),
        (('--params-file', 'missing.yaml'), {}, 'Error opening YAML file', 'ros__parameters'),
        (('--params-file', 'flat.yaml'), {}, 'flat.yaml', 'ros__parameters'),
        (('-p', 'rotation:=[0, 1.5]'), {}, 'Sequence should be of same type', 'such as [0, 180]'),
        (('--params-file',), {}, 'No file path provided', 'ros__parameters'),
        (('--log-level', 'loud'), {}, '--log-level loud', 'expected debug, info'),
        (('-r', '__ns:=/x/'), {}, "must not end with a '/'", '__ns:=/NAME'),
        (('--nonsense',), {}, '--nonsense', 'arguments after --ros-args'),
        (
            (),
            {'HOME': '/dev/null', 'ROS_LOG_DIR': '', 'ROS_HOME': ''},
            'log directory',
            'ROS_LOG_DIR',
        ),
        ((), {'HOME': '', 'ROS_LOG_DIR': '', 'ROS_HOME': ''}, 'logging directory', 'ROS_LOG_DIR'),
        (
            ('-p', 'camera_names:=[Küche]'),
            {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'},
            'surrogates',
            'UTF-8',
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else '',
)
def test_what_stops_ros_from_starting_is_one_line(tmp_path, arguments, environment, reason, right):
    (tmp_path / 'flat.yaml').write_text('/**:\n    threads: [2]\n')
    ended = start(tmp_path, '--ros-args', *arguments, **environment)
    error = ended.stderr.decode()
    (line,) = (line for line in error.splitlines() if 'FATAL' in line)
    assert reason in line and right in line and '/project/' not in line
    assert 'Traceback' not in error and ended.returncode == 1


@pytest.mark.parametrize('command', ['demo', 'monitor'])
def test_so_it_is_for_the_commands(tmp_path, command):
    ended = subprocess.run(
        [sys.executable, '-m', f'emotion_perception.{command}'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=os.environ | {'ROS_DOMAIN_ID': 'abc'},
    )
    (line,) = ended.stderr.splitlines()
    assert 'not an integral number' in line and '0 to 232' in line
    assert ended.returncode == 1


def test_parameters_without_ros_args_are_a_warning(tmp_path):
    ended = start(tmp_path, '-p', 'threads:=1', '--ros-args', '-p', 'rotation:=[45]')
    warning, reason = ended.stderr.decode().splitlines()
    assert 'not read: -p threads:=1: those for ROS follow --ros-args' in warning
    assert 'FATAL' in reason and ended.returncode == 1


def test_the_source_folder_in_pythonpath_is_one_line(tmp_path, root):
    ended = start(tmp_path, PYTHONPATH=str(root))
    (line,) = ended.stderr.decode().splitlines()
    assert str(root) in line and 'PYTHONPATH' in line
    assert ended.returncode == 1


def test_a_missing_library_is_one_line(tmp_path):
    (tmp_path / 'cv2.py').write_text('raise ImportError("no libGL.so.1")')
    ended = start(tmp_path, PYTHONPATH=str(tmp_path))
    (line,) = ended.stderr.decode().splitlines()
    assert 'no libGL.so.1' in line and sys.executable in line
    assert ended.returncode == 1


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('delay', [0.0, 0.1, 0.3, 0.6])
def test_a_signal_at_any_stage_of_the_start_leaves_no_traceback(tmp_path, number, delay):
    code = START.replace(';', '; open("started", "w").close();')
    process = subprocess.Popen(
        [sys.executable, '-c', code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wait_for(Path(tmp_path, 'started').exists, lambda: sleep(0.002), process)
    sleep(0.05 + delay)  # until start() has been called; then to another stage each time
    process.send_signal(number)
    said = process.communicate(timeout=LIMIT)[0].decode()
    assert process.returncode == 0, said
    assert 'Traceback' not in said, said
