"""Start emotion_node on the cameras of one file, and what can stand beside it."""

import os

from launch.actions import DeclareLaunchArgument

from emotion_perception.nodes import launching
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'params_file',
                default_value=os.path.join(launching.SHARE, 'config', 'cameras.yaml'),
                description='Parameter file with the topic and the name of each camera.',
            ),
            *launching.emotion_node(),
            *launching.outputs(on=['annotated_image']),
        ]
    )
