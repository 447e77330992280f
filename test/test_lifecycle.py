"""The emotion node as a managed node: every transition, in order, twice, in the wrong order."""

from itertools import product
from pathlib import Path
import shutil

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402

from emotion_perception.recognition import shipped_model  # noqa: E402
from robot import count, emotion_node, EMPTY, values  # noqa: E402

pytestmark = pytest.mark.usefixtures('ros')

#: State -> transition -> state.
GRAPH = {
    'unconfigured': {'configure': 'inactive'},
    'inactive': {'activate': 'active', 'cleanup': 'unconfigured'},
    'active': {'deactivate': 'inactive'},
}
TRANSITIONS = ('configure', 'activate', 'deactivate', 'cleanup')
#: How to come to a state, from unconfigured.
WAY = {'unconfigured': (), 'inactive': ('configure',), 'active': ('configure', 'activate')}
BACK = {'unconfigured': (), 'inactive': ('cleanup',), 'active': ('deactivate', 'cleanup')}


class Manager:
    """Drives a robot's emotion node through its states."""

    def __init__(self, robot):
        self.robot = robot
        self._clients = {
            name: robot.node.create_client(kind, f'/{robot.name}/{name}')
            for name, kind in (
                ('change_state', ChangeState),
                ('get_state', GetState),
                ('enable', SetBool),
                ('reset_tracks', Trigger),
            )
        }

    def call(self, name, request):
        client = self._clients[name]
        self.robot.wait_for(client.service_is_ready)
        return self.robot.wait_done(client.call_async(request))

    def change(self, *transitions):
        """Go through transitions; tell whether all succeeded."""
        return all([self._change(transition) for transition in transitions])

    def _change(self, transition):
        request = ChangeState.Request()
        request.transition.label = transition
        return self.call('change_state', request).success

    @property
    def state(self):
        return self.call('get_state', GetState.Request()).current_state.label

    def enable(self, on):
        return self.call('enable', SetBool.Request(data=on))


@pytest.fixture(scope='module')
def manager(tmp_path_factory):
    with emotion_node(
        tmp_path_factory.mktemp('managed'), 'managed', '-p', 'autostart:=false'
    ) as robot:
        yield Manager(robot)


@pytest.mark.parametrize('state, transition', list(product(GRAPH, TRANSITIONS)))
def test_every_transition_in_every_state(manager, state, transition):
    assert manager.state == 'unconfigured'
    assert manager.change(*WAY[state])
    goal = GRAPH[state].get(transition)
    assert manager.change(transition) is (goal is not None)
    assert manager.state == (goal or state)
    if goal:  # a second time is the wrong order
        assert not manager.change(transition)
        assert manager.state == goal
    assert manager.change(*BACK[goal or state])


def test_only_an_active_node_subscribes_and_all_states_are_reported(manager):
    robot = manager.robot

    def subscriptions():
        return robot.node.count_subscribers('/image')

    assert subscriptions() == 0
    status = robot.next_report(lambda all: all['processing'].message == 'unconfigured')
    assert status['processing'].level == DiagnosticStatus.OK
    assert manager.change('configure')
    status = robot.next_report(lambda all: all['processing'].message == 'inactive')
    assert status['camera camera'].level == DiagnosticStatus.OK
    assert status['camera camera'].message == 'inactive'
    assert len(values(status['processing'])['model SHA-256']) == 64
    assert subscriptions() == 0
    assert manager.change('activate')
    robot.wait_for(subscriptions)
    robot.warm_up()
    assert manager.change('deactivate')
    robot.wait_for(lambda: subscriptions() == 0)
    for _ in range(5):
        robot.send(EMPTY)
        robot.spin(0.1)
    assert robot.results == []
    assert manager.change('cleanup')
    robot.next_report(lambda all: 'model SHA-256' not in values(all['processing']))


