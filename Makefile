# Everything one needs to work on mixtura, with no more than make and Python 3.11 or newer:
# each target sets up what it needs.

PYTHON ?= python3
WORKERS ?= 2
MACHINES ?=
PART ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OLDEST := .venv-oldest
OLDEST_READY := $(OLDEST)/.ready

SANITIZED := build/sanitized
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -Wall -Wextra -Werror
ENGINE := hatch_build.py $(wildcard src/mixtura/sweep/compiled/*.[ch]pp)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-machines test-engines sanitize lint format types wheel test-oldest bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(READY)  ## fit Old Faithful with one to six components
	@echo '$$ mixtura fit examples/faithful.csv --components 1:6'
	@PATH="$(CURDIR)/$(BIN):$$PATH" mixtura fit examples/faithful.csv --components 1:6

test: lint types  ## check style and types, then run all tests
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

test-machines: $(READY)  ## run all tests as other machines would: older processors, no engine, one thread, another hash seed
	$(BIN)/python tests/machines.py $(if $(MACHINES),--only $(MACHINES)) -n $(WORKERS) --dist worksteal $(if $(PART),-m "$(PART)")

test-engines: $(READY)  ## build the engine as other machines would, and run its tests there
	$(BIN)/python tests/engines.py

sanitize: $(READY)  ## run the engine's tests with every access to memory watched (needs g++)
	rm -rf $(SANITIZED)
	CXX="g++ $(SANITIZERS)" $(BIN)/python -m pip install -qq --no-deps --target $(SANITIZED) .
	@nm $(SANITIZED)/mixtura/sweep/compiled/_engine.abi3.so | grep -q __asan_init || { \
		echo "g++ cannot build with sanitizers here" >&2; exit 1; }
	ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$(g++ -print-file-name=libasan.so)" MIXTURA_ENGINE=compiled \
		PYTHONPATH=$(SANITIZED) $(BIN)/pytest tests/sweep tests/compiled -n $(WORKERS) --dist worksteal

lint: $(READY)  ## check style and layout
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(READY)  ## mend style and layout
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(READY)  ## check types
	$(BIN)/mypy

wheel: $(READY)  ## build the wheel and the source archive into dist/
	$(BIN)/python -m build

test-oldest: $(OLDEST_READY)  ## run all tests on the lowest supported versions
	$(OLDEST)/bin/pytest -n $(WORKERS) --dist worksteal

bench: $(READY)  ## time everything beside its peers, and write docs/benchmarks.md
	$(BIN)/python -m bench

clean:  ## remove environments, caches and build outputs
	rm -rf $(VENV) $(OLDEST) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/.hypothesis bench/.build
	rm -f $(addprefix src/mixtura/sweep/compiled/,_engine.abi3.so missing.txt)
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt $(ENGINE)
	$(call set-up,$(VENV),constraints.txt)

$(OLDEST_READY): pyproject.toml constraints-oldest.txt $(ENGINE)
	$(call set-up,$(OLDEST),constraints-oldest.txt)

define set-up
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "mixtura needs Python 3.11 or newer, found '$(PYTHON)' ($$($(PYTHON) --version 2>/dev/null | head -n 1));" \
		"name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
@echo "Setting up $(1), once ..."
@$(PYTHON) -m venv $(1)
@install() { $(1)/bin/python -m pip install -qq --constraint $(2) --editable '.[dev]'; }; \
	install 2> $(1)/complaints || { \
	cat $(1)/complaints >&2; grep -q ziglang $(1)/complaints || exit 1; \
	echo "There is no C++ compiler, and pip cannot get ziglang, which is one: going on without the compiled engine ..." >&2; \
	export MIXTURA_PURE=1; install; }
@touch $@
@$(1)/bin/mixtura --version
endef
