"""README and docs: every block of code and every command in them is run, compiled or accounted for."""

import os
from pathlib import Path
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
import yaml

import emotion_perception
from emotion_perception.behaviour.rules import Rules
from emotion_perception.options import OPTIONS
from emotion_perception.videos import VideoWriter
from processes import wait_for

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (*sorted(ROOT.glob('*.md')), *sorted((ROOT / 'docs').glob('*.md')))
}
LIMIT = 300.0  # seconds after which a test gives up; nothing is judged by its duration

#: Its bash is a walk from line to line, which test_bag_docs.py runs. (So does
#: test_behaviour_docs.py, where the command ros2 is there.)
WALKS = ('docs/bags.md',)

#: Blocks of these languages stand, word for word, in examples/.
EXAMPLES = ('python', 'cpp', 'cmake', 'xml')

#: The test that runs or compiles each file in examples/.
EXAMPLE_TESTS = {
    **dict.fromkeys(
        (
            'behaviortree_cpp/CMakeLists.txt',
            'behaviortree_cpp/comforter.cpp',
            'behaviortree_cpp/main_person_feels.hpp',
            'behaviortree_cpp/tree.xml',
        ),
        'test_behaviour_trees.py::test_the_condition_and_the_tree_of_the_example',
    ),
    'comforter.yaml': 'test_behaviour_node.py::test_the_comforter',
    'greeting.cmake': 'test_bag_docs.py::test_ctest_runs_it',
    'mirroring_face.yaml': 'test_behaviour_node.py::test_the_mirroring_face',
    'one_picture.py': 'test_docs.py::test_pip_installs_what_works_without_ros',
    'pretend_robot.py': 'test_behaviour_node.py::test_the_mirroring_face',
    'print_emotions.py': 'test_docs.py::test_the_listener_prints_and_ends_without_a_traceback',
    'print_emotions_cpp/CMakeLists.txt': 'test_docs.py::test_the_listener_in_cpp_compiles',
    'print_emotions_cpp/print_emotions.cpp': 'test_docs.py::test_the_listener_in_cpp_compiles',
    'py_trees_comforter.py': 'test_behaviour_node.py::test_the_tree_of_py_trees_ros',
    'read_results.py': 'test_bag_docs.py::test_code_runs',
    'test_greeting.py': 'test_bag_docs.py::test_code_runs',
    'without_ros.py': 'test_docs.py::test_pip_installs_what_works_without_ros',
}

#: What is not run here, and why.
NOT_RUN = {
    'apt install': 'the system is not ours to change',
    'cd ~/ros2_ws && git clone': 'the address is that of whoever passes the repository on',
    'rosdep install': 'needs an installed ROS 2',
    'python3 -m venv': 'an environment of its own; make builds one in the same way',
    'pip install -r': 'make does it with the same list',
    'pip install .': 'test_pip_installs_what_works_without_ros does it',
    'colcon build': 'make build does it',
    '. /opt/ros/': 'needs an installed ROS 2',
    'ros2 bag play': 'is not on PyPI; test_bag_player.py plays bags',
    'ros2 lifecycle set /emotion_node': 'test_lifecycle.py calls the same services',
    'ros2 run rqt_': 'a program of others',
    'ros2 security': 'test_security.py makes the keys by openssl',
    'ros2 service call /emotion_node/': 'test_lifecycle.py calls the same services',
    'ros2 topic ': 'test_emotion_node.py and test_behaviour_node.py subscribe to the same',
    'build/tree/comforter': 'test_behaviour_trees.py builds and runs it',
    'build/print/print_emotions': 'test_the_listener_in_cpp_compiles builds it',
    'python -m emotion_perception.monitor': 'test_monitor.py runs it',
    'python -m emotion_perception.report_versions': 'test_report_versions.py runs it',
    'dask ': 'needs several machines; test_bag.py has a cluster in this one',
    'python -m emotion_perception.bag recordings -o results --cluster': 'the same',
    'make bench': 'takes hours; test_benchmarks.py runs its parts',
    'python3 benchmarks/live_video.py': 'the same, where the other systems are not installed',
}

#: A line of a block of text is a command if it begins like this.
PROGRAMS = ('ros2 ', 'python', 'pip ', 'make ', 'dask ', 'cmake ', 'colcon ')

#: Modules whose command line is read by argparse.
COMMAND = re.compile(r'python -m (emotion_perception\.\w+)')


