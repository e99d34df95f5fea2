//! Reads the tree that is evaluated: operators become formulas, comparisons with constants become tests, and the rest
//! becomes terms that are known by their text.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use cel::common::types::CelList;
use cel::common::value::Val;

use super::{Formula, Kind, Relation, Term, Test};
use crate::expr::evaluate::{CONSTANT_PREFIX, NOW_VARIABLE};
use crate::expr::record::{Boxed, Pattern};
use crate::expr::schema::{Enumeration, Object, Type};
use crate::expr::value::Value;

/// Functions of one text that never fail, and what they give.
const OF_TEXT: &[(&str, Kind)] = &[
    ("size", Kind::Integer),
    ("lowerAscii", Kind::Text),
    ("upperAscii", Kind::Text),
    ("trim", Kind::Text),
    ("@if_empty", Kind::Text),
];

/// Functions that give a number without a fraction.
const INTEGERS: &[&str] = &[
    "size",
    "indexOf",
    "lastIndexOf",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];

pub(super) struct Reader<'p> {
    constants: &'p [Boxed],
}

/// A term on the way, with its static type where it is known.
struct Read {
    term: Term,
    ty: Option<Type>,
}

impl<'p> Reader<'p> {
    pub fn new(constants: &'p [Boxed]) -> Self {
        Self { constants }
    }

    pub fn formula(&self, code: &IdedExpr) -> Formula {
        if let Some(Value::Bool(known)) = self.constant(code) {
            return Formula::Known(known);
        }
        match &code.expr {
            Expr::Call(call) => self.call(code, call),
            Expr::Select(select) if select.test => {
                let mut term = self.keyed(&select.operand, &select.field).term;
                // The term is what is read under the key; asking for the key fails only with what is asked.
                term.can_fail = true;
                Formula::Test(Test { term, relation: Relation::Present })
            }
            _ => self.holds(code),
        }
    }

    fn holds(&self, code: &IdedExpr) -> Formula {
        Formula::Test(Test { term: self.term(code), relation: Relation::Holds })
    }

    fn call(&self, code: &IdedExpr, call: &CallExpr) -> Formula {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let each = || arguments.iter().map(|argument| self.formula(argument)).collect::<Vec<_>>();
        let swapped = |name: &str| match name {
            operators::LESS => operators::GREATER,
            operators::LESS_EQUALS => operators::GREATER_EQUALS,
            operators::GREATER => operators::LESS,
            operators::GREATER_EQUALS => operators::LESS_EQUALS,
            _ => operators::EQUALS,
        };
        let not = |formula| Formula::Not(Box::new(formula));
        match (call.func_name.as_str(), arguments.as_slice()) {
            (operators::LOGICAL_AND, [_, _]) => Formula::All(each()),
            (operators::LOGICAL_OR, [_, _]) => Formula::Any(each()),
            (operators::LOGICAL_NOT, [one]) => not(self.formula(one)),
            (operators::CONDITIONAL, [condition, yes, no]) => {
                Formula::If(Box::new([self.formula(condition), self.formula(yes), self.formula(no)]))
            }
            (operators::NOT_EQUALS, [left, right]) => self
                .compared(operators::EQUALS, left, right)
                .or_else(|| self.compared(operators::EQUALS, right, left))
                .map_or_else(|| not(self.same(left, right)), not),
            (
                name @ (operators::EQUALS
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS),
                [left, right],
            ) => self
                .compared(name, left, right)
                .or_else(|| self.compared(swapped(name), right, left))
                .unwrap_or_else(|| {
                    if name == operators::EQUALS { self.same(left, right) } else { self.holds(code) }
                }),
            (operators::IN, [left, right]) => self.member(left, right).unwrap_or_else(|| self.holds(code)),
            ("startsWith" | "endsWith" | "@contains", [whole, part]) => {
                self.part(&call.func_name, whole, part).unwrap_or_else(|| self.holds(code))
            }
            ("@matches", [whole, pattern]) => match self.pattern(pattern) {
                Some(text) => {
                    Formula::Test(Test { term: self.term(whole), relation: Relation::Matches(text) })
                }
                None => self.holds(code),
            },
            ("@has", [record, slot]) => self.has(code, record, slot),
            _ => self.holds(code),
        }
    }

