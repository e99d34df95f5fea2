//! Calls: which function a name means, which overload takes the arguments, and what their constants say already.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue};

use super::{Checker, FACTS, Typed, macros, members, operators, tree};
use crate::expr::Environment;
use crate::expr::call::SEVERITIES;
use crate::expr::cost::{DIRECTORY_CALL_UNITS, DIRECTORY_ITEM_UNITS, Shape};
use crate::expr::diagnostic::{Code, Span, nearest};
use crate::expr::evaluate::NOW_VARIABLE;
use crate::expr::library::{self, Carrier, Function, Overload, Size};
use crate::expr::record::Pattern;
use crate::expr::schema::Type;
use crate::expr::time::{self, Unit, Zone};

/// Largest compiled program of one pattern, and largest cache of one match, in bytes.
const PATTERN_MAX_BYTES: usize = 64 * 1024;
const PATTERN_CACHE_MAX_BYTES: usize = 256 * 1024;

/// Functions whose arguments are worked out at once when all of them are constant, so that a bad one is found now.
const CONVERSIONS: &[&str] = &[
    "duration",
    "timestamp",
    "int",
    "uint",
    "double",
    "bool",
    "ip",
    "cidr",
    "time.parse",
    "time.format",
    "time.unix",
    "time.unix_ms",
    "time.start_of",
    "time.end_of",
    "time.truncate",
];

impl<'t> Checker<'t> {
    pub(super) fn call(&mut self, expr: &'t IdedExpr, call: &'t CallExpr) -> Typed {
        let own = self.own_span(expr.id);
        if call.target.is_none()
            && let Some(sign) = operators::written(&call.func_name)
        {
            return self.operator(call, sign, own);
        }
        // `own` is the brackets with the arguments; the name stands before them.
        let name_span = self.tokens.before(own.start).map_or(own, |token| token.span);
        let at = name_span.join(own);
        let Some(target) = &call.target else {
            return self.global_call(&call.func_name, call, name_span, at);
        };
        if let Some(namespace) = self.namespace(target) {
            let name = format!("{namespace}.{}", call.func_name);
            let start = self.leftmost(target);
            let name_span = start.join(name_span);
            return self.global_call(&name, call, name_span, start.join(at));
        }
        self.member_call(target, call, name_span, at)
    }

    /// The name that a chain of plain selections spells, unless it starts with a variable.
    fn namespace(&self, target: &IdedExpr) -> Option<String> {
        match &target.expr {
            Expr::Ident(name) => {
                let plain = name.trim_start_matches('.');
                let known = self.is_declared(name) || self.is_declared(plain);
                (!known && library::is_namespace(plain)).then(|| plain.to_owned())
            }
            Expr::Select(select) => Some(format!("{}.{}", self.namespace(&select.operand)?, select.field)),
            _ => None,
        }
    }

    fn leftmost(&self, target: &IdedExpr) -> Span {
        match &target.expr {
            Expr::Select(select) => self.leftmost(&select.operand),
            _ => self.own_span(target.id),
        }
    }

    fn global_call(&mut self, name: &str, call: &'t CallExpr, name_span: Span, span: Span) -> Typed {
        let name = name.trim_start_matches('.');
        match name {
            "has" => return self.has(call, span),
            "matches" => {
                if call.args.len() != 2 {
                    self.report(Code::WrongArgumentCount, span, "matches takes a text and a pattern");
                    return Self::faulty(span);
                }
                let subject = call.args.first().map(|subject| self.check(subject));
                return self.matches(subject, call.args.get(1), span);
            }
            "cidr" => return self.cidr(call, span),
            _ => {}
        }
        let arguments: Vec<Typed> = call.args.iter().map(|argument| self.check(argument)).collect();
        let Some(function) = library::global(name) else {
            let hint = if library::member(name).is_some() || macros::walk_named(name).is_some() {
                format!("; it is called on a value, as in x.{name}()")
            } else {
                nearest(name, library::global_names())
                    .map(|near| format!("; did you mean {near}?"))
                    .unwrap_or_default()
            };
            self.report(Code::UndeclaredFunction, name_span, format!("there is no function {name}{hint}"));
            return Self::faulty(span);
        };
        self.apply(function, arguments, false, name_span, span)
    }

