"""Watch the results in a terminal, also over SSH.

    python -m emotion_perception.monitor [--ros-args -r __ns:=/robot]

One line a face: id, state, emotion, intensity, confidence, the six scores (anger to surprise), and
over how many seconds the face was looked at. Above them each camera's rate, latency and lost
images, below them the diagnostics. Without a terminal, or on one that cannot move its cursor, the
same as plain lines once a second.
"""

import argparse
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
import os
import signal
from statistics import median
import sys
from time import monotonic, strftime
from typing import Literal

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from emotion_perception.drawing import COLOURS
from emotion_perception.emotions import check_faces, EMOTIONS, TrackState
from emotion_perception.msg import EmotionArray, FaceEmotion
from emotion_perception.nodes.camera_problems import OTHER_CLOCK
from emotion_perception.nodes.conditions import Problem, problem
from emotion_perception.nodes.diagnostics import LATENCY
from emotion_perception.nodes.messages import EMOTIONS_TOPIC, nanoseconds
from emotion_perception.nodes.running import initialised

#: Seconds between two pictures of the screen, and between two lines without one.
SCREEN_PERIOD, LINE_PERIOD = 0.2, 1.0

#: Seconds over which rate and latency are taken.
WINDOW = 1.0

#: Seconds without a result, or a report, after which the screen says so.
SILENCE = 3.0

#: Columns of the bar of an intensity.
BAR = 14

#: Columns of a terminal from which the scores, and the time a result rests on, are shown.
WIDE = 80

#: What the bar and the scores are drawn with, from nothing to full, where the terminal has UTF-8.
BLOCKS, ASCII = ' ▁▂▃▄▅▆▇█', ' .:-=+*%#'

LEVELS = {
    DiagnosticStatus.OK: ('OK', 'green'),
    DiagnosticStatus.WARN: ('WARN', 'yellow'),
    DiagnosticStatus.ERROR: ('ERROR', 'bold red'),
    DiagnosticStatus.STALE: ('STALE', 'magenta'),
}


@dataclass
class Camera:
    """What has come of one camera."""

    newest: EmotionArray
    arrivals: deque[float] = field(default_factory=deque)  #: monotonic times within WINDOW [s]
    #: Stamp to arrival, of the same results [s].
    latencies: deque[float] = field(default_factory=deque)

    def add(self, message: EmotionArray, arrival: float, latency: float) -> None:
        """Take a result; arrival is monotonic time [s], latency stamp to arrival [s]."""
        self.newest = message
        self.arrivals.append(arrival)
        self.latencies.append(latency)
        while self.arrivals[0] < arrival - WINDOW:
            self.arrivals.popleft()
            self.latencies.popleft()

    def head(self, now: float, values: dict[str, str]) -> str:
        """Sum it up in words.

        :param now: monotonic time [s].
        :param values: of the camera's diagnostics.
        """
        silence = now - self.arrivals[-1]
        if silence > SILENCE:
            words = [f'no result for {silence:.0f} s']
        else:
            rate = sum(arrival > now - WINDOW for arrival in self.arrivals) / WINDOW
            latency = median(self.latencies)
            is_known = abs(latency) < OTHER_CLOCK and values.get(LATENCY) != 'none'
            words = [
                f'{rate:.0f} results/s',
                f'latency {latency * 1e3:.1f} ms' if is_known else 'no latency',
            ]
        for name, key in (
            ('dropped', 'images dropped (overload)'),
            ('unusable', 'images unusable'),
            ('lost', 'images lost in transport'),
        ):
            if key in values:
                words.append(f'{name} {values[key]}')
        return '  '.join(words)


