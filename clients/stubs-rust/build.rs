//! Generates the stubs from the repository's `proto/`. Needs no protoc: protox compiles.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Relative, so that what was built for one copy of the repository serves another.
    let proto = "../../proto";
    println!("cargo:rerun-if-changed={proto}");
    let files = ["c1/api/policy/v1/policies.proto", "c1/api/policy/v1/search.proto"];
    let descriptors = protox::compile(files, [proto])?;
    tonic_prost_build::configure().build_server(false).compile_fds(descriptors)?;
    Ok(())
}
