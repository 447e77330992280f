"""A behaviour tree for py_trees_ros: when the main person has looked sad for a while, ask why.

    python3 py_trees_comforter.py [--ros-args -r behaviour_node/main_person:=/elsewhere]

It needs py_trees_ros (apt install ros-$ROS_DISTRO-py-trees-ros) and behaviour_node. What the
robot says goes to the topic say, as std_msgs/String.
"""

import operator
import sys

from emotion_perception.msg import MainPerson
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

try:
    import py_trees
    import py_trees_ros
except ImportError as error:
    sys.exit(f'{error}: this example needs py_trees_ros, apt install ros-$ROS_DISTRO-py-trees-ros')

#: Seconds that somebody looks sad before the robot speaks.
PATIENCE = 2.0


class Say(py_trees.behaviour.Behaviour):
    """Publish a sentence once each time that the tree comes here."""

    def __init__(self, sentence):
        super().__init__(name='say')
        self.sentence = sentence

    def setup(self, node, **_):
        self.publisher = node.create_publisher(String, 'say', 10)

    def update(self):
        self.publisher.publish(String(data=self.sentence))
        return py_trees.common.Status.SUCCESS


def tree():
    """Return the root: the newest state of the main person, and what to do about it."""
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    person = py_trees_ros.subscribers.ToBlackboard(
        name='main person',
        topic_name='behaviour_node/main_person',
        topic_type=MainPerson,
        qos_profile=latched,
        blackboard_variables={'main_person': None},
        initialise_variables={'main_person': MainPerson()},
        clearing_policy=py_trees.common.ClearingPolicy.NEVER,
    )

    def comparison(field, compare, value):
        return py_trees.common.ComparisonExpression(f'main_person.{field}', value, compare)

    # With memory: once it has spoken it waits for the sadness to end, and does not speak again.
    comfort = py_trees.composites.Sequence(
        name='comfort',
        memory=True,
        children=[
            py_trees.behaviours.CheckBlackboardVariableValues(
                name='sad for a while',
                operator=operator.and_,
                checks=[
                    comparison('label', operator.eq, 'sadness'),
                    comparison('duration', operator.ge, PATIENCE),
                ],
            ),
            Say('What is the matter?'),
            py_trees.behaviours.WaitForBlackboardVariableValue(
                name='sad no more', check=comparison('label', operator.ne, 'sadness')
            ),
        ],
    )
    idle = py_trees.behaviours.Running(name='idle')
    return py_trees.composites.Parallel(
        name='robot',
        policy=py_trees.common.ParallelPolicy.SuccessOnAll(synchronise=False),
        children=[
            person,
            py_trees.composites.Selector(name='what to do', memory=False, children=[comfort, idle]),
        ],
    )


def main():
    rclpy.init()
    behaviour_tree = py_trees_ros.trees.BehaviourTree(tree())
    try:
        behaviour_tree.setup(node_name='py_trees_comforter', timeout=15.0)
        behaviour_tree.tick_tock(period_ms=100.0)
        rclpy.spin(behaviour_tree.node)
    except (KeyboardInterrupt, ExternalShutdownException):
        sys.exit()


if __name__ == '__main__':
    main()
