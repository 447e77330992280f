// A condition for BehaviorTree.CPP 4: does the main person show an emotion?
//
//   <MainPersonFeels label="sadness" min_intensity="0.5" min_duration="2.0"/>
//
// SUCCESS while the main person has shown this emotion for so long [s], and so strongly
// (0 to 1) over the last moments; FAILURE otherwise, also while nobody is in view.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "behaviortree_cpp/condition_node.h"
#include "emotion_perception/msg/main_person.hpp"

// The newest message, shared by the subscription that writes it and the conditions that read it.
class NewestMainPerson
{
public:
  void set(const emotion_perception::msg::MainPerson & message)
  {
    std::lock_guard<std::mutex> lock(mutex_);
    message_ = message;
  }

  emotion_perception::msg::MainPerson get() const
  {
    std::lock_guard<std::mutex> lock(mutex_);
    return message_;
  }

private:
  mutable std::mutex mutex_;
  emotion_perception::msg::MainPerson message_;   // until the first one comes: nobody
};

class MainPersonFeels : public BT::ConditionNode
{
public:
  MainPersonFeels(
    const std::string & name, const BT::NodeConfig & config,
    std::shared_ptr<NewestMainPerson> person)
  : BT::ConditionNode(name, config), person_(std::move(person)) {}

  static BT::PortsList providedPorts()
  {
    return {
      BT::InputPort<std::string>("label", "anger, disgust, fear, happiness, sadness, surprise or "
        "neutral"),
      BT::InputPort<double>("min_intensity", 0.0, "0 to 1"),
      BT::InputPort<double>("min_duration", 0.0, "seconds")};
  }

  BT::NodeStatus tick() override
  {
    const auto person = person_->get();
    const auto label = getInput<std::string>("label");
    const auto min_intensity = getInput<double>("min_intensity");
    const auto min_duration = getInput<double>("min_duration");
    if (!label || !min_intensity || !min_duration) {
      throw BT::RuntimeError(
        "MainPersonFeels needs a label, and numbers for min_intensity and min_duration");
    }
    const bool feels = person.track_id != 0 && person.label == *label &&
      person.intensity >= *min_intensity && person.duration >= *min_duration;
    return feels ? BT::NodeStatus::SUCCESS : BT::NodeStatus::FAILURE;
  }

private:
  std::shared_ptr<NewestMainPerson> person_;
};
