//! Whether what an operator states holds for every request: proved over everything that can become of one, or refuted by a
//! request for which it was seen not to hold.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::Witness;
use super::candidate::Candidate;
use super::drive::{Actor, Cast, Driver, Roles, Run};
use super::finding::{Code, Finding};
use super::outcomes::{self, Possible};
use super::rules::Rules;
use super::solver::Answer;
use super::theory::Pair;
use crate::expr::{Evaluation, Formula, Program};
use crate::workflow::{Destination, Workflow};

/// Something that must be true of every request and of what became of it.
#[derive(Clone, Debug)]
pub struct Invariant {
    pub name: String,
    /// Of the environment for invariants.
    pub program: Program,
}

/// One thing to be proved: a request that goes one of these ways and ends like this keeps the invariant.
struct Claim {
    invariant: usize,
    /// Which of the groups of ways.
    ways: usize,
    formula: Formula,
}

/// Everything that is to be proved, before anything is asked.
pub(super) struct Claims {
    claims: Vec<Claim>,
    /// Ways of which the same can become: rules, and `None` for the baseline.
    ways: Vec<Vec<Option<usize>>>,
    /// For each invariant: whether what can become of a request is known well enough.
    complete: Vec<bool>,
}

/// The most claims about one policy; each invariant has an equal part of them.
const CLAIMS_MAX: usize = 4096;
/// The most rules whose requests are tried to break one invariant, with what is left to prove in mind and without.
const WAYS_TRIED_MAX: usize = 24;
/// The most runs in which one invariant is tried to be broken, and all of one policy.
const RUNS_MAX: usize = 256;
const RUNS_OF_POLICY_MAX: usize = 1024;

impl Claims {
    /// What must be proved for each invariant.
    pub fn of(workflow: &Workflow, driver: Driver<'_>, invariants: &[Invariant]) -> Claims {
        let complete = vec![true; invariants.len()];
        let mut claims = Claims { claims: Vec::new(), ways: Vec::new(), complete };
        if invariants.is_empty() {
            return claims;
        }
        let possible = claims.group(workflow, driver);
        let most = CLAIMS_MAX / invariants.len().max(1);
        for (n, (invariant, complete)) in invariants.iter().zip(&mut claims.complete).enumerate() {
            let formula = invariant.program.formula();
            let mut made = 0;
            for (ways, possible) in possible.iter().enumerate() {
                let mut seen = BTreeSet::new();
                for outcome in possible {
                    let mut alike = Vec::new();
                    outcomes::seen(&formula, outcome, &mut alike);
                    if !seen.insert(alike) {
                        continue;
                    }
                    match outcomes::substitute(&formula, outcome) {
                        // Nothing is left to prove.
                        Formula::Known(true) => {}
                        _ if made >= most => *complete = false,
                        formula => {
                            made += 1;
                            claims.claims.push(Claim { invariant: n, ways, formula });
                        }
                    }
                }
            }
        }
        claims
    }

    /// Puts ways together of which the same can become; what can, for each group.
    fn group(&mut self, workflow: &Workflow, driver: Driver<'_>) -> Vec<Vec<Possible>> {
        let mut known: Vec<(&Destination, usize)> = Vec::new();
        let mut groups: Vec<Vec<Possible>> = Vec::new();
        let routes = workflow.routes.iter().enumerate().map(|(n, route)| (Some(n), &route.to));
        for (route, to) in routes.chain([(None, &workflow.baseline)]) {
            let group = known.iter().find(|(one, _)| *one == to).map(|(_, group)| *group);
            let group = group.unwrap_or_else(|| {
                let possible = outcomes::of(driver.policies, to);
                let group = groups.iter().position(|one| *one == possible).unwrap_or_else(|| {
                    groups.push(possible);
                    self.ways.push(Vec::new());
                    groups.len() - 1
                });
                known.push((to, group));
                group
            });
            if let Some(ways) = self.ways.get_mut(group) {
                ways.push(route);
            }
        }
        groups
    }

    /// The formulas, in the order of the claims.
    pub fn formulas(&self) -> impl Iterator<Item = Formula> {
        self.claims.iter().map(|claim| claim.formula.clone())
    }

