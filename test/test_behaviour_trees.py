"""The example for BehaviorTree.CPP, with the library itself where it is installed."""

import os
from pathlib import Path
import shutil
import subprocess
import sys
import sysconfig

import pytest

import emotion_perception

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('emotion_perception.msg', reason='needs the built messages')

from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402

from emotion_perception.msg import MainPerson  # noqa: E402
from processes import running, wait_for  # noqa: E402

# The condition and the tree with a person who is given, in place of a subscription.
CMAKE = """
cmake_minimum_required(VERSION 3.20)
project(tree_test CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(behaviortree_cpp QUIET)
if(NOT behaviortree_cpp_FOUND)
  message("NOT INSTALLED: BehaviorTree.CPP")
  return()
endif()
find_package(emotion_perception REQUIRED)
add_executable(tree_test tree_test.cpp)
target_include_directories(tree_test PRIVATE {example})
set(library behaviortree_cpp::behaviortree_cpp)
if(TARGET BT::behaviortree_cpp)  # as it is called where it was built without ament
  set(library BT::behaviortree_cpp)
endif()
target_link_libraries(tree_test ${{library}} ${{emotion_perception_TARGETS}})
find_package(rclcpp QUIET)
if(NOT rclcpp_FOUND)
  message("NOT INSTALLED: rclcpp")
  return()
endif()
add_subdirectory({example} example)
"""

SOURCE = """
#include <iostream>
#include "behaviortree_cpp/bt_factory.h"
#include "main_person_feels.hpp"

int main(int, char ** argv)
{
  auto person = std::make_shared<NewestMainPerson>();
  BT::BehaviorTreeFactory factory;
  factory.registerNodeType<MainPersonFeels>("MainPersonFeels", person);
  factory.registerSimpleAction(
    "Say", [](BT::TreeNode & node) {
      std::cout << node.getInput<std::string>("sentence").value() << std::endl;
      return BT::NodeStatus::SUCCESS;
    }, {BT::InputPort<std::string>("sentence")});
  auto tree = factory.createTreeFromFile(argv[1]);
  emotion_perception::msg::MainPerson message;
  message.track_id = 1;
  auto tick = [&](const char * label, float intensity, float duration) {
      message.label = label;
      message.intensity = intensity;
      message.duration = duration;
      person->set(message);
      for (int i = 0; i < 3; ++i) {std::cout << BT::toStr(tree.tickExactlyOnce()) << ' ';}
      std::cout << label << ' ' << duration << std::endl;
    };
  std::cout << BT::toStr(tree.tickExactlyOnce()) << " nobody" << std::endl;
  tick("happiness", 0.9f, 5.0f);
  tick("sadness", 0.7f, 1.0f);
  tick("sadness", 0.7f, 2.5f);
  tick("neutral", 0.0f, 0.5f);
  tick("sadness", 0.7f, 3.0f);
  auto strong = factory.createTreeFromText(
    "<root BTCPP_format='4'><BehaviorTree ID='Strong'>"
    "<MainPersonFeels label='sadness' min_intensity='0.8'/></BehaviorTree></root>");
  std::cout << BT::toStr(strong.tickExactlyOnce()) << " strong" << std::endl;
}
"""

EXPECTED = """FAILURE nobody
FAILURE FAILURE FAILURE happiness 5
FAILURE FAILURE FAILURE sadness 1
What is the matter?
RUNNING RUNNING RUNNING sadness 2.5
FAILURE FAILURE FAILURE neutral 0.5
What is the matter?
RUNNING RUNNING RUNNING sadness 3
FAILURE strong
"""


def test_the_condition_and_the_tree_of_the_example(ros, root, tmp_path):
    if shutil.which('cmake') is None:
        pytest.skip('needs cmake')
    prefix = next(
        (
            parent
            for parent in Path(emotion_perception.__file__).parents
            if (parent / 'share' / 'emotion_perception' / 'package.xml').is_file()
        ),
        None,
    )
    if prefix is None:
        pytest.skip('emotion_perception is not built by colcon')
    (tmp_path / 'CMakeLists.txt').write_text(
        CMAKE.format(example=root / 'examples' / 'behaviortree_cpp')
    )
    (tmp_path / 'tree_test.cpp').write_text(SOURCE)
    prefixes = os.pathsep.join(
        [
            str(prefix),
            sys.prefix,
            os.environ.get('AMENT_PREFIX_PATH', ''),
            os.environ.get('CMAKE_PREFIX_PATH', ''),
        ]
    )
    environment = os.environ | {
        'AMENT_PREFIX_PATH': prefixes,
        'CMAKE_PREFIX_PATH': prefixes,
        'PATH': os.pathsep.join([sysconfig.get_path('scripts'), os.environ['PATH']]),
    }
    told = subprocess.run(
        [
            'cmake',
            '-S',
            tmp_path,
            '-B',
            tmp_path / 'build',
            f'-DPython3_EXECUTABLE={sys.executable}',
        ],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    told = told.stderr
    if 'NOT INSTALLED: BehaviorTree.CPP' in told:
        pytest.skip('needs BehaviorTree.CPP 4: apt install ros-$ROS_DISTRO-behaviortree-cpp')
    subprocess.run(['cmake', '--build', tmp_path / 'build'], env=environment, check=True)
    result = subprocess.run(
        [tmp_path / 'build' / 'tree_test', root / 'examples' / 'behaviortree_cpp' / 'tree.xml'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == EXPECTED
    if 'NOT INSTALLED: rclcpp' in told:
        pytest.skip(
            'comforter.cpp, the example itself, needs rclcpp; its condition and its tree were run'
        )
    comfort(tmp_path, root)


def comfort(folder, root):
    """Run the example itself, on messages over DDS."""
    example = root / 'examples' / 'behaviortree_cpp'
    log = folder / 'comforter.log'
    node = rclpy.create_node('main_person')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = node.create_publisher(MainPerson, '/behaviour_node/main_person', latched)
    publisher.publish(MainPerson(track_id=1, label='sadness', intensity=0.8, duration=2.5))
    with running(
        [folder / 'build' / 'example' / 'comforter', example / 'tree.xml'], log
    ) as process:
        wait_for(
            lambda: 'What is the matter?' in log.read_text(),
            lambda: rclpy.spin_once(node, timeout_sec=0.1),
            process,
            log.read_text,
        )
    node.destroy_node()
