"""Install the ROS-free part: `pip install .`. With ROS 2, CMakeLists.txt is used instead."""

from xml.etree import ElementTree

from setuptools import find_packages, setup

package = ElementTree.parse('package.xml')

setup(
    version=package.findtext('version'),
    description=' '.join(package.findtext('description').split()),
    packages=[
        *find_packages(include=['emotion_perception', 'emotion_perception.*']),
        'emotion_perception.models',
        'emotion_perception.definitions',
    ],
    # Models and messages lie beside the code in the repository, inside the package when installed.
    package_dir={'emotion_perception.models': 'models', 'emotion_perception.definitions': 'msg'},
    package_data={
        'emotion_perception': ['py.typed'],
        'emotion_perception.offline': ['templates/*'],
        'emotion_perception.models': ['*'],
        'emotion_perception.definitions': ['*'],
    },
)