def blocks(language):
    return [
        (name, text)
        for name, page in PAGES.items()
        for text in re.findall(rf'^```{language}\n(.*?)^```', page, re.MULTILINE | re.DOTALL)
    ]


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
    for _, text in blocks('text'):
        found += [
            line for line in map(without_comment, text.splitlines()) if line.startswith(PROGRAMS)
        ]
    for page in PAGES.values():
        found += re.findall(r'`((?:make|python -m emotion_perception\.)[^`]+)`', page)
        found += re.findall(r'`(ros2 (?:launch|run|param set) [^`]+)`', page)
    return sorted({re.sub(r' \[(--\w+)\]$', r' \1', command) for command in found})


def is_own_setting(command):
    return command.startswith('export ')


def test_blocks_have_a_language_that_is_tested():
    for name, page in PAGES.items():
        fences = re.findall(r'^\s*```(\S*)$', page, re.MULTILINE)
        assert set(fences[::2]) <= {*EXAMPLES, 'bash', 'text', 'yaml', '{toctree}'}, name
        outside = re.sub(r'^```.*?^```|<!--.*?-->', '', page, flags=re.MULTILINE | re.DOTALL)
        assert not re.findall(r'^ {5,}\S.*$|^\s+```', outside, re.MULTILINE), (
            f'{name}: a block within a list is not found here; let it begin at the margin'
        )


@pytest.mark.parametrize('text', [text for _, text in blocks('yaml')])
def test_yaml_in_the_pages_is_a_file_that_the_nodes_take(text):
    parameters = pytest.importorskip('emotion_perception.nodes.parameters')
    content = yaml.safe_load(text)
    if 'rules' in content:
        assert Rules(text)
        return
    options = {option.name: option for option in (*parameters.NODE_OPTIONS, *OPTIONS)}
    (given,) = (section['ros__parameters'] for section in content.values())
    for name, value in given.items():
        assert options[name].check(value) == value


@pytest.mark.parametrize('language', EXAMPLES)
def test_code_in_the_pages_is_that_of_the_examples(language):
    examples = [path.read_text() for path in (ROOT / 'examples').rglob('*') if path.is_file()]
    for name, text in blocks(language):
        assert text in examples, f'{name}: no file in examples/ is this\n{text}'


def test_every_example_has_a_test_that_runs_it():
    files = {
        str(path.relative_to(ROOT / 'examples'))
        for path in (ROOT / 'examples').rglob('*')
        if path.is_file() and path.suffix != '.pyc'
    }
    assert files == set(EXAMPLE_TESTS)
    for test in EXAMPLE_TESTS.values():
        file, name = test.split('::')
        assert f'def {name}(' in (ROOT / 'test' / file).read_text(), test


