//! One term: the variables of its tests, the clauses between them, and a value that fits an assignment.

use std::collections::BTreeMap;

use super::super::solver::{Lit, Solver};
use super::{Constant, Pair, Sort};
use crate::expr::{Enumeration, Kind, Relation, Term};
use regex::Regex;

/// The most clauses between the tests of one term that ask about parts of a text; beyond it they are not related. That
/// makes the analysis know less, never something wrong.
const TEXT_CLAUSES_MAX: usize = 200_000;
/// The largest program of a pattern, in bytes, as for the patterns of conditions.
const PATTERN_MAX_BYTES: usize = 64 * 1024;

/// A term and its tests.
pub(super) struct Known {
    pub term: Term,
    /// Reading it fails.
    pub fails: Lit,
    /// It equals the constant.
    equal: BTreeMap<Constant, Lit>,
    orders: BTreeMap<Sort, Order>,
    texts: Vec<(Relation, Lit)>,
    /// It is no text, or reading it fails.
    no_text: Option<Lit>,
    present: Option<Pair>,
}

/// Where a term stands among constants.
struct Order {
    /// It has no place among them, or reading it fails.
    none: Lit,
    points: BTreeMap<Constant, Point>,
}

#[derive(Clone, Copy)]
struct Point {
    below: Lit,
    at_most: Lit,
}

/// What a fact is in an assignment.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Assigned {
    /// Reading it fails: the key is not there.
    Missing,
    /// This value.
    Is(Constant),
    /// Any other value.
    Other,
}

impl Known {
    pub fn new(solver: &mut Solver, term: Term) -> Known {
        let fails = if term.can_fail { solver.fresh() } else { solver.no() };
        let mut known = Known {
            term,
            fails,
            equal: BTreeMap::new(),
            orders: BTreeMap::new(),
            texts: Vec::new(),
            no_text: None,
            present: None,
        };
        for value in known.domain() {
            known.is(solver, value);
        }
        known
    }

    /// All the values that it can have, if they are few.
    fn domain(&self) -> Vec<Constant> {
        match self.term.kind {
            Kind::Bool => vec![Constant::Bool(true), Constant::Bool(false)],
            Kind::Enum(enumeration) => {
                let count = u8::try_from(Enumeration::values(enumeration).len()).unwrap_or(u8::MAX);
                (0..count).map(|number| Constant::Enum(enumeration.name().to_owned(), number)).collect()
            }
            _ => Vec::new(),
        }
    }

    pub fn is(&mut self, solver: &mut Solver, constant: Constant) -> Lit {
        if let Some(sort) = constant.sort() {
            self.point(solver, sort, &constant);
        }
        *self.equal.entry(constant).or_insert_with(|| solver.fresh())
    }

    /// Whether it is below the constant, or at most that.
    pub fn ordered(&mut self, solver: &mut Solver, constant: &Constant, or_equal: bool) -> Pair {
        let Some(sort) = constant.sort() else {
            // A number too large to compare: nothing is known of it.
            let (yes, no) = (solver.fresh(), solver.fresh());
            solver.clause(&[!yes, !no]);
            return Pair { yes, no };
        };
        self.is(solver, constant.clone());
        let point = self.point(solver, sort, constant);
        let none = self.orders.get(&sort).map_or(self.fails, |order| order.none);
        let yes = if or_equal { point.at_most } else { point.below };
        Pair { yes, no: solver.all(&[!yes, !none]) }
    }

    fn point(&mut self, solver: &mut Solver, sort: Sort, constant: &Constant) -> Point {
        let never_odd = match sort {
            Sort::Number => self.term.kind == Kind::Integer,
            Sort::Moment => self.term.kind == Kind::Timestamp,
            Sort::Span => self.term.kind == Kind::Duration,
        };
        let fails = self.fails;
        let order = self.orders.entry(sort).or_insert_with(|| Order {
            none: if never_odd { fails } else { solver.fresh() },
            points: BTreeMap::new(),
        });
        *order
            .points
            .entry(constant.clone())
            .or_insert_with(|| Point { below: solver.fresh(), at_most: solver.fresh() })
    }

    pub fn text(&mut self, solver: &mut Solver, relation: &Relation) -> Pair {
        let (is_text, fails) = (self.term.kind == Kind::Text, self.fails);
        let no_text = *self.no_text.get_or_insert_with(|| if is_text { fails } else { solver.fresh() });
        let found = self.texts.iter().find(|(known, _)| known == relation).map(|(_, literal)| *literal);
        let yes = found.unwrap_or_else(|| {
            let literal = solver.fresh();
            self.texts.push((relation.clone(), literal));
            literal
        });
        Pair { yes, no: solver.all(&[!yes, !no_text]) }
    }

