//! Walks a checked and rewritten tree over the values of its parameters, within a budget of steps, elements and text.
//! What operators do is in `operators`, what functions do in `builtins`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::access::{Collection, cannot_fetch, fetch, key, not_assignable, slice};
use super::builtins::{self, Builtin};
use super::kinds::{Kind, Type};
use super::moment;
use super::operators;
use super::pattern::Pattern;
use super::tree::{Binary, BuiltinCall, Call, Form, Member, Node, Operator, Pointer, Sign};
use super::value::{Key, List, ListKind, Map, MapKind, Moment, Value};
use crate::expr::diagnostic::Span;
use crate::expr::evaluate::EvalCode;

/// Most steps of one evaluation: a step is a node that is evaluated, or an element or 64 bytes of text that is looked at.
pub const STEPS_MAX: usize = 1_000_000;
/// Most elements of the lists and maps that one evaluation makes, as in the library.
pub const ELEMENTS_MAX: usize = 1_000_000;
/// Most text that one evaluation makes.
pub const TEXT_MAX_BYTES: usize = 4 * 1024 * 1024;
/// What compiling a pattern that is not a literal costs, in steps.
const PATTERN_STEPS: usize = 20_000;
/// Longest pattern that is not a literal.
const PATTERN_MAX_BYTES: usize = 4096;

/// Why an evaluation stopped.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub code: EvalCode,
    pub message: String,
    /// Outer `None` until a node has said where it is; inner `None` for a node that is nowhere.
    pub span: Option<Option<Span>>,
}

impl Fault {
    pub fn new(code: EvalCode, message: String) -> Self {
        Self { code, message, span: None }
    }

    pub fn wrong_type(message: String) -> Self {
        Self::new(EvalCode::WrongType, message)
    }

    pub fn invalid(message: String) -> Self {
        Self::new(EvalCode::InvalidValue, message)
    }

    pub fn too_large(message: &str) -> Self {
        Self::new(EvalCode::TooLarge, message.to_owned())
    }

    /// What Go says when a value is of another type than was asserted.
    pub fn conversion(value: &Value, wanted: &str) -> Self {
        let found = if matches!(value, Value::Nil) { "nil" } else { value.type_name() };
        Self::wrong_type(format!("interface conversion: interface {{}} is {found}, not {wanted}"))
    }

    fn value_too_large() -> Self {
        Self::too_large("the value is nested too deeply or too large")
    }
}

/// What ends the evaluation of a node early.
enum Stop {
    Fault(Fault),
    /// `?.` found nil: the chain that it is in gives this.
    Chain(Value),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

type Step<T = Value> = Result<T, Stop>;

struct Scope {
    collection: Collection,
    index: usize,
    accumulator: Value,
}

/// One evaluation.
pub(super) struct Run<'p> {
    /// By name, with the `$`.
    parameters: BTreeMap<Key, Value>,
    now: Moment,
    scopes: Vec<Scope>,
    variables: Vec<(&'p Arc<str>, Value)>,
    steps: usize,
    elements: usize,
    text: usize,
}

impl<'p> Run<'p> {
    pub fn new(parameters: BTreeMap<Key, Value>, now: Moment) -> Self {
        let scopes = Vec::new();
        Self { parameters, now, scopes, variables: Vec::new(), steps: 0, elements: 0, text: 0 }
    }

    pub fn evaluate(&mut self, node: &'p Node) -> Result<Value, Fault> {
        match self.node(node) {
            Ok(value) | Err(Stop::Chain(value)) => Ok(value),
            Err(Stop::Fault(fault)) => Err(fault),
        }
    }

    pub fn now(&self) -> Moment {
        self.now
    }

    /// How many steps it has taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Counts what is done.
    pub fn step(&mut self, steps: usize) -> Result<(), Fault> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS_MAX {
            return Err(Fault::too_large("the expression takes too many steps"));
        }
        Ok(())
    }

    /// Counts values that are walked over.
    pub fn look_at(&mut self, values: &[Value]) -> Result<(), Fault> {
        self.step(values.iter().map(Value::weight).fold(0, usize::saturating_add))
    }

