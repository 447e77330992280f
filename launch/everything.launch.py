"""Start emotion_node on one camera, and all that can stand beside it.

What needs messages that are not installed says so and ends; the others go on.
"""

from emotion_perception.nodes import launching
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription([*launching.emotion_node(), *launching.outputs(on=launching.OUTPUTS)])
