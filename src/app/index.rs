//! Index entries: the keys under which a policy is found without being read.
//!
//! The entries are a function of the document alone. A write compares those of the old document with those of the new
//! one and touches what differs, in the same batch as the document itself.

use super::records::{ReferrerRecord, Summary, tables};
use super::words::{folded, words};
use crate::pb::c1::api::policy::v1::Policy;
use crate::policy::c1::{ReferenceKind, references};
use crate::store::Batch;
use crate::store::table::Key;
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;

/// Adds to `batch` what turns the entries of `old` into those of `new`.
pub(super) fn write(batch: &mut Batch, old: Option<&Policy>, new: &Policy) {
    let mut gone = old.map(entries).unwrap_or_default();
    for (key, value) in entries(new) {
        if gone.remove(&key).as_ref() != Some(&value) {
            batch.put(key, value);
        }
    }
    for key in gone.into_keys() {
        batch.delete(key);
    }
}

/// What the filters of a search need to know of a policy.
pub(super) fn summary(policy: &Policy) -> Summary {
    Summary {
        policy_type: policy.policy_type,
        deleted: policy.deleted_at.is_some(),
        scope: policy.scope.clone(),
        weight: 0,
    }
}

fn entries(policy: &Policy) -> BTreeMap<Vec<u8>, Bytes> {
    let id = policy.id.as_str();
    let summary = summary(policy);
    let value = Bytes::from(summary.encode_to_vec());
    let mut entries = BTreeMap::new();
    entries.insert(
        Key::new(tables::NAME).text(&folded(&policy.display_name)).text(id).into_bytes(),
        value.clone(),
    );
    for (word, weight) in weighted_words(policy) {
        let value = Summary { weight, ..summary.clone() }.encode_to_vec();
        entries.insert(Key::new(tables::WORD).text(&word).text(id).into_bytes(), value.into());
    }
    if summary.deleted {
        entries.insert(Key::new(tables::DELETED).text(id).into_bytes(), value);
        return entries;
    }
    entries.insert(Key::new(tables::LIVE).text(id).into_bytes(), value.clone());
    if let Some(scope) = &policy.scope {
        entries.insert(Key::new(tables::SCOPE).text(&scope.app_id).text(id).into_bytes(), value);
    }
    for (target, routes) in targets(policy) {
        let value = ReferrerRecord { routes }.encode_to_vec();
        entries.insert(Key::new(tables::REFERRER).text(&target).text(id).into_bytes(), value.into());
    }
    entries
}

/// Every word of the name and the description, with 2 if it stands in the name and 1 if not.
fn weighted_words(policy: &Policy) -> BTreeMap<String, u32> {
    let mut found: BTreeMap<String, u32> = words(&policy.description).map(|word| (word, 1)).collect();
    found.extend(words(&policy.display_name).map(|word| (word, 2)));
    found
}

/// The policies that this one refers to, and whether one of the references is part of a chain.
fn targets(policy: &Policy) -> BTreeMap<String, bool> {
    let mut targets = BTreeMap::new();
    for reference in references(policy) {
        let routes = reference.kind == ReferenceKind::Route;
        *targets.entry(reference.target).or_insert(false) |= routes;
    }
    targets.remove(&policy.id);
    targets
}
