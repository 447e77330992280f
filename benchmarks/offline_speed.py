"""Part e: how fast a bag is processed offline, and in how much memory.

    python offline_speed.py MODEL BAG

is what is measured, a process of its own, which prints its figures as JSON.
"""

import json
import os
from pathlib import Path
import re
import subprocess
import sys
import tempfile

from mcap.writer import CompressionType, Writer
from scenes import compose, RATE

from emotion_perception.offline.messages import definition, encode, header_of, IMAGE, typestore
from emotion_perception.offline.processing import process, Settings
from emotion_perception.offline.recordings import find_recordings

WIDTH, HEIGHT, FACES, CORES = 640, 480, 3, 2


def offline_rows(actors, model, seconds, pipeline):
    """Process raw MCAPs of one camera on two cores, the second ten times as long as the first.

    :param seconds: of video in the first.
    :param pipeline: rows of pipeline_speed.py, of which fer's is put beside.
    """
    scene = compose(actors, FACES, WIDTH, HEIGHT, seconds * RATE)
    rows = []
    for repeats in (1, 10):
        with tempfile.TemporaryDirectory() as folder:
            bag = Path(folder) / 'scene.mcap'
            _write(bag, scene.images, repeats)
            done = subprocess.run(
                [sys.executable, __file__, str(model or ''), bag],
                check=True,
                capture_output=True,
                text=True,
                preexec_fn=_on_two_cores,
            )
        rows.append(_row('emotion_perception', json.loads(done.stdout)))
        print(rows[-1], flush=True)
    return rows + [
        _row('fer', {'images': row['frames'], 'seconds': row['frames'] * row['ms_mean'] * 1e-3})
        for row in pipeline
        if (row['system'], row['faces'], row['width'], row['threads']) == ('fer', 3, 640, 2)
    ]


def _row(system, measured):
    rate = measured['images'] / measured['seconds']
    return {
        'system': system,
        'seconds_of_video': round(measured['images'] / RATE, 1),
        'images_a_second': round(rate, 1),
        'times_real_time': round(rate / RATE, 2),
        'rss_mb_max': measured.get('rss_mb_max'),
    }


def _on_two_cores():
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


def _write(path, images, repeats):
    """Write the images to and fro, so that nobody jumps."""
    with path.open('wb') as file:
        writer = Writer(file, compression=CompressionType.NONE)
        writer.start('ros2')
        schema = writer.register_schema(IMAGE, 'ros2msg', definition(IMAGE))
        channel = writer.register_channel('/camera/image_raw', 'cdr', schema)
        types = typestore().types
        for number in range(len(images) * repeats):
            turn, place = divmod(number, len(images))
            image = images[-1 - place if turn % 2 else place]
            stamp = 10**18 + number * 10**9 // RATE
            header = header_of(stamp, 'camera')
            message = types[IMAGE](
                header=types['std_msgs/msg/Header'](
                    stamp=types['builtin_interfaces/msg/Time'](
                        sec=header.stamp.sec, nanosec=header.stamp.nanosec
                    ),
                    frame_id='camera',
                ),
                height=HEIGHT,
                width=WIDTH,
                encoding='bgr8',
                is_bigendian=0,
                step=WIDTH * 3,
                data=image.reshape(-1),
            )
            writer.add_message(channel, stamp, encode(message, IMAGE), stamp)
        writer.finish()


def main():
    model, bag = sys.argv[1:]
    (recording,) = find_recordings([Path(bag)])
    with tempfile.TemporaryDirectory() as folder:
        outcome = process(recording, Settings(Path(folder), model=model or None))
    assert not outcome.error, outcome.error
    # Not ru_maxrss, which begins with what the parent had.
    (most,) = re.findall(r'VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text())
    print(
        json.dumps(
            {
                'images': outcome.images,
                'seconds': outcome.seconds,
                'rss_mb_max': round(int(most) / 1e3),
            }
        )
    )


if __name__ == '__main__':
    main()
