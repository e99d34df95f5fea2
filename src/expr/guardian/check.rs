//! Types of the syntax tree, and what is wrong with them: the checker of antonmedv/expr v1.15.3 for programs that are compiled
//! without an environment, so that every name is allowed and of any type. Goes on after a fault, so that all are reported.

use std::sync::Arc;

use super::builtins::Builtin;
use super::kinds::{Signature, Type, either};
use super::moment;
use super::pattern::Pattern;
use super::tree::{Binary, BuiltinCall, Call, Form, Member, Node, Operator, Pointer, Sign};
use crate::expr::diagnostic::{Code, Diagnostic, Span};

/// Writes the types into the tree. The faults come in the order in which the library meets them.
pub(super) fn check(text: &str, node: &mut Node) -> Vec<Diagnostic> {
    let mut checker =
        Checker { text, scopes: Vec::new(), variables: Vec::new(), is_called: false, faults: Vec::new() };
    checker.visit(node);
    checker.faults
}

/// What `#` means in a closure.
struct Scope {
    collection: Type,
    has_index: bool,
    has_accumulator: bool,
}

struct Variable {
    name: Arc<str>,
    ty: Type,
    info: Info,
}

/// What is known of a node besides its type.
#[derive(Clone, Default)]
struct Info {
    /// The built-in that a name stands for.
    builtin: Option<Builtin>,
    /// The type of all elements of a list that was written out.
    element: Option<Type>,
}

