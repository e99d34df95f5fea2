//! The syntax tree, with the static type of every node. `parse` makes it, `check` types it, `fold` rewrites it, `evaluate`
//! walks it. No behaviour beyond construction and what an operator is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::builtins::Builtin;
use super::kinds::Type;
use super::pattern::Pattern;
use super::value::{Key, Value};
use crate::expr::diagnostic::Span;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub form: Form,
    /// Where the library places what is wrong with it; `None` where it has no place at all.
    pub span: Option<Span>,
    /// `None` before the check, and for nodes that the rewriting made.
    pub ty: Option<Type>,
}

#[derive(Clone, Debug)]
pub(super) enum Form {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    /// A list that is the same for every evaluation.
    Constant(Value),
    /// What `in` looks a whole number up in.
    IntSet(BTreeSet<i64>),
    /// What `in` looks a text up in.
    TextSet(BTreeSet<Arc<str>>),
    Name(Arc<str>),
    /// `#`, `#acc`, `#index`.
    Pointer(Pointer),
    Unary(Sign, Box<Node>),
    Binary(Binary),
    /// Where the value nil goes when `?.` finds it.
    Chain(Box<Node>),
    /// What a predicate evaluates for each element.
    Closure(Box<Node>),
    Member(Member),
    Slice {
        base: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    Call(Call),
    Builtin(BuiltinCall),
    Let {
        name: Arc<str>,
        value: Box<Node>,
        body: Box<Node>,
    },
    Conditional {
        condition: Box<Node>,
        /// `None` for `a ?: b`, where it is the condition itself.
        then: Option<Box<Node>>,
        otherwise: Box<Node>,
    },
    /// Whether a whole number lies between two others, what `in` becomes before a range.
    InRange {
        left: Box<Node>,
        first: i64,
        last: i64,
    },
    Array(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pointer {
    Element,
    Index,
    Accumulator,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Not,
    Plus,
    Minus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    More,
    MoreOrEqual,
    LessOrEqual,
    In,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Coalesce,
}

impl Operator {
    /// Whether it gives a bool, or fails, whatever it is given. Not `and` and `or`, which give their right side as it is.
    pub fn gives_bool(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::Unequal
                | Self::Less
                | Self::More
                | Self::MoreOrEqual
                | Self::LessOrEqual
                | Self::In
                | Self::Matches
                | Self::Contains
                | Self::StartsWith
                | Self::EndsWith
        )
    }
}

#[derive(Clone, Debug)]
pub(super) struct Binary {
    pub operator: Operator,
    /// As it was written: `&&` or `and`.
    pub spelling: &'static str,
    pub left: Box<Node>,
    pub right: Box<Node>,
    /// The right side of `matches`, when it is a literal.
    pub pattern: Option<Arc<Pattern>>,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub base: Box<Node>,
    pub property: Box<Node>,
    /// The property, when it is a literal text.
    pub key: Option<Key>,
    pub optional: bool,
}

/// A call of something that is no built-in by its name.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub callee: Box<Node>,
    pub arguments: Vec<Node>,
    /// A built-in that the callee was found to be, by way of a variable.
    pub builtin: Option<Builtin>,
}

/// A call of a built-in. The second argument of a predicate is evaluated for each element.
#[derive(Clone, Debug)]
pub(super) struct BuiltinCall {
    pub builtin: Builtin,
    pub arguments: Vec<Node>,
    /// What `filter`, `find` and `findLast` give for an element, after `map` was merged into them.
    pub map: Option<Box<Node>>,
    /// Whether finding nothing is an error.
    pub throws: bool,
}

/// The children of a form, for reading or for changing. What was merged into `map` is not walked again.
macro_rules! visit_children {
    ($form:expr, $visit:ident) => {
        match $form {
            Form::Unary(_, inner) | Form::Chain(inner) | Form::Closure(inner) => $visit(inner),
            Form::Binary(Binary { left, right, .. }) => {
                $visit(left);
                $visit(right);
            }
            Form::Member(Member { base, property, .. }) => {
                $visit(base);
                $visit(property);
            }
            Form::Slice { base, from, to } => {
                $visit(base);
                for bound in [from, to] {
                    if let Some(bound) = bound {
                        $visit(bound);
                    }
                }
            }
            Form::Call(Call { callee, arguments, .. }) => {
                $visit(callee);
                for argument in arguments {
                    $visit(argument);
                }
            }
            Form::Builtin(BuiltinCall { arguments: nodes, .. }) | Form::Array(nodes) => {
                for node in nodes {
                    $visit(node);
                }
            }
            Form::Let { value, body, .. } => {
                $visit(value);
                $visit(body);
            }
            Form::Conditional { condition, then, otherwise } => {
                $visit(condition);
                if let Some(then) = then {
                    $visit(then);
                }
                $visit(otherwise);
            }
            Form::InRange { left, .. } => $visit(left),
            Form::Map(pairs) => {
                for (key, value) in pairs {
                    $visit(key);
                    $visit(value);
                }
            }
            Form::Nil
            | Form::Bool(_)
            | Form::Int(_)
            | Form::Float(_)
            | Form::Text(_)
            | Form::Constant(_)
            | Form::IntSet(_)
            | Form::TextSet(_)
            | Form::Name(_)
            | Form::Pointer(_) => {}
        }
    };
}

impl Node {
    pub fn new(form: Form, span: Span) -> Self {
        Self { form, span: Some(span), ty: None }
    }

    pub fn text(&self) -> Option<&Arc<str>> {
        if let Form::Text(text) = &self.form { Some(text) } else { None }
    }

    /// Calls `visit` with every child, in the order of the library's walk.
    pub fn each_child(&self, mut visit: impl FnMut(&Self)) {
        visit_children!(&self.form, visit);
    }

    /// As [`Node::each_child`], to change them.
    pub fn each_child_mut(&mut self, mut visit: impl FnMut(&mut Self)) {
        visit_children!(&mut self.form, visit);
    }

    /// Levels of the tree below and with this node.
    pub fn levels(&self) -> usize {
        let mut below = 0;
        self.each_child(|child| below = below.max(child.levels()));
        if let Form::Builtin(BuiltinCall { map: Some(map), .. }) = &self.form {
            below = below.max(map.levels());
        }
        below + 1
    }
}
