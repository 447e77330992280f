#include "emotion_perception/msg/emotion_array.hpp"
#include "rclcpp/rclcpp.hpp"
using emotion_perception::msg::EmotionArray, emotion_perception::msg::FaceEmotion;
int main(int argc, char ** argv) {
  rclcpp::init(argc, argv);
  auto node = std::make_shared<rclcpp::Node>("print_emotions");
  auto on_emotions = [&](EmotionArray::ConstSharedPtr message) {
    for (const auto & face : message->faces)
      if (face.label_id != FaceEmotion::NEUTRAL)
        RCLCPP_INFO(node->get_logger(), "face %u: %s", face.track_id, face.label.c_str()); };
  auto subscription = node->create_subscription<EmotionArray>("/emotion_node/emotions", 10, on_emotions);
  rclcpp::spin(node);
}