struct Checker<'t> {
    text: &'t str,
    scopes: Vec<Scope>,
    variables: Vec<Variable>,
    /// Whether the node at hand is being called.
    is_called: bool,
    faults: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn fault(&mut self, span: Option<Span>, code: Code, message: String) -> Type {
        let span = span.unwrap_or_default();
        self.faults.push(Diagnostic::new(self.text, code, span, message));
        Type::Any
    }

    fn mismatch(&mut self, span: Option<Span>, message: String) -> Type {
        self.fault(span, Code::WrongArgumentType, message)
    }

    fn visit(&mut self, node: &mut Node) -> (Type, Info) {
        let (ty, info) = self.typed(node);
        node.ty = Some(ty.clone());
        (ty, info)
    }

    fn ty(&mut self, node: &mut Node) -> Type {
        self.visit(node).0
    }

    fn typed(&mut self, node: &mut Node) -> (Type, Info) {
        let span = node.span;
        let ty = match &mut node.form {
            Form::Name(name) => return self.name(name),
            Form::Let { name, value, body } => return self.declaration(span, name, value, body),
            Form::Chain(inner) => return self.visit(inner),
            Form::Array(nodes) => return self.array(nodes),
            Form::Nil => Type::Nil,
            Form::Bool(_) => Type::Bool,
            Form::Int(_) => Type::Int,
            Form::Float(_) => Type::Float,
            Form::Text(_) => Type::Text,
            Form::Constant(_) | Form::IntSet(_) | Form::TextSet(_) => Type::Any,
            Form::InRange { .. } => Type::Bool,
            Form::Pointer(pointer) => self.pointer(span, *pointer),
            Form::Unary(sign, inner) => self.unary(span, *sign, inner),
            Form::Binary(binary) => self.binary(span, binary),
            Form::Closure(inner) => {
                let ty = self.ty(inner);
                if ty.is_nil() { self.mismatch(inner.span, "closure cannot be nil".to_owned()) } else { ty }
            }
            Form::Member(member) => self.member(span, member),
            Form::Slice { base, from, to } => self.slice(span, base, [from, to]),
            Form::Call(call) => self.call(span, call),
            Form::Builtin(call) => self.builtin(span, call),
            Form::Conditional { condition, then, otherwise } => {
                self.conditional(condition, then.as_deref_mut(), otherwise)
            }
            Form::Map(pairs) => {
                for (key, value) in pairs {
                    self.visit(key);
                    self.visit(value);
                }
                Type::TextMap
            }
        };
        (ty, Info::default())
    }

    fn name(&self, name: &str) -> (Type, Info) {
        if let Some(variable) = self.variables.iter().rev().find(|variable| *variable.name == *name) {
            return (variable.ty.clone(), variable.info.clone());
        }
        if name == "$env" {
            return (Type::TextMap, Info::default());
        }
        match Builtin::find(name) {
            Some(builtin) => (Type::function(), Info { builtin: Some(builtin), element: None }),
            None => (Type::Any, Info::default()),
        }
    }

    fn declaration(
        &mut self,
        span: Option<Span>,
        name: &Arc<str>,
        value: &mut Node,
        body: &mut Node,
    ) -> (Type, Info) {
        let known = if Builtin::find(name).is_some() {
            Some("builtin")
        } else {
            self.variables.iter().any(|variable| variable.name == *name).then_some("variable")
        };
        if let Some(known) = known {
            let message = format!("cannot redeclare {known} {name}");
            return (self.fault(span, Code::Syntax, message), Info::default());
        }
        let (ty, info) = self.visit(value);
        self.variables.push(Variable { name: Arc::clone(name), ty, info });
        let result = self.visit(body);
        self.variables.pop();
        result
    }

    fn pointer(&mut self, span: Option<Span>, pointer: Pointer) -> Type {
        let Some(scope) = self.scopes.last() else {
            return self.fault(span, Code::Syntax, "cannot use pointer accessor outside closure".to_owned());
        };
        let (known, ty, name) = match pointer {
            Pointer::Element => return scope.collection.element().unwrap_or(Type::Any),
            Pointer::Index => (scope.has_index, Type::Int, "index"),
            Pointer::Accumulator => (scope.has_accumulator, Type::Any, "acc"),
            Pointer::Unknown => {
                let start = span.map_or(0, |span| span.end);
                let rest = self.text.get(start..).unwrap_or("");
                let end =
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
                (false, Type::Any, rest.get(..end).unwrap_or(""))
            }
        };
        if known {
            ty
        } else {
            self.fault(span, Code::UndeclaredVariable, format!("unknown pointer #{name}"))
        }
    }

    fn unary(&mut self, span: Option<Span>, sign: Sign, inner: &mut Node) -> Type {
        let ty = self.ty(inner);
        match sign {
            Sign::Not if ty.is_bool() || ty.is_any() => return Type::Bool,
            Sign::Plus | Sign::Minus if ty.is_number() || ty.is_any() => return ty,
            _ => {}
        }
        let sign = match sign {
            Sign::Not => span.and_then(|span| self.text.get(span.start..span.end)).unwrap_or("not"),
            Sign::Plus => "+",
            Sign::Minus => "-",
        };
        // A `not` that belongs to `not in` is placed at the `in`, whose result is never wrong.
        self.mismatch(span, format!("invalid operation: {sign} (mismatched type {ty})"))
    }

    fn binary(&mut self, span: Option<Span>, binary: &mut Binary) -> Type {
        let left = self.ty(&mut binary.left);
        let (right, info) = self.visit(&mut binary.right);
        let before = self.faults.len();
        let ty = match binary.operator {
            Operator::In => self.contained(span, &left, &right, info.element.as_ref()),
            Operator::Matches => {
                if let Some(text) = binary.right.text() {
                    match Pattern::new(text) {
                        Ok(pattern) => binary.pattern = Some(Arc::new(pattern)),
                        Err(message) => return self.fault(span, Code::BadPattern, message),
                    }
                }
                result(Operator::Matches, &left, &right)
            }
            operator => result(operator, &left, &right),
        };
        match ty {
            Some(ty) => ty,
            None if self.faults.len() > before => Type::Any,
            None => {
                let spelling = binary.spelling;
                let message = format!("invalid operation: {spelling} (mismatched types {left} and {right})");
                self.mismatch(span, message)
            }
        }
    }

    /// The type of `in`; `None` when there is none, whether that was reported already or not.
    fn contained(
        &mut self,
        span: Option<Span>,
        left: &Type,
        right: &Type,
        elements: Option<&Type>,
    ) -> Option<Type> {
        if right.is_map() {
            if !left.is_nil() && !left.is_any() && !left.is_assignable_to(&right.key()) {
                let message = format!("cannot use {left} as type {} in map key", right.key());
                self.mismatch(span, message);
                return None;
            }
            return Some(Type::Bool);
        }
        if let Some(element) = right.element() {
            for element in [Some(&element), elements].into_iter().flatten() {
                if !left.is_nil() && !left.is_comparable_with(element) {
                    let message = format!("cannot use {left} as type {element} in array");
                    self.mismatch(span, message);
                    return None;
                }
            }
            return Some(Type::Bool);
        }
        let is_struct = right.is_time() && (left.is_text() || left.is_any());
        (is_struct || right.is_any() || (left.is_any() && right.is_text())).then_some(Type::Bool)
    }

    fn member(&mut self, span: Option<Span>, member: &mut Member) -> Type {
        let what = if std::mem::take(&mut self.is_called) { "method" } else { "field" };
        let base = self.ty(&mut member.base);
        let property = self.ty(&mut member.property);
        if matches!(&member.base.form, Form::Name(name) if **name == *"$env") {
            return Type::Any;
        }
        if let Some(name) = member.property.text() {
            if base.is_nil() {
                return self.mismatch(span, format!("type {base} has no field {name}"));
            }
            if let Some(signature) = moment::method(&base, name) {
                return Type::Func(Arc::new(signature));
            }
            if base.is_time() {
                return self.mismatch(span, format!("type {base} has no {what} {name}"));
            }
        }
        if base.is_any() {
            return Type::Any;
        }
        if base.is_map() {
            if !property.is_nil() && !property.is_assignable_to(&base.key()) && !property.is_any() {
                let message = format!("cannot use {property} to get an element from {base}");
                return self.mismatch(member.property.span, message);
            }
            return base.map_value();
        }
        if let Some(element) = base.element() {
            if !property.is_integer() && !property.is_any() {
                let message =
                    format!("array elements can only be selected using an integer (got {property})");
                return self.mismatch(member.property.span, message);
            }
            return element;
        }
        self.mismatch(span, format!("type {base}[{property}] is undefined"))
    }

    fn slice(&mut self, span: Option<Span>, base: &mut Node, bounds: [&mut Option<Box<Node>>; 2]) -> Type {
        let ty = self.ty(base);
        if !ty.is_any() && !ty.is_text() && !ty.is_list() {
            return self.mismatch(span, format!("cannot slice {ty}"));
        }
        for bound in bounds.into_iter().flatten() {
            let found = self.ty(bound);
            if !found.is_integer() && !found.is_any() {
                return self.mismatch(bound.span, format!("non-integer slice index {found}"));
            }
        }
        ty
    }

    fn call(&mut self, span: Option<Span>, call: &mut Call) -> Type {
        self.is_called = true;
        let (callee, info) = self.visit(&mut call.callee);
        self.is_called = false;
        if let Some(builtin) = info.builtin {
            call.builtin = Some(builtin);
            return self.function(span, builtin, &mut call.arguments);
        }
        match callee {
            // The library does not look at the arguments of what may be any function: nothing in them is wrong before it
            // runs, and nothing in them has a type.
            Type::Any => Type::Any,
            Type::Func(signature) => {
                let name = match &call.callee.form {
                    Form::Name(name) => name.to_string(),
                    Form::Member(member) => member.property.text().map_or("function", |name| name).to_owned(),
                    _ => "function".to_owned(),
                };
                let types = self.all(&mut call.arguments);
                match fits(&name, &signature, &types) {
                    Ok(ty) => ty,
                    Err((at, message)) => {
                        let place = at.and_then(|at| call.arguments.get(at)).map_or(span, |node| node.span);
                        self.mismatch(place, message)
                    }
                }
            }
            other => self.mismatch(span, format!("{other} is not callable")),
        }
    }

    fn all(&mut self, arguments: &mut [Node]) -> Vec<Type> {
        arguments.iter_mut().map(|argument| self.ty(argument)).collect()
    }

    fn function(&mut self, span: Option<Span>, builtin: Builtin, arguments: &mut [Node]) -> Type {
        let types = self.all(arguments);
        let signatures = builtin.signatures();
        if signatures.is_empty() {
            return match builtin.validate(&types) {
                Ok(ty) => ty,
                Err(message) => self.fault(span, Code::WrongArgumentType, message),
            };
        }
        let mut last = None;
        for signature in &signatures {
            match fits(builtin.name(), signature, &types) {
                Ok(ty) => return ty,
                Err(complaint) => last = Some(complaint),
            }
        }
        let (at, message) = last.unwrap_or_default();
        let code = if at.is_none() { Code::WrongArgumentCount } else { Code::WrongArgumentType };
        let place = at.and_then(|at| arguments.get(at)).map_or(span, |node| node.span);
        self.fault(place, code, message)
    }

    fn builtin(&mut self, span: Option<Span>, call: &mut BuiltinCall) -> Type {
        if call.builtin.is_predicate() {
            return self.predicate(call);
        }
        if call.builtin == Builtin::Get {
            return self.get(span, &mut call.arguments);
        }
        self.function(span, call.builtin, &mut call.arguments)
    }

    fn predicate(&mut self, call: &mut BuiltinCall) -> Type {
        let builtin = call.builtin;
        let [list, closure, rest @ ..] = call.arguments.as_mut_slice() else { return Type::Any };
        let collection = self.ty(list);
        if !collection.is_list() && !collection.is_any() {
            let message = format!("builtin {} takes only array (got {collection})", builtin.name());
            return self.mismatch(list.span, message);
        }
        self.scopes.push(Scope {
            collection: collection.clone(),
            has_index: matches!(builtin, Builtin::Map | Builtin::Reduce),
            has_accumulator: builtin == Builtin::Reduce,
        });
        let given = self.ty(closure);
        self.scopes.pop();
        for initial in rest {
            self.visit(initial);
        }
        let gives_anything = matches!(builtin, Builtin::Map | Builtin::GroupBy | Builtin::Reduce);
        if !gives_anything && !given.is_bool() && !given.is_any() {
            return self.mismatch(closure.span, format!("predicate should return boolean (got {given})"));
        }
        match builtin {
            Builtin::Filter => Type::slice(collection.element().unwrap_or(Type::Any)),
            Builtin::Map => Type::slice(given),
            Builtin::Find | Builtin::FindLast => collection.element().unwrap_or(Type::Any),
            Builtin::Count | Builtin::FindIndex | Builtin::FindLastIndex => Type::Int,
            Builtin::GroupBy => Type::GroupMap,
            Builtin::Reduce => given,
            _ => Type::Bool,
        }
    }

    fn get(&mut self, span: Option<Span>, arguments: &mut [Node]) -> Type {
        let count = arguments.len();
        let [base, property] = arguments else {
            let message = format!("invalid number of arguments (expected 2, got {count})");
            return self.fault(span, Code::WrongArgumentCount, message);
        };
        if matches!(&base.form, Form::Name(name) if **name == *"$env") {
            return if property.text().is_some() { Type::Nil } else { Type::Any };
        }
        let ty = self.ty(base);
        if ty.is_any() {
            return Type::Any;
        }
        if let Some(element) = ty.element() {
            let index = self.ty(property);
            if index.is_nil() {
                return self.mismatch(property.span, "cannot use nil as slice index".to_owned());
            }
            if !index.is_integer() && !index.is_any() {
                return self.mismatch(property.span, format!("non-integer slice index {index}"));
            }
            return element;
        }
        if ty.is_map() {
            let key = self.ty(property);
            if key.is_nil() {
                return self.mismatch(property.span, "cannot use nil as map index".to_owned());
            }
            if !key.is_assignable_to(&ty.key()) && !key.is_any() {
                let message = format!("cannot use {key} to get an element from {ty}");
                return self.mismatch(property.span, message);
            }
            return ty.map_value();
        }
        self.mismatch(base.span, format!("type {ty} does not support indexing"))
    }

    fn conditional(&mut self, condition: &mut Node, then: Option<&mut Node>, otherwise: &mut Node) -> Type {
        let tested = self.ty(condition);
        if !tested.is_bool() && !tested.is_any() {
            let message = format!("non-bool expression (type {tested}) used as condition");
            return self.mismatch(condition.span, message);
        }
        let first = match then {
            Some(then) => self.ty(then),
            None => tested,
        };
        let second = self.ty(otherwise);
        match (first.is_nil(), second.is_nil()) {
            (true, _) => second,
            (false, true) => first,
            (false, false) if first.is_assignable_to(&second) => first,
            (false, false) => Type::Any,
        }
    }

    fn array(&mut self, nodes: &mut [Node]) -> (Type, Info) {
        let types: Vec<Type> = nodes.iter_mut().map(|node| self.ty(node)).collect();
        let same = types
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if !a.is_nil() && !b.is_nil() && a.kind() == b.kind()));
        let element = types.last().filter(|last| same && !last.is_nil()).cloned();
        (Type::list(), Info { builtin: None, element })
    }
}

