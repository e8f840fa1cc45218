# Two commands do everything from nothing: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV   := .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
INSIDE := PYTHONPATH=tests $(BIN)/python -m testbed.enter --
ATTEMPTS := $(INSIDE) $(BIN)/python -m testbed.attempts
BENCH  := PYTHONPATH=tests $(BIN)/python -m bench
STAMP  := $(VENV)/.installed
# Without bytecode each process compiles the tests and the testbed anew.
unexport PYTHONDONTWRITEBYTECODE

# What serves the model in `make demo`: stand-in, or vllm for a real one (8 GB, installed once).
ENGINE ?= stand-in

comma := ,

# How long `make fuzz` takes, and the one target it tries (all, when empty; tests/fuzz/targets.py).
FUZZ_SECONDS ?= 600
FUZZ_TARGET  ?=

# How often `make kills` kills the operator.
KILLS ?= 200

# How many states `make explore` visits of each scenario (0: all), and which: those with this in their name.
STATES   ?= 20000
SCENARIO ?=

# What `make chaos` runs: the seed of the first mixture, how many there are, or one case by its name.
SEED     ?= 1
MIXTURES ?= 500
CASE     ?=

# How often `make relay-kills` kills a relay, its engine or both.
RELAY_KILLS ?= 100

# SHORT=1: the short form of a bench that has one; `make bench` runs these.
SHORT ?=
FORM = $(if $(SHORT),--short)

# How long `make bench-steady` looks on.
SECONDS ?= 60

# The image: its base by digest, its name, and what builds it (docs/image.md).
BASE      ?=
VERSION   := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
IMAGE     ?= kvsync-operator:$(VERSION)
PLATFORMS ?= linux/amd64,linux/arm64
DOCKER    ?= docker

.PHONY: help setup chart image image-check sbom audit demo demo-stop test test-unit test-bed conformance kills relay-kills relay-table properties explore fuzz chaos soak bench bench-admission bench-core bench-probe bench-hostile bench-latency bench-publisher bench-relay bench-start bench-converge bench-steady bench-render bench-import lint format lock generate clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## create .venv with locked dependencies (nothing outside of it is touched)

