//! How conditions relate to each other: which of two is met by more requests, and whether two lists of rules lead every request
//! to the same place.
//!
//! What is said of all requests was proved by the solver; what is said of some was seen on one. A condition that fails is not
//! met, and the proofs reckon with that.

use std::collections::BTreeSet;

use super::candidate::Candidate;
use super::solver::{Answer, Lit, Stop};
use super::theory::{Pair, Theory};
use super::{TRIES_MAX, Witness};
use crate::expr::{Evaluation, Formula};
use crate::workflow::Condition;

/// What is known about whether there is such a request.
#[derive(Clone, Debug)]
pub enum Exists {
    /// There is none: proved.
    Never,
    /// This is one: seen.
    Seen(Box<Witness>),
    /// Neither was found.
    Unknown,
}

/// What a second condition is to a first.
#[derive(Clone, Debug)]
pub struct Relation {
    /// A request that meets the second and not the first.
    pub gained: Exists,
    /// A request that meets the first and not the second.
    pub lost: Exists,
}

/// Conditions that can be asked about. The default has none.
#[derive(Default)]
pub struct Conditions<'w> {
    conditions: Vec<&'w Condition>,
    /// `None` if they are too many and too long to reason about.
    decided: Option<(Theory, Vec<Pair>)>,
}

impl std::fmt::Debug for Conditions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conditions").field("conditions", &self.conditions).finish_non_exhaustive()
    }
}

/// One list of rules: which conditions, in order, and to which place each leads.
#[derive(Clone, Debug)]
pub struct Ways {
    /// Indices of conditions, each with a place.
    pub rules: Vec<(usize, usize)>,
    /// Where a request goes that meets none.
    pub otherwise: usize,
}

impl<'w> Conditions<'w> {
    /// Ready to be asked about, for as long as somebody wants to know; a condition is known by its place in the list from then on.
    #[must_use]
    pub fn of(conditions: Vec<&'w Condition>, stop: &Stop) -> Conditions<'w> {
        let formulas: Vec<Formula> = conditions.iter().map(|condition| formula(condition)).collect();
        Conditions { conditions, decided: Theory::of(&formulas, stop) }
    }

    /// How the condition `second` relates to `first`.
    pub fn relate(&mut self, first: usize, second: usize) -> Relation {
        Relation { gained: self.met_by(second, first), lost: self.met_by(first, second) }
    }

    /// Whether the same requests meet both: proved.
    pub fn same(&mut self, first: usize, second: usize) -> bool {
        let (Some(one), Some(other)) = (self.yes(first), self.yes(second)) else { return false };
        let Some((theory, _)) = &mut self.decided else { return false };
        [[one, !other], [other, !one]].iter().all(|both| theory.ask(both) == Answer::Never)
    }

    /// Whether the same requests do not meet both, without that they fail: proved. With [`Conditions::same`], both fail for the
    /// same requests, too.
    pub fn fail_alike(&mut self, first: usize, second: usize) -> bool {
        let Some((theory, pairs)) = &mut self.decided else { return false };
        let (Some(one), Some(other)) = (pairs.get(first), pairs.get(second)) else { return false };
        [[one.no, !other.no], [other.no, !one.no]].iter().all(|both| theory.ask(both) == Answer::Never)
    }

    /// That a condition is met.
    fn yes(&self, index: usize) -> Option<Lit> {
        let (_, pairs) = self.decided.as_ref()?;
        pairs.get(index).map(|pair| pair.yes)
    }

    /// Whether a request meets `yes` and not `no`.
    fn met_by(&mut self, yes: usize, no: usize) -> Exists {
        let (Some(own), Some(other)) = (self.yes(yes), self.yes(no)) else { return Exists::Unknown };
        let (Some(yes), Some(no)) = (self.conditions.get(yes), self.conditions.get(no)) else {
            return Exists::Unknown;
        };
        let Some((theory, _)) = &mut self.decided else { return Exists::Unknown };
        search(theory, &[own, !other], |evaluation| is_met(yes, evaluation) && !is_met(no, evaluation))
    }

    /// Whether some request is led to another place by `after` than by `before`.
    pub fn leads_elsewhere(&mut self, before: &Ways, after: &Ways) -> Exists {
        let Some((theory, pairs)) = &mut self.decided else { return Exists::Unknown };
        let conditions = &self.conditions;
        let places: BTreeSet<usize> = before.places().chain(after.places()).collect();
        let mut proved = true;
        for place in places {
            let there = before.leading_to(place, theory, pairs);
            let still = after.leading_to(place, theory, pairs);
            let elsewhere = search(theory, &[there, !still], |evaluation| {
                before.place_of(conditions, evaluation) != after.place_of(conditions, evaluation)
            });
            match elsewhere {
                Exists::Never => {}
                Exists::Seen(_) => return elsewhere,
                Exists::Unknown => proved = false,
            }
        }
        if proved { Exists::Never } else { Exists::Unknown }
    }
}

impl Ways {
    fn places(&self) -> impl Iterator<Item = usize> {
        self.rules.iter().map(|(_, place)| *place).chain([self.otherwise])
    }

