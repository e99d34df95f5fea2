//! All that a task knows about itself: where it is, and how it came there. Plain data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A task. The default is one that has not begun.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct State {
    /// `None` until it begins.
    pub began: Option<DateTime<Utc>>,
    /// The time of the latest event.
    pub now: DateTime<Utc>,
    /// Through which policies the request went, in order.
    pub route: Vec<Hop>,
    /// The policy whose sequence runs.
    pub policy: String,
    /// The key of the sequence that runs.
    pub sequence: String,
    /// The place in it.
    pub position: usize,
    /// Every stage that was entered, in order; while the task runs, it is in the last one.
    pub stages: Vec<StageRecord>,
    /// Ids of those who approved a stage since the task began or was restarted, each once.
    pub approved_by: Vec<String>,
    /// How often another policy took over.
    pub replacements: u32,
    /// How it ended; `None` while it runs.
    pub ended: Option<Outcome>,
    /// And when.
    pub ended_at: Option<DateTime<Utc>>,
}

/// One policy that a request went through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Hop {
    pub policy: String,
    /// Its revision; 0 for one that is not stored.
    pub revision: u64,
    /// Every rule, in order.
    pub rules: Vec<RuleTried>,
    /// The index of the rule that decided; `None` = the baseline.
    pub rule: Option<usize>,
    /// The sequence that it led to; empty if it led elsewhere.
    pub sequence: String,
    /// The policy that it led to; empty if it led to a sequence.
    pub next_policy: String,
}

/// A rule, and what its condition came to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct RuleTried {
    /// The field path of the rule in its policy.
    pub place: String,
    pub condition: String,
    pub value: RuleValue,
    /// The operands that decided it, with what each came to; for a condition that was not reached, none.
    pub because: Vec<(String, String)>,
}

/// What a condition came to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleValue {
    True,
    False,
    /// It failed, and so does not match.
    Error(String),
    /// An earlier rule decided.
    NotReached,
}

/// A stage that was entered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct StageRecord {
    pub policy: String,
    pub sequence: String,
    /// The place in the sequence, from 0.
    pub position: usize,
    /// The field path of the step in its policy.
    pub place: String,
    /// What the document calls it; may be empty.
    pub name: String,
    /// Which kind of stage: `approval`, `webhook`, `agent`, `wait`, `provision`, `form`, `action`, `accept`, `reject`, `automatic`.
    pub kind: String,
    pub state: StageState,
    pub entered_at: DateTime<Utc>,
    pub left_at: Option<DateTime<Utc>>,
    /// The sources of approvers that were tried, in order.
    pub sources: Vec<Tried>,
    /// Who may decide now.
    pub asked: Vec<Asked>,
    /// Who was found and may not decide.
    pub excluded: Vec<Excluded>,
    pub approval_reason_required: bool,
    pub denial_reason_required: bool,
    pub reassignment_reason_required: bool,
    /// The provider through which who decides must prove who they are; empty = none.
    pub step_up_provider: String,
    /// What happens if nobody answers.
    pub escalates: Option<Escalates>,
    /// When a wait is over, or gives up.
    pub due_at: Option<DateTime<Utc>>,
    /// How often it was handed over.
    pub reassignments: u32,
    /// Who decided; empty = nobody did.
    pub decided_by: String,
    /// What they said, or why it ended as it did.
    pub reason: String,
}

/// How a stage stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// It waits for somebody or something.
    #[default]
    Waiting,
    /// It waits, and nobody is there who could end it.
    Blocked,
    /// It was passed.
    Passed,
    /// It was passed over.
    Skipped,
    /// It ended the task with a no.
    Denied,
    /// It ended because its time was up.
    TimedOut,
    /// The task left it for another policy, began again, or was cancelled.
    Abandoned,
    /// It failed.
    Failed,
}

/// A source of approvers that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Tried {
    /// Which: `users`, `managers`, `group APP/ID`, `expression 2`, ...; a fallback says so.
    pub source: String,
    /// How many users it named.
    pub found: usize,
    /// Why it was not used, if it was not; else empty.
    pub problem: String,
}

/// Somebody who may decide.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Asked {
    pub user: String,
    /// Which source gave them.
    pub source: String,
    /// In whose place they decide; empty = their own.
    pub delegate_of: String,
}

/// Somebody who was found and may not decide.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Excluded {
    pub user: String,
    pub source: String,
    pub why: Exclusion,
}

/// Why somebody may not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// It is their own access.
    Subject,
    /// They asked for it.
    Requester,
    /// They approved an earlier stage.
    ApprovedEarlier,
    Disabled,
    Deleted,
    /// The directory does not know them.
    Unknown,
}

/// What happens if nobody answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Escalates {
    pub at: DateTime<Utc>,
    /// `policy ID`, `users A, B`, `cancel`, `skip`.
    pub to: String,
    /// Whether it has happened.
    pub done: bool,
}

/// How a task ended, or how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Granted,
    Denied {
        by: String,
        why: String,
    },
    Cancelled {
        why: String,
    },
    /// The condition of a wait did not come to hold in time.
    WaitTimedOut,
    /// The request cannot be dealt with at all.
    Failed {
        why: String,
    },
    /// It runs, and waits for these.
    Waiting {
        on: Vec<String>,
        until: Option<DateTime<Utc>>,
    },
    /// It runs, and nobody is there who could move it on.
    Blocked {
        why: String,
        until: Option<DateTime<Utc>>,
    },
}

impl Outcome {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Granted => "granted",
            Outcome::Denied { .. } => "denied",
            Outcome::Cancelled { .. } => "cancelled",
            Outcome::WaitTimedOut => "wait_timed_out",
            Outcome::Failed { .. } => "failed",
            Outcome::Waiting { .. } => "waiting",
            Outcome::Blocked { .. } => "blocked",
        }
    }
}

impl State {
    /// The stage that the task is in.
    pub fn current(&self) -> Option<&StageRecord> {
        if self.ended.is_some() { None } else { self.stages.last() }
    }

    /// How it ended, or how it stands.
    pub fn outcome(&self) -> Outcome {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let Some(stage) = self.current() else {
            return Outcome::Waiting { on: Vec::new(), until: None };
        };
        let until = self.due();
        match stage.state {
            StageState::Blocked => Outcome::Blocked { why: stage.reason.clone(), until },
            _ if stage.asked.is_empty() => Outcome::Waiting { on: vec![stage.kind.clone()], until },
            _ => Outcome::Waiting { on: stage.asked.iter().map(|one| one.user.clone()).collect(), until },
        }
    }
}