class Monitor(Node):
    """Gathers results and diagnostics of one emotion node.

    :param depth: results that wait to be taken at most.
    """

    def __init__(self, name: str = 'emotion_monitor', depth: int = 10) -> None:
        super().__init__(name)
        self.cameras: dict[str, Camera] = {}
        self.status: dict[str, DiagnosticStatus] = {}  #: task -> newest status
        self.reported = monotonic()
        self.unusable: Problem | None = None  #: what is wrong with results, if with any
        self._unusable = 0  # results since the start
        self._subscription = self.create_subscription(
            EmotionArray, EMOTIONS_TOPIC, self._on_emotions, depth
        )
        self.topic = self._subscription.topic_name
        self._prefix = self.topic.rpartition('/')[0].lstrip('/') + ': '
        self.create_subscription(DiagnosticArray, '/diagnostics', self.on_diagnostics, 10)

    def on_emotions(self, message: EmotionArray) -> None:
        """Take a result; it has passed check_faces."""
        latency = self.get_clock().now().nanoseconds - nanoseconds(message.header.stamp)
        camera = self.cameras.setdefault(message.camera, Camera(message))
        camera.add(message, monotonic(), latency * 1e-9)

    def _on_emotions(self, message: EmotionArray) -> None:
        try:
            check_faces((message.image_height, message.image_width), message.faces)
        except ValueError as error:
            self._unusable += 1
            self.unusable = problem(
                'unusable_results', count=self._unusable, reason=f'camera {message.camera}: {error}'
            )
        else:
            self.on_emotions(message)

    def on_diagnostics(self, message: DiagnosticArray) -> None:
        """Take a report."""
        for status in message.status:
            if status.name.startswith(self._prefix):
                self.status[status.name.removeprefix(self._prefix)] = status
                self.reported = monotonic()

    def camera_values(self, camera: str) -> dict[str, str]:
        """Return what the diagnostics tell of a camera."""
        status = self.status.get(f'camera {camera}', DiagnosticStatus())
        return {value.key: value.value for value in status.values}

    def waits(self) -> str:
        """Say why there is nothing to show; empty when there is."""
        if self.cameras:
            return ''
        if self.unusable:
            return f'{self.topic}: {self.unusable.text}'
        if self.count_publishers(self.topic):
            return f'{self.topic} is published, but no result has come yet'
        return f'nobody publishes {self.topic}: is emotion_node running?'

    def task_status(self) -> list[tuple[str, str, str, str]]:
        """Return level, its style, task and message of each status, and of unusable results."""
        found = []
        if self.unusable and self.cameras:  # else waits() says it
            found.append((*LEVELS[self.unusable.level], 'results', self.unusable.text))
        if self.status and monotonic() - self.reported > SILENCE:
            stale = f'none for {monotonic() - self.reported:.0f} s'
            return [*found, (*LEVELS[DiagnosticStatus.STALE], 'diagnostics', stale)]
        return found + [
            (*LEVELS[status.level], task, status.message)
            for task, status in sorted(self.status.items())
        ]


def screen(monitor: Monitor, blocks: str, wide: bool) -> Group:
    """Lay out all there is.

    :param blocks: BLOCKS or ASCII.
    :param wide: whether the terminal has WIDE columns; else 48 are enough.
    """
    lines: list[Text | Table] = [Text.assemble((monitor.topic, 'bold'), '  ', strftime('%H:%M:%S'))]
    if reason := monitor.waits():
        lines.append(Text(reason, 'yellow'))
    for name, camera in sorted(monitor.cameras.items()):
        lines.append(Text(''))
        lines.append(
            Text.assemble(
                (name, 'bold'), '  ', camera.head(monotonic(), monitor.camera_values(name))
            )
        )
        if monotonic() - camera.arrivals[-1] <= SILENCE:
            lines.append(_faces(camera.newest.faces, blocks, wide))
    if status := monitor.task_status():
        table = Table.grid(padding=(0, 2, 0, 0))
        for column in ('level', 'task', 'message'):
            table.add_column(column, no_wrap=column != 'message')
        for level, style, task, message in status:
            table.add_row(Text(level, style), task, message)
        lines += [Text(''), table]
    return Group(*lines)


