//! The requests of a comparison: those that were given, and those that are made from the directory.

use super::REQUESTS_MAX;
use crate::app::Error;
use crate::app::error::invalid;
use crate::app::world::choice;
use crate::expr::UserStatus;
use crate::pb::countersign::v1 as pb;
use crate::policy::{Path, Report};
use crate::workflow::world::Directory;
use std::collections::BTreeSet;

/// All requests, those that were given first.
///
/// # Errors
/// If there are more than the limit; nothing is made then.
pub(super) fn all(
    report: &mut Report,
    call: &pb::CompareRequest,
    directory: &Directory,
) -> Result<Vec<pb::Request>, Error> {
    let given = call.requests.len();
    if given > REQUESTS_MAX {
        let message = format!("{given} requests; at most {REQUESTS_MAX}");
        return Err(invalid("requests", "REQUESTS_TOO_MANY", message));
    }
    let mut requests = call.requests.clone();
    let Some(population) = &call.population else { return Ok(requests) };
    let types = task_types(report, population);
    let things = things(report, population, directory);
    let people: Vec<&str> = directory
        .people()
        .iter()
        .filter(|person| matches!(person.user.status, UserStatus::Enabled | UserStatus::Unspecified))
        .map(|person| person.user.id.as_str())
        .collect();
    let count = people.len().saturating_mul(things.len()).saturating_mul(types.len());
    if given.saturating_add(count) > REQUESTS_MAX {
        let message = format!(
            "{} users × {} entitlements × {} types of task, and {given} requests beside: {} in all; at most {REQUESTS_MAX}",
            people.len(),
            things.len(),
            types.len(),
            given.saturating_add(count),
        );
        return Err(invalid("population", "REQUESTS_TOO_MANY", message));
    }
    let common = population.common.clone().unwrap_or_default();
    for (app, entitlement) in &things {
        for kind in &types {
            requests.extend(people.iter().map(|who| pb::Request {
                task_type: *kind,
                subject_id: (*who).to_owned(),
                requester_id: (*who).to_owned(),
                app_id: (*app).to_owned(),
                entitlement_id: (*entitlement).to_owned(),
                account_id: String::new(),
                resource_id: String::new(),
                appeal: None,
                ..common.clone()
            }));
        }
    }
    Ok(requests)
}

/// Which types of task, each once; `[unspecified]` for that of the policy.
fn task_types(report: &mut Report, population: &pb::Population) -> Vec<i32> {
    let root = Path::ROOT;
    let at = root.field("population.taskTypes");
    let mut types = Vec::new();
    for (n, number) in population.task_types.iter().enumerate() {
        let kind: pb::TaskType = choice(report, &at.index(n), *number);
        if !types.contains(&i32::from(kind)) {
            types.push(i32::from(kind));
        }
    }
    if types.is_empty() { vec![pb::TaskType::Unspecified.into()] } else { types }
}

/// What is asked for: app and entitlement, or an app as a whole.
fn things<'d>(
    report: &mut Report,
    population: &'d pb::Population,
    directory: &'d Directory,
) -> Vec<(&'d str, &'d str)> {
    let root = Path::ROOT;
    let at = root.field("population.entitlements");
    if population.entitlements.is_empty() {
        let all: Vec<(&str, &str)> = directory
            .entitlements()
            .map(|one| (one.entitlement.app_id.as_str(), one.entitlement.id.as_str()))
            .collect();
        let known: BTreeSet<&str> = all.iter().map(|(app, _)| *app).collect();
        let bare = directory.apps().map(|app| app.id.as_str()).filter(|app| !known.contains(app));
        return all.into_iter().chain(bare.map(|app| (app, ""))).collect();
    }
    let mut things = Vec::new();
    for (n, one) in population.entitlements.iter().enumerate() {
        if directory.entitlement(&one.app_id, &one.entitlement_id).is_none() {
            let message = "the directory has no such entitlement";
            report.refuse(&at.index(n), "ENTITLEMENT_UNKNOWN", message);
        }
        let thing = (one.app_id.as_str(), one.entitlement_id.as_str());
        if !things.contains(&thing) {
            things.push(thing);
        }
    }
    things
}
