"""What Fast DDS is told so that whole images arrive, and why they do not."""

from collections.abc import Mapping
import math
import os
from pathlib import Path
import re
from typing import Any

#: Environment variables to set before ROS starts; other DDS vendors ignore them.
#:
#: A publisher leaves its messages in a shared segment of memory, which as Fast DDS comes is smaller
#: than one raw VGA image; it is twice the size of the sockets. Unlike with LARGE_DATA, processes
#: that have this setting and processes that do not still see each other.
FAST_DDS_SETTINGS = {'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT?sockets_size=4MB'}

#: Largest size of a socket's receive buffer [bytes].
RMEM_MAX = Path('/proc/sys/net/core/rmem_max')

#: Values of ROS_AUTOMATIC_DISCOVERY_RANGE beside LOCALHOST.
_RANGES = ('SUBNET', 'OFF', 'SYSTEM_DEFAULT')

_UNITS = {
    '': 1,
    'B': 1,
    'KB': 1000,
    'MB': 1000**2,
    'GB': 1000**3,
    'KIB': 1024,
    'MIB': 1024**2,
    'GIB': 1024**3,
}


def cause_of_loss(
    rmw: str,
    image_bytes: int,
    elsewhere: bool,
    environment: Mapping[str, str] = os.environ,
    rmem_max: Path = RMEM_MAX,
) -> tuple[str, dict[str, Any]]:
    """Look for what keeps images from arriving at this process.

    :param rmw: identifier of the middleware, such as 'rmw_fastrtps_cpp'.
    :param image_bytes: size of the largest image that has come; 0 when none has.
    :param elsewhere: whether the publisher is on another machine.
    :return: name of one of conditions.CAUSES, and what is to be filled in there.
    """
    ((variable, recommended),) = FAST_DDS_SETTINGS.items()
    setting = f'{variable}={environment.get(variable) or recommended}'
    if not rmw.startswith('rmw_fastrtps'):
        return 'other_middleware', {'rmw': rmw}
    discovery = environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE')
    if discovery and discovery not in _RANGES:  # ROS takes what it does not know for LOCALHOST
        variable = f'ROS_AUTOMATIC_DISCOVERY_RANGE={discovery}'
        return 'localhost', {'variable': variable, 'setting': setting}
    if environment.get('ROS_LOCALHOST_ONLY') == '1':
        return 'localhost', {'variable': 'ROS_LOCALHOST_ONLY=1', 'setting': setting}
    if 'LARGE_DATA' in environment.get(variable, ''):
        return 'publisher_setting', {'setting': setting}
    sockets = sockets_size(environment.get(variable, ''))
    if not sockets:
        return 'setting_missing', {'setting': f'{variable}={recommended}'}
    if not elsewhere and image_bytes > 2 * sockets:
        return 'image_too_large', {
            'size': image_bytes / 1e6,
            'setting': setting,
            'capacity': 2 * sockets / 1e6,
            'fitting': math.ceil(image_bytes / 2e6) + 1,
        }
    if elsewhere:
        found = int(rmem_max.read_text()) if rmem_max.exists() else sockets
        if found < sockets:
            return 'rmem_max', {'found': found, 'needed': sockets}
        return 'network', {}
    return 'publisher_setting', {'setting': setting}


def sockets_size(setting: str) -> int:
    """Read the size of sockets out of FASTDDS_BUILTIN_TRANSPORTS [bytes]; 0 where there is none."""
    found = re.search(r'sockets_size=(\d+)\s*([KMG]?I?B)?', setting, re.IGNORECASE)
    return int(found[1]) * _UNITS[(found[2] or '').upper()] if found else 0
