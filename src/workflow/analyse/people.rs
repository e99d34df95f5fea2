//! What can become of requests in the hands of people: hanging, going round, being decided by whoever asked. Everything here
//! was seen to happen in a run of the machine; what was not seen is not claimed.

use super::Witness;
use super::candidate::Candidate;
use super::drive::{Actor, Cast, Driver, Roles, Run};
use super::finding::{Code, Finding};
use super::paths;
use super::rules::Rules;
use super::solver::Lit;
use super::stages::{self, Longest};
use crate::workflow::run::{Ending, Outcome, StageState};
use crate::workflow::{
    Condition, Destination, EscalationTarget, Sequence, Stage, Until, Wait, Work, Workflow,
};

/// The most approvals of one policy that are tried with nobody there to ask, each in a run of its own.
const EMPTY_TRIED_MAX: usize = 64;
/// The most waits of one policy for which a request is looked for that does not meet what is waited for.
const UNMET_TRIED_MAX: usize = 16;

/// Tries what people can do in every sequence that a request can get to.
pub(super) fn analyse(
    workflow: &Workflow,
    rules: &mut Rules<'_>,
    driver: Driver<'_>,
    findings: &mut Vec<Finding>,
) {
    let (mut tried, mut unmet, mut runs) = (0, 0, 0);
    for key in rules.reached() {
        let Some(sequence) = workflow.sequences.get(key) else { continue };
        let before = findings.len();
        stages::analyse(sequence, findings);
        let path = super::sequence_path(workflow, key);
        let Some(candidate) = leading_to(workflow, rules, key, &[]) else {
            let message = "no request was found that comes here, so that nothing could be tried";
            findings.push(Finding::new(Code::CannotTell, path, message));
            continue;
        };
        let one = One { key, path, sequence, candidate, roles: Roles::of(&sequence.stages), driver };
        one.show_waits(workflow, rules, &mut unmet, findings.get_mut(before..).unwrap_or_default());
        one.time(findings);
        one.blocks(&mut tried, findings);
        one.goes_round(findings);
        one.escalations(findings);
        one.decided_by_nobody(findings);
        paths::analyse(&one, &mut runs, findings);
    }
}

/// A request that comes to the sequence, and for which these hold, too.
fn leading_to(workflow: &Workflow, rules: &mut Rules<'_>, key: &str, also: &[Lit]) -> Option<Candidate> {
    let leads = |to: &Destination| matches!(to, Destination::Sequence(to) if to == key);
    let routes: Vec<usize> =
        workflow.routes.iter().enumerate().filter(|(_, route)| leads(&route.to)).map(|(n, _)| n).collect();
    let through = routes.into_iter().filter(|n| rules.alive.get(*n) == Some(&true)).collect::<Vec<_>>();
    for route in through {
        if let Some(candidate) = rules.leading_to(Some(route), also) {
            return Some(candidate);
        }
    }
    if leads(&workflow.baseline) && rules.falls_through { rules.leading_to(None, also) } else { None }
}

/// One sequence, with a request that comes to it.
pub(super) struct One<'a> {
    key: &'a str,
    pub path: String,
    pub sequence: &'a Sequence,
    pub candidate: Candidate,
    pub roles: Roles,
    driver: Driver<'a>,
}

impl One<'_> {
    /// The candidate with people in it, still going to this sequence when somebody acts.
    pub fn run(&self, candidate: &Candidate, actor: &Actor) -> Option<Run> {
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
                let waits = matches!(ending, Ending::WaitsForEver { .. } | Ending::Repeats { .. });
                let alone =
                    self.run(&peopled, &Actor::Nobody).filter(|_| waits).map(|_| Witness::of(&peopled));
                findings.push(match alone.or_else(|| self.waits_at(&peopled, &places)) {
                    Some(witness) => {
                        let message =
                            "there is no longest time to a decision: while nobody acts, the request waits for ever";
                        let finding = Finding::new(Code::DecisionUnbounded, self.path.clone(), message);
                        finding.related(places).shown_by(witness)
                    }
                    None => {
                        let message = "whether there is a longest time to a decision could not be told";
                        Finding::new(Code::CannotTell, self.path.clone(), message).related(places)
                    }
                });
            }
        }
    }

    /// That a request which is let pass until one of these stages stays there, once nobody acts any more.
    fn waits_at(&self, peopled: &Candidate, places: &[String]) -> Option<Witness> {
        places.iter().find_map(|place| {
            let run = self.run(peopled, &Actor::EverybodyBefore(place.clone()))?;
            let stays =
                run.state.current().is_some_and(|stage| stage.place == *place) && run.state.due().is_none();
            stays.then(|| Witness::of_run(peopled, &run))
        })
    }

    /// Adds the requests that are seen to wait to findings about waits. What is waited for may hold for the request that there is;
    /// then another one is looked for.
    fn show_waits(
        &self,
        workflow: &Workflow,
        rules: &Rules<'_>,
        unmet: &mut usize,
        findings: &mut [Finding],
    ) {
        for finding in findings {
            if !matches!(finding.code, Code::WaitWithoutTimeout | Code::WaitNeverEnds) {
                continue;
            }
            let place = finding.path.trim_end_matches(".wait.condition").to_owned();
            let mut witness = self.waiting(&place, self.candidate.clone());
            if witness.is_none() && *unmet < UNMET_TRIED_MAX {
                *unmet += 1;
                let other = self.waited_for(&place).and_then(|condition| {
                    let (mut rules, unmet) = rules.unmet(condition, self.driver.stop)?;
                    leading_to(workflow, &mut rules, self.key, &[unmet])
                });
                witness = other.and_then(|other| self.waiting(&place, other));
            }
            finding.witness = witness.map(Box::new);
        }
    }

    /// That the candidate's request is seen to wait at a place.
    fn waiting(&self, place: &str, mut candidate: Candidate) -> Option<Witness> {
        self.roles.cast(&mut candidate, &Cast::Everybody, None);
        let run = self.run(&candidate, &Actor::EverybodyBefore(place.to_owned()))?;
        let last = run.state.stages.last()?;
        let is_there = last.place == place && last.state != StageState::Passed;
        is_there.then(|| Witness::of_run(&candidate, &run))
    }

    /// The condition that is waited for at a place.
    fn waited_for(&self, place: &str) -> Option<&Condition> {
        let stage = self.sequence.stages.iter().find(|stage| stage.place == place)?;
        match &stage.work {
            Work::Wait(Wait { until: Until::Condition { condition, .. }, .. }) => Some(condition),
            _ => None,
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
                let finding = Finding::new(Code::EscalationToSamePeople, path, message);
                let candidate = self.peopled();
                let escalated = |run: &Run| {
                    let last = run.state.current();
                    last.is_some_and(|last| {
                        last.place == stage.place && last.escalates.as_ref().is_some_and(|one| one.done)
                    })
                };
                let run =
                    self.run(&candidate, &Actor::EverybodyBefore(stage.place.clone())).filter(escalated);
                findings.push(match run {
                    Some(run) => finding.shown_by(Witness::of_run(&candidate, &run)),
                    None => finding,
                });
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
}
