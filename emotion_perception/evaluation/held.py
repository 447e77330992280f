"""How well the running system holds on to a picture that does not change."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.datasets.loading import layout_of
from emotion_perception.datasets.reading import read_image
from emotion_perception.datasets.sample import DatasetError, Recording
from emotion_perception.emotions import EMOTIONS, LABELS, NEUTRAL
from emotion_perception.evaluation.metrics import wilson_interval
from emotion_perception.pipeline import EmotionPipeline
from emotion_perception.videos import USUAL_RATE

#: Frames for which a picture is shown, and the frame at which its label is compared.
SHOWN, COMPARED = 60, 8

#: Frames of the neutral picture, and of the other one after it, of which two are looked at.
REST, HELD, LOOKED_AT = 30, 300, (75, 300)


def evaluate_held(path: Path, pipeline: EmotionPipeline) -> dict[str, Any]:
    """Show the pictures of a data set to the running system, at 30 frames a second.

    :param path: a set of whole pictures in any of the known layouts.
    :param pipeline: forgets the faces that it knows.
    :return: dict for JSON, shares 0..1 with Wilson's 95 % ``.._interval``. ``n`` pictures of the
        six classes and neutral; ``one_label``: share that keeps one label over SHOWN frames;
        ``right``: share of pictures of the six classes with the right label at frame COMPARED.
        Of people of whom there is a neutral picture, which is shown for REST frames first:
        ``n_after_neutral`` and ``right_at`` {"75": share, "300": share} of HELD frames.
    :raises DatasetError: when the set cannot be read, or has no whole pictures.
    """
    layout = layout_of(path)
    recordings = [
        r for r in layout.recordings(path) if isinstance(r.source, list) and r.label in LABELS
    ]
    pictures = [r for r in recordings if r.is_still]
    neutral = {
        r.subject: r
        for r in reversed(recordings)
        if r.neutral_to_apex or r.is_still and r.label == NEUTRAL
    }
    if not pictures:
        raise DatasetError(f'{path} holds no whole pictures; it was read as {layout.LAYOUT}')
    kept, right, late = [], [], []
    for picture in pictures:
        image = _first(picture, layout.LAYOUT)
        labels = _watched(pipeline, [image] * SHOWN)
        seen = [label for label in labels if label is not None]
        kept.append(len(seen) > 0 and len(set(seen)) == 1)
        if picture.label not in EMOTIONS:
            continue
        right.append(labels[COMPARED - 1] == picture.label)
        if picture.subject in neutral:
            rest = _first(neutral[picture.subject], layout.LAYOUT)
            if rest.shape != image.shape:
                height, width = image.shape[:2]
                rest = np.asarray(cv2.resize(rest, (width, height)), np.uint8)
            labels = _watched(pipeline, [rest] * REST + [image] * HELD)
            late.append([labels[REST + at - 1] == picture.label for at in LOOKED_AT])
    result: dict[str, Any] = {
        'n': len(kept),
        'n_six': len(right),
        'n_after_neutral': len(late),
        'one_label': float(np.mean(kept)),
        'one_label_interval': wilson_interval(float(np.mean(kept)), len(kept)),
    }
    if right:
        result['right'] = float(np.mean(right))
        result['right_interval'] = wilson_interval(result['right'], len(right))
    if late:
        shares = np.mean(late, 0)
        result['right_at'] = {str(at): float(share) for at, share in zip(LOOKED_AT, shares)}
        result['right_at_interval'] = {
            str(at): wilson_interval(float(share), len(late))
            for at, share in zip(LOOKED_AT, shares)
        }
    return result


def report(result: dict[str, Any]) -> str:
    """Return the figures of :func:`evaluate_held` as text."""
    rows = [
        (
            f'keep one label for {SHOWN} frames',
            result['n'],
            result['one_label'],
            result['one_label_interval'],
        )
    ]
    if 'right' in result:
        rows.append(
            (
                f'six classes, right at frame {COMPARED}',
                result['n_six'],
                result['right'],
                result['right_interval'],
            )
        )
    rows += [
        (
            f'right at frame {at} after a neutral second',
            result['n_after_neutral'],
            share,
            result['right_at_interval'][at],
        )
        for at, share in result.get('right_at', {}).items()
    ]
    return '\n'.join(
        f'{name:44}{100 * share:6.1f} %   (95 %: {100 * low:.1f} .. {100 * high:.1f}; '
        f'{count} pictures)'
        for name, count, share, (low, high) in rows
    )


def _first(recording: Recording, layout: str) -> npt.NDArray[np.uint8]:
    assert isinstance(recording.source, list)
    return read_image(recording.source[0], layout)


def _watched(pipeline: EmotionPipeline, images: list[npt.NDArray[np.uint8]]) -> list[str | None]:
    """Return the published label of the largest face in each image; None where there is none."""
    pipeline.reset()
    labels: list[str | None] = []
    for number, image in enumerate(images):
        faces = pipeline.process(image, round(number * 1e9 / USUAL_RATE))
        face = max(faces, key=lambda f: f.roi.width, default=None)
        labels.append(face.label if face else None)
    return labels