    /// Whether it is there. Asking fails only when what should have it fails or has no keys.
    pub fn present(&mut self, solver: &mut Solver) -> Pair {
        // A key of a field: there is always a map to ask.
        let sure = self.term.path.as_ref().is_some_and(|path| path.len() == 3);
        let fails = self.fails;
        *self.present.get_or_insert_with(|| {
            let no = if sure {
                fails
            } else {
                let asked = solver.fresh();
                solver.all(&[fails, asked])
            };
            Pair { yes: !fails, no }
        })
    }

    /// Adds the clauses between the tests. Once, when all the tests are known.
    pub fn close(&mut self, solver: &mut Solver) {
        let exact: Vec<(&Constant, Lit)> =
            self.equal.iter().filter(|(constant, _)| !constant.is_loose()).map(|(c, l)| (c, *l)).collect();
        let literals: Vec<Lit> = exact.iter().map(|(_, literal)| *literal).collect();
        solver.at_most_one(&literals);
        for literal in self.equal.values() {
            solver.clause(&[!*literal, !self.fails]);
        }
        for (constant, literal) in &exact {
            if !self.can_be(constant) {
                solver.clause(&[!*literal]);
            }
        }
        let domain = self.domain();
        if !domain.is_empty() {
            let mut one: Vec<Lit> =
                domain.iter().filter_map(|value| self.equal.get(value).copied()).collect();
            one.push(self.fails);
            solver.clause(&one);
        }
        for (sort, order) in &self.orders {
            self.close_order(solver, *sort, order, &exact);
        }
        self.close_texts(solver, &exact);
    }

    /// Whether the declared type has this value.
    fn can_be(&self, constant: &Constant) -> bool {
        match (self.term.kind, constant) {
            (Kind::Open, _)
            | (Kind::Bool, Constant::Bool(_))
            | (Kind::Text, Constant::Text(_))
            | (Kind::Integer | Kind::Number, Constant::Number(_))
            | (Kind::Timestamp, Constant::Moment(_))
            | (Kind::Duration, Constant::Span(_)) => true,
            (Kind::Enum(enumeration), Constant::Enum(name, _)) => enumeration.name() == name,
            _ => false,
        }
    }

    fn close_order(&self, solver: &mut Solver, sort: Sort, order: &Order, exact: &[(&Constant, Lit)]) {
        let none = order.none;
        solver.clause(&[!self.fails, none]);
        for (constant, equal) in exact {
            // What equals a constant of this order has a place in it, and what equals another has none.
            let placed = if constant.sort() == Some(sort) { !none } else { none };
            solver.clause(&[!*equal, placed]);
        }
        let mut before: Option<(&Constant, Point)> = None;
        for (constant, point) in &order.points {
            let Point { below, at_most } = *point;
            let equal = self.equal.get(constant).copied().unwrap_or_else(|| solver.no());
            solver.clause(&[!below, at_most]);
            solver.clause(&[!equal, at_most]);
            solver.clause(&[!equal, !below]);
            solver.clause(&[!at_most, below, equal]);
            solver.clause(&[!at_most, !none]);
            if let Some((lower, point)) = before {
                solver.clause(&[!point.at_most, below]);
                let adjacent =
                    self.term.kind == Kind::Integer && lower.successor().as_ref() == Some(constant);
                if adjacent {
                    solver.clause(&[!below, point.at_most]);
                }
            }
            if self.is_size() && matches!(constant, Constant::Number(number) if number.get() <= 0.0) {
                solver.clause(&[!below]);
            }
            before = Some((constant, *point));
        }
    }

    /// Nothing has a negative size.
    fn is_size(&self) -> bool {
        self.term.text.starts_with("(size ") || self.term.text.starts_with("(size. ")
    }

    fn close_texts(&self, solver: &mut Solver, exact: &[(&Constant, Lit)]) {
        let Some(no_text) = self.no_text else { return };
        solver.clause(&[!self.fails, no_text]);
        for (constant, equal) in exact {
            let is_text = if matches!(constant, Constant::Text(_)) { !no_text } else { no_text };
            solver.clause(&[!*equal, is_text]);
        }
        for (relation, literal) in &self.texts {
            solver.clause(&[!*literal, !no_text]);
            if always(relation) {
                solver.clause(&[*literal, no_text]);
            }
        }
        if self.texts.len().saturating_mul(exact.len() + self.texts.len()) > TEXT_CLAUSES_MAX {
            return;
        }
        for (relation, literal) in &self.texts {
            let pattern = pattern(relation);
            for (constant, equal) in exact {
                let Constant::Text(text) = constant else { continue };
                match fits(relation, pattern.as_ref(), text) {
                    Some(true) => solver.clause(&[!*equal, *literal]),
                    Some(false) => solver.clause(&[!*equal, !*literal]),
                    None => {}
                }
            }
            for (other, other_literal) in &self.texts {
                if relation == other {
                    continue;
                }
                match between(relation, other) {
                    Some(true) => solver.clause(&[!*literal, *other_literal]),
                    Some(false) => solver.clause(&[!*literal, !*other_literal]),
                    None => {}
                }
            }
        }
    }

