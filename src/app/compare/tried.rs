//! The requests of a comparison, each tried on both sides, and what that comes to.

use super::message;
use crate::app::simulate::{Prepared, key};
use crate::app::{App, Error, world};
use crate::pb::countersign::v1 as pb;
use crate::policy::{Path, Report};
use crate::workflow::compare::{Effect, Fate, FateKind, Renamed, appeal_fate, effects, task_fate};
use crate::workflow::run::{AppealMachine, Machine};
use crate::workflow::world::{Directory, Request};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How many requests are tried at a time, before others get the processor.
pub(super) const AT_ONCE: usize = 64;

/// One request on one side: what it runs on, or why it does not.
#[derive(Debug)]
enum Side {
    Runs(Arc<Prepared>, Box<Request>),
    Refused(String),
}

/// One request on both.
#[derive(Debug)]
pub(super) struct Tried {
    before: Side,
    after: Side,
}

/// Both policies, and what they come to for requests that bring steps of their own.
pub(super) struct Sides<'a> {
    app: &'a App,
    pub sources: [pb::PolicySource; 2],
    prepared: [Option<Arc<Prepared>>; 2],
    /// By what makes two the same; why a policy does not run with these steps, where it does not.
    known: BTreeMap<Vec<u8>, Result<Arc<Prepared>, String>>,
}

impl<'a> Sides<'a> {
    pub fn new(
        app: &'a App,
        sources: [pb::PolicySource; 2],
        before: Option<Arc<Prepared>>,
        after: Option<Arc<Prepared>>,
    ) -> Sides<'a> {
        Sides { app, sources, prepared: [before, after], known: BTreeMap::new() }
    }

    /// Reads every request. Faults of its own are reported; what only a policy has against it is put down.
    pub async fn read(
        &mut self,
        report: &mut Report,
        requests: &[pb::Request],
        directory: &Directory,
    ) -> Result<Vec<Tried>, Error> {
        let root = Path::ROOT;
        let path = root.field("requests");
        let mut tried = Vec::with_capacity(requests.len());
        for (n, given) in requests.iter().enumerate() {
            let at = path.index(n);
            let (made, kind) = world::request(report, &at, given, directory);
            let mut both = Vec::with_capacity(2);
            for side in 0..2 {
                both.push(self.side(side, given, made.clone(), kind).await?);
            }
            if let (Some(after), Some(before)) = (both.pop(), both.pop()) {
                tried.push(Tried { before, after });
            }
        }
        Ok(tried)
    }

    async fn side(
        &mut self,
        side: usize,
        given: &pb::Request,
        mut made: Request,
        kind: Option<crate::workflow::world::TaskKind>,
    ) -> Result<Side, Error> {
        let prepared = match self.prepared(side, given).await? {
            Ok(prepared) => prepared,
            Err(why) => return Ok(Side::Refused(why)),
        };
        let mut own = Report::default();
        prepared.check_request(&mut own, &Path::ROOT, &mut made, kind);
        Ok(match why(own) {
            Some(why) => Side::Refused(why),
            None => Side::Runs(prepared, Box::new(made)),
        })
    }

    async fn prepared(
        &mut self,
        side: usize,
        given: &pb::Request,
    ) -> Result<Result<Arc<Prepared>, String>, Error> {
        let steps = given.appeal.as_ref().is_some_and(|appeal| !appeal.custom_steps.is_empty());
        let usual = self.prepared.get(side).cloned().flatten();
        let (Some(usual), Some(source)) = (usual, self.sources.get(side)) else {
            return Ok(Err("the policy has faults".to_owned()));
        };
        if !steps {
            return Ok(Ok(usual));
        }
        let key = key(source, given);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let (mut own, root) = (Report::default(), Path::ROOT);
        let found = self.app.find_policy(&mut own, &root, source, &root, given).await?;
        let found = found.map(Arc::new).ok_or_else(|| why(own).unwrap_or_default());
        Ok(self.known.entry(key).or_insert(found).clone())
    }
}

/// The sentences of what was refused.
fn why(report: Report) -> Option<String> {
    match report.finish() {
        Ok(_) => None,
        Err(violations) => {
            Some(violations.iter().map(|one| one.message.clone()).collect::<Vec<_>>().join("; "))
        }
    }
}

/// What becomes of each request on both sides.
pub(super) fn fates(
    tried: &[Tried],
    directory: &Directory,
    at: DateTime<Utc>,
    stop: &AtomicBool,
) -> Vec<(Fate, Fate)> {
    let each =
        tried.iter().map(|one| (one.before.fate(directory, at, stop), one.after.fate(directory, at, stop)));
    each.collect()
}

impl Side {
    fn fate(&self, directory: &Directory, at: DateTime<Utc>, stop: &AtomicBool) -> Fate {
        let (prepared, request) = match self {
            Side::Runs(prepared, request) => (prepared, request),
            Side::Refused(why) => return Fate::refused(why.clone()),
        };
        match (&**prepared, &request.appeal) {
            (Prepared::Task { policies, .. }, _) => {
                let machine = Machine::new(policies, directory, request).until(stop);
                task_fate(&machine, policies, at)
            }
            (Prepared::Appeal { workflow, policy, stages, .. }, Some(appeal)) => {
                let (workflow, policy, stages) = (&**workflow, policy.clone(), *stages);
                let stop = Some(stop);
                let machine = AppealMachine { workflow, policy, stages, appeal, dry_run: false, stop };
                appeal_fate(&machine, at)
            }
            // Refused when the request was read.
            (Prepared::Appeal { .. }, None) => Fate::refused(String::new()),
        }
    }
}

/// What all of it comes to.
pub(super) struct Tally {
    examples_max: usize,
    requests: usize,
    unaffected: usize,
    neither_runs: usize,
    effects: BTreeMap<Effect, (usize, Vec<pb::EffectExample>)>,
}

impl Tally {
    pub fn new(examples_max: usize) -> Tally {
        Tally { examples_max, requests: 0, unaffected: 0, neither_runs: 0, effects: BTreeMap::new() }
    }

    /// Counts one more request, the next of these.
    pub fn add(
        &mut self,
        before: Fate,
        after: Fate,
        requests: &[pb::Request],
        renamed: &BTreeMap<String, Renamed>,
    ) {
        let index = self.requests;
        self.requests += 1;
        let now = |policy: &str, key: &str| {
            renamed.get(policy).map_or_else(|| key.to_owned(), |renamed| renamed.now(key).to_owned())
        };
        let found = effects(&before, &after, now);
        if before.kind == FateKind::CannotRun && after.kind == FateKind::CannotRun {
            self.neither_runs += 1;
        } else if found.is_empty() {
            self.unaffected += 1;
        }
        for effect in found {
            let (count, examples) = self.effects.entry(effect).or_default();
            *count += 1;
            if examples.len() < self.examples_max {
                examples.push(pb::EffectExample {
                    index: message::number(index),
                    request: requests.get(index).cloned(),
                    before: Some(message::fate(&before)),
                    after: Some(message::fate(&after)),
                });
            }
        }
    }

    pub fn message(self) -> pb::Effects {
        let each = self.effects.into_iter().map(|(effect, (count, examples))| pb::Effect {
            kind: message::effect(effect).into(),
            count: message::number(count),
            examples,
        });
        pb::Effects {
            requests: message::number(self.requests),
            unaffected: message::number(self.unaffected),
            neither_runs: message::number(self.neither_runs),
            effects: each.collect(),
        }
    }
}
