"""What Fast DDS is told for the node and the processes that it talks with."""
import os
from pathlib import Path

#: Names Fast DDS 3 its file of profiles; Fast DDS 2, which Jazzy has, knows the older name alone.
FILE_VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'
FILE_VARIABLE_JAZZY = 'FASTRTPS_DEFAULT_PROFILES_FILE'


def fast_dds_settings():
    """Name the environment variables to set before ROS starts; other DDS vendors ignore them.

    LARGE_DATA lets whole images arrive, config/fastdds.xml lets processes find each other sooner.
    What the user has set stays.

    :return: dict variable -> value.
    :raises FileNotFoundError: when the package is not installed by colcon.
    """
    settings = {}
    if 'FASTDDS_BUILTIN_TRANSPORTS' not in os.environ:
        settings['FASTDDS_BUILTIN_TRANSPORTS'] = 'LARGE_DATA'
    if not {FILE_VARIABLE, FILE_VARIABLE_JAZZY} & set(os.environ):
        jazzy = os.environ.get('ROS_DISTRO') == 'jazzy'
        settings[FILE_VARIABLE_JAZZY if jazzy else FILE_VARIABLE] = str(_profiles_file())
    return settings


def _profiles_file():
    for prefix in Path(__file__).parents:
        path = prefix / 'share' / 'emotion_perception' / 'config' / 'fastdds.xml'
        if path.is_file():
            return path
    raise FileNotFoundError('config/fastdds.xml is not installed: build the package with colcon')
