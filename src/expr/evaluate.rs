//! Evaluates checked expressions with `cel`, on facts that are bound once for all the expressions of a request.
//! Asks the directory, remembers its answers, and holds facts to the sizes that the cost bound was worked out from.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelInt, CelList, CelString, CelTimestamp, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, ExecutionError, IdedExpr};
use chrono::{DateTime, Utc};

use super::address::Ip;
use super::call;
use super::cost::{ATTRIBUTES_MAX_BYTES, ATTRIBUTES_MAX_LEVELS, ATTRIBUTES_MAX_VALUES};
use super::cost::{LIST_MAX, MEMBERS_MAX, STRING_MAX_BYTES};
use super::facts::{
    AppUser, AppUserStatus, Attributes, Directory, DirectoryError, Enrollment, Entitlement, Facts,
};
use super::facts::{Json, Outcome, Task, User};
use super::library::Question;
use super::record::{self, Boxed, Record, Source};

/// Why an evaluation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvalCode {
    /// A key that a map does not have, or a field of null.
    NoSuchKey,
    OutOfRange,
    DivisionByZero,
    Overflow,
    /// A function was given a value that it cannot take: a bad date, address, number.
    InvalidValue,
    /// A value whose type was not known before turned out to be of a wrong one.
    WrongType,
    /// The directory does not know whom the expression names, or a fact is not there.
    NotFound,
    /// The directory could not answer.
    Directory,
    /// A fact is larger than declared.
    TooLarge,
    /// A fault of ours.
    Internal,
}

impl EvalCode {
    /// The stable text of the code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchKey => "EVALUATION_NO_SUCH_KEY",
            Self::OutOfRange => "EVALUATION_OUT_OF_RANGE",
            Self::DivisionByZero => "EVALUATION_DIVISION_BY_ZERO",
            Self::Overflow => "EVALUATION_OVERFLOW",
            Self::InvalidValue => "EVALUATION_INVALID_VALUE",
            Self::WrongType => "EVALUATION_WRONG_TYPE",
            Self::NotFound => "EVALUATION_NOT_FOUND",
            Self::Directory => "EVALUATION_DIRECTORY",
            Self::TooLarge => "EVALUATION_TOO_LARGE",
            Self::Internal => "EVALUATION_INTERNAL",
        }
    }
}

/// An evaluation that gave no value. The caller must not take it for `false`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    pub code: EvalCode,
    /// A sentence without a full stop.
    pub message: String,
}

impl EvalError {
    pub(super) fn new(code: EvalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for EvalError {}

/// The names under which functions of ours report what is more than a bad value.
const NOT_FOUND: &str = "@not_found";
const DIRECTORY: &str = "@directory";
const TOO_LARGE: &str = "@too_large";

/// The names that the checker gives to what no expression can spell.
pub(super) const DIRECTORY_VARIABLE: &str = "@d";
pub(super) const NOW_VARIABLE: &str = "@n";
pub(super) const CONSTANT_PREFIX: &str = "@k";

/// Facts bound for one request: evaluate as many programs on it as there are rules. Answers of the directory are
/// remembered for as long as it lives, so it must not outlive the request.
#[derive(Debug)]
pub struct Evaluation<'d> {
    subject: Record,
    account: Record,
    entitlement: Record,
    task: Record,
    ip: Option<Ip>,
    now: CelTimestamp,
    directory: Asked<'d>,
    outcome: Option<Record>,
}

impl<'d> Evaluation<'d> {
    /// Binds the facts. `now` is what `now()` gives.
    ///
    /// # Errors
    /// `TooLarge` when a fact is larger than declared in `cost`.
    pub fn new(facts: &Facts, directory: &'d dyn Directory, now: DateTime<Utc>) -> Result<Self, EvalError> {
        let fits = check_user(&facts.subject)
            .and_then(|()| check_account(&facts.account))
            .and_then(|()| check_entitlement(&facts.entitlement))
            .and_then(|()| check_task(&facts.task));
        fits.map_err(|message| EvalError::new(EvalCode::TooLarge, message))?;
        Ok(Self {
            subject: Source::User(Arc::clone(&facts.subject)).into(),
            account: Source::AppUser(Arc::clone(&facts.account)).into(),
            entitlement: Source::Entitlement(Arc::clone(&facts.entitlement)).into(),
            task: Source::Task(Arc::clone(&facts.task)).into(),
            ip: facts.ip.map(Ip::from),
            now: CelTimestamp::from(now.fixed_offset()),
            directory: Asked { directory, answers: Arc::default() },
            outcome: None,
        })
    }

