//! References between policies: they must exist, be live and of the same type, and their chains must end.
//!
//! What is checked here holds when the batch takes effect, or the batch does not: every policy that was read, and every
//! list of referrers, becomes a condition. So two writes that would each be right alone cannot make a cycle together.

use super::records::{ReferrerRecord, policy_key, read, referrer_of, tables};
use super::{App, Error};
use crate::pb::c1::api::policy::v1::Policy;
use crate::policy::Report;
use crate::policy::c1::{REFERENCES_MAX, Reference, ReferenceKind, references};
use crate::store::table::Key;
use crate::store::{Batch, Direction, KeyRange, Revision};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many references in a row a chain of `policyId` and `baselinePolicyId` may have (reference: section 3.2).
pub const CHAIN_MAX: usize = 5;
/// How many policies one check may read. A document has at most 128 rules, so only a very wide net of chains has more.
pub const READ_MAX: usize = 1024;
/// How many referrers of one policy are looked at.
const REFERRERS_MAX: usize = 1024;

impl App {
    /// Checks the references of `new`, which replaces `old`, and adds to `batch` the conditions under which they hold. A
    /// faulty reference is noted in `report`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) async fn check_references(
        &self,
        report: &mut Report,
        batch: &mut Batch,
        old: Option<&Policy>,
        new: &Policy,
    ) -> Result<(), Error> {
        let references = references(new);
        let type_changes = old.is_some_and(|old| old.policy_type != new.policy_type);
        if references.is_empty() && !type_changes {
            return Ok(());
        }
        // Refused for their number already; each would be read.
        if references.len() > REFERENCES_MAX {
            return Ok(());
        }
        let mut walk = Walk { app: self, since: self.store.revision(), seen: BTreeMap::new(), report };
        let own_id = old.map(|old| old.id.as_str());
        walk.check_targets(own_id, new, &references).await?;
        let routes: Vec<&Reference> =
            references.iter().filter(|one| one.kind == ReferenceKind::Route).collect();
        if let Some(id) = own_id.filter(|_| type_changes || !routes.is_empty()) {
            walk.check_referrers(batch, id, new, type_changes, &routes).await?;
        }
        walk.add_conditions(batch, own_id);
        Ok(())
    }
}

/// One check: what it has read, and what it has found.
struct Walk<'a> {
    app: &'a App,
    /// The store as it was when the walk began.
    since: Revision,
    seen: BTreeMap<String, Option<Seen>>,
    report: &'a mut Report,
}

/// What a walk keeps of a policy that it has read.
#[derive(Clone)]
struct Seen {
    revision: Revision,
    deleted: bool,
    policy_type: i32,
    routes: BTreeSet<String>,
}

/// How the chains below a policy end.
enum Below {
    /// After at most this many references.
    Levels(usize),
    /// They come back to a policy that they have passed.
    Cycle,
    /// They are longer than allowed, or too many to follow.
    TooDeep,
}

