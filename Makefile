# Every target sets up .venv first, by itself. PYTHON=/path/to/python3.13 make ... chooses the Python.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint core bench clean

PYTEST := OMP_NUM_THREADS=1 .venv/bin/pytest -n 2

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup:
	@.ci/setup

demo: setup  ## the main job: solve, compare and certify; a report and an animation under results/
	.venv/bin/wflow demo

test: setup  ## the quick tests
	$(PYTEST)

test-slow: setup  ## the long studies
	$(PYTEST) -m slow --timeout 600

lint: setup  ## style, format, types and the import contract
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

core:  ## wflow with its core dependencies alone: the import and one demo
	@.ci/setup --core .venv-core
	.venv-core/bin/python -c 'import wflow, solvers'
	MPLBACKEND=Agg .venv-core/bin/python demos/null_mode.py

bench: setup  ## wflow against other programs
	@.venv/bin/uv pip install -q --python .venv/bin/python -c constraints.txt -e '.[bench]'
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; .venv/bin/python "$$script"; done

clean:  ## remove the environments, the caches and results/
	rm -rf .venv .venv-core build results *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
