"""Plot what behaviour_node makes of a video: what single images show above, the calm events below.

Use: python tools/plot_events.py VIDEO docs/images/events.png [--from SECONDS] [--to SECONDS]
"""

import argparse
from itertools import groupby

import matplotlib

from emotion_perception.behaviour.options import DEFAULTS
from emotion_perception.behaviour.people import People
from emotion_perception.emotions import EMOTIONS, NEUTRAL
from emotion_perception.pipeline import EmotionPipeline
from emotion_perception.videos import Video

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

COLOURS = dict(zip(EMOTIONS, ('#d62728', '#8c564b', '#9467bd', '#ff9f1c', '#1f77b4', '#2ca02c')))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('video')
    parser.add_argument('image')
    parser.add_argument('--from', dest='begin', type=float, default=0.0, help='[s]')
    parser.add_argument('--to', dest='end', type=float, default=float('inf'), help='[s]')
    arguments = parser.parse_args()
    frames = follow(arguments.video, arguments.begin, arguments.end)
    draw(frames, arguments.image)


def follow(path, begin, end):
    """Return (time [s], intensity, what it shows, stable emotion) of the main person a frame."""
    pipeline, people, frames = EmotionPipeline(), People(), []
    with Video(path) as video:
        for stamp, image in video:
            time = stamp * 1e-9
            if not begin <= time <= end:
                continue
            faces = pipeline.process(image, stamp)
            people.update('camera', stamp, image.shape[:2], faces)
            for face in faces:
                if people.main and face.track_id == people.main.track_id:
                    shows = (
                        EMOTIONS[face.scores.index(max(face.scores))]
                        if face.intensity >= DEFAULTS['leave_intensity']
                        else NEUTRAL
                    )
                    frames.append((time - begin, face.intensity, shows, people.main.label))
    return frames


def draw(frames, path):
    figure, (curve, strips) = plt.subplots(
        2, 1, sharex=True, figsize=(9, 3.6), height_ratios=(2, 1.3), layout='constrained'
    )
    times = [time for time, *_ in frames]
    curve.plot(times, [intensity for _, intensity, *_ in frames], color='0.6', linewidth=0.8)
    for emotion, colour in COLOURS.items():
        shown = [(time, intensity) for time, intensity, label, _ in frames if label == emotion]
        if shown:
            curve.scatter(*zip(*shown), s=6, color=colour, label=emotion, zorder=2)
    curve.set_ylabel('intensity')
    curve.set_ylim(0, 1.02)
    curve.legend(
        loc='upper center',
        bbox_to_anchor=(0.5, 1.25),
        ncol=6,
        fontsize=8,
        frameon=False,
        markerscale=2,
    )
    names = []
    for row, (what, column) in enumerate((('single images', 2), ('events', 3))):
        starts = 0
        for label, group in groupby(frames, key=lambda frame: frame[column]):
            group = list(group)
            if label != NEUTRAL:
                starts += 1
                strips.broken_barh(
                    [(group[0][0], max(group[-1][0] - group[0][0], 0.04))],
                    (row - 0.35, 0.7),
                    color=COLOURS[label],
                )
        names.append(f'{what}:\n{starts} starts')
    strips.set_yticks((0, 1), names)
    strips.set_ylim(1.5, -0.5)
    strips.set_xlabel('time [s]')
    figure.savefig(path, dpi=110)


if __name__ == '__main__':
    main()