    /// The same facts, and what became of the request.
    #[must_use]
    pub fn with_outcome(self, outcome: Outcome) -> Self {
        Self { outcome: Some(Source::Outcome(Arc::new(outcome)).into()), ..self }
    }

    fn variable(&self, name: &str) -> Option<&(dyn Val + 'd)> {
        Some(match name {
            "subject" => &self.subject,
            "entitlement" => &self.entitlement,
            "task" => &self.task,
            "account" => &self.account,
            "ip" => self.ip.as_ref()?,
            "outcome" => self.outcome.as_ref()?,
            DIRECTORY_VARIABLE => &self.directory,
            NOW_VARIABLE => &self.now,
            _ => return None,
        })
    }
}

/// What the names of one program mean: its constants, and the facts unless it has none.
struct Scope<'a, 'd> {
    constants: &'a [Boxed],
    facts: Option<&'a Evaluation<'d>>,
}

impl VariableResolver for Scope<'_, '_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(index) = name.strip_prefix(CONSTANT_PREFIX) {
            let constant = self.constants.get(index.parse::<usize>().ok()?)?;
            return Some(CowVal::Borrowed(constant.as_ref()));
        }
        Some(CowVal::Borrowed(self.facts?.variable(name)?))
    }
}

static ROOT: LazyLock<Option<Context<'static, 'static>>> =
    LazyLock::new(|| Some(Context::with_env(Arc::clone(call::environment().ok()?))));

/// Evaluates `code` and hands the value to `read` before what it borrows goes away.
pub(super) fn run<T>(
    code: &IdedExpr,
    constants: &[Boxed],
    facts: Option<&Evaluation<'_>>,
    read: impl FnOnce(&dyn Val) -> Option<T>,
) -> Result<T, EvalError> {
    let internal = || EvalError::new(EvalCode::Internal, "the evaluator failed on this expression");
    let root = ROOT.as_ref().ok_or_else(internal)?;
    // Everything that the evaluator touches is dropped or only read, and the answers of the directory are complete or
    // not there at all.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let scope = Scope { constants, facts };
        let context = Context::Child { parent: root, variables: BTreeMap::new(), resolver: Some(&scope) };
        let value = cel::Value::resolve_val(code, &context).map_err(translate)?;
        read(value.as_ref())
            .ok_or_else(|| EvalError::new(EvalCode::WrongType, "the value has no meaning outside"))
    }));
    outcome.unwrap_or_else(|_| Err(internal()))
}

/// The value of a condition, to be handed to `run`.
pub(super) fn truth(value: &dyn Val) -> Option<bool> {
    value.downcast_ref::<CelBool>().map(|flag| *flag.inner())
}

