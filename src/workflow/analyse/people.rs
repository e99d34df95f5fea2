//! What can become of requests in the hands of people: hanging, going round, being decided by whoever asked. Everything here
//! was seen to happen in a run of the machine; what was not seen is not claimed.

use std::collections::BTreeSet;

use super::Witness;
use super::blocks;
use super::candidate::Candidate;
use super::chains::Led;
use super::drive::{Actor, Cast, Driver, Roles, Run, Spot, escalates_to_policy};
use super::finding::{Code, Finding};
use super::paths;
use super::rules::Rules;
use super::solver::Lit;
use super::stages::{self, Longest};
use crate::workflow::run::{Ending, Outcome, StageState, State};
use crate::workflow::{
    Approval, Condition, Destination, EscalationTarget, Sequence, Stage, Until, Wait, Work, Workflow,
};

/// The most escalations to other policies of one policy that are followed round.
const ROUNDS_MAX: usize = 64;
/// The most escalations of one policy whose people are compared.
const COMPARED_MAX: usize = 128;
/// The most waits of one policy for which a request is looked for that does not meet what is waited for.
const UNMET_TRIED_MAX: usize = 16;

/// What has been tried so far with one policy and those that it leads to.
#[derive(Default)]
pub(super) struct Spent {
    /// Runs with nobody there to decide.
    pub blocks: usize,
    rounds: usize,
    compared: usize,
    unmet: usize,
    pub paths: usize,
}

