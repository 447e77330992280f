// A behaviour tree that speaks to a sad person: comforter TREE.xml
#include <chrono>
#include <iostream>
#include <memory>
#include <string>

#include "behaviortree_cpp/action_node.h"
#include "behaviortree_cpp/bt_factory.h"
#include "main_person_feels.hpp"
#include "rclcpp/rclcpp.hpp"

using emotion_perception::msg::MainPerson;

// In place of the robot's voice.
class Say : public BT::SyncActionNode
{
public:
  using BT::SyncActionNode::SyncActionNode;

  static BT::PortsList providedPorts() {return {BT::InputPort<std::string>("sentence")};}

  BT::NodeStatus tick() override
  {
    std::cout << getInput<std::string>("sentence").value() << std::endl;
    return BT::NodeStatus::SUCCESS;
  }
};

int main(int argc, char ** argv)
{
  const auto arguments = rclcpp::init_and_remove_ros_arguments(argc, argv);
  if (arguments.size() != 2) {
    std::cerr << "usage: comforter TREE.xml" << std::endl;
    return 2;
  }
  auto node = std::make_shared<rclcpp::Node>("comforter");
  auto person = std::make_shared<NewestMainPerson>();
  // Latched by behaviour_node: the state is known at once, however seldom the tree ticks.
  auto subscription = node->create_subscription<MainPerson>(
    "behaviour_node/main_person", rclcpp::QoS(1).transient_local(),
    [person](MainPerson::ConstSharedPtr message) {person->set(*message);});

  BT::BehaviorTreeFactory factory;
  factory.registerNodeType<MainPersonFeels>("MainPersonFeels", person);
  factory.registerNodeType<Say>("Say");
  auto tree = factory.createTreeFromFile(arguments[1]);
  auto timer = node->create_wall_timer(
    std::chrono::milliseconds(100), [&tree]() {tree.tickExactlyOnce();});
  rclcpp::spin(node);
  rclcpp::shutdown();
  return 0;
}
