//! What can become of requests in the hands of people: hanging, going round, being decided by whoever asked. Everything here
//! was seen to happen in a run of the machine; what was not seen is not claimed.

use std::collections::BTreeSet;

use super::Witness;
use super::candidate::{Candidate, SUBJECT};
use super::drive::{Actor, Cast, Driver, Roles, Run};
use super::finding::{Code, Finding};
use super::rules::Rules;
use super::stages::{self, Longest};
use crate::workflow::run::{Ending, Outcome};
use crate::workflow::{Destination, EscalationTarget, Sequence, Stage, Work, Workflow};

/// Who decides everything, where somebody does.
const ONE: &str = "approver";
/// The most approvals of one policy that are tried with nobody there to ask, each in a run of its own.
const EMPTY_TRIED_MAX: usize = 64;

/// Tries what people can do in every sequence that a request can get to.
pub(super) fn analyse(
    workflow: &Workflow,
    rules: &mut Rules<'_>,
    driver: Driver<'_>,
    findings: &mut Vec<Finding>,
) {
    let mut tried = 0;
    for key in rules.reached() {
        let Some(sequence) = workflow.sequences.get(key) else { continue };
        stages::analyse(sequence, findings);
        let path = super::sequence_path(workflow, key);
        let Some(candidate) = leading_to(workflow, rules, key) else {
            let message = "no request was found that comes here, so that nothing could be tried";
            findings.push(Finding::new(Code::CannotTell, path, message));
            continue;
        };
        let one = One { key, path, sequence, candidate, roles: Roles::of(&sequence.stages), driver };
        one.time(findings);
        one.blocks(&mut tried, findings);
        one.goes_round(findings);
        one.escalations(findings);
        one.decided_by_nobody(findings);
        one.decided_by_one(findings);
    }
}

/// A request that comes to the sequence.
fn leading_to(workflow: &Workflow, rules: &mut Rules<'_>, key: &str) -> Option<Candidate> {
    let leads = |to: &Destination| matches!(to, Destination::Sequence(to) if to == key);
    let routes: Vec<usize> =
        workflow.routes.iter().enumerate().filter(|(_, route)| leads(&route.to)).map(|(n, _)| n).collect();
    let through = routes.into_iter().filter(|n| rules.alive.get(*n) == Some(&true)).collect::<Vec<_>>();
    for route in through {
        if let Some(candidate) = rules.leading_to(Some(route)) {
            return Some(candidate);
        }
    }
    if leads(&workflow.baseline) && rules.falls_through { rules.leading_to(None) } else { None }
}

/// One sequence, with a request that comes to it.
struct One<'a> {
    key: &'a str,
    path: String,
    sequence: &'a Sequence,
    candidate: Candidate,
    roles: Roles,
    driver: Driver<'a>,
}

