//! Rewrites a checked tree as the optimiser of antonmedv/expr v1.15.3 does, pass for pass. It is not for speed: what is
//! rewritten decides which texts the program still contains, and so which of them are taken for parameters, and what `in`
//! compares with what.

use std::sync::Arc;

use super::builtins::Builtin;
use super::kinds::{Kind, Type};
use super::operators;
use super::tree::{Binary, BuiltinCall, Form, Node, Operator, Sign};
use super::value::{List, Value};
use crate::expr::diagnostic::{Code, Diagnostic};

/// Longest range of constants that is made when the program is compiled.
const CONSTANT_RANGE_MAX: i64 = 1_000_000;
/// How often the tree is folded before it is taken as it is.
const ROUNDS_MAX: usize = 1001;

/// # Errors
/// A remainder of a division by a literal zero.
pub(super) fn optimise(text: &str, node: &mut Node) -> Result<(), Diagnostic> {
    let mut seen = Seen::default();
    walk(node, &mut |node| {
        seen.note(node);
        in_array(node);
    });
    for _ in 0..ROUNDS_MAX {
        let mut folded = false;
        let mut fault = None;
        walk(node, &mut |node| match fold(node) {
            Ok(true) => folded = true,
            Ok(false) => {}
            Err(message) => fault = Some((node.span.unwrap_or_default(), message)),
        });
        if let Some((span, message)) = fault {
            return Err(Diagnostic::new(text, Code::BadConstant, span, message.to_owned()));
        }
        if !folded {
            break;
        }
    }
    if seen.range {
        walk(node, &mut in_range);
        walk(node, &mut constant_range);
    }
    if seen.filter {
        walk(node, &mut filter_map);
        walk(node, &mut filter_len);
        walk(node, &mut |node| filter_end(node, -1, Builtin::Last, Builtin::FindLast));
        walk(node, &mut |node| filter_end(node, 0, Builtin::First, Builtin::Find));
    }
    Ok(())
}

/// What the later passes rewrite. No pass makes either where there was none.
#[derive(Default)]
struct Seen {
    range: bool,
    filter: bool,
}

impl Seen {
    fn note(&mut self, node: &Node) {
        match &node.form {
            Form::Binary(Binary { operator: Operator::Range, .. }) => self.range = true,
            Form::Builtin(BuiltinCall { builtin: Builtin::Filter, .. }) => self.filter = true,
            _ => {}
        }
    }
}

/// Children before their parent.
fn walk(node: &mut Node, visit: &mut impl FnMut(&mut Node)) {
    node.each_child_mut(|child| walk(child, visit));
    visit(node);
}

fn take(node: &mut Node) -> Node {
    std::mem::replace(node, Node { form: Form::Nil, span: None, ty: None })
}

/// Becomes another node but stays where it is and of the type it is.
fn patch(node: &mut Node, form: Form) {
    node.form = form;
}

fn kind(node: &Node) -> Kind {
    node.ty.as_ref().map_or(Kind::Invalid, Type::kind)
}

/// `x in [1, 2]` and `x in ['a', 'b']` look x up in a set.
fn in_array(node: &mut Node) {
    let Form::Binary(Binary { operator: Operator::In, left, right, .. }) = &mut node.form else { return };
    let Form::Array(nodes) = &right.form else { return };
    if nodes.is_empty() {
        return;
    }
    let form = if kind(left) == Kind::Int
        && let Some(set) = nodes
            .iter()
            .map(|node| if let Form::Int(value) = node.form { Some(value) } else { None })
            .collect()
    {
        Form::IntSet(set)
    } else if let Some(set) = nodes.iter().map(|node| node.text().map(Arc::clone)).collect() {
        Form::TextSet(set)
    } else {
        return;
    };
    **right = Node { form, span: None, ty: None };
}

/// A number that is written out.
#[derive(Clone, Copy)]
enum Literal {
    Int(i64),
    Float(f64),
}