def test_faces_survive_a_pause_but_not_a_cleanup_nor_a_reset(manager, portrait):
    robot = manager.robot

    def the_id():
        for _ in range(15):
            _, result = robot.process_image(portrait)
        (face,) = result.faces
        return face.track_id

    manager.change('configure', 'activate')
    robot.warm_up()
    first = the_id()
    manager.change('deactivate', 'activate')
    # By the images' stamps no time has passed.
    robot.wait_for(lambda: robot.cameras['image'].get_subscription_count())
    robot.wait_for(lambda: robot.send(portrait) and not robot.spin(0.3) and robot.results)
    assert the_id() == first
    answer = manager.call('reset_tracks', Trigger.Request())
    assert answer.success and answer.message == 'all faces are forgotten'
    assert the_id() == first + 1
    manager.change('deactivate', 'cleanup')
    answer = manager.call('reset_tracks', Trigger.Request())
    assert not answer.success and 'not configured' in answer.message


def test_a_report_counts_only_faces_that_are_there(manager, portrait):
    robot = manager.robot

    def told():
        return robot.log().count('Camera camera: no image on /image for')

    def wait_for_faces(number):
        robot.next_report(lambda all: values(all['processing'])['faces'] == str(number))

    def show():
        for _ in range(15):
            robot.process_image(portrait)
        wait_for_faces(1)

    manager.change('configure', 'activate')
    robot.warm_up()
    show()
    assert manager.call('reset_tracks', Trigger.Request()).success
    wait_for_faces(0)
    show()
    manager.change('deactivate')
    wait_for_faces(0)
    manager.change('activate')
    robot.warm_up()
    show()
    # The camera stops, and then the node is switched off: no image has come.
    before = told()
    robot.wait_for(lambda: told() == before + 1)
    wait_for_faces(0)
    manager.enable(False)
    for _ in range(2):
        robot.next_report(lambda all: all['camera camera'].message == 'inactive')
    assert 'images arrive' not in robot.log()
    # Nor does one come when it is switched on again; the fault is told anew.
    manager.enable(True)
    robot.wait_for(lambda: told() == before + 2)
    assert 'images arrive' not in robot.log()
    robot.warm_up()
    robot.wait_for(lambda: 'Camera camera: images arrive' in robot.log())
    manager.change('deactivate', 'cleanup')


def test_counts_go_on_after_a_cleanup(manager):
    robot = manager.robot
    what = 'changes of image size'
    manager.change('configure')
    before = count(robot.next_report()['camera camera'], what)
    for total in (before + 2, before + 4):
        manager.change('activate')
        robot.warm_up()
        robot.process_image(np.ascontiguousarray(EMPTY[:-8]))
        robot.process_image(EMPTY)
        robot.next_report(lambda all: count(all['camera camera'], what) == total)
        manager.change('deactivate', 'cleanup', 'configure')
    manager.change('activate')
    robot.warm_up()
    assert count(robot.next_report()['camera camera'], what) == before + 4
    manager.change('deactivate', 'cleanup')


def test_enable_switches_off_and_on(manager):
    off = manager.enable(False)
    assert off.success and off.message == 'the node is unconfigured'
    on = manager.enable(True)
    assert not on.success and on.message == 'the node is unconfigured: configure it first'
    manager.change('configure')
    for wanted, state in (
        (True, 'active'),
        (True, 'active'),
        (False, 'inactive'),
        (False, 'inactive'),
    ):
        answer = manager.enable(wanted)
        assert answer.success and answer.message == f'the node is {state}'
        assert manager.state == state
    manager.change('cleanup')


def test_a_configuration_that_fails_is_told_and_can_be_tried_again(tmp_path):
    model = tmp_path / 'mine.json'
    with emotion_node(
        tmp_path,
        'unlucky',
        '-p',
        'autostart:=false',
        '-p',
        f'model:={model}',
    ) as robot:
        manager = Manager(robot)

        def refused(condition, text):
            assert not manager.change('configure')
            assert manager.state == 'unconfigured'
            status = robot.next_report(
                lambda all: values(all['processing']).get('conditions') == condition
            )
            assert status['processing'].level == DiagnosticStatus.ERROR
            assert text in status['processing'].message
            robot.wait_for(lambda: text in robot.log())

        refused('model_missing', f'{model} is missing')
        assert not manager.change('activate')
        shipped = shipped_model()
        for file in shipped.parent.glob(f'{shipped.stem}.*'):
            shutil.copy(file, tmp_path / file.name.replace(shipped.stem, 'mine', 1))
        model.write_text(model.read_text()[:500])
        refused('model_damaged', 'is no model description')
        shutil.copy(shipped, model)
        encoder = tmp_path / 'mine.tflite'
        encoder.write_bytes(encoder.read_bytes()[:-100])
        refused('model_damaged', 'SHA-256')
        shutil.copy(shipped.with_suffix('.tflite'), encoder)
        assert manager.change('configure', 'activate')
        robot.warm_up()
        robot.next_report(lambda all: all['processing'].level == DiagnosticStatus.OK)
        assert 'Traceback' not in robot.log()


