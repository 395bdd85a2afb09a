# Nexus: every command that people and CI use. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONUNBUFFERED := 1
unexport PYTHONDONTWRITEBYTECODE # kept bytecode spares each of the platform's processes the compiling of its modules

.DEFAULT_GOAL := help
.PHONY: help demo up test lint types imports tests test-rabbitmq bench chaos reference lock clean

help: ## list these targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime ## set up, start the real platform, run the main job through every domain, show the results
	@$(BIN)/nexus demo

up: $(VENV)/.runtime ## run the platform in the foreground until Ctrl-C
	@$(BIN)/nexus up

test: lint tests ## lint, types, import rules and all tests

lint: $(VENV)/.development ## ruff, mypy --strict, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=clients/python $(BIN)/mypy clients
	$(BIN)/lint-imports

tests: $(VENV)/.development ## all tests, with real services
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-rabbitmq: $(VENV)/.development ## the suites of acceptance and faults with RabbitMQ as the broker
	NEXUS_TEST_BROKER=rabbitmq NEXUS_TEST_RABBITMQ=required $(BIN)/python -m pytest -n 2 --dist loadgroup tests/acceptance tests/faults

bench: $(VENV)/.bench ## benchmarks beside peers in the same run, about a quarter of an hour; tables here, JSON under var/
	$(BIN)/python -m bench

chaos: $(VENV)/.development ## kill, flush and restart under load, then count what was lost (ARGS=--help lists options)
	$(BIN)/python -m bench.chaos $(ARGS)

reference: $(VENV)/.runtime ## write docs/reference/ and the Python client again from the code
	$(BIN)/python docs/reference/generate.py
	$(BIN)/python clients/generate.py

lock: $(VENV)/.development ## pin again what pyproject.toml allows, with hashes and without addresses
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --extra bench -c requirements-dev.lock pyproject.toml -o requirements-bench.lock

clean: ## remove the virtual environment, caches and the embedded services' data
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Nexus needs Python 3.11 or newer; set PYTHON=…" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.development: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.bench: requirements-bench.lock $(VENV)/.development
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@
