# Every task of the project. Each sets up what it needs first, so each is the first command one may run.

SHELL := /usr/bin/env bash
CACHE_DIR := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ottvc
# Outside the checkout: a second clone, and a clean one, find RocksDB compiled.
CARGO_TARGET_DIR ?= $(CACHE_DIR)/target
PREFIX ?= $(HOME)/.local
export CARGO_TARGET_DIR CACHE_DIR

# One profile for the product, its tests and its lints: RocksDB then compiles once a machine.
CARGO_FLAGS := --release --locked
BINARY := $(CARGO_TARGET_DIR)/release/ottvc

.DEFAULT_GOAL := help
.PHONY: help setup build demo test fuzz bench fmt lint install

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: compiler, libclang, ffmpeg, strace, cargo-deny, ascmhl, nbdime, cargo-fuzz
	@tests/setup.sh build media lint crash fuzz

build: ## Build the ottvc binary
	@tests/setup.sh build
	cargo build $(CARGO_FLAGS) --package ottvc-cli
	@echo "built $(BINARY)"

demo: ## Tell ottvc's story on real media, in a minute or two after the build
	@tests/setup.sh build media
	cargo build $(CARGO_FLAGS) --package ottvc-cli
	@fixtures/demo.sh "$(BINARY)"

test: ## Check layout, lints, dependencies, every test, and fuzz a little; the last line counts
	@tests/setup.sh build media lint crash fuzz
	@tests/run.sh format lint dependencies tests fuzz

fuzz: ## Feed hostile bytes to every decoder, each for FUZZ_SECONDS (20)
	@tests/setup.sh build fuzz
	@tests/fuzz.sh

bench: ## Time ottvc beside the tools found here; writes docs/performance.md (BENCH_FLAGS, minutes)
	@tests/setup.sh build media
	cargo build $(CARGO_FLAGS) --package ottvc-cli
	benches/beside.py "$(BINARY)" --write docs/performance.md $(BENCH_FLAGS)

fmt: ## Lay out the code as .rustfmt.toml says
	cargo fmt --all

lint: ## Check layout, lints and dependencies only
	@tests/setup.sh build lint
	@tests/run.sh format lint dependencies

install: build ## Copy the binary to $(PREFIX)/bin
	install -d "$(PREFIX)/bin"
	install -m 755 "$(BINARY)" "$(PREFIX)/bin/ottvc"
