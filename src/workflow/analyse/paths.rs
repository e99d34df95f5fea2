//! How one person gives every approval, whoever asks or somebody else: each kind of way once. A way says for each approval by
//! which source that person was asked; it is found by trying who has which role, who stands in for whom, and whether others hand
//! over or stay silent, and was seen to lead to a grant.

use std::collections::BTreeSet;

use super::Witness;
use super::candidate::{Candidate, SUBJECT};
use super::drive::{Actor, Cast, Fill, Role, Run};
use super::finding::{Code, Finding};
use super::people::One;
use crate::workflow::{EscalationTarget, Work};

/// Who decides everything, where somebody other than the requester does.
const ONE: &str = "approver";
/// The most ways of one sequence that are told of, for each code.
const WAYS_MAX: usize = 16;
/// The most runs in which ways of one sequence are looked for, and of one policy.
const RUNS_MAX: usize = 128;
const RUNS_OF_POLICY_MAX: usize = 1024;

/// A way: by which kind of source the person was asked in each step, by its field path.
type Way = Vec<(String, String)>;

/// Notes every kind of way in which one person alone gives all approvals of the sequence.
pub(super) fn analyse(one: &One<'_>, runs: &mut usize, findings: &mut Vec<Finding>) {
    let mut search =
        Search { one, left: RUNS_MAX.min(RUNS_OF_POLICY_MAX.saturating_sub(*runs)), ways: BTreeSet::new() };
    let before = search.left;
    let own = one.candidate.subject.user.id.clone();
    let mut told = 0;
    for person in one.roles.people(&own) {
        let mut candidate = one.candidate.clone();
        if person != own {
            if own != SUBJECT {
                continue;
            }
            candidate.rename(person);
        }
        search.each(&candidate, person, &mut |candidate, run| {
            let message =
                format!("whoever a request is about can give every approval themselves: {}", in_words(run));
            note(Code::SelfApproval, message, one, candidate, run, &mut told, findings);
        });
    }
    told = 0;
    for person in one.roles.people(ONE) {
        search.each(&one.candidate, person, &mut |candidate, run| {
            if run.approvals.len() > 1 {
                let message = format!("one person can give every approval: {}", in_words(run));
                note(Code::SingleApprover, message, one, candidate, run, &mut told, findings);
            }
        });
    }
    *runs += before - search.left;
}

fn note(
    code: Code,
    message: String,
    one: &One<'_>,
    candidate: &Candidate,
    run: &Run,
    told: &mut usize,
    findings: &mut Vec<Finding>,
) {
    if *told < WAYS_MAX {
        *told += 1;
        let places = run.approvals.iter().map(|(place, ..)| place.clone()).collect();
        let finding = Finding::new(code, one.path.clone(), message).related(places);
        findings.push(finding.shown_by(Witness::of_run(candidate, run)));
    }
}

struct Search<'a> {
    one: &'a One<'a>,
    /// How many runs there may still be.
    left: usize,
    /// What was found already; a way of the requester's is not told of once more for somebody else.
    ways: BTreeSet<Way>,
}

impl Search<'_> {
    /// Calls `found` for each new way in which this person alone brings about a grant.
    fn each(&mut self, candidate: &Candidate, person: &str, found: &mut impl FnMut(&Candidate, &Run)) {
        let roles = self.one.roles.filled();
        let mut actors = vec![Actor::Only(person.to_owned())];
        if self.escalates_and_may_be_handed_over() {
            actors.push(Actor::OnlyWhenAsked(person.to_owned()));
        }
        let delegation: &[bool] = if self.one.roles.delegates { &[false, true] } else { &[false] };
        // The person has every role first, and then fewer and fewer of them.
        let most = 3_usize.saturating_pow(u32::try_from(roles.len()).unwrap_or(u32::MAX)).min(RUNS_MAX);
        for number in 0..most {
            let fills = fills(&roles, number);
            for (delegates, actor) in
                delegation.iter().flat_map(|one| actors.iter().map(move |actor| (*one, actor)))
            {
                if self.left == 0 {
                    return;
                }
                self.left -= 1;
                let mut candidate = candidate.clone();
                let cast = Cast::Only { person: person.to_owned(), fills: fills.clone(), delegates };
                self.one.roles.cast(&mut candidate, &cast, None);
                let Some(run) = self.one.run(&candidate, actor) else { continue };
                let alone = run.approvers() == BTreeSet::from([person]);
                if run.is_granted() && alone && self.ways.insert(way(&run)) {
                    found(&candidate, &run);
                }
            }
        }
    }

    /// Whether it makes a difference if others hand over or stay silent.
    fn escalates_and_may_be_handed_over(&self) -> bool {
        let approvals = || {
            self.one.sequence.stages.iter().filter_map(|stage| match &stage.work {
                Work::Approval(approval) => Some(approval),
                _ => None,
            })
        };
        let escalates =
            |to: Option<&EscalationTarget>| matches!(to, Some(to) if *to != EscalationTarget::CancelTask);
        approvals().any(|approval| approval.reassignment.allowed)
            && approvals().any(|approval| escalates(approval.escalation.as_ref().map(|one| &one.to)))
    }
}

/// Who has which role: the digits of the number in base three.
fn fills(roles: &[Role], number: usize) -> Vec<(Role, Fill)> {
    let mut rest = number;
    let each = roles.iter().map(|role| {
        let fill = match rest % 3 {
            0 => Fill::Person,
            1 => Fill::Other,
            _ => Fill::Nobody,
        };
        rest /= 3;
        (*role, fill)
    });
    each.collect()
}

/// The way without the names of people.
fn way(run: &Run) -> Way {
    let kind = |source: &str| {
        let kinds = ["delegate of", "reassigned by"];
        kinds.iter().find(|kind| source.starts_with(**kind)).map_or(source, |kind| *kind).to_owned()
    };
    run.approvals.iter().map(|(place, _, source)| (place.clone(), kind(source))).collect()
}

/// `policySteps.grant.steps[0] by way of managers, ...`.
fn in_words(run: &Run) -> String {
    let each: Vec<String> =
        run.approvals.iter().map(|(place, _, source)| format!("{place} by way of {source}")).collect();
    each.join(", ")
}
