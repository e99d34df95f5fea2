//! A request of a message.

use super::json::{attributes, to_json, to_object};
use super::{check_id, choice, span, time};
use crate::expr::{TaskAnalysis, TaskOrigin};
use crate::pb::countersign::v1 as pb;
use crate::policy::{Path, Report};
use crate::workflow::world::{self, Directory, Request, TaskKind};

/// The request, and what kind of task it is if it says so. Faults are reported below `at`; one with faults must not be used.
pub fn request(
    report: &mut Report,
    at: &Path<'_>,
    given: &pb::Request,
    directory: &Directory,
) -> (Request, Option<TaskKind>) {
    let kind = task_kind(choice(report, &at.field("taskType"), given.task_type));
    for (name, id) in [
        ("requesterId", &given.requester_id),
        ("appId", &given.app_id),
        ("entitlementId", &given.entitlement_id),
        ("accountId", &given.account_id),
        ("resourceId", &given.resource_id),
    ] {
        check_id(report, &at.field(name), id, false);
    }
    if given.appeal.is_none() {
        check_people(report, at, given, directory);
    }
    let ip = given.ip.parse().ok();
    if ip.is_none() && !given.ip.is_empty() {
        report.refuse(&at.field("ip"), "IP_INVALID", "this is not an IP address");
    }
    let analysis = given.analysis.clone().unwrap_or_default();
    let made = Request {
        subject_id: given.subject_id.clone(),
        requester_id: given.requester_id.clone(),
        app_id: given.app_id.clone(),
        entitlement_id: given.entitlement_id.clone(),
        account_id: given.account_id.clone(),
        resource_id: given.resource_id.clone(),
        grant_duration: span(report, &at.field("grantDuration"), given.grant_duration.as_ref()),
        origin: origin(choice(report, &at.field("origin"), given.origin)),
        created_at: time(report, &at.field("createdAt"), given.created_at.as_ref()),
        ip,
        attributes: attributes(given.attributes.clone()),
        display_name: given.display_name.clone(),
        task_id: given.task_id.clone(),
        numeric_id: given.numeric_id.clone(),
        analysis: TaskAnalysis {
            id: analysis.id,
            has_conflict_violations: analysis.has_conflict_violations,
            conflict_violations: analysis.conflict_violations,
        },
        appeal: given.appeal.as_ref().map(|given| appeal(report, &at.field("appeal"), given)),
    };
    if !made.account_id.is_empty() && made.account(directory).is_none() {
        let message = "the app of the request has no such account in the directory";
        report.refuse(&at.field("accountId"), "ACCOUNT_UNKNOWN", message);
    }
    (made, kind)
}

fn check_people(report: &mut Report, at: &Path<'_>, given: &pb::Request, directory: &Directory) {
    check_id(report, &at.field("subjectId"), &given.subject_id, true);
    for (name, id) in [("subjectId", &given.subject_id), ("requesterId", &given.requester_id)] {
        if !id.is_empty() && directory.person(id).is_none() {
            report.refuse(&at.field(name), "USER_UNKNOWN", "the directory has no user with this id");
        }
    }
}

fn appeal(report: &mut Report, at: &Path<'_>, given: &pb::Appeal) -> world::Appeal {
    let metadata = given.metadata.iter().map(|(key, value)| (key.clone(), to_json(Some(value))));
    world::Appeal {
        appeal: given.appeal.as_ref().map(to_object).unwrap_or_default(),
        metadata: metadata.collect(),
        own_steps: None,
        active_grant_until: time(report, &at.field("activeGrantUntil"), given.active_grant_until.as_ref()),
        additional: given.additional,
        provider_allows_permanent_access: given.provider_allows_permanent_access,
        provider_extension_within: given.provider_extension_within.clone(),
    }
}

fn task_kind(given: pb::TaskType) -> Option<TaskKind> {
    match given {
        pb::TaskType::Unspecified => None,
        pb::TaskType::Grant => Some(TaskKind::Grant),
        pb::TaskType::Revoke => Some(TaskKind::Revoke),
        pb::TaskType::Certify => Some(TaskKind::Certify),
    }
}

fn origin(given: pb::TaskOrigin) -> TaskOrigin {
    match given {
        pb::TaskOrigin::Unspecified => TaskOrigin::Unspecified,
        pb::TaskOrigin::Webapp => TaskOrigin::Webapp,
        pb::TaskOrigin::Slack => TaskOrigin::Slack,
        pb::TaskOrigin::Api => TaskOrigin::Api,
        pb::TaskOrigin::Jira => TaskOrigin::Jira,
        pb::TaskOrigin::Copilot => TaskOrigin::Copilot,
        pb::TaskOrigin::ProfileMembershipAutomation => TaskOrigin::ProfileMembershipAutomation,
        pb::TaskOrigin::TimeRevoke => TaskOrigin::TimeRevoke,
    }
}
