//! What there is for ConductorOne's tasks: policies, people, and what happens; and the record of a stage.

#[derive(Clone, Debug)]
pub enum Condition {
    /// A text, and what it comes to.
    Always(&'static str, Result<bool, ()>),
    SubjectIs(&'static str),
    /// From so many seconds on; the text says the same as a point in time.
    From(i64, &'static str),
}

impl Condition {
    pub fn text(&self) -> String {
        match self {
            Condition::Always(text, _) => (*text).to_owned(),
            Condition::SubjectIs(id) => format!("subject.id == \"{id}\""),
            Condition::From(_, at) => format!("now() >= timestamp(\"{at}\")"),
        }
    }

    /// What it comes to: `true`, `false`, `error`.
    pub(super) fn value(&self, world: &World, now: i64) -> &'static str {
        let value = match self {
            Condition::Always(_, value) => *value,
            Condition::SubjectIs(id) => Ok(world.subject == *id),
            Condition::From(from, _) => Ok(now >= *from),
        };
        match value {
            Ok(true) => "true",
            Ok(false) => "false",
            Err(()) => "error",
        }
    }

    pub(super) fn holds(&self, world: &World, now: i64) -> bool {
        self.value(world, now) == "true"
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Steps(&'static str),
    Policy(&'static str),
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub id: &'static str,
    pub rules: Vec<(Condition, Target)>,
    pub baseline: Target,
    pub sequences: Vec<(&'static str, Vec<Step>)>,
    /// Whether revocations of a review apply at once, for each post action.
    pub post_actions: Vec<bool>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Approval(Box<Approval>),
    /// For so long.
    Wait(i64),
    /// Until a clock that is so many seconds before UTC's shows this second of the day.
    WaitUntil(i64, i64),
    /// Until this holds, for so long at most.
    WaitFor(Condition, Option<i64>),
    Form,
    /// Whether a machine does it, so that a simulation takes it to be done.
    Provision(&'static str, bool),
    Action,
    Accept,
    Reject,
}

#[derive(Clone, Debug)]
pub enum Source {
    Users(Vec<&'static str>),
    Managers,
    AppOwners,
    EntitlementOwners,
    ResourceOwners,
    Group,
    /// The owner of the account.
    Account,
    Expressions(Vec<Expression>),
    Webhook,
    Agent(Agent),
}

/// An expression that gives users: its text, and whom it gives.
#[derive(Clone, Debug)]
pub struct Expression(pub &'static str, pub Gives);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    AppOwners,
    Managers,
    Members,
    Subject,
    One(&'static str),
    Nobody,
    Fails,
}

#[derive(Clone, Debug)]
pub struct Agent {
    pub mode: Mode,
    pub failure: Failure,
    /// The policies that it may choose from; none = any.
    pub policies: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    FullControl,
    ChangePolicyOnly,
    CommentOnly,
}

#[derive(Clone, Debug)]
pub enum Failure {
    Users(Vec<&'static str>),
    Administrators,
    Skip,
}

#[derive(Clone, Debug)]
pub enum Escalation {
    Policy(&'static str),
    Users(Vec<&'static str>),
    Cancel,
    Skip,
}

#[derive(Clone, Debug)]
pub enum Fallback {
    Users(Vec<&'static str>),
    /// By name: `security`, `leads`.
    Groups(Vec<&'static str>),
}

#[derive(Clone, Debug)]
pub struct Approval {
    pub source: Source,
    /// Always off for sources without one.
    pub fallback: Option<Fallback>,
    pub allow_self: bool,
    pub distinct: bool,
    /// Whether it may be handed over, and to whom; an empty list is anyone.
    pub reassignees: Option<Vec<&'static str>>,
    pub delegation: bool,
    /// Which decisions need a reason: approvals, denials, handing over.
    pub reasons: [bool; 3],
    pub step_up: bool,
    /// After so many seconds.
    pub escalation: Option<(i64, Escalation)>,
}

#[derive(Clone, Debug)]
pub struct Person {
    pub id: &'static str,
    pub is_enabled: bool,
    pub managers: Vec<&'static str>,
    /// Who decides in their place, and whether they were named before the task was made.
    pub delegate: Option<(&'static str, bool)>,
}

#[derive(Clone, Debug)]
pub struct World {
    /// Everybody there is.
    pub people: Vec<Person>,
    pub app_owners: Vec<&'static str>,
    pub entitlement_owners: Vec<&'static str>,
    pub resource_owners: Vec<&'static str>,
    /// Members of `security` and of `leads`.
    pub groups: [Vec<&'static str>; 2],
    pub account_owner: &'static str,
    pub administrators: Vec<&'static str>,
    pub subject: &'static str,
    pub requester: &'static str,
    /// `block`, `skip` or `deny`.
    pub nobody: &'static str,
    /// Whether what machines do outside is taken to be done at once.
    pub assumes: bool,
}

#[derive(Clone, Debug)]
pub enum Happening {
    Approve(By),
    Deny(By),
    Reassign(By, Vec<&'static str>),
    Answer(Answer),
    Recheck,
    ConditionHolds,
    FormFilled,
    Done(bool),
    Skip,
    Restart,
    Cancel,
    Nothing,
}

/// Who decides, whether they say why, and whether they prove who they are.
#[derive(Clone, Copy, Debug)]
pub struct By(pub &'static str, pub bool, pub bool);

#[derive(Clone, Debug)]
pub enum Answer {
    Approve,
    Deny,
    Comment,
    Reassign(Vec<&'static str>),
    ChangePolicy(&'static str),
    Fail,
}

/// Somebody who was found and may not decide: who, by which source, and why.
pub type Excluded = (&'static str, String, &'static str);

#[derive(Clone, Debug)]
pub struct Stage {
    pub policy: &'static str,
    pub sequence: &'static str,
    pub position: usize,
    pub kind: &'static str,
    pub state: &'static str,
    pub entered: i64,
    pub left: Option<i64>,
    /// Each with whom they stand in for.
    pub asked: Vec<(&'static str, Option<&'static str>)>,
    pub decided_by: &'static str,
    pub hand_overs: usize,
    /// When time alone does something to it.
    pub(super) due: Option<i64>,
    /// The sources that were tried: which, how many it named, and whether there was a problem.
    pub sources: Vec<(String, usize, bool)>,
    pub excluded: Vec<Excluded>,
    /// Which decisions need a reason (approvals, denials, handing over), and whether whoever decides must prove who they are.
    pub required: ([bool; 3], bool),
    /// When it escalates and to what, and whether it has.
    pub escalates: Option<(i64, String, bool)>,
    /// When a wait is over or gives up, until it has.
    pub wait_until: Option<i64>,
}

impl Stage {
    pub(super) fn is_asked(&self, id: &str) -> bool {
        self.asked.iter().any(|one| one.0 == id)
    }
}