fn translate(error: ExecutionError) -> EvalError {
    use ExecutionError as E;
    let code = match &error {
        E::NoSuchKey(_) => EvalCode::NoSuchKey,
        E::IndexOutOfBounds(_) => EvalCode::OutOfRange,
        E::DivisionByZero(_) | E::RemainderByZero(_) => EvalCode::DivisionByZero,
        E::Overflow(..) => EvalCode::Overflow,
        E::UndeclaredReference(_) => EvalCode::NotFound,
        E::FunctionError { function, .. } => match function.as_str() {
            NOT_FOUND => EvalCode::NotFound,
            DIRECTORY => EvalCode::Directory,
            TOO_LARGE => EvalCode::TooLarge,
            _ => EvalCode::InvalidValue,
        },
        E::DuplicateKey(_) => EvalCode::InvalidValue,
        E::InternalError(_) => EvalCode::Internal,
        _ => EvalCode::WrongType,
    };
    let message = match &error {
        E::NoSuchKey(key) => format!("there is no key {key}"),
        E::IndexOutOfBounds(_) => "the index is outside the list".to_owned(),
        E::DivisionByZero(_) | E::RemainderByZero(_) => "division by zero".to_owned(),
        E::Overflow(operator, ..) => format!("the result of {operator} is too large for its type"),
        E::UndeclaredReference(name) => format!("{name} is not known for this request"),
        E::FunctionError { function, message } if function.starts_with('@') => message.clone(),
        E::FunctionError { function, .. } if function == "duration" => {
            "this is no duration, such as 1h30m".to_owned()
        }
        E::FunctionError { function, message } if function == "timestamp" => {
            format!("this is no timestamp, such as 2026-01-02T15:04:05Z: {message}")
        }
        E::FunctionError { function, message } => format!("{function}: {message}"),
        E::NoSuchOverload(overload) if overload.function() == "_[_]" => {
            let found = overload.argument_types().first().map_or("", String::as_str);
            format!("a value of type {} has no such field or element", found.trim_end_matches("_type"))
        }
        E::NoSuchOverload(overload) => {
            let operation = overload.function().trim_matches(['_', '@']);
            format!("{operation} does not take {}", overload.argument_types().join(", "))
        }
        _ => "a value has a type that this operation does not take".to_owned(),
    };
    EvalError { code, message }
}

/// The directory as a value inside the evaluator: indexing it with a list of a question and its arguments asks it. This
/// way the borrow of the directory is cel's to track, and no function needs a global.
#[derive(Clone, Debug)]
struct Asked<'d> {
    directory: &'d dyn Directory,
    answers: Arc<Mutex<Answers>>,
}

type Answers = BTreeMap<(Question, Vec<String>), Result<Boxed, Refusal>>;

