"""This package: `[MODEL] [NAME=VALUE ...]`, the last being whole-numbered options."""

import cv2
import harness

from emotion_perception.pipeline import EmotionPipeline

frames, threads, (model, *options) = harness.arguments()
options = dict(option.split('=') for option in options)
cv2.setNumThreads(threads)
pipeline = EmotionPipeline(
    model or None, threads=threads, **{name: int(value) for name, value in options.items()}
)


def step(image, number):
    faces = pipeline.process(image, round(number * harness.PERIOD * 1e9))
    return [(face.track_id, *face.roi) for face in faces]


harness.measure(step, frames, pipeline.model_sha256)
