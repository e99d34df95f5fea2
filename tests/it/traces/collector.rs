//! A collector of spans, which takes what it is sent by both protocols of OTLP, plain or over TLS, and keeps it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::{Status, async_trait};
use tower::Service as _;

use crate::harness::PATIENCE;

/// One export.
pub struct Export {
    pub headers: HeaderMap,
    pub request: ExportTraceServiceRequest,
}

/// One span and who sent it.
#[derive(Debug)]
pub struct Seen {
    pub resource: BTreeMap<String, String>,
    pub scope: String,
    pub span: Span,
    pub attributes: BTreeMap<String, String>,
}

impl Seen {
    /// An id, in digits.
    pub fn trace(&self) -> String {
        digits(&self.span.trace_id)
    }

    pub fn parent(&self) -> String {
        digits(&self.span.parent_span_id)
    }

    pub fn failed(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
    }

    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{}: {other:?}", pair.key),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

/// A collector that runs until it is dropped.
pub struct Collector {
    pub addr: SocketAddr,
    exports: mpsc::Receiver<Export>,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    pub fn start(tls: Option<TlsAcceptor>) -> Collector {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (keep, exports) = mpsc::channel();
        let socket = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = socket.local_addr().unwrap();
        runtime.spawn(accept(socket, tls, Keeper(Arc::new(keep))));
        Collector { addr, exports, _runtime: runtime }
    }

    /// The next export.
    pub fn next(&self) -> Export {
        self.exports.recv_timeout(PATIENCE).expect("nothing was exported")
    }

    /// Every span that has come, in order.
    pub fn spans(&self) -> Vec<Seen> {
        self.exports.try_iter().flat_map(spans).collect()
    }
}

/// The spans in an export.
pub fn spans(export: Export) -> Vec<Seen> {
    let mut all = Vec::new();
    for of_resource in export.request.resource_spans {
        let resource = texts(&of_resource.resource.unwrap().attributes);
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.unwrap().name;
            all.extend(of_scope.spans.into_iter().map(|span| Seen {
                resource: resource.clone(),
                scope: scope.clone(),
                attributes: texts(&span.attributes),
                span,
            }));
        }
    }
    all
}

#[derive(Clone)]
struct Keeper(Arc<mpsc::Sender<Export>>);

impl Keeper {
    fn keep(&self, headers: HeaderMap, request: ExportTraceServiceRequest) {
        // The test may be over.
        let _ = self.0.send(Export { headers, request });
    }
}

#[async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.keep(metadata.into_headers(), message);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn accept(socket: TcpListener, tls: Option<TlsAcceptor>, keeper: Keeper) {
    loop {
        let (stream, _) = socket.accept().await.unwrap();
        let (tls, keeper) = (tls.clone(), keeper.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, keeper).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, keeper).await;
                    }
                }
            }
        });
    }
}

async fn serve(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, keeper: Keeper) {
    let service = hyper::service::service_fn(move |request| answer(request, keeper.clone()));
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(io), service).await;
}

async fn answer(request: Request<Incoming>, keeper: Keeper) -> Result<Response<Body>, Infallible> {
    if request.uri().path() != "/v1/traces" {
        return TraceServiceServer::new(keeper).call(request.map(Body::new)).await;
    }
    let (head, body) = request.into_parts();
    assert_eq!(head.headers["content-type"], "application/x-protobuf");
    let bytes = body.collect().await.unwrap().to_bytes();
    keeper.keep(head.headers, ExportTraceServiceRequest::decode(bytes).unwrap());
    Ok(Response::new(Body::empty()))
}
