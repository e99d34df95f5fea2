//! An expression as a boolean combination of tests, for whoever reasons about conditions without evaluating them: `and`, `or` and `not`
//! are taken apart as the library evaluates them, from left to right, and everything below them is a test by itself that is known by
//! what it says. Nothing is known about what such a test has to do with another.
//!
//! The formula is true where the expression says yes in the sense of [`super::outcome::is_truthy`], and fails where it fails. That an
//! evaluation may run into the limit of its steps is left out.

use super::Program;
use super::tree::{Binary, BuiltinCall, Form, Node, Operator, Sign};
use crate::expr::limits;
use crate::expr::logic::{Formula, Test};

/// What the value of a part is taken for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It must be a bool, or the whole fails.
    Bool,
    /// Everything but the zero of its type, and nil on which the whole fails, is yes.
    Truthy,
}

impl Program {
    /// What the expression asks where it decides whether something is so.
    #[must_use]
    pub fn formula(&self) -> Formula {
        let inner = &*self.0;
        let body = limits::with_room(inner.levels, || read(&inner.code, Taken::Truthy));
        let body = body.unwrap_or_else(|| Formula::Test(Test::opaque(format!("the text {}", inner.text))));
        // A parameter that is not there fails the whole, wherever it stands.
        inner.parameters.iter().fold(body, |body, parameter| {
            let there = Formula::Test(Test::opaque(format!("the parameter {}", parameter.name)));
            chosen(there, body, Formula::Fails)
        })
    }
}

fn chosen(condition: Formula, then: Formula, otherwise: Formula) -> Formula {
    Formula::If(Box::new([condition, then, otherwise]))
}

fn read(node: &Node, taken: Taken) -> Formula {
    match &node.form {
        Form::Bool(known) => Formula::Known(*known),
        Form::Unary(Sign::Not, inner) => Formula::Not(Box::new(read(inner, Taken::Bool))),
        Form::Binary(Binary { operator: Operator::And, left, right, .. }) => {
            chosen(read(left, Taken::Bool), read(right, taken), Formula::Known(false))
        }
        Form::Binary(Binary { operator: Operator::Or, left, right, .. }) => {
            chosen(read(left, Taken::Bool), Formula::Known(true), read(right, taken))
        }
        _ => Formula::Test(Test::opaque(named(node, taken))),
    }
}

/// Equal for parts that have the same value in one evaluation and are taken for the same.
fn named(node: &Node, taken: Taken) -> String {
    let mut node = node.clone();
    without_places(&mut node);
    let how = if taken == Taken::Bool || gives_bool(&node) { "is" } else { "counts as" };
    format!("{how} {:?}", node.form)
}

fn gives_bool(node: &Node) -> bool {
    matches!(&node.form, Form::Binary(binary) if binary.operator.gives_bool())
}

/// Where a part stands is no matter; what type it has by itself is, since the library trusts it.
fn without_places(node: &mut Node) {
    node.span = None;
    node.each_child_mut(without_places);
    if let Form::Builtin(BuiltinCall { map: Some(map), .. }) = &mut node.form {
        without_places(map);
    }
    if let Form::Binary(binary) = &mut node.form {
        binary.spelling = "";
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Place, compile};
    use super::Formula;

    fn formula(text: &str) -> String {
        format!("{:?}", compile(Place::When, text).unwrap().formula())
    }

    #[test]
    fn parts_are_known_by_what_they_say_and_not_by_where_they_stand() {
        let one = formula("$appeal.role == \"x\"");
        assert_eq!(one, formula("  $appeal.role   == 'x' "));
        assert_eq!(one, formula("($appeal.role == \"x\")"));
        assert_ne!(one, formula("$appeal.role == \"y\""));
        assert_eq!(formula("$appeal.role == \"x\" and true"), one);
        assert_eq!(
            formula("$appeal.role == \"x\" and $appeal.role == \"y\""),
            formula("$appeal.role == \"x\" && $appeal.role == \"y\"")
        );
    }

    #[test]
    fn a_value_that_is_no_bool_is_another_test_where_a_bool_is_needed() {
        let (alone, behind) = (formula("$appeal.role"), formula("$appeal.role and $appeal.role"));
        assert!(alone.contains("counts as") && !alone.contains("is Member"), "{alone}");
        assert!(behind.contains("counts as") && behind.contains("is Member"), "{behind}");
        assert!(matches!(compile(Place::When, "1 > 2 || true").unwrap().formula(), Formula::Known(true)));
    }
}
