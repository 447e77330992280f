"""What several test files need."""
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope='session')
def root():
    """Return the top folder of the repository."""
    return ROOT


@pytest.fixture(scope='session')
def data_dir():
    """Return the folder of the data sets; a test that asks for it is skipped without them."""
    path = Path(os.environ.get('EMOTION_PERCEPTION_DATA', ROOT.parent / 'shared' / 'data'))
    if not path.is_dir():
        pytest.skip(f'no data sets in {path}: set EMOTION_PERCEPTION_DATA')
    return path
