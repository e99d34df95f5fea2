//! `countersign descriptors`: the protos of this build as one descriptor set, for tools that want a file: `grpcurl
//! -protoset`, a proxy that transcodes, a generator of clients. A release has it beside the binary.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use super::Failure;
use crate::pb;

/// The arguments of `descriptors`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write the encoded google.protobuf.FileDescriptorSet; to standard output without it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.out {
        None => std::io::stdout().write_all(pb::DESCRIPTORS).map_err(Failure::output),
        Some(path) => fs::write(&path, pb::DESCRIPTORS)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display()))),
    }
}
