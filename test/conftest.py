"""What several test files need."""

import os
from pathlib import Path
import runpy

import cv2
import numpy as np
import pytest

from processes import take_ros_domain

ROOT = Path(__file__).resolve().parent.parent

# Each process of tests, and what it starts, hears nothing of others that run at the same time.
os.environ['ROS_DOMAIN_ID'] = take_ros_domain()


def pytest_addoption(parser):
    parser.addoption(
        '--core',
        action='store_true',
        help=('run what needs neither TensorFlow nor ROS, and is not marked as slow'),
    )


def pytest_configure(config):
    config.addinivalue_line('markers', 'slow: takes seconds, and is left out of --core')
    if config.getoption('core'):
        # Neither these tests nor what they start can import them: who needs them is skipped.
        blocked = Path(__file__).parent / 'without_ros_and_tensorflow'
        os.environ['PYTHONPATH'] = str(blocked)
        runpy.run_path(str(blocked / 'sitecustomize.py'))


def pytest_collection_modifyitems(config, items):
    if config.getoption('core'):
        slow = [item for item in items if item.get_closest_marker('slow')]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


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
def keras_head_of():
    """Return the function of a temporal head's weights to the same head in Keras."""
    pytest.importorskip('tensorflow')
    from emotion_perception.learning.head.network import HeadNetwork

    def make(weights):
        head = HeadNetwork()
        head.lstm.set_weights(
            [np.asarray(weights[name]) for name in ('kernel', 'recurrent', 'bias')]
        )
        head.sharpness.assign(weights['sharpness'])
        return head

    return make


@pytest.fixture(scope='session')
def faces():
    """Return real crops of a face, uint8 [128,48,48], at changing place, size and light."""
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    face = cv2.cvtColor(data.astronaut()[60:190, 160:290], cv2.COLOR_RGB2GRAY)
    rng = np.random.default_rng(0)
    result = []
    for _ in range(128):
        top, left = rng.integers(0, 40, 2)
        side = rng.integers(60, 90)
        part = cv2.resize(face[top : top + side, left : left + side], (48, 48)).astype(float)
        noisy = part * rng.uniform(0.4, 1) + rng.normal(0, 5, part.shape)
        result.append(noisy.clip(0, 255).astype(np.uint8))
    return np.stack(result)


@pytest.fixture(scope='module')
def tiny():
    """Add a backbone that trains in no time."""
    pytest.importorskip('tensorflow')
    from keras import layers

    from emotion_perception.learning.encoder import networks

    def network(x, dropout):
        x = layers.Conv2D(8, 3, strides=2, activation='relu')(x)
        x = layers.BatchNormalization(momentum=0.8)(layers.GlobalAveragePooling2D()(x))
        return layers.Dense(networks.FEATURES)(layers.Dropout(dropout)(x))

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.BACKBONES, 'tiny', (network, 48))
        yield 'tiny'


@pytest.fixture(scope='session')
def portrait():
    """Give the photograph of a face: uint8 [320,320,3] BGR."""
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    return cv2.cvtColor(cv2.resize(data.astronaut(), (320, 320)), cv2.COLOR_RGB2BGR)


@pytest.fixture(scope='session')
def ros():
    """Initialise ROS in this process; give those it starts the settings of Fast DDS, too."""
    pytest.importorskip('rclpy', reason='needs ROS 2')
    from emotion_perception.nodes.running import initialised
    from emotion_perception.nodes.transport import FAST_DDS_SETTINGS

    os.environ.update(FAST_DDS_SETTINGS)
    with initialised():
        yield


@pytest.fixture(scope='session')
def moving_face():
    """Return a function of a count to frames, uint8 [240,320,3] BGR, of a face that moves."""
    cv2 = pytest.importorskip('cv2')
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    portrait = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)

    def frames(count):
        return [
            cv2.warpAffine(
                portrait,
                np.float64([[0.7, 0, 10 + 20 * np.sin(i / 9)], [0, 0.7, 5 + 10 * np.sin(i / 13)]]),
                (320, 240),
                flags=cv2.INTER_AREA,
            )
            for i in range(count)
        ]

    return frames


@pytest.fixture(scope='session')
def write_bag():
    """Return a function that writes a bag by rosbags: path, {topic: [(log time, message)]}."""
    pytest.importorskip('rosbags', reason='needs the extra [bags]')
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    from emotion_perception.offline.messages import typestore

    def write(path, topics, storage='mcap', compression='none', qos=()):
        writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
        with writer:
            messages = []
            for topic, timed in topics.items():
                kind = timed[0][1].__msgtype__ if timed else 'sensor_msgs/msg/Image'
                connection = writer.add_connection(
                    topic, kind, typestore=typestore(), offered_qos_profiles=list(qos)
                )
                messages += [(time, connection, message) for time, message in timed]
            for time, connection, message in sorted(messages, key=lambda item: item[0]):
                writer.write(
                    connection, time, typestore().serialize_cdr(message, connection.msgtype)
                )
        return path

    return write


@pytest.fixture(scope='session')
def bag_messages():
    """Return a function of frames to [(log time, message)], 5 ms after their stamps."""
    cv2 = pytest.importorskip('cv2')
    pytest.importorskip('rosbags', reason='needs the extra [bags]')
    from emotion_perception.offline.messages import typestore

    def messages(frames, kind='raw', start=1_700_000_000_000_000_000, period=33_333_333):
        types = typestore().types
        timed = []
        for number, frame in enumerate(frames):
            stamp = start + number * period
            header = types['std_msgs/msg/Header'](
                stamp=types['builtin_interfaces/msg/Time'](
                    sec=stamp // 10**9, nanosec=stamp % 10**9
                ),
                frame_id='eye',
            )
            if kind == 'raw':
                message = types['sensor_msgs/msg/Image'](
                    header=header,
                    height=frame.shape[0],
                    width=frame.shape[1],
                    encoding='bgr8',
                    is_bigendian=0,
                    step=frame.shape[1] * 3,
                    data=frame.reshape(-1),
                )
            else:
                message = types['sensor_msgs/msg/CompressedImage'](
                    header=header,
                    format=kind,
                    data=cv2.imencode('.png' if kind == 'png' else '.jpg', frame)[1].reshape(-1),
                )
            timed.append((stamp + 5_000_000, message))
        return timed

    return messages
