# Millpond: commands for people and for CI. `make` alone prints them.
#
# Everything that a fresh Debian lacks is installed by `make setup`, which the others call; CI calls only these targets.

CARGO  ?= cargo
TARGET := x86_64-unknown-linux-musl
BARE   := --target $(TARGET)
IMAGES := web echo iperf stock
GUESTS := $(notdir $(wildcard tests/guests/*))
HOST   := -p boot -p cmdline -p ledger -p xen -p pool -p nic -p tcp -p tls -p netfront -p net -p datafront -p vchan -p push -p receive -p pull -p kernel -p web -p iperf -p xen-sim -p host-tests -p allocation-tests -p abi-tests -p document-tests -p field-tests
# Where the build happens must not show in an image: the same sources give the same bytes in any folder. Looked up when it
# is used: on a new machine there are no crates before `setup`.
CRATES  = $(shell ls -d $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src/* 2>/dev/null)
REMAP   = --config 'target.$(TARGET).rustflags=[$(foreach from,$(CRATES),"--remap-path-prefix=$(from)=/crates",)"--remap-path-prefix=$(CURDIR)=/millpond"]'
# Known to the image's note; a tree without git is told.
export MILLPOND_COMMIT := $(or $(MILLPOND_COMMIT),$(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null),unknown)
SAY    := say() { printf '\n== %s %s\n' "$$(date +%T)" "$$1"; }; say
# Static: dom0 needs nothing for it but Xen's tools, and a guest nothing but its kernel.
BUILD_STATIC = RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) build --quiet --release --target x86_64-unknown-linux-gnu --features libxenvchan
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)

FUZZ         := rx tx xenstore boot pool frames vchan tcp_segments tcp_link tls_records dhcp neighbours pax ledger
FUZZ_SECONDS ?= 60
FUZZ_DIR     = $(abspath $(or $(CARGO_TARGET_DIR),tests/fuzz/target))/x86_64-unknown-linux-gnu/release
# As cargo-fuzz has it: AddressSanitizer, a counter at every edge, comparisons shown to the fuzzer; where, rustc.sh says.
# Checks of AddressSanitizer are calls: written out, they would be edges and comparisons too, by far the most.
export FUZZ_SANITIZER := -Zsanitizer=address -Cllvm-args=-asan-instrumentation-with-call-threshold=0
export FUZZ_EDGES := -Cpasses=sancov-module $(addprefix -Cllvm-args=,\
    -sanitizer-coverage-level=4 -sanitizer-coverage-inline-8bit-counters -sanitizer-coverage-pc-table \
    -sanitizer-coverage-trace-compares -simplifycfg-branch-fold-threshold=0)
# Leaks are counted in pages by the targets themselves; a short quarantine and short traces, for speed.
FUZZ_ASAN := detect_leaks=0:malloc_context_size=2:quarantine_size_mb=8

.PHONY: help setup image guests push receive pull backend dist reproduce run run-guest new screenshot test test-life-long test-receive-long test-hvm test-host test-model test-abi test-reproduce test-bed test-bed-self test-battery test-versions test-clients test-site test-tap fuzz mutants sanitize check fmt lint doc docs rules bench bench-host bench-xen bench-boot bench-copies bench-datafront bench-emulated bench-tcp bench-tls clean

help: ## print this
	@echo 'Millpond, a network unikernel for Xen. Commands:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing on this machine: Debian packages, the Rust target
	@./setup.sh

# Each image is renamed into its place: a test that runs beside may be reading the one before.
image: setup ## build the images: build/web.elf and others, to which xen.cfg points
	@$(SAY) 'building the images'
	@$(CARGO) build --release $(BARE) $(REMAP) $(addprefix -p ,$(IMAGES))
	@mkdir -p build
	@for image in $(IMAGES); do \
	    strip -o build/$$image.new $(TARGET_DIR)/$(TARGET)/release/$$image && mv build/$$image.new build/$$image.elf && \
	    printf 'build/%s.elf: %s bytes\n' $$image "$$(stat -c %s build/$$image.elf)"; done

guests: image ## build the guests that only tests run
	@$(SAY) 'building the test guests'
	@$(CARGO) build --release $(BARE) $(REMAP) $(addprefix -p ,$(GUESTS))
	@for guest in $(GUESTS); do strip -o build/$$guest.elf $(TARGET_DIR)/$(TARGET)/release/$$guest; done

dist: image ## what is handed out: build/dist with the images, xen.cfg, checksums, bills of materials
	@$(SAY) 'build/dist'
	@rm -rf build/dist && mkdir -p build/dist
	@sed 's#build/web.elf#web.elf#' xen.cfg > build/dist/xen.cfg
	@for image in $(IMAGES); do \
	    cp build/$$image.elf build/dist/ && \
	    $(CARGO) run --quiet -p bill -- appliances/$$image "$$(sha256sum build/$$image.elf | cut -d ' ' -f 1)" \
	        "$$MILLPOND_COMMIT" > build/dist/$$image.cdx.json || exit 1; done
	@cd build/dist && sha256sum -- * > SHA256SUMS && cat SHA256SUMS

reproduce: image ## build the images in another folder too, and compare the bytes
	@$(SAY) 'the same sources in two folders'
	@CARGO='$(CARGO)' tools/reproduce.sh $(IMAGES)

push: setup ## build dom0's end of datafront: build/push, which needs nothing but Xen's tools
	@$(SAY) 'building push'
	@$(BUILD_STATIC) -p push --bins --example blocks
	@mkdir -p build && cd $(abspath $(TARGET_DIR))/x86_64-unknown-linux-gnu/release && \
	    strip -o $(CURDIR)/build/push push && strip -o $(CURDIR)/build/push-blocks examples/blocks

receive: setup ## build a Linux guest's end of datafront: build/receive, which needs nothing but Xen's devices
	@$(SAY) 'building receive'
	@$(BUILD_STATIC) -p receive --bins
	@mkdir -p build && strip -o build/receive $(TARGET_DIR)/x86_64-unknown-linux-gnu/release/receive

pull: setup ## build dom0's end of datafront for what guests send: build/pull, which needs nothing but Xen's tools
	@$(SAY) 'building pull'
	@$(BUILD_STATIC) -p pull --bins
	@mkdir -p build && strip -o build/pull $(TARGET_DIR)/x86_64-unknown-linux-gnu/release/pull

# Of its own profile: a backend that only tests run need not be optimised as a whole.
backend: setup ## build the backend that tests put in the place of netback: build/backend
	@$(SAY) 'building the backend for tests'
	@RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) build --quiet --profile host --target x86_64-unknown-linux-gnu -p backend
	@mkdir -p build && strip -o build/backend $(TARGET_DIR)/x86_64-unknown-linux-gnu/host/backend

# Ports of 127.0.0.1 that lead to ports of the guest, by image.
FORWARD_web   := 8080:80
FORWARD_echo  := 8007:7
FORWARD_iperf := 5201:5201 5001:5001
FORWARD_stock := 8007:7
IMAGE         ?= web
$(if $(filter $(IMAGE),$(IMAGES)),,$(error IMAGE=$(IMAGE) is wrong: one of $(IMAGES)))

run: image ## boot real Xen in QEMU and start an image: the web appliance, or IMAGE=echo, IMAGE=iperf, IMAGE=stock
	@$(MAKE) --no-print-directory run-guest CFG=xen.cfg FORWARD='$(FORWARD_$(IMAGE))' \
	    GUEST='--name $(IMAGE) --kernel build/$(IMAGE).elf'

# For `run` here and in the folder of a separate appliance.
run-guest:
	@$(SAY) 'starting Xen in QEMU with $(CFG) $(GUEST); Ctrl-C ends it'
	@$(CARGO) run --quiet --profile host -p bed --bin bed -- run --cfg $(CFG) $(GUEST) $(addprefix --forward ,$(FORWARD))

screenshot: image ## take docs/status.png from a guest on real Xen, with headless Chromium
	@./setup.sh chromium curl pngquant
	@$(SAY) 'taking a picture of the status page'
	@tools/screenshot.sh docs/status.png 18080 $(CARGO) run --quiet --profile host -p bed --bin bed -- run --cfg xen.cfg --forward 18080:80

new: ## leave an appliance of your own in a new folder: make new NAME=hello DIR=../hello
	@tools/new/new.sh '$(NAME)' '$(DIR)' '$(GIT)'

# What is built for real Xen is built first; then the machines wait now and then, and the other tests have what they leave.
test: check guests push receive pull backend ## every test: host, layouts against Xen's headers, real Xen
	@./setup.sh test
	@$(MAKE) --no-print-directory test-bed BESIDE='$(MAKE) --no-print-directory test-host test-model test-abi test-reproduce'
	@$(SAY) 'all tests passed'

test-host: setup ## unit tests, and the guest over the simulated Xen
	@$(SAY) 'tests on the host'
	@$(CARGO) test --quiet --no-fail-fast $(HOST) --lib --tests

test-model: setup ## models that try every state and every order; what must not compile does not
	@$(SAY) 'models, and examples that must not compile'
	@$(CARGO) test --quiet -p model-tests
	@$(CARGO) test --quiet --doc -p xen -p pool

test-abi: setup ## layouts compared with C compiled against Xen's public headers
	@$(SAY) 'layouts against Xen'\''s headers'
	@$(CARGO) test --quiet -p abi-tests

test-reproduce: image ## the same sources give the same web image in another folder
	@$(SAY) 'the same sources in two folders'
	@CARGO='$(CARGO)' tools/reproduce.sh web

test-bed: guests push receive pull backend ## tests on real Xen in QEMU, two programs at a time
	@$(SAY) 'tests on real Xen'
	@$(CARGO) test --profile host -p bed --lib --bins
	@CARGO='$(CARGO)' tests/lanes.sh $(BESIDE)

test-life-long: guests push ## save and restore fifty times, pause for a minute, dump a core to its end, kill xenstored (its own command)
	@$(CARGO) test --profile host -p domu-tests --test life -- --ignored --test-threads=1 --nocapture

test-receive-long: push receive ## 10,000 blocks into a Linux guest, both sides killed ten times, save and restore (its own command)
	@$(CARGO) test --profile host -p datafront-tests --test receive -- --ignored --test-threads=1 --nocapture ten_thousand

test-hvm: push receive ## blocks into an HVM Linux guest, both sides killed, save and restore; dom0 has a device model (its own command)
	@$(CARGO) test --profile host -p datafront-tests --test receive -- --ignored --test-threads=1 --nocapture hvm

test-bed-self: setup ## the bed's own tests on real Xen, with Linux guests (its own command)
	@$(CARGO) test --profile host -p bed -- --test-threads=1 --nocapture

test-battery: guests push ## hostile clients x memory x content on real Xen; BATTERY=4:50:readers for a part (its own command)
	@$(SAY) 'hostile clients against guests of every size'
	@$(CARGO) test --profile host -p domu-tests --test battery -- --include-ignored --test-threads=$${BED_LANES:-2} --nocapture

test-versions: guests push backend ## every release of Xen that Debian has; RELEASES='4.14 4.20', PROGRAMS=versions for a part (its own command)
	@$(SAY) 'releases of Xen'
	@CARGO='$(CARGO)' tests/versions.sh $(RELEASES)

test-clients: image push ## iperf, iperf3, wrk, curl, nmap, scapy; testssl, openssl, h2load and Chromium over TLS; against real Xen through a TAP device (its own command; needs root)
	@./setup.sh clients
	@$(SAY) 'clients that nobody here wrote'
	@$(CARGO) test --profile host -p client-tests -- --test-threads=1 --nocapture

test-site: image push ## 10,000 files over https to Chromium, replaced under wrk, and back after a reboot, on real Xen (its own command; needs root)
	@./setup.sh clients
	@$(SAY) 'a site of 10,000 files'
	@$(CARGO) test --profile host -p client-tests --test site -- --ignored --test-threads=1 --nocapture

test-tap: setup ## the TCP engine against Linux's TCP over a TAP device, 100 MB a direction (its own command; needs root)
	@$(SAY) "the engine against Linux's TCP"
	@$(CARGO) test --profile host -p tap-tests -- --test-threads=1 --nocapture

fuzz: setup ## every fuzz target for FUZZ_SECONDS, 60 by default; needs a nightly compiler (its own command)
	@$(SAY) 'building the fuzz targets'
	@cd tests/fuzz && $(CARGO) run --quiet -p seeds -- corpus
	@cd tests/fuzz && RUSTFLAGS='--cfg fuzzing' RUSTC_WRAPPER=$(CURDIR)/tests/fuzz/rustc.sh \
	    $(CARGO) +nightly build --quiet --release --target x86_64-unknown-linux-gnu --bins
	@mkdir -p tests/fuzz/artifacts
	@cd tests/fuzz && for target in $(FUZZ); do \
	    $(SAY) "fuzzing $$target for $(FUZZ_SECONDS) s" && \
	    ASAN_OPTIONS=$(FUZZ_ASAN) $(FUZZ_DIR)/$$target -detect_leaks=0 -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 -verbosity=0 \
	        -print_final_stats=1 -artifact_prefix=artifacts/$$target- corpus/$$target || exit 1; done

# What a mutant of a crate is tested by: the crate's own tests, optimised, since some of them run through many cases.
MUTANTS ?= pool/src netfront/src xen/src net/src datafront/src appliances/web/src/http appliances/web/src/publish
mutants: setup ## change one expression at a time, and count the changes that no test sees: SAMPLE=20 of each part, MUTANTS=netfront/src/wire (its own command)
	@./setup.sh mutants
	@$(SAY) 'mutants of $(MUTANTS)'
	@CARGO='$(CARGO)' SAMPLE='$(SAMPLE)' SEED='$(SEED)' tools/mutants.sh $(MUTANTS)

check: setup fmt lint doc rules ## format, lints, documentation, who imports whom, unsafe budget

fmt: setup
	@$(SAY) 'format'
	@$(CARGO) fmt --all -- --check

lint: setup
	@$(SAY) 'lints: the guest for its own target, everything else for the host'
	@$(CARGO) clippy --quiet --release $(BARE) $(addprefix -p ,$(IMAGES) $(GUESTS)) -- -D warnings
	@$(CARGO) clippy --quiet $(HOST) -p bed -p domu-tests -p model-tests -p datafront-tests -p client-tests -p tap-tests --lib --tests -- -D warnings
	@$(CARGO) clippy --quiet -p bed -p bench -p symbolize -p push -p receive -p pull -p backend --bins --examples -- -D warnings

doc: setup
	@$(SAY) 'documentation'
	@RUSTDOCFLAGS='-D warnings' $(CARGO) doc --quiet --no-deps $(HOST) -p bed --lib

docs: setup ## write the tables of docs/configuration.md, docs/field-bugs.md and appliances/web/STATUS.md from the code
	@UPDATE_DOCS=1 $(CARGO) test --quiet -p kernel -p web -p document-tests --lib --tests is_made_from

rules: setup
	@$(SAY) 'rules: who imports whom, unsafe budget, module heads'
	@$(CARGO) run --quiet -p rules

# Leaks are not looked for: unit tests leak the memory of the machines that they make up. Under Miri a byte takes as long as
# a thousand, so that it gets what has to do with references, atomics and pages: these modules of xen, netfront's unit tests
# and the pool's operations; the rest of xen (xenstore, console, xenbus: safe code over it) would take hours.
MIRI := shared:: page:: ring:: contiguous:: gnttab:: foreign:: evtchn::
sanitize: setup ## the hostile cases under AddressSanitizer, and those of rings and pages under Miri; needs a nightly compiler (its own command)
	@$(SAY) 'under AddressSanitizer: xen, netfront, the whole guest'
	@ASAN_OPTIONS=detect_leaks=0 RUSTFLAGS='-Zsanitizer=address' CARGO_TARGET_DIR=$(TARGET_DIR)/asan \
	    $(CARGO) +nightly test --quiet --no-fail-fast \
	    --target x86_64-unknown-linux-gnu -p xen -p pool -p netfront -p host-tests --lib --tests
	@$(SAY) 'under Miri: shared memory, pages, rings, grants, the pool'
	@rustup component add --toolchain nightly miri rust-src
	@MIRIFLAGS='-Zmiri-disable-weak-memory-emulation -Zmiri-disable-isolation -Zmiri-ignore-leaks' CARGO_TARGET_DIR=$(TARGET_DIR)/miri \
	    sh -c '$(CARGO) +nightly miri test --quiet -p xen --lib -- $(MIRI) && \
	        $(CARGO) +nightly miri test --quiet -p pool -p nic -p netfront --lib --test pool'

bench-host: setup ## count instructions a packet in the frontend with callgrind: build/bench/host.tsv (its own command)
	@./setup.sh valgrind
	@$(SAY) 'counting on the host'
	@$(CARGO) build --quiet --release -p cost
	@$(TARGET_DIR)/release/cost build/bench

bench: bench-host bench-xen ## count instructions and hypercalls, ours beside Linux's (its own command, never a test)

bench-xen: image ## the same on real Xen: build/bench/xen.tsv, xen.html; BENCH='--only http' and other options
	@$(SAY) 'counting on real Xen; each figure comes as soon as it is known'
	@$(CARGO) run --quiet --profile host -p bench --bin bench -- --plugin $(BENCH)

bench-boot: image ## size, least memory and instructions of a start, beside Linux's: build/bench/boot.tsv
	@$(SAY) 'starts on real Xen, counted; Linux takes minutes each time'
	@$(CARGO) run --quiet --profile host -p bench --bin bench -- --boot $(BENCH)

bench-copies: guests ## copies and checksums in an image, by several ways: build/bench/copies.tsv
	@$(SAY) 'counting copies on real Xen'
	@$(CARGO) run --quiet --profile host -p bench --bin bench -- --copies

bench-tls: image push ## TLS 1.3 on real Xen: handshakes, kept requests and bulk, ours beside nginx with OpenSSL: build/bench/tls.tsv, tls.html
	@$(SAY) 'counting TLS on real Xen; each figure comes as soon as it is known'
	@$(CARGO) run --quiet --profile host -p bench --bin bench -- --plugin --tls $(BENCH)

bench-datafront: guests push receive pull ## blocks by datafront, by HTTP PUT and by a bare C pair, counted on real Xen: build/bench/datafront.tsv
	@$(SAY) 'counting blocks on real Xen'
	@$(CARGO) run --quiet --profile host -p bench --bin bench-datafront -- $(BENCH)

bench-emulated: guests ## requests and blocks to a Linux HVM guest with an emulated card, beside netfront and ours: build/bench/emulated.tsv
	@$(SAY) 'counting emulated cards on real Xen'
	@$(CARGO) run --quiet --profile host -p bench --bin bench-emulated -- $(BENCH)

bench-tcp: setup ## downloads over bad paths, our TCP beside Linux's: build/bench/tcp.tsv, tcp.html; CELLS=, REPEATS= (its own command; needs root)
	@$(SAY) "downloads, ours beside Linux's"
	@$(CARGO) run --quiet --profile host -p tap-tests --bin bench-tcp

symbolize: ## name functions, files and lines in a crash report: make symbolize LOG=console.log
	@$(CARGO) run --quiet -p symbolize -- $(or $(LOG),$(error LOG= names the log with the report))

clean: ## remove everything that was built
	@rm -rf build $(TARGET_DIR)
