"""Cameras for the measurement of the node: raw images on /camera_0 .. at 30 Hz each.

    python cameras.py FRAMES WIDTH HEIGHT CAMERAS STAMPS

The images are prepared beforehand, so that publishing costs little of what the node needs too. The
cameras take turns evenly within a period, as cameras without a common trigger do. On SIGINT the
stamps of all published images are written as JSON: a list of ns for each camera.
"""

import json
import signal
import sys
from time import perf_counter, sleep

import numpy as np
import rclpy
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from scenes import RATE, to_and_fro
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_perception.nodes.messages import image_from_bgr
from emotion_perception.nodes.running import initialised


def main():
    width, height, cameras = map(int, sys.argv[2:5])
    frames = np.fromfile(sys.argv[1], np.uint8).reshape(-1, height, width, 3)
    messages = [image_from_bgr(frame, Header(frame_id='camera')) for frame in frames]
    del frames
    stamps = [[] for _ in range(cameras)]
    stopped = []
    signal.signal(signal.SIGINT, lambda *_: stopped.append(True))
    with initialised(signal_handler_options=SignalHandlerOptions.NO):
        node = rclpy.create_node('cameras')
        publishers = [
            node.create_publisher(Image, f'/camera_{camera}', qos_profile_sensor_data)
            for camera in range(cameras)
        ]
        start, turn = perf_counter(), 0
        while not stopped:
            sleep(max(start + turn / (RATE * cameras) - perf_counter(), 0))
            frame, camera = divmod(turn, cameras)
            # Each camera is elsewhere in the video.
            offset = camera * len(messages) // cameras
            message = messages[to_and_fro(frame + offset, len(messages))]
            now = node.get_clock().now()
            message.header.stamp = now.to_msg()
            publishers[camera].publish(message)
            stamps[camera].append(now.nanoseconds)
            turn += 1
        with open(sys.argv[5], 'w') as file:
            json.dump(stamps, file)


main()
