//! A server around a service of the tests' own, and a client that sees every header and trailer.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use countersign::config::{self, Layer};
use countersign::gateway::{Gateway, Style, Styles};
use countersign::pb;
use countersign::pb::c1::api::policy::v1::GetPolicyRequest;
use countersign::server::{Drained, Parts, Running, Services, start};
use countersign::store::Health;
use countersign::telemetry::{Metrics, request_id};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use prost_types::{FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto};
use tokio::sync::{Notify, Semaphore, watch};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

/// Longer than anything here takes on the slowest machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for an event, but not for ever.
pub async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.expect("the event did not come")
}

/// An option that prost-types does not know, as `google.api.http` is one: field 72295728, one byte.
const UNKNOWN_OPTION: [u8; 7] = [0x82, 0xd3, 0xe4, 0x93, 0x02, 0x01, 0x78];

/// The encoded `FileDescriptorProto` of the probe.
pub fn file_bytes() -> Vec<u8> {
    let method = |name: &str, server_streaming| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".google.protobuf.BytesValue".to_owned()),
        output_type: Some(".google.protobuf.BytesValue".to_owned()),
        server_streaming: Some(server_streaming),
        ..MethodDescriptorProto::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Probe".to_owned()),
        method: vec![
            method("Echo", false),
            method("Hang", false),
            method("Panic", false),
            method("PanicInStream", true),
            method("Forever", true),
        ],
        options: None,
    };
    let file = FileDescriptorProto {
        name: Some("test/v1/probe.proto".to_owned()),
        package: Some("test.v1".to_owned()),
        service: vec![service],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    };
    let mut bytes = file.encode_to_vec();
    // Field 8 of a file is its options.
    bytes.extend([0x42, UNKNOWN_OPTION.len() as u8]);
    bytes.extend(UNKNOWN_OPTION);
    bytes
}

/// The probe's file behind the real ones: encoded messages that are joined are merged.
static DESCRIPTORS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let file = file_bytes();
    let mut set = pb::DESCRIPTORS.to_vec();
    prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut set);
    prost::encoding::encode_varint(file.len() as u64, &mut set);
    set.extend(file);
    set
});

/// The service: echoes, hangs until it is released, panics.
#[derive(Debug, Clone)]
pub struct Probe {
    /// One permit for every call that hangs now.
    pub hanging: Arc<Semaphore>,
    /// Lets every hanging call go.
    pub release: Arc<Notify>,
    request_id: Arc<Mutex<String>>,
}

impl Probe {
    pub fn new() -> Self {
        Self { hanging: Arc::new(Semaphore::new(0)), release: Arc::default(), request_id: Arc::default() }
    }

    /// Waits until a call hangs.
    pub async fn hangs(&self) {
        within(self.hanging.acquire()).await.unwrap().forget();
    }

    pub fn last_request_id(&self) -> String {
        self.request_id.lock().unwrap().clone()
    }

    async fn unary(self, method: String, message: Vec<u8>) -> Result<tonic::Response<Vec<u8>>, Status> {
        *self.request_id.lock().unwrap() = request_id();
        match method.as_str() {
            "Hang" => {
                let released = self.release.notified();
                self.hanging.add_permits(1);
                released.await;
            }
            "Panic" => panic!("secret-of-the-handler"),
            _ => {}
        }
        Ok(tonic::Response::new(message))
    }
}

impl NamedService for Probe {
    const NAME: &'static str = "test.v1.Probe";
}

impl tower::Service<Request<Body>> for Probe {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let probe = self.clone();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        Box::pin(async move {
            let codec = ProstCodec::<Vec<u8>, Vec<u8>>::default();
            let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(usize::MAX);
            match method.as_str() {
                "PanicInStream" | "Forever" => {
                    let panics = method == "PanicInStream";
                    let service = tower::service_fn(move |_: tonic::Request<Vec<u8>>| async move {
                        let first = stream::iter([Ok::<_, Status>(b"first".to_vec())]);
                        let rest = stream::poll_fn(move |_| {
                            assert!(!panics, "secret-of-the-stream");
                            Poll::Pending
                        });
                        Ok::<_, Status>(tonic::Response::new(first.chain(rest)))
                    });
                    Ok(grpc.server_streaming(service, request).await)
                }
                _ => {
                    let service = tower::service_fn(move |request: tonic::Request<Vec<u8>>| {
                        probe.clone().unary(method.clone(), request.into_inner())
                    });
                    Ok(grpc.unary(service, request).await)
                }
            }
        })
    }
}

/// Stands where the policy service will, so that REST has somebody to call: the id is what to do.
#[derive(Debug, Clone)]
struct Policies(Probe);

impl NamedService for Policies {
    const NAME: &'static str = "c1.api.policy.v1.Policies";
}

impl tower::Service<Request<Body>> for Policies {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let probe = self.0.clone();
        Box::pin(async move {
            // An empty BytesValue and an empty GetPolicyResponse are the same bytes.
            let codec = ProstCodec::<Vec<u8>, GetPolicyRequest>::default();
            let service = tower::service_fn(move |request: tonic::Request<GetPolicyRequest>| {
                let id = request.into_inner().id;
                let refused = id == "refused";
                let work = probe.clone().unary(id, Vec::new());
                async move { if refused { Err(Status::aborted("somebody else was first")) } else { work.await } }
            });
            Ok(tonic::server::Grpc::new(codec).unary(service, request).await)
        })
    }
}

