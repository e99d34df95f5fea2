//! Issuers whose keys are fetched: over TLS, from a server that is who it should be, and from servers that hang, have no end, or
//! send one elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::Algorithm;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::jwt::{Key, claims, configuration, set};
use super::{Connection, Files, bearer};
use crate::harness::{ManualClock, PATIENCE, Server};
use crate::server::tls::{Authority, Identity};

const NOW: i64 = 1_700_000_000;

/// What a server of keys does with who asks.
#[derive(Clone)]
enum Manner {
    /// Says this, whole.
    Says(String),
    /// Says this and goes on without an end.
    Endless(String),
}

/// A server of keys on this machine.
struct Issuer {
    port: u16,
    /// How many connections came, and how many bytes were taken of endless answers.
    asked: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

fn whole(head: &str, body: &str) -> Manner {
    Manner::Says(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, manner: Manner, sent: Arc<AtomicUsize>) {
    let _ = stream.read(&mut [0; 1024]).await;
    let (Manner::Says(text) | Manner::Endless(text)) = &manner;
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.flush().await;
    let more = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    while matches!(manner, Manner::Endless(_)) && stream.write_all(more.as_bytes()).await.is_ok() {
        sent.fetch_add(more.len(), Ordering::SeqCst);
    }
    // Whoever asked may close.
    let _ = stream.read(&mut [0; 1]).await;
}

impl Issuer {
    async fn start(identity: Option<&Identity>, manner: Manner) -> Issuer {
        let acceptor = identity.map(|Identity { cert, key }| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = rustls::ServerConfig::builder_with_provider(provider);
            let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            let config = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
            TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
        });
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let (asked, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, counting) = (Arc::clone(&asked), Arc::clone(&sent));
        tokio::spawn(async move {
            loop {
                let (stream, _): (TcpStream, _) = socket.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, manner, sent) = (acceptor.clone(), manner.clone(), Arc::clone(&counting));
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, manner, sent).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, manner, sent).await;
                            }
                        }
                    }
                });
            }
        });
        Issuer { port, asked, sent }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The status that a token of this key has, with the issuer's keys at a URL.
async fn status(files: &Files, url: &str, ca: Option<&str>, key: &Key) -> u16 {
    let mut text = configuration(url);
    if let Some(ca) = ca {
        text = text.replacen("audiences", &format!("ca = {:?}\naudiences", files.path(ca)), 1);
    }
    let server = Server::with(&files.settings(&text), ManualClock::at(NOW)).await;
    let connection = Connection::open(server.addr).await;
    let token = bearer(&key.sign(&claims(NOW, &["viewer"])));
    let answer = connection.send("GET", "/api/v1/policies", &[token], b"").await;
    server.stop().await;
    answer.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_taken_over_tls_from_whom_the_operator_trusts() {
    let files = Files::new();
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    std::fs::write(files.path("ca.pem"), &authority.pem).unwrap();
    std::fs::write(files.path("other.pem"), &other.pem).unwrap();
    let key = Key::new("a", Algorithm::ES256);
    let issuer = Issuer::start(Some(&authority.server()), whole("200 OK", &set(&[&key]))).await;
    let url = format!("https://127.0.0.1:{}/keys", issuer.port);
    assert_eq!(status(&files, &url, Some("ca.pem"), &key).await, 200);
    assert_eq!(status(&files, &url, Some("ca.pem"), &Key::new("a", Algorithm::ES256)).await, 401);
    // Its certificate is by nobody whom the system, or the operator, trusts; or for another name.
    assert_eq!(status(&files, &url, None, &key).await, 503);
    assert_eq!(status(&files, &url, Some("other.pem"), &key).await, 503);
    let named = format!("https://localhost:{}/keys", issuer.port);
    assert_eq!(status(&files, &named, Some("ca.pem"), &key).await, 503);
    assert_eq!(issuer.asked(), 5, "each of them got as far as the handshake");
    // And nobody who speaks no TLS is taken for somebody who does.
    let plain = Issuer::start(None, whole("200 OK", &set(&[&key]))).await;
    let url = format!("https://127.0.0.1:{}/keys", plain.port);
    assert_eq!(status(&files, &url, Some("ca.pem"), &key).await, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_keys_sends_nobody_elsewhere() {
    let files = Files::new();
    let key = Key::new("a", Algorithm::ES256);
    let elsewhere = Issuer::start(None, whole("200 OK", &set(&[&key]))).await;
    for code in [301, 302, 303, 307, 308] {
        let location = format!("http://127.0.0.1:{}/keys", elsewhere.port);
        let issuer = Issuer::start(None, whole(&format!("{code} Gone\r\nlocation: {location}"), "")).await;
        assert_eq!(status(&files, &format!("http://127.0.0.1:{}/keys", issuer.port), None, &key).await, 503);
        assert_eq!(issuer.asked(), 1);
    }
    assert_eq!(elsewhere.asked(), 0);
    assert_eq!(status(&files, &format!("http://127.0.0.1:{}/keys", elsewhere.port), None, &key).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_an_end_is_cut_off() {
    let files = Files::new();
    let key = Key::new("a", Algorithm::ES256);
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let issuer = Issuer::start(None, Manner::Endless(head.to_owned())).await;
    let url = format!("http://127.0.0.1:{}/keys", issuer.port);
    let answered = tokio::time::timeout(PATIENCE, status(&files, &url, None, &key)).await;
    assert_eq!(answered.expect("it is read to its end"), 503);
    // What the kernel holds between the two comes to that.
    let sent = issuer.sent.load(Ordering::SeqCst);
    assert!(sent < 32 << 20, "{sent} bytes were taken");
    let announced =
        Issuer::start(None, Manner::Says("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".into()));
    let url = format!("http://127.0.0.1:{}/keys", announced.await.port);
    assert_eq!(status(&files, &url, None, &key).await, 503);
}
