# make test, make demo: everything runs in .venv, which is made, and made again, when it has to be.

PYTHON ?= python3
# For example TORCH_OPTIONS="--index-url https://download.pytorch.org/whl/cpu" for the smaller CPU build.
TORCH_OPTIONS ?=
# pytest-xdist: one process per core, eight at the most.
PYTEST_OPTIONS ?= --numprocesses auto --maxprocesses 8

BIN := .venv/bin
STAMP := .venv/.installed
BENCHMARKS = $(filter-out benchmarks/reporting.py benchmarks/_%.py,$(wildcard benchmarks/*.py))

.DEFAULT_GOAL := help
.PHONY: help .venv demo test format clean benchmarks-quick

help:  ## this list
	@awk -F ':.*##' '/^[.a-z-]+:.*##/ {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv: $(STAMP)  ## the virtual environment with everything in it

$(STAMP): pyproject.toml constraints.txt setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
		     "Name another one: make PYTHON=python3.11 .venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet -c constraints.txt $(TORCH_OPTIONS) torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation -e '.[test]'
	touch $(STAMP)

demo: $(STAMP)  ## the whole chain on a small mock sky
	$(BIN)/via-machinae demo

test: $(STAMP)  ## style, floors and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

format: $(STAMP)  ## put the code into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks-quick: $(STAMP)  ## every benchmark, small: do they run?
	@set -e; for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script --quick; done

clean:  ## remove what can be made again, the environment excepted
	rm -rf build dist ./*.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
