//! The catalogue: which policies there are, and the names, words and scopes by which they are found; of Guardian's, which
//! versions there are and the order in which they are listed.
//!
//! It lives in memory, is made from the documents when the store is opened (which reads every record anyway), and follows
//! the store's feed of changes from then on. So there is nothing of it on disk that could disagree with a document, and a
//! create costs one record instead of five (`docs/decisions/0006-catalogue-in-memory.md` has the figures). Whoever writes
//! puts the result in before it answers, so whoever was told of a write finds it; the feed brings in what others wrote.
//!
//! It takes about half a kilobyte for each policy of ordinary length, deleted ones too, and some 150 bytes for each version of
//! one of Guardian's.

mod follow;
mod versions;

use super::words::{folded, words};
use crate::pb::c1::api::policy::v1::{Policy, PolicyScope};
use crate::pb::gotocompany::guardian::v1beta1::Policy as GuardianPolicy;
use crate::store::Revision;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use uuid::Uuid;

pub(super) use follow::{Following, follow, put_versions};
pub(super) use versions::{Place, Versions};

/// The catalogue of one store.
#[derive(Debug)]
pub(super) struct Catalogue {
    entries: RwLock<Entries>,
    /// Guardian's policies.
    versions: RwLock<Versions>,
}

/// What the filters of a search ask of a policy.
#[derive(Clone, Debug)]
pub(super) struct Card {
    /// The commit that wrote what the card shows.
    revision: Revision,
    pub(super) policy_type: i32,
    pub(super) deleted: bool,
    pub(super) scope: Option<PolicyScope>,
    /// The display name, folded.
    name: String,
    /// Every word, with 2 if it stands in the name and 1 if only in the description.
    words: BTreeMap<String, u32>,
}

/// The policies by everything that they are looked up by. Ids sort by the time of creation.
#[derive(Debug, Default)]
pub(super) struct Entries {
    all: BTreeMap<Uuid, Card>,
    live: BTreeSet<Uuid>,
    by_app: BTreeMap<String, BTreeSet<Uuid>>,
    by_name: BTreeMap<String, BTreeSet<Uuid>>,
    by_word: BTreeMap<String, BTreeMap<Uuid, u32>>,
}

impl Catalogue {
    /// With nothing in it.
    pub(super) fn new() -> Self {
        Catalogue { entries: RwLock::default(), versions: RwLock::default() }
    }

    /// The entries as they are now. Nothing may be awaited while they are held.
    pub(super) fn entries(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Guardian's policies as they are now. Nothing may be awaited while they are held.
    pub(super) fn versions(&self) -> RwLockReadGuard<'_, Versions> {
        self.versions.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in a version of a Guardian policy that the commit `revision` wrote.
    pub(super) fn put_version(&self, policy: &GuardianPolicy, revision: Revision) {
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        versions.put(&policy.id, policy.version, policy.created_at, revision);
    }

    /// Whether the catalogue shows the policy `id` as the commit `revision` left it, or as a later one did.
    fn shows(&self, id: &str, revision: Revision) -> bool {
        Uuid::parse_str(id)
            .is_ok_and(|id| self.entries().all.get(&id).is_some_and(|card| card.revision >= revision))
    }

    /// Puts in a policy as the commit `revision` left it, unless the catalogue shows it as a later one did.
    pub(super) fn put(&self, policy: &Policy, revision: Revision) {
        let Ok(id) = Uuid::parse_str(&policy.id) else {
            tracing::error!(id = policy.id, "a stored policy has no UUID for an id, so it cannot be listed");
            return;
        };
        let card = Card::of(policy, revision);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        match entries.all.get(&id) {
            Some(shown) if shown.revision >= revision => return,
            Some(_) => entries.remove(id),
            None => {}
        }
        entries.insert(id, card);
    }
}

impl Card {
    fn of(policy: &Policy, revision: Revision) -> Self {
        let mut found: BTreeMap<String, u32> = words(&policy.description).map(|word| (word, 1)).collect();
        found.extend(words(&policy.display_name).map(|word| (word, 2)));
        Card {
            revision,
            policy_type: policy.policy_type,
            deleted: policy.deleted_at.is_some(),
            scope: policy.scope.clone(),
            name: folded(&policy.display_name),
            words: found,
        }
    }
}

impl Entries {
    fn insert(&mut self, id: Uuid, card: Card) {
        if !card.deleted {
            self.live.insert(id);
            if let Some(scope) = &card.scope {
                put_under(&mut self.by_app, &scope.app_id, |ids| ids.insert(id));
            }
        }
        put_under(&mut self.by_name, &card.name, |ids| ids.insert(id));
        for (word, weight) in &card.words {
            put_under(&mut self.by_word, word, |ids| ids.insert(id, *weight));
        }
        self.all.insert(id, card);
    }

    fn remove(&mut self, id: Uuid) {
        let Some(card) = self.all.remove(&id) else { return };
        self.live.remove(&id);
        if let Some(scope) = &card.scope {
            forget(&mut self.by_app, &scope.app_id, |ids| ids.remove(&id) && ids.is_empty());
        }
        forget(&mut self.by_name, &card.name, |ids| ids.remove(&id) && ids.is_empty());
        for word in card.words.keys() {
            forget(&mut self.by_word, word, |ids| ids.remove(&id).is_some() && ids.is_empty());
        }
    }

    /// What is known of a policy.
    pub(super) fn card(&self, id: Uuid) -> Option<&Card> {
        self.all.get(&id)
    }

