//! What a policy does for every request, found without running it on any.
//!
//! In reading order: `solver` decides propositions; `theory` says what the tests of conditions have to do with each other;
//! `rules` asks which rules decide anything, `chains` where those of other policies lead on; `candidate` makes a request and a
//! directory of what the solver found; `people`, with `blocks` and `paths`, tries what can become of it. What a finding claims of
//! some request is tried on that request before anybody hears of it; what it claims of all requests is claimed only if the solver
//! has proved it. Where neither can be had, nothing is claimed.
//!
//! Pure: no clock, no randomness, no I/O. Every search has a budget in steps, so that the same policy has the same findings
//! on every machine.

mod appeals;
mod blocks;
mod candidate;
mod chains;
mod drive;
mod finding;
mod invariants;
mod outcomes;
mod paths;
mod people;
mod relation;
mod rules;
mod solver;
mod stages;
mod theory;

pub(super) use appeals::constant;
pub use finding::{Code, Finding, Severity};
pub use invariants::Invariant;
pub use relation::{Conditions, Exists, Relation, Ways};
pub use solver::Stop;

use super::Workflow;
use super::run::{Happening, Policies};
use super::world::{Directory, Request};
use candidate::Candidate;
use chains::Chains;
use chrono::{DateTime, TimeDelta, Utc};
use drive::Driver;
use invariants::Claims;
use rules::Rules;
use theory::Theory;

/// How many guesses are tried before a request is given up.
const TRIES_MAX: usize = 4;

/// The request, the directory and the time for which something happens.
#[derive(Clone, Debug)]
pub struct Witness {
    pub request: Request,
    pub directory: Directory,
    pub at: DateTime<Utc>,
    /// What happens then, each so long after the one before.
    pub happenings: Vec<(TimeDelta, Happening)>,
}

impl Witness {
    fn of(candidate: &Candidate) -> Witness {
        Witness {
            request: candidate.request.clone(),
            directory: candidate.directory(),
            at: candidate.at,
            happenings: Vec::new(),
        }
    }
}

/// Everything that can be said about the first of these policies; the others are those that it leads to.
#[must_use]
pub fn analyse(policies: &Policies, invariants: &[Invariant]) -> Vec<Finding> {
    analyse_until(policies, invariants, &Stop::default())
}

/// As [`analyse`], for as long as somebody wants to know: once they do not, it ends soon and says nothing.
#[must_use]
pub fn analyse_until(policies: &Policies, invariants: &[Invariant], stop: &Stop) -> Vec<Finding> {
    let findings = all_findings(policies, invariants, stop);
    // What was cut off in the middle may be wrong of what came after.
    if stop.is_set() { Vec::new() } else { findings }
}

fn all_findings(policies: &Policies, invariants: &[Invariant], stop: &Stop) -> Vec<Finding> {
    let Some(first) = policies.by_id.get(&policies.first) else { return Vec::new() };
    let workflow: &Workflow = &first.workflow;
    let mut findings = Vec::new();
    let driver = Driver { policies, stop };
    let claims = Claims::of(workflow, driver, invariants);
    let mut chains = Chains::of(policies);
    let mut formulas = rules::formulas(workflow);
    formulas.extend(claims.formulas());
    let own = formulas.len();
    formulas.extend(chains.formulas());
    // Where the policies that are led to are too much to reason about, this one need not be.
    let theory = Theory::of(&formulas, stop).or_else(|| Theory::of(formulas.get(..own)?, stop));
    match theory {
        Some((theory, mut pairs)) => {
            chains.set_pairs(pairs.split_off(own.min(pairs.len())));
            let of_claims = pairs.split_off(workflow.routes.len());
            let mut rules = Rules::analyse(workflow, theory, pairs, &mut findings);
            rules.overlaps(&mut findings);
            let led = chains.led(workflow, &mut rules);
            people::analyse(workflow, led, &mut rules, driver, &mut findings);
            claims.decide(workflow, invariants, &mut rules, &of_claims, driver, &mut findings);
        }
        None => {
            let message = "the conditions are too many and too long to reason about";
            findings.push(Finding::new(Code::CannotTell, "rules", message));
        }
    }
    findings
}

/// Everything that can be said about a policy of Guardian's.
#[must_use]
pub fn analyse_appeals(workflow: &Workflow) -> Vec<Finding> {
    let mut findings = Vec::new();
    appeals::analyse(workflow, &mut findings);
    findings
}

/// The field path of a sequence, which is that of its first stage without what is below it.
pub(super) fn sequence_path(workflow: &Workflow, key: &str) -> String {
    let stages = workflow.sequences.get(key).map(|sequence| sequence.stages.as_slice());
    let place = stages.and_then(|stages| stages.first()).map(|stage| stage.place.as_str());
    let place = place.and_then(|place| place.rsplit_once(".steps[")).map(|(sequence, _)| sequence);
    place.map_or_else(|| format!("policySteps.{key}"), str::to_owned)
}