    /// Counts elements that are made.
    pub fn grow(&mut self, elements: usize) -> Result<(), Fault> {
        self.elements = self.elements.saturating_add(elements);
        if self.elements >= ELEMENTS_MAX {
            return Err(Fault::too_large("memory budget exceeded"));
        }
        Ok(())
    }

    /// Counts text that is made.
    pub fn grow_text(&mut self, bytes: usize) -> Result<(), Fault> {
        self.text = self.text.saturating_add(bytes);
        if self.text > TEXT_MAX_BYTES {
            return Err(Fault::too_large("the expression makes too much text"));
        }
        self.step(bytes / 64)
    }

    /// How much text may still be made.
    pub fn text_left(&self) -> usize {
        TEXT_MAX_BYTES.saturating_sub(self.text)
    }

    pub fn list(kind: ListKind, items: Vec<Value>) -> Result<Value, Fault> {
        List::of(kind, items).map(Value::List).ok_or_else(Fault::value_too_large)
    }

    pub fn map(kind: MapKind, entries: BTreeMap<Key, Value>) -> Result<Value, Fault> {
        Map::of(kind, entries).map(Value::Map).ok_or_else(Fault::value_too_large)
    }

    fn node(&mut self, node: &'p Node) -> Step {
        self.step(1)?;
        match self.form(node) {
            Err(Stop::Fault(fault)) if fault.span.is_none() => {
                Err(Stop::Fault(Fault { span: Some(node.span), ..fault }))
            }
            other => other,
        }
    }

    fn form(&mut self, node: &'p Node) -> Step {
        Ok(match &node.form {
            Form::Nil => Value::Nil,
            Form::Bool(value) => Value::Bool(*value),
            Form::Int(value) => Value::Int(*value),
            Form::Float(value) => Value::Float(*value),
            Form::Text(text) => Value::Text(Arc::clone(text)),
            Form::Constant(value) => value.clone(),
            // Only ever the right side of `in`, which looks at them itself.
            Form::IntSet(_) | Form::TextSet(_) => Value::Nil,
            Form::Name(name) => self.name(name)?,
            Form::Pointer(pointer) => self.pointer(*pointer)?,
            Form::Unary(sign, inner) => {
                let value = self.node(inner)?;
                unary(*sign, value)?
            }
            Form::Binary(binary) => self.binary(binary)?,
            Form::Chain(inner) => match self.node(inner) {
                Err(Stop::Chain(value)) => value,
                other => other?,
            },
            Form::Closure(inner) => self.node(inner)?,
            Form::Member(member) => self.member(member)?,
            Form::Slice { base, from, to } => self.slice(base, from.as_deref(), to.as_deref())?,
            Form::Call(call) => self.call(call)?,
            Form::Builtin(call) => self.builtin(call)?,
            Form::Let { name, value, body } => {
                let value = self.node(value)?;
                self.variables.push((name, value));
                let result = self.node(body);
                self.variables.pop();
                result?
            }
            Form::Conditional { condition, then, otherwise } => {
                self.conditional(condition, then.as_deref(), otherwise)?
            }
            Form::InRange { left, first, last } => {
                let value = self.node(left)?;
                let inside = operators::order(Operator::MoreOrEqual, &value, &Value::Int(*first))?
                    && operators::order(Operator::LessOrEqual, &value, &Value::Int(*last))?;
                Value::Bool(inside)
            }
            Form::Array(nodes) => {
                let mut items = Vec::with_capacity(nodes.len());
                for node in nodes {
                    items.push(self.node(node)?);
                }
                self.grow(items.len())?;
                Self::list(ListKind::Any, items)?
            }
            Form::Map(pairs) => self.map_literal(pairs)?,
        })
    }

    fn name(&self, name: &'p Arc<str>) -> Result<Value, Fault> {
        if let Some((_, value)) = self.variables.iter().rev().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        match &**name {
            "$env" => Self::map(MapKind::Environment, self.parameters.clone()),
            "Split" => Ok(Value::Split),
            _ => Ok(self.parameters.get(&Key::Text(Arc::clone(name))).cloned().unwrap_or(Value::Nil)),
        }
    }

