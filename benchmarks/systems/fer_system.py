"""fer with what it begins with: Haar cascade and its TensorFlow Lite network."""

from importlib.metadata import version

import cv2
from fer.fer import FER
import harness

frames, threads, _ = harness.arguments()
cv2.setNumThreads(threads)
detector = FER()


def step(image, number):
    return [(None, *face['box']) for face in detector.detect_emotions(image)]


harness.measure(step, frames, version('fer'))
