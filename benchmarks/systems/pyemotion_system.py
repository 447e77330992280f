"""PyEmotion."""

from importlib.metadata import version

import harness
from mtcnn_boxes import BoxRecorder
from PyEmotion import DetectFace

frames, threads, _ = harness.arguments()
system = DetectFace(device='cpu')
recorder = BoxRecorder(system, threads)


def step(image, number):
    # It draws into the image: not into the one that is kept for others.
    system.predict_emotion(image.copy())
    return recorder.faces


harness.measure(step, frames, version('PyEmotion'))
