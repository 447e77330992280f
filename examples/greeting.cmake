find_package(Python3 REQUIRED COMPONENTS Interpreter)
enable_testing()
add_test(NAME greeting COMMAND ${Python3_EXECUTABLE} -m emotion_perception.expect
  ${CMAKE_CURRENT_SOURCE_DIR}/starter --shown happiness 5 7 --absent anger 5 7)
