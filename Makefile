# make demo   a virtual station with a page            make test   all tests
# make lint   style, types, import rules               make bench  the numbers, measured on this machine
# make conformance   the cases of OCPP alone, and docs/conformance.md
# Each makes .venv by itself. Needed: python3 (3.11 or newer), python3-venv, and a package index once.

# Most tests of whole stations wait for contactors and clocks, so three at a time suit two cores.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench conformance clean

demo: .venv/.installed
	@$(BIN)/chargepost demo

test: .venv/.ready
	@$(BIN)/python -m pytest -n 3 --dist loadfile

lint: .venv/.ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted; run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

conformance: .venv/.ready
	@$(BIN)/python -m tests.conformance
	@$(BIN)/python -m pytest -n 3 --dist loadfile tests/conformance

bench: .venv/.ready
	@$(BIN)/python -m tests.bench

# The demo needs less than the tests and must not wait for their packages.
.venv/.installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing; run: sudo apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "python3-venv is missing; run: sudo apt install python3-venv"; exit 1; }
	@test -x $(BIN)/python || { echo "making .venv (once, about half a minute)"; $(PYTHON) -m venv .venv; }
	@$(call install,.)
	@touch $@

.venv/.ready: .venv/.installed
	@$(call install,.[test])
	@touch $@

install = $(BIN)/python -m pip install -qq --disable-pip-version-check -e '$(1)' || { echo "packages could not be installed: is there a way to a package index?"; exit 1; }

clean:
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
