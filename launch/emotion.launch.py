"""Start emotion_node on one camera, or on the cameras of a parameter file."""

from emotion_perception.nodes import launching
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription(launching.emotion_node())
