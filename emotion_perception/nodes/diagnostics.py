"""What becomes of the images, counted and published on /diagnostics once a second."""
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
import threading
from time import monotonic

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType

from emotion_perception.nodes.transport import FAST_DDS_SETTINGS

#: Seconds between two reports.
PERIOD = 1.0

#: Seconds without an image after which a camera is reported as silent.
SILENCE = 5.0


@dataclass
class CameraCounts:
    """One camera's images since the node started."""

    topic: str
    received: int = 0
    processed: int = 0
    overload: int = 0    #: dropped because a newer one came before their turn
    unusable: int = 0    #: refused, see unusable_reason
    lost: int = 0        #: lost by the middleware on the way to the node
    unusable_reason: str = ''
    restarts: int = 0    #: times that its faces were forgotten, for a stamp went back
    late: int = 0        #: left out, for a stamp a little before the last one
    resizes: int = 0     #: times that its faces were forgotten, for the images' size changed
    newest: float = field(default_factory=monotonic)  #: arrival of the newest, or the start [s]
    latencies: list = field(default_factory=list)  #: stamp to result since the last report [s]


class Diagnostics:
    """Counts, times and their publisher; for use from two threads."""

    def __init__(self, node, topics, image_type, model):
        """Begin to publish.

        :param topics: dict of each camera's name -> resolved topic.
        :param image_type: the type expected there, like 'sensor_msgs/msg/Image'.
        :param model: dict of what is to be told of the model.
        """
        self._node = node
        self._image_type = image_type
        self._model = model
        self._lock = threading.Lock()
        self._cameras = {name: CameraCounts(topic) for name, topic in topics.items()}
        self._reported = {name: CameraCounts(topic) for name, topic in topics.items()}
        self._reasons = dict.fromkeys(topics)  # why a camera was silent at the last report
        self._logged = dict.fromkeys(topics)
        self._seconds = Counter()
        self._frames = 0
        self._faces = {}
        self._last_report = monotonic()
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # Steady time: under simulated time the node's own clock stands still until /clock comes.
        node.create_timer(PERIOD, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def received(self, camera, replaced):
        """Count an image, and the one that it replaced before that was processed."""
        with self._lock:
            counts = self._cameras[camera]
            counts.received += 1
            counts.overload += replaced
            counts.newest = monotonic()

    def unusable(self, camera, reason):
        """Count an image that was refused."""
        with self._lock:
            self._cameras[camera].unusable += 1
            self._cameras[camera].unusable_reason = reason

    def stream(self, camera, restarts, late, resizes):
        """Take note of how often a camera's stream was broken so far, see EmotionPipeline."""
        with self._lock:
            counts = self._cameras[camera]
            counts.restarts, counts.late, counts.resizes = restarts, late, resizes

    def processed(self, camera, latency, faces):
        """Count an image whose result was published, latency [s] after its stamp."""
        with self._lock:
            self._cameras[camera].processed += 1
            self._cameras[camera].latencies.append(latency)
            self._faces[camera] = faces

    def spent(self, frames, timings):
        """Add the time [s] of each stage that these frames took together."""
        with self._lock:
            self._frames += frames
            self._seconds.update(timings)

    def lost(self, camera, event):
        """Take note of images that the middleware has lost."""
        with self._lock:
            self._cameras[camera].lost = event.total_count

    def _report(self):
        with self._lock:
            elapsed = monotonic() - self._last_report
            self._last_report += elapsed
            status = [self._camera_status(name, elapsed) for name in self._cameras]
            status.append(self._processing_status())
        report = DiagnosticArray(status=status)
        report.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(report)

    def _camera_status(self, name, elapsed):
        counts, before = self._cameras[name], self._reported[name]
        age = monotonic() - counts.newest
        received = counts.received - before.received
        overload = counts.overload - before.overload
        unusable = counts.unusable - before.unusable
        restarts = counts.restarts - before.restarts
        late, resizes = counts.late - before.late, counts.resizes - before.resizes
        silent = self._why_silent(counts) if age > SILENCE else None
        self._log_silence(name, silent)
        warning = silent
        if unusable:
            warning = f'{unusable} unusable images: {counts.unusable_reason}'
        elif restarts:
            warning = (f'{restarts} stamps went back, and the faces so far were forgotten: '
                       'is there a second publisher, or has a recording begun again?')
        elif late:
            warning = (f'{late} images left out: their stamps lie a little before the last '
                       "one's. Are there two publishers, or does the clock step?")
        elif resizes:
            warning = (f'the size of the images changed {resizes} times, and the faces so far '
                       'were forgotten')
        elif overload:
            warning = f'{overload} of {received} images dropped: they come faster than processed'
        values = {
            'topic': counts.topic,
            'images received': counts.received,
            'images processed': counts.processed,
            'images dropped (overload)': counts.overload,
            'images unusable': counts.unusable,
            'images lost in transport': counts.lost,
            'images late (left out)': counts.late,
            'stamps that went back': counts.restarts,
            'changes of image size': counts.resizes,
            'rate of images [Hz]': f'{received / elapsed:.1f}',
            'age of newest image [s]': f'{age:.2f}' if counts.received else 'none yet',
            'median latency, stamp to result [ms]':
                f'{median(counts.latencies) * 1e3:.1f}' if counts.latencies else 'none',
        }
        counts.latencies.clear()
        before.received, before.overload, before.unusable = (
            counts.received, counts.overload, counts.unusable)
        before.restarts, before.late, before.resizes = (
            counts.restarts, counts.late, counts.resizes)
        return self._status(f'camera {name}', warning, f'{received / elapsed:.1f} images/s', values)

    def _processing_status(self):
        values = {**self._model, 'faces': sum(self._faces.values())}
        for stage, seconds in self._seconds.items():
            values[f'{stage} [ms/image]'] = f'{seconds / max(self._frames, 1) * 1e3:.2f}'
        total = sum(self._seconds.values()) / max(self._frames, 1) * 1e3
        message = f'{total:.1f} ms/image' if self._frames else 'no image to process'
        self._seconds = Counter(dict.fromkeys(self._seconds, 0.0))
        self._frames = 0
        return self._status('processing', None, message, values)

    def _status(self, task, warning, message, values):
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if warning else DiagnosticStatus.OK,
            name=f'{self._node.get_fully_qualified_name().lstrip("/")}: {task}',
            message=warning or message,
            hardware_id='none',
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])

    def _why_silent(self, counts):
        publishers = self._node.get_publishers_info_by_topic(counts.topic)
        types = {publisher.topic_type for publisher in publishers} - {self._image_type}
        if not publishers:
            return f'no image on {counts.topic}: nobody publishes it'
        if types:
            return (f'no image on {counts.topic}: it carries {", ".join(sorted(types))}, '
                    f'expected {self._image_type}')
        settings = ' '.join(map('='.join, FAST_DDS_SETTINGS.items()))
        return (f'no image on {counts.topic} though it is published. Over Fast DDS the publisher '
                f'of large images needs {settings}')

    def _log_silence(self, name, reason):
        """Log once why a camera is silent, and when its images arrive again.

        A reason counts when two reports in a row have it: a publisher that has just come needs a
        moment to connect.
        """
        before, self._reasons[name] = self._reasons[name], reason
        if reason != before or reason == self._logged[name]:
            return
        self._logged[name] = reason
        if reason:
            self._node.get_logger().warning(f'Camera {name}: {reason}')
        else:
            self._node.get_logger().info(f'Camera {name}: images arrive')
