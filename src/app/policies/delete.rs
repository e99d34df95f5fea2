//! Delete: soft; the policy can still be read by its id, and keeps its revisions.

use crate::app::records::{referrer_of, tables};
use crate::app::write::PolicyWrite;
use crate::app::{ATTEMPTS_MAX, Answer, App, Caller, Error, REFERRERS_LISTED_MAX, etag};
use crate::pb::c1::api::policy::v1::{DeletePolicyRequest, DeletePolicyResponse, Policy};
use crate::store::table::Key;
use crate::store::{Batch, Direction};
use bytes::Bytes;
use prost::Message;

impl App {
    /// Marks a policy as deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none or it is deleted already; [`Error::InUse`] while a live policy refers to it;
    /// [`Error::EtagMismatch`] by `If-Match`.
    pub async fn policy_delete(
        &self,
        caller: &Caller,
        request: DeletePolicyRequest,
    ) -> Result<Answer<DeletePolicyResponse>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let old = self.live(&request.id).await?;
            etag::require(caller.if_match.as_deref(), &request.id, &old.etag())?;
            let referrers = Key::new(tables::REFERRER).text(&request.id).range();
            let entries =
                self.store.scan(referrers.clone(), Direction::Ascending, REFERRERS_LISTED_MAX).await?;
            if !entries.is_empty() {
                let ids = entries.iter().map(|(key, _)| referrer_of(key));
                let referrers = ids.collect::<Result<_, _>>()?;
                return Err(Error::InUse { id: request.id, referrers });
            }
            let new = Policy { deleted_at: Some(self.clock.now()), ..old.policy.clone() };
            let mut batch = Batch::new();
            batch.require_range_empty(referrers);
            let document = Bytes::from(new.encode_to_vec());
            self.write(
                &mut batch,
                caller,
                PolicyWrite { old: Some(&old), new: &new, document, mask: Vec::new(), restores: None },
            );
            if self.commit_policy(caller, batch, &new).await?.is_some() {
                return Ok(DeletePolicyResponse {}.into());
            }
        }
        Err(Error::Contended { attempts: ATTEMPTS_MAX })
    }
}
