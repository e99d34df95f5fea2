//! Who is let in: every RPC with every credential over real sockets, the token endpoint, and the files behind both.

mod endpoint;
mod files;
mod issuers;
mod jwt;
mod lifetimes;
mod limits;
mod matrix;

use bytes::Bytes;
use countersign::auth::{Client, Role, StaticToken, append};
use countersign::config::{self, Layer, Settings};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::harness::PATIENCE;

/// For who asks again and again until the answer changes.
pub const OFTEN: &str =
    "max-failed-authentications-per-minute = 1000000\nmax-principal-requests-per-second = 1000000\n";

/// A directory with a tokens file, a clients file and a configuration file.
pub struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    pub fn new() -> Files {
        Files { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A token of these roles; the principal is `token:NAME`.
    pub fn token(&self, name: &str, roles: &[Role]) -> String {
        let (entry, token) = StaticToken::new(name, roles.to_vec()).unwrap();
        append(&self.path("tokens"), &entry).unwrap();
        token.reveal().to_owned()
    }

    /// A client of these roles, and its secret.
    pub fn client(&self, name: &str, roles: &[Role]) -> (Client, String) {
        let (client, secret) = Client::new(name, "127.0.0.1", roles.to_vec()).unwrap();
        append(&self.path("clients"), &client).unwrap();
        (client, secret.reveal().to_owned())
    }

    /// Settings on free ports with a store in memory; `extra` goes into the configuration file.
    pub fn settings(&self, extra: &str) -> Settings {
        let mut text =
            String::from("listen = '127.0.0.1:0'\nadmin-listen = '127.0.0.1:0'\nstore = 'memory:'\n");
        for (setting, name) in [("tokens-file", "tokens"), ("clients-file", "clients")] {
            if self.path(name).exists() {
                text.push_str(&format!("{setting} = {:?}\n", self.path(name)));
            }
        }
        text.push_str(extra);
        std::fs::write(self.path("config"), text).unwrap();
        config::resolve(Layer::default(), Some(self.path("config")), []).unwrap()
    }
}

/// One HTTP/2 connection, for both faces.
pub struct Connection(SendRequest<Full<Bytes>>, SocketAddr);

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    trailers: HeaderMap,
}

impl Connection {
    pub async fn open(addr: SocketAddr) -> Connection {
        let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Connection(sender, addr)
    }

    pub async fn send(&self, verb: &str, path: &str, headers: &[(&str, Vec<u8>)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(verb).uri(format!("http://{}{path}", self.1));
        for (name, value) in headers {
            request = request.header(*name, value.as_slice());
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let mut sender = self.0.clone();
        let exchange = async {
            sender.ready().await.unwrap();
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            let collected = body.collect().await.unwrap();
            let trailers = collected.trailers().cloned().unwrap_or_default();
            let body = collected.to_bytes();
            Answer { status: head.status.as_u16(), headers: head.headers, body, trailers }
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("no answer")
    }

    /// A gRPC call with these bytes as its message.
    pub async fn grpc(&self, path: &str, headers: &[(&str, Vec<u8>)], message: &[u8]) -> Answer {
        let mut all = vec![("content-type", b"application/grpc".to_vec()), ("te", b"trailers".to_vec())];
        all.extend(headers.iter().cloned());
        let mut frame = vec![0];
        frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend(message);
        self.send("POST", path, &all, &frame).await
    }

    /// A request to the token endpoint.
    pub async fn token(&self, form: &[(&str, &str)]) -> Answer {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let pairs: Vec<String> =
            form.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let headers = [("content-type", b"application/x-www-form-urlencoded".to_vec())];
        self.send("POST", "/auth/v1/token", &headers, pairs.join("&").as_bytes()).await
    }
}

impl Answer {
    /// The gRPC code, from trailers or head.
    pub fn code(&self) -> i32 {
        let code = self.trailers.get("grpc-status").or_else(|| self.headers.get("grpc-status"));
        code.expect("a grpc-status").to_str().unwrap().parse().unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

pub fn bearer(token: &str) -> (&'static str, Vec<u8>) {
    ("authorization", format!("Bearer {token}").into_bytes())
}

/// An access token by client secret.
pub async fn access_token(connection: &Connection, client: &Client, secret: &str) -> String {
    let form = [("grant_type", "client_credentials"), ("client_id", &client.id), ("client_secret", secret)];
    let answer = connection.token(&form).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

pub fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/auth").join(name);
    std::fs::read_to_string(path).unwrap()
}
