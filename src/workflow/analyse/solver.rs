//! Propositional satisfiability with a budget. The only place that names the library that decides it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use batsat::{Callbacks, SolverInterface, lbool};

pub(super) use batsat::Lit;

/// The most decisions of one question. Questions about real policies need some hundreds.
const DECISIONS_MAX: u64 = 50_000;
/// The most decisions of all questions about one policy; what comes after that is not answered.
const DECISIONS_IN_ALL_MAX: u64 = 2_000_000;

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// There is an assignment; [`Solver::holds`] reads it.
    Can,
    /// There is none.
    Never,
    /// The budget ran out, or nobody wants to know any more.
    Unknown,
}

/// Says that nobody wants an answer any more. Shared with whoever would want it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// True once `flag` is.
    pub fn when(flag: Arc<AtomicBool>) -> Stop {
        Stop(flag)
    }

    pub(in crate::workflow) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts decisions.
struct Budget {
    left: Cell<u64>,
    stop: Stop,
}

impl Callbacks for Budget {
    fn stop(&self) -> bool {
        if self.stop.is_set() {
            return true;
        }
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return true,
        }
        false
    }
}

/// Clauses over variables, and questions about them.
pub(super) struct Solver {
    inner: batsat::Solver<Budget>,
    yes: Lit,
    left: u64,
}

impl Solver {
    pub fn new(stop: Stop) -> Solver {
        let budget = Budget { left: Cell::new(0), stop };
        let mut inner = batsat::Solver::new(batsat::SolverOpts::default(), budget);
        let yes = Lit::new(inner.new_var_default(), true);
        inner.add_clause_reuse(&mut vec![yes]);
        Solver { inner, yes, left: DECISIONS_IN_ALL_MAX }
    }

    /// True.
    pub fn yes(&self) -> Lit {
        self.yes
    }

    /// False.
    pub fn no(&self) -> Lit {
        !self.yes
    }

    /// A new variable.
    pub fn fresh(&mut self) -> Lit {
        Lit::new(self.inner.new_var_default(), true)
    }

    /// One of these must hold.
    pub fn clause(&mut self, literals: &[Lit]) {
        self.inner.add_clause_reuse(&mut literals.to_vec());
    }

    /// If all of `when` hold, so does `then`.
    pub fn implies(&mut self, when: &[Lit], then: Lit) {
        let mut clause: Vec<Lit> = when.iter().map(|literal| !*literal).collect();
        clause.push(then);
        self.inner.add_clause_reuse(&mut clause);
    }

    /// Holds when all of these do, and only then.
    pub fn all(&mut self, literals: &[Lit]) -> Lit {
        if literals.contains(&self.no()) {
            return self.no();
        }
        let open: Vec<Lit> = literals.iter().copied().filter(|literal| *literal != self.yes).collect();
        match open.as_slice() {
            [] => self.yes,
            [only] => *only,
            _ => {
                let all = self.fresh();
                for literal in &open {
                    self.clause(&[!all, *literal]);
                }
                self.implies(&open, all);
                all
            }
        }
    }

    /// Holds when any of these does, and only then.
    pub fn any(&mut self, literals: &[Lit]) -> Lit {
        let none: Vec<Lit> = literals.iter().map(|literal| !*literal).collect();
        !self.all(&none)
    }

    /// At most one of these holds.
    pub fn at_most_one(&mut self, literals: &[Lit]) {
        let mut before: Option<Lit> = None;
        for literal in literals {
            let so_far = self.fresh();
            self.clause(&[!*literal, so_far]);
            if let Some(before) = before {
                self.clause(&[!before, so_far]);
                self.clause(&[!*literal, !before]);
            }
            before = Some(so_far);
        }
    }

    /// Whether all of these can hold together.
    pub fn ask(&mut self, assumptions: &[Lit]) -> Answer {
        if self.inner.cb().stop.is_set() {
            return Answer::Unknown;
        }
        let given = DECISIONS_MAX.min(self.left);
        self.inner.cb().left.set(given);
        let answer = self.inner.solve_limited(assumptions);
        self.left = self.left.saturating_sub(given.saturating_sub(self.inner.cb().left.get()));
        if answer == lbool::TRUE {
            Answer::Can
        } else if answer == lbool::FALSE {
            Answer::Never
        } else {
            Answer::Unknown
        }
    }

    /// After [`Answer::Can`]: whether this holds in the assignment that was found.
    pub fn holds(&self, literal: Lit) -> bool {
        self.inner.value_lit(literal) == lbool::TRUE
    }

    /// After [`Answer::Never`]: whether this assumption was needed to see it.
    pub fn was_needed(&self, assumption: Lit) -> bool {
        self.inner.unsat_core_contains_lit(!assumption) || self.inner.unsat_core_contains_lit(assumption)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_answered_and_say_what_they_needed() {
        let mut solver = Solver::new(Stop::default());
        let (a, b, c) = (solver.fresh(), solver.fresh(), solver.fresh());
        solver.at_most_one(&[a, b, c]);
        assert_eq!(solver.ask(&[a]), Answer::Can);
        assert!(solver.holds(a) && !solver.holds(b) && !solver.holds(c));
        assert_eq!(solver.ask(&[a, !b, c]), Answer::Never);
        assert!(solver.was_needed(a) && solver.was_needed(c) && !solver.was_needed(!b));
        let both = solver.all(&[a, b]);
        assert_eq!(solver.ask(&[both]), Answer::Never);
        let either = solver.any(&[a, b]);
        assert_eq!(solver.ask(&[either, !a]), Answer::Can);
        assert!(solver.holds(b));
        assert_eq!((solver.all(&[]), solver.any(&[])), (solver.yes(), solver.no()));
    }

    #[test]
    fn nothing_is_answered_once_nobody_wants_to_know() {
        let flag = Arc::new(AtomicBool::new(false));
        let mut solver = Solver::new(Stop::when(Arc::clone(&flag)));
        let a = solver.fresh();
        assert_eq!(solver.ask(&[a, !a]), Answer::Never);
        flag.store(true, Ordering::Relaxed);
        assert_eq!((solver.ask(&[a, !a]), solver.ask(&[a])), (Answer::Unknown, Answer::Unknown));
    }

    /// More pigeons than holes: exponential for resolution, so that only the budget ends it.
    #[test]
    fn hard_questions_end_without_an_answer() {
        let mut solver = Solver::new(Stop::default());
        let holes: Vec<Vec<Lit>> = (0..12).map(|_| (0..11).map(|_| solver.fresh()).collect()).collect();
        for pigeon in &holes {
            solver.clause(pigeon);
        }
        for hole in 0..11 {
            let here: Vec<Lit> = holes.iter().map(|pigeon| pigeon[hole]).collect();
            solver.at_most_one(&here);
        }
        assert_eq!(solver.ask(&[]), Answer::Unknown);
    }
}
