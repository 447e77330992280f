"""Everything that can go wrong while a node runs: what is said, and the way out.

tools/write_tables.py makes the tables of docs/diagnostics.md from it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticStatus

WARN: bytes = DiagnosticStatus.WARN
ERROR: bytes = DiagnosticStatus.ERROR


class Problem(NamedTuple):
    """A condition that holds now."""

    name: str
    level: bytes  #: of DiagnosticStatus
    text: str
    way_out: str


@dataclass(frozen=True)
class Condition:
    """One kind of problem; {words} in braces are filled in."""

    name: str
    level: bytes | None  #: of DiagnosticStatus; None where thresholds decide
    text: str
    way_out: str


# Of emotion_node. What is worst comes first: of one level, it is told first.
# fmt: off
CONDITIONS = (
    Condition('model_missing', ERROR, 'no model: {error}',
              'set the parameter model to a description (.json) with its files beside it'),
    Condition('model_damaged', ERROR, 'the model cannot be used: {error}',
              'copy the files of the model again, all of one version'),
    Condition('cascade_missing', ERROR, 'no face search: {error}',
              'install opencv-data, or set the parameter cascade'),
    Condition('transition_failed', ERROR, 'a transition met an unexpected error: {error}',
              'report it, with the traceback that is in the log; then configure the node again'),
    Condition('internal_error', ERROR,
              '{count} images met an unexpected error, and the faces were forgotten: {error}',
              'report it, with the traceback that is in the log'),
    Condition('no_clock', WARN, 'use_sim_time is set, but no /clock has come',
              'play with `ros2 bag play --clock`, start the simulator, or unset use_sim_time'),
    Condition('same_name', WARN, '{count} nodes are called {node}: each result comes as often',
              'end one, or give it another name with `-r __node:=NAME`'),
    Condition('other_transport', WARN,
              'no image on {topic}: nobody publishes it, but {other} is published',
              'set image_transport to {transport}'),
    Condition('publisher_gone', WARN, 'no image on {topic}: its publisher has gone',
              'start the camera again; its images are taken as soon as they come'),
    Condition('no_publisher', WARN, 'no image on {topic}: nobody publishes it',
              'start the camera, or set image_topics to a topic that `ros2 topic list -t` shows'),
    Condition('wrong_type', WARN, 'no image on {topic}: it carries {found}, expected {expected}',
              'set image_topics and image_transport to what the camera publishes'),
    Condition('incompatible_qos', WARN,
              'no image on {topic}: a publisher does not offer the {policy} that is asked for',
              'start that publisher with the quality of service of sensor data'),
    Condition('never_arrived', WARN,
              'no image on {topic} has arrived though it is published. {cause}', '{way_out}'),
    Condition('stopped', WARN,
              'no image on {topic} for {seconds:.0f} s though its publisher is there',
              'look at the camera; a driver that hangs, or was killed in the last 20 s, needs a '
              'restart'),
    Condition('lost', None,
              '{lost} of {sent} images of the last {seconds:.0f} s lost on the way. {cause}',
              '{way_out}'),
    Condition('zero_stamps', None, 'stamps are zero: there is no latency, and tracks have no time',
              'let the driver stamp its images'),
    Condition('still_stamps', WARN, 'stamps stand still: there is no latency',
              'let the driver give each image a stamp of its own; under simulated time, is /clock '
              'running?'),
    Condition('stamps_ahead', None,
              "stamps lie {seconds:.3g} s ahead of this node's clock: there is no latency",
              'set the clocks of both machines by one source (chrony), or use_sim_time to what '
              'the camera has'),
    Condition('stamps_behind', None,
              "stamps lie {seconds:.3g} s behind this node's clock: there is no latency",
              'play recordings with --clock and set use_sim_time; else set the clocks by one '
              'source (chrony)'),
    Condition('old_images', None, 'results come {seconds:.2f} s after the stamps of their images',
              'look for a queue between camera and node (depth 1 is enough), at the load, and at the '
              'clocks of both machines'),
    Condition('restarted', WARN,
              '{count} stamps went back, and the faces so far were forgotten',
              'is there a second publisher, or has a recording begun again?'),
    Condition('late_images', WARN,
              '{count} images left out: their stamps lie before that of an earlier one',
              'are there two publishers, or does the clock step?'),
    Condition('resized', WARN,
              'the size of the images changed {count} times, and the faces so far were forgotten',
              'is there a second publisher, or has the camera been started with another size?'),
    Condition('gaps', WARN,
              '{count} gaps in the stamps, and the faces so far were forgotten',
              'raise max_coast_seconds where the camera is so slow; let it give each image a stamp '
              'of its own; or nothing, if it had been stopped'),
    Condition('new_publisher', WARN, '{topic} has another publisher than before',
              'nothing, if the camera has been started again (faces have new ids after a gap); if '
              'there are two, end one'),
    Condition('unusable', WARN, '{count} unusable images: {reason}',
              'let the camera publish what the message names'),
    Condition('overload', WARN, '{count} of {received} images dropped: they come faster than '
              'processed', 'lower the rate of the camera, raise min_face_size or '
              'detection_interval, or take track_mode nearest'),
)
# fmt: on

# Of the nodes that read its results, beside no_clock, same_name and unusable.
# fmt: off
READER_CONDITIONS = (
    Condition('no_results', WARN, 'no results on {topic}: nobody publishes it',
              'start emotion_node, or remap emotion_node/emotions to where it publishes'),
    Condition('results_stopped', WARN,
              'no results on {topic} for {seconds:.0f} s though it is published',
              'is emotion_node active and enabled, and do its images arrive? Its own status says so; '
              '`ros2 topic info -v` shows whether the topic is reliable, as it must be'),
    Condition('unusable_results', WARN, '{count} unusable results: {reason}',
              'let nobody but emotion_node publish results'),
    Condition('unknown_camera', WARN, 'results of {cameras} are left out, which camera_names lacks',
              'set image_topics and camera_names to what emotion_node has'),
    Condition('images_missing', WARN, '{count} results came without their images on {topic}',
              'set image_topics, camera_names and image_transport to what emotion_node has'),
    Condition('stamps_jumped', WARN,
              'stamps jumped {count} times (parameter max_gap), and all emotions there ended',
              'has a recording begun again, do images pause, or are there two publishers?'),
    Condition('nobody_obeys', WARN,
              '{count} requests for behaviours, but nobody subscribes to {topic}',
              'start what carries them out'),
)
# fmt: on

# Why images are lost on the way, looked at in this order.
# fmt: off
CAUSES = (
    Condition('other_middleware', None, 'The middleware is {rmw}, and what it needs is not known',
              'see its documentation on large messages'),
    Condition('localhost', None, '{variable} makes Fast DDS leave {setting} aside',
              'unset it for the camera and for this node; a ROS_DOMAIN_ID of their own keeps '
              'other machines away as well'),
    Condition('setting_missing', None,
              'Over Fast DDS both ends need {setting}; this node does not have it',
              'set it for the camera and for this node before they start'),
    Condition('image_too_large', None,
              'An image has {size:.1f} MB, but {setting} carries {capacity:.1f} MB',
              'set FASTDDS_BUILTIN_TRANSPORTS=DEFAULT?sockets_size={fitting}MB for both'),
    Condition('rmem_max', None,
              'The publisher is on another machine, and net.core.rmem_max is {found} bytes',
              '`sysctl -w net.core.rmem_max={needed}` on both; image_transport compressed needs '
              'less'),
    Condition('network', None, 'The publisher is on another machine, and the network loses images',
              'take image_transport compressed, a lower rate or smaller images, or a cable'),
    Condition('publisher_setting', None,
              'Over Fast DDS both ends need {setting}; this node has it, the publisher may not',
              'set it where the camera is started'),
)
# fmt: on

_BY_NAME = {condition.name: condition for condition in (*CONDITIONS, *READER_CONDITIONS, *CAUSES)}
_ORDER = list(_BY_NAME)


def problem(name: str, level: bytes | None = None, **details: Any) -> Problem:
    """Fill in a condition.

    :param level: where the table leaves it to thresholds.
    """
    condition = _BY_NAME[name]
    level = condition.level or level
    assert level, f'{name} has no level of its own'
    return Problem(
        name,
        level,
        condition.text.format(**details),
        condition.way_out.format(**details),
    )


def worst_first(problems: list[Problem]) -> list[Problem]:
    """Sort by level, then as the table has it."""
    return sorted(problems, key=lambda found: (-found.level[0], _ORDER.index(found.name)))
