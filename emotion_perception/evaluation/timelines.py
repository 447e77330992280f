"""Timelines of watched videos: scores, intensity and label under a film strip of the face."""

from pathlib import Path

import cv2
import numpy as np

from emotion_perception.drawing import HEX_COLOURS
from emotion_perception.emotions import EMOTIONS, LABELS
from emotion_perception.evaluation.watched import NO_FACE, Watched

#: Pictures in the film strip.
_PICTURES = 16


def plot(watched: Watched, path: Path) -> None:
    """Write a timeline as an image file.

    :param watched: with crops.
    :param path: its suffix gives the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    seconds = (watched.stamps_ns - watched.stamps_ns[0]) * 1e-9
    figure = Figure((12, 5.2), layout='constrained')
    FigureCanvasAgg(figure)
    strip, label, scores, intensity = figure.subplots(4, 1, height_ratios=(1.6, 0.35, 2, 1.2))
    figure.suptitle(f'{watched.name}  (shows: {watched.label or "not labelled"})', fontsize=10)

    shown = np.linspace(0, len(seconds) - 1, _PICTURES).round().astype(int)
    empty = np.full((64, 64, 3), 255, np.uint8)
    pictures = [watched.crops[i] if watched.crops[i] is not None else empty for i in shown]
    strip.imshow(cv2.cvtColor(np.hstack(pictures), cv2.COLOR_BGR2RGB), aspect='auto')
    strip.axis('off')

    span = max(seconds[-1], 1e-3)
    edges = np.append(seconds, span)
    for name, colour in HEX_COLOURS.items():
        there = watched.label_ids == LABELS.index(name)
        label.broken_barh(
            [(edges[i], edges[i + 1] - edges[i]) for i in np.flatnonzero(there)],
            (0, 1),
            color=colour,
            linewidth=0,
        )
        if there.any():
            scores.plot([], [], color=colour, linewidth=4, label=name)
    label.set(xlim=(0, span), ylim=(0, 1), xticks=[], yticks=[], ylabel='label')

    seen = watched.label_ids != NO_FACE
    for number, name in enumerate(EMOTIONS):
        scores.plot(
            seconds,
            np.where(seen, watched.scores[:, number], np.nan),
            color=HEX_COLOURS[name],
            linewidth=1,
        )
    # Yellow does not show on white.
    scores.set(xlim=(0, span), ylim=(0, 1), xticks=[], ylabel='scores', facecolor='0.15')
    scores.legend(loc='upper right', fontsize=7, ncols=7)
    intensity.plot(seconds, np.where(seen, watched.intensities, np.nan), color='black', linewidth=1)
    intensity.set(xlim=(0, span), ylim=(0, 1), xlabel='time [s]', ylabel='intensity')
    figure.savefig(path, dpi=90)
