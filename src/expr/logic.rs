//! A condition as a boolean combination of tests of terms, for whoever reasons about conditions without evaluating them.
//!
//! [`Program::formula`] gives the condition as a [`Formula`] that has, for every request, the value of the condition:
//! true, false, or a failure. What a test says of its term is spelled out where it can be compared with other tests of
//! the same term; everything else is a test by itself, of a term that is known by its text alone. Two terms of the same
//! text have the same value in one evaluation, since the facts, the answers of the directory and the time do not change
//! while it lasts. Nothing is decided here, and nothing is simplified that could fail.

mod read;

use std::fmt;

use super::Program;
use super::limits;
use super::schema::Enumeration;
use super::value::Value;

/// A combination of tests. It fails as CEL has it: a conjunction with a false part is false, and a disjunction with a true
/// part is true, whatever fails beside it.
#[derive(Clone, Debug)]
pub enum Formula {
    /// The same for every request.
    Known(bool),
    /// Fails for every request.
    Fails,
    Test(Test),
    Not(Box<Formula>),
    All(Vec<Formula>),
    Any(Vec<Formula>),
    /// The second if the first holds, else the third.
    If(Box<[Formula; 3]>),
}

/// One question about one term. It fails when the term does; for some relations also when the term has another type.
#[derive(Clone, Debug)]
pub struct Test {
    pub term: Term,
    pub relation: Relation,
}

/// What a test compares: a fact, or the value of a part of the condition.
#[derive(Clone, Debug)]
pub struct Term {
    /// Equal for equal terms, and for no others.
    pub text: String,
    pub kind: Kind,
    /// Whether reading it can fail.
    pub can_fail: bool,
    /// The variable, the fields and the keys that lead to it, for a term that is a fact: `["subject", "department"]`.
    pub path: Option<Vec<String>>,
}

/// What is known about the values of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Text,
    /// A number without a fraction.
    Integer,
    /// Another number; it may be none that can be ordered.
    Number,
    Timestamp,
    Duration,
    Enum(Enumeration),
    /// Anything.
    Open,
}

/// What is asked about a term.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    /// It is true.
    Holds,
    /// It equals this constant, which is no list, map or object.
    Is(Value),
    /// It is less than this number, timestamp or duration. Fails for a term of another type.
    Below(Value),
    /// It is at most this. Fails as `Below`.
    AtMost(Value),
    /// It starts with this text. Fails for a term that is no text, as do the next three.
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    /// A part of it is matched by this regular expression.
    Matches(String),
    /// The term, a key of a map, is there.
    Present,
}

impl Program {
    /// What the condition asks. For a program that is no condition the formula says nothing.
    #[must_use]
    pub fn formula(&self) -> Formula {
        if let Some(Value::Bool(known)) = self.constant() {
            return Formula::Known(*known);
        }
        let inner = &*self.0;
        limits::with_room(inner.levels, || read::Reader::new(&inner.constants).formula(&inner.code))
            .unwrap_or_else(|| Formula::Test(Test::opaque(format!("the text {}", inner.text))))
    }
}

impl Test {
    /// A condition that is known by its text alone.
    #[must_use]
    pub fn opaque(text: String) -> Test {
        Test { term: Term { text, kind: Kind::Open, can_fail: true, path: None }, relation: Relation::Holds }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => f.write_str(&path.join(".")),
            None => f.write_str(&self.text),
        }
    }
}
