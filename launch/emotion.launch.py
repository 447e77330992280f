"""Start emotion_node on one camera, or on the cameras of a parameter file."""
from emotion_perception.nodes import launching
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration


def generate_launch_description():
    return LaunchDescription([
        *launching.declare(*launching.CAMERA),
        DeclareLaunchArgument(
            'model', default_value='',
            description='(p) Model description (.json); where none is given, the installed model.'),
        *launching.declare(*launching.EVERYWHERE),
        OpaqueFunction(function=emotion_node),
    ])


def emotion_node(context):
    """Make the node; an argument that was not given leaves the parameter file as it is."""
    model = LaunchConfiguration('model').perform(context)
    given = [{'model': model}] if model else []
    return [launching.node('emotion_node', *given, reads_images=True)]
