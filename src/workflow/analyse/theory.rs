//! What tests of one term have to do with each other, as clauses: a field has one value, an enumeration has no others than
//! its own, what is below 3 is below 5, what starts with `ab` starts with `a`, and a key that is not there cannot be read.
//!
//! Every clause holds for every request, so that what the solver finds impossible is impossible. The clauses need not say
//! everything: what the solver finds possible is a guess until it has been tried.

mod constant;
mod term;

use std::collections::BTreeMap;

use super::solver::{Answer, Lit, Solver, Stop};
use crate::expr::{Formula, Relation, Test};
pub(super) use constant::Constant;
use constant::Sort;
pub(super) use term::Assigned;
use term::Known;

/// The most tests in the conditions of one policy; beyond it nothing is said about them.
const TESTS_MAX: usize = 60_000;

/// A formula as two literals: it is true, it is false. It fails when neither holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub yes: Lit,
    pub no: Lit,
}

/// Formulas over shared terms.
pub(super) struct Theory {
    pub solver: Solver,
    terms: BTreeMap<String, Known>,
    tests: usize,
}

impl Theory {
    /// The formulas, each as a pair; `None` if there are too many tests in them.
    pub fn of(formulas: &[Formula], stop: &Stop) -> Option<(Theory, Vec<Pair>)> {
        let mut theory = Theory { solver: Solver::new(stop.clone()), terms: BTreeMap::new(), tests: 0 };
        let pairs = formulas.iter().map(|formula| theory.formula(formula)).collect();
        if theory.tests > TESTS_MAX {
            return None;
        }
        let Theory { solver, terms, .. } = &mut theory;
        for known in terms.values_mut() {
            known.close(solver);
        }
        Some((theory, pairs))
    }

    pub fn ask(&mut self, assumptions: &[Lit]) -> Answer {
        self.solver.ask(assumptions)
    }

    /// After [`Answer::Can`]: the terms that are facts, each with a value that fits.
    pub fn facts(&self) -> impl Iterator<Item = (&[String], Assigned)> {
        self.terms.values().filter_map(|known| {
            let path = known.term.path.as_deref()?;
            Some((path, known.assigned(&self.solver)))
        })
    }

    /// After [`Answer::Can`]: what was assumed of terms that are no facts, so that another try can assume otherwise.
    pub fn guesses(&self) -> Vec<Lit> {
        let opaque = self.terms.values().filter(|known| known.term.path.is_none());
        let literals = opaque.flat_map(Known::literals);
        literals.map(|literal| if self.solver.holds(literal) { literal } else { !literal }).collect()
    }

    /// Something to assume beside, by which not all of these guesses are made again; `None` if there are none.
    pub fn otherwise(&mut self, guesses: &[Lit]) -> Option<Lit> {
        if guesses.is_empty() {
            return None;
        }
        let again = self.solver.fresh();
        let mut other: Vec<Lit> = guesses.iter().map(|guess| !*guess).collect();
        other.push(!again);
        self.solver.clause(&other);
        Some(again)
    }

    fn formula(&mut self, formula: &Formula) -> Pair {
        let (yes, no) = (self.solver.yes(), self.solver.no());
        match formula {
            Formula::Known(true) => Pair { yes, no },
            Formula::Known(false) => Pair { yes: no, no: yes },
            Formula::Fails => Pair { yes: no, no },
            Formula::Not(inner) => {
                let Pair { yes, no } = self.formula(inner);
                Pair { yes: no, no: yes }
            }
            Formula::All(parts) => {
                let pairs: Vec<Pair> = parts.iter().map(|part| self.formula(part)).collect();
                let yes: Vec<Lit> = pairs.iter().map(|pair| pair.yes).collect();
                let no: Vec<Lit> = pairs.iter().map(|pair| pair.no).collect();
                Pair { yes: self.solver.all(&yes), no: self.solver.any(&no) }
            }
            Formula::Any(parts) => {
                let pairs: Vec<Pair> = parts.iter().map(|part| self.formula(part)).collect();
                let yes: Vec<Lit> = pairs.iter().map(|pair| pair.yes).collect();
                let no: Vec<Lit> = pairs.iter().map(|pair| pair.no).collect();
                Pair { yes: self.solver.any(&yes), no: self.solver.all(&no) }
            }
            Formula::If(parts) => {
                let [condition, then, other] = &**parts;
                let (condition, then, other) =
                    (self.formula(condition), self.formula(then), self.formula(other));
                Pair {
                    yes: self.choose(condition, then.yes, other.yes),
                    no: self.choose(condition, then.no, other.no),
                }
            }
            Formula::Test(test) => self.test(test),
        }
    }

    fn choose(&mut self, condition: Pair, then: Lit, other: Lit) -> Lit {
        let first = self.solver.all(&[condition.yes, then]);
        let second = self.solver.all(&[condition.no, other]);
        self.solver.any(&[first, second])
    }

    fn test(&mut self, test: &Test) -> Pair {
        self.tests += 1;
        if self.tests > TESTS_MAX {
            return Pair { yes: self.solver.no(), no: self.solver.no() };
        }
        let Theory { solver, terms, .. } = self;
        if !terms.contains_key(&test.term.text) {
            terms.insert(test.term.text.clone(), Known::new(solver, test.term.clone()));
        }
        let Some(known) = terms.get_mut(&test.term.text) else {
            return Pair { yes: solver.no(), no: solver.no() };
        };
        match &test.relation {
            Relation::Holds => {
                let (yes, no) = (Constant::Bool(true), Constant::Bool(false));
                Pair { yes: known.is(solver, yes), no: known.is(solver, no) }
            }
            Relation::Is(value) => {
                let yes = known.is(solver, Constant::of(value));
                let fails = known.fails;
                Pair { yes, no: solver.all(&[!yes, !fails]) }
            }
            Relation::Below(value) => known.ordered(solver, &Constant::of(value), false),
            Relation::AtMost(value) => known.ordered(solver, &Constant::of(value), true),
            Relation::Present => known.present(solver),
            text => known.text(solver, text),
        }
    }
}
