//! Idempotency keys: a create that is sent twice happens once (the `Idempotency-Key` header of both faces).

use super::records::{ReplayRecord, actor_and_key, read, tables};
use super::{Answer, App, Caller, Error, error::invalid, etag};
use crate::pb::c1::api::policy::v1::{CreatePolicyRequest, CreatePolicyResponse, Policy};
use crate::store::table::Key;
use crate::store::{self, Batch, Direction};
use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

/// The longest key, in bytes of visible ASCII.
pub const KEY_MAX_BYTES: usize = 255;
/// How long a key is remembered, in seconds.
pub const KEPT_SECONDS: i64 = 24 * 60 * 60;
/// How many forgotten keys one create clears away.
const CLEARED_MAX: usize = 16;

/// A key and the request that came with it.
pub(super) struct Replay {
    actor: String,
    key: String,
    request: Bytes,
}

impl Replay {
    /// What `caller` asks to be remembered, if anything. Keys belong to the principal that sent them.
    pub(super) fn of(caller: &Caller, request: &CreatePolicyRequest) -> Result<Option<Replay>, Error> {
        let Some(key) = caller.idempotency_key.clone() else { return Ok(None) };
        if key.is_empty()
            || key.len() > KEY_MAX_BYTES
            || !key.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        {
            let message = format!("an idempotency key is 1 to {KEY_MAX_BYTES} visible ASCII characters");
            return Err(invalid("idempotency-key", "IDEMPOTENCY_KEY_INVALID", message));
        }
        let request = Bytes::from(Sha256::digest(request.encode_to_vec()).to_vec());
        Ok(Some(Replay { actor: caller.actor.clone(), key, request }))
    }

    fn record_key(&self) -> Vec<u8> {
        Key::new(tables::REPLAY).text(&self.actor).text(&self.key).into_bytes()
    }
}

/// What is known of a key.
pub(super) enum Replayed {
    /// The first answer to the same request.
    Answer(Box<Answer<CreatePolicyResponse>>),
    /// Nothing that still counts. The record under the key, if there is one, was written by this commit; that nobody
    /// writes another is a condition of taking the key.
    Nothing(Option<store::Revision>),
}

impl App {
    /// The first answer to the same request under the same key, if it was given within the last day.
    pub(super) async fn replayed(&self, replay: &Replay) -> Result<Replayed, Error> {
        let Some(stored) = self.read(&replay.record_key()).await? else { return Ok(Replayed::Nothing(None)) };
        let record: ReplayRecord = read(&stored.value)?;
        if record.ends <= self.clock.now().seconds {
            return Ok(Replayed::Nothing(Some(stored.revision)));
        }
        if record.request != replay.request {
            return Err(Error::KeyReused);
        }
        let revision = self.revision(&record.policy_id, 1).await?.ok_or(Error::Damaged)?;
        let policy: Policy = read(&revision.document)?;
        // Whoever made it may have left before the catalogue showed it, and this answer tells of it.
        if let Some(current) = self.current(&record.policy_id).await? {
            self.catalogue.put(&current.policy, current.revision);
        }
        let etag = Some(etag(1, &revision.document));
        let message = CreatePolicyResponse { policy: Some(policy) };
        Ok(Replayed::Answer(Box::new(Answer { message, etag, warnings: record.warnings })))
    }

    /// Adds to `batch` that the key is taken, if it is still as [`App::replayed`] found it, which is `before`.
    pub(super) fn remember(
        &self,
        batch: &mut Batch,
        replay: &Replay,
        before: Option<store::Revision>,
        policy: &Policy,
        warnings: &[String],
    ) {
        let now = self.clock.now().seconds;
        let key = replay.record_key();
        let record = ReplayRecord {
            request: replay.request.clone(),
            policy_id: policy.id.clone(),
            ends: now.saturating_add(KEPT_SECONDS),
            warnings: warnings.to_vec(),
        };
        let end = Key::new(tables::REPLAY_END)
            .u64(seconds(record.ends))
            .text(&replay.actor)
            .text(&replay.key)
            .into_bytes();
        batch.require_unchanged(key.clone(), before).put(key, record.encode_to_vec()).put(end, Bytes::new());
    }

    /// Clears away a few keys that have ended. In a batch of its own, after the create and whatever comes of it: two
    /// creates that clear the same keys are no reason to refuse one of them.
    pub(super) async fn clear_ended(&self) {
        let mut batch = Batch::new();
        if let Err(error) = self.ended(&mut batch).await {
            tracing::warn!(%error, "idempotency keys that have ended cannot be read");
        } else if !batch.writes.is_empty() {
            // Who comes next tries again.
            let _ = self.commit(batch).await;
        }
    }

    async fn ended(&self, batch: &mut Batch) -> Result<(), Error> {
        let now = self.clock.now().seconds;
        let mut ended = Key::new(tables::REPLAY_END).range();
        ended.end = Key::new(tables::REPLAY_END).u64(seconds(now)).into_bytes();
        for (key, _) in self.store.scan(ended, Direction::Ascending, CLEARED_MAX).await? {
            let (actor, replay_key) = actor_and_key(&key)?;
            let record_key = Key::new(tables::REPLAY).text(&actor).text(&replay_key).into_bytes();
            // The key may have been taken again since: then its record ends later and stays.
            if let Some(stored) = self.read(&record_key).await?
                && read::<ReplayRecord>(&stored.value)?.ends <= now
            {
                batch.require_unchanged(record_key.clone(), Some(stored.revision)).delete(record_key);
            }
            batch.delete(key.to_vec());
        }
        Ok(())
    }
}

/// Seconds since 1970 as a part of a key; before 1970 is 1970.
fn seconds(since: i64) -> u64 {
    u64::try_from(since).unwrap_or(0)
}
