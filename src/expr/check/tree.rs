//! Builds the pieces of the tree that will be evaluated. Its nodes need no ids: positions belong to the text.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators};
use cel::common::types::{CelBool, CelInt, CelString};

use crate::expr::cost::Shape;
use crate::expr::evaluate::DIRECTORY_VARIABLE;
use crate::expr::library::Question;
use crate::expr::schema::Type;

/// The accumulator of a comprehension. No expression can spell it.
const RESULT: &str = "@result";

fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

pub(super) fn null() -> IdedExpr {
    node(Expr::Literal(LiteralValue::Null))
}

pub(super) fn boolean(value: bool) -> IdedExpr {
    node(Expr::Literal(LiteralValue::Boolean(CelBool::from(value))))
}

pub(super) fn int(value: usize) -> IdedExpr {
    node(Expr::Literal(LiteralValue::Int(CelInt::from(i64::try_from(value).unwrap_or(i64::MAX)))))
}

pub(super) fn string(value: &str) -> IdedExpr {
    node(Expr::Literal(LiteralValue::String(CelString::from(value.to_owned()))))
}

pub(super) fn ident(name: &str) -> IdedExpr {
    node(Expr::Ident(name.to_owned()))
}

pub(super) fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }))
}

pub(super) fn member(target: IdedExpr, name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::Call(CallExpr { func_name: name.to_owned(), target: Some(Box::new(target)), args }))
}

pub(super) fn index(operand: IdedExpr, key: IdedExpr) -> IdedExpr {
    call(operators::INDEX, vec![operand, key])
}

pub(super) fn list(elements: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::List(ListExpr::new(elements)))
}

/// `has(operand.field)` where the operand is a map.
pub(super) fn has_key(operand: IdedExpr, field: &str) -> IdedExpr {
    node(Expr::Select(SelectExpr { operand: Box::new(operand), field: field.to_owned(), test: true }))
}

/// A question to the directory.
pub(super) fn ask(question: Question, mut arguments: Vec<IdedExpr>) -> IdedExpr {
    let number = Question::ALL.iter().position(|other| *other == question).unwrap_or(usize::MAX);
    arguments.insert(0, int(number));
    index(ident(DIRECTORY_VARIABLE), list(arguments))
}

pub(super) fn is_negative(literal: &LiteralValue) -> bool {
    match literal {
        LiteralValue::Int(value) => *value.inner() < 0,
        LiteralValue::Double(value) => value.inner().is_sign_negative(),
        _ => false,
    }
}

/// The type that an identifier names as a value, as cel spells it.
pub(super) fn type_named(name: &str) -> Option<&str> {
    let known = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];
    known.contains(&name).then_some(name)
}

/// What a map of this value type can hold under one key.
pub(super) fn value_shape(value: &Type) -> Shape {
    Shape::declared(value)
}

/// How a macro walks over its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    All,
    Exists,
    ExistsOne,
    /// With a condition first, if there is one.
    Map,
    Filter,
}

/// The loop that a macro stands for, in the shapes that cel's evaluator knows to run without copying.
pub(super) fn comprehension(
    walk: Walk,
    range: IdedExpr,
    variable: &str,
    filter: Option<IdedExpr>,
    body: IdedExpr,
) -> IdedExpr {
    let accu = || ident(RESULT);
    let append = |element: IdedExpr| call(operators::ADD, vec![accu(), list(vec![element])]);
    let when =
        |condition: IdedExpr, step: IdedExpr| call(operators::CONDITIONAL, vec![condition, step, accu()]);
    let going = |condition: IdedExpr| call(operators::NOT_STRICTLY_FALSE, vec![condition]);
    let (accu_init, loop_cond, loop_step, result) = match walk {
        Walk::All => (boolean(true), going(accu()), call(operators::LOGICAL_AND, vec![accu(), body]), accu()),
        Walk::Exists => {
            let not_yet = call(operators::LOGICAL_NOT, vec![accu()]);
            (boolean(false), going(not_yet), call(operators::LOGICAL_OR, vec![accu(), body]), accu())
        }
        Walk::ExistsOne => {
            let next = call(operators::ADD, vec![accu(), int(1)]);
            (int(0), boolean(true), when(body, next), call(operators::EQUALS, vec![accu(), int(1)]))
        }
        Walk::Map => {
            let step = append(body);
            let step = if let Some(filter) = filter { when(filter, step) } else { step };
            (list(Vec::new()), boolean(true), step, accu())
        }
        Walk::Filter => (list(Vec::new()), boolean(true), when(body, append(ident(variable))), accu()),
    };
    node(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: range,
        iter_var: variable.to_owned(),
        iter_var2: None,
        accu_var: RESULT.to_owned(),
        accu_init,
        loop_cond,
        loop_step,
        result,
    })))
}
