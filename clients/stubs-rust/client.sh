#!/usr/bin/env bash
# Builds and runs a program with Rust stubs generated from this repository's proto/, by tonic's generator. Needs cargo.
set -euo pipefail
command -v cargo >/dev/null || { echo "cargo is missing"; exit 77; }
export CARGO_TARGET_DIR=$CACHE/stubs-rust
cargo build -q --locked --manifest-path "$ROOT/clients/stubs-rust/Cargo.toml"
"$CARGO_TARGET_DIR/debug/stubs-rust" "$ADDR"
