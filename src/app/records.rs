//! What is kept under which key: the tables of the store, and the records in them.
//!
//! ```text
//! table        key                              value
//! SETTING      name                             bytes that this store keeps for itself
//! POLICY       id                               PolicyRecord: the policy as it is now, deleted ones too
//! REVISION     id, number                       RevisionRecord: every state it ever had
//! REFERRER     target id, source id             ReferrerRecord: a live policy that refers to another
//! REPLAY       actor, idempotency key           ReplayRecord: what a create with this key answered
//! REPLAY_END   seconds, actor, idempotency key  (empty): when to forget it
//! LIVE         id                               Summary, of policies that are not deleted
//! ALL          id                               Summary, of all
//! TYPE         type, id                         Summary, of policies that are not deleted
//! SCOPE        app id, id                       Summary, of scoped policies that are not deleted
//! NAME         folded display name, id          Summary, of all
//! WORD         word, id                         Summary with where the word stands, of all
//! ```
//!
//! The records are protobuf messages, so that a later release can add to them; ids are UUIDv7 in text, so that their
//! order is the order of creation.

use super::Error;
use crate::pb::c1::api::policy::v1::Policy;
use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;

/// The tables, by the number that begins each of their keys. A number is never used again for something else.
pub(super) mod tables {
    use crate::store::table::Table;

    pub(crate) const SETTING: Table = Table::new(1);
    pub(crate) const POLICY: Table = Table::new(2);
    pub(crate) const REVISION: Table = Table::new(3);
    pub(crate) const REFERRER: Table = Table::new(4);
    pub(crate) const REPLAY: Table = Table::new(5);
    pub(crate) const REPLAY_END: Table = Table::new(6);
    pub(crate) const LIVE: Table = Table::new(16);
    pub(crate) const ALL: Table = Table::new(17);
    pub(crate) const TYPE: Table = Table::new(18);
    pub(crate) const SCOPE: Table = Table::new(19);
    pub(crate) const NAME: Table = Table::new(20);
    pub(crate) const WORD: Table = Table::new(21);
}

/// A policy as it is now.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PolicyRecord {
    /// Counts this policy's revisions, from 1.
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    /// The document: an encoded `Policy`.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) document: Bytes,
}

/// One state that a policy had.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RevisionRecord {
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) time: Option<Timestamp>,
    /// Who wrote it.
    #[prost(string, tag = "3")]
    pub(super) actor: String,
    /// The full name of the RPC that wrote it.
    #[prost(string, tag = "4")]
    pub(super) method: String,
    /// The paths of the update mask, in proto spelling; empty for writes without one.
    #[prost(string, repeated, tag = "5")]
    pub(super) mask: Vec<String>,
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) document: Bytes,
}

/// That one policy refers to another.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ReferrerRecord {
    /// Whether a rule or the baseline leads there, so that the reference is part of a chain.
    #[prost(bool, tag = "1")]
    pub(super) routes: bool,
}

/// What a create with an idempotency key answered.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ReplayRecord {
    /// Digest of the request.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) request: Bytes,
    /// The policy that it made, whose revision 1 is the answer.
    #[prost(string, tag = "2")]
    pub(super) policy_id: String,
    /// Seconds since 1970 after which it is forgotten.
    #[prost(int64, tag = "3")]
    pub(super) ends: i64,
    /// The lines of its warnings, given again with it.
    #[prost(string, repeated, tag = "4")]
    pub(super) warnings: Vec<String>,
}

/// What the filters of a search ask, so that no policy need be read to answer them.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(int32, tag = "1")]
    pub(super) policy_type: i32,
    #[prost(bool, tag = "2")]
    pub(super) deleted: bool,
    #[prost(message, optional, tag = "3")]
    pub(super) scope: Option<crate::pb::c1::api::policy::v1::PolicyScope>,
    /// In the index of words only: 2 if the word stands in the name, 1 if only in the description.
    #[prost(uint32, tag = "4")]
    pub(super) weight: u32,
}

/// Reads a record of the store.
///
/// # Errors
/// [`Error::Damaged`]: the checksum held but the bytes are no such record.
pub(super) fn read<R: Message + Default>(value: &Bytes) -> Result<R, Error> {
    R::decode(value.clone()).map_err(|error| {
        tracing::error!(%error, "a stored record cannot be decoded");
        Error::Damaged
    })
}

impl PolicyRecord {
    /// The document, decoded.
    pub(super) fn policy(&self) -> Result<Policy, Error> {
        read(&self.document)
    }
}
