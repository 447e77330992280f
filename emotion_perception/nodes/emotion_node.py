"""The node: camera images in, EmotionArray out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import ctypes
from functools import wraps
import gc
import os.path
import traceback
from typing import TypeAlias

import cv2
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import (
    LifecycleNode,
    LifecyclePublisher,
    LifecycleState,
    TransitionCallbackReturn,
)
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from emotion_perception.msg import EmotionArray
from emotion_perception.nodes import parameters
from emotion_perception.nodes.camera_subscription import CameraSubscription
from emotion_perception.nodes.conditions import problem
from emotion_perception.nodes.diagnostics import Diagnostics
from emotion_perception.nodes.image_worker import ImageWorker
from emotion_perception.nodes.messages import IMAGE_TRANSPORTS, ImageMessage
from emotion_perception.nodes.running import run
from emotion_perception.nodes.status import PERIOD
from emotion_perception.options import OPTIONS
from emotion_perception.pipeline import EmotionPipeline

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


#: A method of EmotionNode that rclpy calls for a change of state.
Transition: TypeAlias = Callable[['EmotionNode', LifecycleState], TransitionCallbackReturn]


def told(transition: Transition) -> Transition:
    """Log the traceback of an error in a transition; rclpy swallows it."""

    @wraps(transition)
    def guarded(self: 'EmotionNode', state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except Exception as error:
            if self.context.ok():  # else a signal ended ROS meanwhile: nothing went wrong
                self.get_logger().error(traceback.format_exc())
                said = f'{type(error).__name__}: {error}'
                self._diagnostics.refuse(problem('transition_failed', error=said))
            self._refusal = error
            return ERROR

    return guarded


class EmotionNode(LifecycleNode):
    """Publishes one EmotionArray on ~/emotions for every image that it processes.

    A managed node that activates itself where the parameter autostart has it so: configured, it
    has the model loaded; active, it subscribes. The executor's thread only receives, the images
    are processed in that of ImageWorker.

    :raises ParameterException: when a parameter is out of range.
    :raises ValueError: when a parameter has a wrong type or a value that cannot be, or the model is
        damaged.
    :raises FileNotFoundError: when the model or the face detector's cascade is missing.
    """

    def __init__(self) -> None:
        # First: when what follows fails, destroy_node() still finds these.
        self._worker: ImageWorker | None = None
        self._emotions: LifecyclePublisher | None = None
        self._image_subscriptions: list[CameraSubscription] = []
        self._refusal: Exception | None = None  # why the last transition failed
        super().__init__('emotion_node')
        self._values = parameters.declare(self, parameters.NODE_OPTIONS)
        parameters.declare(self, OPTIONS)
        parameters.declare_old_names(self)
        parameters.warn_of_unknown(self)
        self._topics = parameters.image_topics(self, self._values)
        self._rotations = parameters.rotations(self._values)
        #: Done when the node cannot go on, with the reason.
        self.finished = Future()
        self._diagnostics = Diagnostics(
            self,
            {camera: self.resolve_topic_name(topic) for camera, topic in self._topics.items()},
            self._values['image_transport'],
        )
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/reset_tracks', self._on_reset_tracks)
        self.create_timer(PERIOD, self._adapt, clock=Clock(clock_type=ClockType.STEADY_TIME))
        if self._values['autostart'] and (
            self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS
        ):
            # rclpy fails a transition by itself where a signal has shut ROS down meanwhile.
            raise self._refusal or RuntimeError('the node cannot change its state')

    @contextmanager
    def running(self) -> Iterator[None]:
        """Stop the work when the node ends."""
        try:
            yield
        finally:
            if self._worker:
                self._worker.stop()

    def destroy_node(self) -> None:
        """Stop the work, and destroy the node."""
        self._release()
        super().destroy_node()

    @told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; it fails, with the reason in the log, where that cannot be used."""
        options = {option.name: self.get_parameter(option.name).value for option in OPTIONS}
        options['cascade'] = os.path.expanduser(options['cascade'])
        if len(self._topics) > 1:
            # Cameras are worked on side by side; OpenCV's own threads would only wait for work.
            cv2.setNumThreads(1)
        try:
            pipeline = EmotionPipeline(os.path.expanduser(self._values['model']) or None, **options)
        except (ValueError, OSError) as error:
            self._refusal = error
            self._diagnostics.refuse(problem(refusal(error), error=error))
            return FAILURE
        self._diagnostics.refuse(None)
        self._diagnostics.model = {
            'model': pipeline.model_name,
            'model SHA-256': pipeline.model_sha256,
        }
        self._emotions = self.create_lifecycle_publisher(EmotionArray, '~/emotions', 10)
        self._worker = ImageWorker(
            self,
            pipeline,
            self._emotions,
            self._diagnostics,
            self._rotations,
            self._values['image_transport'],
            self._values['max_pixels'],
            self.finished,
        )
        self._diagnostics.enter('inactive')
        return super().on_configure(state)

    @told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the images; the faces known from before remain, by their time limits."""
        super().on_activate(state)
        assert self._worker  # it is configured
        self._worker.start()
        transport = IMAGE_TRANSPORTS[self._values['image_transport']]
        for camera, topic in self._topics.items():
            subscription = CameraSubscription(
                self, camera, transport, topic, self._on_image, self._diagnostics
            )
            self._image_subscriptions.append(subscription)
            self.get_logger().info(
                f'Camera {camera}: waits for {transport.type_name} on {subscription.topic}'
            )
        self._diagnostics.enter('active')
        return SUCCESS

    @told
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy the subscriptions, for they would go on to receive; keep the faces."""
        self._unsubscribe()
        self._diagnostics.enter('inactive')
        self.get_logger().info('Inactive: no image is received')
        return super().on_deactivate(state)

    @told
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._release()
        self._diagnostics.enter('unconfigured')
        return SUCCESS

    @told
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, in any state."""
        self._release()
        self._diagnostics.enter('finalized')
        return SUCCESS

    @told
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an error in a transition, begin anew as if nothing had been configured."""
        self._release()
        self._diagnostics.enter('unconfigured')
        return SUCCESS

    def _unsubscribe(self) -> None:
        while self._image_subscriptions:
            self._image_subscriptions.pop().destroy()
        if self._worker:
            self._worker.stop()

    def _release(self) -> None:
        self._unsubscribe()
        if self._emotions:
            self.destroy_lifecycle_publisher(self._emotions)
        self._emotions = self._worker = None
        give_back_memory()

    def _adapt(self) -> None:
        for subscription in self._image_subscriptions:
            subscription.adapt()

    def _on_image(self, camera: str, message: ImageMessage) -> None:
        # One may be under way while they are destroyed.
        if self._worker and self._image_subscriptions:
            self._worker.put(camera, message)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Activate or deactivate; what holds already is a success."""
        _, state = self._state_machine.current_state
        wanted = 'active' if request.data else 'inactive'
        if state in ('active', 'inactive') and state != wanted:
            (self.trigger_activate if request.data else self.trigger_deactivate)()
            _, state = self._state_machine.current_state
        response.success = state == wanted or not request.data and state != 'active'
        response.message = f'the node is {state}' + (
            '' if response.success else ': configure it first'
        )
        return response

    def _on_reset_tracks(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Forget all faces; their ids are not given again."""
        if self._worker:
            self._worker.reset()
        response.success = self._worker is not None
        response.message = (
            'all faces are forgotten'
            if self._worker
            else ('the node is not configured: there are no faces')
        )
        return response

    def _check_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        given = {parameter.name: parameter.value for parameter in changed}
        try:
            for option in OPTIONS:
                if option.name in given:
                    option.check(given[option.name])
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, changed: list[Parameter]) -> None:
        """Take parameters over that are set: only now nobody else can refuse them any more."""
        names = {option.name for option in OPTIONS}
        if self._worker:
            self._worker.set_options(
                **{found.name: found.value for found in changed if found.name in names}
            )


def give_back_memory() -> None:
    """Free what nobody uses, and hand it back to the operating system, which glibc does not."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), 'malloc_trim', None):  # glibc's alone
        trim(0)


def refusal(error: Exception) -> str:
    """Name the condition that kept the node from being configured."""
    if 'cascade' in str(error):
        return 'cascade_missing'
    return 'model_missing' if isinstance(error, FileNotFoundError) else 'model_damaged'


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run('emotion_node', EmotionNode)


if __name__ == '__main__':
    main()
