# Every target sets up what it needs from a bare checkout; only a Python 3.11 or newer must be there.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-out
SOURCES := $(wildcard toolchain/*.py models/*.py exporters/*.py exporters/lava_runner/*.py exporters/sanafe_runner/*.py energy/*.py)

.PHONY: demo test lint clean

demo: $(VENV)/installed
	$(BIN)/snn-tool demo --out $(OUT) --overwrite

# Whole files go to workers, which share what a file prepares; with a thread each, workers do not compete for cores.
test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p snn_tool

clean:
	rm -rf $(VENV) build *.egg-info

# torch first, alone: from an index its wheel brings gigabytes of CUDA, and nothing else may pull another version.
$(VENV)/environment: requirements.lock
	@test -n "$(PYTHON)" || { echo "snn-tool needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	touch $@

# A regular install, so that the tests see what users get; stale build folders would ship deleted modules.
$(VENV)/installed: $(VENV)/environment pyproject.toml $(SOURCES) $(wildcard */templates/* models/shipped/*)
	rm -rf build *.egg-info
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
	rm -rf build *.egg-info
	touch $@
