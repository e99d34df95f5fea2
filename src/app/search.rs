//! Search: policies by name, words, type, scope or id, answered from the catalogue.
//!
//! Only the policies of the page that is returned are read. A search by name, words or ids gathers the matches and orders
//! them; any other walks the catalogue in the order of creation and stops after [`LOOKED_AT_MAX`] entries, so that a page
//! may be short, or even empty, while a next token is set: a client goes on until there is none.

mod filter;
mod text;

use super::catalogue::Entries;
use super::page::{self, Call};
use super::{Answer, App, Error};
use crate::pb::c1::api::policy::v1::{SearchPoliciesRequest, SearchPoliciesResponse};
use crate::policy::Report;
use filter::{Filter, id_of};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use text::Place;
use uuid::Uuid;

/// How many entries one page looks at when the filters drop most of them.
pub const LOOKED_AT_MAX: usize = 65_536;
/// The most explicit ids in one search, wanted or excluded.
pub const REFS_MAX: usize = 1000;

impl App {
    /// One page of the policies that match every filter of the request. Best first if there is a `query`; else in the
    /// order of creation.
    ///
    /// # Errors
    /// [`Error::Invalid`] for filters that do not go together, a negative size, or a token of another call.
    pub async fn policy_search(
        &self,
        request: SearchPoliciesRequest,
    ) -> Result<Answer<SearchPoliciesResponse>, Error> {
        let mut report = Report::default();
        let size = report.value_or_default(page::size(request.page_size));
        let filter = Filter::of(&mut report, &request);
        let arguments = SearchPoliciesRequest { page_size: 0, page_token: String::new(), ..request };
        let call = Call::new("PolicySearch.Search", &arguments);
        let cursor = report.value_or_default(self.tokens.open(&call, &request.page_token));
        report.finish()?;
        let after = cursor.map(|cursor| Place::decode(&cursor)).transpose()?;
        let Found { places, next } = {
            let entries = self.catalogue.entries();
            if !arguments.refs.is_empty() || filter.has_text() {
                gathered(&entries, &arguments, &filter, after, size)
            } else {
                walked(&entries, &arguments, &filter, after, size, LOOKED_AT_MAX)
            }
        };
        let (mut list, taken) = self.policies(places.iter().map(|place| place.id)).await?;
        let next =
            if taken < places.len() { places.get(..taken).and_then(<[_]>::last).copied() } else { next };
        // One may have been deleted since.
        list.retain(|policy| arguments.include_deleted || policy.deleted_at.is_none());
        let next = next.map(|place| self.tokens.seal(&call, place.encode()));
        Ok(SearchPoliciesResponse { list, next_page_token: next.unwrap_or_default() }.into())
    }
}

/// What one page holds, and the place of the last entry that was looked at, if there are more.
#[derive(Debug, PartialEq)]
struct Found {
    places: Vec<Place>,
    next: Option<Place>,
}

/// Walks the fewest entries that have every match, in the order of creation, and looks at `looked_at_max` of them.
fn walked(
    entries: &Entries,
    arguments: &SearchPoliciesRequest,
    filter: &Filter,
    after: Option<Place>,
    size: usize,
    looked_at_max: usize,
) -> Found {
    let (mut places, mut last) = (Vec::new(), after);
    let after = after.map(|place| place.id);
    let candidates: Box<dyn Iterator<Item = Uuid>> = match filter.only_app() {
        _ if arguments.include_deleted => Box::new(entries.all_after(after)),
        Some(app_id) => Box::new(entries.of_app_after(app_id, after)),
        None => Box::new(entries.live_after(after)),
    };
    for (looked_at, id) in candidates.enumerate() {
        if places.len() == size || looked_at == looked_at_max {
            // The entry at hand has not been looked at: the next page begins with it.
            return Found { places, next: last };
        }
        let place = Place { score: Reverse(0), id };
        if entries.card(id).is_some_and(|card| filter.matches(&id, card)) {
            places.push(place);
        }
        last = Some(place);
    }
    Found { places, next: None }
}

/// Gathers the matches of an explicit list or of the text filters, orders them, and cuts out the page.
fn gathered(
    entries: &Entries,
    arguments: &SearchPoliciesRequest,
    filter: &Filter,
    after: Option<Place>,
    size: usize,
) -> Found {
    let mut matches = text::matches(entries, filter);
    if !arguments.refs.is_empty() {
        let wanted = arguments.refs.iter().filter_map(|one| id_of(&one.id));
        let wanted = wanted.filter_map(|id| match &matches {
            None => Some((id, 0)),
            Some(matches) => matches.get(&id).map(|score| (id, *score)),
        });
        matches = Some(wanted.collect::<BTreeMap<_, _>>());
    }
    let matches = matches.unwrap_or_default().into_iter();
    let matches = matches.filter(|(id, _)| entries.card(*id).is_some_and(|card| filter.matches(id, card)));
    let mut places: Vec<Place> = matches.map(|(id, score)| Place { score: Reverse(score), id }).collect();
    places.retain(|place| after.is_none_or(|after| *place > after));
    places.sort_unstable();
    let next = places.get(size).and_then(|_| places.get(size - 1)).copied();
    places.truncate(size);
    Found { places, next }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::Catalogue;
    use super::*;
    use crate::pb::c1::api::policy::v1::{Policy, PolicyType};

    #[test]
    fn a_walk_looks_at_so_many_entries_and_goes_on_behind_them() {
        let catalogue = Catalogue::new();
        let (wanted, other) = (PolicyType::Grant as i32, PolicyType::Revoke as i32);
        for n in 1..=10 {
            let policy_type = if n % 7 == 3 { wanted } else { other };
            let id = Uuid::from_u128(n).to_string();
            catalogue.put(&Policy { id, policy_type, ..Policy::default() }, 1);
        }
        let request =
            SearchPoliciesRequest { policy_types: vec![wanted], ..SearchPoliciesRequest::default() };
        let filter = Filter::of(&mut Report::default(), &request);
        let entries = catalogue.entries();
        let walk = |after| {
            let Found { places, next } = walked(&entries, &request, &filter, after, 5, 4);
            (places.iter().map(|place| place.id.as_u128()).collect::<Vec<_>>(), next)
        };
        let (first, next) = walk(None);
        assert_eq!((first, next.unwrap().id.as_u128()), (vec![3], 4));
        let (second, next) = walk(next);
        assert_eq!((second, next.unwrap().id.as_u128()), (vec![], 8));
        // The distance from the start is not walked again: two are left, so there is no fifth.
        assert_eq!(walk(next), (vec![10], None));
    }
}
