"""The structure of the package: what may import what."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

from emotion_perception import emotions

PACKAGE = Path(emotions.__file__).parent


def modules():
    """Return {dotted name within the package: path}; without the generated messages."""
    paths = {path.relative_to(PACKAGE).with_suffix(''): path for path in PACKAGE.rglob('*.py')}
    return {
        '.'.join(name.parts): path
        for name, path in paths.items()
        if name.parts[0] not in ('msg', '__init__')
    }


def imported(path):
    """Return the dotted names that a file imports anywhere, also inside of functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: imports are absolute'
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
    return names


MODULES = modules()
IMPORTED = {name: imported(path) for name, path in MODULES.items()}


def arrows(name):
    """Return the modules of the package that a module imports itself."""
    found = set()
    for target in IMPORTED[name]:
        package, _, target = target.partition('.')
        if package == 'emotion_perception':
            if target not in MODULES:  # something that a module or a folder defines
                target = target.rpartition('.')[0]
            found |= {target, f'{target}.__init__'} & set(MODULES)
    return found - {name}


ARROWS = {name: arrows(name) for name in MODULES}


def within(names):
    """Return the modules of these names; a folder stands for all in it."""
    return {
        name for name in MODULES for other in names if name == other or name.startswith(f'{other}.')
    }


def needed(names):
    """Return the modules that the given ones need, directly or not, themselves included."""
    found, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += ARROWS[name]
    return found


def outside(name):
    return {imported.split('.')[0] for imported in IMPORTED[name]}


def test_the_scan_sees_the_package():
    assert {
        'pipeline',
        'nodes.emotion_node',
        'learning.recipe',
        'learning.head.trainer',
        'datasets.loading',
    } <= set(MODULES)
    assert {'crops', 'recognition', 'face_finder'} <= ARROWS['pipeline']
    assert 'temporal' in needed({'pipeline'}) and 'cv2' in outside('crops')


@pytest.mark.parametrize('name', MODULES)
def test_only_nodes_demo_and_monitor_import_ros(name):
    if not name.startswith('nodes.') and name not in ('demo', 'monitor'):
        ros = {
            'rclpy',
            'cv_bridge',
            'ament_index_python',
            'sensor_msgs',
            'std_msgs',
            'diagnostic_msgs',
            'launch',
        }
        assert not outside(name) & ros
        assert not any(n.startswith('emotion_perception.msg') for n in IMPORTED[name])


@pytest.mark.parametrize('name', MODULES)
def test_only_training_imports_tensorflow(name):
    if not name.startswith('learning.') and name != 'train':
        assert not outside(name) & {'tensorflow', 'keras', 'tf_keras'}


@pytest.mark.parametrize('name', MODULES)
def test_only_offline_work_knows_how_bags_are_stored(name):
    if not name.startswith('offline.'):
        assert not outside(name) & {'rosbags', 'mcap', 'rerun', 'pyarrow', 'distributed'}


@pytest.mark.parametrize(
    'low, high',
    [
        (
            ('options', 'crops', 'sequence', 'temporal', 'boxes', 'videos', 'images'),
            ('pipeline', 'recognition', 'nodes', 'learning', 'datasets', 'evaluation'),
        ),
        (
            ('detection', 'tracking', 'cuts', 'face_finder'),
            ('pipeline', 'recognition', 'crops', 'sequence', 'nodes', 'learning', 'datasets'),
        ),
        (
            ('recognition',),
            ('detection', 'tracking', 'face_finder', 'pipeline', 'nodes', 'learning'),
        ),
        (
            ('pipeline',),
            ('nodes', 'learning', 'datasets', 'evaluation', 'demo', 'drawing', 'offline'),
        ),
        (('offline', 'bag'), ('nodes', 'demo', 'learning', 'datasets', 'evaluation')),
        (
            ('emotions', 'images', 'videos', 'behaviour', 'learning', 'evaluation'),
            ('offline', 'bag'),
        ),
        (
            ('behaviour',),
            ('pipeline', 'recognition', 'nodes', 'learning', 'datasets', 'evaluation'),
        ),
        (('datasets',), ('pipeline', 'recognition', 'nodes', 'learning', 'evaluation')),
        (('evaluation', 'evaluate'), ('nodes', 'learning', 'train')),
        (('nodes', 'demo', 'monitor'), ('learning', 'datasets', 'evaluation', 'evaluate', 'train')),
        (('learning', 'train'), ('nodes', 'demo', 'monitor', 'pipeline')),
        (
            ('learning.encoder',),
            (
                'learning.lab',
                'learning.head',
                'learning.comparison',
                'learning.recipe',
                'learning.own_clips',
                'learning.export',
            ),
        ),
        (
            ('learning.lab',),
            (
                'learning.head',
                'learning.comparison',
                'learning.recipe',
                'learning.own_clips',
                'learning.export',
            ),
        ),
        (
            ('learning.head',),
            ('learning.comparison', 'learning.recipe', 'learning.own_clips', 'learning.export'),
        ),
        (('learning.comparison',), ('learning.recipe', 'learning.own_clips')),
        (('learning.recipe', 'learning.own_clips'), ('learning.comparison',)),
    ],
    ids=lambda names: names[0],
)
def test_arrows_run_one_way(low, high):
    assert within(low)
    assert not needed(within(low)) & within(high)


def test_emotions_stands_at_the_bottom():
    assert ARROWS['emotions'] == set()


def test_no_imports_run_in_a_circle():
    for name in MODULES:
        assert name not in needed(ARROWS[name]), name


def test_the_running_pipeline_loads_neither_ros_nor_tensorflow(tmp_path):
    code = (
        'import sys; from emotion_perception.pipeline import EmotionPipeline; '
        'print(*{name.split(".")[0] for name, module in sys.modules.items() if module})'
    )
    loaded = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout.split()
    assert 'emotion_perception' in loaded
    assert not {'tensorflow', 'keras', 'rclpy', 'yaml'} & set(loaded)
