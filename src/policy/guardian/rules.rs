//! What Guardian checks when a policy is created or updated, in its order; then the limits that are ours.

use super::super::Path;
use super::findings::{Findings, Wording};
use super::{
    ID_MAX_BYTES, REFERENCES_MAX, REQUIREMENTS_MAX, STEPS_MAX, ZERO_SECONDS, approver, duration, iam, tags,
};
use crate::expr::guardian::quoted;
use crate::pb::gotocompany::guardian::v1beta1::{Policy, policy_appeal_config::MetadataSource};
use crate::pb::json::{Kind, Value};
use prost_types::Timestamp;
use std::collections::BTreeMap;

/// What times can be written: the years 1 to 9999, in seconds since 1970.
const SECONDS: std::ops::RangeInclusive<i64> = ZERO_SECONDS..=253_402_300_799;
/// What PostgreSQL says to the character 0.
pub const NUL: &str = "ERROR: invalid byte sequence for encoding \"UTF8\": 0x00 (SQLSTATE 22021)";

pub(super) fn check(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    if let Some(iam) = &policy.iam {
        iam::check_readable(findings, iam);
    }
    if policy.id.contains(is_space) {
        let text = "id should not contain whitespaces";
        refuse(findings, &root.field("id"), "ID_INVALID", "an id has no white space", text.to_owned());
    }
    tags::check(findings, policy);
    check_steps(findings, policy);
    check_stages(findings, policy);
    check_extension(findings, policy);
    check_requirements(findings, policy);
    if let Some(iam) = &policy.iam {
        iam::check_own(findings, iam);
    }
    if let Some(appeal) = &policy.appeal {
        check_metadata_sources(findings, &root.field("appeal.metadata_sources"), &appeal.metadata_sources);
    }
    if let Some(custom) = policy.custom_steps.as_ref().filter(|custom| custom.r#type != "http") {
        let text = format!("invalid custom policy steps data: invalid custom steps type: {}", custom.r#type);
        let path = root.field("custom_steps.type");
        refuse(findings, &path, "CUSTOM_STEPS_TYPE_UNKNOWN", "the type of custom steps is http", text);
    }
    check_limits(findings, policy);
}

fn refuse(
    findings: &mut Findings,
    path: &Path<'_>,
    code: &'static str,
    message: impl Into<String>,
    text: String,
) {
    findings.refuse(path, code, message, Wording::Text(text));
}

/// White space as Go's regular expressions have it.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

fn check_steps(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    let steps = root.field("steps");
    for (n, step) in policy.steps.iter().enumerate() {
        let at = steps.index(n);
        if step.name.contains(is_space) {
            let text = format!("step name should not contain whitespaces: {}", quoted(&step.name));
            refuse(
                findings,
                &at.field("name"),
                "STEP_NAME_INVALID",
                "a step's name has no white space",
                text,
            );
        }
        let approvers = at.field("approvers");
        for (m, text) in step.approvers.iter().enumerate() {
            approver::check(findings, &approvers.index(m), text);
        }
    }
}

fn check_stages(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    let steps = root.field("steps");
    for (n, step) in policy.steps.iter().enumerate() {
        let at = steps.index(n);
        let at = at.field("stage");
        let stage = &step.stage;
        let (code, message, fault) = match (policy.stages.is_empty(), stage.is_empty()) {
            (true, true) => continue,
            (true, false) => {
                let fault = format!("has stage {} but policy has no stages defined", quoted(stage));
                ("STAGE_UNKNOWN", "the policy has no stages", fault)
            }
            (false, true) => {
                let fault = "has no stage but policy defines stages; all steps must have a stage".to_owned();
                ("STAGE_REQUIRED", "the policy has stages, so each step names one", fault)
            }
            (false, false) if policy.stages.contains(stage) => continue,
            (false, false) => {
                let fault = format!("references unknown stage {}", quoted(stage));
                ("STAGE_UNKNOWN", "this is not one of the policy's stages", fault)
            }
        };
        refuse(findings, &at, code, message, format!("step {} {fault}", quoted(&step.name)));
    }
}

fn check_extension(findings: &mut Findings, policy: &Policy) {
    let Some(appeal) = &policy.appeal else { return };
    if appeal.allow_active_access_extension_in.is_empty() {
        return;
    }
    if let Err(error) = duration::parse(&appeal.allow_active_access_extension_in) {
        let root = Path::ROOT;
        let path = root.field("appeal.allow_active_access_extension_in");
        let text = format!("invalid appeal extension policy: parsing duration: {error}");
        refuse(findings, &path, "DURATION_INVALID", format!("{error}; write it like 24h or 1h30m"), text);
    }
}

fn check_requirements(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    let requirements = root.field("requirements");
    for (n, requirement) in policy.requirements.iter().enumerate() {
        let at = requirements.index(n);
        if requirement.appeals.is_empty() && requirement.post_hooks.is_empty() {
            let text = format!(
                "invalid requirements: requirement[{n}]: at least one of 'appeals' or 'post_hooks' must be specified"
            );
            refuse(findings, &at, "REQUIREMENT_EMPTY", "a requirement has appeals or post_hooks", text);
        }
        let appeals = at.field("appeals");
        for (m, _) in requirement.appeals.iter().enumerate() {
            let message = "there is no catalogue of providers here: that the resource is there, and that its \
                           provider has the role and the account type, has not been checked";
            let at = appeals.index(m);
            findings.warn(&at.field("resource"), "RESOURCE_NOT_VERIFIED", message);
        }
        if findings.is_strict() {
            continue;
        }
        // Guardian takes it, and panics at the first appeal that gets here.
        let on = at.field("on");
        let conditions = on.field("conditions");
        let given = requirement.on.iter().flat_map(|on| &on.conditions).enumerate();
        for (m, _) in given.filter(|(_, condition)| condition.r#match.is_none()) {
            let message = "a condition needs a match; Guardian panics without it";
            let at = conditions.index(m);
            refuse(findings, &at.field("match"), "CONDITION_MATCH_REQUIRED", message, message.to_owned());
        }
    }
}

fn check_metadata_sources(
    findings: &mut Findings,
    at: &Path<'_>,
    sources: &BTreeMap<String, MetadataSource>,
) {
    for (key, source) in sources {
        let at = at.key(key);
        let text = |fault: &str| format!("invalid appeal metadata source: {key} : {fault}");
        if source.name.is_empty() {
            let text = text("name should not be empty");
            refuse(
                findings,
                &at.field("name"),
                "METADATA_NAME_REQUIRED",
                "a metadata source needs a name",
                text,
            );
        }
        if is_null(source.value.as_ref()) {
            let text = text("value should not be empty");
            refuse(
                findings,
                &at.field("value"),
                "METADATA_VALUE_REQUIRED",
                "a metadata source needs a value",
                text,
            );
        }
        match source.r#type.as_str() {
            "static" => {}
            "http" if is_null(source.config.as_ref()) => {
                let text = text("\"config\" is required for type http");
                let path = at.field("config");
                refuse(findings, &path, "METADATA_CONFIG_REQUIRED", "the type http needs a config", text);
            }
            "http" => {}
            other => {
                let text = text(&format!("invalid metadata source type: {other}"));
                let path = at.field("type");
                refuse(findings, &path, "METADATA_TYPE_UNKNOWN", "the type is http or static", text);
            }
        }
    }
}

