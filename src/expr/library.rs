//! The functions that expressions may call: names, signatures, where they may be used, and how they are carried out.
//! A table and how to read it; `check` picks overloads, `call` and cel's own library do the work.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::Environment;
use super::schema::{Enumeration, Object, Type};

/// How a call is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// By the function of the same name in cel's library.
    Cel,
    /// By our function of this name, registered with cel's environment.
    Own(&'static str),
    /// By asking the directory.
    Directory(Question),
    /// By reading the time that was handed in.
    Now,
}

/// A question that needs the directory or the facts of the evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Question {
    AppOwners,
    HasApp,
    HasEntitlement,
    GrantedFromEnrollment,
    AutomaticallyGrantedFromEnrollment,
    GetAppUserStatus,
    GetAppUserManagers,
    ListAppUsersForUser,
    FindByEmail,
    FindByName,
    GetById,
    GetManagers,
    DirectReports,
    FindGroupByName,
    GetEntitlementMembers,
    GetEntitlementOwners,
}

impl Question {
    pub const ALL: &'static [Self] = &[
        Self::AppOwners,
        Self::HasApp,
        Self::HasEntitlement,
        Self::GrantedFromEnrollment,
        Self::AutomaticallyGrantedFromEnrollment,
        Self::GetAppUserStatus,
        Self::GetAppUserManagers,
        Self::ListAppUsersForUser,
        Self::FindByEmail,
        Self::FindByName,
        Self::GetById,
        Self::GetManagers,
        Self::DirectReports,
        Self::FindGroupByName,
        Self::GetEntitlementMembers,
        Self::GetEntitlementOwners,
    ];
}

/// How large the result can be and what the call costs, seen from its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Looks at all arguments; the result is as large as its type is declared.
    Declared,
    /// Looks at all arguments; the result is a scalar or a short text.
    Small,
    /// Not larger than the first argument.
    AsFirst,
    /// A list of members of something, or of everybody under somebody.
    Members,
    /// The first argument cut into pieces.
    Split,
    /// The elements of the first argument put together.
    Join,
    /// The first argument with its parts replaced by the third.
    Replace,
    /// The first or the second argument.
    Either,
}

/// One way to call a function. A member function has its target as the first parameter.
#[derive(Clone, Debug)]
pub(super) struct Overload {
    pub parameters: Vec<Type>,
    pub result: Type,
}

#[derive(Clone, Debug)]
pub(super) struct Function {
    pub name: &'static str,
    pub environments: &'static [Environment],
    pub carrier: Carrier,
    pub size: Size,
    pub overloads: Vec<Overload>,
}

use Carrier::{Cel, Directory, Now, Own};
use Environment::{AccountTest, Approver, Condition, Invariant};

const EVERYWHERE: &[Environment] = &[Condition, Approver, AccountTest, Invariant];
const POLICIES: &[Environment] = &[Condition, Approver, Invariant];
const CONDITIONS: &[Environment] = &[Condition, Invariant];
const TESTS: &[Environment] = &[AccountTest];

