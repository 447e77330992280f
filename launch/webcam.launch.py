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
            # First, for their arguments and their transport hold for the publisher as well. Three of
            # them are what the publisher does, whatever the command line says.
            launching.include(
                'emotion.launch.py',
                image_topic='image',
                image_transport='raw',
                use_sim_time='false',
            ),
            launching.include('outputs.launch.py'),
            launching.node(
                'video_publisher',
                {'device': ParameterValue(LaunchConfiguration('device'), value_type=int)},
                on_exit=Shutdown(),
            ),
        ]
    )
