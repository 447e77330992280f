"""What the launch files have in common: their arguments, and nodes that follow these."""

from collections.abc import Collection
import os
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    OpaqueFunction,
    SetEnvironmentVariable,
    SetLaunchConfiguration,
)
from launch.conditions import IfCondition
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from emotion_perception.nodes.mirror import topic_token
from emotion_perception.nodes.transport import FAST_DDS_SETTINGS
from launch import LaunchContext

SHARE = get_package_share_directory('emotion_perception')

#: Seconds before emotion_node is started again.
RESPAWN_DELAY = 2.0

BOOLEAN = ['true', 'false']

#: Every argument that emotion_node or its outputs have: default, description, choices.
ARGUMENTS = {
    'params_file': (
        os.path.join(SHARE, 'config', 'emotion.yaml'),
        'Parameter file. Arguments marked with (p) override it where they are given.',
        None,
    ),
    'image_topic': ('', '(p) Image topic of the camera, such as /camera/image_raw.', None),
    'camera_name': ('', '(p) Name of the camera in the results.', None),
    'image_transport': (
        '',
        '(p) raw: sensor_msgs/Image on image_topic; compressed: sensor_msgs/CompressedImage '
        'on <image_topic>/compressed.',
        ['', 'raw', 'compressed'],
    ),
    'model': (
        '',
        '(p) Model description (.json); where none is given, the installed model.',
        None,
    ),
    'autostart': (
        '',
        '(p) false: leave configuring and activating the node to somebody else.',
        ['', *BOOLEAN],
    ),
    'respawn': (
        'false',
        'Start emotion_node again when it ends. Otherwise launch ends with it, with exit code 1 '
        "after an error (ros2 launch knows no other; the log has the node's own).",
        BOOLEAN,
    ),
    'rules': (
        '',
        'File of rules (YAML) by which behaviour_node requests behaviours, see '
        'docs/behaviours.md; where none is given, that of behaviour_params_file.',
        None,
    ),
    'behaviour_params_file': (
        os.path.join(SHARE, 'config', 'behaviour.yaml'),
        'Parameter file of behaviour_node. rules and use_sim_time override it where they are given.',
        None,
    ),
    'rviz': ('false', 'RViz, with the annotated images of camera_name.', BOOLEAN),
    'namespace': ('', 'Namespace of the nodes and their topics.', None),
    'use_sim_time': (
        '',
        '(p) Take the time from /clock (simulation, ros2 bag play --clock).',
        ['', *BOOLEAN],
    ),
    'log_level': (
        'info',
        'Least severity that is logged.',
        ['debug', 'info', 'warn', 'error', 'fatal'],
    ),
    'large_data': (
        'true',
        'Set FASTDDS_BUILTIN_TRANSPORTS, unless it is set already, so that Fast DDS carries whole '
        'images, most of which it drops otherwise. A camera driver that is started elsewhere needs '
        'the same (docs/running.md).',
        BOOLEAN,
    ),
    'enclaves': (
        '',
        'SROS 2: where the enclaves of the nodes lie in the keystore, such as '
        '/emotion_perception; each node takes <enclaves>/<its name>.',
        None,
    ),
}

#: Those that every node follows.
EVERYWHERE = ('namespace', 'use_sim_time', 'log_level', 'large_data', 'enclaves')

#: Those that say where the images come from.
CAMERA = ('params_file', 'image_topic', 'camera_name', 'image_transport')

#: How video_publisher publishes: what it starts with cannot be told otherwise.
VIDEO = {'image_topic': 'image', 'image_transport': 'raw', 'use_sim_time': 'false'}

#: What can be started beside emotion_node: argument, and what it gives.
OUTPUTS = {
    'annotated_image': 'Images with the results drawn on them, on annotated_image/<camera>.',
    'detections': 'vision_msgs/Detection2DArray on detections/<camera>.',
    'foxglove_annotations': 'foxglove_msgs/ImageAnnotations on foxglove_annotations/<camera>.',
    'ros4hri': 'Faces as REP-155 has them, under /humans/faces (hri_msgs).',
    'behaviour_node': 'Events, people and requests for behaviours, on behaviour_node/...',
}


def declare(*names: str) -> list[Action]:
    """Declare arguments of ARGUMENTS; with large_data comes what it does."""
    actions = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name in names
        for default, description, choices in [ARGUMENTS[name]]
    ]
    if 'large_data' in names:
        wanted = IfCondition(LaunchConfiguration('large_data'))
        actions += [
            SetEnvironmentVariable(name, value, condition=wanted)
            for name, value in FAST_DDS_SETTINGS.items()
            if name not in os.environ
        ]
    return actions


def emotion_node(**fixed: str) -> list[Action]:
    """Start emotion_node, with its arguments; those in fixed have these values and are none."""
    arguments = (*CAMERA, 'model', *EVERYWHERE, 'autostart', 'respawn')
    return [
        *(SetLaunchConfiguration(name, value) for name, value in fixed.items()),
        *declare(*(name for name in arguments if name not in fixed)),
        OpaqueFunction(function=_emotion_node),
    ]


