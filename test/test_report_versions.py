"""What `python -m emotion_perception.report_versions` prints, for reports of faults."""

import importlib.util
import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from emotion_perception import report_versions
from emotion_perception.recognition import load_model


def printed(*options, **environment):
    """Run the command; give what it printed, {name: value}."""
    lines = subprocess.run(
        [sys.executable, *options, '-m', 'emotion_perception.report_versions'],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {
        name: value.strip()
        for name, _, value in (line.partition(':') for line in lines.splitlines())
    }


@pytest.mark.slow  # it asks ROS, where that is installed
def test_it_prints_what_is_installed():
    found = printed(ROS_DISTRO='kilted')
    assert list(found) == list(report_versions.versions())
    assert found['numpy'] == np.__version__ and found['OpenCV'] == cv2.__version__
    assert found['Python'] == f'{platform.python_version()} ({sys.executable})'
    model = load_model()
    assert found['model'] == f'{model.description["name"]}, SHA-256 {model.sha256}'
    if importlib.util.find_spec('rclpy'):
        assert found['ROS'].startswith('kilted, rclpy ') and '_cpp' in found['ROS']
    else:
        assert found['ROS'] == 'not installed for this Python'


def test_an_rmw_that_is_not_there_is_told():
    if importlib.util.find_spec('rclpy'):
        found = printed(RMW_IMPLEMENTATION='rmw_of_mine')['ROS']
        assert ', which does not run: ' in found and 'rmw_of_mine' in found


def test_it_needs_nothing_but_python(tmp_path):
    package = Path(report_versions.__file__).parent
    (tmp_path / 'emotion_perception').mkdir()
    for name in ('__init__.py', 'report_versions.py', 'recognition.py'):
        shutil.copy(package / name, tmp_path / 'emotion_perception')
    found = printed('-S', PYTHONPATH=str(tmp_path))  # -S: without anything that is installed
    assert found['TensorFlow'] == found['numpy'] == 'not installed'
    assert found['ROS'] == 'not installed for this Python'
    assert found['OpenCV'] == "does not run: No module named 'cv2'"
    assert found['model'].startswith("does not load: No module named '")
