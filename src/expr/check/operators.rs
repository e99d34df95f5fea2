//! The operators: which types they take, what they give, what they cost.

use cel::common::ast::{CallExpr, operators};

use super::tree;
use super::{Checker, Typed};
use crate::expr::cost::Shape;
use crate::expr::diagnostic::{Code, Span};
use crate::expr::schema::{Object, Type};

/// The operator as it is written, if the name is that of one.
pub(super) fn written(name: &str) -> Option<&'static str> {
    Some(match name {
        operators::CONDITIONAL => "?:",
        operators::LOGICAL_AND => "&&",
        operators::LOGICAL_OR => "||",
        operators::LOGICAL_NOT => "!",
        operators::SUBSTRACT | operators::NEGATE => "-",
        operators::ADD => "+",
        operators::MULTIPLY => "*",
        operators::DIVIDE => "/",
        operators::MODULO => "%",
        operators::EQUALS => "==",
        operators::NOT_EQUALS => "!=",
        operators::GREATER_EQUALS => ">=",
        operators::LESS_EQUALS => "<=",
        operators::GREATER => ">",
        operators::LESS => "<",
        operators::INDEX => "[]",
        operators::IN => "in",
        _ => return None,
    })
}

const NUMBERS: [Type; 3] = [Type::Int, Type::Uint, Type::Double];

fn is_number(ty: &Type) -> bool {
    NUMBERS.contains(ty)
}

fn is_ordered(ty: &Type) -> bool {
    is_number(ty) || matches!(ty, Type::Bool | Type::String | Type::Bytes | Type::Timestamp | Type::Duration)
}

/// What an arithmetic operator gives for these types, none of them open.
fn arithmetic(sign: &str, left: &Type, right: &Type) -> Option<Type> {
    use Type::{Bytes, Double, Duration, Int, String, Timestamp, Uint};
    Some(match (sign, left, right) {
        ("+" | "-" | "*" | "/" | "%", Int, Int) => Int,
        ("+" | "-" | "*" | "/" | "%", Uint, Uint) => Uint,
        ("+" | "-" | "*" | "/", Double, Double) => Double,
        ("+", String, String) => String,
        ("+", Bytes, Bytes) => Bytes,
        ("+", Type::List(_), Type::List(_)) => left.join(right).unwrap_or(Type::list(Type::Dyn)),
        ("+" | "-", Timestamp, Duration) | ("+", Duration, Timestamp) => Timestamp,
        ("+" | "-", Duration, Duration) | ("-", Timestamp, Timestamp) => Duration,
        _ => return None,
    })
}

impl<'t> Checker<'t> {
    pub(super) fn operator(&mut self, call: &'t CallExpr, sign: &'static str, own: Span) -> Typed {
        let mut parts: Vec<Typed> = call.args.iter().map(|argument| self.check(argument)).collect();
        let span = parts.iter().fold(own, |span, part| span.join(part.span));
        if sign == "?:" {
            return self.conditional(parts, span);
        }
        let (ty, shape, own_cost) = match parts.as_mut_slice() {
            [one] => self.unary(sign, one),
            [left, right] => self.binary(sign, left, right, span),
            _ => (Type::Faulty, Shape::SCALAR, 0),
        };
        let (code, cost, depends) = self.combine(parts);
        let cost = cost.saturating_add(own_cost);
        Typed { ty, shape, cost, code: tree::call(&call.func_name, code), depends, span }
    }

    fn unary(&mut self, sign: &str, one: &Typed) -> (Type, Shape, u64) {
        let fits = match sign {
            "!" => one.ty == Type::Bool,
            _ => matches!(one.ty, Type::Int | Type::Double),
        };
        let given = if sign == "!" { Type::Bool } else { one.ty.clone() };
        if !fits && !one.ty.is_open() {
            self.report(Code::WrongArgumentType, one.span, format!("{sign} does not take {}", one.ty));
            return (Type::Faulty, Shape::SCALAR, 0);
        }
        (given, Shape::SCALAR, 0)
    }