type Row = (&'static str, &'static [&'static str], &'static [Environment], Carrier, Size);

/// Functions that are called by their name.
const GLOBAL: &[Row] = &[
    ("c1.user.v1.HasApp", &["(User, string) bool"], EVERYWHERE, Directory(Question::HasApp), Size::Small),
    (
        "c1.user.v1.HasEntitlement",
        &["(User, string, string) bool"],
        EVERYWHERE,
        Directory(Question::HasEntitlement),
        Size::Small,
    ),
    (
        "c1.user.v1.GrantedFromEnrollment",
        &["(User, string, string) bool"],
        CONDITIONS,
        Directory(Question::GrantedFromEnrollment),
        Size::Small,
    ),
    (
        "c1.user.v1.AutomaticallyGrantedFromEnrollment",
        &["(User, string, string) bool"],
        CONDITIONS,
        Directory(Question::AutomaticallyGrantedFromEnrollment),
        Size::Small,
    ),
    (
        "c1.user.v1.GetAppUserStatus",
        &["(User, string) string"],
        EVERYWHERE,
        Directory(Question::GetAppUserStatus),
        Size::Small,
    ),
    (
        "c1.user.v1.GetAppUserManagers",
        &["(User, string) list(User)"],
        POLICIES,
        Directory(Question::GetAppUserManagers),
        Size::Declared,
    ),
    (
        "c1.user.v1.ListAppUsersForUser",
        &["(User, string) list(AppUser)"],
        TESTS,
        Directory(Question::ListAppUsersForUser),
        Size::Declared,
    ),
    (
        "c1.directory.users.v1.FindByEmail",
        &["(string) User"],
        EVERYWHERE,
        Directory(Question::FindByEmail),
        Size::Small,
    ),
    (
        "c1.directory.users.v1.FindByName",
        &["(string) User"],
        EVERYWHERE,
        Directory(Question::FindByName),
        Size::Small,
    ),
    (
        "c1.directory.users.v1.GetByID",
        &["(string) User"],
        EVERYWHERE,
        Directory(Question::GetById),
        Size::Small,
    ),
    (
        "c1.directory.users.v1.GetManagers",
        &["(User) list(User)"],
        EVERYWHERE,
        Directory(Question::GetManagers),
        Size::Declared,
    ),
    (
        "c1.directory.users.v1.DirectReports",
        &["(User) list(User)", "(list(User)) list(User)"],
        EVERYWHERE,
        Directory(Question::DirectReports),
        Size::Members,
    ),
    (
        "c1.directory.groups.v1.FindByName",
        &["(string) Group"],
        EVERYWHERE,
        Directory(Question::FindGroupByName),
        Size::Small,
    ),
    (
        "c1.directory.apps.v1.GetEntitlementMembers",
        &["(string, string) list(User)"],
        EVERYWHERE,
        Directory(Question::GetEntitlementMembers),
        Size::Members,
    ),
    (
        "c1.directory.apps.v1.GetEntitlementOwners",
        &["(string, string) list(User)", "(Entitlement) list(User)"],
        POLICIES,
        Directory(Question::GetEntitlementOwners),
        Size::Declared,
    ),
    ("c1.app_user.v1.HasSecurityInsight", &["(AppUser) bool"], CONDITIONS, Own("@has_insight"), Size::Small),
    (
        "c1.app_user.v1.GetSecurityInsights",
        &["(AppUser, string) list(SecurityInsight)"],
        CONDITIONS,
        Own("@insights"),
        Size::Declared,
    ),
    (
        "c1.app_user.v1.HasSecurityInsightWithSeverity",
        &["(AppUser, string, string) bool"],
        CONDITIONS,
        Own("@has_insight_with_severity"),
        Size::Small,
    ),
    ("c1.app_user.v1.HasRiskScore", &["(AppUser) bool"], CONDITIONS, Own("@has_risk_score"), Size::Small),
    (
        "c1.app_user.v1.GetRiskScore",
        &["(AppUser, string) c1.risk_score.v1"],
        CONDITIONS,
        Own("@risk_score"),
        Size::Small,
    ),
    ("now", &["() timestamp"], EVERYWHERE, Now, Size::Small),
    (
        "time.parse",
        &["(string, TimeFormat|string) timestamp", "(string, TimeFormat|string, string) timestamp"],
        EVERYWHERE,
        Own("@time_parse"),
        Size::Small,
    ),
    (
        "time.try_parse",
        &["(string, TimeFormat|string) timestamp", "(string, TimeFormat|string, string) timestamp"],
        EVERYWHERE,
        Own("@time_try_parse"),
        Size::Small,
    ),
    (
        "time.format",
        &["(timestamp, TimeFormat|string) string", "(timestamp, TimeFormat|string, string) string"],
        EVERYWHERE,
        Own("@time_format"),
        Size::Declared,
    ),
    ("time.unix", &["(int) timestamp"], EVERYWHERE, Own("@time_unix"), Size::Small),
    ("time.unix_ms", &["(int) timestamp"], EVERYWHERE, Own("@time_unix_ms"), Size::Small),
    (
        "time.start_of",
        &["(timestamp, string) timestamp", "(timestamp, string, string) timestamp"],
        EVERYWHERE,
        Own("@time_start_of"),
        Size::Small,
    ),
    (
        "time.end_of",
        &["(timestamp, string) timestamp", "(timestamp, string, string) timestamp"],
        EVERYWHERE,
        Own("@time_end_of"),
        Size::Small,
    ),
    (
        "time.truncate",
        &["(timestamp, string) timestamp", "(timestamp, string, string) timestamp"],
        EVERYWHERE,
        Own("@time_start_of"),
        Size::Small,
    ),
    ("ip", &["(string) IP"], EVERYWHERE, Own("@ip"), Size::Small),
    ("size", &["(string|bytes|list|map) int"], EVERYWHERE, Cel, Size::Small),
    ("type", &["(dyn) type"], EVERYWHERE, Cel, Size::Small),
    ("dyn", &["(dyn) dyn"], EVERYWHERE, Cel, Size::AsFirst),
    ("bool", &["(bool|string) bool"], EVERYWHERE, Cel, Size::Small),
    ("int", &["(int|uint|double|string|timestamp) int"], EVERYWHERE, Cel, Size::Small),
    ("uint", &["(int|uint|double|string) uint"], EVERYWHERE, Cel, Size::Small),
    ("double", &["(int|uint|double|string) double"], EVERYWHERE, Cel, Size::Small),
    ("bytes", &["(bytes|string) bytes"], EVERYWHERE, Cel, Size::AsFirst),
    (
        "string",
        &["(string|bool|int|uint|double|bytes|timestamp|duration) string"],
        EVERYWHERE,
        Cel,
        Size::AsFirst,
    ),
    ("duration", &["(string|duration) duration"], EVERYWHERE, Cel, Size::Small),
    ("timestamp", &["(string|int|timestamp) timestamp"], EVERYWHERE, Cel, Size::Small),
];

/// Functions that are called on a target.
const MEMBER: &[Row] = &[
    ("ifEmpty", &["(string, string) string"], EVERYWHERE, Own("@if_empty"), Size::Either),
    ("contains", &["(string, string) bool", "(CIDR, IP) bool"], EVERYWHERE, Own("@contains"), Size::Small),
    ("within", &["(IP, CIDR) bool"], EVERYWHERE, Own("@within"), Size::Small),
    ("startsWith", &["(string, string) bool"], EVERYWHERE, Cel, Size::Small),
    ("endsWith", &["(string, string) bool"], EVERYWHERE, Cel, Size::Small),
    ("size", &["(string|bytes|list|map) int"], EVERYWHERE, Cel, Size::Small),
    ("lowerAscii", &["(string) string"], EVERYWHERE, Cel, Size::AsFirst),
    ("upperAscii", &["(string) string"], EVERYWHERE, Cel, Size::AsFirst),
    ("trim", &["(string) string"], EVERYWHERE, Cel, Size::AsFirst),
    ("reverse", &["(string) string"], EVERYWHERE, Cel, Size::AsFirst),
    ("charAt", &["(string, int) string"], EVERYWHERE, Cel, Size::AsFirst),
    ("indexOf", &["(string, string) int", "(string, string, int) int"], EVERYWHERE, Cel, Size::Small),
    ("lastIndexOf", &["(string, string) int", "(string, string, int) int"], EVERYWHERE, Cel, Size::Small),
    ("substring", &["(string, int) string", "(string, int, int) string"], EVERYWHERE, Cel, Size::AsFirst),
    (
        "replace",
        &["(string, string, string) string", "(string, string, string, int) string"],
        EVERYWHERE,
        Cel,
        Size::Replace,
    ),
    (
        "split",
        &["(string, string) list(string)", "(string, string, int) list(string)"],
        EVERYWHERE,
        Cel,
        Size::Split,
    ),
    ("join", &["(list(string)) string", "(list(string), string) string"], EVERYWHERE, Cel, Size::Join),
    ("getFullYear", &["(timestamp) int", "(timestamp, string) int"], EVERYWHERE, Cel, Size::Small),
    ("getMonth", &["(timestamp) int", "(timestamp, string) int"], EVERYWHERE, Cel, Size::Small),
    ("getDate", &["(timestamp) int", "(timestamp, string) int"], EVERYWHERE, Cel, Size::Small),
    ("getDayOfMonth", &["(timestamp) int", "(timestamp, string) int"], EVERYWHERE, Cel, Size::Small),
    ("getDayOfWeek", &["(timestamp) int", "(timestamp, string) int"], EVERYWHERE, Cel, Size::Small),
    ("getDayOfYear", &["(timestamp) int", "(timestamp, string) int"], EVERYWHERE, Cel, Size::Small),
    ("getHours", &["(timestamp|duration) int", "(timestamp, string) int"], EVERYWHERE, Cel, Size::Small),
    ("getMinutes", &["(timestamp|duration) int", "(timestamp, string) int"], EVERYWHERE, Cel, Size::Small),
    ("getSeconds", &["(timestamp|duration) int", "(timestamp, string) int"], EVERYWHERE, Cel, Size::Small),
    (
        "getMilliseconds",
        &["(timestamp|duration) int", "(timestamp, string) int"],
        EVERYWHERE,
        Cel,
        Size::Small,
    ),
];

/// Names of the macros, which `check` knows itself, and of `matches` and `cidr`, whose arguments it looks at.
pub(super) const SPECIAL_GLOBAL: &[&str] = &["has", "matches", "cidr"];
pub(super) const SPECIAL_MEMBER: &[&str] =
    &["all", "exists", "exists_one", "existsOne", "filter", "map", "matches"];

type Table = BTreeMap<String, Function>;

static GLOBALS: LazyLock<Table> = LazyLock::new(|| table(GLOBAL));
static MEMBERS: LazyLock<Table> = LazyLock::new(|| table(MEMBER));

/// The function that is called as `name(...)`. Names with a namespace may also be written in camelCase or snake_case.
pub(super) fn global(name: &str) -> Option<&'static Function> {
    GLOBALS.get(name)
}

