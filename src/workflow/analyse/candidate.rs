//! A request and a directory made from what the solver found: a guess, to be tried before anybody hears of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::theory::{Assigned, Constant, Theory};
use crate::expr::{
    AppUser, AppUserStatus, AppUserType, Attributes, Entitlement, Json, TaskOrigin, User, UserStatus,
    UserType,
};
use crate::workflow::world::{Account, App, Directory, EntitlementInfo, Person, Request, Resource};

/// The point in time of a witness whose conditions do not ask for the time: 2026-01-05 09:00 UTC, a Monday.
const NOW_SECONDS: i64 = 1_767_603_600;
/// Who asks, where the conditions do not say.
pub(super) const SUBJECT: &str = "requester";
/// Who asks for somebody else, where the conditions do not say who.
const ASKS_FOR_ANOTHER: &str = "on-behalf";
const APP: &str = "app";
const ENTITLEMENT: &str = "entitlement";
const RESOURCE: &str = "resource";

/// One world, still to be changed.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub request: Request,
    pub subject: Person,
    /// Everybody else.
    pub others: Vec<Person>,
    /// The app that is asked for.
    pub app: App,
    pub entitlement: EntitlementInfo,
    pub resource: Resource,
    /// Entitlements that stand for groups.
    pub groups: Vec<EntitlementInfo>,
    pub administrators: Vec<String>,
    pub at: DateTime<Utc>,
}

impl Default for Candidate {
    fn default() -> Self {
        Candidate::of([].into_iter())
    }
}

type Values = BTreeMap<Vec<String>, Assigned>;

impl Candidate {
    /// From the assignment that the solver has.
    pub fn from_model(theory: &Theory) -> Candidate {
        Candidate::of(theory.facts().map(|(path, assigned)| (path.to_vec(), assigned)))
    }

    fn of(facts: impl Iterator<Item = (Vec<String>, Assigned)>) -> Candidate {
        let values: Values = facts.collect();
        let text = |path: &[&str], default: &str| text(&values, path).unwrap_or_else(|| default.to_owned());
        let first = |paths: &[&[&str]], default: &str| {
            paths.iter().find_map(|path| self::text(&values, path)).unwrap_or_else(|| default.to_owned())
        };
        let id = first(&[&["subject", "id"], &["task", "subjectUserId"]], SUBJECT);
        let requester = text(&["task", "requestorUserId"], "");
        let (app_id, entitlement_id) =
            (text(&["entitlement", "appId"], APP), text(&["entitlement", "id"], ENTITLEMENT));
        let (user, manager) = subject(&values, &id);
        let mut others = Vec::new();
        if !requester.is_empty() && requester != id {
            others.push(person(&requester, ""));
        }
        let mut managers = Vec::new();
        if let Some((manager, email)) = manager {
            if manager != id && manager != requester {
                others.push(person(&manager, &email));
            }
            managers.push(manager);
        }
        let account = account(&values, &id);
        let accounts = account.into_iter().collect();
        Candidate {
            request: request(&values, &id, requester, &app_id, &entitlement_id),
            subject: Person { user: Arc::new(user), managers, ..Person::default() },
            others,
            app: App { id: app_id.clone(), owners: Vec::new(), accounts },
            entitlement: EntitlementInfo {
                entitlement: Arc::new(entitlement(&values, entitlement_id, app_id.clone())),
                resource_id: RESOURCE.to_owned(),
                ..EntitlementInfo::default()
            },
            resource: Resource { id: RESOURCE.to_owned(), app_id, owners: Vec::new() },
            groups: Vec::new(),
            administrators: Vec::new(),
            at: moment(&values, &["now"]).unwrap_or_else(now),
        }
    }

    /// Somebody of this id is there.
    pub fn ensure(&mut self, id: &str) {
        let known = self.subject.user.id == id || self.others.iter().any(|other| other.user.id == id);
        if !known {
            self.others.push(person(id, ""));
        }
    }

    /// The same request, made by somebody else; `None` if it is by now.
    pub fn asked_by_another(&self) -> Option<Candidate> {
        let own = self.request.requester_id.is_empty();
        let mut other = self.clone();
        ASKS_FOR_ANOTHER.clone_into(&mut other.request.requester_id);
        other.ensure(ASKS_FOR_ANOTHER);
        own.then_some(other)
    }

