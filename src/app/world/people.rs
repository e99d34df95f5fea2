//! A directory of a message.

use super::json::attributes;
use super::{LINKS_MAX, THINGS_MAX, USERS_MAX, check_id, choice, time};
use crate::expr::{
    AppUser, AppUserStatus, AppUserType, Enrollment, Entitlement, Group, RiskScore, SecurityInsight, User,
    UserStatus, UserType,
};
use crate::pb::countersign::v1 as pb;
use crate::policy::{Path, Report};
use crate::workflow::GroupRef;
use crate::workflow::world::{Account, App, Directory, EntitlementInfo, Person, Resource};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The directory. Faults are reported below `at`; one with faults must not be used.
pub fn directory(report: &mut Report, at: &Path<'_>, given: pb::Directory) -> Directory {
    if !check_sizes(report, at, &given) {
        return Directory::default();
    }
    let path = at.field("users");
    check_unique(report, &path, given.users.iter().map(|user| ("", user.id.as_str())));
    let managers = emails_of_managers(&given.users);
    let users = given.users.into_iter().zip(managers).enumerate();
    let people = users.map(|(n, (user, manager))| person(report, &path.index(n), user, manager)).collect();
    let path = at.field("apps");
    check_unique(report, &path, given.apps.iter().map(|app| ("", app.id.as_str())));
    let apps = given.apps.into_iter().enumerate();
    let apps = apps.map(|(n, one)| app(report, &path.index(n), one)).collect();
    let path = at.field("entitlements");
    let ids = given.entitlements.iter().map(|one| (one.app_id.as_str(), one.id.as_str()));
    check_unique(report, &path, ids);
    let path = at.field("resources");
    let ids = given.resources.iter().map(|one| (one.app_id.as_str(), one.id.as_str()));
    check_unique(report, &path, ids);
    Directory::new(
        people,
        apps,
        given.entitlements.into_iter().map(entitlement).collect(),
        given.resources.into_iter().map(resource).collect(),
        given.groups.into_iter().map(group).collect(),
        given.administrator_ids,
    )
}

/// For each user the e-mail address of the first manager; empty if there is none.
fn emails_of_managers(users: &[pb::User]) -> Vec<String> {
    let mut emails: HashMap<&str, &str> = HashMap::with_capacity(users.len());
    for user in users {
        emails.entry(&user.id).or_insert(&user.email);
    }
    let manager =
        |user: &pb::User| emails.get(user.manager_ids.first()?.as_str()).map(|email| (*email).to_owned());
    users.iter().map(|user| manager(user).unwrap_or_default()).collect()
}

/// Refuses a directory that is too large to be looked at any further.
fn check_sizes(report: &mut Report, at: &Path<'_>, given: &pb::Directory) -> bool {
    let accounts = given.apps.iter().map(|app| app.accounts.len()).sum::<usize>();
    let mut fits = true;
    for (name, count, most) in [
        ("users", given.users.len(), USERS_MAX),
        ("apps", given.apps.len(), THINGS_MAX),
        ("entitlements", given.entitlements.len(), THINGS_MAX),
        ("resources", given.resources.len(), THINGS_MAX),
        ("groups", given.groups.len(), THINGS_MAX),
        ("apps", accounts, LINKS_MAX),
    ] {
        if count > most {
            let message = format!("{count} entries; the limit is {most}");
            report.refuse(&at.field(name), "DIRECTORY_TOO_LARGE", message);
            fits = false;
        }
    }
    let users = given.users.iter().map(|user| user.manager_ids.len() + user.groups.len());
    let accounts = given.apps.iter().flat_map(|app| &app.accounts).map(|account| account.manager_ids.len());
    let owners = given.apps.iter().map(|app| app.owner_ids.len());
    let resources = given.resources.iter().map(|resource| resource.owner_ids.len());
    let entitlements = given.entitlements.iter();
    let entitlements =
        entitlements.map(|one| one.owner_ids.len() + one.member_ids.len() + one.enrollments.len());
    let links = users.chain(accounts).chain(owners).chain(resources).chain(entitlements).sum::<usize>()
        + given.administrator_ids.len();
    if links > LINKS_MAX {
        let message = format!("{links} ids in its lists; the limit is {LINKS_MAX}");
        report.refuse(at, "DIRECTORY_TOO_LARGE", message);
        fits = false;
    }
    fits
}

/// Refuses ids that are empty, too long, or there twice in the same app.
fn check_unique<'a>(report: &mut Report, path: &Path<'_>, ids: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut seen = HashSet::new();
    for (n, id) in ids.enumerate() {
        let at = path.index(n);
        check_id(report, &at.field("id"), id.1, true);
        if !seen.insert(id) {
            report.refuse(&at.field("id"), "ID_TWICE", "another entry has the same id");
        }
    }
}