    fn binary(&mut self, sign: &str, left: &Typed, right: &Typed, span: Span) -> (Type, Shape, u64) {
        match sign {
            "&&" | "||" => {
                for side in [left, right] {
                    if side.ty != Type::Bool && !side.ty.is_open() {
                        let message = format!("{sign} takes conditions, not {}", side.ty);
                        self.report(Code::WrongArgumentType, side.span, message);
                    }
                }
                (Type::Bool, Shape::SCALAR, 0)
            }
            "==" | "!=" => self.equality(sign, left, right, span),
            "<" | "<=" | ">" | ">=" => self.ordering(sign, left, right, span),
            "in" => self.membership(left, right, span),
            "[]" => self.index(left, right),
            _ => self.arithmetic(sign, left, right, span),
        }
    }

    fn equality(&mut self, sign: &str, left: &Typed, right: &Typed, span: Span) -> (Type, Shape, u64) {
        if left.ty.join(&right.ty).is_none() {
            let message =
                format!("{sign} compares {} with {}{}", left.ty, right.ty, hint(&left.ty, &right.ty));
            self.report(Code::WrongArgumentType, span, message);
        }
        (Type::Bool, Shape::SCALAR, left.shape.compare(&right.shape))
    }

    fn ordering(&mut self, sign: &str, left: &Typed, right: &Typed, span: Span) -> (Type, Shape, u64) {
        let alone = |ty: &Type| ty.is_open() || is_ordered(ty);
        let both_numbers = is_number(&left.ty) && is_number(&right.ty);
        let same = left.ty == right.ty || left.ty.is_open() || right.ty.is_open();
        if !(alone(&left.ty) && alone(&right.ty) && (same || both_numbers)) {
            let message =
                format!("{sign} does not order {} and {}{}", left.ty, right.ty, hint(&left.ty, &right.ty));
            self.report(Code::WrongArgumentType, span, message);
        }
        (Type::Bool, Shape::SCALAR, left.shape.compare(&right.shape))
    }

    fn membership(&mut self, left: &Typed, right: &Typed, span: Span) -> (Type, Shape, u64) {
        let element = right.shape.element();
        let (fits, length) = match &right.ty {
            Type::List(of) => (left.ty.join(of).is_some(), right.shape.length),
            // Finding a key looks at some ten of them.
            Type::Map(key, _) => (left.ty.join(key).is_some(), 10),
            open => (open.is_open(), right.shape.count()),
        };
        if !fits {
            let inner = if let Type::List(of) = &right.ty { hint(&left.ty, of) } else { "" };
            let message = format!("in does not look for {} in {}{inner}", left.ty, right.ty);
            self.report(Code::WrongArgumentType, span, message);
        }
        (Type::Bool, Shape::SCALAR, length.saturating_mul(element.compare(&left.shape)))
    }

    fn index(&mut self, left: &Typed, right: &Typed) -> (Type, Shape, u64) {
        let (wanted, ty) = match &left.ty {
            Type::List(of) => (Type::Int, Type::clone(of)),
            Type::Map(key, value) => (Type::clone(key), Type::clone(value)),
            open if open.is_open() => (Type::Dyn, open.clone()),
            other => {
                let hint =
                    if matches!(other, Type::Object(_)) { "; write the field after a dot" } else { "" };
                let message = format!("{other} has no elements to pick by []{hint}");
                self.report(Code::WrongArgumentType, left.span, message);
                return (Type::Faulty, Shape::SCALAR, 0);
            }
        };
        if wanted.join(&right.ty).is_none() {
            let message = format!("{} is picked from by {wanted}, not by {}", left.ty, right.ty);
            self.report(Code::WrongArgumentType, right.span, message);
        }
        let shape =
            if matches!(left.ty, Type::List(_)) { left.shape.element() } else { tree::value_shape(&ty) };
        (ty, shape, 10)
    }

