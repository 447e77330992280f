"""On the path of Python, this makes ROS and TensorFlow count as not installed."""

import sys

sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'rclpy', 'emotion_perception.msg')))
