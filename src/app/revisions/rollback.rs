//! Rollback: an old document as a new revision, if it would be accepted today.

use super::{Found, Kept, wanted};
use crate::app::records::{RevisionRecord, read};
use crate::app::write::{Checked, Current, PolicyWrite};
use crate::app::{ATTEMPTS_MAX, Answer, App, Caller, Error, etag};
use crate::pb::c1::api::policy::v1::Policy;
use crate::pb::countersign::v1::{Revision, RollbackRequest};
use crate::policy::c1;
use crate::store::Batch;

impl App {
    /// Writes the document of a revision again.
    ///
    /// # Errors
    /// Those of an update to that document; [`Error::NoSuchRevision`].
    pub async fn revision_rollback(
        &self,
        caller: &Caller,
        request: RollbackRequest,
    ) -> Result<Answer<Revision>, Error> {
        let number = wanted(&request.revision)?;
        let id = &request.policy_id;
        let (kept, warnings) = match self.policy_by_id(id, request.dialect).await? {
            Found::C1(_) => self.policy_rollback(caller, id, number).await?,
            Found::Guardian(_) => self.guardian_rollback(caller, id, number).await?,
        };
        let etag = (!caller.validate_only).then(|| kept.etag.clone());
        let mut told = kept.told(id, true);
        told.etag = etag.clone().unwrap_or_default();
        Ok(Answer { message: told, etag, warnings })
    }

    async fn policy_rollback(
        &self,
        caller: &Caller,
        id: &str,
        number: Option<u64>,
    ) -> Result<(Kept, Vec<String>), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let old = self.live(id).await?;
            etag::require(caller.if_match.as_deref(), id, &old.etag())?;
            let number = number.unwrap_or(old.record.number);
            let restored = self.kept(&old, id, Some(number)).await?.record;
            let mut new = self.restored(&old, read(&restored.document)?);
            let added = c1::prepare(&mut new);
            let mut batch = Batch::new();
            let Checked { document, warnings } = self.check(&mut batch, Some(&old.policy), &new).await?;
            let write = PolicyWrite {
                old: Some(&old),
                new: &new,
                document: document.clone(),
                mask: Vec::new(),
                restores: Some(number),
            };
            self.write(&mut batch, caller, write);
            let record = RevisionRecord {
                number: old.record.number + 1,
                time: new.updated_at,
                actor: caller.actor.clone(),
                method: caller.method.to_owned(),
                document,
                restores: number,
                ..RevisionRecord::default()
            };
            if self.commit_policy(caller, batch, &new).await?.is_some() {
                let mut warnings: Vec<String> =
                    added.iter().chain(&warnings).map(ToString::to_string).collect();
                if caller.validate_only {
                    warnings.extend(self.analysis_warnings(&new).await?);
                }
                return Ok((Kept::of(record)?, warnings));
            }
        }
        Err(Error::Contended { attempts: ATTEMPTS_MAX })
    }

    /// The old document, with everything that only the service sets as it is now.
    fn restored(&self, now: &Current, then: Policy) -> Policy {
        let kept = &now.policy;
        Policy {
            id: kept.id.clone(),
            created_at: kept.created_at,
            updated_at: Some(self.clock.now()),
            deleted_at: kept.deleted_at,
            system_builtin: kept.system_builtin,
            ..then
        }
    }
}
