"""fer as a reader of single images; its protocol: environments.Reader."""

from importlib.metadata import version
import json
import sys

from fer.fer import FER
import numpy as np

detector = FER()
print(json.dumps(version('fer')), flush=True)
while line := sys.stdin.buffer.readline():
    width, height = map(int, line.split())
    image = np.frombuffer(sys.stdin.buffer.read(width * height * 3), np.uint8)
    found = detector.detect_emotions(image.reshape(height, width, 3))
    print(
        json.dumps(
            [
                {'box': [float(number) for number in face['box']], 'scores': face['emotions']}
                for face in found
            ]
        ),
        flush=True,
    )
