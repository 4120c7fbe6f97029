# Every target sets up what it needs from a bare checkout; only a Python 3.11 or newer must be there.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-out
ARGS ?=
# Everything that the wheel holds: code at any depth, page templates, constants, shipped students.
SOURCES := $(shell find toolchain models exporters energy -type f -not -path '*/__pycache__/*')
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo test quick coverage cross lint docs dist clean

demo: $(VENV)/installed
	$(BIN)/snn-tool demo --out $(OUT) --overwrite $(ARGS)

# Whole files go to workers, which share what a file prepares; with a thread each, workers do not compete for cores.
test: $(VENV)/installed
	$(TEST)

# The tests that answer at once: no training, no simulator, no test that takes seconds.
quick: $(VENV)/installed
	$(TEST) -m "not slow and not lava and not sanafe and not zigzag"

# Lines and branches that the whole suite reaches; what programs of their own run (Lava, torchrun) is not seen.
coverage: $(VENV)/installed
	$(TEST) --cov=snn_tool --cov-branch --cov-report=term:skip-covered --cov-report=html:build/coverage

# The exported C on other machines, each integer compared: make cross ARGS="denoise-25 --machines riscv64". Debian's packages
# gcc clang valgrind gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
# gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user, and for the Cortex-M gcc-arm-none-eabi libnewlib-arm-none-eabi
# qemu-system-arm; a machine whose tools are missing is not run, and the table says which.
cross: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/cross.py $(ARGS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p snn_tool

# The site, build/site/index.html, which opens from disk; a warning, such as a link that leads nowhere, is an error.
docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict

# Source archive, the wheel made from it, and the wheel tried where nothing of this folder is in reach (docs/guides/release.md).
dist: $(VENV)/installed
	rm -rf build dist *.egg-info
	$(BIN)/python -m build --no-isolation --outdir dist .
	rm -rf build *.egg-info
	$(PYTHON) -m venv build/clean
	build/clean/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	build/clean/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock dist/*.whl
	cd build/clean && bin/snn-tool doctor && bin/snn-tool models \
		&& bin/snn-tool restore lib/python*/site-packages/skimage/data/astronaut.png --out restored --overwrite \
		&& bin/snn-tool export denoise-25-lif --target loihi --size 16 --tiles 1 --out bundle --overwrite
	rm -rf build

clean:
	rm -rf $(VENV) build dist *.egg-info

# torch first, alone: from an index its wheel brings gigabytes of CUDA, and nothing else may pull another version. pip says
# what it fetches: it takes minutes.
$(VENV)/environment: requirements.lock
	@test -n "$(PYTHON)" || { echo "snn-tool needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements.lock
	touch $@

# A regular install, so that the tests see what users get; stale build folders would ship deleted modules.
$(VENV)/installed: $(VENV)/environment pyproject.toml $(SOURCES)
	rm -rf build *.egg-info
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
	rm -rf build *.egg-info
	touch $@

# What builds the site stands in a list of its own, which shares no package with requirements.lock and fits it.
$(VENV)/docs: $(VENV)/installed requirements-docs.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-docs.lock
	touch $@
