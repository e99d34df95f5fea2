//! The floor of `Get`: a bare tonic server that answers every call with the same bytes.
//!
//! It runs in a process of its own, as the service does, with the runtime that `serve` has: this program, started again
//! with an argument that nobody else gives.

use std::convert::Infallible;
use std::io::Read as _;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::future::BoxFuture;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status};

use crate::Fault;

/// The hidden argument; the answer follows it, in base64.
pub const ARGUMENT: &str = "--echo";

/// Serves until standard input ends, which is when the parent is gone. Prints the address that it listens on.
pub fn serve(answer: &str) -> Result<(), Fault> {
    let answer = Bytes::from(STANDARD.decode(answer)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let incoming = runtime.block_on(async { TcpIncoming::bind(([127, 0, 0, 1], 0).into()) })?;
    #[allow(clippy::print_stdout, reason = "the parent reads it")]
    {
        println!("{}", incoming.local_addr()?);
    }
    runtime.spawn(
        Server::builder().add_service(Echo(answer)).serve_with_incoming(incoming.with_nodelay(Some(true))),
    );
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[derive(Clone)]
struct Echo(Bytes);

impl NamedService for Echo {
    const NAME: &'static str = "c1.api.policy.v1.Policies";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = Answer(self.0.clone());
        Box::pin(async move { Ok(Grpc::new(Raw).unary(answer, request).await) })
    }
}

struct Answer(Bytes);

impl UnaryService<Bytes> for Answer {
    type Response = Bytes;
    type Future = std::future::Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        std::future::ready(Ok(Response::new(self.0.clone())))
    }
}

/// Messages are bytes.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, body: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(body.copy_to_bytes(body.remaining())))
    }
}
