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

import emotion_perception
from emotion_perception.nodes.transport import FAST_DDS_SETTINGS
from scenes import RATE, compose

CAMERAS = (1, 4)
FACES = (1, 3, 8)
WIDTH, HEIGHT = 640, 480
SETTLING = 4.0      # [s] after the first result
PATIENCE = 60.0     # [s] that a first result is waited for


def node_rows(actors, seconds, model):
    """Measure each number of cameras with each number of faces for so many seconds."""
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
    os.environ.update(FAST_DDS_SETTINGS)
    import rclpy    # reads the environment
    rclpy.init()
    rows = []
    for faces in FACES:
        scene = compose(actors, faces, WIDTH, HEIGHT, int(5 * RATE))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'frames.bgr'
            scene.images.tofile(path)
            for cameras in CAMERAS:
                rows.append(_measure(path, cameras, faces, seconds, model))
                print(rows[-1], flush=True)
    return rows


def _measure(frames, cameras, faces, seconds, model):
    import rclpy
    from emotion_perception.msg import EmotionArray

    arrivals = []       # (camera, stamp, arrival, faces) [ns]

    def on_result(message):
        stamp = message.header.stamp
        arrivals.append((message.camera, stamp.sec * 10**9 + stamp.nanosec, time_ns(),
                         len(message.faces)))

    names = [f'camera_{i}' for i in range(cameras)]
    stamps_file = frames.with_suffix('.stamps')
    listener = rclpy.create_node('listener')
    listener.create_subscription(EmotionArray, '/emotion_node/emotions', on_result, 100)

    def listen(duration=PATIENCE, until=lambda: False):
        end = monotonic() + duration
        while monotonic() < end and not until():
            rclpy.spin_once(listener, timeout_sec=0.05)

    with _process([sys.executable, Path(__file__).parent / 'cameras.py', frames, WIDTH, HEIGHT,
                   cameras, stamps_file]):
        _wait_until_published(listener, names[-1])
        sleep(1.0)
        start = monotonic()
        with _process([_executable(), '--ros-args', '--log-level', 'error',
                       '-p', f'image_topics:=[{", ".join("/" + name for name in names)}]',
                       '-p', f'camera_names:=[{", ".join(names)}]',
                       *(['-p', f'model:={model}'] if model else [])]) as node:
            listen(until=lambda: arrivals)
            if not arrivals:
                raise RuntimeError(f'no result after {PATIENCE} s')
            first_message = monotonic() - start
            listen(SETTLING)
            begin, cpu = time_ns(), _cpu_seconds(node.pid)
            listen(seconds)
            end, cpu = time_ns(), _cpu_seconds(node.pid) - cpu
            listen(1.0)     # for the results that are on their way
            resident = _resident_bytes(node.pid)
    listener.destroy_node()
    published = {name: {stamp for stamp in stamps if begin <= stamp <= end}
                 for name, stamps in zip(names, json.loads(stamps_file.read_text()))}
    received = [(arrival - stamp) * 1e-6 for name, stamp, arrival, _ in arrivals
                if stamp in published[name]]
    numbers = [count for name, stamp, _, count in arrivals if stamp in published[name]]
    count = sum(map(len, published.values()))
    percentiles = quantiles(received, n=100)
    return {
        'cameras': cameras, 'faces': faces,
        'latency_ms_median': round(median(received), 2),
        'latency_ms_p95': round(percentiles[94], 2), 'latency_ms_p99': round(percentiles[98], 2),
        'lost': round(1 - len(received) / count, 5),
        'rss_mb': round(resident / 1e6, 1), 'first_message_s': round(first_message, 2),
        'cpu_share': round(cpu / (end - begin) * 1e9, 3),
        'images_a_second': round(count / cameras / (end - begin) * 1e9, 2),
        'faces_found': round(sum(numbers) / len(numbers), 3)}


@contextmanager
def _process(arguments):
    """Run a process; end it by SIGINT."""
    process = subprocess.Popen(list(map(str, arguments)))
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
    raise FileNotFoundError('emotion_node is not installed: run `make build`, or source the '
                            'workspace in which the package is built')


def _wait_until_published(listener, topic):
    end = monotonic() + PATIENCE
    while not listener.count_publishers(topic):
        if monotonic() > end:
            raise RuntimeError('the cameras do not start')
        sleep(0.1)


def _resident_bytes(pid):
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def _cpu_seconds(pid):
    # User and system time follow the command's name, which stands in brackets.
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
