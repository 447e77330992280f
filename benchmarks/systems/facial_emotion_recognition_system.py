"""facial-emotion-recognition."""

from functools import partial
from importlib.metadata import version

from facial_emotion_recognition import EmotionRecognition
import harness
from mtcnn_boxes import BoxRecorder
import torch

# Its weights were saved on a GPU, and it asks for them there.
torch.load = partial(torch.load, map_location='cpu')
frames, threads, _ = harness.arguments()
system = EmotionRecognition(device='cpu')
recorder = BoxRecorder(system, threads)


def step(image, number):
    # It draws into the image: not into the one that is kept for others.
    system.recognise_emotion(image.copy())
    return recorder.faces


harness.measure(step, frames, version('facial-emotion-recognition'))