impl Walk<'_> {
    /// Reads a policy, once. `None` if there never was one.
    async fn see(&mut self, id: &str) -> Result<Option<Seen>, Error> {
        if let Some(seen) = self.seen.get(id) {
            return Ok(seen.clone());
        }
        let seen = self.app.current(id).await?.map(|current| Seen {
            revision: current.revision,
            deleted: current.policy.deleted_at.is_some(),
            policy_type: current.policy.policy_type,
            routes: routes(&current.policy),
        });
        self.seen.insert(id.to_owned(), seen.clone());
        Ok(seen)
    }

    async fn check_targets(
        &mut self,
        own: Option<&str>,
        new: &Policy,
        all: &[Reference],
    ) -> Result<(), Error> {
        for Reference { path, target, kind } in all {
            // A reference to itself, or to nothing, is refused or allowed by the checks of the document.
            if target.is_empty() || Some(target.as_str()) == own {
                continue;
            }
            let fault = match self.see(target).await? {
                None => Some(("REFERENCE_NOT_FOUND", format!("policy {target} does not exist"))),
                Some(seen) if seen.deleted => {
                    Some(("REFERENCE_DELETED", format!("policy {target} has been deleted")))
                }
                Some(seen) if seen.policy_type != new.policy_type => Some((
                    "REFERENCE_TYPE_DIFFERS",
                    format!("policy {target} is of another type than this one"),
                )),
                Some(_) if *kind == ReferenceKind::Route => self.chain_fault(own, target).await?,
                Some(_) => None,
            };
            if let Some((code, message)) = fault {
                self.report.refuse_at(path.clone(), code, message);
            }
        }
        Ok(())
    }

    async fn chain_fault(
        &mut self,
        own: Option<&str>,
        target: &str,
    ) -> Result<Option<(&'static str, String)>, Error> {
        Ok(match self.below(own, target).await? {
            Below::Cycle => Some((
                "REFERENCE_CYCLE",
                format!("policy {target} leads back to this one, so a request would never end"),
            )),
            Below::Levels(levels) if levels < CHAIN_MAX => None,
            Below::Levels(_) | Below::TooDeep => Some((
                "REFERENCE_TOO_DEEP",
                format!("the chain through policy {target} is longer than {CHAIN_MAX} references"),
            )),
        })
    }

    /// Follows the chains below `from`, level by level: a level is the set of policies at that distance, so that the work
    /// is bounded by the number of policies and not by the number of paths.
    async fn below(&mut self, own: Option<&str>, from: &str) -> Result<Below, Error> {
        let mut level = BTreeSet::from([from.to_owned()]);
        for levels in 0..=CHAIN_MAX {
            let mut next = BTreeSet::new();
            for id in &level {
                if self.seen.len() > READ_MAX {
                    return Ok(Below::TooDeep);
                }
                next.extend(self.see(id).await?.map(|seen| seen.routes).unwrap_or_default());
            }
            if own.is_some_and(|own| next.contains(own)) {
                return Ok(Below::Cycle);
            }
            if next.is_empty() {
                return Ok(Below::Levels(levels));
            }
            level = next;
        }
        Ok(Below::TooDeep)
    }

    /// Looks upwards: the policies that lead to this one must still be of its type, and their chains short enough.
    async fn check_referrers(
        &mut self,
        batch: &mut Batch,
        id: &str,
        new: &Policy,
        type_changes: bool,
        routes: &[&Reference],
    ) -> Result<(), Error> {
        let direct = self.referrers(batch, id).await?;
        if type_changes && !direct.is_empty() {
            let names: Vec<&str> = direct.keys().take(3).map(String::as_str).collect();
            let message = format!("other policies of the old type refer to this one: {}", names.join(", "));
            self.report.refuse_at("policyType".to_owned(), "REFERRERS_OF_OTHER_TYPE", message);
        }
        let above = self.levels_above(batch, direct).await?;
        for reference in routes.iter().filter(|one| !one.target.is_empty() && one.target != new.id) {
            let Below::Levels(below) = self.below(Some(id), &reference.target).await? else { continue };
            // A chain that is too long by itself has been reported where its targets were checked.
            if below < CHAIN_MAX && above + 1 + below > CHAIN_MAX {
                let message = format!(
                    "policies that lead to this one would have chains of {} references; the limit is {CHAIN_MAX}",
                    above + 1 + below
                );
                self.report.refuse_at(reference.path.clone(), "REFERENCE_TOO_DEEP", message);
            }
        }
        Ok(())
    }

    /// The longest chain that leads to the policy whose direct referrers are given. Stops above the limit.
    async fn levels_above(
        &mut self,
        batch: &mut Batch,
        direct: BTreeMap<String, bool>,
    ) -> Result<usize, Error> {
        let mut open: VecDeque<(String, usize)> =
            direct.into_iter().filter(|(_, routes)| *routes).map(|(id, _)| (id, 1)).collect();
        let mut reached: BTreeSet<(String, usize)> = open.iter().cloned().collect();
        let mut most = 0;
        while let Some((id, level)) = open.pop_front() {
            most = most.max(level);
            if level >= CHAIN_MAX || reached.len() > READ_MAX {
                continue;
            }
            for (above, _) in self.referrers(batch, &id).await?.into_iter().filter(|(_, routes)| *routes) {
                if reached.insert((above.clone(), level + 1)) {
                    open.push_back((above, level + 1));
                }
            }
        }
        Ok(most)
    }

    /// Who refers to `id`, and whether by a route; that nobody new does becomes a condition of the batch.
    async fn referrers(&mut self, batch: &mut Batch, id: &str) -> Result<BTreeMap<String, bool>, Error> {
        let range: KeyRange = Key::new(tables::REFERRER).text(id).range();
        let entries = self.app.store.scan(range.clone(), Direction::Ascending, REFERRERS_MAX).await?;
        batch.require_range_unchanged_since(range, self.since);
        let mut referrers = BTreeMap::new();
        for (key, stored) in entries {
            let source = referrer_of(&key)?;
            referrers.insert(source, read::<ReferrerRecord>(&stored.value)?.routes);
        }
        Ok(referrers)
    }

    /// Everything that was read must still be so; the policy itself has a condition of its own.
    fn add_conditions(&self, batch: &mut Batch, own: Option<&str>) {
        for (id, seen) in self.seen.iter().filter(|(id, _)| Some(id.as_str()) != own) {
            let key = policy_key(id);
            batch.require_unchanged(key, seen.as_ref().map(|seen| seen.revision));
        }
    }
}

/// The policies that `policy` leads to by a rule or as its baseline.
fn routes(policy: &Policy) -> BTreeSet<String> {
    let references = references(policy).into_iter().filter(|one| one.kind == ReferenceKind::Route);
    references.map(|one| one.target).filter(|target| !target.is_empty() && *target != policy.id).collect()
}
