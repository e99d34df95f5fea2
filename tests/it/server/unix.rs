//! The main port as a unix socket: both faces, who may connect, what becomes of the file, and who it is that calls.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::probe::within;
use super::process::{Process, find, healthcheck};
use crate::harness::countersign;

/// A directory, and a socket in it that is not there yet.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("main.sock");
    (directory, socket)
}

/// One call over REST: its status and its body.
async fn rest(socket: &Path, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let exchange = async {
        let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = Request::get(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        drop(sender);
        let _ = connection.await;
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    within(exchange).await
}

/// The service that cannot start.
fn refused(socket: &Path, flags: &[&str]) -> Output {
    let mut serve = countersign();
    serve.args(["serve", "--admin-listen", "127.0.0.1:0", "--store", "memory:", "--listen"]);
    serve.arg(format!("unix:{}", socket.display())).args(flags).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn both_faces_are_there_and_the_file_is_gone_at_the_end() {
    let (_directory, socket) = place();
    let mut process = Process::serve_at(&socket, &[]);
    let file = std::fs::symlink_metadata(&socket).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o660);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = format!("unix:{}", socket.display());
    runtime.block_on(async {
        let channel = within(Endpoint::from_shared(url.clone()).unwrap().connect()).await.unwrap();
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        request.metadata_mut().insert("x-request-id", "over-grpc".parse().unwrap());
        within(HealthClient::new(channel).check(request)).await.unwrap();
        let (status, body) = rest(&socket, "/api/v1/policies", &[("x-request-id", "over-rest")]).await;
        assert!(status == 200 && body.contains("list"), "{status} {body}");
    });
    let peer = format!("unix:uid={},pid={}", rustix::process::getuid().as_raw(), std::process::id());
    for id in ["over-grpc", "over-rest"] {
        let line = find(&mut process.log, |line| line["request_id"] == id);
        assert_eq!((&line["peer"], &line["principal"]), (&peer.as_str().into(), &"anonymous".into()));
    }

    let mut tail = countersign();
    let output = tail.args(["audit", "tail", "--server", &url]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let mut tail = countersign();
    let output = tail.args(["audit", "tail", "--server", &url, "--ca", "ca.pem"]).output().unwrap();
    assert!(said(&output).contains("--ca is for a server at https://"), "{}", said(&output));
    let env = [("COUNTERSIGN_LISTEN", url.as_str())];
    let admin = process.admin_addr.to_string();
    assert_eq!(healthcheck(&env, &["--admin-listen", &admin]), (Some(0), String::new()));

    process.signal(Signal::TERM);
    let (code, log) = process.exit_code();
    assert_eq!(code, Some(0), "{log}");
    assert!(!socket.exists());
}

#[test]
fn what_lies_there_is_removed_only_if_it_is_a_socket_that_nobody_listens_on() {
    let (_directory, socket) = place();
    // A listener that is closed leaves its file behind.
    drop(UnixListener::bind(&socket).unwrap());
    let first = Process::serve_at(&socket, &[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(rest(&socket, "/ping", &[])).0, 200);

    let second = refused(&socket, &[]);
    let text = said(&second);
    assert!(second.status.code() == Some(1) && text.contains("somebody listens on it"), "{text}");
    assert!(text.contains(&format!("cannot listen on unix:{} (listen)", socket.display())), "{text}");
    assert_eq!(runtime.block_on(rest(&socket, "/ping", &[])).0, 200, "the first one is undisturbed");
    drop(first);

    // It was killed, so the file is still there.
    assert!(UnixStream::connect(&socket).is_err() && socket.exists());
    drop(Process::serve_at(&socket, &[]));

    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "precious").unwrap();
    let output = refused(&socket, &[]);
    assert!(output.status.code() == Some(1) && said(&output).contains("no socket"), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
}

#[test]
fn at_the_end_only_its_own_file_is_removed() {
    let (directory, socket) = place();
    let process = Process::serve_at(&socket, &[]);
    std::fs::rename(&socket, directory.path().join("moved.sock")).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    process.signal(Signal::TERM);
    let (code, log) = process.exit_code();
    assert_eq!(code, Some(0), "{log}");
    assert!(UnixStream::connect(&socket).is_ok(), "somebody else's");
    drop(other);
}

#[test]
fn a_crowd_that_starts_at_once_has_one_winner() {
    let (_directory, socket) = place();
    drop(UnixListener::bind(&socket).unwrap());
    let start = || {
        let mut serve = countersign();
        serve.args(["serve", "--admin-listen", "127.0.0.1:0", "--store", "memory:", "--listen"]);
        serve
            .arg(format!("unix:{}", socket.display()))
            .args(["--log-format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut crowd: Vec<_> = (0..4).map(|_| start()).collect();
    let mut heard = Vec::new();
    for child in &mut crowd {
        // It says that it serves, or why it does not and ends.
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        while !text.contains("\"serving\"") && log.read_line(&mut text).unwrap() > 0 {}
        heard.push((text, log));
    }
    let served = heard.iter().filter(|(text, _)| text.contains("\"serving\"")).count();
    let refused = heard.iter().filter(|(text, _)| text.contains("somebody listens on it")).count();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let status = runtime.block_on(rest(&socket, "/ping", &[])).0;
    for mut child in crowd {
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert_eq!((served, refused, status), (1, 3, 200));
}

#[test]
fn a_proxy_by_a_socket_speaks_for_others_only_where_it_is_listed() {
    let header = [("x-forwarded-client-cert", "URI=spiffe://mesh/web"), ("x-request-id", "proxied")];
    for (peers, status, principal) in [("0.0.0.0/0,::/0", 401, ""), ("unix", 403, "cert:spiffe://mesh/web")] {
        let (_directory, socket) = place();
        let mut process = Process::serve_at(&socket, &["--xfcc-peers", peers]);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        assert_eq!(runtime.block_on(rest(&socket, "/api/v1/policies", &header)).0, status, "{peers}");
        let line =
            find(&mut process.log, |line| line["request_id"] == "proxied" && line["message"] == "call");
        assert_eq!(line["principal"], principal);
    }
}

#[test]
fn a_socket_speaks_no_tls() {
    let (directory, socket) = place();
    let pem = directory.path().join("any.pem");
    let pem = pem.to_str().unwrap();
    let output = refused(&socket, &["--tls-cert", pem, "--tls-key", pem]);
    let text = said(&output);
    assert!(output.status.code() == Some(2) && text.contains("a unix socket speaks no TLS"), "{text}");
    assert!(!socket.exists());
}
