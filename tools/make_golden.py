"""Make what tests compare in test/golden again: `.venv/bin/python tools/make_golden.py`.

Needed when the model, the detector or the tracker was changed on purpose; look at the difference.
Where descriptions of models get another form, OLDER becomes the last commit that has the old one.
"""

import hashlib
from importlib.metadata import version
import json
from pathlib import Path
import platform
import shutil
import subprocess
from tempfile import TemporaryDirectory

from emotion_perception.offline.processing import process, Settings
from emotion_perception.offline.recordings import find_recordings
from emotion_perception.offline.starter_bag import write_starter_bag
from emotion_perception.pipeline import EmotionPipeline

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / 'test' / 'golden'

#: The last commit whose model has an older description: with another head, and no checksum.
OLDER = '1fa62eb777a43800a0f6eda79283c02238ee64df'

#: What decides on the last digit of a result, or on the bytes of a file.
PACKAGES = (
    'ai-edge-litert',
    'av',
    'mcap',
    'numpy',
    'opencv-python-headless',
    'rosbags',
    'scikit-image',
    'scikit-video',
    'zstandard',
)


def made_with():
    """Tell what the result rests on: the same of all this gives the same bytes."""
    return {
        'model_sha256': EmotionPipeline().model_sha256,
        'processor': processor(),
        'python': platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def processor():
    """Name the processor: the libraries pick their code by it."""
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.machine()


def make(folder):
    """Make the starter bag and its results in a folder; return that of the results."""
    write_starter_bag(folder / 'starter')
    (recording,) = find_recordings([folder / 'starter'])
    outcome = process(recording, Settings(folder / 'results'))
    assert not outcome.error and not outcome.warnings, outcome
    return folder / 'results' / 'starter'


def keep(results: Path, golden: Path) -> None:
    """Write what tests compare into a folder: the table, and how the bag was made."""
    golden.mkdir(exist_ok=True)
    shutil.copy(results / 'emotions.csv', golden / 'starter.csv')
    digest = hashlib.sha256((results / 'starter_0.mcap').read_bytes()).hexdigest()
    (golden / 'starter.json').write_text(
        json.dumps({'made_with': made_with(), 'mcap_sha256': digest}, indent=2) + '\n'
    )


def keep_older_model(golden: Path) -> None:
    """Write the description of a model of an older version, as the history has it."""
    shown = subprocess.run(
        ['git', 'show', f'{OLDER}:models/emotion.json'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    (golden / 'older_model.json').write_bytes(shown.stdout)


if __name__ == '__main__':
    with TemporaryDirectory() as folder:
        keep(make(Path(folder)), GOLDEN)
    keep_older_model(GOLDEN)