    /// A comparison with a constant on the right.
    fn compared(&self, name: &str, left: &IdedExpr, right: &IdedExpr) -> Option<Formula> {
        let constant = self.constant(right).filter(is_scalar)?;
        let term = self.term(left);
        let ordered = matches!(
            constant,
            Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Timestamp(_) | Value::Duration(_)
        );
        let relation = match name {
            operators::EQUALS => Relation::Is(constant),
            _ if !ordered => return None,
            operators::LESS | operators::GREATER_EQUALS => Relation::Below(constant),
            _ => Relation::AtMost(constant),
        };
        let test = Formula::Test(Test { term, relation });
        Some(match name {
            operators::GREATER | operators::GREATER_EQUALS => Formula::Not(Box::new(test)),
            _ => test,
        })
    }

    /// `left == right` without a constant: a test by itself, whichever stands first.
    fn same(&self, left: &IdedExpr, right: &IdedExpr) -> Formula {
        let (left, right) = (self.term(left), self.term(right));
        let can_fail = left.can_fail || right.can_fail;
        let (first, second) =
            if left.text <= right.text { (left.text, right.text) } else { (right.text, left.text) };
        let term = Term { text: format!("(== {first} {second})"), kind: Kind::Bool, can_fail, path: None };
        Formula::Test(Test { term, relation: Relation::Holds })
    }

    /// `left in [constants]`.
    fn member(&self, left: &IdedExpr, right: &IdedExpr) -> Option<Formula> {
        let values: Vec<Value> = match (self.constant(right), &right.expr) {
            (Some(Value::List(values)), _) => values,
            (None, Expr::List(list)) => {
                list.elements.iter().map(|element| self.constant(element)).collect::<Option<_>>()?
            }
            _ => return None,
        };
        if !values.iter().all(is_scalar) || values.is_empty() {
            return None;
        }
        let term = self.term(left);
        let is = |value| Formula::Test(Test { term: term.clone(), relation: Relation::Is(value) });
        Some(Formula::Any(values.into_iter().map(is).collect()))
    }

    fn part(&self, name: &str, whole: &IdedExpr, part: &IdedExpr) -> Option<Formula> {
        let Value::String(part) = self.constant(part)? else { return None };
        let term = self.term(whole);
        if !matches!(term.kind, Kind::Text | Kind::Open) {
            return None;
        }
        let relation = match name {
            "startsWith" => Relation::StartsWith(part),
            "endsWith" => Relation::EndsWith(part),
            _ => Relation::Contains(part),
        };
        Some(Formula::Test(Test { term, relation }))
    }

    /// `has()` of a declared field: it differs from its default.
    fn has(&self, code: &IdedExpr, record: &IdedExpr, slot: &IdedExpr) -> Formula {
        let Some(Value::Int(slot)) = self.constant(slot) else { return self.holds(code) };
        let field = self.field(self.read(record), slot);
        let test = |relation| Formula::Test(Test { term: field.term.clone(), relation });
        let differs_from = |value| Formula::Not(Box::new(test(Relation::Is(value))));
        match field.term.kind {
            Kind::Text => differs_from(Value::String(String::new())),
            Kind::Enum(enumeration) => differs_from(Value::Enum(enumeration, 0)),
            Kind::Bool => test(Relation::Holds),
            _ => {
                let text = format!("(has {})", field.term.text);
                let term = Term { text, kind: Kind::Bool, can_fail: field.term.can_fail, path: None };
                Formula::Test(Test { term, relation: Relation::Holds })
            }
        }
    }

    fn pattern(&self, code: &IdedExpr) -> Option<String> {
        let pattern = self.kept(code)?.downcast_ref::<Pattern>()?;
        Some(pattern.0.as_str().to_owned())
    }