    /// The id of the policy that was made last; nil if there is none.
    pub(super) fn newest(&self) -> Uuid {
        self.all.last_key_value().map_or(Uuid::nil(), |(id, _)| *id)
    }

    /// All policies after the id `last`, deleted ones too.
    pub(super) fn all_after(&self, last: Option<Uuid>) -> impl Iterator<Item = Uuid> {
        self.all.range((after(last), Bound::Unbounded)).map(|(id, _)| *id)
    }

    /// The policies after the id `last` that are not deleted.
    pub(super) fn live_after(&self, last: Option<Uuid>) -> impl Iterator<Item = Uuid> {
        self.live.range((after(last), Bound::Unbounded)).copied()
    }

    /// The policies after the id `last` that are scoped to an app, or to an entitlement of it, and not deleted.
    pub(super) fn of_app_after(&self, app_id: &str, last: Option<Uuid>) -> impl Iterator<Item = Uuid> {
        let ids = self.by_app.get(app_id).into_iter();
        ids.flat_map(move |ids| ids.range((after(last), Bound::Unbounded)).copied())
    }

    /// The policies of a folded name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = Uuid> {
        self.by_name.get(name).into_iter().flatten().copied()
    }

    /// The policies with a word that begins with `start`, and the word and its weight for each.
    pub(super) fn with_word<'e>(&'e self, start: &'e str) -> impl Iterator<Item = (Uuid, &'e str, u32)> {
        let words = self.by_word.range::<str, _>((Bound::Included(start), Bound::Unbounded));
        let words = words.take_while(move |(word, _)| word.starts_with(start));
        words.flat_map(|(word, ids)| ids.iter().map(move |(id, weight)| (*id, word.as_str(), *weight)))
    }
}

fn after(last: Option<Uuid>) -> Bound<Uuid> {
    last.map_or(Bound::Unbounded, Bound::Excluded)
}

/// Puts something into the entry of a key, which is copied only if it has none yet.
fn put_under<V: Default, R>(map: &mut BTreeMap<String, V>, key: &str, put: impl FnOnce(&mut V) -> R) {
    match map.get_mut(key) {
        Some(entry) => put(entry),
        None => put(map.entry(key.to_owned()).or_default()),
    };
}

/// Takes something out of the entry of a key, and the entry out of the map when `take` says that nothing is left in it.
fn forget<V>(map: &mut BTreeMap<String, V>, key: &str, take: impl FnOnce(&mut V) -> bool) {
    if map.get_mut(key).is_some_and(take) {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;

    fn policy(n: u128, name: &str) -> Policy {
        Policy { id: Uuid::from_u128(n).to_string(), display_name: name.to_owned(), ..Policy::default() }
    }

    fn names(entries: &Entries, start: &str) -> Vec<u128> {
        entries.with_word(start).map(|(id, ..)| id.as_u128()).collect()
    }

    #[test]
    fn what_a_policy_was_is_forgotten_when_it_changes() {
        let catalogue = Catalogue::new();
        catalogue.put(&policy(1, "Old words"), 1);
        catalogue.put(&policy(2, "Other words"), 2);
        let scope = Some(PolicyScope { app_id: "app".into(), ..PolicyScope::default() });
        catalogue.put(&Policy { scope, ..policy(1, "New") }, 3);
        let entries = catalogue.entries();
        assert_eq!(names(&entries, "old"), []);
        assert_eq!(names(&entries, "new"), [1]);
        assert_eq!(names(&entries, "wor"), [2]);
        assert_eq!(entries.named("old words").count(), 0);
        assert_eq!(entries.of_app_after("app", None).count(), 1);
        assert_eq!(entries.all.len(), 2);
    }

    #[test]
    fn a_deleted_policy_is_kept_and_not_live() {
        let catalogue = Catalogue::new();
        catalogue.put(&policy(1, "A"), 1);
        catalogue.put(&policy(2, "B"), 2);
        catalogue.put(&Policy { deleted_at: Some(Timestamp::default()), ..policy(1, "A") }, 3);
        let entries = catalogue.entries();
        assert_eq!(entries.live_after(None).map(|id| id.as_u128()).collect::<Vec<_>>(), [2]);
        assert_eq!(entries.all_after(None).count(), 2);
        assert_eq!(entries.all_after(Some(Uuid::from_u128(1))).count(), 1);
        assert!(entries.card(Uuid::from_u128(1)).is_some_and(|card| card.deleted));
    }

    #[test]
    fn an_earlier_state_that_comes_late_is_left_out() {
        let catalogue = Catalogue::new();
        catalogue.put(&policy(1, "Later"), 7);
        catalogue.put(&policy(1, "Earlier"), 5);
        let id = Uuid::from_u128(1).to_string();
        assert!(catalogue.shows(&id, 5) && catalogue.shows(&id, 7) && !catalogue.shows(&id, 8));
        assert!(!catalogue.shows(&Uuid::from_u128(2).to_string(), 1));
        let entries = catalogue.entries();
        assert_eq!(names(&entries, "later"), [1]);
        assert_eq!(names(&entries, "earlier"), []);
    }

    #[test]
    fn nothing_is_left_behind() {
        let catalogue = Catalogue::new();
        catalogue.put(&policy(1, "Some words"), 1);
        let mut entries = catalogue.entries.write().unwrap();
        entries.remove(Uuid::from_u128(1));
        assert!(entries.all.is_empty() && entries.live.is_empty() && entries.by_app.is_empty());
        assert!(entries.by_name.is_empty() && entries.by_word.is_empty());
    }
}
