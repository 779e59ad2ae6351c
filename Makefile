# Every target sets itself up: a virtual environment with the pinned dependencies, in .venv.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ARGS   ?=
INFRA  := $(VENV)/infra
AZ     := $(VENV)/az

.PHONY: run up send watch posture dead-letters test bench bench-az check check-infra format lock clean
.DEFAULT_GOAL := run

$(READY): requirements-dev.txt requirements-worker.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on the PATH; name yours with 'make PYTHON=…'"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) (about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python --requirement requirements-worker.txt
	@touch $@

run: $(READY)    ## the demo: assess a fleet on the local cloud, show what arrived
	@$(BIN)/python -m patch_assessor_cli run $(ARGS)

up: $(READY)     ## leave the local cloud and the app running
	@$(BIN)/python -m patch_assessor_cli up $(ARGS)

send: $(READY)   ## send a request
	@$(BIN)/python -m patch_assessor_cli send $(ARGS)

watch: $(READY)  ## follow outcomes and alerts
	@$(BIN)/python -m patch_assessor_cli watch $(ARGS)

posture: $(READY)  ## show the fleet as the app's table has it
	@$(BIN)/python -m patch_assessor_cli posture $(ARGS)

dead-letters: $(READY)  ## list, show or resubmit what could not be handled
	@$(BIN)/python -m patch_assessor_cli dead-letters $(or $(ARGS),list)

test: $(READY)   ## all tests
	$(BIN)/python -m pytest $(ARGS)

bench: $(READY) $(AZ)/.ready  ## measure: see docs/performance.md
	$(BIN)/python -m benchmarks $(ARGS)

bench-az: $(AZ)/.ready  ## the Azure CLI that the benchmarks compare with

$(AZ)/.ready: requirements-bench-az.txt | $(READY)
	@echo "Setting up the Azure CLI for comparison (a few minutes)"
	@$(PYTHON) -m venv --clear $(AZ)
	@$(AZ)/bin/pip install --quiet --disable-pip-version-check --requirement requirements-bench-az.txt
	@touch $@

check: $(READY)  ## types, lint, format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check-infra: $(INFRA)/.ready ## infrastructure: security by checkov, deployability by azure-functions-doctor
	$(INFRA)/bin/checkov --directory infra --framework bicep --compact --quiet --skip-download
	$(INFRA)/bin/azure-functions-doctor doctor --path . --profile deploy

$(INFRA)/.ready: requirements-infra.txt | $(READY)
	@$(PYTHON) -m venv --clear $(INFRA)
	@$(INFRA)/bin/pip install --quiet --disable-pip-version-check --requirement requirements-infra.txt
	@touch $@

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY)   ## pin again what pyproject.toml allows
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --no-header --group app --output-file requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --no-header --group dev --constraint requirements.txt --output-file requirements-dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