    /// Every variable of its tests.
    pub fn literals(&self) -> impl Iterator<Item = Lit> {
        let points = self.orders.values().flat_map(|order| order.points.values());
        let texts = self.texts.iter().map(|(_, literal)| *literal);
        self.equal.values().copied().chain(points.map(|point| point.below)).chain(texts).chain([self.fails])
    }

    /// A value that fits the assignment, as far as can be seen.
    pub fn assigned(&self, solver: &Solver) -> Assigned {
        if solver.holds(self.fails) {
            return Assigned::Missing;
        }
        let equal =
            self.equal.iter().find(|(constant, literal)| !constant.is_loose() && solver.holds(**literal));
        if let Some((constant, _)) = equal {
            return Assigned::Is(constant.clone());
        }
        for order in self.orders.values() {
            if !solver.holds(order.none)
                && let Some(constant) = order.place(solver)
            {
                return Assigned::Is(constant);
            }
        }
        match self.no_text {
            Some(no_text) if !solver.holds(no_text) => self.made_up(solver),
            _ if self.term.kind == Kind::Text => self.made_up(solver),
            _ => Assigned::Other,
        }
    }

    /// A text of the parts that it must have.
    fn made_up(&self, solver: &Solver) -> Assigned {
        let (mut start, mut middle, mut end) = ("", String::new(), "");
        for (relation, _) in self.texts.iter().filter(|(_, literal)| solver.holds(*literal)) {
            match relation {
                Relation::StartsWith(text) if text.len() > start.len() => start = text,
                Relation::EndsWith(text) if text.len() > end.len() => end = text,
                Relation::Contains(text) => {
                    middle.push_str(text);
                    middle.push('~');
                }
                _ => {}
            }
        }
        let candidates =
            ["other", "x", "~", "", "0", "q-z"].map(|fill| format!("{start}{fill}{middle}{end}"));
        let fits_all = |text: &&String| {
            !self.equal.contains_key(&Constant::Text((*text).clone()))
                && self.texts.iter().all(|(relation, literal)| {
                    let found = fits(relation, pattern(relation).as_ref(), text);
                    found.is_none_or(|found| found == solver.holds(*literal))
                })
        };
        let fallback = candidates.first().cloned().unwrap_or_default();
        Assigned::Is(Constant::Text(candidates.iter().find(fits_all).cloned().unwrap_or(fallback)))
    }
}

impl Order {
    /// A constant at the place that the assignment gives.
    fn place(&self, solver: &Solver) -> Option<Constant> {
        let mut low = None;
        for (constant, point) in &self.points {
            if solver.holds(point.below) {
                return Constant::between(low, Some(constant));
            }
            if solver.holds(point.at_most) {
                return Some(constant.clone());
            }
            low = Some(constant);
        }
        Constant::between(low, None)
    }
}

fn always(relation: &Relation) -> bool {
    match relation {
        Relation::StartsWith(text) | Relation::EndsWith(text) | Relation::Contains(text) => text.is_empty(),
        _ => false,
    }
}

fn pattern(relation: &Relation) -> Option<Regex> {
    let Relation::Matches(text) = relation else { return None };
    regex::RegexBuilder::new(text).size_limit(PATTERN_MAX_BYTES).build().ok()
}

/// Whether the text is as the relation says; `None` if that is not known.
fn fits(relation: &Relation, pattern: Option<&Regex>, text: &str) -> Option<bool> {
    match relation {
        Relation::StartsWith(part) => Some(text.starts_with(part)),
        Relation::EndsWith(part) => Some(text.ends_with(part)),
        Relation::Contains(part) => Some(text.contains(part)),
        Relation::Matches(_) => pattern.map(|pattern| pattern.is_match(text)),
        _ => None,
    }
}

/// What the first says about the second: that it holds, or that it does not.
fn between(first: &Relation, second: &Relation) -> Option<bool> {
    use Relation::{Contains, EndsWith, StartsWith};
    match (first, second) {
        (StartsWith(a), StartsWith(b)) if a.starts_with(b) => Some(true),
        (StartsWith(a), StartsWith(b)) if !b.starts_with(a) => Some(false),
        (EndsWith(a), EndsWith(b)) if a.ends_with(b) => Some(true),
        (EndsWith(a), EndsWith(b)) if !b.ends_with(a) => Some(false),
        (StartsWith(a) | EndsWith(a) | Contains(a), Contains(b)) if a.contains(b) => Some(true),
        _ => None,
    }
}