    /// The directory as it stands.
    pub fn directory(&self) -> Directory {
        let people = std::iter::once(&self.subject).chain(&self.others).cloned().collect();
        let entitlements = std::iter::once(&self.entitlement).chain(&self.groups).cloned().collect();
        Directory::new(
            people,
            vec![self.app.clone()],
            entitlements,
            vec![self.resource.clone()],
            Vec::new(),
            self.administrators.clone(),
        )
    }
}

/// The time of a witness whose conditions do not ask for it.
pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW_SECONDS, 0).unwrap_or_default()
}

/// Somebody with nothing special.
pub(super) fn person(id: &str, email: &str) -> Person {
    let email = if email.is_empty() { format!("{id}@example.com") } else { email.to_owned() };
    let user = User {
        id: id.to_owned(),
        emails: vec![email.clone()],
        email,
        status: UserStatus::Enabled,
        directory_status: UserStatus::Enabled,
        kind: UserType::Human,
        ..User::default()
    };
    Person { user: Arc::new(user), ..Person::default() }
}

/// Who asks; and their manager's id and e-mail address, if they must have one.
fn subject(values: &Values, id: &str) -> (User, Option<(String, String)>) {
    let field = |name: &str| text(values, &["subject", name]);
    let number = |name: &str| number(values, &["subject", name]);
    let email = field("email").unwrap_or_else(|| format!("{id}@example.com"));
    let set = |name: &str| field(name).filter(|value| !value.is_empty());
    let manager = match (set("managerId"), set("manager")) {
        (None, None) => None,
        (id, email) => {
            let id = id.unwrap_or_else(|| "manager".to_owned());
            Some((id.clone(), email.unwrap_or_else(|| format!("{id}@example.com"))))
        }
    };
    let (manager_id, manager_email) = manager.clone().unwrap_or_default();
    let user = User {
        id: id.to_owned(),
        emails: vec![email.clone()],
        email,
        display_name: field("displayName").unwrap_or_default(),
        username: field("username").unwrap_or_default(),
        department: field("department").unwrap_or_default(),
        job_title: field("jobTitle").unwrap_or_default(),
        employment_type: field("employmentType").unwrap_or_default(),
        employment_status: field("employmentStatus").unwrap_or_default(),
        manager: manager_email,
        manager_id,
        usernames: Vec::new(),
        status: status(number("status")),
        directory_status: status(number("directoryStatus")),
        kind: match number("type") {
            Some(2) => UserType::Agent,
            Some(3) => UserType::Service,
            Some(4) => UserType::System,
            _ => UserType::Human,
        },
        profile: attributes(values, &["subject", "profile"]),
        attributes: attributes(values, &["subject", "attributes"]),
    };
    (user, manager)
}

fn status(number: Option<u8>) -> UserStatus {
    match number {
        Some(2) => UserStatus::Disabled,
        Some(3) => UserStatus::Deleted,
        _ => UserStatus::Enabled,
    }
}

/// The subject's account, if the conditions ask about it.
fn account(values: &Values, user_id: &str) -> Option<Account> {
    let asked = values.keys().any(|path| path.first().is_some_and(|root| root == "account"));
    if !asked {
        return None;
    }
    let field = |name: &str| text(values, &["account", name]).unwrap_or_default();
    let account = AppUser {
        id: text(values, &["account", "id"]).unwrap_or_else(|| "account".to_owned()),
        display_name: field("displayName"),
        username: field("username"),
        email: field("email"),
        kind: match number(values, &["account", "appUserType"]) {
            Some(2) => AppUserType::ServiceAccount,
            Some(3) => AppUserType::SystemAccount,
            _ => AppUserType::User,
        },
        status: match number(values, &["account", "status", "status"]) {
            Some(2) => AppUserStatus::Disabled,
            Some(3) => AppUserStatus::Deleted,
            _ => AppUserStatus::Enabled,
        },
        status_details: text(values, &["account", "status", "details"]).unwrap_or_default(),
        profile: attributes(values, &["account", "profile"]),
        attributes: attributes(values, &["account", "attributes"]),
        ..AppUser::default()
    };
    Some(Account { account: Arc::new(account), user_id: user_id.to_owned(), managers: Vec::new() })
}

fn entitlement(values: &Values, id: String, app_id: String) -> Entitlement {
    let field = |name: &str| text(values, &["entitlement", name]).unwrap_or_default();
    Entitlement {
        id,
        app_id,
        risk_level_value_id: field("riskLevelValueId"),
        app_resource_type: field("appResourceType"),
        annotations: attributes(values, &["entitlement", "annotations"]),
    }
}

