//! Idempotency keys: a create that is sent twice happens once (the `Idempotency-Key` header of both faces).

use super::records::{ReplayRecord, RevisionRecord, actor_and_key, read, tables};
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

impl App {
    /// The first answer to the same request under the same key, if it was given within the last day.
    pub(super) async fn replayed(
        &self,
        replay: Option<&Replay>,
    ) -> Result<Option<Answer<CreatePolicyResponse>>, Error> {
        let Some(replay) = replay else { return Ok(None) };
        let Some((_, record)) = self.remembered(replay).await? else { return Ok(None) };
        if record.ends <= self.clock.now().seconds {
            return Ok(None);
        }
        if record.request != replay.request {
            return Err(Error::KeyReused);
        }
        let key = Key::new(tables::REVISION).text(&record.policy_id).u64(1).into_bytes();
        let revision: RevisionRecord = read(&self.read(&key).await?.ok_or(Error::Damaged)?.value)?;
        let policy: Policy = read(&revision.document)?;
        let etag = Some(etag(1, &revision.document));
        Ok(Some(Answer {
            message: CreatePolicyResponse { policy: Some(policy) },
            etag,
            warnings: record.warnings,
        }))
    }

    /// Adds to `batch` that the key is taken, if nobody took it in between, and clears a few keys that have ended.
    pub(super) async fn remember(
        &self,
        batch: &mut Batch,
        replay: &Replay,
        policy: &Policy,
        warnings: &[String],
    ) -> Result<(), Error> {
        let now = self.clock.now().seconds;
        self.clear_ended(batch, now).await?;
        let seen = self.remembered(replay).await?.map(|(revision, _)| revision);
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
        batch.require_unchanged(key.clone(), seen).put(key, record.encode_to_vec()).put(end, Bytes::new());
        Ok(())
    }

    async fn remembered(&self, replay: &Replay) -> Result<Option<(store::Revision, ReplayRecord)>, Error> {
        let Some(stored) = self.read(&replay.record_key()).await? else { return Ok(None) };
        Ok(Some((stored.revision, read(&stored.value)?)))
    }

    async fn clear_ended(&self, batch: &mut Batch, now: i64) -> Result<(), Error> {
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
