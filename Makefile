# make demo: the main job on generated data.  make test: the whole suite.  `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
TEST_VENV := .venv-test
# Where there is no GPU, PyTorch without CUDA's libraries.
CPU := $(if $(shell command -v nvidia-smi),,--torch-backend cpu)
UV = $(1)/bin/uv pip install --quiet --compile-bytecode --python $(1)/bin/python --constraint constraints.txt

.PHONY: help demo browse review train-demo train-scenes test fuzz test-slow lint clean

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "Installing the packages that a build takes into $(VENV): 0.6 GB; once, a minute or two."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check uv
	$(call UV,$(VENV)) --editable '.[build]'
	touch $@

$(VENV)/.train-ready: $(VENV)/.ready
	@echo "Adding the packages that training takes: 1 GB without a GPU, 6 GB with CUDA's libraries."
	$(call UV,$(VENV)) --editable '.[build,train]' $(CPU) || $(call UV,$(VENV)) --editable '.[build,train]'
	touch $@

$(VENV)/.browse-ready: $(VENV)/.ready
	@echo "Adding the packages of the page: 10 MB."
	$(call UV,$(VENV)) --editable '.[build,review]'
	touch $@

$(TEST_VENV)/.ready: pyproject.toml constraints.txt
	@echo "Installing all packages and those of the tests into $(TEST_VENV): 7 GB; once, some minutes."
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/pip install --quiet --disable-pip-version-check uv
	$(call UV,$(TEST_VENV)) --editable '.[build,dask,fetch,hub,publish,review,s3,train,test]'
	touch $@

demo: $(VENV)/.ready  ## Build, verify and picture a dataset from generated corpora, in out/demo.
	$(VENV)/bin/avs-data demo-corpora --out out/demo-corpora --workers 2
	$(VENV)/bin/avs-data build demo --corpora out/demo-corpora --out out/demo --workers 2
	$(VENV)/bin/avs-data verify out/demo
	$(VENV)/bin/avs-data stats out/demo

browse: $(VENV)/.browse-ready  ## Look at the samples of `make demo`'s dataset in a browser; builds it first.
	@test -f out/demo/manifest.json || $(MAKE) demo
	$(VENV)/bin/avs-data browse out/demo

review: $(VENV)/.browse-ready  ## Decide links in a browser, as if the label map had no cat and no dog; runs `make demo` first.
	@test -f out/demo/manifest.json || $(MAKE) demo
	$(VENV)/bin/avs-data match --corpora out/demo-corpora --out out/proposals.csv
	$(VENV)/bin/avs-data index --corpora out/demo-corpora --out out/demo-index
	$(VENV)/bin/avs-data review import out/proposals.csv --queue out/review.sqlite --corpora out/demo-corpora \
	    --index out/demo-index --map out/demo-corpora/label_map/few.csv
	$(VENV)/bin/avs-data review serve --queue out/review.sqlite --dataset out/demo

test: $(TEST_VENV)/.ready  ## Run the suite, all but the tests marked slow.
	$(TEST_VENV)/bin/pytest -n 2 --dist worksteal

fuzz: $(TEST_VENV)/.ready  ## Try some thousand damaged inputs on every command: FUZZ_SEED=1 draws others.
	FUZZ_TRIALS=300 $(TEST_VENV)/bin/pytest tests/fuzz -q

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

# A target of its own: two models take twice the time of train-demo, which is to show at once that everything works.
train-scenes: $(VENV)/.train-ready  ## Train the tiny model on single sounds and on scenes of the same photos, and compare them.
	$(VENV)/bin/avs-data demo-corpora --out out/train-corpora --images 700 --workers 2
	$(VENV)/bin/avs-data build train_scenes --corpora out/train-corpora --out out/train-scenes --workers 2
	$(VENV)/bin/avs-train fit tiny_singles --data out/train-scenes --out out/runs/tiny_singles
	$(VENV)/bin/avs-train fit tiny_scenes --data out/train-scenes --out out/runs/tiny_scenes
	$(VENV)/bin/avs-train eval out/runs/tiny_singles --data out/train-scenes --picture out/tiny_singles.png
	$(VENV)/bin/avs-train eval out/runs/tiny_scenes --data out/train-scenes --picture out/tiny_scenes.png
	$(VENV)/bin/avs-train report out/runs/tiny_singles out/runs/tiny_scenes

clean:  ## Remove environments and output.
	rm -rf $(VENV) $(TEST_VENV) out
