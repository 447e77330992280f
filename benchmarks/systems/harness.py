"""Feeds one system with a video and takes its time; the only file that all systems share.

A system is a script of its own, run by the interpreter of its own environment:

    python SYSTEM.py FRAMES WIDTH HEIGHT THREADS RESULTS [OPTIONS]

FRAMES holds raw BGR frames. RESULTS becomes a JSON file: `version`, `first` (number of the first
measured frame), `ms` of each measured frame, `cpu_s` (of all threads, mean a frame), and `faces`,
for each a list of [id or null, x, y, width, height].
"""

import json
import sys
from time import perf_counter, process_time, sleep

import numpy as np

PERIOD = 1 / 30  # [s] of the camera
WARM_UP = 30  # frames before the measurement


def arguments():
    """Return frames (uint8 [n,H,W,3]), threads and further arguments."""
    width, height, threads = map(int, sys.argv[2:5])
    frames = np.fromfile(sys.argv[1], np.uint8).reshape(-1, height, width, 3)
    return frames, threads, sys.argv[6:]


def measure(step, frames, version, warm_up=WARM_UP):
    """Feed frames at the camera's rate, or as fast as the system takes them; write the results.

    step: called with (image, number), returns the faces of that frame.
    """
    seconds, faces = [], []
    cpu = 0.0
    start = perf_counter()
    for number, image in enumerate(frames):
        if number == warm_up:
            cpu = process_time()
        sleep(max(start + number * PERIOD - perf_counter(), 0))
        begin = perf_counter()
        found = step(image, number)
        end = perf_counter()
        if number >= warm_up:
            seconds.append(end - begin)
            faces.append([[identity, *map(float, box)] for identity, *box in found])
    cpu = process_time() - cpu
    with open(sys.argv[5], 'w') as file:
        json.dump(
            {
                'version': version,
                'first': warm_up,
                'ms': [second * 1e3 for second in seconds],
                'cpu_s': cpu / len(seconds),
                'faces': faces,
            },
            file,
        )
