//! The service behind the gateway: it writes down what it saw and answers what the case says.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde::Deserialize;
use tonic::body::Body;
use tower::util::BoxCloneService;

use super::case::message;

#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Answer {
    /// The message, or the messages of a stream. None is the empty message, for an RPC that is not a stream.
    message: Option<String>,
    messages: Vec<String>,
    /// Before the messages and behind them.
    metadata: Vec<String>,
    trailers: Vec<String>,
    /// The status, when it is not OK; with `late`, behind the messages.
    code: i32,
    text: String,
    details: Vec<String>,
    /// The type and the bytes of each, which need be no message of that type.
    raw_details: Vec<(String, String)>,
    late: bool,
    /// Cut the body into pieces of this many bytes.
    pieces: Option<usize>,
    /// Leave out this many bytes at the end of the body.
    cut: usize,
    /// Answer something that is not gRPC.
    not_grpc: bool,
    /// Send bytes that are no message.
    garbage: bool,
}

#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) metadata: HeaderMap,
    pub(crate) message: Bytes,
}

pub(crate) struct Double {
    pool: DescriptorPool,
    answer: Answer,
    seen: Arc<Mutex<Option<Seen>>>,
}

impl Double {
    pub(crate) fn new(pool: &DescriptorPool, answer: &Answer) -> Double {
        Double { pool: pool.clone(), answer: answer.clone(), seen: Arc::default() }
    }

    pub(crate) fn seen(&self) -> Option<Seen> {
        self.seen.lock().expect("no panic while it was held").clone()
    }

    pub(crate) fn service(&self, path: &str) -> BoxCloneService<Request<Body>, Response<Body>, Infallible> {
        let answer = self.answer.http(&rpc(&self.pool, path), &self.pool);
        let answer = Arc::new(Mutex::new(Some(answer)));
        let seen = Arc::clone(&self.seen);
        BoxCloneService::new(tower::service_fn(move |request: Request<Body>| {
            let (answer, seen) = (answer.lock().expect("no panic").take(), Arc::clone(&seen));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                assert_eq!(head.method, http::Method::POST);
                assert_eq!(head.headers["content-type"], "application/grpc");
                assert_eq!(body[0], 0, "not compressed");
                assert_eq!(body[1..5], u32::try_from(body.len() - 5).expect("small").to_be_bytes());
                let (path, metadata) = (head.uri.path().to_owned(), head.headers);
                *seen.lock().expect("no panic") = Some(Seen { path, metadata, message: body.slice(5..) });
                Ok(answer.expect("called once"))
            }
        }))
    }
}

pub(crate) fn rpc(pool: &DescriptorPool, path: &str) -> MethodDescriptor {
    let (service, method) = path.trim_start_matches('/').split_once('/').expect("a method path");
    let service = pool.get_service_by_name(service).expect(service);
    service.methods().find(|rpc| rpc.name() == method).expect(method)
}

impl Answer {
    fn http(&self, rpc: &MethodDescriptor, pool: &DescriptorPool) -> Response<Body> {
        if self.not_grpc {
            return Response::builder().status(502).body(Body::empty()).expect("a response");
        }
        let status = self.status(pool);
        if self.code != 0 && !self.late {
            return status.into_http();
        }
        let mut frames: Vec<Result<Frame<Bytes>, Infallible>> = Vec::new();
        let body = self.body(rpc);
        for piece in body.chunks(self.pieces.unwrap_or(usize::MAX)) {
            frames.push(Ok(Frame::data(Bytes::copy_from_slice(piece))));
        }
        let mut trailers = headers(&self.trailers);
        status.add_header(&mut trailers).expect("a status fits in headers");
        frames.push(Ok(Frame::trailers(trailers)));
        let mut response = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
        *response.headers_mut() = headers(&self.metadata);
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        response
    }

    fn status(&self, pool: &DescriptorPool) -> tonic::Status {
        let any = pool.get_message_by_name("google.protobuf.Any");
        let mut details = Vec::new();
        for json in &self.details {
            let any =
                message(any.as_ref().expect("the pool has Any"), json).expect("a detail").encode_to_vec();
            prost_reflect::prost::encoding::bytes::encode(3, &any, &mut details);
        }
        for (type_url, value) in &self.raw_details {
            let any = prost_types::Any { type_url: type_url.clone(), value: value.clone().into_bytes() };
            prost_reflect::prost::encoding::bytes::encode(3, &any.encode_to_vec(), &mut details);
        }
        let first = self.code != 0 && !self.late;
        let metadata = if first { headers(&self.metadata) } else { HeaderMap::new() };
        let metadata = tonic::metadata::MetadataMap::from_headers(metadata);
        tonic::Status::with_details_and_metadata(self.code.into(), &self.text, details.into(), metadata)
    }

    fn body(&self, rpc: &MethodDescriptor) -> Vec<u8> {
        let mut messages: Vec<&str> = self.message.iter().chain(&self.messages).map(String::as_str).collect();
        if messages.is_empty() && !rpc.is_server_streaming() {
            messages.push("{}");
        }
        let mut body = BytesMut::new();
        for json in messages {
            let message = match self.garbage {
                true => b"\x0a\xff".to_vec(),
                false => message(&rpc.output(), json).expect("an answer").encode_to_vec(),
            };
            body.put_u8(0);
            body.put_u32(u32::try_from(message.len()).expect("small"));
            body.put_slice(&message);
        }
        body.truncate(body.len() - self.cut);
        body.to_vec()
    }
}

fn headers(lines: &[String]) -> HeaderMap {
    let pair = |line: &String| {
        let (name, value) = line.split_once(": ").expect("`name: value`");
        let name = HeaderName::try_from(name).expect(name);
        (name, HeaderValue::from_str(value).expect(value))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(pair) {
        headers.append(name, value);
    }
    headers
}
