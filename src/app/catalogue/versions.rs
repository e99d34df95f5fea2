//! The versions of Guardian's policies, in the order in which they are listed.

use crate::store::Revision;
use prost_types::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// Seconds since 1970, and nanoseconds.
type Time = (i64, i32);

/// A version by its place in the list, which is ordered by `created_at`, then by id and version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::app) struct Place {
    created: Time,
    pub(in crate::app) id: Arc<str>,
    pub(in crate::app) version: u32,
}

/// All versions that are known.
#[derive(Debug, Default)]
pub(in crate::app) struct Versions {
    listed: BTreeSet<Place>,
    policies: BTreeMap<Arc<str>, Known>,
}

/// What is known of one policy.
#[derive(Debug, Default)]
struct Known {
    /// The last commit that was seen of it.
    revision: Revision,
    /// When each version says that it was created; version 1 first. `None` while it is not known: writes may be seen in another
    /// order than they had.
    created: Vec<Option<Time>>,
    /// How many of them are known.
    count: usize,
}

impl Versions {
    /// Puts in a version that was there at the commit `revision`.
    pub(super) fn put(&mut self, id: &str, version: u32, created: Option<Timestamp>, revision: Revision) {
        let (Some(index), Ok(length)) = (index(version), usize::try_from(version)) else { return };
        let id = match self.policies.get_key_value(id) {
            Some((id, _)) => Arc::clone(id),
            None => Arc::from(id),
        };
        let known = self.policies.entry(Arc::clone(&id)).or_default();
        known.revision = known.revision.max(revision);
        if known.created.len() < length {
            known.created.resize(length, None);
        }
        let created = created.unwrap_or_default();
        let created = (created.seconds, created.nanos);
        if let Some(unknown @ None) = known.created.get_mut(index) {
            *unknown = Some(created);
            known.count += 1;
            self.listed.insert(Place { created, id, version });
        }
    }

    /// Whether everything is known of a policy that the commit `revision` wrote.
    pub(in crate::app) fn shows(&self, id: &str, revision: Revision) -> bool {
        let known = self.policies.get(id);
        known.is_some_and(|known| known.revision >= revision && known.count == known.created.len())
    }

    /// The versions up to `latest` that are not known.
    pub(super) fn missing(&self, id: &str, latest: u32) -> Vec<u32> {
        let known = self.policies.get(id);
        (1..=latest).filter(|version| known.is_none_or(|known| known.at(*version).is_none())).collect()
    }

    /// How many there are.
    pub(in crate::app) fn len(&self) -> usize {
        self.listed.len()
    }

    /// All of them, in the order of the list.
    pub(in crate::app) fn listed(&self) -> impl Iterator<Item = &Place> {
        self.listed.iter()
    }

    /// The number of the latest version of a policy.
    pub(in crate::app) fn latest(&self, id: &str) -> Option<u32> {
        u32::try_from(self.policies.get(id)?.created.len()).ok()
    }

    /// The place of a version.
    pub(in crate::app) fn place(&self, id: &str, version: u32) -> Option<Place> {
        let (id, known) = self.policies.get_key_value(id)?;
        Some(Place { created: known.at(version)?, id: Arc::clone(id), version })
    }

    /// The ids of the policies after one, in their order.
    pub(in crate::app) fn ids_after(&self, after: Option<&str>) -> impl Iterator<Item = &str> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.policies.range::<str, _>((after, Bound::Unbounded)).map(|(id, _)| &**id)
    }
}

impl Known {
    fn at(&self, version: u32) -> Option<Time> {
        *self.created.get(index(version)?)?
    }
}

fn index(version: u32) -> Option<usize> {
    usize::try_from(version.checked_sub(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    fn listed(versions: &Versions) -> Vec<(&str, u32)> {
        versions.listed().map(|place| (&*place.id, place.version)).collect()
    }

    #[test]
    fn versions_are_listed_by_time_then_by_id_then_by_number() {
        let mut versions = Versions::default();
        versions.put("b", 1, at(-5), 1);
        versions.put("a", 1, at(7), 2);
        versions.put("a", 2, at(3), 3);
        versions.put("a", 3, at(3), 4);
        versions.put("A", 1, at(3), 5);
        versions.put("c", 1, None, 6);
        assert_eq!(listed(&versions), [("b", 1), ("c", 1), ("A", 1), ("a", 2), ("a", 3), ("a", 1)]);
        assert_eq!(versions.len(), 6);
        assert_eq!(versions.ids_after(None).collect::<Vec<_>>(), ["A", "a", "b", "c"]);
        assert_eq!(versions.ids_after(Some("a")).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(versions.latest("a"), Some(3));
        assert_eq!(versions.place("a", 2).map(|place| place.version), Some(2));
        assert_eq!(
            (versions.place("a", 0), versions.place("a", 4), versions.latest("x")),
            (None, None, None)
        );
    }

    #[test]
    fn a_gap_is_known_and_can_be_filled() {
        let mut versions = Versions::default();
        versions.put("a", 3, at(3), 30);
        assert!(!versions.shows("a", 20), "nothing is known of versions 1 and 2");
        assert_eq!(versions.missing("a", 4), [1, 2, 4]);
        versions.put("a", 1, at(1), 30);
        versions.put("a", 2, at(2), 30);
        assert!(versions.shows("a", 30) && !versions.shows("a", 31) && !versions.shows("b", 1));
        assert_eq!(versions.missing("a", 3), [0; 0]);
    }

    #[test]
    fn a_version_keeps_its_place() {
        let mut versions = Versions::default();
        versions.put("a", 1, at(3), 1);
        versions.put("a", 1, at(9), 2);
        assert_eq!(versions.listed().map(|place| place.created).collect::<Vec<_>>(), [(3, 0)]);
        assert!(versions.shows("a", 2));
    }
}
