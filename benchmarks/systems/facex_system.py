"""facex, one classifier."""

from importlib.metadata import version

import cv2
from facex import PoolManager
import harness

frames, threads, _ = harness.arguments()
cv2.setNumThreads(threads)
pool = PoolManager(pool_size=1)


def step(image, number):
    return [(None, *face['bbox']) for face in pool.predict(image)]


harness.measure(step, frames, version('facex'))
