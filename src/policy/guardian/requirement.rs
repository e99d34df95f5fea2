//! Requirements: what they mean.

use super::super::Path;
use super::{expression, findings::Findings};
use crate::expr::guardian::{self, Place};
use crate::pb::gotocompany::guardian::v1beta1::{
    AppealOptions, Condition, Policy,
    policy::{
        Requirement as Given,
        requirement::{AdditionalAppeal, RequirementTrigger, additional_appeal::ResourceIdentifier},
    },
};
use crate::workflow::{Appeal, FieldMatch, Hook, Pattern, PolicyRef, Requirement, ResourceRef, Trigger};

pub(super) fn compile(findings: &mut Findings, policy: &Policy) -> Vec<Requirement> {
    let root = Path::ROOT;
    let path = root.field("requirements");
    let mut requirements = Vec::new();
    for (n, given) in policy.requirements.iter().enumerate() {
        requirements.push(compile_one(findings, &path.index(n), given));
    }
    requirements
}

fn compile_one(findings: &mut Findings, at: &Path<'_>, given: &Given) -> Requirement {
    let hook = |hook: &crate::pb::gotocompany::guardian::v1beta1::policy::requirement::PostAppealHook| Hook {
        name: hook.name.clone(),
        kind: hook.r#type.clone(),
    };
    let on = at.field("on");
    Requirement {
        on: given.on.as_ref().map(|trigger| compile_trigger(findings, &on, trigger)).unwrap_or_default(),
        appeals: given.appeals.iter().map(compile_appeal).collect(),
        hooks: given.post_hooks.iter().map(hook).collect(),
        place: at.to_string(),
    }
}

fn compile_trigger(findings: &mut Findings, at: &Path<'_>, given: &RequirementTrigger) -> Trigger {
    Trigger {
        provider_type: pattern(findings, &at.field("provider_type"), &given.provider_type),
        provider_urn: pattern(findings, &at.field("provider_urn"), &given.provider_urn),
        resource_type: pattern(findings, &at.field("resource_type"), &given.resource_type),
        resource_urn: pattern(findings, &at.field("resource_urn"), &given.resource_urn),
        role: pattern(findings, &at.field("role"), &given.role),
        fields: compile_conditions(findings, &at.field("conditions"), &given.conditions),
        expression: expression::compile_optional(
            findings,
            &at.field("expression"),
            Place::RequirementOn,
            &given.expression,
        ),
    }
}

/// A regular expression of Go's that is searched for; empty means none. One that does not compile is a lint.
pub(super) fn pattern(findings: &mut Findings, path: &Path<'_>, text: &str) -> Option<Pattern> {
    if text.is_empty() {
        return None;
    }
    let regex = guardian::Pattern::new(text);
    if let Err(message) = &regex {
        let fault = message.strip_prefix("error parsing regexp: ").unwrap_or(message);
        findings.lint(path, "REGEX_INVALID", format!("not a regular expression: {fault}"));
    }
    Some(Pattern { text: text.to_owned(), regex: regex.ok() })
}

fn compile_conditions(findings: &mut Findings, at: &Path<'_>, given: &[Condition]) -> Vec<FieldMatch> {
    let mut matches = Vec::new();
    for (n, condition) in given.iter().enumerate() {
        if condition.field.strip_prefix("$resource.").is_none_or(str::is_empty) {
            let message = "a condition is about a field of the resource: $resource. and a path";
            let at = at.index(n);
            findings.lint(&at.field("field"), "CONDITION_FIELD_INVALID", message);
        }
        let equals = condition.r#match.as_ref().map(|given| super::entry::json(given.eq.as_ref()));
        matches.push(FieldMatch { field: condition.field.clone(), equals });
    }
    matches
}

fn compile_appeal(given: &AdditionalAppeal) -> Appeal {
    let options = given.options.clone().unwrap_or_default();
    Appeal {
        resource: given.resource.as_ref().map(compile_resource).unwrap_or_default(),
        role: given.role.clone(),
        duration: options.duration.clone(),
        until: until(&options),
        policy: given
            .policy
            .as_ref()
            .map(|policy| PolicyRef { id: policy.id.clone(), version: policy.version }),
    }
}

fn until(options: &AppealOptions) -> String {
    options.expiration_date.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn compile_resource(given: &ResourceIdentifier) -> ResourceRef {
    ResourceRef {
        id: given.id.clone(),
        provider_type: given.provider_type.clone(),
        provider_urn: given.provider_urn.clone(),
        kind: given.r#type.clone(),
        urn: given.urn.clone(),
    }
}
