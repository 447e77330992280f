"""Install the ROS-free part: `pip install .`. With ROS 2, CMakeLists.txt is used instead."""
from xml.etree import ElementTree

from setuptools import find_packages, setup

setup(
    version=ElementTree.parse('package.xml').findtext('version'),
    packages=[*find_packages(include=['emotion_perception', 'emotion_perception.*']),
              'emotion_perception.models'],
    # The models lie beside the code in the repository, and inside the package when installed.
    package_dir={'emotion_perception.models': 'models'},
    package_data={'emotion_perception.models': ['*']},
)
