//! The macros: `has`, and the loops over lists and maps. They are checked before they are expanded, so that every fault is
//! at the place where it was written.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr};

use super::tree::{self, Walk};
use super::{Checker, Local, Typed};
use crate::expr::cost::Shape;
use crate::expr::diagnostic::{Code, Span};
use crate::expr::schema::Type;

/// The deepest nesting of loops: each takes a bit in `depends`.
const LOOPS_MAX: usize = 60;

pub(super) fn walk_named(name: &str) -> Option<Walk> {
    Some(match name {
        "all" => Walk::All,
        "exists" => Walk::Exists,
        "exists_one" | "existsOne" => Walk::ExistsOne,
        "map" => Walk::Map,
        "filter" => Walk::Filter,
        _ => return None,
    })
}

impl<'t> Checker<'t> {
    /// `has(operand.field)`.
    pub(super) fn has(&mut self, call: &'t CallExpr, span: Span) -> Typed {
        let [argument] = call.args.as_slice() else {
            return self.wrong_macro_count("has", "one argument, a field such as subject.email", call, span);
        };
        let Expr::Select(select) = &argument.expr else {
            let at = self.check(argument).span;
            self.report(
                Code::WrongArgumentType,
                at,
                "has() takes a field, as in has(subject.profile.training)",
            );
            return Self::faulty(span);
        };
        let before = self.faults.len();
        let field = self.check(argument);
        if self.faults.len() > before || field.ty == Type::Faulty {
            return Typed { span, ..Self::faulty(span) };
        }
        let operand = self.check(&select.operand);
        let (cost, depends, field_cost) = (operand.cost, operand.depends, field.cost);
        let code = match &operand.ty {
            Type::Object(object) => {
                let slot = object.field(&select.field).map_or(usize::MAX, |(slot, _)| slot);
                tree::call("@has", vec![operand.code, tree::int(slot)])
            }
            _ => tree::has_key(operand.code, &select.field),
        };
        let cost = cost.saturating_add(2).max(field_cost);
        Typed { ty: Type::Bool, shape: Shape::SCALAR, cost, code, depends, span }
    }

    fn wrong_macro_count(&mut self, name: &str, wanted: &str, call: &'t CallExpr, span: Span) -> Typed {
        for argument in &call.args {
            self.check(argument);
        }
        self.report(Code::WrongArgumentCount, span, format!("{name}() takes {wanted}"));
        Self::faulty(span)
    }

    /// `range.all(x, ...)` and its like.
    pub(super) fn walk(&mut self, walk: Walk, target: &'t IdedExpr, call: &'t CallExpr, at: Span) -> Typed {
        let range = self.check(target);
        let span = range.span.join(at);
        let (variable, filter, body) = match (call.args.as_slice(), walk) {
            ([variable, body], _) => (variable, None, body),
            ([variable, filter, body], Walk::Map) => (variable, Some(filter), body),
            _ => {
                self.report(
                    Code::WrongArgumentCount,
                    at,
                    format!("{}() takes a name and an expression, as in {0}(x, x == \"a\")", call.func_name),
                );
                return Self::faulty(span);
            }
        };
        let Expr::Ident(name) = &variable.expr else {
            let place = self.own_span(variable.id);
            self.report(
                Code::WrongArgumentType,
                place,
                format!("{}() starts with the name of a variable", call.func_name),
            );
            return Self::faulty(span);
        };
        let (ty, shape) = self.element_of(&range);
        if self.locals.len() >= LOOPS_MAX {
            self.report(Code::TooDeep, span, format!("loops are nested more than {LOOPS_MAX} deep"));
            return Self::faulty(span);
        }
        let bit = 1 << self.locals.len();
        self.locals.push(Local { name, ty: ty.clone(), shape: shape.clone(), bit });
        let filter = filter.map(|filter| self.check(filter));
        let body = self.check(body);
        self.locals.pop();
        let condition = if walk == Walk::Map { filter.as_ref() } else { Some(&body) };
        if let Some(condition) = condition
            && !matches!(condition.ty, Type::Bool)
            && !condition.ty.is_open()
        {
            let message = format!("{}() takes a condition, a bool, not {}", call.func_name, condition.ty);
            self.report(Code::WrongArgumentType, condition.span, message);
        }
        self.walked(walk, range, name, filter, body, (ty, shape, bit), span)
    }

    /// What one turn of the loop sees, with its shape.
    fn element_of(&mut self, range: &Typed) -> (Type, Shape) {
        match &range.ty {
            Type::List(of) => (Type::clone(of), range.shape.element()),
            Type::Map(key, _) => (Type::clone(key), range.shape.element()),
            open if open.is_open() => (open.clone(), range.shape.element()),
            other => {
                let message = format!("only lists and maps can be looped over, not {other}");
                self.report(Code::WrongArgumentType, range.span, message);
                (Type::Faulty, Shape::SCALAR)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one loop, used here alone")]
    fn walked(
        &mut self,
        walk: Walk,
        range: Typed,
        name: &str,
        filter: Option<Typed>,
        body: Typed,
        (element, element_shape, bit): (Type, Shape, u64),
        span: Span,
    ) -> Typed {
        let length = range.shape.count();
        let filter_cost = filter.as_ref().map_or(0, |filter| filter.cost);
        let turn =
            3_u64.saturating_add(element_shape.make()).saturating_add(body.cost).saturating_add(filter_cost);
        let (ty, shape) = match walk {
            Walk::All | Walk::Exists | Walk::ExistsOne => (Type::Bool, Shape::SCALAR),
            Walk::Map => (Type::list(body.ty.clone()), Shape::list(length, body.shape.clone())),
            Walk::Filter => (Type::list(element), Shape::list(length, element_shape)),
        };
        let made = if matches!(ty, Type::Bool) { 0 } else { shape.make() };
        let cost = range.cost.saturating_add(length.saturating_mul(turn)).saturating_add(made);
        let inner = body.depends | filter.as_ref().map_or(0, |filter| filter.depends);
        let depends = range.depends | (inner & !bit);
        let range = if depends == 0 { range.code } else { self.settle(range) };
        let code = tree::comprehension(walk, range, name, filter.map(|filter| filter.code), body.code);
        Typed { ty, shape, cost, code, depends, span }
    }
}
