//! The static checker. Walks cel's syntax tree once and gives, for each node, its type, the most it can cost, and the
//! tree that will be evaluated: names resolved, macros expanded, enumerations and constant parts worked out. Reports every
//! fault at its place; a faulty part fits everywhere, so that one fault is reported once and hides no other.
//! Asks nobody and evaluates nothing but constants.

mod calls;
mod macros;
mod operators;
mod tree;

use std::collections::BTreeMap;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, SelectExpr, SourceInfo};

use super::Environment;
use super::cost::{COST_MAX_UNITS, FOLD_MAX_UNITS, MEMBERS_MAX, Shape};
use super::diagnostic::{Code, Diagnostic, Span, nearest};
use super::evaluate::{self, CONSTANT_PREFIX, EvalError};
use super::library::{self, Question};
use super::limits::Tokens;
use super::record::{self, Boxed, EnumValue};
use super::schema::{Enumeration, IP_FIELDS, Object, Type};

/// What a node depends on: one bit for each enclosing comprehension, and this one for the facts.
const FACTS: u64 = 1 << 63;

/// What is known about a node.
pub(super) struct Typed {
    pub ty: Type,
    pub shape: Shape,
    /// Units, everything below included.
    pub cost: u64,
    pub code: IdedExpr,
    pub depends: u64,
    pub span: Span,
}

/// A variable of a comprehension.
struct Local<'t> {
    name: &'t str,
    ty: Type,
    shape: Shape,
    bit: u64,
}

/// A checked expression.
pub(super) struct Checked {
    pub code: IdedExpr,
    pub constants: Vec<Boxed>,
    pub ty: Type,
    pub cost: u64,
    pub is_constant: bool,
    pub span: Span,
}

pub(super) struct Checker<'t> {
    text: &'t str,
    tokens: &'t Tokens,
    source: &'t SourceInfo,
    environment: Environment,
    locals: Vec<Local<'t>>,
    constants: Vec<Boxed>,
    faults: Vec<Diagnostic>,
    /// Fields of facts, made at most once in an evaluation, with what that costs.
    fields_read: BTreeMap<(&'t str, usize), u64>,
}

/// Checks the expression against the environment. The first value is there unless the text has a fault.
pub(super) fn check<'t>(
    text: &'t str,
    tokens: &'t Tokens,
    program: &'t cel::Program,
    environment: Environment,
) -> Result<Checked, Vec<Diagnostic>> {
    let mut checker = Checker {
        text,
        tokens,
        source: program.source_info(),
        environment,
        locals: Vec::new(),
        constants: Vec::new(),
        faults: Vec::new(),
        fields_read: BTreeMap::new(),
    };
    let root = checker.check(program.expression());
    checker.check_result(&root);
    let once: u64 = checker.fields_read.values().fold(0, |sum, cost| sum.saturating_add(*cost));
    let cost = root.cost.saturating_add(once);
    if cost > COST_MAX_UNITS {
        checker.report_cost(root.span, cost);
    }
    let (ty, is_constant, span) = (root.ty.clone(), root.depends == 0, root.span);
    let code = checker.settle(root);
    if checker.faults.is_empty() {
        return Ok(Checked { code, constants: checker.constants, ty, cost, is_constant, span });
    }
    checker.faults.sort_by_key(|fault| (fault.span.start, fault.span.end, fault.code));
    Err(checker.faults)
}

impl<'t> Checker<'t> {
    fn report(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.faults.push(Diagnostic::new(self.text, code, span, message.into()));
    }

    fn report_cost(&mut self, span: Span, cost: u64) {
        let estimate =
            if cost == u64::MAX { "more than can be counted".to_owned() } else { format!("{cost} units") };
        let message =
            format!("the expression can cost {estimate}, more than the {COST_MAX_UNITS} that are allowed");
        self.report(Code::TooCostly, span, message);
    }

