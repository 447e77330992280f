"""Part a and b: time a frame of whole pipelines, ours and others', and what they find.

Every system is a process of its own, bound to as many cores as it is allowed threads, and gets
the same frames at 30 a second (a slower one as fast as it takes them).
"""

from functools import partial
import json
import os
from pathlib import Path
from statistics import fmean, median, quantiles
import subprocess
import sys
import tempfile

from environments import clean_environment, command, RIVALS, SYSTEMS
from matching import agreement, mean_overlap
from scenes import backlit, compose, darkened, load_girl, noisy

FACES = (1, 3, 8)
SIZES = ((640, 480), (1280, 720))
THREADS = (1, 2)
TILT = 30  # [degrees]
OURS = 'emotion_perception'


def pipeline_rows(actors, frames, model, not_measured):
    """Measure every scene; return the rows, and add to the dict of rivals that cannot be had."""
    commands = {}
    for rival in RIVALS:
        try:
            commands[rival.name] = command(rival)
        except (OSError, RuntimeError) as error:
            not_measured[rival.name] = str(error)
    rows = []
    for width, height in SIZES:
        for faces in FACES:
            scene = compose(actors, faces, width, height, frames)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / 'frames.bgr'
                scene.images.tofile(path)
                for threads in THREADS:
                    systems = {OURS: _ours(model)}
                    if (faces, width, threads) == (3, 640, 2):
                        systems.update(commands)
                    for name, run in systems.items():
                        try:
                            result = _measure(run, path, width, height, threads)
                        except RuntimeError as error:
                            not_measured[name] = str(error)
                            print(f'{name}: {error}', flush=True)
                            continue
                        rows.append(_row(name, scene, threads, result))
                        print(rows[-1], flush=True)
    return rows


def light_rows(actors, frames, model):
    """Follow three faces in the scene as it is, darkened, backlit, noisy, and with heads that tilt."""
    width, height = SIZES[0]
    scene = compose(actors, 3, width, height, frames)
    scenes = {'as it is': lambda: scene}
    scenes |= {light.__name__: partial(light, scene) for light in (darkened, backlit, noisy)}
    scenes[f'heads tilt by {TILT}'] = partial(compose, actors, 3, width, height, frames, tilt=TILT)
    rows = []
    for name, make in scenes.items():
        lit = make()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'frames.bgr'
            lit.images.tofile(path)
            result = _measure(_ours(model), path, width, height, 1)
        row = _row(OURS, lit, 1, result)
        rows.append(
            {
                'light': name,
                **{
                    name: row[name]
                    for name in (
                        'system',
                        'faces',
                        'frames',
                        'recall',
                        'false_boxes',
                        'id_switches',
                        'ms_median',
                    )
                },
            }
        )
        print(rows[-1], flush=True)
    return rows


def tracking_rows(data, model):
    """Follow the one face of OTB Girl, 128 x 96 pixels; its truth is drawn by hand."""
    scene = load_girl(data)
    height, width = scene.images.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'frames.bgr'
        scene.images.tofile(path)
        # Her face is 25 to 40 pixels wide.
        result = _measure(_ours(model, 'min_face_size=24'), path, width, height, 1)
    truth = scene.truth[result['first'] :]
    found = agreement(result['faces'], truth)
    return [
        {
            'system': OURS,
            'sequence': 'otb_girl',
            'frames': len(truth),
            'mean_overlap': round(mean_overlap(result['faces'], truth), 3),
            'recall': round(found.recall, 3),
            'false_boxes': found.false_boxes,
            'id_switches': found.id_switches,
            'ms_median': round(median(result['ms']), 2),
        }
    ]


def _ours(model, *options):
    return (
        [sys.executable, str(SYSTEMS / 'emotion_perception_system.py')],
        [str(model or ''), *options],
    )


def _measure(run, path, width, height, threads):
    """Run a system over a file of frames and return what it measured."""
    start, further = run
    results = path.with_suffix('.json')
    results.unlink(missing_ok=True)
    cores = sorted(os.sched_getaffinity(0))[:threads]
    ours = start[0] == sys.executable
    done = subprocess.run(
        [*start, str(path), str(width), str(height), str(threads), str(results), *further],
        env=None if ours else clean_environment(),
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if done.returncode:
        raise RuntimeError('ended with an error: ' + done.stderr.strip()[-500:])
    return json.loads(results.read_text())


def _row(name, scene, threads, result):
    ms, faces = result['ms'], result['faces']
    truth = scene.truth[result['first'] : result['first'] + len(faces)]
    found = agreement(faces, truth)
    return {
        'system': name,
        'version': result['version'],
        'faces': scene.truth.shape[1],
        'width': scene.images.shape[2],
        'height': scene.images.shape[1],
        'threads': threads,
        'ms_median': round(median(ms), 2),
        'ms_p95': round(quantiles(ms, n=20)[-1], 2),
        'ms_mean': round(fmean(ms), 2),
        'cpu_s': round(result['cpu_s'], 5),
        'recall': round(found.recall, 4),
        'false_boxes': found.false_boxes,
        'id_switches': found.id_switches,
        'frames': len(faces),
    }