def _faces(faces: Sequence[FaceEmotion], blocks: str, wide: bool) -> Text | Table:
    if not faces:
        return Text('no face', 'dim')
    table = Table(box=None, padding=(0, 1, 0, 0), header_style='dim')
    initials = ' '.join(emotion[:2] for emotion in EMOTIONS)
    columns: tuple[tuple[str, Literal['left', 'right']], ...] = (
        ('id', 'right'),
        ('state', 'left'),
        ('emotion', 'left'),
        ('intensity', 'left'),
        ('conf', 'right'),
        (initials, 'left'),
        ('over', 'right'),
    )
    if not wide:
        columns = columns[:-2]
    for heading, justify in columns:
        table.add_column(heading, justify=justify, no_wrap=True)
    for face in faces:
        style = _style(face.label)
        cells = (
            str(face.track_id),
            TrackState(face.state).name.lower(),
            Text(face.label, style),
            Text.assemble((_bar(face.intensity, blocks), style), f' {face.intensity:.2f}'),
            f'{face.confidence:.0%}',
            Text.assemble(
                *(
                    (_block(score, blocks) * 2 + ' ', _style(emotion))
                    for emotion, score in zip(EMOTIONS, face.scores)
                )
            ),
            f'{face.sequence_duration:.1f} s',
        )
        table.add_row(*cells[: len(columns)])
    return table


def _style(label: str) -> str:
    blue, green, red = COLOURS[label]
    return f'rgb({red},{green},{blue})'


def _bar(share: float, blocks: str) -> str:
    return (blocks[-1] * round(share * BAR)).ljust(BAR, '·' if blocks is BLOCKS else '.')


def _block(share: float, blocks: str) -> str:
    return blocks[round(share * (len(blocks) - 1))]


def lines(monitor: Monitor) -> list[str]:
    """Return the same in plain lines: one a camera, and one for each status that is not OK."""
    time = strftime('%H:%M:%S')
    if reason := monitor.waits():
        return [f'{time}  {reason}']
    found = []
    for name, camera in sorted(monitor.cameras.items()):
        faces = (
            ' | '.join(
                f'{face.track_id} {face.label} {face.intensity:.2f} {face.confidence:.0%}'
                for face in camera.newest.faces
            )
            or 'no face'
        )
        head = camera.head(monotonic(), monitor.camera_values(name))
        silent = monotonic() - camera.arrivals[-1] > SILENCE
        found.append(f'{time}  {name}  {head}' + ('' if silent else f'  | {faces}'))
    found += [
        f'{time}  {level}  {task}: {message}'
        for level, _, task, message in monitor.task_status()
        if level != 'OK'
    ]
    return found


class Display:
    """Shows a monitor: as a screen, or as plain lines where the terminal cannot do that."""

    def __init__(self, console: Console, whole_screen: bool) -> None:
        """Prepare it.

        :param whole_screen: whether it takes the whole terminal until it ends; if not, it takes as
            many lines as it needs, which stay.
        """
        self._console = console
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(console=console, screen=whole_screen, auto_refresh=False)
        self._blocks = BLOCKS if console.encoding.startswith('utf') else ASCII
        #: Seconds between two updates.
        self.period = SCREEN_PERIOD if self._live else LINE_PERIOD
        self._shown = monotonic() - self.period

    def __enter__(self) -> 'Display':
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, monitor: Monitor) -> None:
        """Show what there is, when it is time to."""
        if monotonic() - self._shown < self.period:
            return
        self._shown = monotonic()
        if self._live:
            wide = self._console.width >= WIDE
            self._live.update(screen(monitor, self._blocks, wide), refresh=True)
        else:  # not by rich, which would break the lines
            print('\n'.join(lines(monitor)), file=self._console.file, flush=True)


def main() -> None:
    """Watch until Ctrl-C."""
    argparse.ArgumentParser(
        prog='python -m emotion_perception.monitor',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(remove_ros_args(sys.argv)[1:])
    with suppress(KeyboardInterrupt, ExternalShutdownException), initialised():
        monitor = Monitor()
        try:
            with Display(Console(), whole_screen=True) as display:
                while rclpy.ok():
                    rclpy.spin_once(monitor, timeout_sec=display.period)
                    display.update(monitor)
        except BrokenPipeError:  # as of `| head`; nothing is left to flush at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # Ctrl-C comes twice where a shell script was started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == '__main__':
    main()
