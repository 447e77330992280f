# Everything from nothing with the ROS 2 of pip, into .venv and install. An installed ROS 2 needs
# none of this: see README.md.
PYTHON ?= $(or $(wildcard .venv/bin/python),python3)
VIDEO ?=
CAMERA ?=
TESTS ?=

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
PREFIX := $(CURDIR)/install/emotion_perception

# Stamps: what stands already is not made again. Another Python is another environment.
ENVIRONMENT := .venv/.python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
RUN_ENVIRONMENT := .venv/.run
TEST_ENVIRONMENT := .venv/.test
LINT_ENVIRONMENT := .venv/.lint
DOCS_ENVIRONMENT := .venv/.docs
BENCH_ENVIRONMENT := .venv/.bench
BUILD := install/.built
SOURCES := CMakeLists.txt package.xml $(shell find config emotion_perception examples launch models msg \
                                                -type f -not -name '*.pyc')

# Nothing comes in from another ROS 2 or virtual environment that the shell has sourced.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH PYTHONHOME \
         PYTHONPATH VIRTUAL_ENV

# A file name reaches the recipe as it is, whatever quotes and dollar signs it has: by the
# environment, and never expanded.
export DEMO_VIDEO := $(value VIDEO)
unexport VIDEO

.PHONY: help demo docs lint test test-core test-latest test-oldest build bench clean

help:
	@echo 'make demo             emotions in the default video, over ROS 2 topics, into demo/'
	@echo 'make demo VIDEO=PATH  ... in a video file'
	@echo 'make demo CAMERA=0    ... before a webcam'
	@echo 'make test             the tests, with real nodes'
	@echo 'make test TESTS=FILE  ... of one file, such as test/test_labels.py'
	@echo 'make test-core        those that need neither TensorFlow nor ROS, in half a minute'
	@echo 'make test-latest      the tests with the newest libraries, in an environment of their own'
	@echo 'make test-oldest      ... with the oldest that requirements/ allows'
	@echo 'make lint             style, by ruff, and types, by mypy'
	@echo 'make docs             the documentation as a site, build/site/index.html'
	@echo 'make bench            speed, latency and memory; fetches 11 GB of other systems, once'
	@echo 'make build            the environment (.venv) and the build (install) alone'
	@echo 'make clean            removes all of that'
	@echo 'make ... PYTHON=python3.12 takes that Python. ROS 2 from pip exists for 3.10 to 3.13, on'
	@echo 'Linux and x86-64.'
	@$(PYTHON) tools/check_machine.py

lint: $(LINT_ENVIRONMENT)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# A warning is an error: a link, an anchor or a picture that is not there, a page that no list has.
docs: $(DOCS_ENVIRONMENT)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet \
	    -D release=$(shell sed -n 's:.*<version>\(.*\)</version>.*:\1:p' package.xml) \
	    docs build/site
	@echo 'The site is in build/site/index.html'

demo: build
	$(BIN)/python -m emotion_perception.demo \
	    $(if $(value VIDEO),--video="$$DEMO_VIDEO") $(if $(CAMERA),--camera $(CAMERA))

# Two files at a time; a file's tests share what they start.
PYTEST := $(BIN)/pytest -n 2 --dist loadfile

test: build $(TEST_ENVIRONMENT)
	$(if $(TESTS),$(BIN)/pytest $(TESTS),$(PYTEST))

test-core: build $(TEST_ENVIRONMENT)
	$(PYTEST) --core

# What is committed, with libraries of its own: a new environment gets the newest, and where a file
# of constraints says so, the lower bounds of requirements/.
LATEST := build/latest
OLDEST := build/oldest
SUB_MAKE = EMOTION_PERCEPTION_DATA=$(or $(EMOTION_PERCEPTION_DATA),$(abspath ../shared/data)) \
           $(MAKE) PYTHON=$(realpath $(shell command -v $(PYTHON))) TESTS='$(TESTS)'

test-latest:
	rm -rf $(LATEST)
	git clone -q . $(LATEST)
	$(SUB_MAKE) -C $(LATEST) build $(TEST_ENVIRONMENT)
	-$(LATEST)/.venv/bin/python tools/versions.py
	$(SUB_MAKE) -C $(LATEST) test
	$(if $(TESTS),,$(LATEST)/.venv/bin/python tools/versions.py --write)

test-oldest:
	rm -rf $(OLDEST)
	git clone -q . $(OLDEST)
	cat requirements.txt requirements/*.txt | sed -n 's/^\([A-Za-z0-9_-]*\)>=\([0-9.]*\).*/\1==\2.*/p' \
	    > $(OLDEST)/oldest.txt
	PIP_CONSTRAINT=$(abspath $(OLDEST))/oldest.txt $(SUB_MAKE) -C $(OLDEST) test

bench: build $(BENCH_ENVIRONMENT)
	$(BIN)/python benchmarks/run.py

build: $(BUILD)

clean:
	rm -rf .venv build install log demo

$(ENVIRONMENT):
	@$(PYTHON) tools/check_machine.py
	rm -rf build install
	$(PYTHON) -m venv --clear .venv
	@touch $@

# Not quiet: it takes minutes the first time.
$(RUN_ENVIRONMENT): $(ENVIRONMENT) requirements.txt requirements/core.txt requirements/ros.txt \
                    requirements/bags.txt tools/fix_ros_wheels.py
	@echo 'Installing ROS 2 and what else is needed into .venv, some 900 MB; this happens once.'
	$(BIN)/pip install -r requirements.txt -r requirements/core.txt -r requirements/ros.txt \
	    -r requirements/bags.txt
	$(BIN)/python tools/fix_ros_wheels.py
	@touch $@

# mypy reads the types of numpy and of others from where they are installed.
$(LINT_ENVIRONMENT): $(RUN_ENVIRONMENT) requirements/lint.txt
	$(BIN)/pip install -r requirements/lint.txt
	@touch $@

$(DOCS_ENVIRONMENT): $(ENVIRONMENT) requirements/docs.txt
	$(BIN)/pip install -r requirements/docs.txt
	@touch $@

$(TEST_ENVIRONMENT): $(RUN_ENVIRONMENT) requirements/test.txt requirements/lint.txt \
                     requirements/train.txt requirements/parquet.txt requirements/cluster.txt
	@echo 'Installing TensorFlow and what else the tests need into .venv, some 2 GB; once.'
	$(BIN)/pip install -r requirements/test.txt -r requirements/train.txt \
	    -r requirements/parquet.txt -r requirements/cluster.txt
	@touch $@

$(BENCH_ENVIRONMENT): $(RUN_ENVIRONMENT) requirements/bench.txt
	$(BIN)/pip install -r requirements/bench.txt
	@touch $@

# Afterwards .venv/bin/python finds what was built without anything being sourced: the libraries in
# .venv/lib, the Python package by a .pth file. Its second line imports the (empty) package itself,
# so that in this folder too it is the built one, with the messages, and not the sources.
$(BUILD): $(RUN_ENVIRONMENT) $(SOURCES)
	rm -f .venv/lib/python*/site-packages/emotion_perception.pth
	. .venv/local_setup.sh && colcon build --cmake-args -DPython3_EXECUTABLE=$(BIN)/python
	ln -sf $(PREFIX)/lib/*.so .venv/lib
	cd .venv/lib/python*/site-packages && printf '%s\nimport emotion_perception\n' \
	    $(PREFIX)/lib/python*/site-packages > emotion_perception.pth
	@touch $@