    fn member_call(&mut self, target: &'t IdedExpr, call: &'t CallExpr, name_span: Span, at: Span) -> Typed {
        let name = call.func_name.as_str();
        if let Some(walk) = macros::walk_named(name) {
            return self.walk(walk, target, call, at);
        }
        let target = self.check(target);
        let span = target.span.join(at);
        if name == "matches" {
            if call.args.len() != 1 {
                self.report(Code::WrongArgumentCount, span, "matches takes one argument, a pattern");
                return Self::faulty(span);
            }
            return self.matches(Some(target), call.args.first(), span);
        }
        let mut arguments = vec![target];
        for argument in &call.args {
            let argument = self.check(argument);
            arguments.push(argument);
        }
        let Some(function) = library::member(name) else {
            let hint = if library::global(name).is_some() {
                format!("; it is called as {name}(...)")
            } else {
                nearest(name, library::member_names())
                    .map(|near| format!("; did you mean {near}?"))
                    .unwrap_or_default()
            };
            self.report(
                Code::UndeclaredFunction,
                name_span,
                format!("there is no function {name} to call on a value{hint}"),
            );
            return Self::faulty(span);
        };
        self.apply(function, arguments, true, name_span, span)
    }

    fn apply(
        &mut self,
        function: &'static Function,
        arguments: Vec<Typed>,
        is_member: bool,
        name_span: Span,
        span: Span,
    ) -> Typed {
        if !function.environments.contains(&self.environment) {
            // No policy has invariants, so its author need not hear of them.
            let places = function.environments.iter().filter(|place| **place != Environment::Invariant);
            let places: Vec<_> = places.map(|place| Environment::name(*place)).collect();
            let message = format!("{} is for {} only", function.name, places.join(" and "));
            self.report(Code::UndeclaredFunction, name_span, message);
            return Self::faulty(span);
        }
        let Some(ty) = self.overload(function, &arguments, is_member, span) else {
            return Self::faulty(span);
        };
        self.check_constants(function.name, &arguments);
        let (shape, own_cost) = sized(function, &ty, &arguments);
        let all_constant = !arguments.is_empty() && arguments.iter().all(|argument| argument.depends == 0);
        let (code, cost, depends) = self.combine(arguments);
        let cost = cost.saturating_add(own_cost);
        let (code, depends) = carried(function, code, is_member, depends);
        let typed = Typed { ty, shape, cost, code, depends, span };
        if all_constant && CONVERSIONS.contains(&function.name) && self.faults.is_empty() {
            return self.converted(typed);
        }
        typed
    }

    /// A conversion of constants: done now, or found to be impossible.
    fn converted(&mut self, typed: Typed) -> Typed {
        match self.constant_value(&typed.code) {
            Ok(value) => Typed { code: self.constant(value), ..typed },
            Err(error) => {
                self.report(Code::BadConstant, typed.span, error.message);
                Self::faulty(typed.span)
            }
        }
    }

    /// The result of the overload that takes the arguments; every argument that none takes is reported.
    fn overload(
        &mut self,
        function: &Function,
        arguments: &[Typed],
        is_member: bool,
        span: Span,
    ) -> Option<Type> {
        let fitting: Vec<&Overload> = function
            .overloads
            .iter()
            .filter(|overload| overload.parameters.len() == arguments.len())
            .collect();
        if fitting.is_empty() {
            let message = wrong_count(function, arguments.len(), is_member);
            self.report(Code::WrongArgumentCount, span, message);
            return None;
        }
        let takes = |overload: &&&Overload| {
            overload
                .parameters
                .iter()
                .zip(arguments)
                .all(|(parameter, argument)| accepts(parameter, &argument.ty))
        };
        let mut results = fitting.iter().filter(takes).map(|overload| &overload.result);
        if let Some(first) = results.next() {
            return Some(if results.all(|other| other == first) { first.clone() } else { Type::Dyn });
        }
        self.report_arguments(function, &fitting, arguments, is_member);
        None
    }

    fn report_arguments(
        &mut self,
        function: &Function,
        fitting: &[&Overload],
        arguments: &[Typed],
        is_member: bool,
    ) {
        let before = self.faults.len();
        for (index, argument) in arguments.iter().enumerate() {
            let parameters = || fitting.iter().filter_map(|overload| overload.parameters.get(index));
            if parameters().any(|parameter| accepts(parameter, &argument.ty)) {
                continue;
            }
            let mut wanted: Vec<String> = parameters().map(ToString::to_string).collect();
            wanted.sort();
            wanted.dedup();
            let place = match (is_member, index) {
                (true, 0) => format!("{} is called on", function.name),
                (true, _) => format!("argument {index} of {} is", function.name),
                (false, _) => format!("argument {} of {} is", index + 1, function.name),
            };
            let message = format!("{place} {}, not {}", wanted.join(" or "), argument.ty);
            self.report(Code::WrongArgumentType, argument.span, message);
        }
        // Each fits some overload, but no overload takes them together.
        if self.faults.len() == before
            && let Some(last) = arguments.last()
        {
            let types: Vec<String> = arguments.iter().map(|argument| argument.ty.to_string()).collect();
            let message = format!("{} does not take {} together", function.name, types.join(", "));
            self.report(Code::WrongArgumentType, last.span, message);
        }
    }