/// Which kind of failure, and its message.
type Refusal = (&'static str, String);

static ASKED_TYPE: Type = Type::new_unspecified_type("directory");

impl Val for Asked<'_> {
    fn get_type(&self) -> &Type {
        &ASKED_TYPE
    }

    fn cel_type() -> &'static Type {
        &ASKED_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for Asked<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let (question, arguments) =
            request(index).map_err(|message| ExecutionError::function_error("@ask", message))?;
        let answer = self.answer(question, arguments);
        answer.map(CowVal::Owned).map_err(|(kind, message)| ExecutionError::function_error(kind, message))
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

/// The question and its arguments as texts: users by their ids, so that equal questions are asked once.
fn request(index: &dyn Val) -> Result<(Question, Vec<String>), String> {
    let parts = index.downcast_ref::<CelList>().map_or(&[][..], CelList::inner);
    let number =
        parts.first().and_then(|number| number.downcast_ref::<CelInt>()).map(|number| *number.inner());
    let question = number.and_then(|number| Question::ALL.get(usize::try_from(number).ok()?)).copied();
    let question = question.ok_or("the question is not known")?;
    let mut arguments = Vec::with_capacity(parts.len());
    for part in parts.iter().skip(1) {
        push_argument(part.as_ref(), &mut arguments)?;
    }
    Ok((question, arguments))
}

fn push_argument(value: &dyn Val, arguments: &mut Vec<String>) -> Result<(), String> {
    if let Some(list) = value.downcast_ref::<CelList>() {
        return list.inner().iter().try_for_each(|element| push_argument(element.as_ref(), arguments));
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        arguments.push(text.inner().to_owned());
        return Ok(());
    }
    match value.downcast_ref::<Record>().map(Record::source) {
        Some(Source::User(user)) => arguments.push(user.id.clone()),
        Some(Source::Entitlement(entitlement)) => {
            arguments.extend([entitlement.app_id.clone(), entitlement.id.clone()]);
        }
        _ => return Err(format!("there is no user, but a value of type {}", value.get_type().name())),
    }
    Ok(())
}

impl Asked<'_> {
    fn answer(&self, question: Question, arguments: Vec<String>) -> Result<Boxed, Refusal> {
        let key = (question, arguments);
        {
            let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(answer) = answers.get(&key) {
                return answer.clone();
            }
        }
        // Not under the lock: the directory is not ours and may take its time.
        let answer = self.ask(question, &key.1);
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(key, answer.clone());
        answer
    }

    fn ask(&self, question: Question, arguments: &[String]) -> Result<Boxed, Refusal> {
        let argument = |index: usize| arguments.get(index).map_or("", String::as_str);
        let (a, b, c) = (argument(0), argument(1), argument(2));
        let directory = self.directory;
        match question {
            Question::AppOwners => members(directory.app_owners(a), LIST_MAX),
            Question::GetManagers => members(directory.managers(a), LIST_MAX),
            Question::GetAppUserManagers => members(directory.app_user_managers(a, b), LIST_MAX),
            Question::GetEntitlementMembers => members(directory.entitlement_members(a, b), MEMBERS_MAX),
            Question::GetEntitlementOwners => members(directory.entitlement_owners(a, b), LIST_MAX),
            Question::DirectReports => self.direct_reports(arguments),
            Question::FindByEmail => {
                found(directory.user_by_email(a), || format!("there is no user with e-mail {a}"))
            }
            Question::GetById => found(directory.user_by_id(a), || format!("there is no user with id {a}")),
            Question::FindByName => match directory.user_by_name(a) {
                Ok(None) => Ok(record::null()),
                answer => found(answer, String::new),
            },
            Question::FindGroupByName => {
                let group = directory.group_by_name(a).map_err(failed)?;
                let group = group.ok_or_else(|| (NOT_FOUND, format!("there is no group named {a}")))?;
                Ok(Record::boxed(Source::Group(group)))
            }
            Question::HasApp => flag(directory.app_users(a, b).map(|accounts| !accounts.is_empty())),
            Question::HasEntitlement => flag(directory.has_entitlement(a, b, c)),
            Question::GrantedFromEnrollment => flag(directory.enrollment(a, b, c).map(|way| way.is_some())),
            Question::AutomaticallyGrantedFromEnrollment => {
                flag(directory.enrollment(a, b, c).map(|way| way == Some(Enrollment::Automatic)))
            }
            Question::GetAppUserStatus => {
                let accounts = directory.app_users(a, b).map_err(failed)?;
                let status = accounts.first().map_or(AppUserStatus::Unspecified, |account| account.status);
                let name =
                    AppUserStatus::NAMES.get(usize::from(status.number())).copied().unwrap_or("UNSPECIFIED");
                Ok(record::text(format!("USER_STATUS_{name}")))
            }
            Question::ListAppUsersForUser => {
                let accounts = directory.app_users(a, b).map_err(failed)?;
                limit("accounts", accounts.len(), LIST_MAX).map_err(large)?;
                accounts.iter().try_for_each(|account| check_account(account)).map_err(large)?;
                Ok(record::list(accounts.into_iter().map(|account| Record::boxed(Source::AppUser(account)))))
            }
        }
    }

    /// The reports of all of them, each once.
    fn direct_reports(&self, managers: &[String]) -> Result<Boxed, Refusal> {
        let mut reports: BTreeMap<String, Arc<User>> = BTreeMap::new();
        for manager in managers {
            let found = self.directory.direct_reports(manager).map_err(failed)?;
            limit("reports", found.len(), MEMBERS_MAX).map_err(large)?;
            reports.extend(found.into_iter().map(|user| (user.id.clone(), user)));
            limit("reports", reports.len(), MEMBERS_MAX).map_err(large)?;
        }
        members(Ok(reports.into_values().collect()), MEMBERS_MAX)
    }
}

fn failed(error: DirectoryError) -> Refusal {
    (DIRECTORY, format!("the directory could not answer: {error}"))
}

fn large(message: String) -> Refusal {
    (TOO_LARGE, message)
}

fn flag(answer: Result<bool, DirectoryError>) -> Result<Boxed, Refusal> {
    answer.map(record::flag).map_err(failed)
}

fn found(
    answer: Result<Option<Arc<User>>, DirectoryError>,
    absent: impl FnOnce() -> String,
) -> Result<Boxed, Refusal> {
    let user = answer.map_err(failed)?.ok_or_else(|| (NOT_FOUND, absent()))?;
    check_user(&user).map_err(large)?;
    Ok(Record::boxed(Source::User(user)))
}

