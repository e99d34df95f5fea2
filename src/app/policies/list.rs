//! List: the policies that are not deleted, in the order in which they were created.

use crate::app::page::{self, Call};
use crate::app::records::{id_of, tables};
use crate::app::{Answer, App, Error};
use crate::pb::c1::api::policy::v1::{ListPolicyRequest, ListPolicyResponse, Policy};
use crate::store::Direction;
use crate::store::table::Key;

impl App {
    /// One page. The cost of a page does not depend on how far it is from the start.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a negative size, or a token that does not belong to this call.
    pub async fn policy_list(&self, request: ListPolicyRequest) -> Result<Answer<ListPolicyResponse>, Error> {
        let size = page::size(request.page_size)?;
        let call = Call::new("Policies.List", &ListPolicyRequest::default());
        let cursor = self.tokens.open(&call, &request.page_token)?;
        let range = match &cursor {
            Some(last) => Key::new(tables::LIVE).range().after(last),
            None => Key::new(tables::LIVE).range(),
        };
        // One more than asked for tells whether there is another page.
        let mut entries = self.store.scan(range, Direction::Ascending, size + 1).await?;
        let more = entries.len() > size;
        entries.truncate(size);
        let next = entries.last().filter(|_| more).map(|(last, _)| self.tokens.seal(&call, last.to_vec()));
        let ids: Vec<String> =
            entries.iter().map(|(key, _)| id_of(tables::LIVE, key)).collect::<Result<_, _>>()?;
        let mut list = self.policies(ids).await?;
        list.retain(|policy| policy.deleted_at.is_none());
        Ok(ListPolicyResponse { list, next_page_token: next.unwrap_or_default() }.into())
    }

    /// The documents of these ids, as they are now: one may have been deleted since its index entry was read.
    pub(in crate::app) async fn policies(&self, ids: Vec<String>) -> Result<Vec<Policy>, Error> {
        let mut list = Vec::new();
        for id in ids {
            list.extend(self.current(&id).await?.map(|current| current.policy));
        }
        Ok(list)
    }
}
