"""Name what this machine lacks for `make`; the last line says what to install. Exits 1 if anything does.

Plain Python 3, so that it also runs (and explains) where the Python is too old or too new.
"""

import importlib.util
import os
import platform
import shutil
import sys
import sysconfig

python = 'python{}.{}'.format(*sys.version_info)
missing = []  # (what is missing, the Debian or Ubuntu package with it)

if not (3, 10) <= sys.version_info < (3, 14):
    sys.exit(
        'This is Python {}: ROS 2 from pip exists for CPython 3.10 to 3.13.\n'
        'Name one of these (make PYTHON=python3.12 ...), or use an installed ROS 2:\n'
        'see docs/install.md.'.format(platform.python_version())
    )
if (platform.system(), platform.machine()) != ('Linux', 'x86_64'):
    sys.exit(
        'This is {} on {}: ROS 2 from pip exists for Linux on x86-64.\n'
        'Use an installed ROS 2: see docs/install.md.'.format(platform.system(), platform.machine())
    )
for module in ('venv', 'ensurepip'):
    if importlib.util.find_spec(module) is None:
        missing.append(('the Python module ' + module, python + '-venv'))
if not os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')):
    missing.append(('the C headers of ' + python + ' (Python.h)', python + '-dev'))
for compiler in ('gcc', 'g++'):
    if shutil.which(compiler) is None:
        missing.append(('the compiler ' + compiler, 'build-essential'))

if missing:
    for what, _ in missing:
        print('missing: ' + what, file=sys.stderr)
    packages = sorted({package for _, package in missing})
    sys.exit('On Debian and Ubuntu: sudo apt install ' + ' '.join(packages))