fn person(report: &mut Report, at: &Path<'_>, given: pb::User, manager: String) -> Person {
    let kind = match choice(report, &at.field("type"), given.r#type) {
        pb::UserType::Unspecified | pb::UserType::Human => UserType::Human,
        pb::UserType::Agent => UserType::Agent,
        pb::UserType::Service => UserType::Service,
        pb::UserType::System => UserType::System,
    };
    let user = User {
        id: given.id,
        email: given.email,
        display_name: given.display_name,
        username: given.username,
        department: given.department,
        job_title: given.job_title,
        employment_type: given.employment_type,
        employment_status: given.employment_status,
        manager,
        manager_id: given.manager_ids.first().cloned().unwrap_or_default(),
        emails: given.emails,
        usernames: given.usernames,
        status: status(choice(report, &at.field("status"), given.status)),
        directory_status: status(choice(report, &at.field("directoryStatus"), given.directory_status)),
        kind,
        profile: attributes(given.profile),
        attributes: attributes(given.attributes),
    };
    Person {
        user: Arc::new(user),
        managers: given.manager_ids,
        groups: given.groups.into_iter().map(group_ref).collect(),
        delegate_id: given.delegate_id,
        delegate_since: time(report, &at.field("delegateSince"), given.delegate_since.as_ref()),
    }
}

fn status(given: pb::UserStatus) -> UserStatus {
    match given {
        pb::UserStatus::Unspecified | pb::UserStatus::Enabled => UserStatus::Enabled,
        pb::UserStatus::Disabled => UserStatus::Disabled,
        pb::UserStatus::Deleted => UserStatus::Deleted,
    }
}

fn group_ref(given: pb::EntitlementRef) -> GroupRef {
    GroupRef { app_id: given.app_id, entitlement_id: given.entitlement_id }
}

fn app(report: &mut Report, at: &Path<'_>, given: pb::App) -> App {
    let path = at.field("accounts");
    check_unique(report, &path, given.accounts.iter().map(|one| ("", one.id.as_str())));
    let accounts = given.accounts.into_iter().enumerate();
    let accounts = accounts.map(|(n, one)| account(report, &path.index(n), one)).collect();
    App { id: given.id, owners: given.owner_ids, accounts }
}

fn account(report: &mut Report, at: &Path<'_>, given: pb::Account) -> Account {
    let kind = match choice(report, &at.field("type"), given.r#type) {
        pb::AccountType::Unspecified | pb::AccountType::User => AppUserType::User,
        pb::AccountType::ServiceAccount => AppUserType::ServiceAccount,
        pb::AccountType::SystemAccount => AppUserType::SystemAccount,
    };
    let status = match choice(report, &at.field("status"), given.status) {
        pb::AccountStatus::Unspecified | pb::AccountStatus::Enabled => AppUserStatus::Enabled,
        pb::AccountStatus::Disabled => AppUserStatus::Disabled,
        pb::AccountStatus::Deleted => AppUserStatus::Deleted,
    };
    let risks = given.risk_scores.into_iter();
    let insights = given.security_insights.into_iter();
    let account = AppUser {
        id: given.id,
        display_name: given.display_name,
        username: given.username,
        email: given.email,
        usernames: given.usernames,
        emails: given.emails,
        employee_ids: given.employee_ids,
        kind,
        status,
        status_details: given.status_details,
        profile: attributes(given.profile),
        attributes: attributes(given.attributes),
        risk_scores: risks.map(|one| RiskScore { source: one.source, score: one.score }).collect(),
        security_insights: insights
            .map(|one| SecurityInsight { source: one.source, severity: one.severity, title: one.title })
            .collect(),
    };
    Account { account: Arc::new(account), user_id: given.user_id, managers: given.manager_ids }
}

fn entitlement(given: pb::Entitlement) -> EntitlementInfo {
    let entitlement = Entitlement {
        id: given.id,
        app_id: given.app_id,
        risk_level_value_id: given.risk_level_value_id,
        app_resource_type: given.app_resource_type,
        annotations: attributes(given.annotations),
    };
    let way = |automatic: bool| if automatic { Enrollment::Automatic } else { Enrollment::Requested };
    let enrollments = given.enrollments.into_iter().map(|one| (one.user_id, way(one.automatic)));
    EntitlementInfo {
        entitlement: Arc::new(entitlement),
        resource_id: given.resource_id,
        owners: given.owner_ids,
        members: given.member_ids,
        enrollments: enrollments.collect(),
    }
}

fn resource(given: pb::Resource) -> Resource {
    Resource { id: given.id, app_id: given.app_id, owners: given.owner_ids }
}

fn group(given: pb::Group) -> Group {
    Group { id: given.id, app_id: given.app_id, display_name: given.display_name }
}
