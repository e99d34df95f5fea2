//! A real server on free ports, the plainest clients for it (HTTP/1.1 for REST, a channel for gRPC), and dice.

use bytes::Bytes;
use countersign::app::{Clock, NoEntropy, SystemClock};
use countersign::config::{self, Layer, Settings};
use countersign::server::{Assembled, assemble};
use countersign::store::table::Key;
use countersign::store::{Device, Direction, Engine, SCAN_MAX_RECORDS};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// Longer than anything here takes on the slowest machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The service in this process.
pub struct Server {
    /// The main port.
    pub addr: SocketAddr,
    /// The admin port.
    pub admin_addr: SocketAddr,
    assembled: Assembled,
}

impl Server {
    /// With a store in memory and the clock of the machine.
    pub async fn start() -> Server {
        Server::with(&settings("memory:", &[]), Arc::new(SystemClock::default())).await
    }

    /// With a store in `directory`.
    pub async fn on(directory: &Path) -> Server {
        let store = format!("sled:{}", directory.display());
        Server::with(&settings(&store, &[]), Arc::new(SystemClock::default())).await
    }

    /// With a store in `directory`, on a disk that does as it is told.
    pub async fn on_device(directory: &Path, device: Device) -> Server {
        Server::on_device_with(directory, device, &[]).await
    }

    /// The same with other settings by name.
    pub async fn on_device_with(directory: &Path, device: Device, others: &[(&str, &str)]) -> Server {
        let settings = settings(&format!("sled:{}", directory.display()), others);
        Server::of(assemble(&settings, Arc::new(SystemClock::default()), device, None).await.unwrap())
    }

    pub async fn with(settings: &Settings, clock: Arc<dyn Clock>) -> Server {
        Server::of(assemble(settings, clock, Device::default(), None).await.unwrap())
    }

    fn of(assembled: Assembled) -> Server {
        let running = &assembled.running;
        let (addr, admin_addr) = (running.addr.address().unwrap(), running.admin_addr);
        Server { addr, admin_addr, assembled }
    }

    /// The second port for gRPC, if there is one.
    pub fn raystack_grpc_addr(&self) -> Option<SocketAddr> {
        self.assembled.running.raystack_grpc_addr
    }

    /// A connection for generated clients.
    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.addr)).unwrap().connect().await.unwrap()
    }

    /// Ends the service in order; everything that it was asked is answered.
    pub async fn stop(self) {
        tokio::time::timeout(PATIENCE, self.assembled.close()).await.unwrap();
    }
}

/// JSON that is posted, and the JSON that comes back, with its status.
pub async fn post(server: &Server, target: &str, body: &serde_json::Value) -> (u16, serde_json::Value) {
    let answer = http(server.addr, "POST", target, &[], body.to_string().as_bytes()).await;
    (answer.status, answer.json())
}

/// Whether JSON says nothing: an empty field of a message, or one that has its default.
pub fn is_empty(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0" || text.ends_with("_UNSPECIFIED"),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// The defaults on free ports, with a store and with other settings by name.
pub fn settings(store: &str, others: &[(&str, &str)]) -> Settings {
    let base = [("listen", "127.0.0.1:0"), ("admin-listen", "127.0.0.1:0"), ("store", store)];
    let env = base.iter().chain(others).map(|(key, value)| {
        (format!("COUNTERSIGN_{}", key.replace('-', "_").to_uppercase()).into(), (*value).into())
    });
    config::resolve(Layer::default(), None, env).unwrap()
}

/// A program, with nothing of ours in its environment and nothing to read.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    for (name, _) in std::env::vars_os() {
        if ["COUNTERSIGN_", "OTEL_"].iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// The program that all of this is about.
pub fn countersign() -> Command {
    program(env!("CARGO_BIN_EXE_countersign"))
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }
}

/// One request over HTTP/1.1 on a connection of its own.
pub async fn http(
    addr: SocketAddr,
    verb: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Answer {
    let exchange = async {
        let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(verb).uri(target).header("host", addr.to_string());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(sender);
        let _ = connection.await;
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("no answer")
}

/// The revisions of a policy, from its first, as `app/records.rs` lays them out: the current one in one table, by id, and
/// those before it in another, by id and number.
pub async fn revisions(store: &dyn Engine, id: &str) -> Vec<Revision> {
    const POLICY: u8 = 2;
    const REVISION: u8 = 3;
    let before = store
        .scan(Key::new(REVISION).text(id).range(), Direction::Ascending, SCAN_MAX_RECORDS)
        .await
        .unwrap();
    let keys: Vec<Vec<u8>> = before.iter().map(|(key, _)| key.to_vec()).collect();
    let numbered = (1..).map(|number| Key::new(REVISION).text(id).u64(number).into_bytes());
    assert_eq!(keys, numbered.take(keys.len()).collect::<Vec<_>>());
    let current = store.get(Key::new(POLICY).text(id).as_bytes()).await.unwrap();
    let all = before.into_iter().map(|(_, stored)| stored).chain(current);
    all.map(|stored| prost::Message::decode(stored.value).unwrap()).collect()
}

/// One revision of a policy, as it is kept.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Revision {
    #[prost(uint64, tag = "1")]
    pub number: u64,
    #[prost(message, optional, tag = "2")]
    pub time: Option<prost_types::Timestamp>,
    #[prost(string, tag = "3")]
    pub actor: String,
    #[prost(string, tag = "4")]
    pub method: String,
    #[prost(string, repeated, tag = "5")]
    pub mask: Vec<String>,
    #[prost(bytes = "vec", tag = "6")]
    pub document: Vec<u8>,
}

/// A clock that stands still until it is moved. Ids and secrets are those of the machine's clock.
#[derive(Debug)]
pub struct ManualClock {
    /// Since 1970.
    seconds: AtomicI64,
    machine: SystemClock,
}

impl ManualClock {
    pub fn at(seconds: i64) -> Arc<ManualClock> {
        Arc::new(ManualClock { seconds: seconds.into(), machine: SystemClock::default() })
    }

    pub fn advance(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds: self.seconds.load(Ordering::Relaxed), nanos: 0 }
    }

    fn new_id(&self, after: uuid::Uuid) -> uuid::Uuid {
        self.machine.new_id(after)
    }

    fn secret(&self) -> Result<[u8; 32], NoEntropy> {
        self.machine.secret()
    }
}

/// Random numbers that can be had again: the seed is printed, and `COUNTERSIGN_TEST_SEED` sets it. (SplitMix64.)
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// With a seed of its own for each run.
    pub fn new(test: &str) -> Dice {
        let seed = match std::env::var("COUNTERSIGN_TEST_SEED") {
            Ok(text) => text.parse().expect("COUNTERSIGN_TEST_SEED is a number"),
            Err(_) => RandomState::new().hash_one(test),
        };
        println!("{test}: COUNTERSIGN_TEST_SEED={seed}");
        Dice(seed)
    }

    /// Dice that roll differently from these, and as repeatably.
    pub fn fork(&mut self) -> Dice {
        Dice(self.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, and without, `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// What a store that stands before another one, its field `store`, leaves to that one.
macro_rules! rest_of_its_store {
    () => {
        fn changes(&self) -> countersign::store::Changes {
            self.store.changes()
        }

        fn revision(&self) -> countersign::store::Revision {
            self.store.revision()
        }

        fn health(&self) -> tokio::sync::watch::Receiver<countersign::store::Health> {
            self.store.health()
        }

        fn close(&self) -> countersign::store::BoxFuture<'_, ()> {
            self.store.close()
        }
    };
}
pub(crate) use rest_of_its_store;
