//! Parts of a workflow in few words. What they quote is not clean yet.

use std::time::Duration;

use crate::workflow::{
    Action, Afterwards, AgentFailure, AgentMode, Approval, Approver, Condition, Provision, Requirement,
    ResourceRef, Source, Stage, Trigger, Until, Work,
};

/// The most names of a list that are said.
const NAMES_SHOWN: usize = 4;

/// What a stage is called: by its policy, else by what it is.
pub(super) fn title(stage: &Stage) -> String {
    let kind = match &stage.work {
        Work::Approval(approval) => match approval.sources.first() {
            Some(Source::Webhook(_)) => "Webhook",
            Some(Source::Agent(_)) => "Agent",
            _ => "Approval",
        },
        Work::Automatic { .. } => "Automatic",
        Work::Wait(_) => "Wait",
        Work::Provision(_) => "Provision",
        Work::Form => "Form",
        Work::Action(_) => "Action",
        Work::Accept { .. } => "Accept",
        Work::Reject { .. } => "Reject",
        Work::Parallel(_) => "Side by side",
    };
    let name = match &stage.work {
        Work::Wait(wait) if stage.name.is_empty() => &wait.name,
        _ => &stage.name,
    };
    if name.is_empty() { kind.to_owned() } else { format!("{kind}: {name}") }
}

/// What a stage does, a line for each thing.
pub(super) fn lines(stage: &Stage) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(stage.when.as_ref().map(|when| format!("only if {}", when.text())));
    match &stage.work {
        Work::Approval(one) => approval(one, &mut lines),
        Work::Automatic { approve_if, .. } => lines.push(format!("passes if {}", approve_if.text())),
        Work::Wait(wait) => lines.push(until(&wait.until)),
        Work::Provision(how) => lines.push(provision(*how).to_owned()),
        Work::Form => lines.push("the requester fills it in".to_owned()),
        Work::Action(what) => lines.push(action(what)),
        Work::Accept { message } | Work::Reject { message } => {
            lines.extend((!message.is_empty()).then(|| format!("says: {message}")));
        }
        Work::Parallel(_) => lines.push("all of these".to_owned()),
    }
    lines.extend(stage.may_fail.then(|| "goes on if it fails".to_owned()));
    lines
}

fn approval(approval: &Approval, lines: &mut Vec<String>) {
    lines.extend(approval.sources.first().map(source));
    if let Some(Source::Agent(agent)) = approval.sources.first() {
        lines.push(format!("if it fails: {}", agent_failure(&agent.on_failure)));
    }
    lines.extend(approval.allow_self_approval.then(|| "own requests, too".to_owned()));
    lines.extend(approval.require_distinct_approvers.then(|| "nobody who approved before".to_owned()));
    let reasons: Vec<&str> =
        [(approval.require_approval_reason, "to approve"), (approval.require_denial_reason, "to deny")]
            .into_iter()
            .filter_map(|(is, what)| is.then_some(what))
            .collect();
    if !reasons.is_empty() {
        lines.push(format!("with a reason {}", reasons.join(" and ")));
    }
    lines.extend(approval.step_up_provider.as_ref().map(|id| format!("with proof by {id}")));
    if approval.reassignment.allowed {
        let to = &approval.reassignment.to;
        let to = if to.is_empty() { "anybody".to_owned() } else { names(to) };
        lines.push(format!("may be handed to {to}"));
    }
    lines.extend(approval.allow_delegation.then(|| "delegates may decide".to_owned()));
}

fn agent_failure(failure: &AgentFailure) -> String {
    match failure {
        AgentFailure::Reassign(users) => names(users),
        AgentFailure::ReassignToAdministrators => "administrators".to_owned(),
        AgentFailure::SkipStage => "passed over".to_owned(),
    }
}

