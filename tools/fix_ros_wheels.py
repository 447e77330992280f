"""Make the message packages of the pip wheels of ROS 2 usable by CMake in this environment.

Their exported CMake targets name the header folders of the machine that built the wheels,
and CMake stops where these are missing. Run with the environment's interpreter; safe to repeat.
"""
import re
import sys
import sysconfig
from pathlib import Path

import numpy

headers = f'{sysconfig.get_path("include")};{numpy.get_include()}'
for path in Path(sys.prefix).glob('share/*/cmake/export_*__rosidl_generator_pyExport.cmake'):
    text = path.read_text()
    path.write_text(re.sub(r'(?<=INTERFACE_INCLUDE_DIRECTORIES ").*?(?=")', headers, text))
