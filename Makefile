# The commands of trawl. `make up` and `make test` set up everything they need.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

WASM_TARGET := wasm32-wasip2
ROLES := auth ingest dispatcher scraper-text scraper-html scraper-domains callback
# Components are optimised as a whole when they are linked: a fifth smaller, and a twentieth quicker. What runs natively shares its
# profile with the tests, whose many programs would each take minutes to link so.
WASM_CARGO := CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 cargo
ROLE_PACKAGES := $(foreach r,$(ROLES),-p trawl-$(r))
# What the host is built with: release, or dist (see Cargo.toml).
PROFILE = release
TRAWL = target/$(PROFILE)/trawl
RUN_ARGS ?=
NATIVE_TARGET = $(shell rustc -vV | sed -n 's/^host: //p')

# What `dist` is built after: how often a host took which branch when it did what `trawl-bench train` makes it do. The path is part of
# the flags, so that it may not change. With `COUNTS=` on the command line nothing is counted.
TRAINED = $(CURDIR)/target/trained
COUNTS = $(TRAINED)/trawl.profdata

.PHONY: help setup setup-tests setup-docs setup-check build components host train dist package up test check lint licences bench bench-build bench-check bench-record profile faults soak quality quality-build fuzz experiments clean

help: ## what each command does
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup:
	@command -v cargo >/dev/null || { echo "trawl needs rustup and its cargo: see https://rustup.rs, then run this again" >&2; exit 1; }
	command -v cc >/dev/null || { echo "trawl needs a C compiler (package gcc or clang): install one, then run this again" >&2; exit 1; }
	command -v rustup >/dev/null || { echo "trawl needs rustup, to add the target $(WASM_TARGET): see https://rustup.rs" >&2; exit 1; }
	rustup target list --installed | grep -qx $(WASM_TARGET) || rustup target add $(WASM_TARGET)

components: setup ## build the seven WASM components (release)
	$(WASM_CARGO) build --locked --release --target $(WASM_TARGET) $(ROLE_PACKAGES)

# `--bin` and not `-p`: then the packages of the whole project decide about features, as they do when tests are built, and nothing that
# both need is built twice.
host: setup
	$(call build,trawl)

# $(call build,BINARY)
build = $(if $(filter dist,$(PROFILE)),$(build_dist),cargo build --locked --profile $(PROFILE) --bin $(1))
define build_dist
$(if $(COUNTS),$(MAKE) train)
RUSTFLAGS="$${RUSTFLAGS:-} $(COUNTS:%=-Cprofile-use=%)" cargo build --locked --profile dist --target $(NATIVE_TARGET) --bin $(1)
mkdir -p target/dist
ln -f target/$(NATIVE_TARGET)/dist/$(1) target/dist/$(1)
endef

# The programs that count are those of `dist`, so that functions have the same names, but for the long link. They count anew when
# either of both is new, and everything is then built anew after the counts. SQLite's C is not counted: 2 % more, but each compiler
# of C counts in a form of its own.
train: COUNTING = $(TRAINED)/$(NATIVE_TARGET)/dist
train: components setup-docs
	rustup component list --installed | grep -q '^llvm-tools' || rustup component add llvm-tools
	CARGO_TARGET_DIR=$(TRAINED) RUSTFLAGS="$${RUSTFLAGS:-} -Cprofile-generate=$(TRAINED)/counts -Clto=no -Clinker-plugin-lto=no" \
		cargo build --locked --profile dist --target $(NATIVE_TARGET) --bin trawl --bin trawl-bench
	if [ ! $(COUNTS) -nt $(COUNTING)/trawl ] || [ ! $(COUNTS) -nt $(COUNTING)/trawl-bench ]; then
		rm -rf $(TRAINED)/counts
		$(COUNTING)/trawl-bench train || { echo "the work to be counted could not be done; make dist COUNTS= builds without it, for a host that is a little slower" >&2; exit 1; }
		"$$(rustc --print sysroot)/lib/rustlib/$(NATIVE_TARGET)/bin/llvm-profdata" merge -o $(COUNTS) $(TRAINED)/counts
	fi

build: components host ## build host and components in release

dist: PROFILE = dist
dist: build ## the same with a host that needs a sixth less processor time (target/dist/trawl); takes some 20 minutes and 3 GB to build

# A folder that needs nothing else of this checkout: the manifest names the components as they lie beside it.
package: PROFILE = dist
package: dist ## what make dist builds, in one folder: target/package
	rm -rf target/package && mkdir -p target/package
	cp $(TRAWL) LICENSE-* README.md infra/deploy/trawl.service target/package/
	cp $(addprefix target/$(WASM_TARGET)/release/,$(addsuffix .wasm,$(subst -,_,$(ROLES)))) target/package/
	sed 's|target/$(WASM_TARGET)/release/||' spin.toml > target/package/spin.toml

up: build ## build all that is needed and serve on 127.0.0.1:3000
	exec $(TRAWL) up $(RUN_ARGS)