/// Who is asked.
pub(super) fn source(source: &Source) -> String {
    match source {
        Source::Users(users) => format!("asks {}", names(users)),
        Source::Managers => "asks the subject's managers".to_owned(),
        Source::AppOwners => "asks the owners of the app".to_owned(),
        Source::Groups(groups) => {
            let all: Vec<String> =
                groups.iter().map(|one| format!("{}/{}", one.app_id, one.entitlement_id)).collect();
            format!("asks the group {}", names(&all))
        }
        Source::AccountOwner => "asks the owner of the account".to_owned(),
        Source::EntitlementOwners => "asks the owners of the entitlement".to_owned(),
        Source::ResourceOwners => "asks the owners of the resource".to_owned(),
        Source::Expressions(all) => {
            let all: Vec<String> = all.iter().map(|one| one.text().to_owned()).collect();
            format!("asks {}", names(&all))
        }
        Source::All(all) => {
            let all: Vec<String> = all
                .iter()
                .map(|one| match one {
                    Approver::Email(email) => email.clone(),
                    Approver::Expression(expression) => expression.text().to_owned(),
                })
                .collect();
            format!("asks {}", names(&all))
        }
        Source::Webhook(id) => format!("calls {id}"),
        Source::Agent(agent) => match agent.mode {
            AgentMode::FullControl => "decides".to_owned(),
            AgentMode::ChangePolicyOnly => format!("may choose the policy: {}", names(&agent.policies)),
            AgentMode::CommentOnly => "only comments".to_owned(),
        },
    }
}

/// The first of a list, and how many more there are.
pub(super) fn names(all: &[String]) -> String {
    let shown: Vec<&str> = all.iter().take(NAMES_SHOWN).map(String::as_str).collect();
    match all.len().saturating_sub(NAMES_SHOWN) {
        0 if all.is_empty() => "nobody".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn until(until: &Until) -> String {
    match until {
        Until::Condition { condition, timeout: None } => format!("until {}, for ever", condition.text()),
        Until::Condition { condition, .. } => format!("until {}", condition.text()),
        Until::Duration(time) => format!("for {}", duration(*time)),
        Until::TimeOfDay { hour, minute, zone } => {
            format!("until it is {hour:02}:{minute:02} in {}", zone.name())
        }
    }
}

fn provision(how: Provision) -> &'static str {
    match how {
        Provision::Connector => "by a connector",
        Provision::Manual => "by people",
        Provision::Delegated => "follows from another entitlement",
        Provision::Webhook => "by a webhook",
        Provision::MultiStep => "in several steps",
        Provision::ExternalTicket => "by a ticket in another system",
        Provision::Action => "by an action of a connector",
        Provision::DevicePlacement => "on a device",
        Provision::Unconfigured => "not said how",
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Automation(id) => format!("starts automation {id}"),
        Action::ResourceAction(id) => format!("starts resource action {id}"),
        Action::ClientIdApproval => "approves a client id".to_owned(),
    }
}

/// What is done once it has ended.
pub(super) fn afterwards(action: &Afterwards) -> &'static str {
    match action {
        Afterwards::RemediateImmediately(true) => "revocations take effect at once",
        Afterwards::RemediateImmediately(false) => "revocations wait for the end of the review",
    }
}

/// What a requirement asks for, and when.
pub(super) fn requirement(requirement: &Requirement) -> Vec<String> {
    let mut lines = trigger(&requirement.on);
    lines.extend(requirement.appeals.iter().map(|one| {
        let ResourceRef { id, provider_type, urn, .. } = &one.resource;
        let what = if id.is_empty() { format!("{provider_type} {urn}") } else { id.clone() };
        format!("asks for {} on {what}", one.role)
    }));
    lines.extend(requirement.hooks.iter().map(|one| format!("calls {}", one.name)));
    lines
}

fn trigger(on: &Trigger) -> Vec<String> {
    let patterns = [
        ("provider type", &on.provider_type),
        ("provider", &on.provider_urn),
        ("resource type", &on.resource_type),
        ("resource", &on.resource_urn),
        ("role", &on.role),
    ];
    let patterns = patterns.into_iter().filter_map(|(name, one)| Some((name, one.as_ref()?)));
    let mut lines: Vec<String> =
        patterns.map(|(name, one)| format!("if the {name} matches {}", one.text)).collect();
    lines.extend(on.fields.iter().map(|one| {
        let value = one.equals.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("if {} is {value}", one.field)
    }));
    lines.extend(on.expression.as_ref().map(|one: &Condition| format!("if {}", one.text())));
    lines
}

/// As in `1 day 12 h`.
pub(super) fn duration(time: Duration) -> String {
    let parts = humantime::format_duration(time).to_string();
    let part = |part: &str| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (number, unit) = part.split_at(digits);
        format!("{number} {unit}")
    };
    parts.split(' ').map(part).collect::<Vec<String>>().join(" ")
}
