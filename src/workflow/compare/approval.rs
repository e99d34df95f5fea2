//! What has become of an approval: who is asked, who may decide, what is asked of them, and what happens if nobody answers.

use super::change::{Change, Code, Direction};
use super::words;
use crate::workflow::{Approval, Approver, Escalation, Nobody, Reassignment, Source};

type Paths<'p> = (&'p str, &'p str);

/// Notes what is different. Nothing of an approval is left out: a new field does not compile until it is looked at here.
pub(super) fn compare(old: &Approval, new: &Approval, paths: Paths<'_>, changes: &mut Vec<Change>) {
    let Approval {
        sources,
        nobody,
        allow_self_approval,
        require_distinct_approvers,
        reassignment,
        allow_delegation,
        require_approval_reason,
        require_denial_reason,
        step_up_provider,
        escalation,
    } = old;
    asked(sources, &new.sources, paths, changes);
    when_nobody(*nobody, new.nobody, paths, changes);
    let mut flag = |code, was: bool, is: bool, direction: Direction, (set, unset): (&str, &str)| {
        if was != is {
            let change = Change::new(code, paths, if is { set } else { unset }).towards(direction);
            changes.push(change.with_values(was.to_string(), is.to_string()));
        }
    };
    let (was, is) = (*allow_self_approval, new.allow_self_approval);
    let told = ("who it is about may approve it, too", "who it is about may no longer approve it");
    flag(Code::SelfApprovalChanged, was, is, Direction::of_flag(was, is), told);
    let (was, is) = (*require_distinct_approvers, new.require_distinct_approvers);
    let told = (
        "who approved an earlier step may not approve this one",
        "who approved an earlier step may approve this one, too",
    );
    flag(Code::DistinctApproversChanged, was, is, Direction::of_flag(is, was), told);
    let (was, is) = (*allow_delegation, new.allow_delegation);
    let told = ("delegates may decide", "delegates may no longer decide");
    flag(Code::DelegationChanged, was, is, Direction::of_flag(was, is), told);
    let (was, is) = (*require_approval_reason, new.require_approval_reason);
    let told = ("who approves has to say why", "who approves need not say why");
    flag(Code::ReasonChanged, was, is, Direction::of_flag(is, was), told);
    let (was, is) = (*require_denial_reason, new.require_denial_reason);
    let told = ("who denies has to say why", "who denies need not say why");
    flag(Code::ReasonChanged, was, is, Direction::of_flag(is, was), told);
    handing_over(reassignment, &new.reassignment, paths, changes);
    step_up(step_up_provider.as_deref(), new.step_up_provider.as_deref(), paths, changes);
    escalations(escalation.as_ref(), new.escalation.as_ref(), paths, changes);
}

/// The first source is who is asked; those after it stand in for it.
fn asked(old: &[Source], new: &[Source], paths: Paths<'_>, changes: &mut Vec<Change>) {
    let (first, fallback) = old.split_at(old.len().min(1));
    let (new_first, new_fallback) = new.split_at(new.len().min(1));
    let pairs = [
        (Code::ApproversChanged, "other people are asked", first, new_first),
        (Code::FallbackChanged, "other people are asked if nobody is found", fallback, new_fallback),
    ];
    for (code, message, old, new) in pairs {
        if same(old) == same(new) {
            continue;
        }
        let change = Change::new(code, paths, message).towards(widening(old, new));
        changes.push(change.with_values(words::sources(old), words::sources(new)));
    }
}

/// Equal for equal sources.
fn same(sources: &[Source]) -> Option<String> {
    serde_json::to_string(sources).ok()
}

/// Whether more people are asked.
fn widening(old: &[Source], new: &[Source]) -> Direction {
    match (old, new) {
        ([], _) => Direction::Wider,
        (_, []) => Direction::Narrower,
        ([Source::Users(old)], [Source::Users(new)]) => Direction::of_set(old, new),
        ([Source::Groups(old)], [Source::Groups(new)]) => Direction::of_set(old, new),
        ([Source::All(old)], [Source::All(new)]) => {
            let texts =
                |all: &[Approver]| all.iter().map(|one| words::approver(one).to_owned()).collect::<Vec<_>>();
            Direction::of_set(&texts(old), &texts(new))
        }
        _ => Direction::Different,
    }
}

