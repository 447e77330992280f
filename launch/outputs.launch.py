"""Start what shows the results of emotion_node or acts on them, beside it or later."""

from emotion_perception.nodes import launching
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription(launching.outputs(on=['annotated_image']))
