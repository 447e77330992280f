"""What several test files need."""
import os
from pathlib import Path

import cv2
import numpy as np
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
def keras_head_of():
    """Return the function of a temporal head's weights to the same head in Keras."""
    pytest.importorskip('tensorflow')
    from emotion_perception.learning.temporal import HeadNetwork

    def make(weights):
        head = HeadNetwork()
        head.lstm.set_weights([np.asarray(weights[name])
                               for name in ('kernel', 'recurrent', 'bias')])
        head.sharpness.assign(weights['sharpness'])
        head.inputs_of.prior.assign(weights['neutral_prior'])
        return head

    return make


@pytest.fixture(scope='session')
def portrait():
    """Give the photograph of a face: uint8 [320,320,3] BGR."""
    data = pytest.importorskip('skimage.data', reason='scikit-image has the portrait')
    return cv2.cvtColor(cv2.resize(data.astronaut(), (320, 320)), cv2.COLOR_RGB2BGR)


@pytest.fixture(scope='session')
def ros():
    """Initialise ROS in this process and in those it starts, on a domain of their own."""
    pytest.importorskip('rclpy', reason='needs ROS 2')
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
    from emotion_perception.nodes.running import initialised
    from emotion_perception.nodes.transport import FAST_DDS_SETTINGS
    os.environ.update(FAST_DDS_SETTINGS)
    with initialised():
        yield
