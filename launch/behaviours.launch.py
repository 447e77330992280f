"""Start emotion_node and behaviour_node: a robot that acts on emotions."""
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    share = FindPackageShare('emotion_perception')
    return LaunchDescription([
        DeclareLaunchArgument(
            'rules', default_value='',
            description='File of rules (YAML) by which behaviours are requested, see '
                        'docs/behaviours.md; where none is given, none is requested.'),
        DeclareLaunchArgument(
            'behaviour_params_file',
            default_value=PathJoinSubstitution([share, 'config', 'behaviour.yaml']),
            description='Parameter file of behaviour_node.'),
        # First, for its arguments hold for behaviour_node as well.
        IncludeLaunchDescription(PathJoinSubstitution([share, 'launch', 'emotion.launch.py'])),
        Node(
            package='emotion_perception',
            executable='behaviour_node',
            name='behaviour_node',
            namespace=LaunchConfiguration('namespace'),
            parameters=[LaunchConfiguration('behaviour_params_file'), {
                'rules': ParameterValue(LaunchConfiguration('rules'), value_type=str),
                'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'),
                                               value_type=bool)}],
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            output='screen',
        ),
    ])
