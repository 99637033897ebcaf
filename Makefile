# `make` alone lists the targets.

PYTHON ?= python3
# Optional: address of a package index that holds CPU builds of torch (see README).
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
STAMP := $(VENV)/.setup-done
TORCH := $(shell head -n 1 constraints.txt)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo reproduce test faults check kernels base reference sample clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## Build .venv from nothing; costs nothing the second time

# A half-built or moved .venv has no working pip and is built again.
$(STAMP): pyproject.toml constraints.txt
	@if ! $(RUN) pip --version > /dev/null 2>&1; then \
		$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
			echo "animelm needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12" >&2; exit 1; }; \
		$(PYTHON) -m venv --clear $(VENV); \
	fi
	$(RUN) pip install -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(RUN) pip install -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup ## Train on a slice of the sample and print the comparison (under 10 minutes, 2 cores)
	$(RUN) animelm demo

reproduce: setup ## The same on the whole sample, without a limit of time
	$(RUN) animelm reproduce

# One thread a worker: two workers with all the cores each would only get in each other's way.
test: setup ## Run the tests
	OMP_NUM_THREADS=1 $(RUN) pytest -n 2

# One kill costs two runs of a tiny model; KILLS=4 is a first look.
KILLS ?= 100

faults: setup ## Inject faults: kills, full disks, flipped bits, two at once, hostile files (an hour)
	OMP_NUM_THREADS=1 $(RUN) benchmarks.faults --kills $(KILLS)

check: setup ## Style, types and import arrows
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy animelm
	$(BIN)/lint-imports

kernels: setup ## Compile the GPU's kernels for every architecture; needs no GPU
	$(RUN) pip install -c constraints.txt -e '.[triton]'
	$(BIN)/python benchmarks/kernel_resources.py

base: setup ## Make checkpoints/nano-gpt-oss-ja again (half an hour)
	$(RUN) animelm base

reference: setup ## Write docs/config-keys.md and its Japanese twin again from the code
	$(RUN) animelm.cli.reference

sample: setup ## Write the sample articles and questions again from the tables
	$(RUN) animelm sample

clean: ## Remove .venv and the tools' caches; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find animelm tests -name __pycache__ -type d -prune -exec rm -rf {} +
