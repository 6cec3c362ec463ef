# Each target installs what is missing (scripts/install-dependencies says what, and why) and can be run first on a fresh Debian 12.
#
#   make demo           serve examples/shop on 127.0.0.1:8080, with commands to try
#   make build          the optimised program, build/release/bin/plimsoll
#   make test           build with tests, run all of them
#   make sanitize       the tests under Address-, UndefinedBehaviour- and ThreadSanitizer
#   make bench          measure, nginx beside us
#   make profile        count what the optimised program runs often: cmake/plimsoll.profdata
#   make fuzz           each fuzz target for FUZZ_SECONDS (default 60)
#   make fuzz-coverage  how many lines of its module each fuzz target reaches
#   make torture        the long versions of tests, and whether each fuzz target finds a planted bug
#   make docs           the pages under docs/ as a static site, build/docs
#   make format         format the sources; format-check only looks
#
# JOBS sets how many compilers run at once (default: one per core).

SHELL := /bin/bash
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
CONFIGURE := cmake -S . -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_C_COMPILER=clang-19
NINJA := nice ninja -j$(JOBS)
# Whole-server tests that run under AddressSanitizer too: between them they ask for most of what a server does.
SANITIZED := authentication|authorization|cache|contract|http2|idempotency|operate|tables|tls_reload
# Tests that have a long form; the rooms hold the growth, overload and model tests among them.
TORTURED = ^(testkit|handler|edge|database)$$|^server\.(durability|faults|memory|model|engines|overload|reload|slow_clients|schema_differential|real_documents|strict_json|mock_ajv|effective_contract|history|postgres_faults|job_kills|job_claims|.*torture).*
# Rooms in which threads meet: these run under ThreadSanitizer.
THREADED := async;database;queue;store;edge;telemetry
FUZZERS = $(basename $(notdir $(shell find plimsoll -name '*_fuzz.cpp')))
FORMATTED = $(shell find . -path ./build -prune -o -name '*.[ch]pp' -print)

# Seconds that a test waits for a start, an answer or an end before it gives up.
export PLIMSOLL_PATIENCE ?= 120

# On a shared machine a whole-server test may meet its patience's end: there, a test that fails runs once more, and the output says so.
AGAIN = $(if $(CI),--repeat until-pass:2)

.DELETE_ON_ERROR:
.PHONY: help demo build test sanitize sanitize-memory sanitize-threads bench profile fuzz fuzz-coverage torture docs format format-check headers install

help:
	@sed -n 's/^#  \{0,1\} \(make .*\)/\1/p' Makefile

demo: build
	@scripts/demo

build:
	@scripts/install-dependencies build
	@$(CONFIGURE) -B build/release -DCMAKE_BUILD_TYPE=Release -DPLIMSOLL_TESTS=OFF
	@$(NINJA) -C build/release plimsoll

test:
	@scripts/install-dependencies test
	@$(CONFIGURE) -B build/test -DCMAKE_BUILD_TYPE=Test
	@$(NINJA) -C build/test
	@ctest --test-dir build/test --output-on-failure -j$(JOBS) --no-tests=error $(AGAIN)
	@scripts/check-coverage build/test

sanitize: sanitize-memory sanitize-threads

sanitize-memory:
	@scripts/install-dependencies test
	@$(CONFIGURE) -B build/asan -DCMAKE_BUILD_TYPE=Test -DPLIMSOLL_SANITIZE=address,undefined
	@$(NINJA) -C build/asan
	@ctest --test-dir build/asan --output-on-failure -j$(JOBS) --no-tests=error $(AGAIN) -R '^server\.($(SANITIZED))_test$$'
	@ctest --test-dir build/asan --output-on-failure -j$(JOBS) --no-tests=error $(AGAIN) -E '^server\.'

sanitize-threads:
	@scripts/install-dependencies test
	@$(CONFIGURE) -B build/tsan -DCMAKE_BUILD_TYPE=Test -DPLIMSOLL_SANITIZE=thread "-DPLIMSOLL_TEST_ROOMS=$(THREADED)"
	@$(NINJA) -C build/tsan
	@ctest --test-dir build/tsan --output-on-failure -j$(JOBS) --no-tests=error -E '^server\.'

bench:
	@scripts/install-dependencies bench
	@$(CONFIGURE) -B build/bench -DCMAKE_BUILD_TYPE=Release -DPLIMSOLL_TESTS=OFF -DPLIMSOLL_BENCH=ON
	@$(NINJA) -C build/bench
	@scripts/bench build/bench

profile:
	@scripts/install-dependencies profile
	@$(CONFIGURE) -B build/profile -DCMAKE_BUILD_TYPE=Release -DPLIMSOLL_TESTS=OFF -DPLIMSOLL_PROFILE=count
	@$(NINJA) -C build/profile plimsoll
	@scripts/profile build/profile

fuzz:
	@scripts/install-dependencies test
	@$(CONFIGURE) -B build/fuzz -DCMAKE_BUILD_TYPE=Test -DPLIMSOLL_TESTS=OFF -DPLIMSOLL_FUZZ=ON
	@$(NINJA) -C build/fuzz $(FUZZERS)
	@scripts/fuzz build/fuzz $(FUZZ_SECONDS)

fuzz-coverage:
	@scripts/install-dependencies fuzz
	@$(CONFIGURE) -B build/coverage -DCMAKE_BUILD_TYPE=Test -DPLIMSOLL_TESTS=OFF -DPLIMSOLL_FUZZ=ON -DPLIMSOLL_COVERAGE=ON
	@$(NINJA) -C build/coverage $(FUZZERS)
	@scripts/fuzz-coverage build/coverage build/fuzz/corpus

# The same tests as `make test`, asked by PLIMSOLL_TORTURE for many more rounds.
torture:
	@scripts/install-dependencies test
	@$(CONFIGURE) -B build/test -DCMAKE_BUILD_TYPE=Test
	@$(NINJA) -C build/test
	@PLIMSOLL_TORTURE=1 ctest --test-dir build/test --output-on-failure --timeout 14400 --no-tests=error -R '$(TORTURED)'
	@scripts/check-sources --compile $(JOBS)
	@scripts/growth-callgrind build/test
	@scripts/fuzz-planted build/planted

docs:
	@scripts/install-dependencies docs
	@scripts/docs

format:
	@scripts/install-dependencies test
	@clang-format-19 -i $(FORMATTED)

format-check:
	@scripts/install-dependencies test
	@clang-format-19 --dry-run -Werror $(FORMATTED)

# Each header compiles alone, and sources include what they use of the precompiled header.
headers:
	@scripts/install-dependencies build
	@scripts/check-headers $(JOBS)

install: build
	@cmake --install build/release
