//! The wire module against its own small protos: hand-made cases as data, prost-reflect as the oracle for random
//! messages, a naive model for masks, and bytes and texts that mean harm.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test's way to fail; clippy's own exemption does not reach functions beside the tests"
)]

mod cases;
mod hostile;
mod masks;
mod oracle;

use std::path::PathBuf;
use std::sync::LazyLock;

use countersign::wire::{Schema, Type, json};
use prost_reflect::{DescriptorPool, MessageDescriptor};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/wire").join(name)
}

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut compiler = protox::Compiler::new([data("")]).unwrap();
    compiler.include_imports(true);
    compiler.open_files(["every.proto", "document.proto"]).unwrap();
    // The raw bytes: extensions in options do not survive the typed descriptor set.
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
});

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(&POOL));

fn ty(name: &str) -> Type {
    SCHEMA.message(name).unwrap_or_else(|| panic!("no message {name}"))
}

fn descriptor(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).unwrap()
}

fn to_json(ty: &Type, bytes: &[u8], defaults: bool) -> String {
    let mut out = Vec::new();
    json::encode(ty, bytes, &json::Style { defaults, ..json::Style::default() }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn from_json(ty: &Type, text: &str) -> Result<Vec<u8>, json::Error> {
    let mut out = Vec::new();
    json::decode(ty, text.as_bytes(), &json::Reading::default(), &mut out)?;
    Ok(out)
}
