//! Who refers to whom: entries that are written with the document that refers, so that a batch can have them as a condition.
//!
//! The entries are a function of the document alone. A write compares those of the old document with those of the new
//! one and touches what differs, in the same batch as the document itself. A deleted policy refers to nothing.

use super::records::{ReferrerRecord, tables};
use crate::pb::c1::api::policy::v1::Policy;
use crate::policy::c1::{ReferenceKind, references};
use crate::store::Batch;
use crate::store::table::Key;
use prost::Message;
use std::collections::BTreeMap;

/// Adds to `batch` what turns the entries of `old` into those of `new`.
pub(super) fn write(batch: &mut Batch, old: Option<&Policy>, new: &Policy) {
    let mut gone = old.map(targets).unwrap_or_default();
    let key = |target: &str| Key::new(tables::REFERRER).text(target).text(&new.id).into_bytes();
    for (target, routes) in targets(new) {
        if gone.remove(&target) != Some(routes) {
            batch.put(key(&target), ReferrerRecord { routes }.encode_to_vec());
        }
    }
    for target in gone.into_keys() {
        batch.delete(key(&target));
    }
}

/// The policies that this one refers to, and whether one of the references is part of a chain.
fn targets(policy: &Policy) -> BTreeMap<String, bool> {
    let mut targets = BTreeMap::new();
    if policy.deleted_at.is_some() {
        return targets;
    }
    for reference in references(policy) {
        let routes = reference.kind == ReferenceKind::Route;
        *targets.entry(reference.target).or_insert(false) |= routes;
    }
    targets.remove(&policy.id);
    targets
}
