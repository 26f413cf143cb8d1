# setup     make the environment in .venv
# demo      segment a synthetic chest film and a synthetic head by a phrase each; everything it writes lies in demo/
# test      the quick tests
# test-all  every test, those on a GPU only where there is one
# check     format, lint, types and the quick tests: what a push must pass
# test-slicer  the panel's tests inside a real Slicer: make test-slicer SLICER=/path/to/Slicer [ARGS='-k effect']

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
DEMO := demo

# The first Python in range that can make an environment: a shim may exist without a Python behind it.
PYTHON ?= $(shell for python in python3 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	>/dev/null 2>&1 && echo $$python && break; done)

GPU_MARK := $(shell nvidia-smi -L >/dev/null 2>&1 || echo 'not gpu')

# Files of tests side by side, one thread each; four at most, because each holds torch and Slicer's libraries.
SIDE_BY_SIDE ?= --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: setup demo test test-all check test-slicer

setup: $(STAMP)

# An interrupted installation leaves no stamp and is taken up again by the next `make`.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || test -n "$(PYTHON)" || \
		{ echo 'Python 3.11 or 3.12 with the venv module is needed; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python'; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev,slicer-test]'
	touch $@

demo: $(STAMP)
	mkdir -p $(DEMO)
	$(BIN)/python Resources/SampleData/make_samples.py $(DEMO)/chest_phantom.png
	$(BIN)/textguidedseg segment $(DEMO)/chest_phantom.png "left lower lung opacity" \
		--out $(DEMO)/left_lower_lung_opacity.seg.nrrd \
		--pseudo $(DEMO)/left_lower_lung_opacity.pseudo.nrrd \
		--probability $(DEMO)/left_lower_lung_opacity.probability.nrrd \
		--overlay $(DEMO)/overlay.png \
		--json > $(DEMO)/summary.json
	$(BIN)/python Resources/SampleData/make_samples.py $(DEMO)/head_phantom.nii.gz
	$(BIN)/textguidedseg segment $(DEMO)/head_phantom.nii.gz "anterior hippocampus" \
		--out $(DEMO)/anterior_hippocampus.seg.nrrd --json > $(DEMO)/head_summary.json
	@cat $(DEMO)/head_summary.json
	@echo
	@cat $(DEMO)/summary.json
	@echo
	@echo 'Picture:      $(CURDIR)/$(DEMO)/overlay.png'
	@echo 'Segmentation: $(CURDIR)/$(DEMO)/left_lower_lung_opacity.seg.nrrd (opens in 3D Slicer)'
	@echo 'Pseudo-image: $(CURDIR)/$(DEMO)/left_lower_lung_opacity.pseudo.nrrd (where the words point)'
	@echo 'Summary:      $(CURDIR)/$(DEMO)/summary.json'
	@echo 'Head:         $(CURDIR)/$(DEMO)/anterior_hippocampus.seg.nrrd, head_summary.json'

# Bytecode is written even where the shell forbids it: every test of the panel loads all of it anew.
test: $(STAMP)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m 'not slow and not gpu' $(SIDE_BY_SIDE)

test-all: $(STAMP)
	$(BIN)/python -m pytest -q -m '$(GPU_MARK)'

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory test

# Slicer's own launcher, not an environment of ours; on a computer without a screen: xvfb-run make test-slicer ...
test-slicer:
	@test -x '$(SLICER)' || { echo 'Name the Slicer to test in: make test-slicer SLICER=/path/to/Slicer'; exit 2; }
	'$(SLICER)' --testing --no-splash --additional-module-paths '$(CURDIR)/TextGuidedSeg' \
		--python-script '$(CURDIR)/Testing/slicer/run_in_slicer.py' $(ARGS)
