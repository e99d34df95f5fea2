//! The machine of an appeal, as Guardian runs its policies (reference: section 4): every approval is made when the appeal is, and
//! an answer to one may move, skip or end others. Names of statuses and texts of errors are Guardian's.

mod advance;
mod apply;
mod decide;
mod entry;
mod facts;
mod labels;
mod requirements;

use super::event::{Effect, Event, Happening};
use super::state::Outcome;
use crate::workflow::Workflow;
use crate::workflow::world;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// What an appeal runs on.
#[derive(Debug)]
pub struct Machine<'w> {
    pub workflow: &'w Workflow,
    /// The policy, as appeals and approvals name it.
    pub policy: PolicyName,
    /// The names of the declared stages, in order; none if the policy has none.
    pub stages: usize,
    pub appeal: &'w world::Appeal,
    /// Whether the appeal is only tried: what nobody will be asked is skipped at once (DryRunAdvance).
    pub dry_run: bool,
    /// Once this is set, nothing is evaluated any more, and what comes out means nothing.
    pub stop: Option<&'w AtomicBool>,
}

/// Which version of which policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyName {
    pub id: String,
    pub version: u32,
}

/// An appeal. The default is one that has not been made.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct AppealState {
    /// `None` until it is made.
    pub made: Option<DateTime<Utc>>,
    pub status: AppealStatus,
    /// In the order of the policy's steps.
    pub approvals: Vec<Approval>,
    /// By key.
    pub labels: BTreeMap<String, GivenLabel>,
    /// The appeal as expressions see it, without what changes while it runs.
    pub appeal: Map<String, Value>,
    /// The requirements that were looked at once it was approved, in order.
    pub requirements: Vec<FiredRequirement>,
    /// What the trace should say beside.
    pub notes: Vec<String>,
    /// Why there is no appeal, or why its approval failed.
    pub failure: Option<Failure>,
    /// When nothing could happen to it any more; `None` while something can.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Guardian's statuses of an appeal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AppealStatus {
    #[default]
    Pending,
    Canceled,
    Approved,
    Rejected,
}

/// Guardian's statuses of an approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    Pending,
    #[default]
    Blocked,
    Skipped,
    Approved,
    Rejected,
}

impl ApprovalStatus {
    /// Guardian's word.
    pub fn word(self) -> &'static str {
        match self {
            ApprovalStatus::Pending => "pending",
            ApprovalStatus::Blocked => "blocked",
            ApprovalStatus::Skipped => "skipped",
            ApprovalStatus::Approved => "approved",
            ApprovalStatus::Rejected => "rejected",
        }
    }
}

impl AppealStatus {
    /// Guardian's word.
    pub fn word(self) -> &'static str {
        match self {
            AppealStatus::Pending => "pending",
            AppealStatus::Canceled => "canceled",
            AppealStatus::Approved => "approved",
            AppealStatus::Rejected => "rejected",
        }
    }
}

/// One approval.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Approval {
    pub name: String,
    /// The name of its stage; empty without stages.
    pub stage: String,
    /// Approvals of the same index are side by side.
    pub index: usize,
    /// The field path of the step.
    pub place: String,
    /// E-mail addresses; none for a step that decides by itself.
    pub approvers: Vec<String>,
    pub status: ApprovalStatus,
    /// Who decided.
    pub actor: String,
    pub reason: String,
    /// What its `when` and its `approve_if` came to when they were last looked at.
    pub evaluated: Vec<Evaluated>,
    pub allow_failed: bool,
    pub dont_allow_self_approval: bool,
    /// Whether it came as an answer to the policy's custom steps; those are unknown to the policy once the appeal is made.
    pub custom: bool,
}

/// An expression of a step, and what it came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Evaluated {
    /// `when` or `approve_if`.
    pub field: String,
    pub expression: String,
    pub truthy: bool,
}

/// A label of an appeal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct GivenLabel {
    pub value: String,
    /// The rule; empty for one that the requester brought.
    pub derived_from: String,
    /// `policy_rule` or `user`.
    pub source: String,
    pub category: String,
    /// What the rule says about it besides; empty = nothing.
    #[serde(default)]
    pub attributes: serde_json::Map<String, serde_json::Value>,
    /// When a rule gave it.
    #[serde(default)]
    pub applied_at: Option<DateTime<Utc>>,
}

/// A requirement that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct FiredRequirement {
    /// The field path.
    pub place: String,
    /// Whether its trigger holds, so that it fires.
    pub fires: bool,
    /// The criterion that does not hold, or that failed.
    pub because: String,
    /// What would be asked for, one text each: `ROLE on RESOURCE`.
    pub appeals: Vec<String>,
    /// The hooks that would be called, by name.
    pub hooks: Vec<String>,
}

/// Why there is no appeal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// Guardian's text where it has one.
    pub message: String,
}

/// The gRPC code that Guardian answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureKind {
    InvalidArgument,
    FailedPrecondition,
    Internal,
}

impl FailureKind {
    /// The name of the code.
    pub fn word(self) -> &'static str {
        match self {
            FailureKind::InvalidArgument => "INVALID_ARGUMENT",
            FailureKind::FailedPrecondition => "FAILED_PRECONDITION",
            FailureKind::Internal => "INTERNAL",
        }
    }
}