    /// Says of each invariant what became of it. `pairs` are those of the formulas.
    pub fn decide(
        &self,
        workflow: &Workflow,
        invariants: &[Invariant],
        rules: &mut Rules<'_>,
        pairs: &[Pair],
        driver: Driver<'_>,
        findings: &mut Vec<Finding>,
    ) {
        // That a request goes one of the ways of a group.
        let mut goes = Vec::new();
        for ways in &self.ways {
            let mut each = Vec::new();
            for way in ways {
                if !rules.may_decide(*way) {
                    continue;
                }
                let all = rules.deciding(*way);
                each.push(rules.theory.solver.all(&all));
            }
            goes.push((!each.is_empty()).then(|| rules.theory.solver.any(&each)));
        }
        let mut left = RUNS_OF_POLICY_MAX;
        for (n, (invariant, complete)) in invariants.iter().zip(&self.complete).enumerate() {
            let mut open = Vec::new();
            for (claim, pair) in self.claims.iter().zip(pairs).filter(|(claim, _)| claim.invariant == n) {
                let Some(goes) = goes.get(claim.ways).copied().flatten() else { continue };
                if rules.theory.ask(&[goes, !pair.yes]) != Answer::Never {
                    open.push((claim, *pair));
                }
            }
            findings.push(if open.is_empty() && *complete {
                let message = format!("the invariant {} holds for every request", invariant.name);
                Finding::new(Code::InvariantProved, "", message)
            } else {
                let runs = Cell::new(RUNS_MAX.min(left));
                let given = runs.get();
                let finding = self.refute(workflow, invariant, rules, driver, &open, &runs);
                left -= given - runs.get();
                finding
            });
            if let Some(finding) = findings.last_mut() {
                finding.invariant.clone_from(&invariant.name);
            }
        }
    }

    /// A request that breaks the invariant, or the admission that none was found.
    fn refute(
        &self,
        workflow: &Workflow,
        invariant: &Invariant,
        rules: &mut Rules<'_>,
        driver: Driver<'_>,
        open: &[(&Claim, Pair)],
        runs: &Cell<usize>,
    ) -> Finding {
        // What could not be proved first, and then whatever goes any way: what is not known need not be hard to see.
        let mut tried = Vec::new();
        for (claim, pair) in open {
            for way in self.ways.get(claim.ways).into_iter().flatten() {
                tried.push((*way, Some(!pair.yes)));
            }
        }
        tried.truncate(WAYS_TRIED_MAX);
        let any = self.ways.iter().flatten().take(WAYS_TRIED_MAX);
        tried.extend(any.map(|way| (*way, None)));
        for (way, breaking) in tried {
            if runs.get() == 0 {
                break;
            }
            let to = match way {
                Some(route) => workflow.routes.get(route).map(|route| &route.to),
                None => Some(&workflow.baseline),
            };
            let Some(to) = to.filter(|_| rules.may_decide(way)) else { continue };
            let mut all = rules.deciding(way);
            all.extend(breaking);
            let seen = std::cell::RefCell::new(None);
            let candidate = rules.candidate(&all, |_, candidate| {
                *seen.borrow_mut() = breaks(invariant, driver, to, candidate, runs);
                seen.borrow().is_some()
            });
            if let Some((candidate, run)) = candidate.and_then(|_| seen.into_inner()) {
                let message = format!("the invariant {} does not hold for some requests", invariant.name);
                let path = run.state.stages.first().map(|stage| stage.place.clone()).unwrap_or_default();
                let related = if path.is_empty() { Vec::new() } else { vec![path] };
                let finding = Finding::new(Code::InvariantRefuted, "", message).related(related);
                return finding.shown_by(Witness::of_run(&candidate, &run));
            }
        }
        let message = format!(
            "the invariant {} was neither proved nor seen to be broken: it rests on what the analysis does not understand",
            invariant.name
        );
        Finding::new(Code::CannotTell, "", message)
    }
}

/// The run in which the candidate's request breaks the invariant, whoever acts.
fn breaks(
    invariant: &Invariant,
    driver: Driver<'_>,
    to: &Destination,
    candidate: &Candidate,
    runs: &Cell<usize>,
) -> Option<(Candidate, Run)> {
    let roles = match to {
        Destination::Sequence(key) => {
            let first = driver.policies.by_id.get(&driver.policies.first)?;
            Roles::from(driver.policies, first.workflow.sequences.get(key)?)
        }
        _ => Roles::all(driver.policies),
    };
    let own = candidate.subject.user.id.clone();
    let mut casts = vec![
        (Cast::Everybody, Actor::Everybody),
        (Cast::Everybody, Actor::Nobody),
        (Cast::Everybody, Actor::Denies),
        (Cast::Everybody, Actor::Fallible),
    ];
    for person in roles.people("approver").chain([own.as_str()]) {
        casts.push((Cast::only(person), Actor::Only(person.to_owned())));
    }
    for (cast, actor) in casts {
        runs.set(runs.get().checked_sub(1)?);
        let mut candidate = candidate.clone();
        roles.cast(&mut candidate, &cast, None);
        let run = driver.run(&candidate, &actor);
        let outcome = driver.outcome(&candidate, &run);
        let directory = candidate.directory();
        let facts = candidate.request.facts(&directory, candidate.at);
        let Ok(evaluation) = Evaluation::new(&facts, &directory, candidate.at) else { continue };
        if invariant.program.is_met(&evaluation.with_outcome(outcome)) == Ok(false) {
            return Some((candidate, run));
        }
    }
    None
}
