"""What the launch files have in common: their arguments, and nodes that follow these."""

from collections.abc import Collection
import os

from ament_index_python.packages import get_package_share_directory
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from emotion_perception.nodes.transport import FAST_DDS_SETTINGS
from launch import LaunchContext

SHARE = get_package_share_directory('emotion_perception')

BOOLEAN = ['true', 'false']

#: Every argument that more than one launch file has: default, description, choices.
ARGUMENTS = {
    'params_file': (
        os.path.join(SHARE, 'config', 'emotion.yaml'),
        'Parameter file. Where given, the arguments marked with (p) go before it.',
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
    'namespace': ('', 'Namespace of the nodes and their topics.', None),
    'use_sim_time': (
        'false',
        'Take the time from /clock (simulation, ros2 bag play --clock).',
        BOOLEAN,
    ),
    'log_level': (
        'info',
        'Least severity that is logged.',
        ['debug', 'info', 'warn', 'error', 'fatal'],
    ),
    'large_data': (
        'true',
        'Let Fast DDS carry whole images, most of which it loses as it comes: sets '
        'FASTDDS_BUILTIN_TRANSPORTS, where it is not set. A camera driver that is started '
        'elsewhere needs the same, see the README.',
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


def declare_outputs(on: Collection[str]) -> list[Action]:
    """Declare an argument, true or false, for each of OUTPUTS; those in on are true as they come."""
    return [
        DeclareLaunchArgument(
            name, default_value=str(name in on).lower(), description=description, choices=BOOLEAN
        )
        for name, description in OUTPUTS.items()
    ]


def include(file: str, **arguments: str) -> IncludeLaunchDescription:
    """Include a launch file of this package."""
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, 'launch', file)),
        launch_arguments=arguments.items(),
    )


def node(executable: str, *parameters, reads_images: bool = False, **options) -> OpaqueFunction:
    """Start a node of this package under the name of its executable; one of OUTPUTS if it is on.

    :param parameters: files and dicts of them; the last one wins.
    :param reads_images: whether it takes the arguments of CAMERA.
    :param options: of ``launch_ros.actions.Node``.
    """

    def start(context):
        values = [
            *parameters,
            {'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)},
        ]
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


def _camera(context: LaunchContext) -> dict:
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
