"""The monitor as a process of its own: on a terminal, on poor ones, and in a pipe."""

from contextlib import contextmanager
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios

import pytest

pyte = pytest.importorskip('pyte', reason='needs pyte, a terminal without a screen')
rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from emotion_perception.drawing import COLOURS  # noqa: E402
from emotion_perception.emotions import FaceEmotion, LABELS, Roi, TrackState  # noqa: E402
from emotion_perception.msg import EmotionArray, FaceEmotion as FaceEmotionMessage  # noqa: E402
from emotion_perception.nodes import messages  # noqa: E402
from processes import LIMIT, wait_for  # noqa: E402

COMMAND = [sys.executable, '-m', 'emotion_perception.monitor']

COLUMNS, ROWS = 80, 24

pytestmark = pytest.mark.usefixtures('ros')


class Robot:
    """In place of an emotion node: publishes results of two cameras, and diagnostics."""

    def __init__(self):
        self.node = rclpy.create_node('robot_of_monitor')
        self._emotions = self.node.create_publisher(EmotionArray, 'emotion_node/emotions', 10)
        self._reports = self.node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.unusable = []
        self.faces = [face(7, 'happiness', 0.8), face(12, 'neutral', 0.1, TrackState.COASTING)]

    def publish(self):
        now = self.node.get_clock().now().to_msg()
        for camera, stamp, faces in (('front', now, self.faces), ('rear', Time(), [])):
            self._emotions.publish(
                messages.emotion_array(
                    Header(stamp=stamp, frame_id='eye'), camera, (120, 160), faces
                )
            )
        for result in self.unusable:
            self._emotions.publish(result)
        self._reports.publish(
            DiagnosticArray(
                status=[
                    DiagnosticStatus(
                        level=DiagnosticStatus.WARN,
                        name='emotion_node: camera front',
                        message='3 of 30 images dropped',
                        values=[KeyValue(key='images dropped (overload)', value='3')],
                    ),
                    DiagnosticStatus(
                        level=DiagnosticStatus.OK,
                        name='emotion_node: processing',
                        message='5.0 ms/image',
                    ),
                    DiagnosticStatus(
                        level=DiagnosticStatus.ERROR, name='other_node: of no interest'
                    ),
                ]
            )
        )
        rclpy.spin_once(self.node, timeout_sec=0.05)


def face(track_id, label, intensity, state=TrackState.CONFIRMED):
    return FaceEmotion(
        track_id,
        state,
        Roi(1, 2, 30, 30),
        label,
        LABELS.index(label),
        intensity,
        0.9,
        (0.0, 0.0, 0.0, 1.0, 0.0, 0.0),
        20,
        3.25,
    )


@pytest.fixture(scope='module')
def robot(ros):
    robot = Robot()
    yield robot
    robot.node.destroy_node()