impl One<'_> {
    /// The candidate with people in it, still going to this sequence when somebody acts.
    fn run(&self, candidate: &Candidate, actor: &Actor) -> Option<Run> {
        let run = self.driver.run(candidate, actor);
        let comes_here = run.state.route.first().is_some_and(|hop| hop.sequence == self.key);
        comes_here.then_some(run)
    }

    fn peopled(&self) -> Candidate {
        let mut candidate = self.candidate.clone();
        self.roles.cast(&mut candidate, &Cast::Everybody, None);
        candidate
    }

    /// The longest time to a decision.
    fn time(&self, findings: &mut Vec<Finding>) {
        match stages::longest(self.driver.policies, self.sequence) {
            Longest::AtMost(time) => {
                let message = match time.as_secs() {
                    0 => "a request that comes here is decided at once".to_owned(),
                    _ => format!(
                        "a request that comes here is decided after {} at the latest",
                        stages::in_words(time)
                    ),
                };
                findings.push(Finding::new(Code::DecisionTime, self.path.clone(), message));
            }
            Longest::Unbounded(places) => {
                let peopled = self.peopled();
                let (ending, ..) = self.driver.idle(&peopled);
                let message =
                    "there is no longest time to a decision: while nobody acts, the request waits for ever";
                let finding =
                    Finding::new(Code::DecisionUnbounded, self.path.clone(), message).related(places);
                let waits = matches!(ending, Ending::WaitsForEver { .. } | Ending::Repeats { .. });
                let comes_here = || self.run(&peopled, &Actor::Nobody);
                findings.push(match comes_here().filter(|_| waits) {
                    Some(_) => finding.shown_by(Witness::of(&peopled)),
                    None => finding,
                });
            }
        }
    }

    /// Approvals that nobody can give.
    fn blocks(&self, tried: &mut usize, findings: &mut Vec<Finding>) {
        for stage in &self.sequence.stages {
            let Work::Approval(approval) = &stage.work else { continue };
            if !stages::may_block(approval) || *tried >= EMPTY_TRIED_MAX {
                continue;
            }
            *tried += 1;
            let mut candidate = self.candidate.clone();
            self.roles.cast(&mut candidate, &Cast::Everybody, Some(approval));
            let Some(run) = self.run(&candidate, &Actor::Everybody) else { continue };
            if run.blocked_at() == Some(stage.place.as_str()) {
                let message = "when nobody is found to ask, a request waits here for ever: there is no fallback that \
                               always names somebody, and no escalation";
                let finding = Finding::new(Code::ApprovalCanBlock, stage.place.clone(), message);
                findings.push(finding.shown_by(Witness::of_run(&candidate, &run)));
            }
        }
    }

    /// Policies that escalate to each other without end.
    fn goes_round(&self, findings: &mut Vec<Finding>) {
        let replaces = |stage: &&Stage| match &stage.work {
            Work::Approval(approval) => matches!(
                approval.escalation.as_ref().map(|escalation| &escalation.to),
                Some(EscalationTarget::ReplacePolicy(_))
            ),
            _ => false,
        };
        let Some(stage) = self.sequence.stages.iter().find(replaces) else { return };
        let mut candidate = self.candidate.clone();
        Roles::all(self.driver.policies).cast(&mut candidate, &Cast::Everybody, None);
        let (ending, outcome, _) = self.driver.idle(&candidate);
        let without_end = match ending {
            Ending::Repeats { .. } | Ending::NotFollowed { .. } => true,
            Ending::WaitsForEver { .. } => {
                matches!(&outcome, Outcome::Blocked { why, .. } if why.contains("took over"))
            }
            Ending::Ends { .. } => false,
        };
        let Some(run) = self.run(&candidate, &Actor::Nobody).filter(|_| without_end) else { return };
        let mut policies: Vec<String> = Vec::new();
        for hop in &run.state.route {
            if !policies.contains(&hop.policy) {
                policies.push(hop.policy.clone());
            }
        }
        let message = "while nobody answers, the policies take over from each other without end";
        let path = format!("{}.approval.escalation", stage.place);
        let finding = Finding::new(Code::EscalationCycle, path, message).related(policies);
        findings.push(finding.shown_by(Witness::of(&candidate)));
    }

    /// Escalations that ask nobody new.
    fn escalations(&self, findings: &mut Vec<Finding>) {
        for stage in &self.sequence.stages {
            let Work::Approval(approval) = &stage.work else { continue };
            if stages::escalates_to_the_same(approval) {
                let path = format!("{}.approval.escalation", stage.place);
                let message = "everybody whom the escalation asks has been asked already";
                findings.push(Finding::new(Code::EscalationToSamePeople, path, message));
            }
        }
    }

    /// Requests that are granted without anybody's decision.
    fn decided_by_nobody(&self, findings: &mut Vec<Finding>) {
        let candidate = self.peopled();
        let Some(run) = self.run(&candidate, &Actor::Nobody).filter(Run::is_granted) else { return };
        let asks = self.sequence.stages.iter().any(|stage| matches!(stage.work, Work::Approval(_)));
        let message = if asks {
            "a request that comes here is granted although nobody answers"
        } else {
            "a request that comes here is granted without anybody being asked"
        };
        let finding = Finding::new(Code::GrantedAutomatically, self.path.clone(), message);
        findings.push(finding.shown_by(Witness::of_run(&candidate, &run)));
    }

    /// Whoever asks, or somebody else alone, gives every approval.
    fn decided_by_one(&self, findings: &mut Vec<Finding>) {
        let own = self.candidate.subject.user.id.clone();
        for person in self.roles.people(&own) {
            let mut candidate = self.candidate.clone();
            if person != own {
                if own != SUBJECT {
                    continue;
                }
                candidate.rename(person);
            }
            if let Some((candidate, run)) = self.alone(candidate, person) {
                let message =
                    format!("whoever a request is about can give every approval themselves: {}", ways(&run));
                let finding = Finding::new(Code::SelfApproval, self.path.clone(), message);
                findings.push(finding.related(places(&run)).shown_by(Witness::of_run(&candidate, &run)));
                return;
            }
        }
        for person in self.roles.people(ONE) {
            let Some((candidate, run)) = self.alone(self.candidate.clone(), person) else { continue };
            if run.approvals.len() > 1 {
                let message = format!("one person can give every approval: {}", ways(&run));
                let finding = Finding::new(Code::SingleApprover, self.path.clone(), message);
                findings.push(finding.related(places(&run)).shown_by(Witness::of_run(&candidate, &run)));
                return;
            }
        }
    }

    /// The run in which this person gives every approval that is given, and the request is granted.
    fn alone(&self, mut candidate: Candidate, person: &str) -> Option<(Candidate, Run)> {
        self.roles.cast(&mut candidate, &Cast::Only(person.to_owned()), None);
        let run = self.run(&candidate, &Actor::Only(person.to_owned()))?;
        let alone = run.approvers() == BTreeSet::from([person]);
        (run.is_granted() && alone).then_some((candidate, run))
    }
}

fn places(run: &Run) -> Vec<String> {
    run.approvals.iter().map(|(place, ..)| place.clone()).collect()
}

/// `policySteps.grant.steps[0] as managers, ...`.
fn ways(run: &Run) -> String {
    let each: Vec<String> =
        run.approvals.iter().map(|(place, _, source)| format!("{place} by way of {source}")).collect();
    each.join(", ")
}