    fn pointer(&self, pointer: Pointer) -> Result<Value, Fault> {
        let Some(scope) = self.scopes.last() else { return Ok(Value::Nil) };
        match pointer {
            Pointer::Element => scope.collection.get(scope.index),
            Pointer::Index => Ok(Value::Int(i64::try_from(scope.index).unwrap_or(i64::MAX))),
            Pointer::Accumulator => Ok(scope.accumulator.clone()),
            Pointer::Unknown => Ok(Value::Nil),
        }
    }

    fn binary(&mut self, binary: &'p Binary) -> Step {
        let left = self.node(&binary.left)?;
        match binary.operator {
            Operator::And | Operator::Or => {
                let stops = binary.operator == Operator::Or;
                if truth(&left)? == stops { Ok(left) } else { self.node(&binary.right) }
            }
            Operator::Coalesce if left.is_nil() => self.node(&binary.right),
            Operator::Coalesce => Ok(left),
            Operator::In => self.contained(&left, &binary.right),
            Operator::Matches => {
                if let Some(pattern) = &binary.pattern {
                    let text = builtins::text_of(&left)?;
                    self.step(left.weight())?;
                    return Ok(Value::Bool(pattern.is_match(text)));
                }
                let right = self.node(&binary.right)?;
                Ok(self.matches(&left, &right)?)
            }
            operator => {
                let right = self.node(&binary.right)?;
                // All of a text is searched; to compare two values takes no longer than the smaller one.
                let smaller = left.weight().min(right.weight());
                self.step(if operator == Operator::Contains { left.weight() } else { smaller })?;
                if operator == Operator::Equal {
                    same_kind(&binary.left, &binary.right, &left, &right)?;
                }
                Ok(operators::apply(operator, &left, &right, self)?)
            }
        }
    }

    fn matches(&mut self, text: &Value, pattern: &Value) -> Result<Value, Fault> {
        let pattern = builtins::text_of(pattern)?;
        let subject = builtins::text_of(text)?;
        if pattern.len() > PATTERN_MAX_BYTES {
            return Err(Fault::too_large("the pattern is too long"));
        }
        self.step(PATTERN_STEPS + text.weight())?;
        let pattern = Pattern::new(pattern).map_err(|message| Fault::new(EvalCode::InvalidValue, message))?;
        Ok(Value::Bool(pattern.is_match(subject)))
    }

    fn contained(&mut self, needle: &Value, right: &'p Node) -> Step {
        let found = match &right.form {
            Form::IntSet(set) => match needle {
                Value::Nil => set.contains(&0),
                Value::Int(value) => set.contains(value),
                other => return Err(not_assignable(other, "int").into()),
            },
            Form::TextSet(set) => match needle {
                Value::Nil => set.contains(""),
                Value::Text(text) => set.contains(text),
                other => return Err(not_assignable(other, "string").into()),
            },
            _ => {
                let haystack = self.node(right)?;
                self.step(haystack.weight())?;
                operators::contains(needle, &haystack)?
            }
        };
        Ok(Value::Bool(found))
    }

    fn member(&mut self, member: &'p Member) -> Step {
        let base = self.node(&member.base)?;
        if member.optional && base.is_nil() {
            return Err(Stop::Chain(base));
        }
        if let (Some(key), Value::Map(map)) = (&member.key, &base)
            && map.kind == MapKind::Text
        {
            return Ok(map.entries.get(key).cloned().unwrap_or(Value::Nil));
        }
        let property = self.node(&member.property)?;
        Ok(fetch(&base, &property)?)
    }

    fn slice(&mut self, base: &'p Node, from: Option<&'p Node>, to: Option<&'p Node>) -> Step {
        let base = self.node(base)?;
        let to = match to {
            Some(to) => self.node(to)?,
            None => operators::length(&base)?,
        };
        let from = match from {
            Some(from) => self.node(from)?,
            None => Value::Int(0),
        };
        self.step(base.weight() / 16)?;
        let value = slice(&base, &from, &to)?;
        if let Value::Text(text) = &value {
            self.grow_text(text.len())?;
        }
        Ok(value)
    }

