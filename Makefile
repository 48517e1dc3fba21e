# Everything goes through .venv, which is built from requirements.lock and nothing else. `make help` lists the targets.

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# The first Python that can do it; `make PYTHON=...` chooses another.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench matrix monitoring soak lock clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY)  ## one bank workload on Celery, then on Dramatiq [TRANSACTIONS=file.csv] [BROKER=redis|sqs|rabbitmq] [METRICS=1] [MIGRATE=1]
	$(BIN)/python -m examples.fintech.demo \
		$(if $(TRANSACTIONS),--transactions "$(TRANSACTIONS)") $(if $(BROKER),--broker "$(BROKER)") $(if $(METRICS),--metrics) \
		$(if $(MIGRATE),--migrate)

# Some hundred workers and commands are started: each compiles all it imports where an environment wants no bytecode written.
# Those of `alone` come first; where one fails the others run all the same, unless it was Ctrl-C (pytest ends with 2).
test: $(READY)  ## every test but the soak, on three processes, for much of it waits [PROCESSES=1]
	-@$(BIN)/python -m compileall -q taskbridge backends examples tests
	$(BIN)/pytest -m "alone and not soak"; alone=$$?; test $$alone -ne 2 && \
		$(BIN)/pytest -m "not alone and not soak" --numprocesses $(or $(PROCESSES),3) --dist loadscope --no-loadscope-reorder \
		&& exit $$alone

check: $(READY)  ## lint, format, types, floors, public names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict taskbridge backends examples
	$(BIN)/pytest -q tests/test_floors.py tests/test_public.py

bench: $(READY)  ## native engines and taskbridge in turn; writes build/bench.json [BROKER=redis|sqs|rabbitmq]
	$(BIN)/python -m tests.benchmarks $(if $(BROKER),--broker "$(BROKER)")

matrix: $(READY)  ## the suite on every engine and broker; writes what each pair keeps into docs/brokers.md
	$(BIN)/pytest -q -m "soak or not soak" --junitxml build/conformance.xml tests/conformance/test_backends.py; \
		$(BIN)/python -m tests.conformance.matrix build/conformance.xml

monitoring: $(READY)  ## write docs/grafana and docs/alerts/taskbridge.yml anew from taskbridge/monitoring
	$(BIN)/taskbridge monitoring dashboards docs/grafana
	$(BIN)/taskbridge monitoring rules docs/alerts/taskbridge.yml

soak: $(READY)  ## the tests that run for many minutes, the short ones first [LIST=1] [ONLY="kills delays"] [RESUME=1]
	-@$(BIN)/python -m compileall -q taskbridge backends examples tests
	$(BIN)/python -m tests.soak $(if $(ONLY),--only "$(ONLY)") $(if $(RESUME),--resume) $(if $(LIST),--list)

lock: build/uv/.ready  ## write requirements.lock anew from pyproject.toml [UPGRADE=1]
	build/uv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
		--extra dev --extra embedded --generate-hashes --no-emit-index-url --no-header \
		$(if $(UPGRADE),--upgrade) --output-file requirements.lock

clean:  ## remove what make has made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find taskbridge backends examples tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# Two stamps: a new lock builds .venv anew, a new pyproject.toml only reinstalls the project in it.
$(READY): $(VENV)/.locked pyproject.toml
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.locked: requirements.lock
	@test -n "$(PYTHON)" || { echo "taskbridge needs Python 3.11 or later with venv (Debian, Ubuntu: python3-venv);" \
		"none was found on the path. Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	@touch $@

build/uv/.ready:
	$(PYTHON) -m venv --clear build/uv
	build/uv/bin/pip install --quiet uv==0.13.9
	@touch $@