fn when_nobody(old: Nobody, new: Nobody, paths: Paths<'_>, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    let direction = match (old, new) {
        (_, Nobody::Skip) => Direction::Wider,
        (Nobody::Skip, _) => Direction::Narrower,
        _ => Direction::Different,
    };
    let message = "something else happens if nobody is found";
    let change = Change::new(Code::NobodyChanged, paths, message).towards(direction);
    changes.push(change.with_values(old.to_string(), new.to_string()));
}

fn handing_over(old: &Reassignment, new: &Reassignment, paths: Paths<'_>, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    let direction = widening_of_reassignment(old, new);
    let message = "other rules say whether and to whom an approver may hand over";
    let change = Change::new(Code::ReassignmentChanged, paths, message).towards(direction);
    changes.push(change.with_values(reassignment(old), reassignment(new)));
}

fn widening_of_reassignment(old: &Reassignment, new: &Reassignment) -> Direction {
    let people = match (old.allowed, new.allowed) {
        // Nobody may, so that it makes no difference to whom.
        (false, false) => return Direction::Same,
        (was, is) if was != is => return Direction::of_flag(was, is),
        _ => match (old.to.is_empty(), new.to.is_empty()) {
            (true, true) => Direction::Same,
            (true, false) => Direction::Narrower,
            (false, true) => Direction::Wider,
            (false, false) => Direction::of_set(&old.to, &new.to),
        },
    };
    let reason = Direction::of_flag(new.require_reason, old.require_reason);
    match (people, reason) {
        (people, Direction::Same) => people,
        (Direction::Same, reason) => reason,
        (people, reason) if people == reason => people,
        _ => Direction::Different,
    }
}

fn reassignment(one: &Reassignment) -> String {
    let Reassignment { allowed, to, require_reason } = one;
    if !allowed {
        return "not allowed".to_owned();
    }
    let whom = if to.is_empty() { "anybody".to_owned() } else { format!("users {}", words::list(to)) };
    format!("to {whom}{}", if *require_reason { ", with a reason" } else { "" })
}

fn step_up(old: Option<&str>, new: Option<&str>, paths: Paths<'_>, changes: &mut Vec<Change>) {
    let (message, direction) = match (old, new) {
        (None, Some(_)) => ("who decides has to prove who they are once more", Direction::Narrower),
        (Some(_), None) => ("who decides need not prove who they are once more", Direction::Wider),
        (Some(old), Some(new)) if old != new => {
            ("who decides has to prove in another way who they are", Direction::Different)
        }
        _ => return,
    };
    let change = Change::new(Code::StepUpChanged, paths, message).towards(direction);
    changes.push(change.with_values(old.unwrap_or_default(), new.unwrap_or_default()));
}

fn escalations(
    old: Option<&Escalation>,
    new: Option<&Escalation>,
    paths: Paths<'_>,
    changes: &mut Vec<Change>,
) {
    let whole =
        |one: &Escalation| format!("after {}: {}", words::duration(one.after), words::target(&one.to));
    match (old, new) {
        (None, None) => {}
        (None, Some(new)) => {
            let message = "something happens when nobody answers";
            changes.push(Change::new(Code::EscalationAdded, paths, message).with_values("", whole(new)));
        }
        (Some(old), None) => {
            let message = "nothing happens any more when nobody answers";
            changes.push(Change::new(Code::EscalationRemoved, paths, message).with_values(whole(old), ""));
        }
        (Some(old), Some(new)) => escalation(old, new, paths, changes),
    }
}

fn escalation(old: &Escalation, new: &Escalation, paths: Paths<'_>, changes: &mut Vec<Change>) {
    let Escalation { after, to, comment } = old;
    if *after != new.after {
        let (was, is) = (words::duration(*after), words::duration(new.after));
        let message = format!("it escalates after {is} instead of {was}");
        changes.push(Change::new(Code::EscalationTimeChanged, paths, message).with_values(was, is));
    }
    if *to != new.to {
        let message = "something else happens when nobody answers";
        let change = Change::new(Code::EscalationTargetChanged, paths, message);
        changes.push(change.with_values(words::target(to), words::target(&new.to)));
    }
    if *comment != new.comment {
        let message = "another comment is posted when it escalates";
        changes.push(Change::new(Code::MessageChanged, paths, message).with_values(comment, &new.comment));
    }
}
