"""The package as it is installed: facts that stand in two places agree."""

import ast
import importlib.metadata
import os
from pathlib import Path
import pkgutil
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

import emotion_perception
from emotion_perception.emotions import LABELS, TrackState

#: The only parts that may import these.
ROS_PACKAGES = {'rclpy', 'sensor_msgs', 'std_msgs', 'cv_bridge'}
PARTS_WITH_ROS = (
    'emotion_perception.nodes',
    'emotion_perception.msg',
    'emotion_perception.demo',
    'emotion_perception.monitor',
)
PARTS_WITH_TENSORFLOW = (
    'emotion_perception.learning',
    'emotion_perception.train',
    'emotion_perception.compare',
)

#: Parts with libraries of their own, which few want.
PARTS_WITH_EXTRAS = ('emotion_perception.offline.rerun_file',)


def core_modules():
    """Name every installed module that must import without ROS and without TensorFlow."""
    return [
        module.name
        for module in pkgutil.walk_packages(emotion_perception.__path__, 'emotion_perception.')
        if not module.name.startswith(PARTS_WITH_ROS + PARTS_WITH_TENSORFLOW + PARTS_WITH_EXTRAS)
        and 'rosidl_typesupport' not in module.name
    ]


def install_prefix():
    """Return where colcon put the package, or skip."""
    for parent in Path(emotion_perception.__file__).parents:
        if (parent / 'share' / 'emotion_perception' / 'package.xml').is_file():
            return parent
    pytest.skip('emotion_perception is not built by colcon')


@pytest.fixture
def messages():
    return pytest.importorskip('emotion_perception.msg', reason='needs the built messages')


def test_constants_of_the_message_are_those_of_the_core(messages):
    face = messages.FaceEmotion
    assert {label: getattr(face, label.upper()) for label in LABELS} == {
        label: position for position, label in enumerate(LABELS)
    }
    assert {state.name: getattr(face, state.name) for state in TrackState} == {
        state.name: state.value for state in TrackState
    }


def test_fields_of_the_message_are_those_of_the_core(messages):
    from emotion_perception.emotions import FaceEmotion

    assert list(messages.FaceEmotion.get_fields_and_field_types()) == list(
        FaceEmotion.__dataclass_fields__
    )


def python_type(field_type):
    """Name the type in Python of a field, by its type as ROS writes it."""
    if found := re.fullmatch(r'sequence<(.+)>', field_type):
        return f'list[{python_type(found[1])}]'
    if found := re.fullmatch(r'(.+)\[\d+\]', field_type):
        return f'Sequence[{python_type(found[1])}]'
    if '/' in field_type:
        return field_type.rpartition('/')[2]
    return {'string': 'str', 'float': 'float', 'uint8': 'int', 'uint32': 'int'}[field_type]


def test_types_of_the_messages_are_those_of_their_definitions(messages, root):
    stubs = ast.parse((root / 'emotion_perception' / 'msg.pyi').read_text())
    typed = {
        stub.name: {
            line.target.id: ast.unparse(line.annotation)
            for line in stub.body
            if isinstance(line, ast.AnnAssign)
        }
        for stub in stubs.body
        if isinstance(stub, ast.ClassDef) and stub.name != '_Message'
    }
    assert set(typed) == {path.stem for path in (root / 'msg').glob('*.msg')}
    for name, found in typed.items():
        message = getattr(messages, name)
        constants = {
            constant: f'ClassVar[{type(getattr(message, constant)).__name__}]'
            for constant in dir(message)
            if constant.isupper() and constant not in ('SLOT_TYPES',)
        }
        fields = {
            field: python_type(field_type)
            for field, field_type in message.get_fields_and_field_types().items()
        }
        assert found == {**constants, **fields}, name


def test_version_stands_in_package_xml(root):
    version = ElementTree.parse(root / 'package.xml').findtext('version')
    newest = next(
        line for line in (root / 'CHANGELOG.rst').read_text().splitlines() if line[:1].isdigit()
    )
    assert newest.split()[0] == version
    assert importlib.metadata.version('emotion_perception') == version


