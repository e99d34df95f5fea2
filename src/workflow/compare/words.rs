//! What is in a workflow, in a few words: for people, and to see how much alike two texts are.

use std::time::Duration;

use crate::workflow::run;
use crate::workflow::{
    Action, Agent, AgentFailure, AgentMode, Approver, Destination, EscalationTarget, Provision, Source,
    Stage, Template, Until, Wait, Work,
};

/// How many things a list shows.
const SHOWN_MAX: usize = 8;

/// Where requests go.
pub(super) fn destination(to: &Destination) -> String {
    match to {
        Destination::Sequence(key) => format!("steps {key}"),
        Destination::Policy(id) => format!("policy {id}"),
        Destination::Nowhere => "nowhere".to_owned(),
    }
}

/// The words of a text, to see how much of them is in another.
#[derive(Debug)]
pub(super) struct Words(Vec<String>);

impl Words {
    pub fn of(text: &str) -> Words {
        let split = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let mut words: Vec<String> = split.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        words.sort();
        Words(words)
    }

    /// From 0 to 100: how much of both is the same.
    pub fn alike(&self, other: &Words) -> u32 {
        let (mut rest, mut common) = (other.0.as_slice(), 0_usize);
        for word in &self.0 {
            while rest.first().is_some_and(|first| first < word) {
                rest = rest.get(1..).unwrap_or_default();
            }
            if rest.first() == Some(word) {
                common += 1;
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        let all = (self.0.len() + other.0.len()).max(1);
        u32::try_from(200 * common / all).unwrap_or(100)
    }
}

/// The kind of a step.
pub(super) fn kind(work: &Work) -> &'static str {
    match run::kind(work) {
        "automatic" => "automatic decision",
        "parallel" => "stage",
        as_recorded => as_recorded,
    }
}

/// A step.
pub(super) fn step(stage: &Stage) -> String {
    let what = match &stage.work {
        Work::Approval(approval) => format!("{} by {}", kind(&stage.work), sources(&approval.sources)),
        Work::Wait(one) => wait(one),
        Work::Provision(how) => format!("provision: {}", provision(*how)),
        Work::Action(what) => format!("action: {}", action(what)),
        Work::Parallel(inner) => {
            let inner: Vec<String> = inner.iter().map(step).collect();
            format!("stage of {}", inner.join(" and "))
        }
        other => kind(other).to_owned(),
    };
    if stage.name.is_empty() { what } else { format!("{}: {what}", stage.name) }
}

/// Ids, or texts like them.
pub(super) fn list<T: AsRef<str>>(all: &[T]) -> String {
    let shown: Vec<&str> = all.iter().take(SHOWN_MAX).map(AsRef::as_ref).collect();
    match all.len().saturating_sub(SHOWN_MAX) {
        _ if all.is_empty() => "nobody".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Who is asked, in order.
pub(super) fn sources(all: &[Source]) -> String {
    let each: Vec<String> = all.iter().map(source).collect();
    if each.is_empty() { "nobody".to_owned() } else { each.join(", else ") }
}

fn source(one: &Source) -> String {
    match one {
        Source::Users(users) => format!("users {}", list(users)),
        Source::Managers => "the managers".to_owned(),
        Source::AppOwners => "the app's owners".to_owned(),
        Source::Groups(groups) => {
            let groups: Vec<String> =
                groups.iter().map(|one| format!("{}/{}", one.app_id, one.entitlement_id)).collect();
            format!("the members of {}", list(&groups))
        }
        Source::AccountOwner => "the account's owner".to_owned(),
        Source::EntitlementOwners => "the entitlement's owners".to_owned(),
        Source::ResourceOwners => "the resource's owners".to_owned(),
        Source::Expressions(all) => {
            let texts: Vec<&str> = all.iter().map(crate::workflow::Condition::text).collect();
            format!("whom {} gives", list(&texts))
        }
        Source::All(approvers) => {
            let each: Vec<&str> = approvers.iter().map(approver).collect();
            list(&each)
        }
        Source::Webhook(id) => format!("webhook {id}"),
        Source::Agent(one) => agent(one),
    }
}

/// One entry of a list of approvers.
pub(super) fn approver(one: &Approver) -> &str {
    match one {
        Approver::Email(email) => email,
        Approver::Expression(condition) => condition.text(),
    }
}

fn agent(agent: &Agent) -> String {
    let Agent { mode, on_failure, policies, instructions } = agent;
    let mode = match mode {
        AgentMode::FullControl => "an agent that decides",
        AgentMode::ChangePolicyOnly => "an agent that chooses a policy",
        AgentMode::CommentOnly => "an agent that comments",
    };
    let failing = match on_failure {
        AgentFailure::Reassign(users) => format!("users {}", list(users)),
        AgentFailure::ReassignToAdministrators => "the administrators".to_owned(),
        AgentFailure::SkipStage => "nobody: the step is skipped".to_owned(),
    };
    let from = if policies.is_empty() { String::new() } else { format!(" (policies {})", list(policies)) };
    let told = if instructions.is_empty() { "" } else { ", with instructions" };
    format!("{mode}{from}{told}, if it fails {failing}")
}

/// Until when, and what then.
pub(super) fn wait(wait: &Wait) -> String {
    match &wait.until {
        Until::Condition { condition, timeout } => {
            format!("wait until {}, {}", condition.text(), limit(*timeout))
        }
        Until::Duration(span) => format!("wait {}", duration(*span)),
        Until::TimeOfDay { hour, minute, zone } => {
            format!("wait until {hour:02}:{minute:02} {}", zone.name())
        }
    }
}

/// For how long at most.
pub(super) fn limit(timeout: Option<Duration>) -> String {
    timeout.map_or("for ever".to_owned(), |timeout| format!("for at most {}", duration(timeout)))
}

/// A length of time: `1day 2h`.
pub(super) fn duration(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}

/// What happens when nobody answers.
pub(super) fn target(to: &EscalationTarget) -> String {
    match to {
        EscalationTarget::ReplacePolicy(id) => format!("policy {id} takes over"),
        EscalationTarget::Reassign(users) => format!("users {} are asked", list(users)),
        EscalationTarget::CancelTask => "the task is cancelled".to_owned(),
        EscalationTarget::SkipStage => "the step counts as passed".to_owned(),
    }
}

/// How access is brought about.
pub(super) fn provision(how: Provision) -> &'static str {
    match how {
        Provision::Connector => "by a connector",
        Provision::Manual => "by people",
        Provision::Delegated => "through another entitlement",
        Provision::Webhook => "by a webhook",
        Provision::MultiStep => "in several steps",
        Provision::ExternalTicket => "by an external ticket",
        Provision::Action => "by an action of a connector",
        Provision::DevicePlacement => "on a device",
        Provision::Unconfigured => "not said how",
    }
}

/// What is started outside.
pub(super) fn action(what: &Action) -> String {
    match what {
        Action::Automation(id) => format!("automation {id}"),
        Action::ResourceAction(id) => format!("resource action {id}"),
        Action::ClientIdApproval => "approval of a client id".to_owned(),
    }
}

/// A text, or the expression that gives it.
pub(super) fn template(template: &Template) -> &str {
    match template {
        Template::Text(text) => text,
        Template::Expression(condition) => condition.text(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Words, list};

    fn alike(one: &str, other: &str) -> u32 {
        Words::of(one).alike(&Words::of(other))
    }

    #[test]
    fn texts_are_alike_by_their_words() {
        assert_eq!(alike("a == \"x\"", "a == \"x\""), 100);
        assert_eq!(alike("a == \"x\"", "b == \"y\""), 0);
        assert!(alike("a == \"x\" && b", "a == \"x\"") > alike("a == \"x\" && b", "c"));
        assert_eq!(alike("", ""), 0);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list::<&str>(&[]), "nobody");
        assert_eq!(list(&["a"; 10]), "a, a, a, a, a, a, a, a and 2 more");
    }
}