fn members(answer: Result<Vec<Arc<User>>, DirectoryError>, most: usize) -> Result<Boxed, Refusal> {
    let users = answer.map_err(failed)?;
    limit("users", users.len(), most).map_err(large)?;
    users.iter().try_for_each(|user| check_user(user)).map_err(large)?;
    Ok(record::list(users.into_iter().map(|user| Record::boxed(Source::User(user)))))
}

fn limit(what: &str, found: usize, most: usize) -> Result<(), String> {
    if found > most { Err(format!("{found} {what}, more than the {most} that are declared")) } else { Ok(()) }
}

fn check_texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
    texts.into_iter().try_for_each(|text| limit("bytes in a text", text.len(), STRING_MAX_BYTES))
}

fn check_list(texts: &[String]) -> Result<(), String> {
    limit("texts in a list", texts.len(), LIST_MAX)?;
    check_texts(texts)
}

fn check_user(user: &User) -> Result<(), String> {
    check_texts([
        &user.id,
        &user.email,
        &user.display_name,
        &user.username,
        &user.department,
        &user.job_title,
    ])?;
    check_texts([&user.employment_type, &user.employment_status, &user.manager, &user.manager_id])?;
    check_list(&user.emails)?;
    check_list(&user.usernames)?;
    check_attributes(&user.profile)?;
    check_attributes(&user.attributes)
}

fn check_account(account: &AppUser) -> Result<(), String> {
    check_texts([
        &account.id,
        &account.display_name,
        &account.username,
        &account.email,
        &account.status_details,
    ])?;
    check_list(&account.usernames)?;
    check_list(&account.emails)?;
    check_list(&account.employee_ids)?;
    check_attributes(&account.profile)?;
    check_attributes(&account.attributes)?;
    limit("risk scores", account.risk_scores.len(), LIST_MAX)?;
    limit("security insights", account.security_insights.len(), LIST_MAX)?;
    check_texts(account.risk_scores.iter().map(|risk| &risk.source))?;
    let insights = account.security_insights.iter();
    check_texts(insights.flat_map(|insight| [&insight.source, &insight.severity, &insight.title]))
}

fn check_entitlement(entitlement: &Entitlement) -> Result<(), String> {
    let Entitlement { id, app_id, risk_level_value_id, app_resource_type, annotations } = entitlement;
    check_texts([id, app_id, risk_level_value_id, app_resource_type])?;
    check_attributes(annotations)
}

fn check_task(task: &Task) -> Result<(), String> {
    let Task { id, numeric_id, display_name, subject_user_id, requestor_user_id, analysis, .. } = task;
    check_texts([id, numeric_id, display_name, subject_user_id, requestor_user_id, &analysis.id])?;
    check_list(&analysis.conflict_violations)
}

fn check_attributes(attributes: &Attributes) -> Result<(), String> {
    let mut left = Room { values: ATTRIBUTES_MAX_VALUES, bytes: ATTRIBUTES_MAX_BYTES };
    check_map(attributes, &mut left, ATTRIBUTES_MAX_LEVELS)
}

/// What still fits into a map of attributes.
struct Room {
    values: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, text: &str) -> Result<(), String> {
        limit("bytes in a text", text.len(), STRING_MAX_BYTES)?;
        self.bytes = self.bytes.checked_sub(text.len()).ok_or("the attributes hold too much text")?;
        Ok(())
    }
}

fn check_map(map: &Attributes, left: &mut Room, levels: usize) -> Result<(), String> {
    limit("attributes", map.len(), LIST_MAX)?;
    map.iter().try_for_each(|(key, value)| {
        left.take(key)?;
        check_json(value, left, levels)
    })
}

fn check_json(value: &Json, left: &mut Room, levels: usize) -> Result<(), String> {
    left.values = left.values.checked_sub(1).ok_or("the attributes hold too many values")?;
    let levels = levels.checked_sub(1).ok_or("an attribute is nested too deep")?;
    match value {
        Json::String(text) => left.take(text),
        Json::List(values) => {
            limit("values in a list", values.len(), LIST_MAX)?;
            values.iter().try_for_each(|value| check_json(value, left, levels))
        }
        Json::Map(map) => check_map(map, left, levels),
        Json::Null | Json::Bool(_) | Json::Number(_) => Ok(()),
    }
}
