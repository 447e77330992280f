"""What can be measured on faces: a model, or a part of one."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from emotion_perception.temporal import Floats


class Classifier(Protocol):
    """What :class:`~emotion_perception.recognition.Model` says of crops, under the same names."""

    def encode(self, crops: npt.NDArray[np.uint8], /) -> Floats: ...

    def features(self, crops: npt.NDArray[np.uint8], /) -> Floats: ...

    def classify(self, sequences: list[Floats], /) -> tuple[Floats, Floats]: ...

    def classify_all(
        self, kept: Floats, stamps_ns: npt.ArrayLike | None = None, /
    ) -> tuple[Floats, Floats]: ...

    def stills_scores(self, kept: Floats, /) -> dict[str, Floats]: ...
