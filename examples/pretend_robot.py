"""A robot for want of one: prints each behaviour that behaviour_node requests.

    python3 pretend_robot.py [--ros-args -r behaviour_node/requests:=/elsewhere]

A real robot does the same, and calls its own skills where this one prints.
"""

import sys

from emotion_perception.msg import BehaviourRequests
import rclpy
from rclpy.executors import ExternalShutdownException

FACES = {
    'happy': ':-)',
    'sad': ':-(',
    'surprised': ':-o',
    'angry': '>:-(',
    'scared': '=:-o',
    'disgusted': ':-&',
    'neutral': ':-|',
}


def on_requests(message):
    for request in message.requests:
        parameters = {parameter.key: parameter.value for parameter in request.parameters}
        words = ' '.join(f'{key}={value}' for key, value in parameters.items())
        face = FACES.get(parameters.get('expression'), '')
        print(f'{request.name} {words} {face}'.rstrip(), flush=True)


def main():
    rclpy.init()
    node = rclpy.create_node('pretend_robot')
    node.create_subscription(BehaviourRequests, 'behaviour_node/requests', on_requests, 10)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        sys.exit()


if __name__ == '__main__':
    main()
