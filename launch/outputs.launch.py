"""Start what shows the results of emotion_node or acts on them, beside it or later."""

import os

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from emotion_perception.nodes import launching
from emotion_perception.nodes.mirror import topic_token
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription(
        [
            *launching.declare_outputs(on=['annotated_image']),
            DeclareLaunchArgument(
                'rules',
                default_value='',
                description='File of rules (YAML) by which behaviour_node requests behaviours, see '
                'docs/behaviours.md; where none is given, none is requested.',
            ),
            DeclareLaunchArgument(
                'behaviour_params_file',
                default_value=os.path.join(launching.SHARE, 'config', 'behaviour.yaml'),
                description='Parameter file of behaviour_node.',
            ),
            DeclareLaunchArgument(
                'rviz',
                default_value='false',
                choices=launching.BOOLEAN,
                description='RViz, with the annotated images of camera_name.',
            ),
            *launching.declare(*launching.CAMERA, *launching.EVERYWHERE),
            *(
                launching.node(output, reads_images=True)
                for output in launching.OUTPUTS
                if output != 'behaviour_node'
            ),
            launching.node(
                'behaviour_node',
                LaunchConfiguration('behaviour_params_file'),
                {'rules': ParameterValue(LaunchConfiguration('rules'), value_type=str)},
            ),
            OpaqueFunction(function=rviz, condition=IfCondition(LaunchConfiguration('rviz'))),
        ]
    )


def rviz(context):
    """Make RViz, with the topic of its file led to that of the namespace and the camera."""
    camera = topic_token(LaunchConfiguration('camera_name').perform(context) or 'camera')
    return [
        Node(
            package='rviz2',
            executable='rviz2',
            name='rviz',
            namespace=LaunchConfiguration('namespace'),
            remappings=[('/annotated_image/camera', f'annotated_image/{camera}')],
            arguments=['-d', os.path.join(launching.SHARE, 'config', 'emotion.rviz')],
        )
    ]
