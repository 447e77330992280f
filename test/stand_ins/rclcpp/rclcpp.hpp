// What the example in C++ uses of rclcpp, to compile it where only the messages are installed.
// One message without any field set is received.
#pragma once
#include <cstdio>
#include <functional>
#include <memory>
#include <string>

namespace rclcpp
{
struct Logger {};

template<typename MessageT>
struct Subscription {};

inline std::function<void()> & received()
{
  static std::function<void()> callback;
  return callback;
}

class Node
{
public:
  explicit Node(const std::string &) {}
  Logger get_logger() const {return {};}

  template<typename MessageT, typename CallbackT>
  std::shared_ptr<Subscription<MessageT>> create_subscription(
    const std::string &, int, CallbackT callback)
  {
    received() = [callback]() {callback(std::make_shared<MessageT>());};
    return std::make_shared<Subscription<MessageT>>();
  }
};

inline void init(int, char **) {}
inline void spin(std::shared_ptr<Node>) {received()();}
}  // namespace rclcpp

#define RCLCPP_INFO(logger, ...) ((void)(logger), std::printf(__VA_ARGS__))