    fn call(&mut self, call: &'p Call) -> Step {
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            arguments.push(self.node(argument)?);
        }
        if let Some(builtin) = call.builtin {
            if builtin.is_fast() || builtin.is_predicate() {
                let message = "runtime error: invalid memory address or nil pointer dereference";
                return Err(Fault::wrong_type(message.to_owned()).into());
            }
            return Ok(builtin.call(&arguments, self)?);
        }
        // The methods of times are only ever called.
        if let Form::Member(Member { base, property, optional: false, .. }) = &call.callee.form
            && let Some(name) = property.text()
        {
            let receiver = self.node(base)?;
            if let Some(ty) = moment::type_of(&receiver) {
                return match moment::method(&ty, name) {
                    Some(_) => Ok(moment::call(&receiver, name, &arguments)?),
                    None => Err(cannot_fetch(&receiver, &Value::Text(Arc::clone(name))).into()),
                };
            }
            let callee = fetch(&receiver, &Value::Text(Arc::clone(name)))
                .map_err(|fault| Fault { span: Some(call.callee.span), ..fault })?;
            return Ok(self.call_value(&callee, &arguments)?);
        }
        let callee = self.node(&call.callee)?;
        Ok(self.call_value(&callee, &arguments)?)
    }

    fn call_value(&mut self, callee: &Value, arguments: &[Value]) -> Result<Value, Fault> {
        match callee {
            Value::Split => {
                if arguments.len() != 2 {
                    let what = if arguments.len() < 2 { "few" } else { "many" };
                    return Err(Fault::wrong_type(format!("reflect: Call with too {what} input arguments")));
                }
                for argument in arguments {
                    if !matches!(argument, Value::Text(_)) {
                        let given = if matches!(argument, Value::Nil) {
                            "interface {}"
                        } else {
                            argument.type_name()
                        };
                        return Err(Fault::wrong_type(format!("reflect: Call using {given} as type string")));
                    }
                }
                Builtin::Split.call(arguments, self)
            }
            Value::Nil => {
                Err(Fault::wrong_type("reflect: call of reflect.Value.Call on zero Value".to_owned()))
            }
            other => {
                let kind = other.kind_name();
                Err(Fault::wrong_type(format!("reflect: call of reflect.Value.Call on {kind} Value")))
            }
        }
    }

    fn conditional(&mut self, condition: &'p Node, then: Option<&'p Node>, otherwise: &'p Node) -> Step {
        let tested = self.node(condition)?;
        match (truth(&tested)?, then) {
            (true, Some(then)) => self.node(then),
            (true, None) => Ok(tested),
            (false, _) => self.node(otherwise),
        }
    }

    fn map_literal(&mut self, pairs: &'p [(Node, Node)]) -> Step {
        let mut values = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            values.push((self.node(key)?, self.node(value)?));
        }
        self.grow(values.len())?;
        let mut entries = BTreeMap::new();
        // From the last to the first, so that the first of two equal keys stays.
        for (key, value) in values.into_iter().rev() {
            entries.insert(Key::Text(Arc::clone(builtins::text_of(&key)?)), value);
        }
        Ok(Self::map(MapKind::Text, entries)?)
    }

    fn builtin(&mut self, call: &'p BuiltinCall) -> Step {
        if call.builtin.is_predicate() {
            let Some((list, rest)) = call.arguments.split_first() else { return Ok(Value::Nil) };
            let collection = Collection::of(self.node(list)?)?;
            self.scopes.push(Scope { collection, index: 0, accumulator: Value::Nil });
            let result = self.predicate(call, rest);
            self.scopes.pop();
            return result;
        }
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            arguments.push(self.node(argument)?);
        }
        Ok(call.builtin.call(&arguments, self)?)
    }

    fn length(&self) -> usize {
        self.scopes.last().map_or(0, |scope| scope.collection.len())
    }

    fn go_to(&mut self, index: usize) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.index = index;
        }
    }

    /// The element at hand, or what a merged `map` makes of it.
    fn element(&mut self, map: Option<&'p Node>) -> Step {
        match map {
            Some(map) => self.node(map),
            None => Ok(self.pointer(Pointer::Element)?),
        }
    }

    fn predicate(&mut self, call: &'p BuiltinCall, rest: &'p [Node]) -> Step {
        use Builtin as B;
        let [closure, initial @ ..] = rest else { return Ok(Value::Nil) };
        let length = self.length();
        match call.builtin {
            B::Reduce => return self.reduce(closure, initial.first()),
            B::GroupBy => return self.group_by(closure),
            B::Map => {
                let mut items = Vec::new();
                for index in 0..length {
                    self.go_to(index);
                    items.push(self.node(closure)?);
                }
                self.grow(length)?;
                return Ok(Self::list(ListKind::Any, items)?);
            }
            _ => {}
        }
        let backwards = matches!(call.builtin, B::FindLast | B::FindLastIndex);
        let (mut count, mut found) = (0, Vec::new());
        for step in 0..length {
            let index = if backwards { length - 1 - step } else { step };
            self.go_to(index);
            let holds = self.node(closure)?;
            let holds = truth(&holds)?;
            match call.builtin {
                B::All if !holds => return Ok(Value::Bool(false)),
                B::Any if holds => return Ok(Value::Bool(true)),
                B::None if holds => return Ok(Value::Bool(false)),
                B::Find | B::FindLast if holds => return self.element(call.map.as_deref()),
                B::FindIndex | B::FindLastIndex if holds => return Ok(self.pointer(Pointer::Index)?),
                B::Filter if holds => found.push(self.element(call.map.as_deref())?),
                B::Count | B::One if holds => count += 1,
                _ => {}
            }
        }
        Ok(match call.builtin {
            B::All | B::None => Value::Bool(true),
            B::Any => Value::Bool(false),
            B::One => Value::Bool(count == 1),
            B::Count => Value::Int(count),
            B::Filter => {
                self.grow(found.len())?;
                Self::list(ListKind::Any, found)?
            }
            _ if call.throws => {
                let message = "reflect: slice index out of range".to_owned();
                return Err(Fault::new(EvalCode::OutOfRange, message).into());
            }
            _ => Value::Nil,
        })
    }

    fn reduce(&mut self, closure: &'p Node, initial: Option<&'p Node>) -> Step {
        let mut first = 0;
        let mut accumulator = if let Some(initial) = initial {
            self.node(initial)?
        } else {
            first = 1;
            self.pointer(Pointer::Element)?
        };
        for index in first..self.length() {
            self.go_to(index);
            if let Some(scope) = self.scopes.last_mut() {
                scope.accumulator = accumulator;
            }
            accumulator = self.node(closure)?;
        }
        Ok(accumulator)
    }

    fn group_by(&mut self, closure: &'p Node) -> Step {
        let mut groups: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
        for index in 0..self.length() {
            self.go_to(index);
            let value = self.node(closure)?;
            let element = self.pointer(Pointer::Element)?;
            groups.entry(key(&value)?).or_default().push(element);
        }
        if groups.is_empty() {
            return Ok(Value::Map(Map::nil(MapKind::Groups)));
        }
        let mut entries = BTreeMap::new();
        for (key, items) in groups {
            entries.insert(key, Self::list(ListKind::Any, items)?);
        }
        Ok(Self::map(MapKind::Groups, entries)?)
    }
}