    /// The constant that a name stands for.
    fn kept(&self, code: &IdedExpr) -> Option<&dyn Val> {
        let Expr::Ident(name) = &code.expr else { return None };
        let index: usize = name.strip_prefix(CONSTANT_PREFIX)?.parse().ok()?;
        self.constants.get(index).map(AsRef::as_ref)
    }

    fn constant(&self, code: &IdedExpr) -> Option<Value> {
        match &code.expr {
            Expr::Literal(literal) => Some(match literal {
                LiteralValue::Null => Value::Null,
                LiteralValue::Boolean(value) => Value::Bool(*value.inner()),
                LiteralValue::Int(value) => Value::Int(*value.inner()),
                LiteralValue::UInt(value) => Value::Uint(*value.inner()),
                LiteralValue::Double(value) => Value::Double(*value.inner()),
                LiteralValue::String(value) => Value::String(value.inner().to_owned()),
                LiteralValue::Bytes(value) => Value::Bytes(value.inner().to_vec()),
            }),
            _ => {
                let kept = self.kept(code)?;
                if kept.downcast_ref::<CelList>().is_some_and(|list| list.inner().is_empty()) {
                    return Some(Value::List(Vec::new()));
                }
                Value::read(kept)
            }
        }
    }

    fn term(&self, code: &IdedExpr) -> Term {
        self.read(code).term
    }

    fn read(&self, code: &IdedExpr) -> Read {
        match &code.expr {
            Expr::Ident(name) => self.ident(name),
            Expr::Call(call) if call.func_name == operators::INDEX && call.args.len() == 2 => {
                self.indexed(code, call)
            }
            Expr::Call(call) => self.called(code, call),
            _ => self.opaque(code),
        }
    }

    fn ident(&self, name: &str) -> Read {
        let object = match name {
            "subject" => Object::User,
            "account" => Object::AppUser,
            "entitlement" => Object::Entitlement,
            "task" => Object::Task,
            "outcome" => Object::Outcome,
            _ => {
                let now = name == NOW_VARIABLE;
                let kind = if now { Kind::Timestamp } else { Kind::Open };
                let path = now.then(|| vec!["now".to_owned()]);
                let term = Term { text: name.to_owned(), kind, can_fail: !now, path };
                return Read { term, ty: None };
            }
        };
        let path = Some(vec![name.to_owned()]);
        let term = Term { text: name.to_owned(), kind: Kind::Open, can_fail: false, path };
        Read { term, ty: Some(Type::Object(object)) }
    }

    /// A field of an object, or a key of a map.
    fn indexed(&self, code: &IdedExpr, call: &CallExpr) -> Read {
        let [operand, key] = call.args.as_slice() else { return self.opaque(code) };
        match self.constant(key) {
            Some(Value::Int(slot)) => {
                let operand = self.read(operand);
                if matches!(operand.ty, Some(Type::Object(_))) {
                    self.field(operand, slot)
                } else {
                    self.opaque(code)
                }
            }
            Some(Value::String(key)) => self.keyed(operand, &key),
            _ => self.opaque(code),
        }
    }

    fn field(&self, operand: Read, slot: i64) -> Read {
        let Read { term, ty } = operand;
        let field = match &ty {
            Some(Type::Object(object)) => {
                usize::try_from(slot).ok().and_then(|slot| object.fields().get(slot))
            }
            _ => None,
        };
        let Some(field) = field else {
            let text = format!("([] {} {slot})", term.text);
            return Read { term: Term { text, kind: Kind::Open, can_fail: true, path: None }, ty: None };
        };
        let ty = field.ty();
        let path = term.path.map(|mut path| {
            path.push(field.name.to_owned());
            path
        });
        let text = format!("{}.{}", term.text, field.name);
        Read { term: Term { text, kind: kind(&ty), can_fail: term.can_fail, path }, ty: Some(ty) }
    }

