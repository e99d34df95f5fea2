//! What is different between two policies, and what becomes of the requests of a set. Reads policies; writes nothing, calls nobody.

mod message;
mod population;
mod tried;

use super::analyze::witness;
use super::simulate::Prepared;
use super::world::{self, time};
use super::{Answer, App, Error};
use crate::pb::countersign::v1::{self as pb, policy_source::Policy as Source};
use crate::policy::{Path, Report};
use crate::workflow::Workflow;
use crate::workflow::analyse::Stop;
use crate::workflow::compare::{Change, Renamed, compare_until};
use crate::workflow::run::Policies;
use crate::workflow::world::Directory;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tried::{Sides, Tried};

/// The most requests of one comparison, those of a population with them.
pub const REQUESTS_MAX: usize = 10_000;
/// The most changes that an answer carries.
pub const CHANGES_MAX: usize = 1024;
/// How many requests are shown of each kind of effect, where the call does not say.
pub const EXAMPLES_DEFAULT: usize = 5;
/// The most of them.
pub const EXAMPLES_MAX: usize = 100;

/// What the comparison of the policies themselves has found.
struct Differences {
    /// Each with the policy that it is about; empty for the one that was asked about.
    changes: Vec<(String, Change)>,
    /// By the id of the policy; empty for the one that was asked about.
    renamed: BTreeMap<String, Renamed>,
}

impl App {
    /// What changes when one policy takes the place of another.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of the requests, the directory and the inline policies, for policies of two dialects and
    /// for too many requests; [`Error::NotFound`] and [`Error::NoSuchVersion`] for a policy that is not there;
    /// [`Error::Uncompiled`] for one that an earlier version stored.
    pub async fn compare(&self, request: pb::CompareRequest) -> Result<Answer<pb::CompareResponse>, Error> {
        let mut report = Report::default();
        let root = Path::ROOT;
        let [before_at, after_at] = [root.field("before"), root.field("after")];
        let before = self.side(&mut report, &before_at, request.before.as_ref()).await?;
        let after = self.side(&mut report, &after_at, request.after.as_ref()).await?;
        let given = request.directory.clone().unwrap_or_default();
        let directory = Arc::new(world::directory(&mut report, &root.field("directory"), given));
        let at = time(&mut report, &root.field("at"), request.at.as_ref()).unwrap_or_else(|| self.time());
        let examples = examples_max(&mut report, &root.field("examplesMax"), request.examples_max);
        if let (Some(before), Some(after)) = (&before, &after) {
            of_one_dialect(&mut report, &after_at, before, after);
            if request.population.is_some() && matches!(**before, Prepared::Appeal { .. }) {
                let message = "who could ask Guardian for what is not in a directory; give `requests`";
                report.refuse(&root.field("population"), "POPULATION_NOT_FOR_POLICY", message);
            }
        }
        let requests = population::all(&mut report, &request, &directory)?;
        let sources = [request.before.unwrap_or_default(), request.after.unwrap_or_default()];
        let mut sides = Sides::new(self, sources, before.clone(), after.clone());
        let tried = sides.read(&mut report, &requests, &directory).await?;
        report.finish()?;
        let (Some(before), Some(after)) = (before, after) else {
            return Err(Error::Internal("a policy with faults has no violations".to_owned()));
        };
        let names = [named(&sides.sources[0], &before), named(&sides.sources[1], &after)];
        let differences = {
            let (before, after) = (Arc::clone(&before), Arc::clone(&after));
            self.compute.run(move |stop| differences(&before, &after, stop)).await?
        };
        let effects = self.effects(tried, requests, directory, at, &differences.renamed, examples).await?;
        Ok(message::answer(names, &differences.changes, effects).into())
    }

    async fn side(
        &self,
        report: &mut Report,
        at: &Path<'_>,
        source: Option<&pb::PolicySource>,
    ) -> Result<Option<Arc<Prepared>>, Error> {
        let source = source.cloned().unwrap_or_default();
        // A fault of a request does not come up here: this one has nothing.
        let nothing = pb::Request::default();
        Ok(self.find_policy(report, at, &source, at, &nothing).await?.map(Arc::new))
    }