class Terminal:
    """What a terminal of 80 x 24 shows of a process."""

    def __init__(self, folder, columns=COLUMNS, **environment):
        self._end, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack('HHHH', ROWS, columns, 0, 0))
        variables = {
            'TERM': 'xterm-256color',
            'COLORTERM': 'truecolor',
            'LANG': 'C.UTF-8',
            **os.environ,
            **environment,
        }
        # Readline, where a process of tests has imported it, writes its own size there.
        for name in ('COLUMNS', 'LINES'):
            variables.pop(name, None)
        self.process = subprocess.Popen(
            COMMAND,
            cwd=folder,
            env=variables,
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
        )
        os.close(end)
        self._screen = pyte.Screen(columns, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b''

    def read(self):
        while select.select([self._end], [], [], 0)[0]:
            try:
                data = os.read(self._end, 65536)
            except OSError:  # the process has ended
                return
            self.written += data
            self._stream.feed(data)

    def text(self):
        return '\n'.join(line.rstrip() for line in self._screen.display)

    def cells(self):
        return [cell for row in self._screen.buffer.values() for cell in row.values()]

    def end(self, number):
        self.process.send_signal(number)
        # Who writes into a full terminal does not end.
        wait_for(lambda: self.process.poll() is not None, self.read)
        os.close(self._end)
        return self.process.returncode


@contextmanager
def terminal(folder, number=signal.SIGINT, **environment):
    terminal = Terminal(folder, **environment)
    try:
        yield terminal
        assert terminal.end(number) == 0, terminal.text()
        assert b'Traceback' not in terminal.written
    finally:
        terminal.process.kill()


def wait_until(condition, terminal, robot):
    """Let the robot publish until the terminal shows it."""

    def work():
        robot.publish()
        terminal.read()

    wait_for(condition, work, terminal.process, terminal.text)


def shows(terminal, *patterns):
    return lambda: all(re.search(pattern, terminal.text()) for pattern in patterns)


def test_a_terminal_shows_faces_rates_and_diagnostics(robot, tmp_path):
    with terminal(tmp_path) as screen:
        wait_until(
            shows(
                screen,
                r'/emotion_node/emotions  \d\d:\d\d:\d\d',
                r'front  \d+ results/s  latency \d+\.\d ms  dropped 3',
                r'rear  \d+ results/s  no latency.*\n *no face',
                r' 7 confirmed happiness █{11}··· 0\.80 +90% .*██ .* 3\.2 s',
                r'12 coasting +neutral +█·{13} 0\.10',
                r'WARN +camera front  3 of 30 images dropped',
                r'OK +processing +5\.0 ms/image',
            ),
            screen,
            robot,
        )
        assert 'of no interest' not in screen.text()
        blue, green, red = COLOURS['happiness']
        assert {cell.fg for cell in screen.cells() if cell.data == '█'} >= {
            f'{red:02x}{green:02x}{blue:02x}'
        }


def test_without_colour_and_utf_8_it_shows_the_same(robot, tmp_path):
    with terminal(tmp_path, signal.SIGTERM, NO_COLOR='1', PYTHONIOENCODING='ascii') as screen:
        wait_until(
            shows(
                screen,
                r' 7 confirmed happiness #{11}\.\.\. 0\.80 +90% .*## ',
                r'WARN +camera front',
            ),
            screen,
            robot,
        )
        assert {cell.fg for cell in screen.cells()} == {'default'}


def test_a_narrow_terminal_gets_fewer_columns_and_all_of_these(robot, tmp_path):
    with terminal(tmp_path, columns=50) as screen:
        wait_until(shows(screen, r'7 confirmed happiness █{11}··· 0\.80 +90%'), screen, robot)
        assert re.search(r'id state +emotion +intensity +conf *$', screen.text(), re.MULTILINE)
        assert '…' not in screen.text()


def test_a_dumb_terminal_gets_plain_lines(robot, tmp_path):
    with terminal(tmp_path, TERM='dumb') as screen:
        wait_until(lambda: b'7 happiness 0.80 90%' in screen.written, screen, robot)
        assert b'\x1b' not in screen.written


def test_more_faces_than_rows_stay_on_the_screen(robot, tmp_path):
    faces = robot.faces
    robot.faces = [face(number, 'disgust', 1.0) for number in range(1001, 1041)]
    try:
        with terminal(tmp_path) as screen:
            wait_until(shows(screen, r'1001 confirmed disgust +█{14} 1\.00 +90%'), screen, robot)
            assert screen.text().startswith('/emotion_node/emotions')
    finally:
        robot.faces = faces


def test_unusable_results_are_left_out_and_told(robot, tmp_path):
    robot.unusable = [
        EmotionArray(camera='front', faces=[FaceEmotionMessage(track_id=1)]),
        messages.emotion_array(Header(), 'other', (120, 160), [face(1, 'fear', float('nan'))]),
    ]
    try:
        with terminal(tmp_path, columns=140) as screen:
            wait_until(
                shows(
                    screen,
                    r'front  \d+ results/s .*\n.*\n +7 confirmed happiness',
                    r'WARN +results +\d+ unusable results: camera other: face 1: intensity, '
                    r'confidence or a score is not within 0 .. 1',
                    r'WARN +camera front',
                ),
                screen,
                robot,
            )
            assert not re.search('^other', screen.text(), re.MULTILINE)
        # Where no other has come.
        node = rclpy.create_node('robot_elsewhere')
        emotions = node.create_publisher(EmotionArray, '/elsewhere/emotion_node/emotions', 10)
        with subprocess.Popen(
            [*COMMAND, '--ros-args', '-r', '__ns:=/elsewhere'],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            wrote = ''
            while 'unusable' not in wrote:
                while not select.select([process.stdout], [], [], 0.05)[0]:
                    emotions.publish(robot.unusable[0])
                wrote = process.stdout.readline()
                assert wrote
            process.send_signal(signal.SIGINT)
            assert process.wait(LIMIT) == 0
        node.destroy_node()
        assert re.fullmatch(
            r'[\d:]{8}  /elsewhere/emotion_node/emotions: \d+ unusable results: camera front: '
            r'the image has 0 x 0 pixels, expected at least one\n',
            wrote,
        )
    finally:
        robot.unusable = []


def test_in_a_pipe_it_writes_a_line_a_camera(robot, tmp_path):
    with subprocess.Popen(
        [*COMMAND], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wrote = []
        while not (wrote and 'WARN' in wrote[-1]):
            while not select.select([process.stdout], [], [], 0)[0]:
                robot.publish()
            wrote.append(process.stdout.readline())
            assert wrote[-1], process.stderr.read()
        process.stdout.close()  # as `| head` does
        assert process.wait(LIMIT) == 0
        assert process.stderr.read() == ''
    assert any(
        re.fullmatch(
            r'\d\d:\d\d:\d\d  front  .*  dropped 3  \| 7 happiness 0\.80 90% \| '
            r'12 neutral 0\.10 90%\n',
            line,
        )
        for line in wrote
    )
    assert any(re.fullmatch(r'\d\d:\d\d:\d\d  rear  .*\| no face\n', line) for line in wrote)
    assert 'WARN  camera front: 3 of 30 images dropped\n' in wrote[-1]


def test_it_says_why_it_shows_nothing(tmp_path):
    with subprocess.Popen(
        [*COMMAND, '--ros-args', '-r', '__ns:=/nowhere'],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 0
    assert line.endswith(
        'nobody publishes /nowhere/emotion_node/emotions: is emotion_node running?\n'
    )
