//! Search: policies by name, words, type, scope or id, answered from index entries.
//!
//! Only the policies of the page that is returned are read. A search by name or words gathers the entries that match
//! and orders them; any other walks one index in the order of creation and stops after [`LOOKED_AT_MAX`] entries, so
//! that a page may be short, or even empty, while a next token is set: a client goes on until there is none.

mod filter;
mod text;

use super::page::{self, Call};
use super::records::{Summary, id_of, read, tables};
use super::{Answer, App, Error};
use crate::pb::c1::api::policy::v1::{SearchPoliciesRequest, SearchPoliciesResponse};
use crate::store::Direction;
use crate::store::table::Key;
use filter::Filter;
use std::collections::BTreeSet;

/// How many entries of an index one page looks at when the filters drop most of them.
pub const LOOKED_AT_MAX: usize = 4096;
/// How many entries are fetched at a time.
const CHUNK: usize = 512;
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
        let size = page::size(request.page_size)?;
        let filter = Filter::of(&request)?;
        let arguments = SearchPoliciesRequest { page_size: 0, page_token: String::new(), ..request };
        let call = Call::new("PolicySearch.Search", &arguments);
        let cursor = self.tokens.open(&call, &request.page_token)?;
        let found = if !arguments.refs.is_empty() || filter.has_text() {
            self.gathered(&arguments, &filter, cursor, size).await?
        } else {
            self.walked(&arguments, &filter, cursor, size).await?
        };
        let mut list = self.policies(found.ids).await?;
        list.retain(|policy| arguments.include_deleted || policy.deleted_at.is_none());
        let next_page_token = found.next.map(|cursor| self.tokens.seal(&call, cursor)).unwrap_or_default();
        Ok(SearchPoliciesResponse { list, next_page_token }.into())
    }

    /// Walks the narrowest index that holds every match, in the order of creation. The cursor is the last id looked at.
    async fn walked(
        &self,
        arguments: &SearchPoliciesRequest,
        filter: &Filter,
        cursor: Option<Vec<u8>>,
        size: usize,
    ) -> Result<Found, Error> {
        let indexes = narrowest_indexes(arguments, filter);
        let last = cursor.map(String::from_utf8).transpose();
        let mut last = last.map_err(|_| Error::Internal("a cursor is no id".to_owned()))?;
        let (mut ids, mut looked_at) = (Vec::new(), 0);
        loop {
            let entries = self.next_entries(&indexes, last.as_deref()).await?;
            let exhausted = entries.is_empty();
            for (id, summary) in entries {
                if ids.len() == size || looked_at == LOOKED_AT_MAX {
                    // The entry at hand has not been looked at: the next page begins with it.
                    return Ok(Found { ids, next: last.map(String::into_bytes) });
                }
                looked_at += 1;
                if filter.matches(&id, &summary) {
                    ids.push(id.clone());
                }
                last = Some(id);
            }
            if exhausted {
                return Ok(Found { ids, next: None });
            }
        }
    }

    /// The next entries of several indexes after the id `last`, put in one order.
    async fn next_entries(
        &self,
        indexes: &[Index],
        last: Option<&str>,
    ) -> Result<Vec<(String, Summary)>, Error> {
        let mut entries = Vec::new();
        for Index { table, prefix } in indexes {
            let range = prefix.range();
            let range = match last {
                Some(last) => range.after(prefix.clone().text(last).as_bytes()),
                None => range,
            };
            for (key, stored) in self.store.scan(range, Direction::Ascending, CHUNK).await? {
                entries.push((id_of(*table, &key)?, read(&stored.value)?));
            }
        }
        entries.sort_by(|(a, _): &(String, Summary), (b, _)| a.cmp(b));
        // Of each index these are the first ones, so of all of them the first are certain to be complete.
        entries.truncate(CHUNK);
        Ok(entries)
    }

    /// Gathers the candidates of an explicit list or of the text filters, orders them, and cuts out the page.
    async fn gathered(
        &self,
        arguments: &SearchPoliciesRequest,
        filter: &Filter,
        cursor: Option<Vec<u8>>,
        size: usize,
    ) -> Result<Found, Error> {
        let matches = self.text_matches(filter).await?;
        let mut candidates = match matches {
            Some(matches) if arguments.refs.is_empty() => matches,
            matches => self.referenced(arguments, matches).await?,
        };
        candidates.retain(|one| filter.matches(&one.id, &one.summary));
        candidates.sort_by_cached_key(text::Candidate::place);
        let after = cursor.map(|cursor| text::Place::decode(&cursor)).transpose()?;
        let mut rest =
            candidates.into_iter().filter(|one| after.as_ref().is_none_or(|after| one.place() > *after));
        let page: Vec<text::Candidate> = rest.by_ref().take(size).collect();
        let next = page.last().filter(|_| rest.next().is_some()).map(|last| last.place().encode());
        Ok(Found { ids: page.into_iter().map(|one| one.id).collect(), next })
    }

    /// The policies that are named by id, in so far as they are among the text matches (if there is a text filter).
    async fn referenced(
        &self,
        arguments: &SearchPoliciesRequest,
        matches: Option<Vec<text::Candidate>>,
    ) -> Result<Vec<text::Candidate>, Error> {
        let wanted: BTreeSet<&str> = arguments.refs.iter().map(|one| one.id.as_str()).collect();
        if let Some(mut matches) = matches {
            matches.retain(|one| wanted.contains(one.id.as_str()));
            return Ok(matches);
        }
        let mut found = Vec::new();
        for id in wanted {
            for table in [tables::LIVE, tables::DELETED] {
                if let Some(stored) = self.read(&Key::new(table).text(id).into_bytes()).await? {
                    let summary: Summary = read(&stored.value)?;
                    found.push(text::Candidate { id: id.to_owned(), score: 0, summary });
                }
            }
        }
        Ok(found)
    }
}

/// What one page holds, and where the next one begins.
struct Found {
    ids: Vec<String>,
    next: Option<Vec<u8>>,
}

/// Entries that go on with the id of a policy.
struct Index {
    table: u8,
    prefix: Key,
}

/// The indexes with the fewest entries that together have every policy the filters can let through.
fn narrowest_indexes(arguments: &SearchPoliciesRequest, filter: &Filter) -> Vec<Index> {
    let whole = |table| Index { table, prefix: Key::new(table) };
    if arguments.include_deleted {
        return vec![whole(tables::LIVE), whole(tables::DELETED)];
    }
    match filter.only_app() {
        Some(app_id) => vec![Index { table: tables::SCOPE, prefix: Key::new(tables::SCOPE).text(app_id) }],
        None => vec![whole(tables::LIVE)],
    }
}