def test_licences_are_there(root):
    files = [
        element.get('file')
        for element in ElementTree.parse(root / 'package.xml').findall('license')
    ]
    assert files == ['LICENSE', 'models/LICENSE']
    assert all((root / file).read_text() for file in files)


def checked_by_mypy(script):
    """Give what mypy says of a user's script, as it does without any configuration."""
    pytest.importorskip('mypy', reason='needs mypy')
    return subprocess.run(
        [
            sys.executable,
            '-m',
            'mypy',
            '--strict',
            '--config-file=',
            '--cache-dir',
            script.with_suffix('.cache'),
            script,
        ],
        cwd=script.parent,
        capture_output=True,
        text=True,
    ).stdout


#: To its types, OpenCV's arrays may hold any numbers.
OF_OPENCV = """
import cv2
from emotion_perception.pipeline import EmotionPipeline

image = cv2.imread('person.jpg')
assert image is not None
print(EmotionPipeline().process(image, stamp_ns=0))
"""


@pytest.mark.slow
def test_a_users_script_finds_the_types(root, tmp_path):
    text = (root / 'examples' / 'without_ros.py').read_text()
    right, wrong = tmp_path / 'right.py', tmp_path / 'wrong.py'
    right.write_text(text)
    wrong.write_text(
        text.replace('face.intensity', 'face.strength').replace(
            'process(image, stamp_ns)', 'process(stamp_ns, image)'
        )
    )
    assert checked_by_mypy(right).startswith('Success')
    right.write_text(OF_OPENCV)
    assert checked_by_mypy(right).startswith('Success')
    found = checked_by_mypy(wrong)
    assert '"FaceEmotion" has no attribute "strength"' in found
    assert 'Argument 1 to "process" of "EmotionPipeline" has incompatible type "int"' in found


@pytest.mark.slow
def test_a_users_script_finds_the_types_of_messages(messages, tmp_path):
    right, wrong = tmp_path / 'right.py', tmp_path / 'wrong.py'
    right.write_text(
        'from emotion_perception.msg import EmotionArray, FaceEmotion\n\n\n'
        'def happy(message: EmotionArray) -> list[int]:\n'
        '    happiness = FaceEmotion.HAPPINESS\n'
        '    return [face.track_id for face in message.faces if face.label_id == happiness]\n\n\n'
        "empty = EmotionArray(camera='left', faces=[FaceEmotion(label='fear')])\n"
    )
    wrong.write_text(
        right.read_text().replace('face.label_id', 'face.emotion').replace("'left'", '1')
    )
    assert checked_by_mypy(right).startswith('Success')
    found = checked_by_mypy(wrong)
    assert '"FaceEmotion" has no attribute "emotion"' in found
    assert 'Argument "camera" to "EmotionArray" has incompatible type "int"' in found


def test_core_imports_without_ros_and_tensorflow():
    code = '\n'.join(
        (
            'import importlib, sys',
            f'sys.modules.update(dict.fromkeys({sorted(ROS_PACKAGES | {"tensorflow", "keras"})}))',
            f'for name in {core_modules()}: importlib.import_module(name)',
        )
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_nodes_import_no_tensorflow():
    pytest.importorskip('rclpy', reason='needs ROS 2')
    code = (
        'import sys; sys.modules["tensorflow"] = sys.modules["keras"] = None\n'
        'import emotion_perception.nodes.emotion_node\n'
        'import emotion_perception.nodes.video_publisher'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_executables_run_with_the_interpreter_that_built_them():
    folder = install_prefix() / 'lib' / 'emotion_perception'
    executables = sorted(folder.iterdir())
    assert [path.name for path in executables] == [
        'annotated_image',
        'bag_player',
        'behaviour_node',
        'detections',
        'emotion_node',
        'foxglove_annotations',
        'ros4hri',
        'video_publisher',
    ]
    for path in executables:
        assert os.access(path, os.X_OK)
        interpreter = path.read_text().splitlines()[0].removeprefix('#!')
        assert os.path.samefile(interpreter, sys.executable)
