//! The stage that asks: who, who else when nobody is found, and what happens when nobody answers.

use super::Condition;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Somebody must decide.
#[derive(Clone, Debug, Serialize)]
pub struct Approval {
    /// Who is asked. Tried in order; the first that gives anybody is used, and one decision of one of them is enough.
    pub sources: Vec<Source>,
    /// What happens when no source gives anybody. Never silent: a trace says so.
    pub nobody: Nobody,
    /// Whether the subject may decide on their own request.
    pub allow_self_approval: bool,
    /// Whether everybody who approved an earlier stage is excluded.
    pub require_distinct_approvers: bool,
    /// Whether, and to whom, an approver may hand the task over.
    pub reassignment: Reassignment,
    /// Whether an approver's delegate may decide; one level deep.
    pub allow_delegation: bool,
    /// An approval needs a reason.
    pub require_approval_reason: bool,
    /// A denial needs a reason.
    pub require_denial_reason: bool,
    /// The provider through which the approver must prove who they are once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_up_provider: Option<String>,
    /// What happens when nobody answers; `None` means that the task waits for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
}

impl Approval {
    /// Whether the first source that can give nobody is backed by one that always gives somebody.
    pub fn always_finds_somebody(&self) -> bool {
        self.sources.iter().any(Source::always_finds_somebody)
    }
}

/// Where approvers come from.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// These users, by id.
    Users(Vec<String>),
    /// The managers of the subject.
    Managers,
    /// The owners of the app.
    AppOwners,
    /// The members of any of these groups, each an entitlement of an app.
    Groups(Vec<GroupRef>),
    /// The owner of the account: normally the subject.
    AccountOwner,
    /// The owners of the entitlement.
    EntitlementOwners,
    /// The owners of the resource.
    ResourceOwners,
    /// The first of these expressions that gives anybody.
    Expressions(Vec<Condition>),
    /// Everybody that these give, each once.
    All(Vec<Approver>),
    /// A webhook, by id, decides.
    Webhook(String),
    /// An agent decides or helps to.
    Agent(Agent),
}

impl Source {
    /// Whether there is somebody whatever the request. Users that have left since are not known here.
    pub fn always_finds_somebody(&self) -> bool {
        match self {
            Source::Users(users) => !users.is_empty(),
            Source::Webhook(_) | Source::Agent(_) => true,
            Source::All(approvers) => approvers.iter().any(|one| matches!(one, Approver::Email(_))),
            Source::Managers
            | Source::AppOwners
            | Source::Groups(_)
            | Source::AccountOwner
            | Source::EntitlementOwners
            | Source::ResourceOwners
            | Source::Expressions(_) => false,
        }
    }
}

/// One entry of a list of approvers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Approver {
    /// Who has this e-mail address.
    Email(String),
    /// Whose e-mail addresses this gives: one, or a list of them.
    Expression(Condition),
}

/// A group, as the entitlement that stands for membership in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupRef {
    /// The app that the group belongs to.
    pub app_id: String,
    /// The entitlement.
    pub entitlement_id: String,
}

/// What happens to a stage for which nobody is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Nobody {
    /// The task waits, and somebody must step in.
    #[default]
    Block,
    /// The stage counts as passed.
    Skip,
    /// The request is refused.
    Deny,
    /// The request cannot be made at all. Not for a document to leave unsaid: only a dialect decides so.
    Fail,
}

impl FromStr for Nobody {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "block" => Ok(Nobody::Block),
            "skip" => Ok(Nobody::Skip),
            "deny" => Ok(Nobody::Deny),
            _ => Err("one of block, skip, deny"),
        }
    }
}

impl fmt::Display for Nobody {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Nobody::Block => "block",
            Nobody::Skip => "skip",
            Nobody::Deny => "deny",
            Nobody::Fail => "fail",
        })
    }
}

/// Whether an approver may hand the task over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reassignment {
    /// Whether they may at all.
    pub allowed: bool,
    /// To these users only; empty means to anybody.
    pub to: Vec<String>,
    /// They must say why.
    pub require_reason: bool,
}

/// What happens when nobody has answered for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Escalation {
    /// Since the stage began.
    pub after: Duration,
    /// What happens then.
    pub to: EscalationTarget,
    /// Posted as a comment; may be empty.
    pub comment: String,
}

/// Where a task escalates to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EscalationTarget {
    /// Another policy takes over, from its beginning.
    ReplacePolicy(String),
    /// These users are asked instead.
    Reassign(Vec<String>),
    /// The task is cancelled.
    CancelTask,
    /// The stage counts as passed.
    SkipStage,
}

/// An agent in the place of an approver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Agent {
    /// What it may do.
    pub mode: AgentMode,
    /// What happens when it fails.
    pub on_failure: AgentFailure,
    /// The policies that it may choose from.
    pub policies: Vec<String>,
    /// What it is told.
    pub instructions: String,
}

/// What an agent may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentMode {
    /// Decide.
    FullControl,
    /// Choose another policy.
    ChangePolicyOnly,
    /// Comment; the decision is not its own.
    CommentOnly,
}

/// What happens when an agent fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentFailure {
    /// These users are asked.
    Reassign(Vec<String>),
    /// The administrators of the system are asked.
    ReassignToAdministrators,
    /// The stage counts as passed.
    SkipStage,
}

impl AgentFailure {
    /// The users who are asked then.
    pub fn users(&self) -> &[String] {
        match self {
            AgentFailure::Reassign(users) => users,
            AgentFailure::ReassignToAdministrators | AgentFailure::SkipStage => &[],
        }
    }
}