/// A server in this process.
pub struct Server {
    pub addr: SocketAddr,
    pub admin_addr: SocketAddr,
    pub probe: Probe,
    pub metrics: Arc<Metrics>,
    pub health: watch::Sender<Health>,
    running: Option<Running>,
}

impl Server {
    /// Starts on free ports, with these settings (`request-deadline`, `20ms`).
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let free = [("listen", "127.0.0.1:0"), ("admin-listen", "127.0.0.1:0"), ("store", "memory:")];
        let env = free.iter().chain(settings).map(|(key, value)| {
            let name = format!("COUNTERSIGN_{}", key.replace('-', "_").to_uppercase());
            (name.into(), (*value).into())
        });
        let settings = config::resolve(Layer::default(), None, env).unwrap();
        let probe = Probe::new();
        let metrics = Arc::new(Metrics::default());
        let (health, receiver) = watch::channel(Health::Ready);
        let parts = Parts {
            services: Services::builder().with(probe.clone()).with(Policies(probe.clone())),
            descriptors: &DESCRIPTORS,
            gateway: Gateway::new(pb::pool(), &Styles::all(Style::CONDUCTORONE)).unwrap(),
            styles: Styles::all(Style::CONDUCTORONE),
            metrics: Arc::clone(&metrics),
            health: receiver,
            guard: Arc::new(countersign::auth::Guard::open()),
            audit: None,
            tracer: None,
        };
        let running = start(&settings, parts).await.unwrap();
        let (addr, admin_addr) = (running.addr.address().unwrap(), running.admin_addr);
        Self { addr, admin_addr, probe, metrics, health, running: Some(running) }
    }

    /// A tonic client, connected when it is first used.
    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.addr)).unwrap().connect_lazy()
    }

    /// An HTTP/2 connection of its own.
    pub async fn connect(&self) -> Client {
        Client::connect(self.addr, None).await
    }

    /// One call on a connection of its own. `message` is the value of a `BytesValue`.
    pub async fn call(&self, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Answer {
        self.call_raw(path, headers, &framed(message)).await
    }

    /// The same with a body as it is.
    pub async fn call_raw(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut client = self.connect().await;
        client.call_raw(path, headers, body).await
    }

    /// The second port for gRPC, if there is one.
    pub fn raystack_grpc_addr(&self) -> Option<SocketAddr> {
        self.running.as_ref().unwrap().raystack_grpc_addr
    }

    /// Tells the server to stop.
    pub fn stop(&self) {
        self.running.as_ref().unwrap().stop();
    }

    /// Waits until it has stopped.
    pub async fn ended(&mut self) -> Drained {
        within(self.running.take().unwrap().ended()).await
    }
}

/// A gRPC frame around a `BytesValue`.
pub fn framed(value: &[u8]) -> Vec<u8> {
    let message = value.to_vec().encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame
}

/// One HTTP/2 connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    /// Ends when the connection does.
    pub closed: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Client {
    /// `window` is how many bytes of each answer the server may send unread.
    pub async fn connect(addr: SocketAddr, window: Option<u32>) -> Self {
        Self::over(within(tokio::net::TcpStream::connect(addr)).await.unwrap(), window).await
    }

    /// The same on a stream that is there already.
    pub async fn over<I>(stream: I, window: Option<u32>) -> Self
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let handshake = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .max_header_list_size(1 << 20)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = within(handshake).await.unwrap();
        Self { sender, closed: tokio::spawn(connection) }
    }

    /// The head of an answer.
    pub async fn begin(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::post(format!("http://test{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        within(self.sender.ready()).await?;
        within(self.sender.send_request(request)).await
    }

    pub async fn call(&mut self, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Answer {
        self.call_raw(path, headers, &framed(message)).await
    }

    pub async fn call_raw(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let response = self.begin(path, headers, body).await.unwrap();
        Answer::read(response).await
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub head: HeaderMap,
    /// The value of the last `BytesValue`, if there is one.
    pub message: Option<Vec<u8>>,
    trailers: HeaderMap,
}

impl Answer {
    pub async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let collected = within(body.collect()).await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let mut bytes = VecDeque::from(collected.to_bytes().to_vec());
        let mut message = None;
        while bytes.len() >= 5 {
            let length = bytes.drain(..5).skip(1).fold(0, |length, byte| (length << 8) | usize::from(byte));
            let encoded: Vec<u8> = bytes.drain(..length).collect();
            message = Some(Vec::<u8>::decode(encoded.as_slice()).unwrap());
        }
        Self { head: head.headers, message, trailers }
    }

    fn grpc(&self, name: &str) -> Option<&http::HeaderValue> {
        self.trailers.get(name).or_else(|| self.head.get(name))
    }

    pub fn code(&self) -> Code {
        Code::from_bytes(self.grpc("grpc-status").expect("a grpc-status").as_bytes())
    }

    /// The reason of a refusal, and the setting and the limit that made it, from its `ErrorInfo`.
    pub fn info(&self) -> (String, String, String) {
        let status = [&self.trailers, &self.head].into_iter().find_map(Status::from_header_map).unwrap();
        let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
        assert_eq!(info.domain, "countersign");
        let value = |key: &str| info.metadata.get(key).cloned().unwrap_or_default();
        (info.reason.clone(), value("setting"), value("limit"))
    }

    /// The `grpc-message`, percent-decoded.
    pub fn text(&self) -> String {
        let text = self.grpc("grpc-message").map(|text| text.as_bytes()).unwrap_or_default();
        percent_encoding::percent_decode(text).decode_utf8().unwrap().into_owned()
    }
}
