"""Start emotion_node on one camera, or on the cameras of a parameter file."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from emotion_perception.nodes import launching
from launch import LaunchDescription

#: Seconds before the node is started again.
RESPAWN_DELAY = 2.0


def generate_launch_description():
    return LaunchDescription(
        [
            *launching.declare(*launching.CAMERA),
            DeclareLaunchArgument(
                'model',
                default_value='',
                description='(p) Model description (.json); where none is given, the installed model.',
            ),
            *launching.declare(*launching.EVERYWHERE),
            DeclareLaunchArgument(
                'autostart',
                default_value='',
                choices=['', *launching.BOOLEAN],
                description='(p) false: leave configuring and activating the node to somebody else.',
            ),
            DeclareLaunchArgument(
                'respawn',
                default_value='false',
                choices=launching.BOOLEAN,
                description='Start the node again when it ends. Otherwise launch ends with it, with '
                'exit code 1 after an error (ros2 launch knows no other; the '
                "log has the node's own).",
            ),
            OpaqueFunction(function=emotion_node),
        ]
    )


def emotion_node(context):
    """Make the node; an argument that was not given leaves the parameter file as it is."""
    given = {}
    if model := LaunchConfiguration('model').perform(context):
        given['model'] = model
    if autostart := LaunchConfiguration('autostart').perform(context):
        given['autostart'] = autostart == 'true'
    respawn = LaunchConfiguration('respawn').perform(context) == 'true'
    return [
        launching.node(
            'emotion_node',
            given,
            reads_images=True,
            respawn=respawn,
            respawn_delay=RESPAWN_DELAY,
            on_exit=None if respawn else end_with_it,
        )
    ]


def end_with_it(event, context):
    """End launch with exit code 1 after an error; by itself it ends with 0 whatever happened."""
    if event.returncode and not context.is_shutdown:
        raise RuntimeError(f'emotion_node has ended with exit code {event.returncode}')
