//! Expressions: the conditions and approver expressions of policies, in CEL. From text to a checked `Program`, and from
//! a program and facts to a value.
//!
//! In reading order: `limits` looks at the text before any parser does; cel parses it; `check` finds every fault, bounds the
//! cost and makes the tree that is evaluated, against the declarations of `schema` (types) and `library` (functions);
//! `evaluate` runs it on `facts`, asking a `Directory`. `docs/decisions/0010-expressions.md` says why cel evaluates and why
//! the checker is ours.
//!
//! Pure: no clock, no randomness, no I/O, no `async`, no logging; the time is handed in. Imports no other module. Names of
//! the `cel` crate do not leave this module.

mod address;
mod call;
mod check;
mod cost;
mod diagnostic;
mod evaluate;
mod facts;
pub mod guardian;
mod library;
mod logic;
mod limits;
mod parts;
mod record;
mod schema;
mod time;
mod value;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

pub use address::{Cidr, Ip};
pub use cost::{
    ATTRIBUTES_MAX_BYTES, ATTRIBUTES_MAX_LEVELS, ATTRIBUTES_MAX_VALUES, COST_MAX_UNITS, LIST_MAX,
    MEMBERS_MAX, STRING_MAX_BYTES,
};
pub use diagnostic::{Code, Diagnostic, Position, Severity, Span};
pub use evaluate::{EvalCode, EvalError, Evaluation};
pub use facts::{
    AppUser, AppUserStatus, AppUserType, Attributes, Directory, DirectoryError, EmptyDirectory, Enrollment,
    Entitlement, Facts, Group, Json, Outcome, RiskScore, SecurityInsight, Task, TaskAnalysis, TaskOrigin,
    User, UserStatus, UserType,
};
pub use limits::{CHAIN_MAX_LINKS, EXPRESSION_MAX_BYTES, NESTING_MAX_LEVELS};
pub use logic::{Formula, Kind, Relation, Term, Test};
pub use parts::Reason;
pub use schema::{Enumeration, Field, Object, Type};
pub use value::Value;

use record::Boxed;

/// Where an expression stands: what it may name, and what it must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Environment {
    /// The condition of a rule or of a wait: must give a bool.
    Condition,
    /// Who approves or provisions: must give a user or a list of users.
    Approver,
    /// A test of account provisioning: may give anything.
    AccountTest,
    /// What must be true of every request and of what became of it: must give a bool.
    Invariant,
}

impl Environment {
    /// Every environment.
    pub const ALL: &'static [Self] = &[Self::Condition, Self::Approver, Self::AccountTest, Self::Invariant];

    /// What its expressions are called, in the plural.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Condition => "conditions",
            Self::Approver => "approver expressions",
            Self::AccountTest => "account provisioning",
            Self::Invariant => "invariants",
        }
    }

    /// The variables that are declared, with their types.
    #[must_use]
    pub fn variables(self) -> Vec<(&'static str, Type)> {
        let subject = ("subject", Type::Object(Object::User));
        let entitlement = ("entitlement", Type::Object(Object::Entitlement));
        let task = ("task", Type::Object(Object::Task));
        let owners = Type::list(Type::Object(Object::User));
        match self {
            Self::Condition => {
                vec![subject, ("account", Type::Object(Object::AppUser)), entitlement, task, ("ip", Type::Ip)]
            }
            Self::Approver => {
                vec![subject, ("appOwners", owners.clone()), ("app_owners", owners), entitlement, task]
            }
            Self::AccountTest => vec![subject],
            Self::Invariant => vec![
                subject,
                ("account", Type::Object(Object::AppUser)),
                entitlement,
                task,
                ("ip", Type::Ip),
                ("outcome", Type::Object(Object::Outcome)),
            ],
        }
    }

    fn variable(self, name: &str) -> Option<Type> {
        self.variables().into_iter().find(|(known, _)| *known == name).map(|(_, ty)| ty)
    }
}

/// A checked expression. Cheap to clone; may be shared between threads.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    text: String,
    environment: Environment,
    code: cel::IdedExpr,
    /// Levels of `code`.
    levels: usize,
    constants: Vec<Boxed>,
    result_type: Type,
    cost: u64,
    constant: Option<Value>,
    warnings: Vec<Diagnostic>,
    /// The operands of its logical operators, once somebody asks.
    parts: OnceLock<Option<parts::Part<Program>>>,
}

/// Checks an expression against an environment.
///
/// # Errors
/// All of its faults, in the order of their places; never an empty list.
pub fn compile(environment: Environment, text: &str) -> Result<Program, Vec<Diagnostic>> {
    let tokens = limits::scan(text)?;
    limits::with_room(usize::MAX, || compile_scanned(environment, text, &tokens))
        .unwrap_or_else(|| Err(vec![whole(text, "there is no memory to check the expression")]))
}

