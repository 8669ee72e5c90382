# lbpool: what there is to do. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help run stop build rebuild clean test unit sim local lint fmt generate drift deny advisories bench report test-report

CARGO ?= cargo
PORT ?= 5000
REPLICAS ?= 3
# Seconds of load in each whole-process test.
LOAD_SECONDS ?= 5
# Of the whole-process tests: `--release` measures what `make run` builds.
CARGO_FLAGS ?=
BUILT = $(or $(CARGO_TARGET_DIR),target)/$(if $(filter --release,$(CARGO_FLAGS)),release,debug)

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Settings: PORT=$(PORT) REPLICAS=$(REPLICAS) (make run), LOAD_SECONDS=$(LOAD_SECONDS) (make local)"

# --- use ---

run: ## Serve http://127.0.0.1:5000/home from 3 members; ends on SIGTERM or SIGINT
	$(CARGO) build --locked --release -p lbpool-cli -p lbpool-backend
	@exec target/release/lbpool up --port $(PORT) --replicas $(REPLICAS)

stop: ## End the pool that `make run` started
	@target/release/lbpool down demo

build: ## Build the commands lbpool, backend and balancer (target/release)
	$(CARGO) build --locked --release -p lbpool-cli -p lbpool-backend -p lbpool-balancer

rebuild: clean build ## Build from nothing

clean: ## Remove everything that was built
	$(CARGO) clean

# --- test ---

test: unit local ## All tests: pure ones, the simulation, whole processes under load

unit: ## Tests of each crate, the simulation among them
	$(CARGO) test --locked --workspace --exclude lbpool-tests

sim: ## The simulation alone; a failing seed: LBPOOL_SEED=7 make sim
	$(CARGO) test --locked -p lbpool-core --test simulation -- --nocapture

local: ## Whole processes under load: scale, roll out, drain, kill; one at a time, figures printed
	$(CARGO) build --locked $(CARGO_FLAGS) --workspace --bins
	LBPOOL_TEST_SECONDS=$(LOAD_SECONDS) $(CARGO) test --locked $(CARGO_FLAGS) -p lbpool-tests -- --test-threads=1 --nocapture

test-report: ## A quick analysis of real servers, and its page in Chromium: phone and desk, light and dark
	@.ci/chromium
	$(CARGO) build --locked $(CARGO_FLAGS) -p lbpool-cli -p lbpool-backend
	$(BUILT)/lbpool analyze --quick --plain --out $(CURDIR)/target/test-report
	LBPOOL_REPORT=$(CURDIR)/target/test-report $(CARGO) test --locked -p lbpool-report --test report -- --include-ignored

report: ## A full analysis; writes the example in docs/report
	$(CARGO) build --locked --release -p lbpool-cli -p lbpool-backend
	$(or $(CARGO_TARGET_DIR),target)/release/lbpool analyze --out target/report
	.ci/report target/report docs/report

bench: ## Micro-benchmarks of placement (criterion)
	$(CARGO) bench --locked -p lbpool-ring

# --- keep in order ---

lint: ## Formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

fmt: ## Format the sources
	$(CARGO) fmt --all

generate: ## Write the generated files anew: CRD, placement vectors, metric reference
	.ci/generate

drift: generate ## Fail where a generated file is not what the sources say
	git diff --exit-code -- deploy docs/reference balancer/ring/vectors

deny: ## Licences, sources and banned crates (installs cargo-deny if it is missing)
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources

advisories: ## Known vulnerabilities of dependencies; needs the advisory database from the internet
	$(CARGO) deny check advisories
