# km: Kubernetes on Apache Mesos. The two commands: `make up`, `make test`.

.PHONY: up down clean build tools parts test lint unit e2e chaos bench help

help:  ## Show the targets.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

up:  ## Install what is missing, build, start a cluster on this machine, run a demo.
	@scripts/up.sh

down:  ## Stop the cluster that `make up` started; its data stays.
	@test ! -x target/release/km || target/release/km down --data-dir $${KM_DATA_DIR:-$(CURDIR)/.km}

clean: down  ## Stop the cluster and remove its data.
	@rm -rf $${KM_DATA_DIR:-$(CURDIR)/.km}

build:  ## Build km (target/release/km) and the demo's image (target/images/demo.tar).
	@cargo build --release -p km
	@KM=target/release/km scripts/images.sh

tools:  ## Fetch the clients that the tests use (target/tools).
	@scripts/tools.sh

test: lint unit e2e  ## Run everything that CI runs.

lint:  ## Formatting, lints, the law of the layers.
	@scripts/packages.sh build run test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@scripts/status.sh --check

unit: parts  ## Unit, property, simulation and integration tests.
	cargo test --workspace --exclude km-e2e
	@echo "the Mesos contract, on the embedded Mesos and on Apache Mesos 1.11.0"
	test/apache-mesos/contract.sh target/apache-mesos

parts:  # what end-to-end tests start
	@scripts/packages.sh build run test
	@$(MAKE) --no-print-directory tools
	cargo build -p km
	@KM=target/debug/km scripts/images.sh
	@test/apache-mesos/setup.sh target/apache-mesos

e2e: parts  ## The scenarios on the real binary: embedded Mesos and Apache Mesos 1.11.0.
	cargo test -p km-e2e -- --nocapture

chaos: parts  ## Kill km at 500 seeded moments and check that nothing is lost or doubled.
	KM_CHAOS_RUNS=500 cargo test -p km-e2e --test it -- chaos --nocapture

bench:  ## Measure; writes docs/benchmarks.md.
	@scripts/bench.sh
