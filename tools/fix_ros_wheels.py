"""Make this virtual environment, with the pip wheels of ROS 2 in it, one to build on.

Run with the environment's own interpreter; safe to repeat.
"""

from pathlib import Path
import re
import sys

prefix = Path(sys.prefix)
share = prefix / 'share'

# The wheels' message packages export header folders of the machine that built them. They do not
# exist here, and CMake stops on them. Nobody needs them.
for path in share.glob('*/cmake/export_*__rosidl_generator_pyExport.cmake'):
    text = path.read_text()
    path.write_text(re.sub(r'(?<=INTERFACE_INCLUDE_DIRECTORIES )"/opt/python/[^"]*"', '""', text))

# A message package exports the folder of numpy's headers, which CMake refuses when that lies in
# the package's own source folder, as an environment in .venv does. It serves the build alone.
path = share / 'rosidl_generator_py/cmake/rosidl_generator_py_generate_interfaces.cmake'
path.write_text(
    re.sub(
        r' \$\{Python3_NumPy_INCLUDE_DIRS\}',
        ' $<BUILD_INTERFACE:${Python3_NumPy_INCLUDE_DIRS}>',
        path.read_text(),
    )
)

# What an installed ROS 2 has as well. Colcon lets the setup files that it writes source these, so
# that `source install/setup.bash` finds the interpreter and packages of this environment too.
for shell in ('sh', 'bash', 'zsh'):
    prefix.joinpath(f'local_setup.{shell}').write_text(
        f'export PATH="{prefix}/bin:$PATH"\n'
        f'export AMENT_PREFIX_PATH="{prefix}${{AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}}"\n'
        f'export CMAKE_PREFIX_PATH="{prefix}${{CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}}"\n'
    )