def test_what_is_not_run_is_still_in_the_pages():
    for start in NOT_RUN:
        assert any(command.startswith(start) for command in commands()), start


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    outside = re.sub(r'^```.*?^```', '', page, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r'^#+ (.+)$', outside, re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


def test_links_lead_somewhere():
    for name, page in PAGES.items():
        for link, anchor in re.findall(r'\]\(([^)#:]*)(?:#([^)]*))?\)', page):
            path = ((ROOT / name).parent / link).resolve() if link else ROOT / name
            assert path.exists(), f'{name}: {link}'
            if anchor:
                assert anchor in anchors(path.read_text()), f'{name}: {link}#{anchor}'


def test_files_that_the_pages_name_are_there():
    files = [path.relative_to(ROOT) for path in ROOT.rglob('*.*')]
    files = {f'/{path}' for path in files if not {'.venv', 'build', 'install'} & set(path.parts)}
    for name, page in PAGES.items():
        for file in re.findall(r'`([\w./]+/\w+\.(?:py|yaml|msg|rst))`', page):
            assert 'NAME' in file or any(known.endswith(f'/{file}') for known in files), (
                f'{name}: {file}'
            )


def test_tables_in_the_docs_are_those_of_the_code(monkeypatch):
    pytest.importorskip('rclpy', reason='the tables of the nodes need ROS 2')
    monkeypatch.syspath_prepend(ROOT / 'tools')
    import write_tables

    tables = write_tables.tables()
    for name, page in PAGES.items():
        assert write_tables.write(page, tables) == page, f'{name}: run tools/write_tables.py'
    places = ''.join(re.findall(r'<!-- table: .+? -->', ''.join(PAGES.values())))
    assert all(f'<!-- table: {name} -->' in places for name in tables)


def is_understood_by_ros(command):
    """Look up what a command for ROS names, for the command ros2 is not on PyPI.

    :return: whether it is one that can be looked up.
    """
    words = shlex.split(command)
    if words[:3] == ['ros2', 'launch', 'emotion_perception']:
        sources = ''.join(
            path.read_text()
            for path in (
                *(ROOT / 'launch').glob('*.py'),
                ROOT / 'emotion_perception/nodes/launching.py',
            )
        )
        if words[3] != 'FILE':
            assert (ROOT / 'launch' / words[3]).is_file()
        for argument in words[4:]:
            assert argument == '--show-args' or f"'{argument.split(':=')[0]}'" in sources, argument
        return True
    pytest.importorskip('rclpy', reason='the tables of the nodes need ROS 2')
    import write_tables

    parameters = {
        node: {option.name: option for option in options}
        for node, options in write_tables.PARAMETERS.items()
    }
    if words[:3] == ['ros2', 'run', 'emotion_perception']:
        node, arguments = words[3], words[5:]
        assert node in (ROOT / 'CMakeLists.txt').read_text()
        assert words[4:5] in ([], ['--ros-args'])
        for option, value in zip(arguments[::2], arguments[1::2], strict=True):
            assert option in ('-r', '-p', '--params-file')
            assert option != '-p' or value.split(':=')[0] in parameters[node]
        return True
    if words[:3] == ['ros2', 'param', 'set']:
        assert parameters[words[3].lstrip('/')][words[4]].live
        return True
    return False


@pytest.mark.parametrize('command', commands())
def test_every_command_is_understood(command, tmp_path, monkeypatch, capsys):
    """Give each command, with its example paths, to what it is for: it may miss no more than these."""
    monkeypatch.syspath_prepend(ROOT / 'tools')
    if extra := re.fullmatch(r"pip install '\.\[(\w+)\]'", command):
        assert f'{extra[1]} = file: requirements/{extra[1]}.txt' in (ROOT / 'setup.cfg').read_text()
        return
    if reason := next((why for start, why in NOT_RUN.items() if command.startswith(start)), None):
        pytest.skip(f'not run: {reason}')
    if is_own_setting(command):
        return
    if command.startswith('ros2 '):
        assert is_understood_by_ros(command), f'say in {Path(__file__).name} how it is tested'
        return
    command, *then = command.split(' && ')
    for script in re.findall(r'\S+/\S+\.py', ' '.join(then)):
        assert (ROOT / script).is_file()
    if command.startswith('make'):
        arguments = [re.sub(r'=(path|PATH)$', '=a.mp4', word) for word in shlex.split(command)[1:]]
        ended = subprocess.run(['make', '-n', *arguments], cwd=ROOT, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return
    if command.startswith('cmake -S examples/'):
        assert (ROOT / shlex.split(command)[2] / 'CMakeLists.txt').is_file()
        return
    if command.startswith('python3 $(ros2 pkg prefix'):
        assert (ROOT / command.split('/share/emotion_perception')[-1].split('/', 1)[1]).is_file()
        return
    module = COMMAND.match(command)
    assert module, f'say in {Path(__file__).name} how this is tested: {command}'
    given = re.findall(r'\$?[\w./{},=-]+', command[module.end() :])
    missing = tmp_path / 'missing'
    given = [
        re.sub(r'\$DATA|FOLDER|PATH|FILE', str(missing), word).replace(
            'mine.json', 'models/emotion.json'
        )
        for word in given
    ]
    for name in ('config', 'models'):  # not in the repository itself, where docs are written
        (tmp_path / name).symlink_to(ROOT / name)
    environment = {'DATA': str(missing), 'RUNS': str(tmp_path / 'runs')}
    if module[1].endswith(('train', 'compare')):
        pytest.importorskip('tensorflow')
        code, errors = run_here(module[1], given, tmp_path, environment, capsys)
    else:
        ended = subprocess.run(
            [sys.executable, '-m', module[1], *given],
            cwd=tmp_path,
            text=True,
            env=os.environ | environment,
            capture_output=True,
            timeout=LIMIT,
        )
        code, errors = ended.returncode, ended.stderr
    told = errors.splitlines()[-1] if errors else ''
    assert code != 0 and str(missing) in told, errors
    assert 'unrecognized' not in told and 'invalid choice' not in told


def run_here(module, arguments, folder, environment, capsys):
    """Run python -m in this process: TensorFlow takes seconds to import, and is here already."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(folder)
        patch.setattr(sys, 'argv', [module, *arguments])
        for name, value in environment.items():
            patch.setenv(name, value)
        warnings.filterwarnings('ignore', category=RuntimeWarning)  # it was imported before
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name='__main__')
    return ended.value.code, capsys.readouterr().err


def test_the_setting_of_fast_dds_is_that_of_the_code():
    transport = pytest.importorskip('emotion_perception.nodes.transport')
    settings = {
        line
        for page in PAGES.values()
        for line in indented(page)
        if is_own_setting(line) and 'FASTDDS' in line
    }
    assert settings == {
        f"export {name}='{value}'" for name, value in transport.FAST_DDS_SETTINGS.items()
    }


@pytest.fixture(scope='module')
def people(tmp_path_factory, portrait):
    """Give a folder with people.mp4, a second of a face, and person.jpg, a picture of it."""
    folder = tmp_path_factory.mktemp('people')
    cv2.imwrite(str(folder / 'person.jpg'), portrait)
    with VideoWriter(folder / 'people.mp4', 320, 320, 30, 'libx264') as writer:
        for number in range(30):
            writer.write(np.roll(portrait, number // 10, 1))
    return folder


@pytest.mark.slow
def test_pip_installs_what_works_without_ros(people, tmp_path):
    source = tmp_path / 'source'  # the build leaves files beside its sources
    shutil.copytree(
        ROOT,
        source,
        ignore=shutil.ignore_patterns('.*', 'build', 'demo', 'docs', 'install', 'log', 'test'),
    )
    subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'install',
            '-q',
            '--no-deps',
            '--no-build-isolation',
            '--target',
            tmp_path / 'installed',
            source,
        ],
        check=True,
    )
    code = (
        'import sys; sys.path.insert(0, sys.argv[1]); sys.modules["rclpy"] = None\n'
        'for name in list(sys.modules):\n'
        '    if name.startswith("emotion_perception"): del sys.modules[name]\n'
        'exec(open(sys.argv[2]).read())\n'
        'import emotion_perception; print(emotion_perception.__file__)'
    )

    def printed_by(example):
        *printed, file = subprocess.run(
            [sys.executable, '-c', code, tmp_path / 'installed', ROOT / 'examples' / example],
            cwd=people,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert file.startswith(str(tmp_path / 'installed'))
        return printed

    printed = printed_by('without_ros.py')
    assert len(printed) > 20
    assert all(re.fullmatch(r'1 \w+ [01]\.\d+', line) for line in printed)
    assert re.fullmatch(r'\w+ .*width=\d+.*', *printed_by('one_picture.py'))


def test_the_listener_prints_and_ends_without_a_traceback(ros):
    rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
    msg = pytest.importorskip('emotion_perception.msg', reason='needs the built messages')
    node = rclpy.create_node('emotions_of_a_test')
    publisher = node.create_publisher(msg.EmotionArray, '/emotion_node/emotions', 10)
    timer = node.create_timer(
        0.05,
        lambda: publisher.publish(
            msg.EmotionArray(
                faces=[
                    msg.FaceEmotion(track_id=1, label='neutral', label_id=msg.FaceEmotion.NEUTRAL),
                    msg.FaceEmotion(
                        track_id=2, label='fear', label_id=msg.FaceEmotion.FEAR, intensity=0.8
                    ),
                ]
            )
        ),
    )
    process = subprocess.Popen(
        [sys.executable, ROOT / 'examples' / 'print_emotions.py'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.set_blocking(process.stdout.fileno(), False)
    try:
        line = wait_for(
            process.stdout.readline,
            lambda: rclpy.spin_once(node, timeout_sec=0.1),
            process,
            limit=LIMIT,
        )
        timer.cancel()  # Ctrl-C meets a listener that waits, not one within a call of rclpy
        rclpy.spin_once(node, timeout_sec=1.0)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        node.destroy_node()
    assert line == 'face 2: fear, 80% strong\n'
    assert process.returncode == 0 and errors == ''


@pytest.mark.slow
def test_the_listener_in_cpp_compiles(tmp_path):
    """Build it against the messages, and against rclcpp or, where that is not there, a stand-in."""
    prefix = next(
        (
            parent
            for parent in Path(emotion_perception.__file__).parents
            if (parent / 'share' / 'emotion_perception' / 'package.xml').is_file()
        ),
        None,
    )
    if prefix is None:
        pytest.skip('emotion_perception is not built by colcon')
    prefixes = os.pathsep.join([str(prefix), sys.prefix, os.environ.get('AMENT_PREFIX_PATH', '')])
    environment = os.environ | {
        'AMENT_PREFIX_PATH': prefixes,
        'CMAKE_PREFIX_PATH': prefixes,
        'PATH': os.pathsep.join([os.path.dirname(sys.executable), os.environ['PATH']]),
    }
    source = ROOT / 'examples' / 'print_emotions_cpp'
    configure = ['cmake', '-S', source, '-B', tmp_path, f'-DPython3_EXECUTABLE={sys.executable}']
    stands_in = subprocess.run(configure, env=environment, capture_output=True).returncode != 0
    if stands_in:
        stand_ins = ROOT / 'test' / 'stand_ins'
        subprocess.run([*configure, f'-Drclcpp_DIR={stand_ins}'], env=environment, check=True)
    subprocess.run(['cmake', '--build', tmp_path], env=environment, check=True)
    if stands_in:  # the real one would wait for messages
        subprocess.run([tmp_path / 'print_emotions'], check=True)
