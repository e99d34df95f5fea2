//! `countersign healthcheck`: asks the admin port whether the service is ready, for images without a shell or curl.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use super::Failure;
use super::terminal::printable;
use crate::config::{self, Layer};

/// How long connecting, and each wait for the answer, may take. Container engines wait some 30 seconds in all.
const WAIT_MAX_S: u64 = 5;
/// The answer is a status line, a few headers and one sentence.
const ANSWER_MAX_BYTES: u64 = 16 * 1024;

/// The arguments of `healthcheck`. The environment and the file count as they do for `serve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 0: ready. 1: not ready, or nobody answers. It reads the same environment variables \
                        and file as serve, and so finds the admin port by itself."
)]
pub(super) struct Args {
    /// A TOML file with settings, as for serve.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the admin port.
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let layer = Layer { admin_listen: args.admin_listen, ..Layer::default() };
    let address = reachable(config::admin_listen(layer, args.config, env).map_err(Failure::usage)?);
    let answer = ask(address).map_err(|error| Failure::failed(format!("admin port {address}: {error}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split_ascii_whitespace().nth(1) {
        Some("200") => Ok(()),
        _ => Err(Failure::failed(format!("admin port {address}: {}", printable(body.trim())))),
    }
}

/// Who listens on every address listens on loopback too.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let wait = Duration::from_secs(WAIT_MAX_S);
    let mut stream = TcpStream::connect_timeout(&address, wait)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
