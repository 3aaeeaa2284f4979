# The front door. Every target does its own set-up.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
READY := .venv/ready
PYTEST := $(BIN)/pytest
UV := .venv/tools/bin/uv
PIP_AUDIT := pip-audit==2.10.1
# Six workers fit on two cores: the tests with real servers, which take nearly all of the time, wait for these most of it.
# They steal from each other, as such tests stand side by side.
WORKERS ?= 6
# How many runs of `make chaos`, each with a seed of its own.
SEEDS ?= 1
FUZZ_S ?= 600
# Where a container sets it, each process compiles all that it imports: most of what its start takes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test slow check format live fuzz chaos bench audit sbom clean

help: ## Show this.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): uv.lock pyproject.toml .ci/setup
	@.ci/setup
	@touch $@

setup: $(READY) ## Make .venv from uv.lock; instant when nothing has changed.

demo: $(READY) ## Start a hub, send 69,659 real purchases, check every customer's total.
	@$(BIN)/hub demo

test: $(READY) ## Run the tests, a real Kafka included; less than ten minutes.
	$(PYTEST) -q -n $(WORKERS) --dist worksteal --durations 20

slow: $(READY) ## Run the tests of promises that take longer; CI does, too.
	$(PYTEST) -q -n $(WORKERS) --dist worksteal --durations 20 -m "slow and not long"

check: $(READY) ## Lint, format, types, architecture.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code, mend what ruff can mend.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

live: $(READY) ## Run all tests with real servers, the long ones too.
	$(PYTEST) -q -n $(WORKERS) --dist worksteal -m "not chaos and not bench" tests/live tests/contracts

fuzz: $(READY) ## Fire at every door for FUZZ_S seconds (600), then look for what was acknowledged. Linux, x86-64.
	@.venv/tools/bin/uv sync --frozen --inexact --quiet --group fuzz --python $(BIN)/python
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_S)

chaos: $(READY) ## Load a hub while everything is killed, stopped, cut off (5 minutes a seed); then kills in the demo, and at each broker (an hour).
	$(BIN)/hub chaos --seeds $(SEEDS)
	$(PYTEST) -q -m chaos

bench: $(READY) ## Measure; ratios to the bare clients in the same run.
	$(PYTEST) -q -s -m bench

audit: $(READY) ## Look for known faults in what uv.lock names. Asks PyPI's list of advisories.
	@mkdir -p dist
	@$(UV) export --frozen --quiet --all-extras --all-groups --no-emit-project --output-file dist/requirements.txt
	$(UV) tool run --quiet $(PIP_AUDIT) --disable-pip --require-hashes --strict --progress-spinner off -r dist/requirements.txt

sbom: $(READY) ## Write what an installed hub consists of to dist/sbom.cdx.json (CycloneDX).
	@mkdir -p dist
	@$(UV) export --frozen --quiet --no-dev --all-extras --format cyclonedx1.5 --preview-features sbom-export --output-file dist/sbom.cdx.json
	@echo dist/sbom.cdx.json

clean: ## Remove what set-up and tests have made here. Data of a hub stays.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