def outputs(on: Collection[str], **fixed: str) -> list[Action]:
    """Start those of OUTPUTS, and RViz, that the arguments ask for.

    :param on: those that are started unless the arguments say otherwise.
    :param fixed: as emotion_node has it.
    """
    arguments = ('rules', 'behaviour_params_file', 'rviz', *CAMERA, *EVERYWHERE)
    return [
        *(
            DeclareLaunchArgument(
                name,
                default_value=str(name in on).lower(),
                description=description,
                choices=BOOLEAN,
            )
            for name, description in OUTPUTS.items()
        ),
        *declare(*(name for name in arguments if name not in fixed)),
        *(node(name, reads_images=True) for name in OUTPUTS if name != 'behaviour_node'),
        OpaqueFunction(function=_behaviour_node),
        OpaqueFunction(function=_rviz, condition=IfCondition(LaunchConfiguration('rviz'))),
    ]


def node(
    executable: str,
    *parameters: str | dict[str, Any],
    reads_images: bool = False,
    **options: Any,
) -> OpaqueFunction:
    """Start a node of this package under the name of its executable; one of OUTPUTS if it is on.

    :param parameters: files and dicts of them; the last one wins.
    :param reads_images: whether it takes the arguments of CAMERA.
    :param options: of ``launch_ros.actions.Node``.
    """

    def start(context: LaunchContext) -> list[Action]:
        values = [*parameters]
        if use_sim_time := LaunchConfiguration('use_sim_time').perform(context):
            values.append({'use_sim_time': use_sim_time == 'true'})
        if reads_images:
            values = [LaunchConfiguration('params_file'), *values, _camera(context)]
        arguments = ['--log-level', LaunchConfiguration('log_level')]
        if enclaves := LaunchConfiguration('enclaves').perform(context):
            arguments += ['--enclave', f'{enclaves}/{executable}']
        return [
            Node(
                package='emotion_perception',
                executable=executable,
                name=executable,
                namespace=LaunchConfiguration('namespace'),
                parameters=values,
                ros_arguments=arguments,
                output='screen',
                **options,
            )
        ]

    condition = IfCondition(LaunchConfiguration(executable)) if executable in OUTPUTS else None
    return OpaqueFunction(function=start, condition=condition)


def _camera(context: LaunchContext) -> dict[str, list[str] | str]:
    """Return the parameters that were given as arguments; the others stay as the file has them."""
    topic, name, transport = (
        LaunchConfiguration(argument).perform(context)
        for argument in ('image_topic', 'camera_name', 'image_transport')
    )
    parameters = {
        'image_topics': [topic] if topic else None,
        'camera_names': [name] if name else None,
        'image_transport': transport or None,
    }
    return {key: value for key, value in parameters.items() if value}


def _emotion_node(context: LaunchContext) -> list[Action]:
    """Make the node; an argument that was not given leaves the parameter file as it is."""
    given: dict[str, object] = {}
    if model := LaunchConfiguration('model').perform(context):
        given['model'] = model
    if autostart := LaunchConfiguration('autostart').perform(context):
        given['autostart'] = autostart == 'true'
    respawn = LaunchConfiguration('respawn').perform(context) == 'true'
    return [
        node(
            'emotion_node',
            given,
            reads_images=True,
            respawn=respawn,
            respawn_delay=RESPAWN_DELAY,
            on_exit=None if respawn else _end_with_it,
        )
    ]


def _behaviour_node(context: LaunchContext) -> list[Action]:
    """Make the node; as with emotion_node, what was not given stays as its file has it."""
    given: dict[str, Any] = {}
    if LaunchConfiguration('rules').perform(context):
        given['rules'] = ParameterValue(LaunchConfiguration('rules'), value_type=str)
    return [node('behaviour_node', LaunchConfiguration('behaviour_params_file'), given)]


def _end_with_it(event: ProcessExited, context: LaunchContext) -> None:
    """End launch with exit code 1 after an error; by itself it ends with 0 whatever happened."""
    if event.returncode and not context.is_shutdown:
        raise RuntimeError(f'emotion_node has ended with exit code {event.returncode}')


def _rviz(context: LaunchContext) -> list[Action]:
    """Make RViz, with the topic of its file led to that of the namespace and the camera."""
    camera = topic_token(LaunchConfiguration('camera_name').perform(context) or 'camera')
    return [
        Node(
            package='rviz2',
            executable='rviz2',
            name='rviz',
            namespace=LaunchConfiguration('namespace'),
            remappings=[('/annotated_image/camera', f'annotated_image/{camera}')],
            arguments=['-d', os.path.join(SHARE, 'config', 'emotion.rviz')],
        )
    ]
