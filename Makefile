# Needs Python >= 3.11 and make. `make demo` and `make test` set up everything else in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
SOURCES := erranalytics scripts tests benchmarks hatch_build.py
DEMO_DB := build/demo.duckdb
PYTEST := $(BIN)/python -m pytest -q -n auto --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint check docs notebook format bench compat compat-smoke build clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamps make a second call cost nothing; a changed pyproject.toml installs again. A venv without its stamp
# (an interrupted first call) is made anew. Byte code is made at once: with PYTHONDONTWRITEBYTECODE no run would keep any,
# and each would compile all it imports.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "erranalytics needs Python >= 3.11; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "setting up $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --editable .
	@$(BIN)/python -m compileall -q erranalytics
	@$(BIN)/python -c 'from erranalytics.store import migrate; migrate.baseline()'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "adding the tools for tests to $(VENV) ..."
	@$(PIP) install --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed ## ingest sample_logs into an embedded store and print the main reports
	@mkdir -p build && rm -f $(DEMO_DB) $(DEMO_DB).wal
	@$(BIN)/erranalytics ingest sample_logs/server sample_logs/client --db $(DEMO_DB)
	@export COLUMNS=$${COLUMNS:-100}; for name in error-frequency streaming-failures oom-trend overview; do \
		echo && echo "== $$name ==" && $(BIN)/erranalytics report $$name --db $(DEMO_DB) 2>/dev/null || exit 1; \
	done
	@echo && echo "the store: $(DEMO_DB); more reports: $(BIN)/erranalytics report --list"

test: $(VENV)/.installed-dev ## run the tests but the slow ones, which it names at its end
	@$(PYTEST) -m 'not slow'

test-all: $(VENV)/.installed-dev ## run all tests
	@$(PYTEST)

lint: $(VENV)/.installed-dev ## everything of `make check` but the tests
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint --disable-progress-bar queries erranalytics
	@$(BIN)/python -m scripts.reference --check
	@$(BIN)/erranalytics rules check

check: lint test-all ## formatting, lint, types, import contracts, SQL, docs, rules, all tests

docs: $(VENV)/.installed-dev ## generate the reference pages in docs/
	@$(BIN)/python -m scripts.reference

notebook: $(VENV)/.installed-dev ## run docs/notebooks anew and store what they show
	@$(BIN)/python tests/process/test_notebook.py --update

format: $(VENV)/.installed-dev ## format the Python files
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix --quiet $(SOURCES) || true

bench: $(VENV)/.installed-dev ## measure the figures of docs/ARCHITECTURE.md
	@$(BIN)/python benchmarks/run.py
	@$(BIN)/python benchmarks/classification.py
	@$(BIN)/python benchmarks/recorder.py
	@$(BIN)/python benchmarks/reports.py

compat: ## run the tests with the lowest supported versions of the dependencies
	@PYTHON=$(PYTHON) tests/compat/run

compat-smoke: ## ingest, report and classify with the lowest supported versions
	@PYTHON=$(PYTHON) tests/compat/run --smoke

build: $(VENV)/.installed-dev ## build the wheel and the source archive into dist/
	@$(BIN)/python -m build

clean: ## remove what the targets above made, .venv included
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
