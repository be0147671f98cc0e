# Everything starts here. Needed on the machine: python3 (3.10 or newer) and make, nothing else.
# The first target that needs packages creates the environment $(VENV); stamp files inside it make
# a second run install nothing. `make help` lists the targets.

PYTHON ?= python3
VENV ?= .venv
# Where a torch build without CUDA comes from, for `make parity` (pip also looks on PyPI).
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# Worker processes of the test run: one per core.
JOBS ?= auto

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CHECKED := flambeau tests examples benchmarks tools

# What the user has lying about (a PYTHONPATH, packages in ~/.local) must not decide the outcome.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PYTHONNOUSERSITE := 1
export MPLBACKEND := Agg

.PHONY: help demo test parity lint format bench golden wheel clean distclean
.DEFAULT_GOAL := help

help:
	@echo 'make demo    train a classifier of handwritten digits; writes build/demo/'
	@echo 'make test    the tests (no torch needed)'
	@echo 'make parity  comparisons with torch 2.13.0, which it installs into $(VENV)'
	@echo 'make lint    ruff and mypy'
	@echo 'make format  let ruff rewrite the files'
	@echo 'make bench   speed side by side with torch; writes build/benchmarks/'
	@echo 'make golden  record the golden outputs under tests/golden/ from torch again'
	@echo 'make wheel   build the wheel into dist/'
	@echo 'make clean   remove build/ and caches; make distclean also removes $(VENV)'

# ---- the environment -----------------------------------------------------------------------------
$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else \
	    "Flambeau needs Python 3.10 or newer, %s is %d.%d; try: make PYTHON=python3.12" \
	    % (sys.executable, *sys.version_info[:2]))'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/demo-installed: pyproject.toml | $(VENV)/created
	$(PIP) install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/test-installed: pyproject.toml | $(VENV)/created
	$(PIP) install --quiet --editable '.[demo,dev]'
	@touch $@ $(VENV)/demo-installed

$(VENV)/parity-installed: $(VENV)/test-installed
	@$(PIP) install --quiet --retries 2 --extra-index-url $(TORCH_INDEX) --editable '.[parity]' \
	|| { echo 'make parity: torch 2.13.0 could not be installed here (the message of pip is above).' \
	          'It needs the network, or a wheel of torch for this Python and platform.' >&2; exit 1; }
	@touch $@

# ---- what one runs -------------------------------------------------------------------------------
demo: $(VENV)/demo-installed
	$(BIN)/flambeau run examples/digits_demo.py --output build/demo

test: $(VENV)/test-installed
	$(BIN)/python -m pytest -q tests/test_tiny.py
	$(BIN)/python -m pytest -q tests --ignore=tests/parity --ignore=tests/test_tiny.py -n $(JOBS)

parity: $(VENV)/parity-installed
	$(BIN)/python -m pytest -q tests/parity -n $(JOBS)

lint: $(VENV)/test-installed
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/mypy

format: $(VENV)/test-installed
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/ruff check --fix $(CHECKED)

bench: $(VENV)/parity-installed
	$(BIN)/python -m benchmarks publish --output build/benchmarks

golden: $(VENV)/parity-installed
	set -e; for script in tools/record_*.py; do echo $$script; $(BIN)/python $$script; done

wheel: $(VENV)/created
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
