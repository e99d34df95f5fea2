//! Get: one policy by its id, deleted ones too.

use crate::app::{Answer, App, Error};
use crate::pb::c1::api::policy::v1::{GetPolicyRequest, GetPolicyResponse};

impl App {
    /// The policy `id`; a deleted one comes with its `deletedAt`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there never was one.
    pub async fn policy_get(&self, request: GetPolicyRequest) -> Result<Answer<GetPolicyResponse>, Error> {
        let current = self.current(&request.id).await?.ok_or(Error::NotFound { id: request.id })?;
        let etag = Some(current.etag());
        Ok(Answer { etag, ..GetPolicyResponse { policy: Some(current.policy) }.into() })
    }
}
