"""Say what is installed here, for reports of faults: `python -m emotion_perception.report_versions`."""

from importlib.metadata import PackageNotFoundError, version
import os
import platform
import subprocess
import sys

#: What is printed -> the names that its distribution may have.
LIBRARIES = {
    'numpy': ('numpy',),
    'LiteRT': ('ai-edge-litert',),
    'PyAV': ('av',),
    'rosbags': ('rosbags',),
    'TensorFlow': ('tensorflow', 'tensorflow-cpu'),
}

# In a process of its own: this file needs no ROS, and an installation may be so broken that it
# ends the process. Its last line counts; ROS may say other things before.
_ASK_ROS = (
    'from rclpy.utilities import get_rmw_implementation_identifier as identifier; '
    'print(identifier())'
)

#: Seconds that ROS may take to answer.
_PATIENCE = 60


def versions() -> dict[str, str]:
    """Give the version of everything that a result may depend on, or why there is none."""
    return {
        'emotion_perception': _version('emotion_perception'),
        'Python': f'{platform.python_version()} ({sys.executable})',
        'system': f'{_system()}, {platform.machine()}, {os.cpu_count()} cores',
        'ROS': _ros(),
        'OpenCV': _opencv(),
        **{name: _version(*names) for name, names in LIBRARIES.items()},
        'model': _model(),
    }


def _version(*names: str) -> str:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return 'not installed'


def _system() -> str:
    try:
        return platform.freedesktop_os_release()['PRETTY_NAME']
    except (OSError, KeyError):
        return platform.platform()


def _ros() -> str:
    """Give the distribution, rclpy's version and the RMW implementation in use."""
    rclpy = _version('rclpy')
    if rclpy == 'not installed':
        return f'{rclpy} for this Python'
    # Only an installed ROS that was sourced says so itself.
    name = os.environ.get('ROS_DISTRO', 'ROS_DISTRO is not set')
    try:
        done = subprocess.run(
            [sys.executable, '-c', _ASK_ROS], capture_output=True, text=True, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f'{name}, rclpy {rclpy}, which does not answer'
    said = (done.stdout or done.stderr).strip().splitlines() or ['no word']
    return f'{name}, rclpy {rclpy}, ' + (
        said[-1] if done.returncode == 0 else f'which does not run: {said[-1]}'
    )


def _opencv() -> str:
    # Debian's has no distribution to ask.
    try:
        import cv2
    except ImportError as error:
        return f'does not run: {error}'
    return cv2.__version__


def _model() -> str:
    """Give the shipped model's name and checksum; it is loaded, which checks both its files."""
    try:
        from emotion_perception.recognition import load_model

        model = load_model()
    except (ImportError, OSError, ValueError) as error:
        return f'does not load: {error}'
    return f'{model.description["name"]}, SHA-256 {model.sha256}'


def main() -> None:
    """Print a line for each."""
    for name, value in versions().items():
        print(f'{name + ":":20}{value}')


if __name__ == '__main__':
    main()