/// Tries what people can do in every sequence that a request can get to, also in those of other policies.
pub(super) fn analyse(
    workflow: &Workflow,
    led: Vec<Led<'_>>,
    rules: &mut Rules<'_>,
    driver: Driver<'_>,
    findings: &mut Vec<Finding>,
) {
    let mut spent = Spent::default();
    let first = driver.policies.first.as_str();
    for key in rules.reached() {
        let Some(sequence) = workflow.sequences.get(key) else { continue };
        let path = super::sequence_path(workflow, key);
        let candidate = leading_to(workflow, rules, key, &[]);
        let rules = &*rules;
        let unmet = |condition: &Condition| {
            let (mut rules, unmet) = rules.unmet(condition, driver.stop)?;
            leading_to(workflow, &mut rules, key, &[unmet])
        };
        analyse_one(sequence, path, (first, key), (candidate, &unmet), driver, &mut spent, findings);
    }
    for led in led.into_iter().filter(|led| led.policy != first) {
        let Some(sequence) = led.workflow.sequences.get(led.key) else { continue };
        let path = super::sequence_path(led.workflow, led.key);
        let mut own = Vec::new();
        let requests: (_, Unmet<'_>) = (led.candidate, &|_| None);
        analyse_one(sequence, path, (led.policy, led.key), requests, driver, &mut spent, &mut own);
        // What is wrong with the other policy whoever leads there is said of that one.
        own.retain(|finding| finding.code != Code::StepUnreached);
        findings.extend(own.into_iter().map(|finding| finding.at_reference(&led.by, led.policy)));
    }
}

/// Another request that comes to a sequence and does not meet a condition, if one can be found.
type Unmet<'a> = &'a dyn Fn(&Condition) -> Option<Candidate>;

fn analyse_one(
    sequence: &Sequence,
    path: String,
    (policy, key): (&str, &str),
    (candidate, unmet): (Option<Candidate>, Unmet<'_>),
    driver: Driver<'_>,
    spent: &mut Spent,
    findings: &mut Vec<Finding>,
) {
    let before = findings.len();
    stages::analyse(sequence, findings);
    let Some(candidate) = candidate else {
        let message = "no request was found that comes here, so that nothing could be tried";
        findings.push(Finding::new(Code::CannotTell, path, message));
        return;
    };
    let roles = Roles::from(driver.policies, sequence);
    let one = One { policy, key, path, sequence, candidate, roles, driver };
    one.show_waits(unmet, spent, findings.get_mut(before..).unwrap_or_default());
    one.time(findings);
    blocks::analyse(&one, &mut spent.blocks, findings);
    one.goes_round(&mut spent.rounds, findings);
    one.escalations(&mut spent.compared, findings);
    one.decided_by_nobody(findings);
    paths::analyse(&one, &mut spent.paths, findings);
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
    /// The policy that has the sequence.
    policy: &'a str,
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
        self.run_until(candidate, actor, |_| false)
    }

    /// The same, until the task is as it is waited for.
    fn run_until(&self, candidate: &Candidate, actor: &Actor, until: impl Fn(&State) -> bool) -> Option<Run> {
        let run = self.driver.run_until(candidate, actor, until);
        let came_to = run.state.route.iter().find(|hop| !hop.sequence.is_empty());
        let comes_here = came_to.is_some_and(|hop| hop.policy == self.policy && hop.sequence == self.key);
        comes_here.then_some(run)
    }

    /// A step of the sequence.
    pub fn spot(&self, place: &str) -> Spot {
        Spot { policy: self.policy.to_owned(), place: place.to_owned() }
    }

    fn before(&self, place: &str) -> Actor {
        Actor::EverybodyBefore(self.spot(place), None)
    }

    fn peopled(&self) -> Candidate {
        let mut candidate = self.candidate.clone();
        self.roles.cast(&mut candidate, &Cast::Everybody, None);
        candidate
    }

    /// The longest time to a decision.
    fn time(&self, findings: &mut Vec<Finding>) {
        match stages::longest(self.driver.policies, self.policy, self.sequence) {
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
                let (ending, ..) = self.driver.idle(&peopled, &[]);
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
            let run = self.run(peopled, &self.before(place))?;
            let is_there = run.state.current().is_some_and(|stage| self.spot(place).is(stage));
            let stays = is_there && run.state.due().is_none();
            stays.then(|| Witness::of_run(peopled, &run))
        })
    }

    /// Adds the requests that are seen to wait to findings about waits. What is waited for may hold for the request that there is;
    /// then another one is looked for.
    fn show_waits(&self, unmet: Unmet<'_>, spent: &mut Spent, findings: &mut [Finding]) {
        for finding in findings {
            if !matches!(finding.code, Code::WaitWithoutTimeout | Code::WaitNeverEnds) {
                continue;
            }
            let place = finding.path.trim_end_matches(".wait.condition").to_owned();
            let mut witness = self.waiting(&place, self.peopled());
            if witness.is_none() && spent.unmet < UNMET_TRIED_MAX {
                spent.unmet += 1;
                let other = self.waited_for(&place).and_then(unmet);
                witness = other.and_then(|mut other| {
                    self.roles.cast(&mut other, &Cast::Everybody, None);
                    self.waiting(&place, other)
                });
            }
            finding.witness = witness.map(Box::new);
        }
    }

    /// That the candidate's request is seen to wait at a place.
    fn waiting(&self, place: &str, candidate: Candidate) -> Option<Witness> {
        let run = self.run(&candidate, &self.before(place))?;
        let last = run.state.stages.last()?;
        let is_there = self.spot(place).is(last) && last.state != StageState::Passed;
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

    /// Policies that escalate to each other without end.
    fn goes_round(&self, rounds: &mut usize, findings: &mut Vec<Finding>) {
        let candidate = self.peopled();
        for stage in &self.sequence.stages {
            let Work::Approval(approval) = &stage.work else { continue };
            if !escalates_to_policy(approval) || *rounds >= ROUNDS_MAX {
                continue;
            }
            *rounds += 1;
            let spot = self.spot(&stage.place);
            let found =
                self.repeats(&candidate, &spot).or_else(|| self.taken_over_for_ever(&candidate, spot));
            let Some((run, message)) = found else { continue };
            let mut policies: Vec<String> = Vec::new();
            for hop in &run.state.route {
                if !policies.contains(&hop.policy) {
                    policies.push(hop.policy.clone());
                }
            }
            let path = format!("{}.approval.escalation", stage.place);
            let finding = Finding::new(Code::EscalationCycle, path, message).related(policies);
            findings.push(finding.shown_by(Witness::of_run(&candidate, &run)));
        }
    }

    /// That policies take over from each other without end once nobody acts any more, from this step on.
    fn repeats(&self, candidate: &Candidate, spot: &Spot) -> Option<(Run, &'static str)> {
        let actor = Actor::EverybodyBefore(spot.clone(), None);
        let is_there = |state: &State| state.current().is_some_and(|stage| spot.is(stage));
        let mut run = self.run_until(candidate, &actor, is_there)?;
        if !is_there(&run.state) {
            return None;
        }
        let (ending, outcome, _) = self.driver.idle(candidate, &run.happenings);
        let without_end = match ending {
            Ending::Repeats { .. } | Ending::NotFollowed { .. } => true,
            Ending::WaitsForEver { .. } => is_taken_over_for_ever(&outcome),
            Ending::Ends { .. } => false,
        };
        // Which policies these are shows once it has gone round.
        let further = self.run(candidate, &Actor::Nobody).filter(|_| run.happenings.is_empty());
        let further = further.or_else(|| self.run(candidate, &actor)).filter(|_| without_end)?;
        run.state.route = further.state.route;
        Some((run, "while nobody answers, the policies take over from each other without end"))
    }

    /// That policies take over from each other without end while nobody answers where one may, and elsewhere people approve.
    fn taken_over_for_ever(&self, candidate: &Candidate, spot: Spot) -> Option<(Run, &'static str)> {
        let run = self.run(candidate, &Actor::Round(spot))?;
        let without_end = is_taken_over_for_ever(&run.state.outcome());
        let message = "while nobody answers where another policy then takes over, and whoever is asked elsewhere approves, \
                       the policies take over from each other without end";
        without_end.then_some((run, message))
    }

    /// Escalations that ask nobody new.
    fn escalations(&self, compared: &mut usize, findings: &mut Vec<Finding>) {
        for stage in &self.sequence.stages {
            let Work::Approval(approval) = &stage.work else { continue };
            let escalates = approval.escalation.as_ref().map(|escalation| &escalation.to);
            if !matches!(escalates, Some(EscalationTarget::Reassign(_) | EscalationTarget::ReplacePolicy(_)))
            {
                continue;
            }
            let always = "everybody whom the escalation asks has been asked already";
            let without = "where the sources before the fallback give nobody, everybody whom the escalation asks has \
                           been asked already";
            *compared += 1;
            let casts = [(None, always), (Some(&**approval), without)].into_iter();
            let mut tried = casts.filter(|_| *compared <= COMPARED_MAX);
            let shown = tried.find_map(|(but, message)| Some((self.asks_the_same(stage, but)?, message)));
            let path = format!("{}.approval.escalation", stage.place);
            match shown {
                Some((witness, message)) => {
                    findings
                        .push(Finding::new(Code::EscalationToSamePeople, path, message).shown_by(witness));
                }
                None if stages::escalates_to_the_same(approval) => {
                    findings.push(Finding::new(Code::EscalationToSamePeople, path, always));
                }
                None => {}
            }
        }
    }

    /// That whoever is asked once this stage has escalated was asked before, with nobody in the roles that `but` asks.
    fn asks_the_same(&self, stage: &Stage, but: Option<&Approval>) -> Option<Witness> {
        let mut candidate = self.candidate.clone();
        self.roles.cast(&mut candidate, &Cast::Everybody, but);
        let (spot, actor) = (self.spot(&stage.place), self.before(&stage.place));
        let asks = |state: &State| {
            let record = state.current().filter(|record| !record.asked.is_empty())?;
            Some(record.asked.iter().map(|one| one.user.clone()).collect::<BTreeSet<_>>())
        };
        let is_there = |state: &State| state.current().is_some_and(|record| spot.is(record));
        let before = self.run_until(&candidate, &actor, is_there).filter(|run| is_there(&run.state))?;
        let before = asks(&before.state)?;
        let escalated = |state: &State| {
            let mut records = state.stages.iter().filter(|record| spot.is(record));
            records.any(|record| record.escalates.as_ref().is_some_and(|one| one.done))
        };
        let run = self.run_until(&candidate, &actor, escalated).filter(|run| escalated(&run.state))?;
        let after = asks(&run.state)?;
        after.is_subset(&before).then(|| Witness::of_run(&candidate, &run))
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

/// Whether so many policies took over that the machine goes no further.
fn is_taken_over_for_ever(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Blocked { why, .. } if why.contains("took over"))
}
