"""Face or not: a readout of the encoder that knows what the cascade wrongly takes for a face."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from emotion_perception.boxes import overlap
from emotion_perception.crops import crop_face
from emotion_perception.datasets.files import is_picture, is_video
from emotion_perception.detection import FaceDetector
from emotion_perception.videos import Video

#: Frames between two of a video that are looked at.
_EVERY = 12

#: Share of the smaller box by which a raw hit may overlap the face and still be none.
_APART = 0.3

#: Raw hits that are taken of one image at most.
_HITS = 6

#: Pull of the readout's weights toward 0, for standardised features.
_RIDGE = 3.0

#: Log odds that the readout is moved by toward a face: to hide a face is worse than to show a
#: curtain, which seldom comes through the cascade.
_LEAN = 2.0


def wrong_crops(paths: list[str]) -> npt.NDArray[np.uint8]:
    """Return crops of what the cascade proposes beside the face, uint8 [n,64,64,3] BGR.

    :param paths: folders of pictures and videos that show one person each.
    :raises ValueError: when nothing was found in them.
    """
    detector, crops = FaceDetector(), []
    for path in paths:
        for image in _images(Path(path)):
            gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
            faces = detector.detect(gray)
            if not faces:
                continue
            beside = [box for box in detector.propose(gray) if overlap(box, faces[0]) < _APART]
            # From the least sure to the surest, all that there is room for.
            crops += [crop_face(image, box.roi(*gray.shape[::-1])) for box in beside[-_HITS:]]
    if not crops:
        raise ValueError(
            f'{", ".join(map(str, paths))}: no picture or video with a face and '
            'something beside it that the cascade takes for one'
        )
    return np.stack(crops)


def face_readout(
    faces: npt.NDArray[np.float32], others: npt.NDArray[np.float32], rounds: int = 12
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Fit the log odds of a face, by logistic regression (Newton's method).

    :param faces: float32 [n,k], features of faces; ``others``: float32 [m,k]; both count alike.
    :return: float32 [k,1] and float32 [1], weights and offset.
    """
    x = np.concatenate([faces, others]).astype(np.float64)
    is_face = np.arange(len(x)) < len(faces)
    share = np.where(is_face, 0.5 / len(faces), 0.5 / len(others)) * len(x)
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    x = np.column_stack([(x - mean) / deviation, np.ones(len(x))])
    weights, pull = np.zeros(x.shape[1]), np.full(x.shape[1], _RIDGE)
    pull[-1] = 0
    for _ in range(rounds):
        odds = 1 / (1 + np.exp(-(x @ weights)))
        gradient = x.T @ (share * (odds - is_face)) + pull * weights
        curvature = (x * (share * odds * (1 - odds) + 1e-9)[:, np.newaxis]).T @ x + np.diag(pull)
        weights -= np.linalg.solve(curvature, gradient)
    kernel = weights[:-1] / deviation
    return (
        kernel[:, np.newaxis].astype(np.float32),
        np.array([weights[-1] - mean @ kernel + _LEAN], np.float32),
    )


def _images(path: Path) -> Iterator[npt.NDArray[np.uint8]]:
    for file in sorted(path.rglob('*')):
        if is_picture(file):
            if (image := cv2.imread(str(file), cv2.IMREAD_COLOR)) is not None:
                yield np.asarray(image, np.uint8)
        elif is_video(file):
            with Video(file) as video:
                for number, (_, image) in enumerate(video):
                    if number % _EVERY == 0:
                        yield image