/// The function that is called as `target.name(...)`.
pub(super) fn member(name: &str) -> Option<&'static Function> {
    MEMBERS.get(name)
}

/// Whether some function's name starts with `name` and a dot.
pub(super) fn is_namespace(name: &str) -> bool {
    matches!(name, "c1" | "time")
}

/// Names of all functions for suggestions, in their preferred spelling.
pub(super) fn global_names() -> impl Iterator<Item = &'static str> {
    GLOBAL.iter().map(|row| row.0).chain(SPECIAL_GLOBAL.iter().copied())
}

pub(super) fn member_names() -> impl Iterator<Item = &'static str> {
    MEMBER.iter().map(|row| row.0).chain(SPECIAL_MEMBER.iter().copied())
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    for (name, signatures, environments, carrier, size) in rows {
        let overloads = signatures.iter().flat_map(|signature| overloads(signature)).collect();
        let function = Function { name, environments, carrier: *carrier, size: *size, overloads };
        for spelling in spellings(name) {
            table.insert(spelling, function.clone());
        }
    }
    table
}

/// `c1.user.v1.HasApp` is also `c1.user.v1.hasApp` and `c1.user.v1.has_app`. Names without a namespace have one spelling.
fn spellings(name: &str) -> Vec<String> {
    let Some((namespace, last)) = name.rsplit_once('.') else { return vec![name.to_owned()] };
    let mut snake = String::new();
    let mut after_lower = false;
    for letter in last.chars() {
        if letter.is_ascii_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = !letter.is_ascii_uppercase();
        snake.push(letter.to_ascii_lowercase());
    }
    let mut camel = String::new();
    for (index, word) in snake.split('_').enumerate() {
        let (head, tail) = word.split_at_checked(usize::from(index > 0)).unwrap_or((word, ""));
        camel.push_str(&head.to_ascii_uppercase());
        camel.push_str(tail);
    }
    vec![name.to_owned(), format!("{namespace}.{snake}"), format!("{namespace}.{camel}")]
}

