# Every target sets itself up: a virtual environment with the pinned dependencies, in .venv. It is made
# with the newest Python of 3.13, 3.12 and 3.11 that runs here; `make PYTHON=python3.12` makes it anew
# with another.
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ARGS   ?=
INFRA  := $(VENV)/infra
AZ     := $(VENV)/az
AUDIT  := $(VENV)/audit
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-emit-index-url
# tests/conftest.py says how many processes `auto` is.
PYTEST = $(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal
JOBS   ?= auto
PIP    := -m pip install --quiet --disable-pip-version-check

# The modules that can have a deep test: each process reads every module that it is given.
DEEP   = $(shell grep -rlE 'mark\.deep|hypothesis' --include='test_*.py' tests localcloud/tests)

# Each test starts several processes; each of them would compile the app again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run up send watch posture console dead-letters test test-deep fuzz mutants soak interop bench bench-az check check-infra audit snapshots format lock schemas clean
.DEFAULT_GOAL := run

# A Python that is named, and is not the environment's own, makes it anew.
ifdef PYTHON
ifneq ($(shell ($(PYTHON) -V) 2>/dev/null),$(shell ($(BIN)/python -V) 2>/dev/null))
.PHONY: $(READY)
endif
endif

$(READY): requirements-dev.txt requirements-worker.txt
	@chosen=$$(scripts/choose-python $(PYTHON)) \
	  && echo "Setting up $(VENV) with $$chosen ($$($$chosen -V)): about a minute" \
	  && $$chosen -m venv --clear $(VENV)
	@scripts/install $(VENV) --requirement requirements-dev.txt
	@$(BIN)/python $(PIP) --no-deps --ignore-requires-python --requirement requirements-worker.txt
	@touch $@

run: $(READY)    ## the demo: assess a fleet on the local cloud, show what arrived
	@$(BIN)/python -m demo run $(ARGS)

up: $(READY)     ## leave the local cloud and the app running
	@$(BIN)/python -m demo up $(ARGS)

send: $(READY)   ## send a request
	@$(BIN)/python -m patch_assessor_cli send $(ARGS)

watch: $(READY)  ## follow outcomes and alerts
	@$(BIN)/python -m patch_assessor_cli watch $(ARGS)

posture: $(READY)  ## show the fleet as the app's table has it
	@$(BIN)/python -m patch_assessor_cli posture $(ARGS)

console: $(READY)  ## serve a page that shows the fleet and the system at work
	@$(BIN)/python -m patch_assessor_cli console $(ARGS)

dead-letters: $(READY)  ## list, show or resubmit what could not be handled
	@$(BIN)/python -m patch_assessor_cli dead-letters $(or $(ARGS),list)

test: $(READY)   ## whatever guards behaviour
	$(PYTEST) -m "not deep" $(or $(ARGS),tests localcloud/tests)

test-deep: $(READY)  ## the rest: chaos, the demo's variants, the documents' commands, many examples
	$(PYTEST) -m "deep or hypothesis" --hypothesis-profile=$(if $(CI),ci-deep,deep) $(or $(ARGS),$(DEEP))

fuzz: $(READY)   ## a coverage-guided fuzzer over everything that comes from outside: a million inputs
	@scripts/install $(VENV) atheris==3.1.0
	$(BIN)/python -m tests.fuzz $(ARGS)

mutants: $(READY)  ## what the domain's unit tests notice of mutmut's changes; ARGS=scans or ARGS=arm.hints is less
	@scripts/install $(VENV) mutmut==3.8.1
	CI=1 $(BIN)/python -m tests.mutants $(ARGS)

soak: $(READY)   ## an hour of mixed load with faults that come and go; ARGS='--minutes 10' is shorter
	$(BIN)/python -m tests.soak $(ARGS)

interop: $(READY)  ## .NET's, Java's, JMS's, Go's and JavaScript's clients against the local Service Bus; cloudevents, ajv and a collector against the app
	$(BIN)/python -m tests.interop.clients $(ARGS)

bench: $(READY) $(AZ)/.ready  ## measure: see docs/performance.md
	$(BIN)/python -m benchmarks $(ARGS)

bench-az: $(AZ)/.ready  ## the Azure CLI that the benchmarks compare with

$(AZ)/.ready: requirements-bench-az.txt | $(READY)
	@echo "Setting up the Azure CLI for comparison (a few minutes)"
	@$$(scripts/choose-python --oldest) -m venv --clear $(AZ)
	@scripts/install $(AZ) --requirement requirements-bench-az.txt
	@touch $@

check: $(READY)  ## types, lint, format, and which floor imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# With the Bicep compiler that BICEP names, that is on the path, or that az has; without one it fails.
check-infra: $(READY) $(INFRA)/.ready ## infrastructure: Bicep, Kusto, security by checkov, deployability by azure-functions-doctor
	$(BIN)/python infra/check.py
	$(BIN)/python infra/kusto/check.py $(VENV)/kusto
	$(BIN)/python infra/check.py --templates $(VENV)/templates
	$(INFRA)/bin/checkov --directory $(VENV)/templates --framework arm --config-file infra/checkov.yaml --compact --quiet --skip-download
	$(INFRA)/bin/azure-functions-doctor doctor --path . --profile deploy

audit: $(AUDIT)/.ready  ## ask PyPI which advisories there are of what is deployed; ARGS='--vulnerability-service osv' asks another
	$(AUDIT)/bin/pip-audit --requirement requirements.txt --disable-pip --require-hashes --strict $(ARGS)

$(AUDIT)/.ready: Makefile | $(READY)
	@$$(scripts/choose-python) -m venv --clear $(AUDIT)
	@scripts/install $(AUDIT) pip-audit==2.10.1
	@touch $@

snapshots: $(READY)  ## what each golden deployment asks of ARM, made anew
	$(BIN)/python infra/check.py --write

$(INFRA)/.ready: requirements-infra.txt | $(READY)
	@$$(scripts/choose-python --oldest) -m venv --clear $(INFRA)
	@scripts/install $(INFRA) --requirement requirements-infra.txt
	@touch $@

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(READY)  ## make schemas/ from the models again, and what else is made from them
	$(BIN)/python -m scripts.schemas
	$(BIN)/python -m tests.support.examples

lock: $(READY)   ## pin again what pyproject.toml allows, for every Python that it allows
	$(COMPILE) --generate-hashes --group app --output-file requirements.txt
	$(COMPILE) --group dev --constraint requirements.txt --output-file requirements-dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