    /// Texts that are written out and that their function can never accept.
    fn check_constants(&mut self, name: &str, arguments: &[Typed]) {
        let zone = |text: &str| Zone::parse(text).map(drop);
        let layout = |text: &str| time::layout(text).map(drop);
        let unit = |text: &str| Unit::parse(text).map(drop);
        let severity = |text: &str| {
            let known = SEVERITIES.iter().any(|known| known.eq_ignore_ascii_case(text));
            if known { Ok(()) } else { Err(format!("\"{text}\" is none of {}", SEVERITIES.join(", "))) }
        };
        type Check<'c> = &'c dyn Fn(&str) -> Result<(), String>;
        let checks: [(usize, Check<'_>); 2] = match name {
            "time.parse" | "time.try_parse" | "time.format" => [(1, &layout), (2, &zone)],
            "time.start_of" | "time.end_of" | "time.truncate" => [(1, &unit), (2, &zone)],
            "c1.app_user.v1.HasSecurityInsightWithSeverity" => [(2, &severity), (usize::MAX, &zone)],
            _ if name.starts_with("get") => [(1, &zone), (usize::MAX, &zone)],
            _ => return,
        };
        for (index, check) in checks {
            let Some(argument) = arguments.get(index) else { continue };
            if let Some(text) = literal_text(&argument.code)
                && let Err(message) = check(text)
            {
                let span = argument.span;
                self.report(Code::BadConstant, span, message);
            }
        }
    }

    /// `subject.matches("pattern")`.
    fn matches(&mut self, subject: Option<Typed>, pattern: Option<&'t IdedExpr>, span: Span) -> Typed {
        let (Some(subject), Some(pattern)) = (subject, pattern) else { return Self::faulty(span) };
        let before = self.faults.len();
        if subject.ty != Type::String && !subject.ty.is_open() {
            let message = format!("matches is called on string, not {}", subject.ty);
            self.report(Code::WrongArgumentType, subject.span, message);
        }
        let pattern = self.check(pattern);
        let Some(text) = literal_text(&pattern.code) else {
            let message = match &pattern.ty {
                Type::String | Type::Faulty | Type::Dyn => {
                    "the pattern of matches is written out as a text".to_owned()
                }
                other => format!("the pattern of matches is a text, not {other}"),
            };
            self.report(Code::PatternNotLiteral, pattern.span, message);
            return Self::faulty(span);
        };
        let built = regex::RegexBuilder::new(text)
            .size_limit(PATTERN_MAX_BYTES)
            .dfa_size_limit(PATTERN_CACHE_MAX_BYTES)
            .nest_limit(50)
            .build();
        let steps = 1 + text.len() as u64 / 4;
        let regex = match built {
            Ok(regex) => regex,
            Err(error) => {
                self.report(Code::BadPattern, pattern.span, pattern_fault(&error));
                return Self::faulty(span);
            }
        };
        if self.faults.len() > before {
            return Self::faulty(span);
        }
        let cost = subject.cost.saturating_add(2).saturating_add(subject.shape.look().saturating_mul(steps));
        let depends = subject.depends;
        let subject = if depends == 0 { subject.code } else { self.settle(subject) };
        let code = tree::call("@matches", vec![subject, self.constant(Box::new(Pattern(regex)))]);
        Typed { ty: Type::Bool, shape: Shape::SCALAR, cost, code, depends, span }
    }

    /// `cidr("10.0.0.0/8", ...)` or `cidr([...])`.
    fn cidr(&mut self, call: &'t CallExpr, span: Span) -> Typed {
        let arguments: Vec<Typed> = call.args.iter().map(|argument| self.check(argument)).collect();
        let before = self.faults.len();
        let list = Type::list(Type::String);
        let one_list = matches!(arguments.as_slice(), [only] if matches!(only.ty, Type::List(_)) || only.ty == Type::Dyn);
        for argument in &arguments {
            let wanted = if one_list { &list } else { &Type::String };
            if !accepts(wanted, &argument.ty) {
                let message = format!("cidr takes texts or one list of texts, not {}", argument.ty);
                self.report(Code::WrongArgumentType, argument.span, message);
            }
        }
        if arguments.is_empty() {
            self.report(Code::WrongArgumentCount, span, "cidr takes at least one network");
        }
        if self.faults.len() > before {
            return Self::faulty(span);
        }
        let look = arguments.iter().fold(1_u64, |sum, argument| sum.saturating_add(argument.shape.look()));
        let all_constant = arguments.iter().all(|argument| argument.depends == 0);
        let (mut code, cost, depends) = self.combine(arguments);
        let texts = if one_list { code.pop().unwrap_or_else(tree::null) } else { tree::list(code) };
        let cost = cost.saturating_add(look.saturating_mul(4));
        let code = tree::call("@cidr", vec![texts]);
        let typed = Typed { ty: Type::Cidr, shape: Shape::SCALAR, cost, code, depends, span };
        if all_constant && self.faults.is_empty() { self.converted(typed) } else { typed }
    }
}

fn accepts(parameter: &Type, argument: &Type) -> bool {
    match (parameter, argument) {
        (Type::Dyn, _) => true,
        (_, open) if open.is_open() => true,
        (Type::Object(_) | Type::Timestamp | Type::Duration, Type::Null) => false,
        (Type::List(a), Type::List(b)) => accepts(a, b),
        (Type::Map(ak, av), Type::Map(bk, bv)) => accepts(ak, bk) && accepts(av, bv),
        _ => parameter == argument,
    }
}

fn wrong_count(function: &Function, found: usize, is_member: bool) -> String {
    let mut counts: Vec<usize> =
        function.overloads.iter().map(|overload| overload.parameters.len()).collect();
    counts.sort_unstable();
    counts.dedup();
    let target = usize::from(is_member);
    let counts: Vec<String> = counts.iter().map(|count| (count - target).to_string()).collect();
    let plural = if counts == ["1"] { "" } else { "s" };
    format!("{} takes {} argument{plural}, not {}", function.name, counts.join(" or "), found - target)
}

fn literal_text(code: &IdedExpr) -> Option<&str> {
    match &code.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn pattern_fault(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("the pattern needs more than the {limit} bytes that are allowed")
        }
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or("").trim_start_matches("error: ");
            format!("the pattern is no regular expression: {last}")
        }
    }
}

