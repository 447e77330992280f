"""The rivals, and an environment of its own for each: none of them is a dependency of ours.

They stand in a cache folder outside of the repository, $EMOTION_PERCEPTION_BENCH_CACHE or
~/.cache/emotion_perception_bench; what stands there already is not installed again.
"""

from dataclasses import dataclass
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

SYSTEMS = Path(__file__).resolve().parent / 'systems'
TIME_LIMIT = 900  # [s] for one installation

_TENSORFLOW = ['tensorflow-cpu==2.21.0', 'opencv-contrib-python-headless==4.12.0.88']


@dataclass(frozen=True)
class Rival:
    """A system that is measured on the same frames."""

    name: str
    script: str
    environment: str  #: folder of its environment
    #: Arguments of pip or npm, one list a call. --no-deps where the dependencies asked for are
    #: for training or a GPU, and are replaced by the same library's build for CPUs.
    install: tuple
    options: tuple = ()
    reader: str = ''  #: script that tells the emotions in single images, see readers.py


_HUMAN = (
    [
        '@vladmandic/human@3.3.6',
        '@tensorflow/tfjs-core@4.22.0',
        '@tensorflow/tfjs-converter@4.22.0',
        '@tensorflow/tfjs-backend-wasm@4.22.0',
    ],
)
RIVALS = (
    Rival('@vladmandic/human', 'human_system.mjs', 'human', _HUMAN, ('0',), 'human_reader.mjs'),
    Rival('@vladmandic/human, reusing results', 'human_system.mjs', 'human', _HUMAN, ('0.7',)),
    Rival(
        'fer',
        'fer_system.py',
        'fer',
        (
            ['--no-deps', 'fer==25.10.3'],
            [*_TENSORFLOW, 'pandas', 'pillow', 'requests', 'setuptools<81', 'tqdm'],
        ),
        reader='fer_reader.py',
    ),
    Rival(
        'facex',
        'facex_system.py',
        'facex',
        (['--no-deps', 'facex==1.1.0'], [*_TENSORFLOW, 'scikit-image']),
    ),
    Rival('PyEmotion', 'pyemotion_system.py', 'pytorch', (['PyEmotion==1.0.0'],)),
    # The same dependencies, so that they are not downloaded and kept twice.
    Rival(
        'facial-emotion-recognition',
        'facial_emotion_recognition_system.py',
        'pytorch',
        (['facial-emotion-recognition==0.3.4'],),
    ),
    Rival('seed', 'seed_system.py', 'seed', (_TENSORFLOW,)),
)


def cache():
    """Return the folder outside of the repository that keeps what took long."""
    return Path(
        os.environ.get(
            'EMOTION_PERCEPTION_BENCH_CACHE', Path.home() / '.cache' / 'emotion_perception_bench'
        )
    )


def command(rival, script=None):
    """Install a rival where it is not yet; return (command, further arguments) that run it.

    script: one of its scripts; the one that is timed where it is not given.
    RuntimeError: it cannot be installed here; says why.
    """
    folder = cache() / rival.environment
    script = str(SYSTEMS / (script or rival.script))
    if script.endswith('.mjs'):
        _install(rival, folder, _npm)
        return ['node', script], [str(folder / 'node_modules'), *rival.options]
    _install(rival, folder, _pip)
    return [str(folder / 'bin' / 'python'), script], []


def clean_environment():
    """Return the variables of the shell without those that lead into another environment."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ('PYTHONPATH', 'LD_LIBRARY_PATH', 'VIRTUAL_ENV', 'PYTHONHOME')
    }


def _install(rival, folder, run):
    done = folder / (Path(rival.script).stem + '.installed')
    recipe = json.dumps([rival.install, sys.version_info[:2]])
    if done.is_file() and done.read_text() == recipe:
        return
    print(f'Installs {rival.name} into {folder}', flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    for arguments in rival.install:
        run(folder, arguments)
    done.write_text(recipe)


def _pip(folder, arguments):
    python = folder / 'bin' / 'python'
    if not python.is_file():
        _run([sys.executable, '-m', 'venv', folder], folder)
    _run([python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', *arguments], folder)


def _npm(folder, arguments):
    if not shutil.which('npm'):
        raise RuntimeError('there is no npm (Debian and Ubuntu: sudo apt install nodejs npm)')
    _run(['npm', 'install', '--prefix', folder, '--no-audit', '--no-fund', *arguments], folder)


def _run(arguments, folder):
    try:
        done = subprocess.run(
            list(map(str, arguments)),
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f'not installed after {TIME_LIMIT} s') from error
    if done.returncode:
        raise RuntimeError(f'not installed: {done.stderr.strip().splitlines()[-1:]}')