impl Failure {
    fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into() }
    }
}

impl AppealState {
    /// How it ended, or how it stands.
    pub fn outcome(&self) -> Outcome {
        if let Some(failure) = &self.failure {
            return Outcome::Failed { why: failure.message.clone() };
        }
        match self.status {
            AppealStatus::Approved => Outcome::Granted,
            AppealStatus::Canceled => Outcome::Cancelled { why: "canceled".to_owned() },
            AppealStatus::Rejected => {
                let by = self
                    .approvals
                    .iter()
                    .find(|one| one.status == ApprovalStatus::Rejected && !one.allow_failed);
                let by =
                    by.or_else(|| self.approvals.iter().find(|one| one.status == ApprovalStatus::Rejected));
                let (by, why) = by.map(|one| (one.actor.clone(), one.reason.clone())).unwrap_or_default();
                Outcome::Denied { by, why }
            }
            AppealStatus::Pending => {
                let pending = self.approvals.iter().filter(|one| one.status == ApprovalStatus::Pending);
                let mut on: Vec<String> = pending.flat_map(|one| one.approvers.iter().cloned()).collect();
                on.sort();
                on.dedup();
                if on.is_empty() {
                    let why = "no approval waits for anybody".to_owned();
                    return Outcome::Blocked { why, until: None };
                }
                Outcome::Waiting { on, until: None }
            }
        }
    }
}

impl Machine<'_> {
    /// What an event makes of an appeal. An event that is not allowed, or that fails, leaves it as it was and says why.
    pub fn step(&self, state: AppealState, event: &Event) -> (AppealState, Vec<Effect>) {
        let mut next = state.clone();
        let before: Vec<ApprovalStatus> = state.approvals.iter().map(|one| one.status).collect();
        let done = match &event.what {
            Happening::Started if state.made.is_none() => self.make(&mut next, event.at),
            Happening::TimePassed => return (state, Vec::new()),
            _ if state.made.is_none() => Err(Refused::because("the appeal has not been made")),
            Happening::Decided(decision) => self.decide(&mut next, decision, event.at),
            Happening::Cancelled { .. } if state.status == AppealStatus::Pending => {
                next.status = AppealStatus::Canceled;
                Ok(())
            }
            _ => Err(Refused::because("this does not happen to an appeal")),
        };
        match done {
            Ok(()) => {
                if next.status != AppealStatus::Pending && next.ended_at.is_none() {
                    next.ended_at = Some(event.at);
                }
                let effects = changes(&before, &state, &next);
                (next, effects)
            }
            Err(Refused::Event(why)) => (state, vec![Effect::Refused { why }]),
            Err(Refused::Failed(failure)) => {
                // Guardian writes nothing then; the appeal that was to be made is not there.
                let why = failure.message.clone();
                let mut state = state;
                if state.made.is_none() {
                    state.made = Some(event.at);
                    state.notes = next.notes;
                    state.failure = Some(failure);
                    state.ended_at = Some(event.at);
                    return (state, vec![Effect::Ended { outcome: format!("failed: {why}") }]);
                }
                (state, vec![Effect::Refused { why }])
            }
        }
    }

    /// Refused once nobody waits any more.
    fn go_on(&self) -> Result<(), Refused> {
        let stopped = self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        if stopped { Err(Refused::because("nobody waits for this any more")) } else { Ok(()) }
    }

    /// Makes the appeal (reference: section 4.3).
    fn make(&self, state: &mut AppealState, at: DateTime<Utc>) -> Result<(), Refused> {
        state.made = Some(at);
        state.appeal = self.prepared(at);
        self.check_entry(state, at)?;
        self.add_metadata(state);
        self.apply(state, at)?;
        self.add_labels(state, at)?;
        self.advance(state, at, true)?;
        if self.dry_run {
            self.skip_what_nobody_is_asked(state, at)?;
        }
        // Guardian looks at requirements once it has stored the appeal, and of one that is only tried stores nothing.
        if state.status == AppealStatus::Approved && !self.dry_run {
            self.look_at_requirements(state, at)?;
        }
        Ok(())
    }
}

/// Why an event did not happen.
#[derive(Debug)]
enum Refused {
    /// It is not allowed.
    Event(String),
    /// Something failed on the way.
    Failed(Failure),
}

impl Refused {
    fn because(why: impl Into<String>) -> Refused {
        Refused::Event(why.into())
    }

    fn internal(message: impl Into<String>) -> Refused {
        Refused::Failed(Failure::new(FailureKind::Internal, message))
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused::Failed(failure)
    }
}

/// What an event has changed, as effects.
fn changes(before: &[ApprovalStatus], old: &AppealState, new: &AppealState) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (stage, approval) in new.approvals.iter().enumerate() {
        let was = before.get(stage).copied().unwrap_or_default();
        if was == approval.status {
            continue;
        }
        match approval.status {
            ApprovalStatus::Pending => {
                effects.push(Effect::Entered { stage });
                if !approval.approvers.is_empty() {
                    effects.push(Effect::Asked { stage, users: approval.approvers.clone() });
                }
            }
            other => effects.push(Effect::Left { stage, how: other.word().to_owned() }),
        }
    }
    if old.status != new.status {
        effects.push(Effect::Ended { outcome: new.status.word().to_owned() });
    }
    effects
}