    fn arithmetic(&mut self, sign: &str, left: &Typed, right: &Typed, span: Span) -> (Type, Shape, u64) {
        let shape = if sign == "+" { left.shape.concat(&right.shape) } else { Shape::SCALAR };
        let ty = match (left.ty.is_open(), right.ty.is_open()) {
            (false, false) => arithmetic(sign, &left.ty, &right.ty),
            _ if matches!((&left.ty, &right.ty), (Type::Faulty, _) | (_, Type::Faulty)) => Some(Type::Faulty),
            (true, true) => Some(Type::Dyn),
            (true, false) => guess(sign, &right.ty),
            (false, true) => guess(sign, &left.ty),
        };
        let Some(ty) = ty else {
            let message =
                format!("{sign} does not take {} and {}{}", left.ty, right.ty, hint(&left.ty, &right.ty));
            self.report(Code::WrongArgumentType, span, message);
            return (Type::Faulty, Shape::SCALAR, 0);
        };
        let scalar = is_number(&ty) || matches!(ty, Type::Timestamp | Type::Duration);
        let shape = if scalar { Shape::SCALAR } else { shape };
        let cost = shape.make();
        (ty, shape, cost)
    }

    fn conditional(&mut self, parts: Vec<Typed>, span: Span) -> Typed {
        let [condition, yes, no] = parts.as_slice() else { return Self::faulty(span) };
        if condition.ty != Type::Bool && !condition.ty.is_open() {
            let message = format!("the condition before ? is a bool, not {}", condition.ty);
            self.report(Code::WrongArgumentType, condition.span, message);
        }
        let ty = yes.ty.join(&no.ty);
        if ty.is_none() {
            let message = format!("one arm gives {}, the other {}", yes.ty, no.ty);
            self.report(Code::ArmsDiffer, yes.span.join(no.span), message);
        }
        let ty = ty.unwrap_or(Type::Faulty);
        let shape = yes.shape.join(&no.shape);
        let cost = condition.cost.saturating_add(yes.cost.max(no.cost)).saturating_add(1);
        let (code, _, depends) = self.combine(parts);
        Typed { ty, shape, cost, code: tree::call(operators::CONDITIONAL, code), depends, span }
    }
}

/// What an operator gives when one side is known only at run time and the other is `known`.
fn guess(sign: &str, known: &Type) -> Option<Type> {
    let all =
        [Type::Int, Type::Uint, Type::Double, Type::String, Type::Bytes, Type::Timestamp, Type::Duration];
    if let ("+", Type::List(_)) = (sign, known) {
        return Some(Type::list(Type::Dyn));
    }
    let sides = all.iter().flat_map(|other| [arithmetic(sign, known, other), arithmetic(sign, other, known)]);
    let mut given = sides.flatten();
    let first = given.next()?;
    Some(if given.all(|other| other == first) { first } else { Type::Dyn })
}

/// What to write instead, for slips that are made often.
fn hint(left: &Type, right: &Type) -> &'static str {
    match (left, right) {
        (Type::Enum(_), Type::String) | (Type::String, Type::Enum(_)) => {
            "; write a value of the enumeration without quotes, as in UserStatus.ENABLED"
        }
        (Type::Object(_), Type::String) | (Type::String, Type::Object(_)) => {
            "; compare one of its fields, such as id"
        }
        (Type::Object(Object::AppUserStatus), Type::Enum(_))
        | (Type::Enum(_), Type::Object(Object::AppUserStatus)) => "; the enumeration is its field status",
        (Type::Int, Type::Double) | (Type::Double, Type::Int) => "; convert with double() or int()",
        (Type::Timestamp, Type::String) | (Type::String, Type::Timestamp) => {
            "; write timestamp(\"...\") around the text"
        }
        (Type::Duration, Type::String) | (Type::String, Type::Duration) => {
            "; write duration(\"...\") around the text"
        }
        _ => "",
    }
}
