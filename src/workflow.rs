//! What a policy means: the one form that every dialect compiles into.
//!
//! A [`Workflow`] is a list of routes, each a condition and where it leads, and sequences of stages. It knows no dialect,
//! holds no document, and is pure: no clock, no store, no I/O. Whatever a document leaves unsaid has been decided by the
//! time there is a `Workflow`; above all what happens when nobody is found to ask.
//!
//! In reading order: `approval` has the stage that asks people, `wait` the one that lets time pass, `route` chooses the
//! sequence of a request, `entry` says what a request may and must say before it runs, and `requirement` what else happens
//! once it was approved. `world` is what a workflow runs on: the request, and the directory of people and resources.

pub mod analyse;
mod approval;
pub mod compare;
mod email;
mod entry;
mod requirement;
mod route;
pub mod run;
mod wait;
pub mod world;

pub use approval::{
    Agent, AgentFailure, AgentMode, Approval, Approver, Escalation, EscalationTarget, GroupRef, Nobody,
    Reassignment, Source,
};
pub use email::is_email;
pub use entry::{
    Creator, DurationOption, Entry, Label, LabelRule, Lifetime, MetadataSource, Question, Template,
    UserLabels,
};
pub use requirement::{Appeal, FieldMatch, Hook, Pattern, PolicyRef, Requirement, ResourceRef, Trigger};
pub use route::{RouteError, Routed};
pub use wait::{Until, Wait};

use crate::expr::{Program, guardian};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// A compiled policy.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Workflow {
    /// Tried in order; the first whose condition holds decides.
    pub routes: Vec<Route>,
    /// Where a request goes when no route decides.
    pub baseline: Destination,
    /// By key.
    pub sequences: BTreeMap<String, Sequence>,
    /// What is done, in order, once the task has ended.
    pub afterwards: Vec<Afterwards>,
    /// What a request may and must say; `None` in a dialect that has no such rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<Box<Entry>>,
    /// What else happens, in order, once a request was approved and before it is granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Requirement>,
}

/// One rule.
#[derive(Clone, Debug, Serialize)]
pub struct Route {
    /// When it decides.
    pub condition: Condition,
    /// Where it leads.
    pub to: Destination,
    /// The field path of the rule in its document.
    pub place: String,
}

/// Where a request goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// The sequence of this key, which the workflow has.
    Sequence(String),
    /// Another policy, from its own beginning.
    Policy(String),
    /// Nowhere: the document says nothing, and nothing runs.
    #[default]
    Nowhere,
}

/// Stages, one after the other. The first that is denied ends it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sequence {
    /// At least one.
    pub stages: Vec<Stage>,
}

/// One part of a sequence.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// What the document calls it; empty in a dialect whose steps have no names.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The stage is passed over unless this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// Whether the sequence goes on when the stage fails or says no by itself. What a person denies ends it all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_fail: bool,
    /// What happens in it.
    pub work: Work,
    /// The field path of the step in its document.
    pub place: String,
}

/// What happens in a stage.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// People, or something that stands for people, are asked.
    Approval(Box<Approval>),
    /// A condition decides at once: approved if it holds, else denied for the reason given.
    Automatic {
        /// What decides.
        approve_if: Condition,
        /// Told to the requester on a denial; may be empty.
        rejection_reason: Template,
    },
    /// Time passes.
    Wait(Wait),
    /// Access is brought about.
    Provision(Provision),
    /// The requester fills in a form.
    Form,
    /// Something outside is started.
    Action(Action),
    /// The request is granted; what follows does not run.
    Accept {
        /// Posted as a comment; may be empty.
        message: String,
    },
    /// The request is refused; what follows does not run.
    Reject {
        /// Posted as a comment; may be empty.
        message: String,
    },
    /// Stages side by side; all of them must pass.
    Parallel(Vec<Stage>),
}

impl Work {
    /// Whether the sequence always ends here.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Work::Accept { .. } | Work::Reject { .. })
    }
}

/// How access is brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Provision {
    /// A connector does it.
    Connector,
    /// People do it.
    Manual,
    /// It follows from another entitlement.
    Delegated,
    /// A webhook does it.
    Webhook,
    /// Several of these, in order.
    MultiStep,
    /// A ticket in another system asks for it.
    ExternalTicket,
    /// An action of a connector does it.
    Action,
    /// A device gets it.
    DevicePlacement,
    /// The document does not say.
    Unconfigured,
}

/// What is started outside.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// An automation, by its template id.
    Automation(String),
    /// A connector's action on a resource, by its id.
    ResourceAction(String),
    /// The approval of a client id.
    ClientIdApproval,
}

/// What is done once a task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Afterwards {
    /// Revocations that a review decided on take effect at once, or not.
    RemediateImmediately(bool),
}

/// A compiled expression of a document, in the language of its dialect.
#[derive(Clone, Debug)]
pub enum Condition {
    /// CEL.
    Cel(Program),
    /// Guardian's language.
    Guardian(GuardianExpression),
}

/// An expression of a Guardian document. Guardian takes any text and finds out later, so it may be one that does not
/// compile; what it decides then fails.
#[derive(Clone, Debug)]
pub struct GuardianExpression {
    /// As written.
    pub text: String,
    /// What Guardian says of it when it runs, if it does not compile.
    pub program: Result<guardian::Program, String>,
}

impl Condition {
    /// As written.
    pub fn text(&self) -> &str {
        match self {
            Condition::Cel(program) => program.text(),
            Condition::Guardian(expression) => &expression.text,
        }
    }

    /// Whether it is known to hold for every request.
    pub fn is_always_true(&self) -> bool {
        matches!(self, Condition::Cel(program) if program.is_always_true())
    }
}

impl Serialize for Condition {
    /// As its text: that is what a person compares.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}
