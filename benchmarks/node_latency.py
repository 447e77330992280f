"""Part c: the node as it is installed, between cameras and a listener, each a process, over DDS.

The latency runs from an image's stamp, taken as it is published, to the arrival of its result in
the listener (this process).
"""

from contextlib import contextmanager
import json
import os
from pathlib import Path
import signal
from statistics import median, quantiles
import subprocess
import sys
import tempfile
from time import monotonic, sleep, time_ns

from scenes import compose, RATE

import emotion_perception
from emotion_perception.nodes.transport import FAST_DDS_SETTINGS

CAMERAS = (1, 4)
FACES = (1, 3, 8)
WIDTH, HEIGHT = 640, 480
SETTLING = 4.0  # [s] after the first result
PATIENCE = 60.0  # [s] that a first result is waited for


def node_rows(actors, seconds, model):
    """Measure each number of cameras with each number of faces for so many seconds."""
    _init()
    rows = []
    for faces in FACES:
        with _frames(actors, faces) as path:
            for cameras in CAMERAS:
                rows.append(_measure(path, cameras, faces, seconds, model))
                print(rows[-1], flush=True)
    return rows


def start_row(actors, starts, model):
    """Start the node so many times before a camera that runs; time the way to its first result."""
    _init()
    ready, first = [], []
    with _frames(actors, 1) as path, _Listener(path, 1) as listener:
        for _ in range(starts):
            listener.arrivals.clear()
            start = monotonic()
            with _node(listener.names, model, 'info', stderr=subprocess.PIPE, text=True) as node:
                for line in node.stderr:
                    if 'waits for' in line:  # it has subscribed
                        break
                ready.append(monotonic() - start)
                listener.first()
                first.append(monotonic() - start)
    row = {
        'starts': starts,
        'ready_s_median': round(median(ready), 2),
        'ready_s_max': round(max(ready), 2),
        'first_message_s_min': round(min(first), 2),
        'first_message_s_median': round(median(first), 2),
        'first_message_s_max': round(max(first), 2),
    }
    print(row, flush=True)
    return row


def _init():
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    os.environ.update(FAST_DDS_SETTINGS)
    import rclpy  # reads the environment

    if not rclpy.ok():
        rclpy.init()


@contextmanager
def _frames(actors, faces):
    """Write five seconds of a scene to a file of raw images."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'frames.bgr'
        compose(actors, faces, WIDTH, HEIGHT, int(5 * RATE)).images.tofile(path)
        yield path


class _Listener:
    """A subscriber to the node's results; within its context cameras publish."""

    def __init__(self, frames, cameras):
        self.names = [f'camera_{i}' for i in range(cameras)]
        self.arrivals = []  # (camera, stamp, arrival, faces) [ns]
        self._stamps = frames.with_suffix('.stamps')
        self._cameras = _process(
            [
                sys.executable,
                Path(__file__).parent / 'cameras.py',
                frames,
                WIDTH,
                HEIGHT,
                cameras,
                self._stamps,
            ]
        )

    def __enter__(self):
        import rclpy

        from emotion_perception.msg import EmotionArray

        self._node = rclpy.create_node('listener')
        self._node.create_subscription(EmotionArray, '/emotion_node/emotions', self._on_result, 100)
        self._cameras.__enter__()
        end = monotonic() + PATIENCE
        while not self._node.count_publishers(self.names[-1]):
            if monotonic() > end:
                raise RuntimeError('the cameras do not start')
            sleep(0.1)
        sleep(1.0)
        return self

    def __exit__(self, *error):
        self._cameras.__exit__(*error)
        self._node.destroy_node()

    def listen(self, duration, until=lambda: False):
        import rclpy

        end = monotonic() + duration
        while monotonic() < end and not until():
            rclpy.spin_once(self._node, timeout_sec=0.05)

    def first(self):
        """Wait for a first result."""
        self.listen(PATIENCE, until=lambda: self.arrivals)
        if not self.arrivals:
            raise RuntimeError(f'no result after {PATIENCE} s')

    def stamps(self):
        """Return {camera: stamps of all that it published [ns]}; once the cameras have ended."""
        return dict(zip(self.names, json.loads(self._stamps.read_text())))

    def _on_result(self, message):
        stamp = message.header.stamp
        self.arrivals.append(
            (message.camera, stamp.sec * 10**9 + stamp.nanosec, time_ns(), len(message.faces))
        )


def _measure(frames, cameras, faces, seconds, model):
    with _Listener(frames, cameras) as listener, _node(listener.names, model, 'error') as node:
        listener.first()
        listener.listen(SETTLING)
        begin, cpu = time_ns(), _cpu_seconds(node.pid)
        listener.listen(seconds)
        end, cpu = time_ns(), _cpu_seconds(node.pid) - cpu
        listener.listen(1.0)  # for the results that are on their way
        resident = _resident_bytes(node.pid)
    published = {
        name: {stamp for stamp in stamps if begin <= stamp <= end}
        for name, stamps in listener.stamps().items()
    }
    arrivals = [one for one in listener.arrivals if one[1] in published[one[0]]]
    received = [(arrival - stamp) * 1e-6 for _, stamp, arrival, _ in arrivals]
    count = sum(map(len, published.values()))
    percentiles = quantiles(received, n=100)
    return {
        'cameras': cameras,
        'faces': faces,
        'latency_ms_median': round(median(received), 2),
        'latency_ms_p95': round(percentiles[94], 2),
        'latency_ms_p99': round(percentiles[98], 2),
        'lost': round(1 - len(received) / count, 5),
        'rss_mb': round(resident / 1e6, 1),
        'cpu_share': round(cpu / (end - begin) * 1e9, 3),
        'images_a_second': round(count / cameras / (end - begin) * 1e9, 2),
        'faces_found': round(sum(found for *_, found in arrivals) / len(arrivals), 3),
    }


def _node(names, model, level, **process):
    return _process(
        [
            _executable(),
            '--ros-args',
            '--log-level',
            level,
            '-p',
            f'image_topics:=[{", ".join("/" + name for name in names)}]',
            '-p',
            f'camera_names:=[{", ".join(names)}]',
            *(['-p', f'model:={model}'] if model else []),
        ],
        **process,
    )


@contextmanager
def _process(arguments, **further):
    """Run a process; end it by SIGINT."""
    process = subprocess.Popen(list(map(str, arguments)), **further)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _executable():
    """Return the node as colcon installed it."""
    for prefix in Path(emotion_perception.__file__).parents:
        path = prefix / 'lib' / 'emotion_perception' / 'emotion_node'
        if path.is_file():
            return path
    raise FileNotFoundError(
        'emotion_node is not installed: run `make build`, or source the '
        'workspace in which the package is built'
    )


def _resident_bytes(pid):
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def _cpu_seconds(pid):
    # User and system time follow the command's name, which stands in brackets.
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
