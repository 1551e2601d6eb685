# All targets run on a machine with only Python, pip and make. The first one creates .venv.
#   make demo     train on real images and write a report (two to four minutes)
#   make test     the quick tests;  make test-all  every test;  make lint  style and types
#   make bench    measure speed against plain loops and other rivals (half an hour)
#   make classes  conditional images of clothes (ten minutes)
#   make avatars AVATARS=faces.zip  conditional images of faces
#   make objectives  train every objective on the ring and write docs/objectives.md (an hour)
#   make docs     write the generated docs;  make clean  delete everything that make can create again

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Two test processes of one thread each: small tensors gain nothing from more threads. The compile cache is kept here.
TEST_ENV := OMP_NUM_THREADS=1 MPLBACKEND=Agg TORCHINDUCTOR_CACHE_DIR=$(CURDIR)/.pytest_cache/compiled
TEST_PROCESSES ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint format bench classes avatars objectives docs clean

help:
	@sed -n 's/^#   //p' Makefile

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: '$(PYTHON)' was not found. Install Python 3.11, 3.12 or 3.13, or set its path: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "error: Python 3.11, 3.12 or 3.13 is needed, but '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Set another one: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: '$(PYTHON)' cannot create virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python || { echo "Creating .venv with $$($(PYTHON) -V)"; $(PYTHON) -m venv .venv; }
	@echo "Installing the packages of constraints.txt (minutes on the first run)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling editables
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e ".[dev]"
	@touch $@

setup: $(READY)

demo: $(READY)
	$(BIN)/wgan train fashion-mnist --recipe demo

test: $(READY)
	$(TEST_ENV) $(BIN)/python -m pytest -m "not slow" -n $(TEST_PROCESSES)

test-all: $(READY)
	$(TEST_ENV) $(BIN)/python -m pytest -n $(TEST_PROCESSES)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/build.py --check

format: $(READY)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m bench

classes: $(READY)
	$(BIN)/wgan train fashion-mnist --recipe fashion-classes

avatars: $(READY)
	@test -n "$(AVATARS)" || { echo "error: AVATARS is not set. Set it to an archive of images with a tags.csv: make avatars AVATARS=faces.zip"; exit 1; }
	$(BIN)/wgan train $(AVATARS) --recipe avatars

objectives: $(READY)
	$(BIN)/python docs/objectives.py

docs: $(READY)
	$(BIN)/python docs/build.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find src tests bench docs -name __pycache__ -type d -prune -exec rm -rf {} +