impl Literal {
    fn of(node: &Node) -> Option<Self> {
        match node.form {
            Form::Int(value) => Some(Self::Int(value)),
            Form::Float(value) => Some(Self::Float(value)),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
    fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// Whether the node was folded.
fn fold(node: &mut Node) -> Result<bool, &'static str> {
    let form = match &mut node.form {
        Form::Unary(sign, inner) => fold_unary(*sign, inner),
        Form::Binary(binary) => {
            if let Some(side) = fold_logic(binary) {
                let mut side = match side {
                    Side::Left => take(&mut binary.left),
                    Side::Right => take(&mut binary.right),
                    Side::Value(value) => {
                        patch(node, Form::Bool(value));
                        return Ok(true);
                    }
                };
                side.span = node.span;
                side.ty = node.ty.take();
                *node = side;
                return Ok(true);
            }
            fold_binary(binary)?
        }
        Form::Array(nodes) => fold_array(nodes),
        Form::Builtin(call) => fold_filters(call),
        _ => None,
    };
    let Some(form) = form else { return Ok(false) };
    match form {
        Form::Int(_) if !matches!(node.form, Form::Binary(Binary { operator: Operator::Modulo, .. })) => {
            node.ty = Some(Type::Int);
        }
        Form::Float(_) => node.ty = Some(Type::Float),
        _ => {}
    }
    patch(node, form);
    Ok(true)
}

fn fold_unary(sign: Sign, inner: &Node) -> Option<Form> {
    Some(match (sign, &inner.form) {
        (Sign::Minus, Form::Int(value)) => Form::Int(value.wrapping_neg()),
        (Sign::Minus, Form::Float(value)) => Form::Float(-value),
        (Sign::Plus, Form::Int(value)) => Form::Int(*value),
        (Sign::Plus, Form::Float(value)) => Form::Float(*value),
        (Sign::Not, Form::Bool(value)) => Form::Bool(!value),
        _ => return None,
    })
}

/// What is left of an `and` or an `or`.
enum Side {
    Left,
    Right,
    Value(bool),
}

fn fold_logic(binary: &Binary) -> Option<Side> {
    let neutral = match binary.operator {
        Operator::And => true,
        Operator::Or => false,
        _ => return None,
    };
    let literal = |node: &Node| if let Form::Bool(value) = node.form { Some(value) } else { None };
    let (left, right) = (literal(&binary.left), literal(&binary.right));
    if left == Some(neutral) {
        Some(Side::Right)
    } else if right == Some(neutral) {
        Some(Side::Left)
    } else if left.or(right).is_some() {
        Some(Side::Value(!neutral))
    } else {
        None
    }
}

fn fold_binary(binary: &Binary) -> Result<Option<Form>, &'static str> {
    let (left, right) = (&binary.left.form, &binary.right.form);
    Ok(Some(match (binary.operator, left, right) {
        (Operator::Add, Form::Text(a), Form::Text(b)) => Form::Text([&**a, &**b].concat().into()),
        (Operator::Equal, Form::Text(a), Form::Text(b)) => Form::Bool(a == b),
        (Operator::Equal, Form::Bool(a), Form::Bool(b)) => Form::Bool(a == b),
        (Operator::Equal, Form::Int(a), Form::Int(b)) => Form::Bool(a == b),
        (Operator::Modulo, Form::Int(_), Form::Int(0)) => return Err("integer divide by zero"),
        (Operator::Modulo, Form::Int(a), Form::Int(b)) => Form::Int(a.wrapping_rem(*b)),
        (operator, _, _) => {
            let numbers = (Literal::of(&binary.left), Literal::of(&binary.right));
            let (Some(a), Some(b)) = numbers else { return Ok(None) };
            match arithmetic(operator, a, b) {
                Some(form) => form,
                None => return Ok(None),
            }
        }
    }))
}

fn arithmetic(operator: Operator, a: Literal, b: Literal) -> Option<Form> {
    if let (Literal::Int(a), Literal::Int(b)) = (a, b) {
        match operator {
            Operator::Add => return Some(Form::Int(a.wrapping_add(b))),
            Operator::Subtract => return Some(Form::Int(a.wrapping_sub(b))),
            Operator::Multiply => return Some(Form::Int(a.wrapping_mul(b))),
            _ => {}
        }
    }
    let (a, b) = (a.float(), b.float());
    Some(Form::Float(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::Power => operators::power(a, b),
        _ => return None,
    }))
}

/// A list of literals becomes a constant. The texts in it are no texts of the program any more.
fn fold_array(nodes: &[Node]) -> Option<Form> {
    if nodes.is_empty() {
        return None;
    }
    let values = nodes.iter().map(|node| {
        Some(match &node.form {
            Form::Int(value) => Value::Int(*value),
            Form::Float(value) => Value::Float(*value),
            Form::Text(value) => Value::Text(Arc::clone(value)),
            Form::Bool(value) => Value::Bool(*value),
            _ => return None,
        })
    });
    Some(Form::Constant(Value::list(values.collect::<Option<_>>()?)?))
}

