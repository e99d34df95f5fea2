//! What happens to a task, and what the task has done in answer.

use crate::workflow::{Action, Afterwards, Provision};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Something that happened at a time. Events come in the order of their times; one that comes late counts as now.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Event {
    pub at: DateTime<Utc>,
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// The task begins. The first event, and only that.
    Started,
    /// Time passed. Timers that are due have their effects; so they have before every other event, too.
    TimePassed,
    /// A person decided.
    Decided(Decision),
    /// Whoever stands in for people, a webhook or an agent, answered.
    Answered(Answer),
    /// The condition of a wait is to be looked at again.
    Rechecked,
    /// The condition of a wait holds now, whatever it says.
    ConditionHeld,
    /// The form was filled in.
    FormFilled,
    /// What was started outside (a provision or an action) ended.
    Done {
        /// Whether it ended well.
        success: bool,
    },
    /// An administrator passes over the stage.
    Skipped {
        /// Their id.
        by: String,
    },
    /// An administrator lets the sequence begin again.
    Restarted {
        /// Their id.
        by: String,
    },
    /// Somebody takes the request back, or an administrator ends it.
    Cancelled {
        /// Their id.
        by: String,
    },
}

/// What a person decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Decision {
    /// The id of the user; in Guardian's dialect the e-mail address.
    pub actor: String,
    pub verdict: Verdict,
    /// May be empty.
    pub reason: String,
    /// Whether they proved who they are once more.
    pub stepped_up: bool,
    /// In Guardian's dialect, the name of the approval; empty = the first one that waits for this person.
    pub approval: String,
}

/// Which way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    #[default]
    Approve,
    Deny,
    /// These users are to decide instead.
    Reassign(Vec<String>),
}

/// What a webhook or an agent answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Approve,
    Deny,
    /// Something to read; decides nothing.
    Comment(String),
    /// These users are to decide.
    Reassign(Vec<String>),
    /// Another policy takes over, by its id.
    ChangePolicy(String),
    /// It gave no answer.
    Fail,
}

/// What a task has done, or wants done. In the order in which it is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The request went to a sequence of a policy.
    Routed { policy: String, sequence: String },
    /// A stage began.
    Entered { stage: usize },
    /// These users are to be told that they are asked; people by id.
    Asked { stage: usize, users: Vec<String> },
    /// A webhook is to be called.
    WebhookCalled { stage: usize, webhook: String },
    /// An agent is to be asked.
    AgentAsked { stage: usize },
    /// A form is to be shown to the requester.
    FormShown { stage: usize },
    /// Access is to be brought about.
    ProvisionStarted { stage: usize, kind: Provision },
    /// Something outside is to be started.
    ActionStarted { stage: usize, action: Action },
    /// A comment is to be posted.
    Commented { text: String },
    /// The task is to be woken at this time, unless something happens before.
    WakeAt { at: DateTime<Utc> },
    /// Nobody answered in time.
    Escalated { stage: usize, to: String },
    /// These are asked in the place of whoever handed over, or, by an escalation, of everybody who was asked.
    Reassigned { stage: usize, by: String, users: Vec<String> },
    /// Whoever simulates took something outside to have been done at once.
    Assumed { stage: usize, what: String },
    /// A stage ended.
    Left { stage: usize, how: String },
    /// The event is not allowed; nothing has changed.
    Refused { why: String },
    /// Nothing can go on by itself.
    Blocked { why: String },
    /// The task ended.
    Ended { outcome: String },
    /// To be done now that it has ended.
    PostAction(Afterwards),
}

/// An effect, and when it came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Occurrence {
    pub at: DateTime<Utc>,
    pub effect: Effect,
}
