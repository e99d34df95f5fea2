//! Clients that cost as little as they can, because they share the cores with the server that they measure.
//!
//! Requests are encoded once, answers are checked but not decoded: a gRPC answer by its status and its length, a REST
//! answer by its status.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Fault;
use crate::round::{CLIENT_THREADS, Client, Clients};

/// HTTP/2 connections that many clients share; a single client has one.
pub const CONNECTIONS: usize = 4;
/// So that no client waits for a window to open.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// The head of an answer is not longer than this.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// Room for what one read may bring, so that an answer takes one.
const READ_BYTES: usize = 64 * 1024;

/// Calls of one gRPC method, or of one REST path over HTTP/2.
#[derive(Debug, Clone)]
pub struct Http2 {
    addr: SocketAddr,
    request: Request<()>,
    /// The framed message; `None` = a request without a body.
    frame: Option<Bytes>,
    /// Where in it a number stands, another one for each call.
    number: Option<Number>,
    /// How long the body of the answer must be, if that is known.
    answer_bytes: Option<usize>,
}

impl Http2 {
    /// A unary call of `path`, such as `/package.Service/Method`, with an encoded message.
    pub fn grpc(addr: SocketAddr, path: &str, message: &[u8]) -> Result<Http2, Fault> {
        let request = Request::post(format!("http://{addr}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        Ok(Http2 { addr, request, frame: Some(framed(message)?), number: None, answer_bytes: None })
    }

    /// A GET over HTTP/2.
    pub fn get(addr: SocketAddr, path: &str) -> Result<Http2, Fault> {
        let request = Request::get(format!("http://{addr}{path}")).body(())?;
        Ok(Http2 { addr, request, frame: None, number: None, answer_bytes: None })
    }

    /// The same, and the digits that stand where `digits` does in the message are others in each call.
    pub fn numbered(self, digits: &[u8]) -> Result<Http2, Fault> {
        let frame = self.frame.as_deref().unwrap_or_default();
        let at = frame.windows(digits.len()).position(|window| window == digits).ok_or("no such digits")?;
        let number = Number { at, digits: digits.len(), next: Arc::default() };
        Ok(Http2 { number: Some(number), ..self })
    }

    /// What the next call sends.
    fn next_frame(&self) -> Option<Bytes> {
        let frame = self.frame.clone()?;
        let Some(number) = &self.number else { return Some(frame) };
        let mut numbered = BytesMut::from(&*frame);
        let (next, digits) = (number.next.fetch_add(1, Ordering::Relaxed), number.digits);
        let text = format!("{next:0digits$}");
        numbered.iter_mut().skip(number.at).zip(text.bytes()).for_each(|(to, from)| *to = from);
        Some(numbered.freeze())
    }

    /// The same, and every answer must have a body of this length.
    pub fn answered_with(self, answer_bytes: usize) -> Http2 {
        Http2 { answer_bytes: Some(answer_bytes), ..self }
    }
}

/// A number in a message.
#[derive(Debug, Clone)]
struct Number {
    at: usize,
    digits: usize,
    next: Arc<AtomicU64>,
}

/// A gRPC message with its prefix.
pub fn framed(message: &[u8]) -> Result<Bytes, Fault> {
    let mut frame = BytesMut::from(&[0][..]);
    frame.extend_from_slice(&u32::try_from(message.len())?.to_be_bytes());
    frame.extend_from_slice(message);
    Ok(frame.freeze())
}

impl Clients for Http2 {
    type Client = Stream;

    async fn connect(&self, count: usize) -> Result<Vec<Stream>, Fault> {
        let mut connections = Vec::new();
        for _ in 0..(CONNECTIONS / CLIENT_THREADS).min(count) {
            let tcp = TcpStream::connect(self.addr).await?;
            tcp.set_nodelay(true)?;
            let (sender, connection) = h2::client::Builder::new()
                .initial_window_size(WINDOW_BYTES)
                .initial_connection_window_size(WINDOW_BYTES)
                .handshake::<_, Bytes>(tcp)
                .await?;
            // Its error also reaches whoever waits for an answer.
            tokio::task::spawn_local(async { drop(connection.await) });
            connections.push(sender);
        }
        Ok(connections
            .iter()
            .cycle()
            .take(count)
            .map(|sender| Stream { sender: sender.clone(), calls: self.clone() })
            .collect())
    }
}

/// One client on a connection that it may share.
pub struct Stream {
    sender: SendRequest<Bytes>,
    calls: Http2,
}

impl Client for Stream {
    async fn call(&mut self) -> Result<(), Fault> {
        self.answer().await.map(drop)
    }
}

impl Stream {
    /// One call; the body of its answer when it came in one piece.
    pub async fn answer(&mut self) -> Result<Bytes, Fault> {
        std::future::poll_fn(|cx| self.sender.poll_ready(cx)).await?;
        let end = self.calls.frame.is_none();
        let (response, mut stream) = self.sender.send_request(self.calls.request.clone(), end)?;
        if let Some(frame) = self.calls.next_frame() {
            stream.send_data(frame, true)?;
        }
        let (head, mut body) = response.await?.into_parts();
        let mut last = Bytes::new();
        let mut length = 0;
        while let Some(data) = body.data().await {
            last = data?;
            length += last.len();
            body.flow_control().release_capacity(last.len())?;
        }
        if head.status != 200 {
            return Err(format!("HTTP status {}", head.status).into());
        }
        if !end {
            let trailers = body.trailers().await?.unwrap_or(head.headers);
            if trailers.get("grpc-status").is_none_or(|status| status != "0") {
                return Err(format!("the call failed: {trailers:?}").into());
            }
        }
        if self.calls.answer_bytes.is_some_and(|expected| expected != length) {
            return Err(format!("an answer of {length} bytes was not expected").into());
        }
        Ok(last)
    }
}

/// GETs of one path over HTTP/1.1, each client on a connection of its own that stays open.
#[derive(Debug, Clone)]
pub struct Http1 {
    addr: SocketAddr,
    request: Bytes,
}

impl Http1 {
    pub fn get(addr: SocketAddr, path: &str) -> Http1 {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n");
        Http1 { addr, request: request.into() }
    }
}

impl Clients for Http1 {
    type Client = Connection;

    async fn connect(&self, count: usize) -> Result<Vec<Connection>, Fault> {
        let mut clients = Vec::new();
        for _ in 0..count {
            let tcp = TcpStream::connect(self.addr).await?;
            tcp.set_nodelay(true)?;
            clients.push(Connection { tcp, request: self.request.clone(), read: BytesMut::new() });
        }
        Ok(clients)
    }
}

/// One client on its own connection.
pub struct Connection {
    tcp: TcpStream,
    request: Bytes,
    read: BytesMut,
}

impl Client for Connection {
    async fn call(&mut self) -> Result<(), Fault> {
        self.tcp.write_all(&self.request).await?;
        let (head_bytes, body_bytes) = loop {
            self.read.reserve(READ_BYTES);
            if self.tcp.read_buf(&mut self.read).await? == 0 {
                return Err("the connection was closed".into());
            }
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.read.get(..end).unwrap_or_default();
                break (end + 4, body_bytes(std::str::from_utf8(head)?)?);
            }
            if self.read.len() > HEAD_MAX_BYTES {
                return Err("the head of an answer does not end".into());
            }
        };
        while self.read.len() < head_bytes + body_bytes {
            if self.tcp.read_buf(&mut self.read).await? == 0 {
                return Err("the connection was closed within an answer".into());
            }
        }
        self.read.advance(head_bytes + body_bytes);
        Ok(())
    }
}

/// The length of the body behind a head that says 200.
fn body_bytes(head: &str) -> Result<usize, Fault> {
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the call failed: {head}").into());
    }
    let (_, rest) = head.split_once("content-length: ").ok_or("an answer without content-length")?;
    let digits = rest.split("\r\n").next().unwrap_or_default();
    Ok(digits.parse()?)
}
