"""The node: camera images in, EmotionArray out."""
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
import threading
from time import perf_counter

import cv2
from rcl_interfaces.msg import SetParametersResult
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future

from emotion_perception.msg import EmotionArray
from emotion_perception.nodes import messages, parameters
from emotion_perception.nodes.diagnostics import Diagnostics
from emotion_perception.nodes.newest_images import NewestImages
from emotion_perception.nodes.running import run
from emotion_perception.options import OPTIONS, RENAMED
from emotion_perception.pipeline import EmotionPipeline


class EmotionNode(Node):
    """Publishes one EmotionArray on ~/emotions for every image that it processes.

    The executor's thread only receives: it leaves each image in NewestImages. A thread of its
    own takes the newest image of all cameras that have one, and processes them in one batch.

    :raises ParameterException: when a parameter has a wrong type or is out of range.
    :raises InvalidTopicNameException: when an image topic can be none.
    :raises ValueError: when a parameter has a value that cannot be, or the model is damaged.
    :raises FileNotFoundError: when the model or the face detector's cascade is missing.
    """

    def __init__(self):
        super().__init__('emotion_node')
        values = parameters.declare(self, parameters.NODE_OPTIONS)
        topics = parameters.image_topics(self, values)
        transport = messages.IMAGE_TRANSPORTS[values['image_transport']]
        self._to_bgr = transport.to_bgr
        if len(topics) > 1:
            # Cameras are worked on side by side; OpenCV's own threads would only wait for work.
            cv2.setNumThreads(1)
        options = parameters.declare(self, OPTIONS)
        parameters.declare_old_names(self)
        options = {name: self.get_parameter(name).value for name in options}
        self._pipeline = EmotionPipeline(values['model'] or None, **options)
        self._pipeline_lock = threading.Lock()
        self._images = NewestImages()
        #: Done when the work has ended.
        self.finished = Future()

        self._publisher = self.create_publisher(EmotionArray, '~/emotions', 10)
        self._diagnostics = Diagnostics(self, topics, transport.type_name, {
            'model': self._pipeline.model_name, 'model SHA-256': self._pipeline.model_sha256})
        self.add_on_set_parameters_callback(self._on_set_parameters)
        # Best effort receives from every publisher. Depth 1: the newest image, never a queue.
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        for name, topic in topics.items():
            events = SubscriptionEventCallbacks(message_lost=partial(self._diagnostics.lost, name))
            self.create_subscription(transport.message_type, topic, partial(self._on_image, name),
                                     qos, event_callbacks=events)
            self.get_logger().info(f'Camera {name}: waits for {transport.type_name} on {topic}')

    @contextmanager
    def running(self):
        """Process images; an error in that ends the node."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            work = pool.submit(self._work)
            try:
                work.add_done_callback(lambda _: self.finished.set_result(None))
                yield
            finally:
                self._images.close()
                work.result()

    def _on_image(self, camera, message):
        self._diagnostics.received(camera, self._images.put(camera, message))

    def _work(self):
        while waiting := self._images.take():
            self._process(waiting)

    def _process(self, waiting):
        started = perf_counter()
        batch, headers = [], []
        for camera, message in waiting.items():
            try:
                image = self._to_bgr(message)
            except ValueError as error:
                self._diagnostics.unusable(camera, str(error))
                self.get_logger().warning(f'Camera {camera}: unusable image: {error}',
                                          throttle_duration_sec=1.0)
                continue
            batch.append((camera, image, messages.nanoseconds(message.header.stamp)))
            headers.append(message.header)
        if not batch:
            return
        converted = perf_counter()
        with self._pipeline_lock:
            results = self._pipeline.process_batch(batch)
            timings = self._pipeline.timings
            counts = [{'restarts': self._pipeline.restarts(camera),
                       'late': self._pipeline.late(camera),
                       'resizes': self._pipeline.resizes(camera)} for camera, _, _ in batch]
        processed = perf_counter()
        for (camera, image, stamp), header, faces, stream in zip(
                batch, headers, results, counts):
            self._diagnostics.stream(camera, **stream)
            if faces is None:       # the image was late, and is left out
                continue
            self._publisher.publish(
                messages.emotion_array(header, camera, image.shape[:2], faces))
            latency = self.get_clock().now().nanoseconds - stamp
            self._diagnostics.processed(camera, latency * 1e-9, len(faces))
        self._diagnostics.spent(len(batch), {
            'conversion': converted - started, **timings, 'publish': perf_counter() - processed})

    def _on_set_parameters(self, changed):
        names = {option.name for option in OPTIONS} | {old.name for old, _, _ in RENAMED}
        options = {parameter.name: parameter.value for parameter in changed
                   if parameter.name in names}
        try:
            with self._pipeline_lock:
                self._pipeline.set_options(**options)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def main():
    """Run the node until SIGINT or SIGTERM."""
    run('emotion_node', EmotionNode)


if __name__ == '__main__':
    main()