def test_a_missing_cascade_is_told(tmp_path):
    with emotion_node(
        tmp_path, 'blind', '-p', 'autostart:=false', '-p', 'cascade:=/nowhere.xml'
    ) as robot:
        manager = Manager(robot)
        assert not manager.change('configure')
        status = robot.next_report(
            lambda all: values(all['processing']).get('conditions') == 'cascade_missing'
        )
        assert '/nowhere.xml' in status['processing'].message


def test_an_unexpected_error_in_a_transition_is_logged_and_ends_unconfigured(tmp_path):
    code = (
        'from emotion_perception.nodes import emotion_node\n'
        'pipeline, tries = emotion_node.EmotionPipeline, []\n'
        'def broken(*arguments, **options):\n'
        '    tries.append(1)\n'
        '    return pipeline(*arguments, **options) if len(tries) > 1 else 1 / 0\n'
        'emotion_node.EmotionPipeline = broken\n'
        'emotion_node.main()'
    )
    with emotion_node(tmp_path, 'stumbling', '-p', 'autostart:=false', code=code) as robot:
        manager = Manager(robot)
        assert not manager.change('configure')
        assert manager.state == 'unconfigured'
        robot.wait_for(lambda: 'ZeroDivisionError' in robot.log())
        status = robot.next_report(
            lambda all: values(all['processing']).get('conditions') == 'transition_failed'
        )
        assert 'ZeroDivisionError' in status['processing'].message
        assert manager.change('configure', 'activate', 'deactivate', 'cleanup')


def test_cleanup_gives_memory_back_and_cycles_take_no_more(tmp_path, portrait):
    with emotion_node(tmp_path, 'frugal', '-p', 'autostart:=false') as robot:
        manager = Manager(robot)

        def megabytes():
            status = Path(f'/proc/{robot.process.pid}/status').read_text()
            return int(status.split('RssAnon:')[1].split()[0]) / 1e3

        assert manager.state == 'unconfigured'
        before, active, after = megabytes(), [], []
        for _ in range(6):
            manager.change('configure', 'activate')
            robot.warm_up(portrait)
            active.append(megabytes())
            manager.change('deactivate', 'cleanup')
            after.append(megabytes())
        # What the first two cycles leave is code, and threads of OpenCV's.
        assert after[0] - before < (active[0] - before) / 2
        assert after[-1] - after[1] < 1.0, after


@pytest.mark.parametrize('state', WAY)
def test_shutdown_from_every_state(tmp_path, state):
    with emotion_node(tmp_path, f'ending_{state}', '-p', 'autostart:=false') as robot:
        manager = Manager(robot)
        assert manager.change(*WAY[state], 'shutdown')
        assert manager.state == 'finalized'
        assert not manager.change('configure')
        assert not manager.enable(True).success
        assert robot.process.poll() is None


def test_two_who_switch_under_load_lose_nothing_but_images(tmp_path, portrait):
    with emotion_node(tmp_path, 'switched') as robot:
        manager, other = Manager(robot), Manager(robot)
        robot.warm_up(portrait)
        for _ in range(10):
            for on in (False, True):
                # Of the two, one comes too late: enable has what it wants, the other is refused.
                change = ChangeState.Request()
                change.transition.label = 'activate' if on else 'deactivate'
                futures = [
                    manager._clients['enable'].call_async(SetBool.Request(data=on)),
                    other._clients['change_state'].call_async(change),
                ]
                while not all(future.done() for future in futures):
                    robot.send(portrait)
                    robot.spin(0.01)
                assert futures[0].result().success
        robot.wait_for(lambda: robot.cameras['image'].get_subscription_count())
        robot.results.clear()
        robot.wait_for(lambda: robot.send(portrait) and not robot.spin(0.3) and robot.results)
        assert 'Traceback' not in robot.log() and 'ERROR' not in robot.log()
        assert manager.state == 'active'