setup-docs: setup
	@[ -d "$$(rustc --print sysroot)/share/doc/rust/html/book" ] || rustup component add rust-docs

setup-tests: setup-docs
	.ci/install redis-server redis-server
	.ci/install ip iproute2

test: build setup-tests ## set up everything and pass every test
	@failed=0
	# Tests mostly wait for other programs: twice as many at once as there are cores.
	export RUST_TEST_THREADS="$${RUST_TEST_THREADS:-$$(($$(getconf _NPROCESSORS_ONLN) * 2))}"
	cargo test --locked --release --no-fail-fast --tests || failed=1
	cargo test --locked --release --no-fail-fast --doc || failed=1
	[ "$$failed" = 0 ] || exit 1
	if [ -z "$${SPIN:-}" ]; then echo "SKIPPED under_spin: set SPIN to a spin 4.1 binary to run the end-to-end suite under it"; exit 0; fi
	cargo test --locked --release -p trawl-e2e --test flow -- --ignored under_spin
	TRAWL_TESTS_UNDER_SPIN=1 cargo test --locked --release -p trawl-e2e --test pages --test wrong_input

setup-check: setup
	@rustup component list --installed | grep -q '^clippy' || rustup component add clippy
	rustup component list --installed | grep -q '^rustfmt' || rustup component add rustfmt
	.ci/install-cargo-deny

lint: setup-check
	cargo fmt --all --check
	cargo clippy --locked --release --all-targets -- -D warnings
	$(WASM_CARGO) clippy --locked --release --target $(WASM_TARGET) -p trawl-core -p trawl-extract -p trawl-wire -p trawl-store -p trawl-app -p trawl-spin $(ROLE_PACKAGES) -p trawl-bench-hello -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --no-deps --lib

licences: setup-check
	.ci/licences

check: lint licences ## format, lints, licences, dependency rules
	cargo test --locked --release --test dependencies --test unused

faults: build ## 200 kills and power loss under load, with a table
	cargo run --locked --release -p trawl-faults -- faults $(RUN_ARGS)

soak: build ## kills under load for as long as DURATION says (default 1h)
	cargo run --locked --release -p trawl-faults -- soak --duration "$${DURATION:-1h}" $(RUN_ARGS)

# It runs the host that lies beside it.
BENCH = target/$(PROFILE)/trawl-bench

bench-build: host setup-tests
	$(WASM_CARGO) build --locked --release --target $(WASM_TARGET) $(ROLE_PACKAGES) -p trawl-bench-hello
	$(call build,trawl-bench)

bench: PROFILE = dist
bench: quality-build bench-build ## figures against baselines in the same run (SCENARIO=… for one), of what `make dist` builds
	$(BENCH) $(if $(SCENARIO),--scenario $(SCENARIO)) $(RUN_ARGS)

bench-check: bench-build ## the short version: fails when a ratio fell under 0.7 of the recorded one
	$(BENCH) --check tests/bench/recorded.json $(RUN_ARGS)

bench-record: bench-build ## records these ratios anew (on a machine that does nothing else)
	$(BENCH) --record tests/bench/recorded.json $(RUN_ARGS)

profile: bench-build ## a flame graph of the host (SCENARIO=hello, accept, job-1-fast, job-1-best, job-2 or job-3)
	$(BENCH) profile $(if $(SCENARIO),--scenario $(SCENARIO)) $(RUN_ARGS)

quality-build: setup
	cargo build --locked --release --bin quality
	$(WASM_CARGO) build --locked --release --target $(WASM_TARGET) -p trawl-quality

quality: setup ## scores and speed of the extraction over PAGES=dir, native and in WASM
	@test -n "$(PAGES)" || { echo "say where the pages are: make quality PAGES=dir" >&2; exit 2; }
	$(MAKE) quality-build
	target/release/quality "$(PAGES)" --wasm target/$(WASM_TARGET)/release/quality.wasm $(RUN_ARGS)

# What cargo-fuzz passes to rustc, without the sanitizers, which only a nightly compiler has.
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1
FUZZ_TARGETS := text charset robots domains url_guard redirects
FUZZ_SECONDS ?= 60

fuzz: setup ## the parsers of pages, robots.txt, URLs and redirects under libFuzzer, FUZZ_SECONDS=60 each; what is found is left in target/fuzz
	CARGO_TARGET_DIR=target/fuzz RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --locked --release --target $(NATIVE_TARGET) --manifest-path tests/fuzz/Cargo.toml
	for target in $(FUZZ_TARGETS); do \
		mkdir -p target/fuzz/corpus/$$target; \
		target/fuzz/$(NATIVE_TARGET)/release/$$target -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=20 \
			-artifact_prefix=target/fuzz/$$target- target/fuzz/corpus/$$target tests/data/fuzz/$$target; \
	done

experiments: build setup-tests ## the six load-balancing experiments (RUN_ARGS=--record puts the table into the docs)
	cargo run --locked --release -p trawl-e2e --bin experiments -- $(RUN_ARGS)

clean: ## remove what was built; the state in .trawl and .spin stays
	rm -rf target
