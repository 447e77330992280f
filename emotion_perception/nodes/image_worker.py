"""The thread that takes the cameras' images through the pipeline and publishes the results."""

from collections import Counter
from dataclasses import replace
import threading
from time import perf_counter
import traceback
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.task import Future

from emotion_perception.images import BitDepth
from emotion_perception.nodes import messages
from emotion_perception.nodes.diagnostics import Diagnostics
from emotion_perception.nodes.messages import ImageMessage
from emotion_perception.nodes.newest_images import NewestImages
from emotion_perception.pipeline import EmotionPipeline
from emotion_perception.rotation import roi_as_mounted, upright

#: Images of one camera in a row that meet an unexpected error before the node ends.
ERRORS_IN_A_ROW = 30


class ImageWorker:
    """Takes the newest image of all cameras that have one, and processes them in one batch.

    Nothing that an image does ends it: an image that cannot be used is counted and left out, and
    so is one that meets an error which nobody expected; then the camera's faces are forgotten.
    """

    def __init__(
        self,
        node: Node,
        pipeline: EmotionPipeline,
        publisher: Publisher,
        diagnostics: Diagnostics,
        rotations: dict[str, int],
        image_transport: str,
        max_pixels: int,
        failed: Future,
    ) -> None:
        """Prepare it; see :meth:`start`.

        :param rotations: each camera's name -> one of rotation.TURNS.
        :param image_transport: one of IMAGE_TRANSPORTS.
        :param failed: is given the error when it comes again and again; the work has ended then.
        """
        self._node = node
        self._pipeline = pipeline
        self._publisher = publisher
        self._diagnostics = diagnostics
        self._rotations = rotations
        self._to_bgr = messages.IMAGE_TRANSPORTS[image_transport].to_bgr
        self._max_pixels = max_pixels
        self._failed = failed
        self._lock = threading.Lock()  # of the pipeline
        self._depths = {camera: BitDepth() for camera in rotations}
        self._errors: Counter[str] = Counter()  # in a row, by camera
        self._images: NewestImages[ImageMessage] = NewestImages()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to take images; the faces that are known from before remain."""
        self._images = NewestImages()
        self._thread = threading.Thread(target=self._work, name='images', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the images that are being processed; the faces remain known."""
        if self._thread:
            for camera in self._images.close():
                self._diagnostics.dropped(camera)
            self._thread.join()
            self._thread = None

    def put(self, camera: str, message: ImageMessage) -> None:
        """Leave an image to be processed; it replaces one that waits."""
        replaced = self._images.put(camera, message)
        self._diagnostics.received(camera, len(message.data), replaced)

    def reset(self) -> None:
        """Forget all faces and the bit depths of all streams."""
        with self._lock:
            self._pipeline.reset()
            self._diagnostics.forget_faces()
            self._depths = {camera: BitDepth() for camera in self._depths}

    def set_options(self, **options: Any) -> None:
        """Change options of the pipeline.

        :raises ValueError: for one that is wrong; then nothing is changed.
        """
        with self._lock:
            self._pipeline.set_options(**options)

    def _work(self) -> None:
        while waiting := self._images.take():
            try:
                self._process(waiting)
            except Exception as error:  # whatever it is: the other images are not to blame
                if not self._node.context.ok():
                    return  # a signal has shut ROS down, and publishing fails
                self._after_error(waiting, error)
            if self._failed.done():
                return

    def _after_error(self, waiting: dict[str, ImageMessage], error: Exception) -> None:
        """Find the camera whose image it was; its faces are in a state that nobody knows."""
        if len(waiting) > 1:
            for camera, message in waiting.items():
                try:
                    self._process({camera: message})
                except Exception as its_error:
                    self._after_error({camera: message}, its_error)
            return
        ((camera, _),) = waiting.items()
        self._diagnostics.internal_error(camera, error)
        self._node.get_logger().error(
            f'Camera {camera}: unexpected error, its faces are forgotten:\n'
            + ''.join(traceback.format_exception(error)),
            throttle_duration_sec=1.0,
        )
        with self._lock:
            self._pipeline.reset(camera)
        self._errors[camera] += 1
        if self._errors[camera] >= ERRORS_IN_A_ROW and not self._failed.done():
            self._failed.set_exception(
                RuntimeError(
                    f'camera {camera}: {ERRORS_IN_A_ROW} images in a row met an unexpected error, the '
                    f'last {type(error).__name__}: {error}'
                )
            )

    def _process(self, waiting: dict[str, ImageMessage]) -> None:
        started = perf_counter()
        batch = []
        for camera, message in waiting.items():
            try:
                image = self._to_bgr(
                    message, depth=self._depths[camera], max_pixels=self._max_pixels
                )
            except ValueError as error:
                self._diagnostics.unusable(camera, str(error))
                self._node.get_logger().warning(
                    f'Camera {camera}: unusable image: {error}', throttle_duration_sec=1.0
                )
                continue
            batch.append((camera, image, messages.nanoseconds(message.header.stamp)))
        if not batch:
            return
        turned = [
            (camera, upright(image, self._rotations[camera]), stamp)
            for camera, image, stamp in batch
        ]
        converted = perf_counter()
        with self._lock:
            results = self._pipeline.process_batch(turned)
            timings = self._pipeline.timings
            counts = [
                {
                    'restarts': self._pipeline.restarts(camera),
                    'late': self._pipeline.late(camera),
                    'resizes': self._pipeline.resizes(camera),
                    'gaps': self._pipeline.gaps(camera),
                }
                for camera, _, _ in batch
            ]
        processed = perf_counter()
        for (camera, image, stamp), faces, stream in zip(batch, results, counts):
            self._errors[camera] = 0
            self._diagnostics.stream(camera, **stream)
            if faces is None:  # the image was late, and is left out
                continue
            size = image.shape[:2]
            self._publisher.publish(
                messages.emotion_array(
                    waiting[camera].header,
                    camera,
                    size,
                    [
                        replace(face, roi=roi_as_mounted(face.roi, self._rotations[camera], *size))
                        for face in faces
                    ],
                )
            )
            age = (self._node.get_clock().now().nanoseconds - stamp) * 1e-9
            self._diagnostics.processed(camera, stamp, age, len(faces))
        self._diagnostics.spent(
            len(batch),
            {'conversion': converted - started, **timings, 'publish': perf_counter() - processed},
        )
