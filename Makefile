# Finist: `make` alone prints this list.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# A run starts some forty processes, each of which would compile our modules again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3.11
VENV := .venv
SERVE := .venv-serve
QUANTIZE := .venv-quantize
DEEPEVAL := .venv-deepeval
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' images/dev/requirements.in)

# Tests wait for processes and import libraries, one core each: two at a time take about half the time.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadgroup --no-loadscope-reorder

# The sets that share one environment on a laptop; a stamp is written only when all is installed.
SETS := base train evaluate app dev
LOCKS := $(SETS:%=images/%/requirements.txt)
FILES := images/dev/requirements-files.txt
DEEPSPEED := images/train/requirements-deepspeed.txt
TORCH := images/torch.in images/install_torch.sh

.PHONY: help install install-quantize demo demo-full test test-fast lint format bench deepeval lock clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed $(SERVE)/.installed ## both environments, from the locks (no-op when unchanged)

install-quantize: $(QUANTIZE)/.installed ## the environment of llm-compressor, whose pins fit no other set

demo: install ## the whole loop on this machine: train, publish, serve, evaluate, report
	$(BIN)/finist demo

demo-full: install install-quantize ## the demo with its heavier stages: ORPO, distillation, quantization
	$(BIN)/finist demo --recipe smollm2-135m-laptop-full

test: install install-quantize ## linters, types and every test (what CI runs)
	$(MAKE) --no-print-directory --jobs=2 --keep-going lint pytest

# Without the installs as prerequisites: `make test` runs it beside `lint`, when they are done.
.PHONY: pytest
pytest:
	$(PYTEST)

test-fast: install install-quantize ## every test that needs neither vLLM nor minutes
	$(PYTEST) -m "not slow"

lint: $(VENV)/.installed ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## timings; they report, they never fail a test
	shopt -s nullglob; for bench in tests/bench/*.py; do echo "== $$bench"; $(BIN)/python "$$bench"; done

deepeval: $(DEEPEVAL)/.installed ## a second G-Eval to compare ours with, in an environment of its own

lock: $(UV) ## solve images/*/requirements.in again (UPGRADE=--upgrade for newer versions)
	images/lock.sh $(abspath $(UV)) $(abspath $(BIN)/python) $(UPGRADE)

clean: ## stop the stack; forget runs, models and caches
	if [[ -x $(BIN)/finist ]]; then $(BIN)/finist down; fi
	rm -rf .finist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find components pipelines tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## also the environments
	rm -rf $(VENV) $(SERVE) $(QUANTIZE) $(DEEPEVAL) finist.egg-info

# ---------------------------------------------------------------- environments
$(UV):
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.installed: $(LOCKS) $(FILES) $(DEEPSPEED) $(TORCH) pyproject.toml | $(UV)
	rm -f $@
	images/install_torch.sh $(VENV) $(VENV)
	$(UV) pip install --python $(BIN)/python --compile-bytecode --no-deps --require-hashes \
		$(LOCKS:%=-r %) -r $(FILES)
	DS_BUILD_OPS=0 $(UV) pip install --python $(BIN)/python --compile-bytecode --no-deps \
		--no-build-isolation --require-hashes -r $(DEEPSPEED)
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

$(SERVE)/.installed: images/serve/requirements.txt $(TORCH) | $(UV)
	rm -f $@
	if [[ ! -x $(SERVE)/bin/python ]]; then $(UV) venv --quiet --python $(PYTHON) $(SERVE); fi
	images/install_torch.sh $(VENV) $(SERVE)
	$(UV) pip install --python $(SERVE)/bin/python --compile-bytecode --no-deps --require-hashes \
		-r images/serve/requirements.txt
	touch $@

$(QUANTIZE)/.installed: images/quantize/requirements.txt $(TORCH) | $(UV)
	rm -f $@
	if [[ ! -x $(QUANTIZE)/bin/python ]]; then $(UV) venv --quiet --python $(PYTHON) $(QUANTIZE); fi
	images/install_torch.sh $(VENV) $(QUANTIZE)
	$(UV) pip install --python $(QUANTIZE)/bin/python --compile-bytecode --no-deps --require-hashes \
		-r images/quantize/requirements.txt
	touch $@

$(DEEPEVAL)/.installed: images/deepeval/requirements.txt | $(UV)
	rm -f $@
	if [[ ! -x $(DEEPEVAL)/bin/python ]]; then $(UV) venv --quiet --python $(PYTHON) $(DEEPEVAL); fi
	$(UV) pip install --python $(DEEPEVAL)/bin/python --no-deps --require-hashes -r images/deepeval/requirements.txt
	touch $@
