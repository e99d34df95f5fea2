//! The matches of a name and of the words of a query, and their order.

use super::filter::Filter;
use crate::app::Error;
use crate::app::catalogue::Entries;
use prost::Message;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A place in the order of matches: the best score first, then the oldest policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) score: Reverse<u32>,
    pub(super) id: Uuid,
}

#[derive(Clone, PartialEq, Message)]
struct Cursor {
    #[prost(uint32, tag = "1")]
    score: u32,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
}

impl Place {
    pub(super) fn encode(&self) -> Vec<u8> {
        Cursor { score: self.score.0, id: self.id.as_bytes().to_vec() }.encode_to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Place, Error> {
        let faulty = |error: String| Error::Internal(error);
        let Cursor { score, id } = Cursor::decode(bytes).map_err(|error| faulty(error.to_string()))?;
        let id = Uuid::from_slice(&id).map_err(|error| faulty(error.to_string()))?;
        Ok(Place { score: Reverse(score), id })
    }
}

/// The policies that match the name and every word, each with its score; `None` if the request has neither.
pub(super) fn matches(entries: &Entries, filter: &Filter) -> Option<BTreeMap<Uuid, u32>> {
    if !filter.has_text() {
        return None;
    }
    let mut matches: Option<BTreeMap<Uuid, u32>> = None;
    if !filter.name.is_empty() {
        matches = Some(entries.named(&filter.name).map(|id| (id, 0)).collect());
    }
    if filter.has_query && filter.words.is_empty() {
        return Some(BTreeMap::new());
    }
    for wanted in &filter.words {
        let mut found: BTreeMap<Uuid, u32> = BTreeMap::new();
        for (id, word, weight) in entries.with_word(wanted) {
            let best = found.entry(id).or_default();
            *best = (*best).max(score(word, weight, wanted));
        }
        matches = Some(match matches {
            None => found,
            Some(before) => both(before, &found),
        });
    }
    matches
}

/// The whole word counts more than the beginning of one, and the name (weight 2) more than the description (weight 1).
fn score(word: &str, weight: u32, wanted: &str) -> u32 {
    weight * if word == wanted { 4 } else { 1 }
}

/// What is in both, with the scores added.
fn both(a: BTreeMap<Uuid, u32>, b: &BTreeMap<Uuid, u32>) -> BTreeMap<Uuid, u32> {
    a.into_iter().filter_map(|(id, score)| b.get(&id).map(|more| (id, score + more))).collect()
}