/// The type that a binary operator gives, if it takes these.
fn result(operator: Operator, left: &Type, right: &Type) -> Option<Type> {
    let both = |is: fn(&Type) -> bool| is(left) && is(right);
    let when = |fits: bool, ty: Type| fits.then_some(ty);
    match operator {
        Operator::Equal | Operator::Unequal => when(left.is_comparable_with(right), Type::Bool),
        Operator::Or | Operator::And => {
            when(both(Type::is_bool) || either(left, right, Type::is_bool), Type::Bool)
        }
        Operator::Less | Operator::More | Operator::MoreOrEqual | Operator::LessOrEqual => {
            let ordered = |ty: &Type| ty.is_number() || ty.is_text() || ty.is_time();
            let fits = both(Type::is_number) || both(Type::is_text) || both(Type::is_time);
            when(fits || either(left, right, ordered), Type::Bool)
        }
        Operator::Subtract => {
            if both(Type::is_number) {
                return Some(left.combined(right));
            }
            match (left, right) {
                (Type::Time, Type::Time) => Some(Type::Duration),
                (Type::Time, Type::Duration) => Some(Type::Time),
                _ => when(either(left, right, |ty| ty.is_number() || ty.is_time()), Type::Any),
            }
        }
        Operator::Add => {
            if both(Type::is_number) {
                return Some(left.combined(right));
            }
            match (left, right) {
                (Type::Text, Type::Text) => Some(Type::Text),
                (Type::Time, Type::Duration) | (Type::Duration, Type::Time) => Some(Type::Time),
                _ => {
                    let adds = |ty: &Type| ty.is_number() || ty.is_text() || ty.is_time() || ty.is_duration();
                    when(either(left, right, adds), Type::Any)
                }
            }
        }
        Operator::Multiply if both(Type::is_number) => Some(left.combined(right)),
        Operator::Multiply => when(either(left, right, Type::is_number), Type::Any),
        Operator::Divide | Operator::Power => {
            when(both(Type::is_number) || either(left, right, Type::is_number), Type::Float)
        }
        Operator::Modulo if both(Type::is_integer) => Some(left.combined(right)),
        Operator::Modulo => when(either(left, right, Type::is_integer), Type::Any),
        Operator::Matches | Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
            when(both(Type::is_text) || either(left, right, Type::is_text), Type::Bool)
        }
        Operator::Range => {
            let fits = both(Type::is_integer) || either(left, right, Type::is_integer);
            when(fits, Type::slice(Type::Int))
        }
        Operator::Coalesce => Some(match (left.is_nil(), right.is_nil()) {
            (true, _) => right.clone(),
            (false, true) => left.clone(),
            (false, false) if right.is_assignable_to(left) => left.clone(),
            (false, false) => Type::Any,
        }),
        Operator::In => None,
    }
}

/// What a call gives, or what is wrong with it and with which argument.
fn fits(name: &str, signature: &Signature, arguments: &[Type]) -> Result<Type, (Option<usize>, String)> {
    let Signature { parameters, is_variadic, result, .. } = signature;
    let wanted = parameters.len();
    if arguments.len() > wanted && !is_variadic {
        return Err((None, format!("too many arguments to call {name}")));
    }
    if arguments.len() < wanted - usize::from(*is_variadic) {
        return Err((None, format!("not enough arguments to call {name}")));
    }
    for (index, given) in arguments.iter().enumerate() {
        let Some(parameter) = parameters.get(index).or(parameters.last()) else { break };
        let converts = parameter.is_integer() && given.is_integer() && parameter.kind() != given.kind();
        let unknown = given.is_nil() || given.is_any();
        if !converts && !unknown && !given.is_assignable_to(parameter) && *parameter != Type::Float {
            let message = format!("cannot use {given} as argument (type {parameter}) to call {name} ");
            return Err((Some(index), message));
        }
    }
    Ok(result.clone())
}
