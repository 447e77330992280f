"""The recipe that the project began with, as it is written down: the base line.

In every frame a search of the whole image by the Haar cascade (1.3, 5 neighbours); each face has
its sequence of up to 100 crops, and all of the sequence goes through the CNN and the LSTM again.
The weights are random, which does not change the time. A crop belongs to the sequence whose last
box was nearest.
"""

import cv2
import harness
import keras
from keras import layers
import numpy as np
import tensorflow as tf

WINDOW = 100
MEASURED = 20

frames, threads, _ = harness.arguments()
cv2.setNumThreads(threads)
tf.config.threading.set_intra_op_parallelism_threads(threads)

cnn = keras.Sequential(
    [
        keras.Input((64, 64, 3)),
        layers.Conv2D(64, 5, activation='relu'),
        layers.Conv2D(64, 4, activation='relu'),
        layers.MaxPooling2D(),
        layers.Dropout(0.5),
        layers.Conv2D(32, 3, activation='relu'),
        layers.Conv2D(32, 3),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.Dense(512),
    ]
)
dense, lstm = layers.Dense(6, activation='softmax'), layers.LSTM(6, return_sequences=True)


@tf.function(reduce_retracing=True)
def network(crops):
    """Run the whole sequence, [n,64,64,3], as TimeDistributed does: all frames as one batch."""
    return lstm(dense(cnn(crops, training=False))[None])


cascade = cv2.CascadeClassifier(cv2.data.haarcascades + 'haarcascade_frontalface_default.xml')
sequences = []  # of (center, crops)
warm_up = WINDOW - 2


def step(image, number):
    boxes = cascade.detectMultiScale(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), 1.3, 5)
    found, free = [], list(range(len(sequences)))
    for x, y, width, height in boxes:
        center = np.array((x + width / 2, y + height / 2))
        identity = min(free, default=None, key=lambda i: np.linalg.norm(sequences[i][0] - center))
        if identity is None or np.linalg.norm(sequences[identity][0] - center) > width:
            identity = len(sequences)
            sequences.append((center, []))
        else:
            free.remove(identity)
        crops = sequences[identity][1]
        sequences[identity] = center, crops
        crops.append(cv2.resize(image[y : y + height, x : x + width], (64, 64)) / np.float32(255))
        del crops[:-WINDOW]
        # The warm-up only fills the sequences: it would take minutes.
        if number >= warm_up:
            network(np.stack(crops))
        found.append((identity, x, y, width, height))
    return found


harness.measure(step, frames[: WINDOW + MEASURED], f'tensorflow {tf.__version__}', WINDOW)
