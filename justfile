# Entry points for people. `.ci/run` calls the same commands.

# Build the service.
build:
    cargo build --release --locked

# Everything that the crate promises.
test:
    cargo test --locked

# Format and lints, as CI sees them.
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings

# Our figures beside their floors, measured in one run.
bench:
    cargo bench --locked --bench load

# Clients that people bring, against a real server: all, or those named (needs Go and Python; says what is missing).
clients *names:
    clients/run.sh {{names}}

# Lints the protos and looks for breaking changes (needs npm).
buf:
    tools/buf/run.sh

# What a release has beside the binary: the protos as a descriptor set.
descriptors:
    mkdir -p dist
    cargo run --release --locked -- descriptors --out dist/countersign.binpb

# A release, in dist/: the binary, the protos as a descriptor set, and the checksums of both.
release: build descriptors
    cp target/release/countersign dist/countersign
    cd dist && sha256sum countersign countersign.binpb > SHA256SUMS

# The power-cut test: needs root, loop devices and mkfs.ext4.
powercut cuts="20":
    tests/powercut/run.sh {{cuts}}

# The long version of the kill test.
kill kills="500":
    COUNTERSIGN_TEST_KILLS={{kills}} cargo test --locked --test it kill

# Advisories, licences and sources of the dependencies (needs cargo-deny).
deny:
    cargo deny check

# Fuzz one target for a minute (needs cargo-fuzz).
fuzz target="expr" seconds="60":
    cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run {{target}} -- -max_total_time={{seconds}}
