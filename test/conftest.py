"""What several test files need."""
import os
from pathlib import Path
import sys

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


@pytest.fixture(scope='session')
def ros():
    """Initialise ROS in this process and in those it starts, on a domain of their own.

    A node that stays holds the connections of Fast DDS: it sometimes waits for ever when it takes
    them down (see ``end_in_time`` in nodes/running.py), so that is left to the process's end.
    """
    rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
    from emotion_perception.nodes.transport import fast_dds_settings
    os.environ.update(fast_dds_settings())
    rclpy.init()
    return rclpy.create_node('tests')


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """End without the middleware's own end, which may never come."""
    rclpy = sys.modules.get('rclpy')
    if rclpy and rclpy.ok():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.exit_status)


def pytest_sessionfinish(session, exitstatus):
    session.config.exit_status = int(exitstatus)