    fn keyed(&self, operand: &IdedExpr, key: &str) -> Read {
        let Read { term, ty } = self.read(operand);
        let ty = match ty {
            Some(Type::Map(_, value)) => Some(Type::clone(&value)),
            Some(Type::Dyn) => Some(Type::Dyn),
            _ => None,
        };
        let path = if ty.is_some() { term.path } else { None };
        let path = path.map(|mut path| {
            path.push(key.to_owned());
            path
        });
        let text = format!("{}[{key:?}]", term.text);
        let kind = ty.as_ref().map_or(Kind::Open, kind);
        Read { term: Term { text, kind, can_fail: true, path }, ty }
    }

    fn called(&self, code: &IdedExpr, call: &CallExpr) -> Read {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let name = call.func_name.as_str();
        let known = OF_TEXT.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        let first = arguments.first().map(|first| self.term(first));
        let rest_constant = arguments.iter().skip(1).all(|argument| self.constant(argument).is_some());
        let mut read = self.opaque(code);
        match (known, first) {
            (Some(kind), Some(first)) if first.kind == Kind::Text && rest_constant => {
                read.term.kind = kind;
                read.term.can_fail = first.can_fail;
            }
            _ if INTEGERS.contains(&name) => read.term.kind = Kind::Integer,
            _ => {}
        }
        read
    }

    fn opaque(&self, code: &IdedExpr) -> Read {
        let mut text = String::new();
        self.write(code, &mut text);
        Read { term: Term { text, kind: Kind::Open, can_fail: true, path: None }, ty: None }
    }

    /// The text of a part: equal for equal parts only.
    fn write(&self, code: &IdedExpr, text: &mut String) {
        let mut list = |head: &str, parts: &[&IdedExpr]| {
            text.push('(');
            text.push_str(head);
            for part in parts {
                text.push(' ');
                self.write(part, text);
            }
            text.push(')');
        };
        match &code.expr {
            Expr::Ident(_) if self.kept(code).is_some() => {
                let pattern = self.pattern(code).map(|pattern| format!("pattern {pattern:?}"));
                let value = pattern.or_else(|| self.constant(code).map(|value| format!("{value:?}")));
                // A constant that cannot be shown equals nothing but itself, which its place tells.
                let place = || {
                    format!(
                        "{:p}",
                        self.kept(code)
                            .map_or(std::ptr::null(), |kept| std::ptr::from_ref(kept).cast::<()>())
                    )
                };
                list(&value.unwrap_or_else(place), &[]);
            }
            Expr::Ident(name) => list(name, &[]),
            Expr::Literal(_) => list(&format!("{:?}", self.constant(code)), &[]),
            Expr::Call(call) => {
                let parts: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
                list(&format!("{}{}", call.func_name, if call.target.is_some() { "." } else { "" }), &parts);
            }
            Expr::List(inner) => list("list", &inner.elements.iter().collect::<Vec<_>>()),
            Expr::Select(select) => {
                list(&format!("select {} {:?}", select.test, select.field), &[&select.operand]);
            }
            Expr::Comprehension(walk) => {
                let parts =
                    [&walk.iter_range, &walk.accu_init, &walk.loop_cond, &walk.loop_step, &walk.result];
                list(&format!("walk {} {}", walk.iter_var, walk.accu_var), &parts);
            }
            // The checker makes nothing else.
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => list(&format!("{code:?}"), &[]),
        }
    }
}

/// Whether tests can compare it: a value that equals no value of another type but numbers.
fn is_scalar(value: &Value) -> bool {
    match value {
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::Duration(_)
        | Value::Enum(..) => true,
        Value::Double(number) => !number.is_nan(),
        Value::Bytes(_)
        | Value::Type(_)
        | Value::Ip(_)
        | Value::Cidr(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::User(_)
        | Value::Object(..) => false,
    }
}

fn kind(ty: &Type) -> Kind {
    match ty {
        Type::Bool => Kind::Bool,
        Type::Int | Type::Uint => Kind::Integer,
        Type::Double => Kind::Number,
        Type::String => Kind::Text,
        Type::Timestamp => Kind::Timestamp,
        Type::Duration => Kind::Duration,
        Type::Enum(Enumeration::TimeFormat) => Kind::Open,
        Type::Enum(enumeration) => Kind::Enum(*enumeration),
        _ => Kind::Open,
    }
}
