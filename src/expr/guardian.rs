//! Guardian's expression language: antonmedv/expr v1.15.3, as Guardian runs it, behind the same door as CEL. From text to a
//! `Program`, and from a program and `Parameters` to a `Value`.
//!
//! In reading order: `lex`, `parse`, `shape` (the names of fields), `check` (types), `fold` (what the library's optimiser does to
//! the meaning), `evaluate` with `access`, `operators` and `builtins`; `value` and `kinds` below all of them, `outcome` for what a
//! result means, `formula` for whoever reasons about expressions and `helpful` for whoever looks for an example.
//! `docs/decisions/0011-guardian-expressions.md` says where we differ from the library and why.
//!
//! Pure: no clock, no randomness, no I/O, no `async`, no logging; the time is handed in.

mod access;
mod builtins;
mod check;
mod evaluate;
mod fold;
mod formula;
mod helpful;
mod kinds;
mod lex;
mod moment;
mod operators;
pub mod outcome;
mod parse;
mod pattern;
mod quote;
mod shape;
mod text;
mod tree;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::diagnostic::{Code, Diagnostic, Position, Span};
use super::evaluate::EvalCode;
use super::limits;
use builtins::Builtin;
use evaluate::{Fault, Run};
use tree::{Form, Node};

pub use evaluate::{ELEMENTS_MAX, STEPS_MAX, TEXT_MAX_BYTES};
pub use pattern::Pattern;
pub use quote::{quoted, quoted_by_time};
pub use shape::{Place, ResultKind};
pub use value::{Key, List, Map, Moment, TooLarge, VALUE_MAX_LEVELS, VALUE_MAX_WEIGHT, Value};

/// A compiled expression. Cheap to clone; may be shared between threads.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    text: String,
    place: Place,
    code: Node,
    /// Levels of `code`.
    levels: usize,
    parameters: Vec<Parameter>,
    warnings: Vec<Diagnostic>,
    kind: Option<ResultKind>,
    /// Whether `now` is in it.
    asks_for_the_time: bool,
}

/// A parameter that a program asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Without the `$`.
    pub name: String,
    /// Where it stands first.
    pub span: Span,
}

/// What a program is evaluated on.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// By name, with the `$`.
    values: BTreeMap<Key, Value>,
    now: Moment,
}

impl Parameters {
    /// No parameters but `$split`, which there always is. `now` is what `now()` gives.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        let split = (Key::Text("$split".into()), Value::Split);
        Self { values: BTreeMap::from([split]), now: Moment::utc(now) }
    }

    /// With one parameter more. The name is without the `$`.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        if name != "split" {
            self.values.insert(Key::Text(format!("${name}").into()), value);
        }
        self
    }
}

/// An evaluation that gave no value. The caller must not take it for a no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    pub code: EvalCode,
    /// In the words of the library, or a sentence of ours, without a full stop.
    pub message: String,
    /// What failed; a few kinds of failure have no place.
    pub span: Option<Span>,
    /// Where it starts.
    pub start: Option<Position>,
}

impl EvalError {
    fn new(text: &str, fault: Fault) -> Self {
        let span = fault.span.flatten();
        let start = span.map(|span| Position::of(text, span.start));
        Self { code: fault.code, message: fault.message, span, start }
    }

    /// The sentence that Guardian answers with, two lines of snippet included.
    #[must_use]
    pub fn as_guardian_says(&self, expression: &str) -> String {
        if self.code == EvalCode::NotFound {
            return self.message.clone();
        }
        let placed = placed(expression, &self.message, self.start);
        format!("evaluating expression \"{expression}\": {placed}")
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            Some(start) => {
                write!(f, "{}:{}: {}: {}", start.line, start.column, self.code.as_str(), self.message)
            }
            None => write!(f, "{}: {}", self.code.as_str(), self.message),
        }
    }
}

impl std::error::Error for EvalError {}

/// The sentence that Guardian answers with when an expression does not compile, two lines of snippet included.
#[must_use]
pub fn compile_error_as_guardian_says(expression: &str, fault: &Diagnostic) -> String {
    if fault.code == Code::UndeclaredVariable && fault.message.starts_with(NOT_FOUND) {
        return fault.message.clone();
    }
    format!("invalid expression: {}", placed(expression, &fault.message, Some(fault.start)))
}

