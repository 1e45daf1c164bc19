# Targets carry a `##` comment; `make help` prints them.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
T ?= tests
# Processes for what needs no stack.
BESIDE ?= 2
# Folders of tests that another target of the same run takes care of.
ELSEWHERE ?=
# `no` leaves coverage out, which takes a third of the time of what needs no stack.
COVERAGE ?= yes
PACKAGES := flows tasks blocks config deployments

# The environment that no child of ours should have to think about.
export DO_NOT_TRACK := 1
export OPENBLAS_NUM_THREADS := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

INSTALLED := $(VENV)/.installed
MEASURED := $(if $(filter yes,$(COVERAGE)),$(BIN)/coverage run,$(BIN)/python)
MEASURED_ON_THE_STACK := $(if $(filter yes,$(COVERAGE)),$(BIN)/coverage run --rcfile tests/on_the_stack.coveragerc,$(BIN)/python)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}: call make PYTHON=/path/to/python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip check
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

.PHONY: install demo down test lint format bench soak contract browser docs lock clean help

install: $(INSTALLED) ## Install the locked packages and the project into .venv

demo: $(INSTALLED) ## Start the whole stack and run the main job on the X sandbox
	@$(BIN)/python -m deployments.local.demo

down: $(INSTALLED) ## Stop the stack that `make demo` or `vivesphere up` left running
	@$(BIN)/vivesphere down

test: $(INSTALLED) ## Run every test with coverage; one file or folder: make test T=tests/unit
	@$(BIN)/coverage erase
ifeq ($(T),tests)
	@failed=0; \
	$(MEASURED) -m pytest tests --stack without $(ELSEWHERE:%=--ignore=%) --numprocesses $(BESIDE) --dist loadfile || failed=1; \
	$(MEASURED_ON_THE_STACK) -m pytest tests --stack only $(ELSEWHERE:%=--ignore=%) || failed=1; \
	exit $$failed
else
	@$(MEASURED) -m pytest $(T)
endif
ifeq ($(COVERAGE),yes)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report $(if $(filter tests,$(T)),--fail-under=85,) --sort=cover | tail -n 40
endif

lint: $(INSTALLED) ## Check style, types, import contracts, secrets and generated docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml $(PACKAGES)
	@git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline
	@$(BIN)/yamllint --strict .
	@$(BIN)/python -m deployments.local.reference --check

format: $(INSTALLED) ## Rewrite the code in the house format
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: $(INSTALLED) ## Measure against the limits; one figure: make bench ONLY=name
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY),)

soak: $(INSTALLED) ## Run the long fault tests that `make test` leaves out; repeat one by make soak SEED=number
	@$(BIN)/python -m pytest $(T) --soak -m soak $(if $(SEED),--seed $(SEED)) $(if $(POSTS),--posts $(POSTS))

contract: $(INSTALLED) ## Run the tests with real clients of X and of our API
	@$(BIN)/python -m pytest tests/contract --clients --numprocesses $(BESIDE) --dist loadfile

browser: $(INSTALLED) ## Run the tests that click through real pages in Chromium
	@$(BIN)/python -m pytest tests/browser --browser

docs: $(INSTALLED) ## Rewrite the generated reference pages
	@$(BIN)/python -m deployments.local.reference

lock: ## For maintainers, needs uv: resolve pyproject.toml into requirements.lock
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock

clean: ## Remove what was built; the state under .vivesphere stays
	@rm -rf $(VENV) build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12
