"""Draw docs/images/demo.png: what the package sees in the portrait that scikit-image carries."""

import argparse

import cv2
from skimage import data

from emotion_perception.drawing import draw_faces
from emotion_perception.pipeline import EmotionPipeline

FRAMES = 30  # one second of a picture that does not change
PERIOD_NS = 33_333_333

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('output', help='picture to write (.png)')
    image = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)[:360]
    pipeline = EmotionPipeline()
    for number in range(FRAMES):
        faces = pipeline.process(image, number * PERIOD_NS)
    draw_faces(image, faces)
    cv2.imwrite(parser.parse_args().output, image)