    /// Runs the requests, some at a time, so that others get the processor.
    async fn effects(
        &self,
        tried: Vec<Tried>,
        requests: Vec<pb::Request>,
        directory: Arc<Directory>,
        at: chrono::DateTime<chrono::Utc>,
        renamed: &BTreeMap<String, Renamed>,
        examples: usize,
    ) -> Result<Option<pb::Effects>, Error> {
        if requests.is_empty() {
            return Ok(None);
        }
        let mut tally = tried::Tally::new(examples);
        let mut rest = tried;
        while !rest.is_empty() {
            let few: Vec<Tried> = rest.drain(..tried::AT_ONCE.min(rest.len())).collect();
            let directory = Arc::clone(&directory);
            let fates = self.compute.run(move |stop| tried::fates(&few, &directory, at, stop)).await?;
            fates.into_iter().for_each(|(before, after)| tally.add(before, after, &requests, renamed));
        }
        Ok(Some(tally.message()))
    }
}

fn examples_max(report: &mut Report, at: &Path<'_>, given: i32) -> usize {
    match usize::try_from(given) {
        Ok(0) => EXAMPLES_DEFAULT,
        Ok(given) if given <= EXAMPLES_MAX => given,
        _ => {
            let message = format!("{given} examples; 0 to {EXAMPLES_MAX}");
            report.refuse(at, "EXAMPLES_COUNT", message);
            EXAMPLES_DEFAULT
        }
    }
}

fn of_one_dialect(report: &mut Report, at: &Path<'_>, before: &Prepared, after: &Prepared) {
    let is_appeal = |one: &Prepared| matches!(one, Prepared::Appeal { .. });
    if is_appeal(before) != is_appeal(after) {
        let message =
            "the two policies are of two dialects, which have nothing in common that could be compared";
        report.refuse(at, "DIALECTS_DIFFER", message);
    }
}

/// Which policy and revision a side is.
fn named(source: &pb::PolicySource, prepared: &Prepared) -> pb::ComparedPolicy {
    let id = match &source.policy {
        Some(Source::Id(id) | Source::GuardianId(id)) => id.clone(),
        Some(Source::Inline(policy)) => policy.id.clone(),
        Some(Source::GuardianInline(policy)) => policy.id.clone(),
        None => String::new(),
    };
    let stored = matches!(source.policy, Some(Source::Id(_) | Source::GuardianId(_)));
    let revision = match prepared {
        Prepared::Task { policies, .. } => policies.by_id.get(&policies.first).map_or(0, |one| one.revision),
        Prepared::Appeal { policy, .. } if stored => u64::from(policy.version),
        Prepared::Appeal { .. } => 0,
    };
    pb::ComparedPolicy { policy_id: id, revision }
}

/// What is different between the policies, and between those that both lead to; nothing once nobody waits for it.
fn differences(before: &Prepared, after: &Prepared, stop: &Arc<AtomicBool>) -> Differences {
    let stop = Stop::when(Arc::clone(stop));
    let mut found = Differences { changes: Vec::new(), renamed: BTreeMap::new() };
    match (before, after) {
        (Prepared::Task { policies: before, .. }, Prepared::Task { policies: after, .. }) => {
            let first = |policies: &Policies| {
                policies.by_id.get(&policies.first).map(|one| Arc::clone(&one.workflow))
            };
            if let (Some(old), Some(new)) = (first(before), first(after)) {
                found.add(String::new(), &old, &new, &stop);
            }
            for (id, old) in &before.by_id {
                let new = after.by_id.get(id).filter(|_| *id != before.first && *id != after.first);
                let Some(new) = new.filter(|new| !Arc::ptr_eq(&old.workflow, &new.workflow)) else {
                    continue;
                };
                found.add(id.clone(), &old.workflow, &new.workflow, &stop);
            }
        }
        (Prepared::Appeal { workflow: before, .. }, Prepared::Appeal { workflow: after, .. }) => {
            found.add(String::new(), before, after, &stop);
        }
        // Refused when the call was read.
        _ => {}
    }
    found
}

impl Differences {
    fn add(&mut self, policy: String, before: &Workflow, after: &Workflow, stop: &Stop) {
        let (changes, renamed) = compare_until(before, after, stop);
        self.changes.extend(changes.into_iter().map(|change| (policy.clone(), change)));
        self.renamed.insert(policy, renamed);
    }
}
