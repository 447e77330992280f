"""Face data sets of every layout as one list of samples."""

from emotion_perception.datasets.loading import load
from emotion_perception.datasets.sample import (
    DatasetError,
    person_of,
    Sample,
    SAMPLE_LABELS,
    Samples,
    VOTE_NAMES,
)

__all__ = ['DatasetError', 'load', 'person_of', 'Sample', 'SAMPLE_LABELS', 'Samples', 'VOTE_NAMES']
