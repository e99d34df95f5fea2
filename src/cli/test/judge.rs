//! A trace against what was expected of it. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::pb::countersign::v1::{
    Ending, Expectation, ExpectedHop, ExpectedStage, Hop, OutcomeKind, Stage, Trace,
};

/// Something that is not as it was expected.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Difference {
    /// The field path below the expectation.
    pub(super) what: String,
    pub(super) expected: String,
    pub(super) actual: String,
}

/// Whether anything is expected at all.
pub(super) fn is_empty(expect: &Expectation) -> bool {
    *expect == Expectation::default()
}

/// Everything in which `trace`, which began then, is not as expected.
pub(super) fn differences(expect: &Expectation, trace: &Trace, began: DateTime<Utc>) -> Vec<Difference> {
    let mut judge = Judge::default();
    if !expect.route.is_empty() {
        judge.count("route", expect.route.len(), trace.route.len());
        for (n, (wanted, is)) in expect.route.iter().zip(&trace.route).enumerate() {
            judge.hop(&format!("route[{n}]"), wanted, is);
        }
    }
    if !expect.stages.is_empty() {
        judge.count("stages", expect.stages.len(), trace.stages.len());
        for (n, (wanted, is)) in expect.stages.iter().zip(&trace.stages).enumerate() {
            judge.stage(&format!("stages[{n}]"), wanted, is);
        }
    }
    if expect.outcome() != OutcomeKind::Unspecified {
        let is = trace.outcome.clone().unwrap_or_default().kind();
        judge.equal("outcome", expect.outcome().as_str_name(), is.as_str_name());
    }
    if let Some(wanted) = &expect.decided_after {
        let wanted = span(wanted.seconds, wanted.nanos);
        judge.equal("decidedAfter", &wanted, &decided_after(trace, began));
    }
    if expect.idle() != Ending::Unspecified {
        let is = trace.idle.clone().unwrap_or_default().ending();
        judge.equal("idle", expect.idle().as_str_name(), is.as_str_name());
    }
    judge.found
}

fn span(seconds: i64, nanos: i32) -> String {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    humantime::format_duration(Duration::new(seconds, u32::try_from(nanos).unwrap_or(0))).to_string()
}

/// When it ended in what happened, in words.
fn decided_after(trace: &Trace, began: DateTime<Utc>) -> String {
    let end = trace.timeline.iter().rfind(|one| one.kind == "ended").and_then(|one| one.at);
    let end = end.and_then(|at| DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).unwrap_or(0)));
    let Some(end) = end else { return "not decided".to_owned() };
    let after: TimeDelta = end - began;
    span(after.num_seconds(), after.subsec_nanos())
}

#[derive(Debug, Default)]
struct Judge {
    found: Vec<Difference>,
}

impl Judge {
    fn equal(&mut self, what: &str, expected: &str, actual: &str) {
        if expected != actual {
            let [what, expected, actual] = [what, expected, actual].map(str::to_owned);
            self.found.push(Difference { what, expected, actual });
        }
    }

    fn count(&mut self, what: &str, expected: usize, actual: usize) {
        self.equal(what, &format!("{expected} in all"), &format!("{actual} in all"));
    }

    /// What is not given is not compared.
    fn given(&mut self, at: &str, field: &str, expected: &str, actual: &str) {
        if !expected.is_empty() {
            let shown = if actual.is_empty() { "none" } else { actual };
            self.equal(&format!("{at}.{field}"), expected, shown);
        }
    }

    fn hop(&mut self, at: &str, wanted: &ExpectedHop, is: &Hop) {
        self.given(at, "policyId", &wanted.policy_id, &is.policy_id);
        self.given(at, "stepKey", &wanted.step_key, &is.step_key);
        let decided = if is.by_rule { format!("rule {}", is.rule_index) } else { "the baseline".to_owned() };
        if let Some(index) = wanted.rule_index {
            self.equal(&format!("{at}.ruleIndex"), &format!("rule {index}"), &decided);
        }
        if wanted.baseline {
            self.equal(&format!("{at}.baseline"), "the baseline", &decided);
        }
    }

    fn stage(&mut self, at: &str, wanted: &ExpectedStage, is: &Stage) {
        self.given(at, "kind", &wanted.kind, &is.kind);
        self.given(at, "name", &wanted.name, &is.name);
        self.given(at, "state", &wanted.state, &is.state);
        self.given(at, "decidedBy", &wanted.decided_by, &is.decided_by);
        let approvers = sorted(is.approvers.iter().map(|one| &one.user_id));
        self.given(at, "approvers", &sorted(&wanted.approvers), &approvers);
        self.given(
            at,
            "excluded",
            &sorted(&wanted.excluded),
            &sorted(is.excluded.iter().map(|one| &one.user_id)),
        );
        if wanted.nobody && !approvers.is_empty() {
            self.equal(&format!("{at}.nobody"), "nobody", &approvers);
        }
    }
}

/// Ids in order, each once.
fn sorted<'a>(ids: impl IntoIterator<Item = &'a String>) -> String {
    let ids: BTreeSet<&str> = ids.into_iter().map(String::as_str).collect();
    ids.into_iter().collect::<Vec<_>>().join(", ")
}