$(STAMP): requirements/dev.txt pyproject.toml
	@echo "setup: creating $(VENV) (Python $$($(PYTHON) -c 'import platform; print(platform.python_version())'))"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: Python 3.11 or newer is needed; set PYTHON=python3.12, say"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@echo "setup: installing locked dependencies (a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## the main job on a real API server, start to undo (KEEP=1 leaves it up, ENGINE=vllm runs a real vLLM)
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	@$(if $(filter vllm,$(ENGINE)),PYTHONPATH=tests $(BIN)/python -m testbed.real_engine.install > /dev/null,:)
	@PYTHONPATH=tests $(BIN)/python -m testbed.enter $(if $(KEEP),--keep) -- $(BIN)/python -m testbed.demo --engine $(ENGINE) $(if $(KEEP),--keep)

demo-stop: setup ## end what `make demo KEEP=1` left up
	@PYTHONPATH=tests $(BIN)/python -m testbed.enter --stop

test: setup test-unit test-bed ## everything that needs no GPU, from nothing

test-unit: setup ## tests that need no control plane (4 minutes)
	@PYTHONPATH=tests $(BIN)/python -m testbed.promtool.install > /dev/null
	PYTHONPATH=tests $(BIN)/python -m testbed.attempts -m "not bed and not chaos" -n 3 --dist worksteal

test-bed: setup ## tests on a real control plane with pods as processes
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	@PYTHONPATH=tests $(BIN)/python -m testbed.helm.install > /dev/null
	@PYTHONPATH=tests $(BIN)/python -m testbed.promtool.install > /dev/null
	@# Apart: tests of the bed change the gateway that the stories stand on.
	$(ATTEMPTS) -m bed tests/bed tests/adapters -n 2 --dist loadfile
	$(ATTEMPTS) -m bed tests/documentation tests/e2e tests/chaos -n 3 --dist loadfile

conformance: setup ## on request: released vLLM packages read our arguments, a real vLLM runs as a pod (8 GB, once)
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	@PYTHONPATH=tests $(BIN)/python -m conformance.sources > /dev/null
	@PYTHONPATH=tests $(BIN)/python -m testbed.real_engine.install > /dev/null
	$(INSIDE) $(BIN)/pytest -m conformance tests/conformance

kills: setup ## on request: the operator killed at random KILLS=200 times during waves over ten models (10 minutes)
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	KVSYNC_KILLS=$(KILLS) $(INSIDE) $(BIN)/pytest -m bed tests/e2e/test_random_kills.py -s

relay-table: setup ## on request: what a gateway knows of three engines, with and without a relay, and after its restart (2 minutes)
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	@$(INSIDE) $(BIN)/python -m testbed.hits.table

relay-kills: setup ## on request: relay, engine or both killed at random RELAY_KILLS=100 times under load (2 minutes)
	KVSYNC_RELAY_KILLS=$(RELAY_KILLS) $(BIN)/pytest tests/relay/test_relay_kills.py -s

properties: setup ## on request: each property of the core with 2,000 random cases, its protocol with 200 random histories of each mode
	HYPOTHESIS_PROFILE=ci $(BIN)/pytest -m "not bed" tests/core tests/model tests/explore/test_protocol_machine.py -n 3 --dist worksteal -q

fuzz: $(VENV)/.fuzz-installed ## on request: fuzz what reads strangers' bytes (FUZZ_SECONDS=600; KEEP=1 adds to the kept corpus)
	@PYTHONPATH=tests $(BIN)/python -m fuzz.run --seconds $(FUZZ_SECONDS) $(if $(FUZZ_TARGET),--target $(FUZZ_TARGET)) $(if $(KEEP),--keep)

$(VENV)/.fuzz-installed: requirements/fuzz.txt $(STAMP)
	@$(BIN)/python -c 'import platform, sys; sys.exit((sys.platform, platform.machine()) != ("linux", "x86_64") or not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "fuzz: atheris runs on Python 3.11 to 3.13 on Linux x86-64, and this is $$($(BIN)/python -V) on $$(uname -sm); try make clean fuzz PYTHON=python3.13"; exit 1; }
	@echo "fuzz: installing atheris"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r requirements/fuzz.txt
	@touch $@

explore: setup ## on request: every order of events over small clusters in memory, STATES=20000 of each (10 minutes), or all of one: STATES=0 SCENARIO="models, killed"
	@PYTHONPATH=tests $(BIN)/python -m explore --states $(STATES) --scenario "$(SCENARIO)"

soak: SECONDS = 1800
soak: setup ## on request: SECONDS=1800 of churn beside hostile publishers, and what the operator holds meanwhile
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	@$(INSIDE) $(BIN)/python -m chaos.soak --seconds $(SECONDS) --write

chaos: setup ## on request: every API call with every fault, MIXTURES=500 mixtures by SEED=1; CASE=... runs one again (20 to 25 minutes)
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	@$(INSIDE) $(BIN)/python -m chaos --seed $(SEED) --mixtures $(MIXTURES) $(if $(CASE),--case '$(CASE)',--page)
	$(if $(CASE),,$(INSIDE) $(BIN)/pytest -m chaos tests/chaos -n 4 --dist loadfile)

bench-probe: setup ## on request: memory and CPU a source at 1,000 to 5,000 publishers, beside two other ways (10 minutes)
	$(BENCH).probe $(FORM)

bench-hostile: setup ## on request: hostile publishers beside 200 healthy ones (2 minutes)
	$(BENCH).hostile $(FORM)

bench-latency: setup ## on request: from a fault to the verdict, 20 of each (2 minutes)
	$(BENCH).latency $(FORM)

bench-publisher: setup ## on request: what a publisher pays for being watched, beside a subscriber that takes all (7 minutes)
	$(BENCH).publisher $(FORM)

bench-relay: setup ## on request: what the relay adds to each batch, beside a bare forwarder (3 minutes)
	$(BENCH).relay $(FORM)

bench-admission: setup ## on request: what the admission policy costs a pod's creation (1 minute)
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	$(BENCH).admission $(FORM)

bench-core: setup ## on request: the decisions alone, up to 10,000 models and 100,000 sources (4 minutes)
	$(BENCH).core $(FORM)

bench-converge: setup ## on request: from unconfigured to verified, beside a bare loop and kubectl, up to 200 models (6 minutes)
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	$(BENCH).converge

bench-steady: setup ## on request: what runs while nothing happens, up to 1,000 models, for SECONDS=60 (4 minutes)
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	$(BENCH).steady --seconds $(SECONDS)

bench-render: setup ## on request: kvsync render of 20 to 2,000 Deployments in files (1 minute)
	$(BENCH).render

bench-import: setup ## on request: what commands cost before they do anything, and kvsync run until it is ready (1 minute)
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	$(BENCH).imports

bench-start: setup ## on request: from a process' start to the first right status, beside plain kopf, at 200 to 20,000 pods (3 minutes)
	@PYTHONPATH=tests $(BIN)/python -m testbed.programs > /dev/null
	$(BENCH).start

bench: SHORT := 1
bench: bench-admission bench-core bench-publisher bench-latency bench-hostile bench-probe bench-relay bench-start bench-converge bench-steady bench-render bench-import ## on request: all measurements, one after another (22 minutes)

lint: setup ## ruff, mypy strict, import contracts
	$(BIN)/ruff check operator tests docs charts
	$(BIN)/ruff format --check operator tests docs charts
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup ## let ruff write what it can
	$(BIN)/ruff check --fix operator tests docs charts
	$(BIN)/ruff format operator tests docs charts

image: ## build the image for both architectures: BASE=python:3.13-slim@sha256:… (PUSH=1 pushes it as IMAGE=…)
	@[[ "$(BASE)" =~ ^[^@]+@sha256:[0-9a-f]{64}$$ ]] || { echo "image: give the base by digest, BASE=python:3.13-slim@sha256:…; docs/image.md says how to find it"; exit 1; }
	@mkdir -p build
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(DOCKER) buildx build --platform $(PLATFORMS) --build-arg BASE=$(BASE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) --tag $(IMAGE) --output $(if $(PUSH),type=registry,type=oci$(comma)dest=build/image.tar) .

image-check: setup ## what of the image needs no container: the Dockerfile and its steps, wheels for both architectures
	PYTHONPATH=tests $(BIN)/pytest tests/image -q
	PYTHONPATH=tests $(BIN)/python -m image.wheels
	PYTHONPATH=tests $(BIN)/python -m image.start

audit: $(VENV)/audit/.installed ## on request: ask PyPI and OSV for known holes of what is locked (exit 1: there are some, 3: nobody could be asked)
	@PYTHONPATH=tests $(BIN)/python -m image.audit $(VENV)/audit/bin/pip-audit

$(VENV)/audit/.installed: requirements/audit.txt $(STAMP)
	@echo "audit: installing pip-audit"
	@$(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/audit.txt
	@touch $@

sbom: setup ## write build/sbom/*.cdx.json: every package of the image with version, digest, license
	@PYTHONPATH=tests $(BIN)/python -m image.bill build/sbom --version $(VERSION)

lock: ## renew requirements/*.txt from pyproject.toml (needs uv on PATH)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/runtime.txt
	uv pip compile --group audit --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/audit.txt
	uv pip compile --group fuzz --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/fuzz.txt
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -c requirements/runtime.txt -o requirements/dev.txt
	uv pip compile --group build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -c requirements/dev.txt -o requirements/build.txt

chart: setup ## bring what the Helm chart shares with other files up to date: the CRD, the ClusterRole's rules
	$(BIN)/python charts/sync.py

generate: setup chart ## rewrite what is generated: docs/reference.md, docs/settings.md, docs/values.md, docs/gitops/argocd, docs/samples/quickstart, the chart's files
	$(BIN)/python docs/generate_reference.py
	$(BIN)/python docs/generate_settings.py
	$(BIN)/python docs/generate_values.py
	$(BIN)/python docs/generate_gitops.py
	PYTHONPATH=tests $(BIN)/python -m documentation.not_run
	$(BIN)/kvsync quickstart my-model > docs/samples/quickstart/model-with-kv-events.yaml

clean: ## remove .venv and caches of this checkout (the built control plane stays)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
