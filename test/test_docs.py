"""README and docs: every block of code and every command in them is run, compiled or accounted for."""
import os
from pathlib import Path
import re
import shlex
import shutil
import signal
import subprocess
import sys

import emotion_perception
from emotion_perception.videos import VideoWriter
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = {str(path.relative_to(ROOT)): path.read_text()
         for path in (ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')))}
LIMIT = 300.0  # seconds after which a test gives up; nothing is judged by its duration

#: Walks from line to line, whose bash is run by test_behaviour_docs.py and test_bag_docs.py.
WALKS = ('docs/behaviours.md', 'docs/bags.md')

#: Blocks of these languages stand, word for word, in examples/, where other tests run them.
EXAMPLES = ('python', 'cpp', 'cmake', 'xml')

#: What is not run here, and why.
NOT_RUN = {
    'apt install': 'the system is not ours to change',
    'git clone URL': 'the address is that of whoever passes the repository on',
    'cd ~/ros2_ws && git clone': 'the same',
    'rosdep install': 'needs an installed ROS 2',
    'python3 -m venv': 'an environment of its own; make builds one in the same way',
    'pip install -r': 'make does it with the same list',
    'pip install scikit-video': 'stands in requirements/ros.txt, with which make demo runs',
    'colcon build': 'make build does it',
    'ros2 launch': 'test_launch.py starts all launch files where the command ros2 is there',
    'ros2 run': 'the executables are started in test_package.py and test_video_publisher.py',
    'ros2 param': 'the parameters are in test_emotion_node.py',
    'ros2 ': 'needs an installed ROS 2',
    'build/tree/comforter': 'test_behaviour_trees.py builds and runs it',
    'python -m emotion_perception.monitor': 'test_monitor.py runs it',
    'make clean': 'it would remove what runs this test',
    'make bench': 'takes hours; test_benchmarks.py runs its parts',
}

#: Modules whose command line is read by argparse.
COMMAND = re.compile(r'python -m (emotion_perception\.\w+)')


def blocks(language):
    return [(name, text) for name, page in PAGES.items()
            for text in re.findall(rf'^```{language}\n(.*?)^```', page, re.MULTILINE | re.DOTALL)]


def indented(page):
    """Return the lines of a page's indented blocks, without their comments."""
    page = re.sub(r'^```.*?^```', '', page, flags=re.MULTILINE | re.DOTALL)
    return [without_comment(line) for line in re.findall(r'^    (\S.*)$', page, re.MULTILINE)]


def without_comment(line):
    return re.sub(r'(^|\s+)#.*', '', line).strip()


def commands():
    """Return the commands of all pages: lines of indented blocks, and inline ones that we own."""
    found = [line for page in PAGES.values() for line in indented(page)]
    for name, text in blocks('bash'):
        if name not in WALKS:
            found += [line for line in map(without_comment, text.splitlines()) if line]
    for page in PAGES.values():
        found += re.findall(r'`((?:make|python -m emotion_perception\.)[^`]+)`', page)
    return sorted(set(found))


def is_own_setting(command):
    return command.startswith('export ')


def test_blocks_have_a_language_that_is_tested():
    for name, page in PAGES.items():
        fences = re.findall(r'^```(\S*)$', page, re.MULTILINE)
        assert set(fences[::2]) <= {*EXAMPLES, 'bash', 'text', 'yaml'}, name


def test_yaml_in_the_pages_is_valid():
    yaml = pytest.importorskip('yaml')
    for _, text in blocks('yaml'):
        yaml.safe_load(text)


@pytest.mark.parametrize('language', EXAMPLES)
def test_code_in_the_pages_is_that_of_the_examples(language):
    examples = [path.read_text() for path in (ROOT / 'examples').rglob('*') if path.is_file()]
    for name, text in blocks(language):
        assert text in examples, f'{name}: no file in examples/ is this\n{text}'


def test_links_lead_somewhere():
    for name, page in PAGES.items():
        for link in re.findall(r'\]\(([^)#:]+)(?:#[^)]*)?\)', page):
            assert ((ROOT / name).parent / link).exists(), f'{name}: {link}'


@pytest.mark.parametrize('command', commands())
def test_every_command_is_understood(command, tmp_path):
    """Give each command, with its example paths, to what it is for: it may miss no more than these."""
    if reason := next((why for start, why in NOT_RUN.items() if command.startswith(start)), None):
        pytest.skip(f'not run: {reason}')
    if is_own_setting(command):
        return
    if command.startswith('make'):
        arguments = [re.sub(r'=(path|PATH)$', '=a.mp4', word) for word in shlex.split(command)[1:]]
        ended = subprocess.run(['make', '-n', *arguments], cwd=ROOT, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return
    if command.startswith('cmake -S examples/'):
        assert (ROOT / shlex.split(command)[2] / 'CMakeLists.txt').is_file()
        return
    if extra := re.fullmatch(r'pip install \.\[(\w+)\]', command):
        assert f'{extra[1]} = file: requirements/{extra[1]}.txt' in (
            ROOT / 'setup.cfg').read_text()
        return
    if command.startswith('python3 $(ros2 pkg prefix'):
        assert (ROOT / command.split('/share/emotion_perception')[-1].split('/', 1)[1]).is_file()
        return
    module = COMMAND.match(command)
    assert module, f'say in {Path(__file__).name} how this is tested: {command}'
    given = re.findall(r'\$?[\w./{},=-]+', command[module.end():].replace('[', '').replace(']', ''))
    missing = tmp_path / 'missing'
    given = [word.replace('$DATA', str(missing)).replace('FOLDER', str(missing)) for word in given]
    for needed in ('tensorflow',) * (module[1].endswith(('train', 'compare'))):
        pytest.importorskip(needed)
    for name in ('config', 'models'):  # not in the repository itself, where docs are written
        (tmp_path / name).symlink_to(ROOT / name)
    environment = os.environ | {'DATA': str(missing), 'RUNS': str(tmp_path / 'runs')}
    ended = subprocess.run([sys.executable, '-m', module[1], *given], cwd=tmp_path,
                           env=environment, capture_output=True, text=True, timeout=LIMIT)
    told = ended.stderr.splitlines()[-1] if ended.stderr else ''
    assert ended.returncode != 0 and str(missing) in told, ended.stderr
    assert 'unrecognized' not in told and 'invalid choice' not in told


def test_the_setting_of_fast_dds_is_that_of_the_code():
    transport = pytest.importorskip('emotion_perception.nodes.transport')
    settings = {line for line in indented(PAGES['README.md']) if is_own_setting(line)
                and 'FASTDDS' in line}
    assert settings == {f"export {name}='{value}'"
                        for name, value in transport.FAST_DDS_SETTINGS.items()}


@pytest.fixture(scope='module')
def people(tmp_path_factory, portrait):
    """Give a folder with people.mp4: a second of a face."""
    folder = tmp_path_factory.mktemp('people')
    with VideoWriter(folder / 'people.mp4', 320, 320, 30, 'libx264') as writer:
        for number in range(30):
            writer.write(np.roll(portrait, number // 10, 1))
    return folder


def test_pip_installs_what_works_without_ros(people, tmp_path):
    source = tmp_path / 'source'  # the build leaves files beside its sources
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(
        '.*', 'build', 'demo', 'docs', 'install', 'log', 'test'))
    subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--no-deps',
                    '--no-build-isolation', '--target', tmp_path / 'installed', source], check=True)
    code = ('import sys; sys.path.insert(0, sys.argv[1]); sys.modules["rclpy"] = None\n'
            'for name in list(sys.modules):\n'
            '    if name.startswith("emotion_perception"): del sys.modules[name]\n'
            'exec(open(sys.argv[2]).read())\n'
            'import emotion_perception; print(emotion_perception.__file__)')
    printed = subprocess.run(
        [sys.executable, '-c', code, tmp_path / 'installed', ROOT / 'examples' / 'without_ros.py'],
        cwd=people, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[-1].startswith(str(tmp_path / 'installed'))
    assert len(printed) > 20
    assert all(re.fullmatch(r'1 \w+ [01]\.\d+', line) for line in printed[:-1])


def test_the_listener_prints_and_ends_without_a_traceback(ros):
    rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
    msg = pytest.importorskip('emotion_perception.msg', reason='needs the built messages')
    node = rclpy.create_node('emotions_of_a_test')
    publisher = node.create_publisher(msg.EmotionArray, '/emotion_node/emotions', 10)
    timer = node.create_timer(0.05, lambda: publisher.publish(msg.EmotionArray(faces=[
        msg.FaceEmotion(track_id=1, label='neutral', label_id=msg.FaceEmotion.NEUTRAL),
        msg.FaceEmotion(track_id=2, label='fear', label_id=msg.FaceEmotion.FEAR, intensity=.8)])))
    process = subprocess.Popen([sys.executable, ROOT / 'examples' / 'print_emotions.py'],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.set_blocking(process.stdout.fileno(), False)
    try:
        for _ in range(int(LIMIT / 0.1)):
            rclpy.spin_once(node, timeout_sec=0.1)
            if line := process.stdout.readline():
                break
        timer.cancel()  # Ctrl-C meets a listener that waits, not one within a call of rclpy
        rclpy.spin_once(node, timeout_sec=1.0)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        node.destroy_node()
    assert line == 'face 2: fear, 80% strong\n'
    assert process.returncode == 0 and errors == ''


def test_the_listener_in_cpp_compiles(tmp_path):
    """Build it against the messages, and against rclcpp or, where that is not there, a stand-in."""
    prefix = next((parent for parent in Path(emotion_perception.__file__).parents
                   if (parent / 'share' / 'emotion_perception' / 'package.xml').is_file()), None)
    if prefix is None:
        pytest.skip('emotion_perception is not built by colcon')
    prefixes = os.pathsep.join([str(prefix), sys.prefix, os.environ.get('AMENT_PREFIX_PATH', '')])
    environment = os.environ | {
        'AMENT_PREFIX_PATH': prefixes, 'CMAKE_PREFIX_PATH': prefixes,
        'PATH': os.pathsep.join([os.path.dirname(sys.executable), os.environ['PATH']])}
    source = ROOT / 'examples' / 'print_emotions_cpp'
    configure = ['cmake', '-S', source, '-B', tmp_path, f'-DPython3_EXECUTABLE={sys.executable}']
    stands_in = subprocess.run(configure, env=environment, capture_output=True).returncode != 0
    if stands_in:
        stand_ins = ROOT / 'test' / 'stand_ins'
        subprocess.run([*configure, f'-Drclcpp_DIR={stand_ins}'], env=environment, check=True)
    subprocess.run(['cmake', '--build', tmp_path], env=environment, check=True)
    if stands_in:  # the real one would wait for messages
        subprocess.run([tmp_path / 'print_emotions'], check=True)
