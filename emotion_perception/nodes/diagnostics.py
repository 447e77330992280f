"""What becomes of the images of emotion_node: counts, times, and what is wrong with them."""

from dataclasses import replace
from statistics import median
import threading
from time import monotonic

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.event_handler import QoSMessageLostInfo
from rclpy.node import Node

from emotion_perception.nodes.camera_counts import CameraCounts
from emotion_perception.nodes.camera_problems import Judge
from emotion_perception.nodes.conditions import Problem
from emotion_perception.nodes.status import PERIOD, SILENCE, StatusPublisher

#: Key of the time from the stamps of images to their results; 'none' where the stamps tell none.
LATENCY = 'median latency, stamp to result [ms]'

#: What no camera loses at once; see Diagnostics.lost.
NO_COUNT = 2**31

#: Conditions in which an image has no latency.
OTHER_CLOCKS = {'zero_stamps', 'still_stamps', 'stamps_ahead', 'stamps_behind'}


class Diagnostics:
    """Counts, times and their publisher; for use from two threads."""

    def __init__(self, node: Node, topics: dict[str, str], image_transport: str) -> None:
        """Begin to publish.

        :param topics: each camera's name -> resolved topic.
        :param image_transport: one of IMAGE_TRANSPORTS.
        """
        self._node = node
        self._judge = Judge(node, image_transport)
        #: What is to be told of the model, once there is one.
        self.model: dict[str, str] = {}
        self._refusal: Problem | None = None
        self._state = 'unconfigured'
        self._lock = threading.Lock()
        self._cameras = {name: CameraCounts(topic) for name, topic in topics.items()}
        self._reported = {name: replace(counts) for name, counts in self._cameras.items()}
        self._base = dict(self._reported)  # counts of the pipelines before this one
        self._seconds: dict[str, float] = {}  # of each stage since the last report
        self._frames = 0
        self._faces: dict[str, tuple[int, float]] = {}  # of the newest result, and its time [s]
        self._last_report = monotonic()
        self._publisher = StatusPublisher(node)
        # Steady time: under simulated time the node's own clock stands still until /clock comes.
        node.create_timer(PERIOD, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def enter(self, state: str) -> None:
        """Take note of the node's lifecycle state; cameras are judged while it is 'active'."""
        with self._lock:
            self._state = state
            if state in ('unconfigured', 'finalized'):
                self.model = {}
                # The next pipeline counts from 0 again.
                self._base = {name: replace(counts) for name, counts in self._cameras.items()}
            self._faces.clear()
            for counts in self._cameras.values():
                counts.newest = monotonic()

    def refuse(self, refusal: Problem | None) -> None:
        """Take note of why the node could not be configured; None when it could."""
        with self._lock:
            self._refusal = refusal
            if refusal:  # another attempt, another line in the log
                self._publisher.forget('Node', refusal.name)

    def received(self, camera: str, size: int, replaced: bool) -> None:
        """Count an image of size [bytes], and the one that it replaced before its turn."""
        with self._lock:
            counts = self._cameras[camera]
            counts.received += 1
            counts.overload += replaced
            counts.largest = max(counts.largest, size)
            counts.newest = monotonic()

    def dropped(self, camera: str) -> None:
        """Count an image that was received, but not processed any more."""
        with self._lock:
            self._cameras[camera].overload += 1

    def unusable(self, camera: str, reason: str) -> None:
        """Count an image that was refused."""
        with self._lock:
            self._cameras[camera].unusable += 1
            self._cameras[camera].unusable_reason = reason

    def internal_error(self, camera: str, error: Exception) -> None:
        """Count an image that met an error which nobody expected."""
        with self._lock:
            self._cameras[camera].errors += 1
            self._cameras[camera].error = f'{type(error).__name__}: {error}'
            self._faces.pop(camera, None)

    def stream(self, camera: str, restarts: int, late: int, resizes: int, gaps: int) -> None:
        """Take note of how often this pipeline met a break in a stream, see EmotionPipeline."""
        with self._lock:
            counts, base = self._cameras[camera], self._base[camera]
            counts.restarts, counts.late = base.restarts + restarts, base.late + late
            counts.resizes, counts.gaps = base.resizes + resizes, base.gaps + gaps

    def processed(self, camera: str, stamp_ns: int, age: float, faces: int) -> None:
        """Count an image whose result was published, age [s] after its stamp."""
        with self._lock:
            self._cameras[camera].add_result(stamp_ns, age)
            self._faces[camera] = faces, monotonic()

    def forget_faces(self) -> None:
        """Take note that all faces were forgotten."""
        with self._lock:
            self._faces.clear()

    def spent(self, frames: int, timings: dict[str, float]) -> None:
        """Add the time [s] of each stage that these frames took together."""
        with self._lock:
            self._frames += frames
            for stage, seconds in timings.items():
                self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def lost(self, camera: str, event: QoSMessageLostInfo) -> None:
        """Count images that the middleware has lost.

        Now and then, once in some 10,000 images of a busy machine, Fast DDS tells of 2**32 more
        or of 2**31 fewer, as an unsigned number: that is no count.
        """
        if event.total_count_change < NO_COUNT:
            with self._lock:
                self._cameras[camera].lost += event.total_count_change

    def incompatible(self, camera: str, policy: str) -> None:
        """Take note of a publisher that does not offer what is asked for; '' when all do."""
        with self._lock:
            self._cameras[camera].incompatible = policy

    def _report(self) -> None:
        with self._lock:
            elapsed = monotonic() - self._last_report
            self._last_report += elapsed
            status = [self._camera_status(name, elapsed) for name in self._cameras]
            status.append(self._processing_status())
        self._publisher.publish(status)

    def _camera_status(self, name: str, elapsed: float) -> DiagnosticStatus:
        counts, before = self._cameras[name], self._reported[name]
        active = self._state == 'active'
        problems = self._judge.problems(counts, before) if active else []
        received = counts.received - before.received
        no_latency = (
            not counts.ages
            or not self._node.get_clock().now().nanoseconds  # simulated, and not heard of yet
            or OTHER_CLOCKS & {found.name for found in problems}
        )
        values = {
            'topic': counts.topic,
            'images received': counts.received,
            'images processed': counts.processed,
            'images dropped (overload)': counts.overload,
            'images unusable': counts.unusable,
            'images lost in transport': counts.lost,
            'images late (left out)': counts.late,
            'unexpected errors': counts.errors,
            'stamps that went back': counts.restarts,
            'changes of image size': counts.resizes,
            'gaps in the stamps': counts.gaps,
            'rate of images [Hz]': f'{received / elapsed:.1f}',
            'age of newest image [s]': f'{monotonic() - counts.newest:.2f}'
            if counts.received
            else 'none yet',
            LATENCY: 'none' if no_latency else f'{median(counts.ages) * 1e3:.1f}',
        }
        self._reported[name] = counts.report(before)
        self._publisher.log(f'Camera {name}', problems, received > 0)
        return self._publisher.status(
            f'camera {name}',
            problems,
            f'{received / elapsed:.1f} images/s' if active else self._state,
            values,
        )

    def _processing_status(self) -> DiagnosticStatus:
        # Those of a camera that has stopped are not there any more.
        limit = monotonic() - SILENCE
        faces = sum(count for count, time in self._faces.values() if time > limit)
        values = {'state': self._state, **self.model, 'faces': faces}
        for stage, seconds in self._seconds.items():
            values[f'{stage} [ms/image]'] = f'{seconds / max(self._frames, 1) * 1e3:.2f}'
        total = sum(self._seconds.values()) / max(self._frames, 1) * 1e3
        message = f'{total:.1f} ms/image' if self._frames else 'no image to process'
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        self._frames = 0
        problems = [*filter(None, [self._refusal]), *self._publisher.node_problems()]
        self._publisher.log('Node', problems)
        return self._publisher.status(
            'processing', problems, message if self._state == 'active' else self._state, values
        )
