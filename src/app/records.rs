//! What is kept under which key: the tables of the store, and the records in them.
//!
//! ```text
//! table        key                              value
//! SETTING      name                             bytes that this store keeps for itself
//! POLICY       id                               RevisionRecord: the policy as it is now, deleted ones too
//! REVISION     id, number                       RevisionRecord: every state before that
//! REFERRER     target id, source id             ReferrerRecord: a live policy that refers to another
//! REPLAY       actor, idempotency key           ReplayRecord: what a create with this key answered
//! REPLAY_END   seconds, actor, idempotency key  (empty): when to forget it
//! G_HEAD       id                               GuardianHead: a Guardian policy, with its latest version
//! G_VERSION    id, version                      GuardianRecord: every version before that
//! (FF)         number                           the audit trail (`audit/record.rs`), in the store's journal
//! ```
//!
//! A write moves the state that it replaces to REVISION or G_VERSION, so that every state is kept and a new policy, the write
//! whose speed matters most, puts its document down once. Each further record costs about as much as the first.
//!
//! The records are protobuf messages, so that a later release can add to them; ids are UUIDv7 in text, so that their
//! order is the order of creation.

use super::Error;
use crate::store::table::{Key, Malformed, Parts};
use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;

/// The tables, by the number that begins each of their keys. A number is never used again for something else.
pub(super) mod tables {
    pub(crate) const SETTING: u8 = 1;
    pub(crate) const POLICY: u8 = 2;
    pub(crate) const REVISION: u8 = 3;
    pub(crate) const REFERRER: u8 = 4;
    pub(crate) const REPLAY: u8 = 5;
    pub(crate) const REPLAY_END: u8 = 6;
    pub(crate) const G_HEAD: u8 = 32;
    pub(crate) const G_VERSION: u8 = 33;
    // 34 was the order in which Guardian's policies are listed, up to format 2.
}

/// The key of the policy `id`.
pub(super) fn policy_key(id: &str) -> Vec<u8> {
    Key::new(tables::POLICY).text(id).into_bytes()
}

/// The id of the policy whose key this is; `None` for a key of another table.
pub(super) fn policy_id_of(key: &[u8]) -> Option<String> {
    Parts::of(tables::POLICY, key).and_then(|mut parts| parts.text()).ok()
}

/// The policy that refers, of an entry of `REFERRER`.
///
/// # Errors
/// [`Error::Damaged`]: the key is not one that was written.
pub(super) fn referrer_of(key: &[u8]) -> Result<String, Error> {
    let read = || {
        let mut parts = Parts::of(tables::REFERRER, key)?;
        parts.text()?;
        parts.text()
    };
    read().map_err(damaged_key)
}

/// The actor and the idempotency key of an entry of `REPLAY_END`.
pub(super) fn actor_and_key(key: &[u8]) -> Result<(String, String), Error> {
    let read = || {
        let mut parts = Parts::of(tables::REPLAY_END, key)?;
        parts.u64()?;
        Ok((parts.text()?, parts.text()?))
    };
    read().map_err(damaged_key)
}

/// The key of one version of a Guardian policy.
pub(super) fn guardian_key(id: &str, version: u32) -> Vec<u8> {
    Key::new(tables::G_VERSION).text(id).u64(version.into()).into_bytes()
}

/// The key of a Guardian policy.
pub(super) fn guardian_head_key(id: &str) -> Vec<u8> {
    Key::new(tables::G_HEAD).text(id).into_bytes()
}

/// The id of the Guardian policy whose key this is; `None` for a key of another table.
pub(super) fn guardian_id_of(key: &[u8]) -> Option<String> {
    let mut parts = Parts::of(tables::G_HEAD, key).ok()?;
    parts.text().ok()
}

/// The id and the version in a key of `G_VERSION`.
pub(super) fn guardian_version_of(key: &[u8]) -> Result<(String, u32), Error> {
    let read = || {
        let mut parts = Parts::of(tables::G_VERSION, key)?;
        let (id, version) = (parts.text()?, parts.u64()?);
        parts.end()?;
        Ok((id, u32::try_from(version).map_err(|_| Malformed)?))
    };
    read().map_err(damaged_key)
}

fn damaged_key(_: Malformed) -> Error {
    tracing::error!("a key of the store cannot be read");
    Error::Damaged
}

/// One state of a policy, and how it came to be.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RevisionRecord {
    /// Counts this policy's revisions, from 1.
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
    /// An encoded `Policy`.
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) document: Bytes,
    /// The revision whose document was written again; 0 for other writes.
    #[prost(uint64, tag = "7")]
    pub(super) restores: u64,
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

/// A Guardian policy: every write of it depends on this.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GuardianHead {
    /// The number of its latest version.
    #[prost(uint32, tag = "1")]
    pub(super) latest: u32,
    /// That version. Up to format 2 it was kept in `G_VERSION`, and may still be there.
    #[prost(message, optional, tag = "2")]
    pub(super) record: Option<GuardianRecord>,
}

/// One version of a Guardian policy. Never changed, but that its secrets may be encrypted again.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GuardianRecord {
    /// The document: an encoded `gotocompany.guardian.v1beta1.Policy`, its secrets sealed.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) document: Bytes,
    /// When it was stored, whatever the document says.
    #[prost(message, optional, tag = "2")]
    pub(super) time: Option<Timestamp>,
    /// Who wrote it.
    #[prost(string, tag = "3")]
    pub(super) actor: String,
    /// The full name of the RPC that wrote it.
    #[prost(string, tag = "4")]
    pub(super) method: String,
    /// What only the older family of messages has.
    #[prost(string, tag = "5")]
    pub(super) title: String,
    #[prost(string, tag = "6")]
    pub(super) created_by: String,
    /// The version whose document was written again; 0 for other writes.
    #[prost(uint64, tag = "7")]
    pub(super) restores: u64,
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
