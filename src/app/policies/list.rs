//! List: the policies that are not deleted, in the order in which they were created.

use crate::app::page::{self, Call, PAGE_MAX_BYTES};
use crate::app::{Answer, App, Error};
use crate::pb::c1::api::policy::v1::{ListPolicyRequest, ListPolicyResponse, Policy};
use crate::policy::Report;
use uuid::Uuid;

impl App {
    /// One page; it ends early at [`PAGE_MAX_BYTES`]. Its cost does not depend on how far it is from the start.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a negative size, or a token that does not belong to this call.
    pub async fn policy_list(&self, request: ListPolicyRequest) -> Result<Answer<ListPolicyResponse>, Error> {
        let mut report = Report::default();
        let size = report.value_or_default(page::size(request.page_size));
        let call = Call::new("Policies.List", &ListPolicyRequest::default());
        let cursor = report.value_or_default(self.tokens.open(&call, &request.page_token));
        report.finish()?;
        let last = cursor.map(|cursor| Uuid::from_slice(&cursor)).transpose();
        let last = last.map_err(|error| Error::Internal(error.to_string()))?;
        // One more than asked for tells whether there is another page.
        let mut ids: Vec<Uuid> = self.catalogue.entries().live_after(last).take(size + 1).collect();
        let found = ids.len();
        ids.truncate(size);
        let (mut list, taken) = self.policies(ids.iter().copied()).await?;
        ids.truncate(taken);
        let more = found > taken;
        let next = ids.last().filter(|_| more).map(|last| self.tokens.seal(&call, last.as_bytes().to_vec()));
        // One may have been deleted since.
        list.retain(|policy| policy.deleted_at.is_none());
        Ok(ListPolicyResponse { list, next_page_token: next.unwrap_or_default() }.into())
    }

    /// The documents of the first of these ids, as they are now, as many as a page holds; and how many ids that were.
    pub(in crate::app) async fn policies(
        &self,
        ids: impl Iterator<Item = Uuid> + Send,
    ) -> Result<(Vec<Policy>, usize), Error> {
        let (mut list, mut taken, mut bytes) = (Vec::new(), 0, 0);
        for id in ids {
            taken += 1;
            let Some(current) = self.current(&id.to_string()).await? else { continue };
            bytes += current.record.document.len();
            list.push(current.policy);
            if bytes > PAGE_MAX_BYTES {
                break;
            }
        }
        Ok((list, taken))
    }
}