fn request(values: &Values, id: &str, requester: String, app_id: &str, entitlement_id: &str) -> Request {
    let field = |name: &str| text(values, &["task", name]).unwrap_or_default();
    let permanent = flag(values, &["task", "isGrantPermanent"]);
    let duration = match values.get(&path(&["task", "grantDuration"])) {
        Some(Assigned::Is(Constant::Span(nanos))) => i64::try_from(*nanos).ok().map(TimeDelta::nanoseconds),
        _ => None,
    };
    let duration = match (duration, permanent) {
        (Some(duration), _) if permanent != Some(true) => Some(duration),
        (None, Some(false)) => Some(TimeDelta::hours(1)),
        _ => None,
    };
    let mut request = Request {
        subject_id: id.to_owned(),
        requester_id: if requester == id { String::new() } else { requester },
        app_id: app_id.to_owned(),
        entitlement_id: entitlement_id.to_owned(),
        grant_duration: duration,
        origin: origin(number(values, &["task", "origin"])),
        created_at: moment(values, &["task", "createdAt"]),
        display_name: field("displayName"),
        task_id: field("id"),
        numeric_id: field("numericId"),
        ..Request::default()
    };
    request.analysis.id = text(values, &["task", "analysis", "id"]).unwrap_or_default();
    request.analysis.has_conflict_violations =
        flag(values, &["task", "analysis", "hasConflictViolations"]) == Some(true);
    request
}

fn origin(number: Option<u8>) -> TaskOrigin {
    match number {
        Some(1) => TaskOrigin::Webapp,
        Some(2) => TaskOrigin::Slack,
        Some(3) => TaskOrigin::Api,
        Some(4) => TaskOrigin::Jira,
        Some(5) => TaskOrigin::Copilot,
        Some(6) => TaskOrigin::ProfileMembershipAutomation,
        Some(7) => TaskOrigin::TimeRevoke,
        _ => TaskOrigin::Unspecified,
    }
}

fn path(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

fn text(values: &Values, parts: &[&str]) -> Option<String> {
    match values.get(&path(parts)) {
        Some(Assigned::Is(Constant::Text(text))) => Some(text.clone()),
        _ => None,
    }
}

fn number(values: &Values, parts: &[&str]) -> Option<u8> {
    match values.get(&path(parts)) {
        Some(Assigned::Is(Constant::Enum(_, number))) => Some(*number),
        _ => None,
    }
}

fn flag(values: &Values, parts: &[&str]) -> Option<bool> {
    match values.get(&path(parts)) {
        Some(Assigned::Is(Constant::Bool(flag))) => Some(*flag),
        _ => None,
    }
}

fn moment(values: &Values, parts: &[&str]) -> Option<DateTime<Utc>> {
    match values.get(&path(parts)) {
        Some(Assigned::Is(Constant::Moment(nanos))) => {
            let (seconds, rest) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, u32::try_from(rest).ok()?)
        }
        _ => None,
    }
}

/// The keys below a map of attributes. A key that is asked for below another makes that one a map.
fn attributes(values: &Values, parts: &[&str]) -> Attributes {
    let start = path(parts);
    let mut made = Attributes::new();
    for (path, assigned) in values {
        let Some(keys) = path.strip_prefix(start.as_slice()) else { continue };
        if let (Some((last, above)), Some(value)) = (keys.split_last(), json(assigned)) {
            put(&mut made, above, last, value);
        }
    }
    made
}

fn put(map: &mut Attributes, above: &[String], last: &str, value: Json) {
    let Some((key, below)) = above.split_first() else {
        map.entry(last.to_owned()).or_insert(value);
        return;
    };
    let inner = map.entry(key.clone()).or_insert_with(|| Json::Map(Attributes::new()));
    if !matches!(inner, Json::Map(_)) {
        *inner = Json::Map(Attributes::new());
    }
    if let Json::Map(inner) = inner {
        put(inner, below, last, value);
    }
}

fn json(assigned: &Assigned) -> Option<Json> {
    Some(match assigned {
        Assigned::Missing => return None,
        Assigned::Other => Json::String("other".to_owned()),
        Assigned::Is(Constant::Null) => Json::Null,
        Assigned::Is(Constant::Bool(flag)) => Json::Bool(*flag),
        Assigned::Is(Constant::Number(number)) => Json::Number(number.get()),
        Assigned::Is(Constant::Text(text)) => Json::String(text.clone()),
        Assigned::Is(_) => return None,
    })
}
