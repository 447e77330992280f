"""Part d: how time and memory of the pipeline grow with faces, sequence length and hours.

    python growth.py MODEL MINUTES REPEATS RESULTS [DATA]

A process of its own, so that nothing else is in its memory. Frames are fed as fast as they go.
"""

import json
import os
from pathlib import Path
from statistics import median, quantiles
import sys
from time import perf_counter

import cv2
import numpy as np
from scenes import compose, empty_room, load_actors, RATE, to_and_fro

from emotion_perception.pipeline import EmotionPipeline

WIDTH, HEIGHT = 640, 480
FACES = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16)
#: Lengths of the sequence, in frames, between which times are compared.
LENGTHS = (
    (1, 10),
    (11, 30),
    (31, 60),
    (61, 90),
    (91, 110),
    (111, 150),
    (151, 200),
    (201, 250),
    (251, 300),
)


def main():
    model, minutes, repeats, results = sys.argv[1:5]
    actors = load_actors(Path(sys.argv[5]) if len(sys.argv) > 5 else None)
    cv2.setNumThreads(1)
    with open(results, 'w') as file:
        json.dump(
            {
                # First: what the others leave free could hide growth.
                'memory': memory(actors, model, float(minutes)),
                'faces': faces_rows(actors, model, int(repeats)),
                'sequence_length': length_rows(actors, model, int(repeats)),
            },
            file,
        )


def faces_rows(actors, model, repeats):
    """Time frames with 1 to 16 faces of like size: each further one joins those before."""
    rows = []
    for faces in FACES:
        scene = compose(actors, faces, WIDTH, HEIGHT, 120, lanes=16)
        pipeline = EmotionPipeline(model or None)
        ms, shown = [], []
        for number in range(120 * repeats // 2):
            seconds, found = _timed(pipeline, scene.images, number)
            if number >= RATE:
                ms.append(seconds * 1e3)
                shown.append(len(found))
        rows.append(
            {
                'faces': faces,
                'ms_median': round(median(ms), 3),
                'ms_p95': round(quantiles(ms, n=20)[-1], 3),
                'faces_found': round(sum(shown) / len(shown), 3),
            }
        )
        print(rows[-1], flush=True)
    return rows


def length_rows(actors, model, repeats):
    """Time frames of three faces, by how many frames they have been watched."""
    scene = compose(actors, 3, WIDTH, HEIGHT, 60)
    pipeline = EmotionPipeline(model or None)
    times = []  # a run each, [frames] ms
    heads = []
    for _ in range(repeats):
        pipeline.reset()
        ms, head = [], []
        for number in range(LENGTHS[-1][1] + 1):
            ms.append(_timed(pipeline, scene.images, number)[0] * 1e3)
            head.append(pipeline.timings['head'] * 1e3)
        times.append(ms)
        heads.append(head)
    times, heads = np.array(times), np.array(heads)
    rows = []
    for first, last in LENGTHS:
        # The first frame of all is searched as a whole, which has nothing to do with the length.
        rows.append(
            {
                'length': first,
                'to': last,
                'ms_median': round(float(np.median(times[:, first : last + 1])), 3),
                'head_ms_a_face': round(float(np.median(heads[:, first : last + 1])) / 3, 4),
            }
        )
        print(rows[-1], flush=True)
    return rows


def memory(actors, model, minutes):
    """Process minutes of video in which three faces come and go; return the growth of memory."""
    scene = compose(actors, 3, WIDTH, HEIGHT, 300)
    empty = empty_room(actors, WIDTH, HEIGHT)
    pipeline = EmotionPipeline(model or None)
    samples = []  # (minute of the video, resident MB)
    frames = round(minutes * 60 * RATE)
    for number in range(frames + 1):
        if number % (5 * RATE) == 0:
            samples.append((number / RATE / 60, _resident_mb()))
        # Every 20 seconds they are away for two.
        away = number % (20 * RATE) >= 18 * RATE
        image = empty if away else scene.images[to_and_fro(number, len(scene.images))]
        pipeline.process(image, round(number / RATE * 1e9))
    minute, resident = np.array(samples).T
    later = minute >= min(1.0, minutes / 2)
    slope = np.polyfit(minute[later], resident[later], 1)[0]
    row = {
        'minutes': minutes,
        'mb_an_hour': round(float(slope) * 60, 3),
        'rss_mb_after_first_minute': round(float(resident[later][0]), 2),
        'rss_mb_at_end': round(float(resident[-1]), 2),
        'samples': [[round(m, 3), round(mb, 2)] for m, mb in samples],
    }
    print({name: value for name, value in row.items() if name != 'samples'}, flush=True)
    return row


def _timed(pipeline, images, number):
    image = images[to_and_fro(number, len(images))]
    start = perf_counter()
    found = pipeline.process(image, round(number / RATE * 1e9))
    return perf_counter() - start, found


def _resident_mb():
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


main()
