# Start with `make demo` and `make test`. Each target installs what it needs into .venv, and nothing outside it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
READY := $(VENV)/.ready
SHELL := /bin/bash

# DVC does not put its interpreter's folder on the PATH of a stage.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export BENTOML_DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := true

.PHONY: help install demo demo-archive test quick coverage gpu-test check soak serve container-test docs clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

install: $(READY)  ## install the pinned packages into .venv

$(READY): requirements/lock.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Error: no Python found; install Python 3.11 or newer, or run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Error: $(PYTHON) is older than Python 3.11; run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV) (several gigabytes, a few minutes the first time)"
	"$(PYTHON)" -m venv $(VENV)
	python -m pip install --quiet --no-deps --use-pep517 -r requirements/lock.txt
	python -m pip install --quiet --no-deps --no-build-isolation --editable .
	python -m pip check
	@touch $@

demo: $(READY)  ## run the whole pipeline on synthesized recordings and print the results
	@python scripts/demo.py

demo-archive: $(READY)  ## learn from synthesized recordings without labels, and search them
	@python scripts/demo_archive.py

test: $(READY)  ## run the tests
	@python -m pytest -n 2 --dist loadgroup

quick: $(READY)  ## run the fast tests, and those of the files that differ from main (less than a minute)
	@python scripts/quick_tests.py

coverage: $(READY)  ## run the tests and report the share of lines they reach
	@rm -rf build/.coverage* && mkdir -p build
	@python -m coverage run -m pytest -n 2 --dist loadgroup
	@python -m coverage combine --quiet
	@python -m coverage report

gpu-test: $(READY)  ## on a machine with a GPU: run the tests that need it, and measure the speed of training
	@python -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "Error: torch finds no GPU here")'
	@python -m pytest -n 0 -q tests/training/test_graphs.py tests/training/test_flat_weights.py \
		tests/training/test_ranks.py tests/audio/test_spectrogram_torch.py
	@python benchmarks/training.py --spectrograms 4096 --no-compiled

check: $(READY)  ## check format, lint, types, layers, references and workflows
	@scripts/check_code.sh

soak: $(READY)  ## run the long tests (hours)
	@python -m pytest -n 0 -m soak --timeout 7200

serve: $(READY)  ## serve the packaged ensemble on http://127.0.0.1:3000
	@python -m britekit serve

container-test: $(READY)  ## build and run the images (needs Docker)
	@scripts/container_test.sh

docs: $(READY)  ## write the reference pages, and build the guide as a site in build/site
	@python docs/make_references.py
	@NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet
	@echo "Open build/site/index.html. With search: python -m http.server --directory build/site"

clean:  ## remove build products and caches; results stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
