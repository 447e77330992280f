"""Install the ROS-free part: `pip install .`. With ROS 2, CMakeLists.txt is used instead."""
from xml.etree import ElementTree

from setuptools import find_packages, setup

package = ElementTree.parse('package.xml')

setup(
    version=package.findtext('version'),
    description=' '.join(package.findtext('description').split()),
    packages=[*find_packages(include=['emotion_perception', 'emotion_perception.*']),
              'emotion_perception.models'],
    # The models lie beside the code in the repository, and inside the package when installed.
    package_dir={'emotion_perception.models': 'models'},
    package_data={'emotion_perception.models': ['*']},
)
