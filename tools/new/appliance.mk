# The rules of an appliance in a folder of its own. Its Makefile sets NAME, FORWARD and MILLPOND, and includes this file.

CARGO      ?= cargo
TARGET     := x86_64-unknown-linux-musl
# The repository's flags for the linker; the path of the script becomes absolute.
LINK_FLAGS  = $(shell sed -n 's|"link-arg=-Tlinker.ld"|"link-arg=-T$(MILLPOND)/linker.ld"|; s|^rustflags = \[\(.*\)\]|\1|p' $(MILLPOND)/.cargo/config.toml)

.PHONY: help image run clean

help: ## print this
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

image: ## build the image, to which xen.cfg points
	@$(MILLPOND)/setup.sh
	@$(CARGO) build --release --target $(TARGET) --config 'target.$(TARGET).linker="rust-lld"' --config 'target.$(TARGET).rustflags=[$(LINK_FLAGS)]'
	@mkdir -p build && strip -o build/$(NAME).new target/$(TARGET)/release/$(NAME) && mv build/$(NAME).new build/$(NAME).elf
	@printf 'build/%s.elf: %s bytes\n' $(NAME) "$$(stat -c %s build/$(NAME).elf)"

run: image ## boot real Xen in QEMU and start the image on it
	@$(MAKE) -C $(MILLPOND) --no-print-directory run-guest CFG=$(CURDIR)/xen.cfg FORWARD='$(FORWARD)'

clean: ## remove everything that was built
	@rm -rf build target
