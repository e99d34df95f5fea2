//! Turns `proto/` into Rust and into the descriptor set that REST, reflection and OpenAPI are driven by.
//! Needs no `protoc` (protox compiles) and may not touch the network.
#![allow(clippy::print_stdout, reason = "cargo reads what a build script prints")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let mut protos = Vec::new();
    collect(Path::new("proto"), &mut protos)?;
    protos.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(&protos)?;

    // The compiler's own bytes: the typed set below no longer has the `google.api.http` options.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    let mut prost = prost_build::Config::new();
    prost.enable_type_names();
    // No transport: clients are given a channel, so that the library needs none of tonic's own.
    let mut tonic = tonic_prost_build::configure()
        .build_server(true)
        .build_client(true)
        .build_transport(false)
        // Guardian's service has many RPCs that are not ours; what no handler is written for is UNIMPLEMENTED.
        .generate_default_stubs(true)
        .codec_path("crate::rpc::codec::Codec")
        .btree_map(".");
    for name in ["Struct", "Value", "ListValue"] {
        tonic = tonic.extern_path(format!(".google.protobuf.{name}"), format!("crate::pb::json::{name}"));
    }
    tonic.compile_fds_with_config(compiler.file_descriptor_set(), prost)?;
    Ok(())
}

/// Finds every `.proto` below `dir`, and tells cargo to run this again when one changes, comes or goes.
fn collect(dir: &Path, protos: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={}", dir.display());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, protos)?;
        } else if path.extension().is_some_and(|ext| ext == "proto") {
            println!("cargo:rerun-if-changed={}", path.display());
            protos.push(path);
        }
    }
    Ok(())
}
