"""docs/behaviours.md: its rules are read, and every command in it is run."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import yaml

from emotion_perception.behaviour.options import OPTIONS
from emotion_perception.behaviour.rules import FIELDS, OPTIONS as RULE_OPTIONS, Rules
from emotion_perception.emotions import EMOTIONS
from processes import LIMIT, wait_for

#: These run until they are stopped.
ENDLESS = ('ros2 launch', 'ros2 topic echo', 'python3')


@pytest.fixture
def page(root):
    return (root / 'docs' / 'behaviours.md').read_text()


def blocks(page, language):
    return re.findall(rf'^```{language}\n(.*?)^```', page, re.MULTILINE | re.DOTALL)


def test_every_file_of_rules_in_it_is_valid(page):
    found = blocks(page, 'yaml')
    assert len(found) == 2
    for text in found:
        Rules(text)
    keys = {key for rule in yaml.safe_load(found[1])['rules'].values() for key in rule}
    assert keys == {'behaviour', 'parameters', 'emotions', *(o.name for o in RULE_OPTIONS)}


def test_its_table_has_every_key_and_its_default(page):
    rows = dict(re.findall(r'^\| `(\w+)` \| (.*?) \|', page, re.MULTILINE))
    for option in RULE_OPTIONS:
        assert (
            rows[option.name].strip('`') == f'{option.default:g}'
            if isinstance(option.default, (int, float))
            else f'`{option.default}`' == rows[option.name]
        )
    for field in FIELDS:
        assert f'`{{{field}}}`' in page


def test_the_parameter_file_holds_the_defaults(root):
    content = yaml.safe_load((root / 'config' / 'behaviour.yaml').read_text())
    assert content['/**']['ros__parameters'] == {
        'rules': '',
        **{option.name: option.default for option in OPTIONS},
    }


def test_a_reader_of_the_page_gets_a_new_behaviour(page, ros, tmp_path):
    rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
    msg = pytest.importorskip('emotion_perception.msg', reason='needs the built messages')
    pytest.importorskip('launch_ros', reason='needs launch_ros, which pip does not have')
    if shutil.which('ros2') is None:
        pytest.skip('needs the command ros2')
    from sensor_msgs.msg import RegionOfInterest

    (tmp_path / 'my_rules.yaml').write_text(blocks(page, 'yaml')[0])
    node = rclpy.create_node('camera_of_the_page')
    emotions = node.create_publisher(msg.EmotionArray, '/emotion_node/emotions', 10)
    smile = msg.FaceEmotion(
        track_id=1,
        state=msg.FaceEmotion.CONFIRMED,
        intensity=1.0,
        sequence_length=100,
        label='happiness',
        label_id=msg.FaceEmotion.HAPPINESS,
        scores=[float(name == 'happiness') for name in EMOTIONS],
        roi=RegionOfInterest(width=100, height=100),
    )
    outputs, processes = [], []

    def printed():
        return '\n'.join(path.read_text() for path in outputs)

    def run(command):
        """Run a block of commands; those that run until they are stopped in the background."""
        endless = command.startswith(ENDLESS)
        if 'ros2 param' in command:  # the tool waits half a second to hear of the node
            command = (
                f'until ros2 param list /behaviour_node | grep -q rules; do sleep 1; done\n'
                f'{command}'
            )
        outputs.append(tmp_path / f'{len(outputs)}.txt')
        with outputs[-1].open('w') as output:
            process = subprocess.Popen(
                ['bash', '-ec', command],
                cwd=tmp_path,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {'PYTHONUNBUFFERED': '1'},
            )
        if endless:
            processes.append(process)
        else:
            assert process.wait(LIMIT) == 0, outputs[-1].read_text()
            told = outputs[-1].read_text()
            assert told.count('successful') == command.count('ros2 param set'), told

    def wait_until(condition, show=()):
        def work():
            message = msg.EmotionArray(
                image_width=640, image_height=480, camera='page', faces=list(show)
            )
            message.header.stamp = node.get_clock().now().to_msg()
            emotions.publish(message)
            time.sleep(0.05)

        wait_for(condition, work, told=printed)

    try:
        commands = blocks(page, 'bash')
        assert len(commands) == 7
        for command in commands[:4]:
            run(command)
            wait_until(
                lambda: (
                    emotions.get_subscription_count() and 'behaviour_node' in node.get_node_names()
                )
            )
        wait_until(
            lambda: (
                node.count_subscribers('/behaviour_node/requests')
                and node.count_subscribers('/behaviour_node/events')
            )
        )
        wait_until(lambda: 'do_led_effect effect=rainbow' in printed(), show=[smile])
        assert 'type: started' in printed() and 'label: happiness' in printed()
        for command in commands[4:]:
            run(command)
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(LIMIT)
        subprocess.run(['ros2', 'daemon', 'stop'], check=True)
        node.destroy_node()
