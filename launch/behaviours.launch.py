"""Start emotion_node and behaviour_node: a robot that acts on emotions."""

from emotion_perception.nodes import launching
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription([*launching.emotion_node(), *launching.outputs(on=['behaviour_node'])])