    /// That a request is led to this place.
    fn leading_to(&self, place: usize, theory: &mut Theory, pairs: &[Pair]) -> Lit {
        let mut none_before = theory.solver.yes();
        let mut ways = Vec::new();
        for (condition, to) in &self.rules {
            let met = pairs.get(*condition).map_or_else(|| theory.solver.no(), |pair| pair.yes);
            if *to == place {
                ways.push(theory.solver.all(&[none_before, met]));
            }
            none_before = theory.solver.all(&[none_before, !met]);
        }
        if self.otherwise == place {
            ways.push(none_before);
        }
        theory.solver.any(&ways)
    }

    fn place_of(&self, conditions: &[&Condition], evaluation: &Evaluation<'_>) -> usize {
        let mut met = self.rules.iter().filter(|(condition, _)| {
            conditions.get(*condition).is_some_and(|condition| is_met(condition, evaluation))
        });
        met.next().map_or(self.otherwise, |(_, place)| *place)
    }
}

/// What the condition asks; one of Guardian's that does not compile fails.
pub(super) fn formula(condition: &Condition) -> Formula {
    match condition {
        Condition::Cel(program) => program.formula(),
        Condition::Guardian(expression) => {
            expression.program.as_ref().map_or(Formula::Fails, crate::expr::guardian::Program::formula)
        }
    }
}

fn is_met(condition: &Condition, evaluation: &Evaluation<'_>) -> bool {
    matches!(condition, Condition::Cel(program) if program.is_met(evaluation) == Ok(true))
}

/// A request for which all of these hold, that is as `confirm` says.
fn search(theory: &mut Theory, all: &[Lit], confirm: impl Fn(&Evaluation<'_>) -> bool) -> Exists {
    let mut assumed = all.to_vec();
    for _ in 0..TRIES_MAX {
        match theory.ask(&assumed) {
            // Later, what was assumed beside may be why.
            Answer::Never if assumed == all => return Exists::Never,
            Answer::Never | Answer::Unknown => return Exists::Unknown,
            Answer::Can => {}
        }
        let candidate = Candidate::from_model(theory);
        let guesses = theory.guesses();
        if confirmed(&candidate, &confirm) {
            return Exists::Seen(Box::new(Witness::of(&candidate)));
        }
        let Some(again) = theory.otherwise(&guesses) else { return Exists::Unknown };
        assumed.push(again);
    }
    Exists::Unknown
}

fn confirmed(candidate: &Candidate, confirm: impl Fn(&Evaluation<'_>) -> bool) -> bool {
    let directory = candidate.directory();
    let facts = candidate.request.facts(&directory, candidate.at);
    Evaluation::new(&facts, &directory, candidate.at).is_ok_and(|evaluation| confirm(&evaluation))
}
