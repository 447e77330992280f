"""Start emotion_node on a webcam, and what can stand beside it."""

from launch.actions import DeclareLaunchArgument, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.parameter_descriptions import ParameterValue

from emotion_perception.nodes import launching
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'device', default_value='0', description='Number of the webcam: 0 for /dev/video0.'
            ),
            *launching.emotion_node(**launching.VIDEO),
            *launching.outputs(on=['annotated_image'], **launching.VIDEO),
            launching.node(
                'video_publisher',
                {'device': ParameterValue(LaunchConfiguration('device'), value_type=int)},
                on_exit=Shutdown(),
            ),
        ]
    )
