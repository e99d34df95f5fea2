//! Matches of a name and of the words of a query, from the index of names and the index of words.

use super::CHUNK;
use super::filter::Filter;
use crate::app::records::{Summary, read, tables, term_and_id};
use crate::app::{App, Error, error::invalid};
use crate::store::table::Key;
use crate::store::{Direction, KeyRange};
use prost::Message;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How many index entries the text of one search may match. Beyond it the search is refused, since the order of its
/// results could only be found by holding them all.
pub const MATCHES_MAX: usize = 200_000;

/// A policy that the text filters let through, and how well it matches.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) id: String,
    pub(super) score: u32,
    pub(super) summary: Summary,
}

impl Candidate {
    /// Where it stands among the matches.
    pub(super) fn place(&self) -> Place {
        Place { score: Reverse(self.score), id: self.id.clone() }
    }
}

/// A place in the order of matches: the best score first, then the oldest policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    score: Reverse<u32>,
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Cursor {
    #[prost(uint32, tag = "1")]
    score: u32,
    #[prost(string, tag = "2")]
    id: String,
}

impl Place {
    pub(super) fn encode(&self) -> Vec<u8> {
        Cursor { score: self.score.0, id: self.id.clone() }.encode_to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Place, Error> {
        let Cursor { score, id } =
            Cursor::decode(bytes).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Place { score: Reverse(score), id })
    }
}

impl App {
    /// The policies that match the name and every word; `None` if the request has neither.
    pub(super) async fn text_matches(&self, filter: &Filter) -> Result<Option<Vec<Candidate>>, Error> {
        if !filter.has_text() {
            return Ok(None);
        }
        let mut matches: Option<BTreeMap<String, (u32, Summary)>> = None;
        if !filter.name.is_empty() {
            let range = Key::new(tables::NAME).text(&filter.name).range();
            matches = Some(self.postings(tables::NAME, range, |_| 0).await?);
        }
        if filter.has_query && filter.words.is_empty() {
            return Ok(Some(Vec::new()));
        }
        for word in &filter.words {
            let range = Key::new(tables::WORD).range_of_text(word);
            let found = self.postings(tables::WORD, range, |of| of.score(word)).await?;
            matches = Some(match matches {
                None => found,
                Some(before) => both(before, &found),
            });
        }
        let matches = matches.unwrap_or_default().into_iter();
        Ok(Some(matches.map(|(id, (score, summary))| Candidate { id, score, summary }).collect()))
    }

    /// The entries of a range of an index by policy, each with the best score that it gets there.
    async fn postings(
        &self,
        table: u8,
        mut range: KeyRange,
        score: impl Fn(Posting<'_>) -> u32,
    ) -> Result<BTreeMap<String, (u32, Summary)>, Error> {
        let mut found: BTreeMap<String, (u32, Summary)> = BTreeMap::new();
        let mut seen = 0;
        loop {
            let entries = self.store.scan(range.clone(), Direction::Ascending, CHUNK).await?;
            for (key, stored) in &entries {
                let (term, id) = term_and_id(table, key)?;
                let summary: Summary = read(&stored.value)?;
                let score = score(Posting { term: &term, weight: summary.weight });
                let best = found.entry(id).or_insert((score, summary));
                best.0 = best.0.max(score);
            }
            seen += entries.len();
            match entries.last() {
                Some((last, _)) if entries.len() == CHUNK && seen < MATCHES_MAX => range = range.after(last),
                Some(_) if entries.len() == CHUNK => {
                    let message = format!("more than {MATCHES_MAX} entries match; ask for longer words");
                    return Err(invalid("query", "QUERY_TOO_WIDE", message));
                }
                _ => return Ok(found),
            }
        }
    }
}

/// One entry of the index of words.
struct Posting<'a> {
    term: &'a str,
    /// 2 if the word stands in the name, 1 if in the description only.
    weight: u32,
}

impl Posting<'_> {
    /// The whole word counts more than the beginning of one, and the name more than the description.
    fn score(&self, wanted: &str) -> u32 {
        self.weight * if self.term == wanted { 4 } else { 1 }
    }
}

/// What is in both, with the scores added.
fn both(
    a: BTreeMap<String, (u32, Summary)>,
    b: &BTreeMap<String, (u32, Summary)>,
) -> BTreeMap<String, (u32, Summary)> {
    let both = a.into_iter().filter_map(|(id, (score, summary))| {
        let (more, _) = b.get(&id)?;
        Some((id, (score + more, summary)))
    });
    both.collect()
}
