//! The messages in the body of a gRPC answer, one after the other, and the status behind them.
//!
//! Only answers of our own services come here, so their size is not limited; a call that was cut off is an error.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use tonic::Status;

/// The flag byte and the length before every message.
pub(crate) const PREFIX_BYTES: usize = 5;

#[derive(Debug)]
pub(crate) struct Messages<B> {
    body: B,
    /// What was received and not handed out yet.
    pending: Bytes,
    trailers: HeaderMap,
}

impl<B> Messages<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<tonic::codegen::StdError>,
{
    pub(crate) fn new(body: B) -> Self {
        Messages { body, pending: Bytes::new(), trailers: HeaderMap::new() }
    }

    /// The next message, without a copy if it came in one piece. `None` at the end; then `finish` says how it ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.split()? {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else {
                let cut = !self.pending.is_empty();
                return if cut { Err(broken("it ends within a message")) } else { Ok(None) };
            };
            match frame.map_err(|error| Status::from_error(error.into()))?.into_data() {
                Ok(data) => self.push(data),
                Err(frame) => self.trailers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
    }

    /// How the call ended, once `next` gave `None`: the trailers, or the status that they hold.
    pub(crate) fn finish(self) -> Result<HeaderMap, Status> {
        // The common case first, without making a status of it.
        if self.trailers.get(Status::GRPC_STATUS).is_some_and(|code| code == "0") {
            return Ok(self.trailers);
        }
        match Status::from_header_map(&self.trailers) {
            Some(status) => Err(status),
            None => Err(broken("it has no status")),
        }
    }

    fn push(&mut self, data: Bytes) {
        if self.pending.is_empty() {
            self.pending = data;
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        let mut grown = pending.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        grown.extend_from_slice(&data);
        self.pending = grown.freeze();
    }

    fn split(&mut self) -> Result<Option<Bytes>, Status> {
        let Some([flag, length @ ..]) = self.pending.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        if *flag != 0 {
            return Err(broken("it is compressed, which was not asked for"));
        }
        let length = u32::from_be_bytes(*length) as usize;
        if self.pending.len() - PREFIX_BYTES < length {
            return Ok(None);
        }
        self.pending.advance(PREFIX_BYTES);
        Ok(Some(self.pending.split_to(length)))
    }
}

pub(crate) fn broken(why: &str) -> Status {
    Status::internal(format!("the answer of the service is broken: {why}"))
}
