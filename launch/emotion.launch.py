"""Start emotion_node on one camera, or on the cameras of a parameter file."""
import os

from emotion_perception.nodes.transport import FAST_DDS_SETTINGS
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

BOOLEAN = ['true', 'false']


def generate_launch_description():
    return LaunchDescription([
        DeclareLaunchArgument(
            'params_file',
            default_value=PathJoinSubstitution(
                [FindPackageShare('emotion_perception'), 'config', 'emotion.yaml']),
            description='Parameter file. The arguments marked with (p) go before it where given.'),
        DeclareLaunchArgument(
            'image_topic', default_value='',
            description='(p) Image topic of the camera, such as /camera/image_raw.'),
        DeclareLaunchArgument(
            'camera_name', default_value='',
            description='(p) Name of the camera in the results.'),
        DeclareLaunchArgument(
            'image_transport', default_value='', choices=['', 'raw', 'compressed'],
            description='(p) raw: sensor_msgs/Image on image_topic; '
                        'compressed: sensor_msgs/CompressedImage on <image_topic>/compressed.'),
        DeclareLaunchArgument(
            'model', default_value='',
            description='(p) Model description (.json); where none is given, the installed model.'),
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the node and its topics.'),
        DeclareLaunchArgument(
            'use_sim_time', default_value='false', choices=BOOLEAN,
            description='Take the time from /clock (simulation, ros2 bag play --clock).'),
        DeclareLaunchArgument(
            'log_level', default_value='info', choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='Least severity that is logged.'),
        DeclareLaunchArgument(
            'large_data', default_value='true', choices=BOOLEAN,
            description='Let Fast DDS carry whole images, most of which it loses as it comes: '
                        'sets FASTDDS_BUILTIN_TRANSPORTS, where it is not set. A camera driver '
                        'that is started elsewhere needs the same, see the README.'),
        *(SetEnvironmentVariable(name, value,
                                 condition=IfCondition(LaunchConfiguration('large_data')))
          for name, value in FAST_DDS_SETTINGS.items() if name not in os.environ),
        OpaqueFunction(function=emotion_node),
    ])


def emotion_node(context):
    """Make the node; an argument that was not given leaves the parameter file as it is."""
    given = {name: LaunchConfiguration(name).perform(context)
             for name in ('image_topic', 'camera_name', 'image_transport', 'model')}
    overrides = {'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'),
                                                value_type=bool)}
    if given['image_topic']:
        overrides['image_topics'] = [given['image_topic']]
    if given['camera_name']:
        overrides['camera_names'] = [given['camera_name']]
    for name in ('image_transport', 'model'):
        if given[name]:
            overrides[name] = given[name]
    return [Node(
        package='emotion_perception',
        executable='emotion_node',
        name='emotion_node',
        namespace=LaunchConfiguration('namespace'),
        parameters=[LaunchConfiguration('params_file'), overrides],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
    )]
