# `make` alone says what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# Debian's docker CLI may be newer than its engine.
export DOCKER_API_VERSION ?= 1.41
# Without a key of the caller's: tests never ask a real model.
WITHOUT_MODEL := env -u OPENAI_API_KEY -u LONGSHORE_MODEL_BASE_URL
CARGO ?= cargo
# Programs are run from here: `cargo run -p` would work out the features of that package alone, and build half of everything once more.
PROGRAMS = $(or $(CARGO_TARGET_DIR),target)/debug

.PHONY: help setup demo demo-check pictures test faults fuzz bench fmt lint stop base-image build

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | while IFS='|' read -r name words; do printf '  make %-11s %s\n' "$$name" "$$words"; done

setup: ## Install and start what is missing: Docker engine, base image, agent, registry
	@tests/setup/all.sh

build: ## Build the service, the demo and its check
	@$(CARGO) build --locked -p longshore -p longshore-harness

demo: setup build ## Run it without any account, with a page like Slack's in the browser
	@$(PROGRAMS)/demo

demo-check: setup build ## The same without a browser: one mention becomes one pull request (SEED=n repeats a run)
	@$(PROGRAMS)/demo-check

pictures: setup ## Take the pictures of docs/messages.md whose message changed (ALL=1: every one)
	@$(CARGO) build --locked -p longshore-harness --bin pictures
	@$(PROGRAMS)/pictures $(if $(ALL),--all)

test: setup ## Everything that is tested
	$(CARGO) build --locked --workspace --all-targets
	$(WITHOUT_MODEL) $(CARGO) test --locked --workspace --no-fail-fast
	$(CARGO) build --locked --workspace --features longshore/faults --bin longshore-faults
	$(WITHOUT_MODEL) $(PROGRAMS)/faults --select 5 $(if $(FAULTS_SEED),--seed $(FAULTS_SEED))
	SEED=$${SEED:-1} $(WITHOUT_MODEL) $(PROGRAMS)/demo-check

faults: setup ## Kill the service at every point along its way and look whether anything is lost or doubled (ONLY=text, RESUME=file)
	$(CARGO) build --locked --workspace --bin faults
	$(CARGO) build --locked --workspace --features longshore/faults --bin longshore-faults
	@$(WITHOUT_MODEL) $(PROGRAMS)/faults $(if $(ONLY),--only "$(ONLY)",--self-test) $(if $(RESUME),--resume "$(RESUME)")

fuzz: ## Throw damaged input at everything that parses what comes from outside (MINUTES=n, 5 without)
	@$(CARGO) test --locked --workspace --lib --bin longshore --no-run
	@end=$$(( $$(date +%s) + 60 * $(or $(MINUTES),5) )); while [ $$(date +%s) -lt $$end ]; do \
		PROPTEST_CASES=$${PROPTEST_CASES:-5000} $(WITHOUT_MODEL) $(CARGO) test --locked --workspace --lib --bin longshore --quiet -- fuzz || exit 1; \
	done

bench: setup ## Measure how quickly it answers and what it costs, against floors (BENCH_ONLY=figure,figure; PROFILE=release)
	@$(CARGO) build --locked --profile $(or $(PROFILE),dev) --workspace --all-targets
	@$(WITHOUT_MODEL) $(or $(CARGO_TARGET_DIR),target)/$(patsubst dev,debug,$(or $(PROFILE),dev))/bench

fmt: ## Format the code
	@$(CARGO) fmt --all

lint: ## Format, clippy and documentation, with warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet

base-image: ## Build the image that repository images start from
	@for part in packages engine agent base-image; do tests/setup/$$part.sh; done

stop: ## Stop the registry and the Docker engine that setup started
	@tests/setup/stop.sh