fn compile_scanned(
    environment: Environment,
    text: &str,
    tokens: &limits::Tokens,
) -> Result<Program, Vec<Diagnostic>> {
    let parsed = parse(text)?;
    let checked = check::check(text, tokens, &parsed, environment)?;
    let constant = if checked.is_constant {
        evaluate::run(&checked.code, &checked.constants, None, Value::read).ok()
    } else {
        None
    };
    let mut warnings = Vec::new();
    if environment == Environment::Condition && constant == Some(Value::Bool(false)) {
        let message = "the condition is false for every request".to_owned();
        warnings.push(Diagnostic::new(text, Code::Constant, checked.span, message));
    }
    Ok(Program(Arc::new(Inner {
        text: text.to_owned(),
        environment,
        levels: check::levels(&checked.code),
        code: checked.code,
        constants: checked.constants,
        result_type: checked.ty,
        cost: checked.cost,
        constant,
        warnings,
        parts: OnceLock::new(),
    })))
}

/// The syntax tree, or every fault of the syntax.
fn parse(text: &str) -> Result<cel::Program, Vec<Diagnostic>> {
    let one = |message: &str| vec![whole(text, message)];
    if text.trim().is_empty() {
        return Err(one("the expression is empty"));
    }
    let environment = call::environment().map_err(one)?;
    // The parser is generated code of others: should it panic after all, the text is refused.
    let outcome = catch_unwind(AssertUnwindSafe(|| environment.compile(text)));
    let errors = match outcome {
        Ok(Ok(program)) => return Ok(program),
        Ok(Err(errors)) => errors.errors,
        Err(_) => return Err(one("the expression cannot be parsed")),
    };
    let mut faults: Vec<Diagnostic> =
        errors.iter().map(|error| diagnostic::syntax(text, error.pos, &error.msg)).collect();
    faults.sort_by_key(|fault| fault.span.start);
    faults.dedup();
    if faults.is_empty() { Err(one("the expression cannot be parsed")) } else { Err(faults) }
}

/// A fault of the text as a whole.
fn whole(text: &str, message: &str) -> Diagnostic {
    Diagnostic::new(text, Code::Syntax, Span { start: 0, end: text.len() }, message.to_owned())
}

impl Program {
    /// The text it was compiled from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    #[must_use]
    pub fn environment(&self) -> Environment {
        self.0.environment
    }

    /// The static type of what it gives.
    #[must_use]
    pub fn result_type(&self) -> &Type {
        &self.0.result_type
    }

    /// The most that an evaluation can cost, in units; at most `COST_MAX_UNITS`.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.0.cost
    }

    /// The value, when it is the same for every request.
    #[must_use]
    pub fn constant(&self) -> Option<&Value> {
        self.0.constant.as_ref()
    }

    /// Whether it is a condition that every request meets.
    #[must_use]
    pub fn is_always_true(&self) -> bool {
        self.0.constant == Some(Value::Bool(true))
    }

    /// What is allowed but suspicious.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.0.warnings
    }

    /// The value for these facts.
    ///
    /// # Errors
    /// See `EvalCode`. Never panics.
    pub fn evaluate(&self, evaluation: &Evaluation<'_>) -> Result<Value, EvalError> {
        self.run(evaluation, Value::read)
    }

    /// Whether the facts meet the condition. Does not allocate for the environment, so that many rules can be tried on one
    /// evaluation.
    ///
    /// # Errors
    /// As `evaluate`, and `WrongType` for a program that is no condition.
    pub fn is_met(&self, evaluation: &Evaluation<'_>) -> Result<bool, EvalError> {
        self.run(evaluation, evaluate::truth)
    }

    /// The operands of a condition's logical operators that decided it, with what each came to; of a condition without such
    /// operators, itself. For people: what it comes to is what `is_met` says.
    #[must_use]
    pub fn reasons(&self, evaluation: &Evaluation<'_>) -> Vec<Reason> {
        let mut ask = |program: &Self| {
            let value = program.is_met(evaluation).map_err(|error| error.to_string());
            Reason { text: program.text().to_owned(), value }
        };
        let parts = self.0.parts.get_or_init(|| self.taken_apart());
        match parts {
            Some(parts) => parts.decide(&mut ask).1,
            None => vec![ask(self)],
        }
    }

    /// `None` if it has no parts.
    fn taken_apart(&self) -> Option<parts::Part<Self>> {
        let text = self.text();
        let tokens = limits::scan(text).ok()?;
        let parts = parts::split(&tokens.pieces(text))?;
        if matches!(parts, parts::Part::Leaf(_)) {
            return None;
        }
        parts.try_map(&mut |range| compile(self.environment(), text.get(range)?).ok())
    }

    fn run<T: Send>(
        &self,
        evaluation: &Evaluation<'_>,
        read: impl FnOnce(&dyn cel::common::value::Val) -> Option<T> + Send,
    ) -> Result<T, EvalError> {
        let Inner { code, constants, levels, .. } = &*self.0;
        limits::with_room(*levels, || evaluate::run(code, constants, Some(evaluation), read)).unwrap_or_else(
            || Err(EvalError::new(EvalCode::Internal, "there is no memory to evaluate the expression")),
        )
    }
}

/// A tree is dropped as deep as it is, too.
impl Drop for Inner {
    fn drop(&mut self) {
        let code = std::mem::take(&mut self.code);
        limits::with_room(self.levels, || drop(code));
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("text", &self.0.text)
            .field("environment", &self.0.environment)
            .field("result_type", &self.0.result_type)
            .field("cost", &self.0.cost)
            .finish_non_exhaustive()
    }
}
