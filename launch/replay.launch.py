"""Play a bag into emotion_node, with the bag's time: by ros2 bag, or where there is none by ours."""

from ament_index_python.packages import get_packages_with_prefixes
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from emotion_perception.nodes import launching
from launch import LaunchDescription

#: Seconds in which the node gets ready before ros2 bag begins.
START_DELAY = '3'


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument('bag', description='Bag to play: its folder, or a file of it.'),
            DeclareLaunchArgument(
                'rate', default_value='1.0', description='Seconds of the bag played a second.'
            ),
            DeclareLaunchArgument(
                'loop',
                default_value='false',
                choices=['true', 'false'],
                description='Start again at the end of the bag.',
            ),
            DeclareLaunchArgument(
                'start_offset',
                default_value='0.0',
                description='Seconds to leave out at the beginning of the bag.',
            ),
            *launching.emotion_node(use_sim_time='true'),
            *launching.outputs(on=(), use_sim_time='true'),
            OpaqueFunction(function=player),
        ]
    )


def player(context):
    """Make what plays the bag."""
    given = {
        name: LaunchConfiguration(name).perform(context)
        for name in ('bag', 'rate', 'loop', 'start_offset')
    }
    if 'ros2bag' in get_packages_with_prefixes():
        return [
            ExecuteProcess(
                cmd=[
                    'ros2',
                    'bag',
                    'play',
                    given['bag'],
                    '--clock',
                    '--rate',
                    given['rate'],
                    '--start-offset',
                    given['start_offset'],
                    '--delay',
                    START_DELAY,
                    *(['--loop'] if given['loop'] == 'true' else []),
                ],
                output='screen',
                on_exit=Shutdown(),
            )
        ]
    return [
        Node(
            package='emotion_perception',
            executable='bag_player',
            name='bag_player',
            parameters=[
                {
                    'bag': given['bag'],
                    'rate': float(given['rate']),
                    'loop': given['loop'] == 'true',
                    'wait_for_subscriber': True,
                    'start_offset': float(given['start_offset']),
                }
            ],
            output='screen',
            on_exit=Shutdown(),
        )
    ]
