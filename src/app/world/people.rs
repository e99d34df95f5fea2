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
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The directory. Faults are reported below `at`; one with faults must not be used.
pub fn directory(report: &mut Report, at: &Path<'_>, given: &pb::Directory) -> Directory {
    if !check_sizes(report, at, given) {
        return Directory::default();
    }
    let path = at.field("users");
    check_unique(report, &path, given.users.iter().map(|user| (String::new(), user.id.clone())));
    let mut emails: BTreeMap<&str, &str> = BTreeMap::new();
    for user in &given.users {
        emails.entry(&user.id).or_insert(&user.email);
    }
    let users = given.users.iter().enumerate();
    let people = users.map(|(n, user)| person(report, &path.index(n), user, &emails)).collect();
    let path = at.field("apps");
    check_unique(report, &path, given.apps.iter().map(|app| (String::new(), app.id.clone())));
    let apps = given.apps.iter().enumerate();
    let apps = apps.map(|(n, one)| app(report, &path.index(n), one)).collect();
    let path = at.field("entitlements");
    let ids = given.entitlements.iter().map(|one| (one.app_id.clone(), one.id.clone()));
    check_unique(report, &path, ids);
    let path = at.field("resources");
    let ids = given.resources.iter().map(|one| (one.app_id.clone(), one.id.clone()));
    check_unique(report, &path, ids);
    Directory::new(
        people,
        apps,
        given.entitlements.iter().map(entitlement).collect(),
        given.resources.iter().map(resource).collect(),
        given.groups.iter().map(group).collect(),
        given.administrator_ids.clone(),
    )
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
fn check_unique(report: &mut Report, path: &Path<'_>, ids: impl Iterator<Item = (String, String)>) {
    let mut seen = BTreeSet::new();
    for (n, id) in ids.enumerate() {
        let at = path.index(n);
        check_id(report, &at.field("id"), &id.1, true);
        if !seen.insert(id) {
            report.refuse(&at.field("id"), "ID_TWICE", "another entry has the same id");
        }
    }
}

fn person(report: &mut Report, at: &Path<'_>, given: &pb::User, emails: &BTreeMap<&str, &str>) -> Person {
    let manager_id = given.manager_ids.first().cloned().unwrap_or_default();
    let kind = match choice(report, &at.field("type"), given.r#type) {
        pb::UserType::Unspecified | pb::UserType::Human => UserType::Human,
        pb::UserType::Agent => UserType::Agent,
        pb::UserType::Service => UserType::Service,
        pb::UserType::System => UserType::System,
    };
    let user = User {
        id: given.id.clone(),
        email: given.email.clone(),
        display_name: given.display_name.clone(),
        username: given.username.clone(),
        department: given.department.clone(),
        job_title: given.job_title.clone(),
        employment_type: given.employment_type.clone(),
        employment_status: given.employment_status.clone(),
        manager: emails.get(manager_id.as_str()).map(|email| (*email).to_owned()).unwrap_or_default(),
        manager_id,
        emails: given.emails.clone(),
        usernames: given.usernames.clone(),
        status: status(choice(report, &at.field("status"), given.status)),
        directory_status: status(choice(report, &at.field("directoryStatus"), given.directory_status)),
        kind,
        profile: attributes(given.profile.as_ref()),
        attributes: attributes(given.attributes.as_ref()),
    };
    Person {
        user: Arc::new(user),
        managers: given.manager_ids.clone(),
        groups: given.groups.iter().map(group_ref).collect(),
        delegate_id: given.delegate_id.clone(),
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

fn group_ref(given: &pb::EntitlementRef) -> GroupRef {
    GroupRef { app_id: given.app_id.clone(), entitlement_id: given.entitlement_id.clone() }
}

fn app(report: &mut Report, at: &Path<'_>, given: &pb::App) -> App {
    let path = at.field("accounts");
    check_unique(report, &path, given.accounts.iter().map(|one| (String::new(), one.id.clone())));
    let accounts = given.accounts.iter().enumerate();
    App {
        id: given.id.clone(),
        owners: given.owner_ids.clone(),
        accounts: accounts.map(|(n, one)| account(report, &path.index(n), one)).collect(),
    }
}

fn account(report: &mut Report, at: &Path<'_>, given: &pb::Account) -> Account {
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
    let risks = given.risk_scores.iter();
    let insights = given.security_insights.iter();
    let account = AppUser {
        id: given.id.clone(),
        display_name: given.display_name.clone(),
        username: given.username.clone(),
        email: given.email.clone(),
        usernames: given.usernames.clone(),
        emails: given.emails.clone(),
        employee_ids: given.employee_ids.clone(),
        kind,
        status,
        status_details: given.status_details.clone(),
        profile: attributes(given.profile.as_ref()),
        attributes: attributes(given.attributes.as_ref()),
        risk_scores: risks.map(|one| RiskScore { source: one.source.clone(), score: one.score }).collect(),
        security_insights: insights
            .map(|one| SecurityInsight {
                source: one.source.clone(),
                severity: one.severity.clone(),
                title: one.title.clone(),
            })
            .collect(),
    };
    Account {
        account: Arc::new(account),
        user_id: given.user_id.clone(),
        managers: given.manager_ids.clone(),
    }
}

fn entitlement(given: &pb::Entitlement) -> EntitlementInfo {
    let entitlement = Entitlement {
        id: given.id.clone(),
        app_id: given.app_id.clone(),
        risk_level_value_id: given.risk_level_value_id.clone(),
        app_resource_type: given.app_resource_type.clone(),
        annotations: attributes(given.annotations.as_ref()),
    };
    let way = |automatic: bool| if automatic { Enrollment::Automatic } else { Enrollment::Requested };
    let enrollments = given.enrollments.iter().map(|one| (one.user_id.clone(), way(one.automatic)));
    EntitlementInfo {
        entitlement: Arc::new(entitlement),
        resource_id: given.resource_id.clone(),
        owners: given.owner_ids.clone(),
        members: given.member_ids.clone(),
        enrollments: enrollments.collect(),
    }
}

fn resource(given: &pb::Resource) -> Resource {
    Resource { id: given.id.clone(), app_id: given.app_id.clone(), owners: given.owner_ids.clone() }
}

fn group(given: &pb::Group) -> Group {
    Group { id: given.id.clone(), app_id: given.app_id.clone(), display_name: given.display_name.clone() }
}