/// A filter of a filter becomes one that asks both questions.
fn fold_filters(call: &mut BuiltinCall) -> Option<Form> {
    let [inner, outer_closure] = call.arguments.as_mut_slice() else { return None };
    if call.builtin != Builtin::Filter {
        return None;
    }
    let Form::Builtin(BuiltinCall { builtin: Builtin::Filter, arguments, .. }) = &mut inner.form else {
        return None;
    };
    let [list, inner_closure] = arguments.as_mut_slice() else { return None };
    let (list, left, right) = (take(list), take(inner_closure), take(outer_closure));
    let both = Binary {
        operator: Operator::And,
        spelling: "&&",
        left: Box::new(left),
        right: Box::new(right),
        pattern: None,
    };
    let both = Node { form: Form::Binary(both), span: None, ty: None };
    Some(Form::Builtin(BuiltinCall {
        builtin: Builtin::Filter,
        arguments: vec![list, both],
        map: None,
        throws: false,
    }))
}

/// `n in 1..3` compares n with 1 and 3, when n is known to be a whole number.
fn in_range(node: &mut Node) {
    let Form::Binary(Binary { operator: Operator::In, left, right, .. }) = &mut node.form else { return };
    let Form::Binary(Binary { operator: Operator::Range, left: first, right: last, .. }) = &right.form else {
        return;
    };
    if kind(left) == Kind::Int
        && let (Form::Int(first), Form::Int(last)) = (&first.form, &last.form)
    {
        let (first, last) = (*first, *last);
        let left = Box::new(take(left));
        patch(node, Form::InRange { left, first, last });
    }
}

fn constant_range(node: &mut Node) {
    let Form::Binary(Binary { operator: Operator::Range, left, right, .. }) = &node.form else { return };
    let (Form::Int(first), Form::Int(last)) = (&left.form, &right.form) else { return };
    let size = last.wrapping_sub(*first).wrapping_add(1).max(0);
    if size <= CONSTANT_RANGE_MAX {
        let list = List::range(*first, usize::try_from(size).unwrap_or(0));
        patch(node, Form::Constant(Value::List(list)));
    }
}

/// The call of `filter` that a node is.
fn filter_of(node: &mut Node) -> Option<&mut BuiltinCall> {
    match &mut node.form {
        Form::Builtin(call) if call.builtin == Builtin::Filter && call.arguments.len() == 2 => Some(call),
        _ => None,
    }
}

/// `map` of a `filter` becomes a filter that gives something else.
fn filter_map(node: &mut Node) {
    let Form::Builtin(BuiltinCall { builtin: Builtin::Map, arguments, .. }) = &mut node.form else { return };
    let [list, closure] = arguments.as_mut_slice() else { return };
    let Form::Closure(body) = &mut closure.form else { return };
    let Some(filter) = filter_of(list).filter(|filter| filter.map.is_none()) else { return };
    let form = Form::Builtin(BuiltinCall {
        builtin: Builtin::Filter,
        arguments: std::mem::take(&mut filter.arguments),
        map: Some(Box::new(take(body))),
        throws: false,
    });
    patch(node, form);
}

/// `len` of a `filter` counts.
fn filter_len(node: &mut Node) {
    let Form::Builtin(BuiltinCall { builtin: Builtin::Len, arguments, .. }) = &mut node.form else { return };
    let [list] = arguments.as_mut_slice() else { return };
    let Some(filter) = filter_of(list) else { return };
    let arguments = std::mem::take(&mut filter.arguments);
    patch(node, Form::Builtin(BuiltinCall { builtin: Builtin::Count, arguments, map: None, throws: false }));
}

/// The first or last element of a `filter` is found without making the list.
fn filter_end(node: &mut Node, index: i64, end: Builtin, find: Builtin) {
    let (list, throws) = match &mut node.form {
        Form::Member(member)
            if !member.optional && matches!(member.property.form, Form::Int(at) if at == index) =>
        {
            (&mut *member.base, true)
        }
        Form::Builtin(call) if call.builtin == end => match call.arguments.as_mut_slice() {
            [list] => (list, false),
            _ => return,
        },
        _ => return,
    };
    let Some(filter) = filter_of(list) else { return };
    let arguments = std::mem::take(&mut filter.arguments);
    let map = filter.map.take();
    patch(node, Form::Builtin(BuiltinCall { builtin: find, arguments, map, throws }));
}
