# make demo: the main job on generated data.  make test: the whole suite.  `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
TEST_VENV := .venv-test
UV = $(1)/bin/uv pip install --quiet --python $(1)/bin/python --constraint constraints.txt

.PHONY: help demo train-demo test test-slow lint clean

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "Installing the packages that a build takes into $(VENV), some 40 packages (0.5 GB); once, a minute or two."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check uv
	$(call UV,$(VENV)) --editable '.[build]'
	touch $@

$(VENV)/.train-ready: $(VENV)/.ready
	$(call UV,$(VENV)) --editable '.[build,train]'
	touch $@

$(TEST_VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/pip install --quiet --disable-pip-version-check uv
	$(call UV,$(TEST_VENV)) --editable '.[build,fetch,hub,publish,review,s3,train,test]'
	touch $@

demo: $(VENV)/.ready  ## Build, verify and picture a dataset from generated corpora, in out/demo.
	$(VENV)/bin/avs-data demo-corpora --out out/demo-corpora --workers 2
	$(VENV)/bin/avs-data build demo --corpora out/demo-corpora --out out/demo --workers 2
	$(VENV)/bin/avs-data verify out/demo
	$(VENV)/bin/avs-data stats out/demo

test: $(TEST_VENV)/.ready  ## Run the suite, all but the tests marked slow.
	$(TEST_VENV)/bin/pytest -n 2 --dist worksteal

test-slow: $(TEST_VENV)/.ready  ## Run the tests marked slow.
	$(TEST_VENV)/bin/pytest -m slow

lint: $(TEST_VENV)/.ready  ## Check style, types, and which package may import which.
	$(TEST_VENV)/bin/ruff check .
	$(TEST_VENV)/bin/ruff format --check .
	$(TEST_VENV)/bin/mypy
	$(TEST_VENV)/bin/lint-imports

train-demo: $(VENV)/.train-ready  ## Train the tiny model on generated data, on a CPU, and measure it with swapped sound.
	$(VENV)/bin/avs-data demo-corpora --out out/train-corpora --images 700 --workers 2
	$(VENV)/bin/avs-data build train_demo --corpora out/train-corpora --out out/train-data --workers 2
	$(VENV)/bin/avs-train fit tiny --data out/train-data --out out/runs/tiny
	$(VENV)/bin/avs-train eval out/runs/tiny --data out/train-data --robustness

clean:  ## Remove environments and output.
	rm -rf $(VENV) $(TEST_VENV) out
