//! The real binary: its log, its signals, its exit code, and a machine that runs out of file descriptors.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};

use countersign::config::Listen;
use serde_json::Value;

use super::http1;
use super::probe::Client;
use crate::harness::{countersign, program};

/// A running binary, killed when the test ends. By a unix socket it has no address, and `addr` is none that can be called.
pub struct Process {
    child: Child,
    pub log: BufReader<ChildStderr>,
    pub addr: SocketAddr,
    pub admin_addr: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server of its own, whose log can be read.
pub(super) const SERVE: [&str; 5] = ["serve", "--admin-listen", "127.0.0.1:0", "--log-format", "json"];
/// Any port.
pub(super) const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];
/// Nothing is kept.
const MEMORY: [&str; 2] = ["--store", "memory:"];

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let line = find(&mut log, |line| line["message"] == "serving");
        let listen: Listen = line["listen"].as_str().unwrap().parse().unwrap();
        let addr = listen.address().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
        let admin_addr = line["admin_listen"].as_str().unwrap().parse().unwrap();
        Self { addr, admin_addr, child, log }
    }

    pub fn serve(flags: &[&str]) -> Self {
        Self::serve_in(&[], flags)
    }

    /// The same with a store of its own.
    pub fn serve_on(store: &str, flags: &[&str]) -> Self {
        let mut serve = countersign();
        serve.args(SERVE).args(LISTEN).args(["--store", store]).args(flags);
        Self::start(serve)
    }

    /// The same with these variables.
    pub fn serve_in(env: &[(&str, &str)], flags: &[&str]) -> Self {
        let mut serve = countersign();
        serve.args(SERVE).args(LISTEN).args(MEMORY).args(flags).envs(env.iter().copied());
        Self::start(serve)
    }

    /// The same by a unix socket; there is no main address then.
    pub fn serve_at(socket: &std::path::Path, flags: &[&str]) -> Self {
        let mut serve = countersign();
        serve.args(SERVE).arg("--listen").arg(format!("unix:{}", socket.display())).args(MEMORY).args(flags);
        Self::start(serve)
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub fn exit_code(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

/// Reads the log up to a line.
pub fn find(log: &mut impl std::io::BufRead, is: impl Fn(&Value) -> bool) -> Value {
    let mut seen = String::new();
    for line in log.lines() {
        let line = line.unwrap();
        if let Ok(value) = serde_json::from_str::<Value>(&line)
            && is(&value)
        {
            return value;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("no such line in the log:\n{seen}");
}

/// The exit code of `healthcheck`, and what it says.
pub(super) fn healthcheck(env: &[(&str, &str)], flags: &[&str]) -> (Option<i32>, String) {
    let mut check = countersign();
    let output = check.arg("healthcheck").args(flags).envs(env.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn healthcheck_asks_the_admin_port() {
    let mut process = Process::serve(&["--shutdown-delay", "1h"]);
    let address = process.admin_addr.to_string();
    let anywhere = format!("0.0.0.0:{}", process.admin_addr.port());
    assert_eq!(healthcheck(&[], &["--admin-listen", &address]), (Some(0), String::new()));
    // As in a container: where to listen is in the environment, and what makes that right is a flag of serve.
    let env = [("COUNTERSIGN_ADMIN_LISTEN", anywhere.as_str()), ("COUNTERSIGN_LISTEN", "0.0.0.0:8080")];
    assert_eq!(healthcheck(&env, &[]), (Some(0), String::new()));
    process.signal(rustix::process::Signal::TERM);
    find(&mut process.log, |line| line["message"] == "shutting down");
    let (code, said) = healthcheck(&[], &["--admin-listen", &address]);
    assert!(code == Some(1) && said.contains("shutting down"), "{said}");
    drop(process);
    assert_eq!(healthcheck(&[], &["--admin-listen", &address]).0, Some(1), "nobody is there");
}

#[test]
fn a_signal_ends_it_cleanly() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let process = Process::serve(&[]);
        let idle = TcpStream::connect(process.addr).unwrap();
        process.signal(signal);
        let (code, log) = process.exit_code();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("shutting down") && log.contains("all calls finished"), "{log}");
        drop(idle);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut process = Process::serve(&["--shutdown-delay", "1h"]);
    process.signal(rustix::process::Signal::TERM);
    find(&mut process.log, |line| line["message"] == "shutting down");
    process.signal(rustix::process::Signal::TERM);
    let (code, log) = process.exit_code();
    assert_eq!(code, Some(1), "{log}");
}

#[test]
fn one_line_a_request_and_never_a_payload() {
    let mut process = Process::serve(&[]);
    let addr = process.addr;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(async {
        let mut client = Client::connect(addr, None).await;
        let headers = [("x-request-id", "line-1"), ("authorization", "secret-token")];
        client.call("/grpc.health.v1.Health/Check", &headers, b"secret-service").await
    });
    assert_eq!(answer.code(), tonic::Code::NotFound);
    let line = find(&mut process.log, |line| line["request_id"] == "line-1");
    assert_eq!(line["method"], "/grpc.health.v1.Health/Check");
    assert_eq!(line["code"], "NOT_FOUND");
    assert_eq!(line["face"], "grpc");
    assert!(line["duration_ms"].is_number(), "{line}");
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");

    http1(
        addr,
        "GET /api/x?secret-query HTTP/1.1\r\nHost: t\r\nX-Request-Id: line-2\r\nConnection: close\r\n\r\n",
    );
    let line = find(&mut process.log, |line| line["request_id"] == "line-2");
    assert_eq!((&line["code"], &line["face"]), (&"NOT_FOUND".into(), &"rest".into()));

    process.signal(rustix::process::Signal::TERM);
    let (_, rest) = process.exit_code();
    assert!(!rest.contains("line-1") && !rest.contains("line-2"), "one line each: {rest}");
    assert!(!format!("{line}{rest}").contains("secret"), "{rest}");
}

#[test]
fn it_gets_over_a_shortage_of_file_descriptors() {
    let mut limited = program("sh");
    limited.args(["-c", "ulimit -n 48; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_countersign")]);
    limited.args(SERVE).args(LISTEN).args(MEMORY);
    let mut process = Process::start(limited);
    let many: Vec<_> = (0..64).map(|_| TcpStream::connect(process.addr).unwrap()).collect();
    find(&mut process.log, |line| line["message"] == "cannot accept a connection");
    drop(many);
    let answer = http1(process.addr, "GET /x HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let live = http1(process.admin_addr, "GET /livez HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert!(live.starts_with("HTTP/1.1 200"), "{live}");
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.exit_code().0, Some(0));
}

#[test]
fn an_address_that_is_taken_is_a_sentence_and_exit_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut serve = countersign();
    serve.args(["serve", "--listen", &address, "--store", "memory:", "--admin-listen", "127.0.0.1:0"]);
    let output = serve.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {address} (listen)")), "{said}");
}

#[test]
fn usage_errors_have_exit_code_2() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 4] = [
        (&["serve", "--lisen", "x"], &[], "--lisen"),
        (&["serve", "--listen", "nowhere"], &[], "--listen"),
        (&["serve"], &[("COUNTERSIGN_LISEN", "x")], "COUNTERSIGN_LISEN"),
        (&["serve", "--config", "/no/such/file.toml"], &[], "/no/such/file.toml"),
    ];
    for (args, env, named) in cases {
        let output = countersign().args(args).envs(env.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn the_largest_message_is_the_one_that_is_configured() {
    let process = Process::serve(&["--max-message-bytes", "8MiB"]);
    let call = async |bytes: usize| {
        let mut client = Client::connect(process.addr, None).await;
        client.call("/c1.api.policy.v1.Policies/Create", &[], vec![b'x'; bytes].as_slice()).await
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Five MiB are more than tonic takes by itself; what refuses them is that no policy has such a name.
    let allowed = runtime.block_on(call(5 << 20));
    assert_eq!(allowed.code(), tonic::Code::InvalidArgument);
    assert!(!allowed.text().contains("message length"), "{}", allowed.text());
    let refused = runtime.block_on(call(9 << 20));
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert!(refused.text().contains("max-message-bytes = 8388608"), "{}", refused.text());
}
