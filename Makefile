# `make demo` and `make test` do all the set-up they need: a virtual environment and the locked dependencies.
# INSTALLER=pip does without uv.
PYTHON ?= python3
INSTALLER ?= uv
PROCESSES ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_METHODS := $(VENV)/.ready-methods
DOCS := .venv-docs

.PHONY: setup setup-methods demo test test-methods test-quick lab lab-shell check docs bench bench-ray bench-searchers lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml .ci/install.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "HPO Derby needs Python 3.11 or later, this is " + sys.version)'
	@echo "Installing the locked dependencies into $(VENV), once: under a minute with uv, a few minutes with pip."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python .ci/install.py $(INSTALLER)
	@touch $@

setup-methods: $(READY_METHODS)  ## every search library, also those that `make test` does without

$(READY_METHODS): $(READY) requirements-methods.lock
	$(BIN)/python .ci/install.py $(INSTALLER) requirements-methods.lock
	@touch $@

demo: $(READY)  ## race seven methods on recorded trainings and three in training, and draw the report
	$(BIN)/derby run docs/sweeps/live.yaml --executor ray
	$(BIN)/derby run docs/sweeps/demo.yaml --executor ray
	$(BIN)/derby report demo

test: $(READY)  ## all tests, in two processes
	$(BIN)/python -m pytest -n $(PROCESSES)

test-methods: $(READY_METHODS)  ## the search methods, with every search library there is an adapter for
	$(BIN)/python -m pytest -n $(PROCESSES) tests/searchers tests/conformance/test_searchers.py

test-quick: $(READY)  ## what answers within two minutes: nothing slow, no TensorFlow, no Ray
	$(BIN)/python -m pytest -n $(PROCESSES) -m "not slow and not tensorflow and not ray and not cluster" --durations=5 --durations-min=5

lab: $(READY)  ## the documented cluster commands, on machines made of namespaces; by root on Linux, tens of minutes
	$(BIN)/python -m pytest tests/lab -m "lab or slow" -x -s

lab-shell: $(READY)  ## two of those machines, and a shell on one; they end with it
	PYTHONPATH=tests/support $(BIN)/python tests/lab/shell.py

check: $(READY)  ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS)/.ready  ## the pages of docs/ as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict
	@echo "The pages: $(CURDIR)/site/index.html"

$(DOCS)/.ready: requirements-docs.lock
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip --disable-pip-version-check install --quiet --requirement requirements-docs.lock
	@touch $@

bench: $(READY)  ## what the harness costs, and how quickly it trains
	$(BIN)/python tests/bench/harness_cost.py
	$(BIN)/python tests/bench/record_cost.py
	PYTHONPATH=tests/support $(BIN)/python tests/bench/training_speed.py

bench-ray: $(READY)  ## what Ray brings and costs: evaluators, a race, the driver; tens of minutes
	PYTHONPATH=tests/support $(BIN)/python tests/bench/ray_scale.py

bench-searchers: $(READY_METHODS)  ## what a proposal of each search method costs; can take hours
	$(BIN)/python tests/bench/searcher_cost.py

lock: $(READY)  ## write the versions installed now into the lock file
	$(BIN)/python -m pip freeze --exclude-editable --exclude uv | grep -E '^[A-Za-z0-9._-]+==[^ ]+$$' > requirements.lock

clean:
	rm -rf $(VENV) $(DOCS) site build dist *.egg-info