/// A message with its place and the line it is in, as the library writes it.
fn placed(text: &str, message: &str, start: Option<Position>) -> String {
    let Some(start) = start else { return message.to_owned() };
    let line = text.split('\n').nth(start.line.saturating_sub(1) as usize).unwrap_or("").replace('\t', " ");
    let before = start.column.saturating_sub(1) as usize;
    let head: String = line.chars().take(before + 1).collect();
    // Characters of several bytes have no known width, so that nothing is pointed at.
    let pointer = if head.is_ascii() {
        format!("\n | {}^", ".".repeat(before.min(line.chars().count())))
    } else {
        String::new()
    };
    format!("{message} ({}:{})\n | {line}{pointer}", start.line, start.column)
}

/// A number as Go's `%v` prints it.
#[must_use]
pub fn number_as_go_shows_it(number: f64) -> String {
    text::shown(&Value::Float(number), usize::MAX).unwrap_or_default()
}

/// A value as Go's `%v` prints it; `None` if that is longer than a text may be.
#[must_use]
pub fn value_as_go_shows_it(value: &Value) -> Option<String> {
    text::shown(value, TEXT_MAX_BYTES)
}

const NOT_FOUND: &str = "parameter not found: ";

/// Checks an expression for its place.
///
/// # Errors
/// All of its faults: syntax, types, patterns, and parameters that the place does not have; never an empty list. The first is
/// the one that Guardian would report.
pub fn compile(place: Place, text: &str) -> Result<Program, Vec<Diagnostic>> {
    let tokens = lex::tokens(text)?;
    limits::with_room(usize::MAX, || compile_tokens(place, text, &tokens)).unwrap_or_else(|| {
        let message = "there is no memory to check the expression".to_owned();
        Err(vec![Diagnostic::new(text, Code::Syntax, Span { start: 0, end: text.len() }, message)])
    })
}