fn is_null(value: Option<&Value>) -> bool {
    value.is_none_or(|value| matches!(value.kind, None | Some(Kind::NullValue(_))))
}

fn check_limits(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    let id = root.field("id");
    if policy.id.len() > ID_MAX_BYTES {
        let message = format!("{} bytes; the limit of an id is {ID_MAX_BYTES} bytes", policy.id.len());
        findings.limit(&id, "ID_TOO_LONG", message);
    }
    if policy.id.contains('\0') && !(findings.is_strict() && findings.around().without_database) {
        let wording = Wording::Storing(NUL.to_owned());
        findings.refuse(&id, "ID_INVALID", "an id cannot have the character 0", wording);
    }
    let appeals = policy.requirements.iter().flat_map(|requirement| &requirement.appeals);
    let references = appeals.filter(|appeal| appeal.policy.is_some()).count();
    if references > REFERENCES_MAX {
        let message = format!("{references} references to policies; the limit is {REFERENCES_MAX}");
        findings.limit(&root.field("requirements"), "REFERENCES_TOO_MANY", message);
    }
    for (field, count, limit) in [
        ("stages", policy.stages.len(), STEPS_MAX),
        ("steps", policy.steps.len(), STEPS_MAX),
        ("requirements", policy.requirements.len(), REQUIREMENTS_MAX),
    ] {
        if count > limit {
            findings.limit(
                &root.field(field),
                "LIST_TOO_LONG",
                format!("{count} {field}; the limit is {limit}"),
            );
        }
    }
    check_time(findings, &root.field("created_at"), policy.created_at.as_ref());
    check_time(findings, &root.field("updated_at"), policy.updated_at.as_ref());
    let requirements = root.field("requirements");
    for (n, requirement) in policy.requirements.iter().enumerate() {
        let at = requirements.index(n);
        let appeals = at.field("appeals");
        for (m, appeal) in requirement.appeals.iter().enumerate() {
            let until = appeal.options.as_ref().and_then(|options| options.expiration_date.as_ref());
            let at = appeals.index(m);
            check_time(findings, &at.field("options.expiration_date"), until);
        }
    }
}

/// Times that have no text could be stored and never read over REST.
fn check_time(findings: &mut Findings, path: &Path<'_>, time: Option<&Timestamp>) {
    let known =
        |time: &Timestamp| SECONDS.contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
    if time.is_some_and(|time| !known(time)) {
        findings.limit(path, "TIME_OUT_OF_RANGE", "a time is in the years 1 to 9999");
    }
}
