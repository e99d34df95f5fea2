//! Whether what an operator states holds for every request: proved over everything that can become of one, or refuted by a
//! request for which it was seen not to hold.

use super::Witness;
use super::candidate::Candidate;
use super::drive::{Actor, Cast, Driver, Roles, Run};
use super::finding::{Code, Finding};
use super::outcomes;
use super::rules::Rules;
use super::solver::{Answer, Lit};
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

/// One thing to be proved: a request that goes this way and ends like this keeps the invariant.
struct Claim {
    invariant: usize,
    /// The rule; `None` for the baseline.
    route: Option<usize>,
    formula: Formula,
}

/// Everything that is to be proved, before anything is asked.
pub(super) struct Claims {
    claims: Vec<Claim>,
    /// For each invariant: whether what can become of a request is known well enough.
    complete: bool,
}

/// The most claims about one policy.
const CLAIMS_MAX: usize = 4096;

impl Claims {
    /// What must be proved for each invariant.
    pub fn of(workflow: &Workflow, driver: Driver<'_>, invariants: &[Invariant]) -> Claims {
        let mut claims = Claims { claims: Vec::new(), complete: true };
        if invariants.is_empty() {
            return claims;
        }
        let formulas: Vec<Formula> = invariants.iter().map(|one| one.program.formula()).collect();
        let routes = workflow.routes.iter().enumerate().map(|(n, route)| (Some(n), &route.to));
        for (route, to) in routes.chain([(None, &workflow.baseline)]) {
            let possible = outcomes::of(driver.policies, to);
            for (invariant, formula) in formulas.iter().enumerate() {
                for outcome in &possible {
                    if claims.claims.len() >= CLAIMS_MAX {
                        claims.complete = false;
                        return claims;
                    }
                    let formula = outcomes::substitute(formula, outcome);
                    claims.claims.push(Claim { invariant, route, formula });
                }
            }
        }
        claims
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
        for (n, invariant) in invariants.iter().enumerate() {
            let mut open = Vec::new();
            for (claim, pair) in self.claims.iter().zip(pairs).filter(|(claim, _)| claim.invariant == n) {
                if !rules.may_decide(claim.route) {
                    continue;
                }
                let mut all = rules.deciding(claim.route);
                all.push(!pair.yes);
                if rules.theory.ask(&all) != Answer::Never {
                    open.push((claim, all));
                }
            }
            findings.push(if open.is_empty() && self.complete {
                let message = format!("the invariant {} holds for every request", invariant.name);
                Finding::new(Code::InvariantProved, "", message)
            } else {
                refute(workflow, invariant, rules, driver, &open)
            });
            if let Some(finding) = findings.last_mut() {
                finding.invariant.clone_from(&invariant.name);
            }
        }
    }
}

/// A request that breaks the invariant, or the admission that none was found.
fn refute(
    workflow: &Workflow,
    invariant: &Invariant,
    rules: &mut Rules<'_>,
    driver: Driver<'_>,
    open: &[(&Claim, Vec<Lit>)],
) -> Finding {
    let mut tried: Vec<Option<usize>> = Vec::new();
    for (claim, all) in open {
        if tried.iter().filter(|route| **route == claim.route).count() > 4 {
            continue;
        }
        tried.push(claim.route);
        let to = match claim.route {
            Some(route) => workflow.routes.get(route).map(|route| &route.to),
            None => Some(&workflow.baseline),
        };
        let Some(to) = to else { continue };
        let mut found = None;
        let seen = std::cell::RefCell::new(None);
        let candidate = rules.candidate(all, |_, candidate| {
            *seen.borrow_mut() = breaks(invariant, driver, to, candidate);
            seen.borrow().is_some()
        });
        if candidate.is_some() {
            found = seen.into_inner();
        }
        if let Some((candidate, run)) = found {
            let message = format!("the invariant {} does not hold for some requests", invariant.name);
            let path = run.state.stages.first().map(|stage| stage.place.clone()).unwrap_or_default();
            let finding = Finding::new(Code::InvariantRefuted, "", message).related(if path.is_empty() {
                Vec::new()
            } else {
                vec![path]
            });
            return finding.shown_by(Witness::of_run(&candidate, &run));
        }
    }
    let message = format!(
        "the invariant {} was neither proved nor seen to be broken: it rests on what the analysis does not understand",
        invariant.name
    );
    Finding::new(Code::CannotTell, "", message)
}

/// The run in which the candidate's request breaks the invariant, whoever acts.
fn breaks(
    invariant: &Invariant,
    driver: Driver<'_>,
    to: &Destination,
    candidate: &Candidate,
) -> Option<(Candidate, Run)> {
    let roles = match to {
        Destination::Sequence(key) => {
            let first = driver.policies.by_id.get(&driver.policies.first)?;
            Roles::of(&first.workflow.sequences.get(key)?.stages)
        }
        _ => Roles::all(driver.policies),
    };
    let own = candidate.subject.user.id.clone();
    let mut casts = vec![
        (Cast::Everybody, Actor::Everybody),
        (Cast::Everybody, Actor::Nobody),
        (Cast::Everybody, Actor::Denies),
    ];
    for person in roles.people("approver").chain([own.as_str()]) {
        casts.push((Cast::only(person), Actor::Only(person.to_owned())));
    }
    for (cast, actor) in casts {
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
