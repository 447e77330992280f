"""How well the running system reads live video: people who talk, rest, look around, and act.

The label that counts is the published one of the largest face, at every frame.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_perception.crops import crop_face
from emotion_perception.datasets.clips import LAYOUT, recordings
from emotion_perception.datasets.reading import frames_of
from emotion_perception.datasets.sample import DatasetError, Recording
from emotion_perception.emotions import LABELS
from emotion_perception.evaluation.timelines import plot
from emotion_perception.evaluation.watched import (
    a_minute,
    clips_figures,
    NO_FACE,
    share_of,
    Watched,
)
from emotion_perception.pipeline import EmotionPipeline

#: Frame rates at which videos are watched [frames per second]; none is watched faster than it is.
RATES = (30, 15, 5)


def videos_in(path: Path) -> list[Recording]:
    """List the clips of a folder FOLDER/<label>/<person>_<clip>.mp4, or one video.

    :raises DatasetError: when there is nothing, or the folder is not of that layout.
    """
    if not path.exists():
        raise DatasetError(f'{path} does not exist')
    if path.is_file():
        return [Recording(name=path.name, source=path, label=None, subject=None)]
    return [r for r in recordings(path) if r.label in LABELS and not r.is_still]


def watch(
    recording: Recording, pipeline: EmotionPipeline, rate: float, keep_crops: bool = False
) -> Watched:
    """Run a clip through the whole running system.

    :param pipeline: forgets the faces that it knows.
    :param rate: frames per second; of a faster video frames are left out.
    :param keep_crops: keep the face of each frame.
    """
    pipeline.reset()
    rows, crops = [], []
    for stamp_ns, image in at_rate(frames_of(recording, LAYOUT), rate):
        faces = pipeline.process(image, stamp_ns)
        face = max(faces, key=lambda f: f.roi.width, default=None)
        rows.append(
            (stamp_ns, NO_FACE, np.zeros(6), 0.0, NO_FACE)
            if face is None
            else (stamp_ns, face.label_id, face.scores, face.intensity, face.track_id)
        )
        if keep_crops:
            crops.append(None if face is None else crop_face(image, face.roi))
    stamps, labels, scores, intensities, ids = zip(*rows)
    return Watched(
        recording.name,
        recording.subject,
        recording.label,
        np.array(stamps),
        np.array(labels),
        np.array(scores, np.float32),
        np.array(intensities, np.float32),
        np.array(ids),
        crops,
    )


def evaluate_video(
    path: Path, pipeline: EmotionPipeline, plots: Path | None = None
) -> dict[str, Any]:
    """Run the clips of a folder, or one video, through the running system at several frame rates.

    :param plots: folder for a timeline of each clip, at the first of RATES.
    :return: {'30': figures, '15': .., '5': ..}, see
        :func:`~emotion_perception.evaluation.watched.clips_figures`; of a video without a
        label, ``labels`` (share of its frames with each label) in place of most of them.
    :raises DatasetError: when there is no such clip, or one cannot be read.
    """
    clips, result = videos_in(path), {}
    if not clips:
        raise DatasetError(f'{path} holds no clip of {", ".join(LABELS)}; expected {LAYOUT}')
    if plots:
        plots.mkdir(parents=True, exist_ok=True)
    for rate in RATES:
        draws = plots is not None and rate == RATES[0]
        watched = []
        for clip in clips:
            seen = watch(clip, pipeline, rate, draws)
            if draws and plots:
                plot(seen, plots / (re.sub(r'\W+', '_', clip.name) + '.png'))
            seen.crops.clear()
            watched.append(seen)
        result[str(rate)] = clips_figures(watched)
        if watched[0].label is None:
            result[str(rate)]['labels'] = {
                name: share_of(watched[0], LABELS.index(name)) for name in LABELS
            }
            result[str(rate)]['changes'] = a_minute(watched[0], watched[0].changes)
    return result


def report(result: dict[str, Any]) -> str:
    """Return the figures of :func:`evaluate_video` as text."""
    lines = []
    for rate, found in result.items():
        lines.append(
            f'at {rate} frames a second: {found["n"]} clips, {found["people"]} people, '
            f'{100 * found["without_face"]:.1f} % of the frames without a face, '
            f'{found["id_changes"]} changes of id'
        )
        for kind, names in (
            ('neutral', ('share_neutral',)),
            ('emotional', ('right', 'neutral', 'wrong')),
        ):
            if kind not in found:
                continue
            row = found[kind]
            lines.append(f'  {kind} ({row["n"]} clips, {row["people"]} people)')
            for name in names:
                low, high = row['intervals'][name]
                lines.append(
                    f'    {name:24}{100 * row[name]:6.1f} %   (95 %: {100 * low:.1f} .. '
                    f'{100 * high:.1f}; each clip alike {100 * row[f"{name}_of_clips"]:.1f})'
                )
            for name in ('changes', 'false_starts'):
                if name in row:
                    low, high = row['intervals'][name]
                    lines.append(
                        f'    {name + " a minute":24}{row[name]:6.1f}     (95 %: {low:.1f} .. '
                        f'{high:.1f})'
                    )
        if 'emotional' in found:
            row = found['emotional']
            shares = ', '.join(
                f'{name} {100 * share:.0f}' for name, share in row['by_emotion'].items()
            )
            lines.append(
                f'    right by emotion [%]: {shares}; mean {100 * row["mean_of_emotions"]:.1f}'
            )
            for name, meaning in (
                ('first_right', 'the first right label'),
                ('stays_right', 'the right label that stays'),
            ):
                after = '-' if row[name] is None else f'{row[name]:.2f} s'
                lines.append(f'    {meaning}: {after} (median; never in {row[name + "_never"]})')
        if 'both' in found:
            lines.append(
                f'  both (mean of neutral and right, each clip alike) {100 * found["both"]:.1f} %'
            )
        if 'labels' in found:
            shares = ', '.join(
                f'{name} {100 * share:.0f}' for name, share in found['labels'].items() if share
            )
            lines.append(
                f'  labels [% of frames]: {shares}; {found["changes"]:.1f} changes a minute'
            )
    return '\n'.join(lines)


def at_rate(
    images: Iterable[tuple[int, npt.NDArray[np.uint8]]], rate: float
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Leave out frames of a faster video, as a slower camera would."""
    first = last = None
    for stamp_ns, image in images:
        first = stamp_ns if first is None else first
        turn = int((stamp_ns - first) * 1e-9 * rate + 1e-3)  # stamps are rounded
        if last is None or turn > last:
            last = turn
            yield stamp_ns, image
