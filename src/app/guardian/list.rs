//! ListPolicies: every version of every policy in the order of `created_at`, or the versions that are asked for.

use super::{Document, Doing, internal};
use crate::app::catalogue::{Place, Versions};
use crate::app::{Answer, App, Error, error::invalid};
use crate::pb::gotocompany::guardian::v1beta1::{ListPoliciesRequest, ListPoliciesResponse};
use crate::policy::guardian::NUL;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// The largest answer, in bytes; whoever has more policies asks for them by `size` and `offset`.
const LIST_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Which versions of one policy are asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    /// 0 stands for the latest.
    Some(BTreeSet<u32>),
}

impl App {
    /// The policies that match.
    ///
    /// # Errors
    /// [`Error::Invalid`] if no entry of `ids` can be read, or the answer would be larger than [`LIST_MAX_BYTES`].
    pub async fn guardian_list(
        &self,
        request: ListPoliciesRequest,
    ) -> Result<Answer<ListPoliciesResponse>, Error> {
        let leaves_out = |what: &str| request.field_masks.iter().any(|mask| mask == what);
        let (documents, total) = self.list(&request, !leaves_out("policies")).await?;
        let total = if leaves_out("total") { 0 } else { i32::try_from(total).unwrap_or(i32::MAX) };
        let policies = documents.into_iter().map(|document| document.policy).collect();
        Ok(ListPoliciesResponse { policies, total }.into())
    }

    /// As [`App::guardian_list`], for both families: the documents, if they are wanted, and how many there are.
    pub(super) async fn list(
        &self,
        request: &ListPoliciesRequest,
        wanted: bool,
    ) -> Result<(Vec<Document>, usize), Error> {
        let listed = self.try_list(request, wanted).await;
        listed.map_err(|error| self.guardian.worded(Doing::List, error))
    }

    async fn try_list(
        &self,
        request: &ListPoliciesRequest,
        wanted: bool,
    ) -> Result<(Vec<Document>, usize), Error> {
        let filter = filter(&request.ids);
        if filter.is_empty() && !request.ids.is_empty() && !self.guardian.is_strict() {
            let message = "no entry is an id, id:version or id:0";
            return Err(invalid("ids", "IDS_INVALID", message));
        }
        if self.guardian.is_strict() && filter.keys().any(|id| id.contains('\0')) {
            return Err(internal(Doing::List, NUL));
        }
        let (places, total) = {
            let versions = self.catalogue.versions();
            if filter.is_empty() {
                (page(versions.listed().cloned(), request, wanted), versions.len())
            } else {
                let matching = matching(&versions, &filter);
                let total = matching.len();
                (page(matching.into_iter(), request, wanted), total)
            }
        };
        let mut documents = Vec::new();
        let mut bytes = 0;
        for place in places {
            let Some(document) = self.guardian_version(&place.id, place.version).await? else { continue };
            bytes += document.policy.encoded_len();
            if bytes > LIST_MAX_BYTES {
                let message =
                    format!("the answer is over {LIST_MAX_BYTES} bytes; ask for less, by size and offset");
                return Err(invalid("size", "LIST_TOO_LARGE", message));
            }
            documents.push(self.masked(document));
        }
        Ok((documents, total))
    }
}

/// The places of the versions that a filter names, in order.
fn matching(versions: &Versions, filter: &BTreeMap<String, Wanted>) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for (id, wanted) in filter {
        let Some(latest) = versions.latest(id) else { continue };
        match wanted {
            Wanted::All => places.extend((1..=latest).filter_map(|version| versions.place(id, version))),
            Wanted::Some(some) => {
                let numbers = some.iter().map(|version| if *version == 0 { latest } else { *version });
                places.extend(numbers.filter_map(|version| versions.place(id, version)));
            }
        }
    }
    places
}

/// Those on the page that is asked for; none if only their number is.
fn page(places: impl Iterator<Item = Place>, request: &ListPoliciesRequest, wanted: bool) -> Vec<Place> {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let size = if request.size == 0 { usize::MAX } else { number(request.size) };
    places.skip(number(request.offset)).take(if wanted { size } else { 0 }).collect()
}

/// What `ids` asks for; entries that cannot be read are left out, as Guardian does.
fn filter(ids: &[String]) -> BTreeMap<String, Wanted> {
    let mut filter = BTreeMap::new();
    for entry in ids {
        let mut parts = entry.trim().split(':');
        let (id, version, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if id.is_empty() || more.is_some() {
            continue;
        }
        match version.map(str::parse::<i64>) {
            None => drop(filter.insert(id.to_owned(), Wanted::All)),
            Some(Ok(version)) if version >= 0 => {
                let wanted = filter.entry(id.to_owned()).or_insert_with(|| Wanted::Some(BTreeSet::new()));
                // A number that no version can have asks for nothing, but it asks.
                if let (Wanted::Some(versions), Ok(version)) = (wanted, u32::try_from(version)) {
                    versions.insert(version);
                }
            }
            Some(_) => {}
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_guardian_reads_them() {
        let of = |ids: &[&str]| filter(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        let some = |versions: &[u32]| Wanted::Some(versions.iter().copied().collect());
        assert_eq!(of(&[" a "]), [("a".to_owned(), Wanted::All)].into());
        assert_eq!(of(&["a:3", "a:0"]), [("a".to_owned(), some(&[0, 3]))].into());
        assert_eq!(of(&["a:3", "a"]), [("a".to_owned(), Wanted::All)].into());
        assert_eq!(of(&["a", "a:3"]), [("a".to_owned(), Wanted::All)].into());
        assert_eq!(of(&["a:4294967296"]), [("a".to_owned(), some(&[]))].into());
        assert_eq!(of(&["a:-0", "a:+2"]), [("a".to_owned(), some(&[0, 2]))].into());
        assert_eq!(of(&["", " ", "a:b:c", "a:", "a:x", "a:-1", ":3"]), BTreeMap::new());
    }
}
