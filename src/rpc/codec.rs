//! How messages are read from and written to the wire: as tonic's own codec does, but for what a hostile body may hold.
//!
//! prost gives up on deep messages by itself, with an internal error of several kilobytes. Here the bytes are looked
//! over by their descriptor first, so that a bad body is the caller's fault, in one sentence, and never deeper than
//! [`MESSAGE_DEPTH_MAX_LEVELS`].

use super::status;
use crate::pb;
use crate::wire::{self, Flaw, MESSAGE_DEPTH_MAX_LEVELS, Malformed, Schema, Type};
use bytes::Buf;
use prost::{Message, Name};
use std::marker::PhantomData;
use std::sync::LazyLock;
use tonic::codec::{Codec as TonicCodec, DecodeBuf, Decoder as TonicDecoder};
use tonic::{Code, Status};
use tonic_prost::ProstEncoder;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(pb::pool()));

/// The codec of the generated services and clients.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Codec(PhantomData)
    }
}

impl<T, U> TonicCodec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Decoder { message: SCHEMA.message(&U::full_name()), of: PhantomData }
    }
}

/// Looks a body over, then decodes it.
#[derive(Debug)]
pub struct Decoder<U> {
    message: Option<Type>,
    of: PhantomData<U>,
}

impl<U: Message + Default> TonicDecoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, body: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = body.copy_to_bytes(body.remaining());
        if let Some(message) = &self.message {
            wire::check(message, &bytes, MESSAGE_DEPTH_MAX_LEVELS).map_err(|wrong| refused(&wrong))?;
        }
        let message = U::decode(bytes).map_err(|_| malformed("the message cannot be decoded"))?;
        Ok(Some(message))
    }
}

fn refused(wrong: &Malformed) -> Status {
    match wrong.flaw {
        // Which byte it is tells nobody anything, the limit does.
        Flaw::Depth => {
            malformed(&format!("messages are nested too deeply: more than {MESSAGE_DEPTH_MAX_LEVELS} levels"))
        }
        _ => malformed(&wrong.to_string()),
    }
}

fn malformed(fault: &str) -> Status {
    status::with(Code::InvalidArgument, fault, "MESSAGE_MALFORMED", &[])
}