/// The tree of a call, and what it depends on with the directory and the clock counted in.
fn carried(function: &Function, mut code: Vec<IdedExpr>, is_member: bool, depends: u64) -> (IdedExpr, u64) {
    match function.carrier {
        Carrier::Cel if is_member && !code.is_empty() => {
            let target = code.remove(0);
            (tree::member(target, function.name, code), depends)
        }
        Carrier::Cel => (tree::call(function.name, code), depends),
        Carrier::Own(name) => (tree::call(name, code), depends),
        Carrier::Directory(question) => (tree::ask(question, code), depends | FACTS),
        Carrier::Now => (tree::ident(NOW_VARIABLE), depends | FACTS),
    }
}

/// The shape of the result, and what the call itself costs.
fn sized(function: &Function, result: &Type, arguments: &[Typed]) -> (Shape, u64) {
    let look = arguments.iter().fold(1_u64, |sum, argument| sum.saturating_add(argument.shape.look()));
    let first = || arguments.first().map_or(Shape::SCALAR, |argument| argument.shape.clone());
    let text_of = |index: usize| arguments.get(index).map_or(0, |argument| argument.shape.length);
    let scalar = !matches!(result, Type::String | Type::Bytes | Type::List(_) | Type::Map(..) | Type::Dyn);
    let shape = match function.size {
        Size::Small if *result == Type::String => Shape::string(64),
        Size::Small => Shape::SCALAR,
        _ if scalar => Shape::SCALAR,
        // A number becomes some 40 bytes of text; characters that bytes cannot show become three.
        Size::AsFirst if *result == Type::String => Shape::string(first().length.saturating_mul(3).max(64)),
        Size::AsFirst => first(),
        Size::Declared if matches!(result, Type::List(_)) => {
            Shape::list(super::super::cost::LIST_MAX as u64, Shape::SCALAR)
        }
        Size::Declared => Shape::declared(result),
        Size::Members => members(),
        Size::Either => arguments.get(1).map_or_else(first, |other| first().join(&other.shape)),
        Size::Split => split(text_of(0)),
        Size::Join => Shape::string(first().bytes.saturating_add(first().length.saturating_mul(text_of(1)))),
        Size::Replace => Shape::string((text_of(0) + 1).saturating_mul(text_of(2).saturating_add(1))),
    };
    let calls = match function.carrier {
        // One call for each element of a list.
        Carrier::Directory(_) => {
            DIRECTORY_CALL_UNITS.saturating_mul(arguments.iter().fold(1, |most, argument| {
                if matches!(argument.ty, Type::List(_)) { most.max(argument.shape.length) } else { most }
            }))
        }
        _ => 0,
    };
    let kept = if calls > 0 && shape.element.is_some() {
        shape.length.saturating_mul(DIRECTORY_ITEM_UNITS)
    } else {
        0
    };
    let cost = look.saturating_add(shape.make()).saturating_add(calls).saturating_add(kept);
    (shape, cost)
}

/// As many pieces as there are bytes, which together are not longer than the text.
fn split(length: u64) -> Shape {
    let mut list = Shape::list(length.saturating_add(1), Shape::string(length));
    list.bytes = length.saturating_add(1).saturating_mul(64);
    list
}