/// `(A|B, C) D` is two overloads. The texts are ours, so that a type that is not known is `dyn`.
fn overloads(signature: &str) -> Vec<Overload> {
    let Some((parameters, result)) = signature.trim_start_matches('(').rsplit_once(") ") else {
        return Vec::new();
    };
    let mut all: Vec<Vec<Type>> = vec![Vec::new()];
    for parameter in parameters.split(", ").filter(|parameter| !parameter.is_empty()) {
        let alternatives = parameter.split('|').map(named);
        all = alternatives
            .flat_map(|ty| all.iter().map(move |before| before.iter().cloned().chain([ty.clone()]).collect()))
            .collect();
    }
    all.into_iter().map(|parameters| Overload { parameters, result: named(result) }).collect()
}

fn named(name: &str) -> Type {
    if let Some(of) = name.strip_prefix("list(").and_then(|rest| rest.strip_suffix(')')) {
        return Type::list(named(of));
    }
    match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "type" => Type::Type,
        "IP" => Type::Ip,
        "CIDR" => Type::Cidr,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "TimeFormat" => Type::Enum(Enumeration::TimeFormat),
        "User" => Type::Object(Object::User),
        "AppUser" => Type::Object(Object::AppUser),
        "Entitlement" => Type::Object(Object::Entitlement),
        "Group" => Type::Object(Object::Group),
        "SecurityInsight" => Type::Object(Object::SecurityInsight),
        "c1.risk_score.v1" => Type::Object(Object::RiskScore),
        _ => Type::Dyn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_three_spellings() {
        assert_eq!(
            spellings("c1.directory.users.v1.GetByID"),
            [
                "c1.directory.users.v1.GetByID",
                "c1.directory.users.v1.get_by_id",
                "c1.directory.users.v1.getById"
            ]
        );
        assert_eq!(spellings("time.start_of"), ["time.start_of", "time.start_of", "time.startOf"]);
        assert!(global("c1.user.v1.has_app").is_some());
        assert!(global("time.tryParse").is_some());
    }

    #[test]
    fn signatures_read_back() {
        for (name, function) in GLOBALS.iter().chain(MEMBERS.iter()) {
            assert!(!function.overloads.is_empty(), "{name}");
            let any = function.overloads.iter().flat_map(|o| &o.parameters).any(|ty| *ty == Type::Dyn);
            assert_eq!(any, matches!(name.as_str(), "type" | "dyn"), "{name} takes a type that is not known");
        }
        assert_eq!(overloads("(timestamp|duration) int").len(), 2);
        assert_eq!(overloads("() timestamp")[0].parameters, []);
    }
}