/// Of what must be a bool.
fn truth(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(Fault::conversion(other, "bool")),
    }
}

fn unary(sign: Sign, value: Value) -> Result<Value, Fault> {
    Ok(match (sign, value) {
        (Sign::Not, value) => Value::Bool(!truth(&value)?),
        (Sign::Plus, value) => value,
        (Sign::Minus, Value::Int(value)) => Value::Int(value.wrapping_neg()),
        (Sign::Minus, Value::Byte(value)) => Value::Byte(value.wrapping_neg()),
        (Sign::Minus, Value::Float(value)) => Value::Float(-value),
        (Sign::Minus, other) => {
            return Err(Fault::wrong_type(format!("invalid operation: - {}", other.type_name())));
        }
    })
}

/// Where both sides of `==` are known to be whole numbers, or texts, the library takes it on trust.
fn same_kind(left: &Node, right: &Node, a: &Value, b: &Value) -> Result<(), Fault> {
    let kind = |node: &Node| node.ty.as_ref().map_or(Kind::Invalid, Type::kind);
    let wanted = match (kind(left), kind(right)) {
        (Kind::Int, Kind::Int) => "int",
        (Kind::Text, Kind::Text) => "string",
        _ => return Ok(()),
    };
    for value in [a, b] {
        if value.type_name() != wanted {
            return Err(Fault::conversion(value, wanted));
        }
    }
    Ok(())
}