    /// The part of the text that the node's own token takes. Opening brackets reach to their end.
    fn own_span(&self, id: u64) -> Span {
        let Some((start, stop)) = self.source.offset_for(id) else { return Span::default() };
        let (start, stop) = (start as usize, stop as usize);
        let token = self.tokens.at(start);
        let closed_at = token.and_then(|token| token.closed_at);
        Span { start, end: closed_at.unwrap_or(stop + 1).min(self.text.len()) }
    }

    /// The token after the one that starts at `offset`: the field after a dot.
    fn span_after(&self, offset: usize) -> Option<Span> {
        self.tokens.after(offset).map(|token| token.span)
    }

    fn faulty(span: Span) -> Typed {
        let code = tree::null();
        Typed { ty: Type::Faulty, shape: Shape::SCALAR, cost: 1, code, depends: FACTS, span }
    }

    fn check(&mut self, expr: &'t IdedExpr) -> Typed {
        let typed = match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(name) => self.ident(expr, name),
            Expr::Select(select) => self.select(expr, select),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => self.list(expr, &list.elements),
            Expr::Map(map) => self.map(expr, &map.entries),
            Expr::Struct(message) => {
                let span = self.own_span(expr.id);
                let text = format!("policies do not make objects such as {}", message.type_name);
                self.report(Code::Unsupported, span, text);
                Self::faulty(span)
            }
            Expr::Comprehension(_) | Expr::Unspecified => {
                let span = self.own_span(expr.id);
                self.report(Code::Syntax, span, "this is no expression");
                Self::faulty(span)
            }
        };
        self.bounded(typed)
    }

    /// Reports a node that is too costly, once: what is above it counts it as free.
    fn bounded(&mut self, mut typed: Typed) -> Typed {
        if typed.cost > COST_MAX_UNITS {
            self.report_cost(typed.span, typed.cost);
            typed.cost = 1;
            typed.shape = Shape::SCALAR;
        }
        typed
    }

    fn literal(&mut self, expr: &IdedExpr, literal: &LiteralValue) -> Typed {
        let mut span = self.own_span(expr.id);
        let (ty, shape) = match literal {
            LiteralValue::Boolean(_) => (Type::Bool, Shape::SCALAR),
            LiteralValue::Int(_) => (Type::Int, Shape::SCALAR),
            LiteralValue::UInt(_) => (Type::Uint, Shape::SCALAR),
            LiteralValue::Double(_) => (Type::Double, Shape::SCALAR),
            LiteralValue::Null => (Type::Null, Shape::SCALAR),
            LiteralValue::String(text) => (Type::String, Shape::string(text.inner().len() as u64)),
            LiteralValue::Bytes(bytes) => (Type::Bytes, Shape::string(bytes.inner().len() as u64)),
        };
        // The sign of a number is a token of its own.
        if let Some(before) = self.tokens.before(span.start)
            && matches!(ty, Type::Int | Type::Double)
            && self.text.get(before.span.start..before.span.end) == Some("-")
            && tree::is_negative(literal)
        {
            span.start = before.span.start;
        }
        let code = IdedExpr { id: 0, expr: Expr::Literal(literal.clone()) };
        Typed { ty, shape, cost: 1, code, depends: 0, span }
    }

    fn ident(&mut self, expr: &IdedExpr, name: &'t str) -> Typed {
        let span = self.own_span(expr.id);
        if let Some(local) = self.locals.iter().rev().find(|local| local.name == name) {
            let code = tree::ident(name);
            return Typed {
                ty: local.ty.clone(),
                shape: local.shape.clone(),
                cost: 1,
                code,
                depends: local.bit,
                span,
            };
        }
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some(ty) = self.environment.variable(name) {
            return self.variable(name, ty, span);
        }
        if let Some(named) = tree::type_named(name) {
            let code = tree::ident(named);
            return Typed { ty: Type::Type, shape: Shape::SCALAR, cost: 1, code, depends: 0, span };
        }
        if let Some(number) = bare_value(name) {
            return self.enum_value(Enumeration::AppUserStatus, number, span);
        }
        self.report_undeclared(name, span);
        Self::faulty(span)
    }

    fn variable(&mut self, name: &str, ty: Type, span: Span) -> Typed {
        if let Type::List(_) = ty {
            // `appOwners`: who owns the app of the entitlement.
            let slot = Object::Entitlement.field("appId").map_or(0, |(slot, _)| slot);
            let app_id = tree::index(tree::ident("entitlement"), tree::int(slot));
            let code = tree::ask(Question::AppOwners, vec![app_id]);
            let shape = Shape::list(super::cost::LIST_MAX as u64, Shape::SCALAR);
            let cost = super::cost::DIRECTORY_CALL_UNITS + shape.make();
            return Typed { ty, shape, cost, code, depends: FACTS, span };
        }
        Typed { ty, shape: Shape::SCALAR, cost: 1, code: tree::ident(name), depends: FACTS, span }
    }

    fn report_undeclared(&mut self, name: &str, span: Span) {
        let environment = self.environment;
        let hint =
            if let Some(elsewhere) = Environment::ALL.iter().find(|other| other.variable(name).is_some()) {
                format!("; it is declared for {} only", elsewhere.name())
            } else if name == "user" {
                "; the person in question is subject".to_owned()
            } else if name == "ctx" {
                "; it is declared for automations only".to_owned()
            } else if library::is_namespace(name) {
                format!("; {name} is where functions live")
            } else if Enumeration::named(name).is_some() {
                format!("; write a value of it, such as {name}.{}", "ENABLED")
            } else {
                let locals = self.locals.iter().map(|local| local.name);
                let declared = environment.variables();
                let known = declared.iter().map(|(name, _)| *name).chain(locals);
                nearest(name, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default()
            };
        self.report(Code::UndeclaredVariable, span, format!("there is no variable {name}{hint}"));
    }

    fn enum_value(&mut self, enumeration: Enumeration, number: u8, span: Span) -> Typed {
        let code = self.constant(Box::new(EnumValue { enumeration, number }));
        Typed { ty: Type::Enum(enumeration), shape: Shape::SCALAR, cost: 1, code, depends: 0, span }
    }

    fn select(&mut self, expr: &'t IdedExpr, select: &'t SelectExpr) -> Typed {
        let dot = self.own_span(expr.id);
        let field_span = self.span_after(dot.start).unwrap_or(dot);
        if let Expr::Ident(name) = &select.operand.expr
            && !self.is_declared(name)
            && let Some(enumeration) = Enumeration::named(name.trim_start_matches('.'))
        {
            let span = self.own_span(select.operand.id).join(field_span);
            let Some(number) = enumeration.value(&select.field) else {
                self.report_enum_value(enumeration, &select.field, field_span);
                return Self::faulty(span);
            };
            return self.enum_value(enumeration, number, span);
        }
        let operand = self.check(&select.operand);
        let span = operand.span.join(field_span);
        self.field(operand, &select.field, field_span, span)
    }

    fn is_declared(&self, name: &str) -> bool {
        self.locals.iter().any(|local| local.name == name) || self.environment.variable(name).is_some()
    }

    fn report_enum_value(&mut self, enumeration: Enumeration, field: &str, span: Span) {
        let known = enumeration.values();
        let hint = nearest(field, known.iter().copied()).map(|near| format!("; did you mean {near}?"));
        let all = || format!("; there are {}", known.join(", "));
        let message = format!("{} has no value {field}{}", enumeration.name(), hint.unwrap_or_else(all));
        self.report(Code::UndeclaredEnumValue, span, message);
    }

    /// `operand.name`.
    fn field(&mut self, operand: Typed, name: &str, field_span: Span, span: Span) -> Typed {
        let ty = operand.ty.clone();
        match &ty {
            Type::Object(object) => self.object_field(operand, *object, name, field_span, span),
            Type::Map(key, value) if key.is_open() || **key == Type::String => {
                let shape = tree::value_shape(value);
                self.indexed(operand, tree::string(name), Type::clone(value), shape, span)
            }
            Type::Ip if IP_FIELDS.contains(&name) => {
                self.indexed(operand, tree::string(name), Type::Bool, Shape::SCALAR, span)
            }
            Type::Faulty => Typed { span, ..operand },
            open if open.is_open() => {
                self.indexed(operand, tree::string(name), Type::Dyn, Shape::declared(&Type::Dyn), span)
            }
            _ => {
                let known = if ty == Type::Ip { IP_FIELDS } else { &[] };
                let hint = nearest(name, known.iter().copied()).map(|near| format!("; did you mean {near}?"));
                let message = format!("{ty} has no field {name}{}", hint.unwrap_or_default());
                self.report(Code::UndeclaredField, field_span, message);
                Self::faulty(span)
            }
        }
    }

    fn object_field(
        &mut self,
        operand: Typed,
        object: Object,
        name: &str,
        field_span: Span,
        span: Span,
    ) -> Typed {
        let Some((slot, field)) = object.field(name) else {
            let known = object.fields().iter().map(|field| field.name);
            let hint = nearest(name, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            self.report(
                Code::UndeclaredField,
                field_span,
                format!("{} has no field {name}{hint}", object.name()),
            );
            return Self::faulty(span);
        };
        let ty = field.ty();
        let shape = Shape::of_field(field.kind, &ty);
        let mut make = shape.make();
        if let (Expr::Ident(_), Some(fact)) =
            (&operand.code.expr, self.text.get(operand.span.start..operand.span.end))
            && operand.depends == FACTS
        {
            self.fields_read.insert((fact.trim_start_matches('.'), slot), make);
            make = 0;
        }
        let mut typed = self.indexed(operand, tree::int(slot), ty, shape, span);
        typed.cost = typed.cost.saturating_add(make);
        typed
    }

    fn indexed(&mut self, operand: Typed, key: IdedExpr, ty: Type, shape: Shape, span: Span) -> Typed {
        let (cost, depends) = (operand.cost.saturating_add(2), operand.depends);
        let code = tree::index(operand.code, key);
        Typed { ty, shape, cost, code, depends, span }
    }

    fn list(&mut self, expr: &'t IdedExpr, elements: &'t [IdedExpr]) -> Typed {
        let span = self.own_span(expr.id);
        let mut ty = Type::Unknown;
        let mut shape = Shape { length: 0, bytes: 0, element: None };
        let mut parts = Vec::with_capacity(elements.len());
        for element in elements {
            let element = self.check(element);
            ty = ty.join(&element.ty).unwrap_or(Type::Dyn);
            shape = shape.concat(&Shape::list(1, element.shape.clone()));
            parts.push(element);
        }
        let (parts, cost, depends) = self.combine(parts);
        let cost = cost.saturating_add(shape.make());
        Typed { ty: Type::list(ty), shape, cost, code: tree::list(parts), depends, span }
    }

    fn map(&mut self, expr: &'t IdedExpr, entries: &'t [cel::common::ast::IdedEntryExpr]) -> Typed {
        let span = self.own_span(expr.id);
        let (mut key_ty, mut value_ty) = (Type::Unknown, Type::Unknown);
        let mut shape = Shape { length: 0, bytes: 0, element: None };
        let mut parts = Vec::with_capacity(entries.len() * 2);
        for entry in entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let (key, value) = (self.check(&entry.key), self.check(&entry.value));
            if !matches!(key.ty, Type::Bool | Type::Int | Type::Uint | Type::String) && !key.ty.is_open() {
                let message = format!("the key of a map is bool, int, uint or string, not {}", key.ty);
                self.report(Code::WrongArgumentType, key.span, message);
            }
            key_ty = key_ty.join(&key.ty).unwrap_or(Type::Dyn);
            value_ty = value_ty.join(&value.ty).unwrap_or(Type::Dyn);
            let mut one = Shape::list(1, key.shape.clone());
            one.bytes = one.bytes.saturating_add(value.shape.bytes);
            shape = shape.concat(&one);
            parts.extend([key, value]);
        }
        let (parts, cost, depends) = self.combine(parts);
        let cost = cost.saturating_add(shape.make().saturating_mul(2));
        let code = tree::call("@map", vec![tree::list(parts)]);
        Typed { ty: Type::map(key_ty, value_ty), shape, cost, code, depends, span }
    }

    /// The code of the parts, the sum of their costs, and all that they depend on. Constant parts of what is not constant
    /// are worked out now.
    fn combine(&mut self, parts: Vec<Typed>) -> (Vec<IdedExpr>, u64, u64) {
        let cost = parts.iter().fold(1_u64, |sum, part| sum.saturating_add(part.cost));
        let depends = parts.iter().fold(0, |all, part| all | part.depends);
        let code = parts.into_iter();
        let code = code.map(|part| if depends == 0 { part.code } else { self.settle(part) }).collect();
        (code, cost, depends)
    }

    /// The code of a part, worked out if it is constant. One that fails is left for the evaluation: another part may
    /// keep it from being evaluated at all.
    fn settle(&mut self, part: Typed) -> IdedExpr {
        let worth_it = matches!(part.code.expr, Expr::Call(_) | Expr::List(_) | Expr::Comprehension(_));
        if part.depends != 0 || part.cost > FOLD_MAX_UNITS || !worth_it || !self.faults.is_empty() {
            return part.code;
        }
        match self.constant_value(&part.code) {
            Ok(value) => self.constant(value),
            Err(_) => part.code,
        }
    }

    fn constant_value(&self, code: &IdedExpr) -> Result<Boxed, EvalError> {
        evaluate::run(code, &self.constants, None, record::detach)
    }

    /// Keeps a constant; the code that reads it.
    fn constant(&mut self, value: Boxed) -> IdedExpr {
        self.constants.push(value);
        tree::ident(&format!("{CONSTANT_PREFIX}{}", self.constants.len() - 1))
    }

    fn check_result(&mut self, root: &Typed) {
        let user = Type::Object(Object::User);
        let fits = match self.environment {
            Environment::Condition | Environment::Invariant => matches!(root.ty, Type::Bool | Type::Faulty),
            Environment::Approver => {
                root.ty == user
                    || root.ty == Type::Faulty
                    || matches!(&root.ty, Type::List(of) if **of == user || matches!(**of, Type::Unknown | Type::Faulty))
            }
            Environment::AccountTest => true,
        };
        if fits {
            return;
        }
        let (what, wanted) = match self.environment {
            Environment::Approver => ("an approver expression", "a User or a list(User)"),
            Environment::Invariant => ("an invariant", "a bool"),
            _ => ("a condition", "a bool"),
        };
        let hint = match (&root.ty, self.environment) {
            (Type::Dyn, Environment::Condition | Environment::Invariant) => "; compare it, as in == true",
            _ => "",
        };
        let message = format!("{what} gives {wanted}, not {}{hint}", root.ty);
        self.report(Code::WrongResultType, root.span, message);
    }
}

/// The levels of a tree: 1 for a leaf.
pub(super) fn levels(code: &IdedExpr) -> usize {
    let deepest = |parts: &[IdedExpr]| parts.iter().map(levels).max().unwrap_or(0);
    let below = match &code.expr {
        Expr::Call(call) => deepest(&call.args).max(call.target.as_ref().map_or(0, |target| levels(target))),
        Expr::List(list) => deepest(&list.elements),
        Expr::Select(select) => levels(&select.operand),
        Expr::Comprehension(walk) => levels(&walk.iter_range).max(levels(&walk.loop_step)),
        _ => 0,
    };
    below + 1
}

/// `APP_USER_STATUS_ENABLED` and its like stand without the name of their enumeration.
fn bare_value(name: &str) -> Option<u8> {
    let enumeration = Enumeration::AppUserStatus;
    if name.starts_with(enumeration.prefix()) { enumeration.value(name) } else { None }
}

/// The declared size of a list of people.
fn members() -> Shape {
    Shape::list(MEMBERS_MAX as u64, Shape::SCALAR)
}
