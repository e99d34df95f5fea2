//! List: the policies that are not deleted, in the order in which they were created.

use crate::app::page::{self, Call};
use crate::app::{Answer, App, Error};
use crate::pb::c1::api::policy::v1::{ListPolicyRequest, ListPolicyResponse, Policy};
use uuid::Uuid;

impl App {
    /// One page. The cost of a page does not depend on how far it is from the start.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a negative size, or a token that does not belong to this call.
    pub async fn policy_list(&self, request: ListPolicyRequest) -> Result<Answer<ListPolicyResponse>, Error> {
        let size = page::size(request.page_size)?;
        let call = Call::new("Policies.List", &ListPolicyRequest::default());
        let cursor = self.tokens.open(&call, &request.page_token)?;
        let last = cursor.map(|cursor| Uuid::from_slice(&cursor)).transpose();
        let last = last.map_err(|error| Error::Internal(error.to_string()))?;
        // One more than asked for tells whether there is another page.
        let mut ids: Vec<Uuid> = self.catalogue.entries().live_after(last).take(size + 1).collect();
        let more = ids.len() > size;
        ids.truncate(size);
        let next = ids.last().filter(|_| more).map(|last| self.tokens.seal(&call, last.as_bytes().to_vec()));
        let mut list = self.policies(&ids).await?;
        // One may have been deleted since.
        list.retain(|policy| policy.deleted_at.is_none());
        Ok(ListPolicyResponse { list, next_page_token: next.unwrap_or_default() }.into())
    }

    /// The documents of these ids, as they are now.
    pub(in crate::app) async fn policies(&self, ids: &[Uuid]) -> Result<Vec<Policy>, Error> {
        let mut list = Vec::new();
        for id in ids {
            list.extend(self.current(&id.to_string()).await?.map(|current| current.policy));
        }
        Ok(list)
    }
}