fn compile_tokens(place: Place, text: &str, tokens: &[lex::Token<'_>]) -> Result<Program, Vec<Diagnostic>> {
    let mut code = parse::parse(text, tokens).map_err(|fault| vec![fault])?;
    let (warnings, shape) = shape::check(text, place, &code);
    let faults = check::check(text, &mut code);
    if !faults.is_empty() {
        return Err(faults);
    }
    fold::optimise(text, &mut code).map_err(|fault| vec![fault])?;
    let kind = shape::kind(shape, &code);
    let asks_for_the_time = asks_for_the_time(&code);
    let mut parameters = Vec::new();
    collect(&code, &mut Vec::new(), &mut parameters);
    if let Some(known) = place.parameters() {
        let unknown =
            |parameter: &&Parameter| parameter.name != "split" && !known.contains(&parameter.name.as_str());
        let faults: Vec<Diagnostic> = parameters
            .iter()
            .filter(unknown)
            .map(|parameter| {
                let message = format!("{NOT_FOUND}{}", parameter.name);
                Diagnostic::new(text, Code::UndeclaredVariable, parameter.span, message)
            })
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
    }
    let levels = code.levels();
    let text = text.to_owned();
    Ok(Program(Arc::new(Inner { text, place, code, levels, parameters, warnings, kind, asks_for_the_time })))
}

/// Whether the program names `now`, which nothing else can be called.
fn asks_for_the_time(node: &Node) -> bool {
    let mut found = match &node.form {
        Form::Name(name) => **name == *Builtin::Now.name(),
        Form::Builtin(call) => {
            call.builtin == Builtin::Now || call.map.as_ref().is_some_and(|map| asks_for_the_time(map))
        }
        _ => false,
    };
    node.each_child(|child| found = found || asks_for_the_time(child));
    found
}

/// The texts that begin with `$`, whether they are names, properties or literals: Guardian takes all of them for parameters.
/// Not those that the compiled program no longer has.
fn collect(node: &Node, variables: &mut Vec<Arc<str>>, found: &mut Vec<Parameter>) {
    let span = node.span.unwrap_or_default();
    let named = match &node.form {
        Form::Text(text) => Some(text),
        Form::Name(name) if **name != *"$env" && !variables.contains(name) => Some(name),
        _ => None,
    };
    if let Some(name) = named.and_then(|name| name.strip_prefix('$'))
        && !found.iter().any(|known| known.name == name)
    {
        found.push(Parameter { name: name.to_owned(), span });
    }
    match &node.form {
        Form::Let { name, value, body } => {
            collect(value, variables, found);
            variables.push(Arc::clone(name));
            collect(body, variables, found);
            variables.pop();
        }
        Form::Call(call) => {
            // Arguments come before what is called, and a built-in is not named any more.
            call.arguments.iter().for_each(|argument| collect(argument, variables, found));
            if call.builtin.is_none() {
                collect(&call.callee, variables, found);
            }
        }
        Form::Binary(binary) if binary.pattern.is_some() => collect(&binary.left, variables, found),
        _ => {
            node.each_child(|child| collect(child, variables, found));
            if let Form::Builtin(call) = &node.form
                && let Some(map) = &call.map
            {
                collect(map, variables, found);
            }
        }
    }
}

impl Program {
    /// The text it was compiled from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    #[must_use]
    pub fn place(&self) -> Place {
        self.0.place
    }

    /// The parameters that it asks for, whether it comes to use them or not.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.0.parameters
    }

    /// What Guardian allows but what cannot be meant: names of fields that there are not.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.0.warnings
    }

    /// What kind of value it gives, as far as that is the same whatever the parameters are: one of this kind, nil, or none because
    /// it fails.
    #[must_use]
    pub fn kind(&self) -> Option<ResultKind> {
        self.0.kind
    }

    /// Whether its value may depend on what `now()` gives.
    #[must_use]
    pub fn asks_for_the_time(&self) -> bool {
        self.0.asks_for_the_time
    }

    /// What is wrong with it where there is no `$split`.
    #[must_use]
    pub fn fault_without_split(&self) -> Option<Diagnostic> {
        let split = self.0.parameters.iter().find(|parameter| parameter.name == "split")?;
        let message = format!("{NOT_FOUND}{}", split.name);
        Some(Diagnostic::new(&self.0.text, Code::UndeclaredVariable, split.span, message))
    }

    /// The value for these parameters.
    ///
    /// # Errors
    /// `NotFound` for a parameter that there is not; see `EvalCode` for the others. Never panics.
    pub fn evaluate(&self, parameters: &Parameters) -> Result<Value, EvalError> {
        self.evaluate_counting(parameters).0
    }

    /// As [`Program::evaluate`], and how many steps that took: at most little more than [`STEPS_MAX`].
    pub fn evaluate_counting(&self, parameters: &Parameters) -> (Result<Value, EvalError>, usize) {
        let mut steps = 0;
        (self.evaluate_into(parameters, &mut steps), steps)
    }

    fn evaluate_into(&self, parameters: &Parameters, steps: &mut usize) -> Result<Value, EvalError> {
        let Inner { text, code, levels, .. } = &*self.0;
        let mut values = BTreeMap::new();
        for parameter in &self.0.parameters {
            let key = Key::Text(format!("${}", parameter.name).into());
            let Some(value) = parameters.values.get(&key) else {
                let message = format!("{NOT_FOUND}{}", parameter.name);
                let span = Some(Some(parameter.span));
                return Err(EvalError::new(text, Fault { code: EvalCode::NotFound, message, span }));
            };
            values.insert(key, value.clone());
        }
        let outcome = limits::with_room(*levels, || {
            let mut run = Run::new(values, parameters.now);
            let outcome = run.evaluate(code);
            *steps = run.steps();
            outcome
        });
        let no_room = || Err(Fault::new(EvalCode::Internal, "there is no memory to evaluate it".to_owned()));
        outcome.unwrap_or_else(no_room).map_err(|fault| EvalError::new(text, fault))
    }
}

/// A tree is dropped as deep as it is, too.
impl Drop for Inner {
    fn drop(&mut self) {
        let code = std::mem::replace(&mut self.code, Node { form: Form::Nil, span: None, ty: None });
        limits::with_room(self.levels, || drop(code));
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("text", &self.0.text)
            .field("place", &self.0.place)
            .field("parameters", &self.0.parameters)
            .finish_non_exhaustive()
    }
}
