# Every target sets up what it needs: an own .venv, made once and brought up to date when a requirement changes.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST_FLAGS ?= -n logical --maxprocesses 8

.DEFAULT_GOAL := help
.PHONY: help setup demo test faults oracles lint bench docs

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## Install the workspace, editable, into .venv

$(INSTALLED): requirements.txt constraints.txt pyproject.toml $(wildcard plugins/*/pyproject.toml)
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo "installing the workspace into .venv (a few minutes the first time)"
	$(INSTALL) -r requirements.txt
	@touch $@

demo: setup  ## Reconstruct a real multi-coil 3D brain, block by block
	$(BIN)/python examples/brain-3d/demo.py

# One thread a test process: the processes already keep every core busy.
test: setup  ## Run every test but the slow ones on the wheels
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_FLAGS)

faults: setup  ## Kill, cut off and damage runs, and show that each ends bitwise equal to one left alone
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_FLAGS) -m "" tests/faults

oracles: setup  ## Compare every method with independent oracles, and write how near they come
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_FLAGS) -o pythonpath="tests examples/lab-tomography" \
		-m oracle --agreements --agreements-file docs/verification.md tests plugins examples/lab-tomography/tests

lint: setup  ## Style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## Measure side by side with the peers, and volumes from Zarr to Zarr, and write docs/performance.md
	$(INSTALL) -e '.[bench]'
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/volumes/run.py
	$(BIN)/python benchmarks/page.py

docs: setup  ## Write the catalogue of methods, and run every code block of the README and the guides
	$(BIN)/python -m preimage_registry.catalogue docs/catalogue.md
	$(BIN)/python -m pytest tests/docs
