//! The requirements that fire once an appeal is approved (reference: section 4.5). One level only: the appeals that they would make
//! are named, not run.

use super::facts::boolean;
use super::{AppealState, FiredRequirement, Machine, Refused};
use crate::expr::guardian::Parameters;
use crate::workflow::{Appeal, FieldMatch, Pattern, Requirement, Trigger};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

impl Machine<'_> {
    pub(super) fn look_at_requirements(
        &self,
        state: &mut AppealState,
        at: DateTime<Utc>,
    ) -> Result<(), Refused> {
        if self.appeal.additional {
            return Ok(());
        }
        let facts = self.facts(state, at)?;
        for requirement in &self.workflow.requirements {
            self.go_on()?;
            let broken = broken(&requirement.on, &state.appeal, &facts)
                .map_err(|error| Refused::internal(format!("requirement {}: {error}", requirement.place)))?;
            state.requirements.push(looked_at(requirement, broken));
        }
        Ok(())
    }
}

fn looked_at(requirement: &Requirement, broken: Option<String>) -> FiredRequirement {
    let fires = broken.is_none();
    let appeals = requirement.appeals.iter().filter(|_| fires).map(asked_for);
    let hooks = requirement.hooks.iter().filter(|_| fires).map(|hook| hook.name.clone());
    FiredRequirement {
        place: requirement.place.clone(),
        fires,
        because: broken.unwrap_or_default(),
        appeals: appeals.collect(),
        hooks: hooks.collect(),
    }
}

fn asked_for(appeal: &Appeal) -> String {
    let resource = &appeal.resource;
    let resource = if resource.id.is_empty() {
        [&resource.provider_type, &resource.provider_urn, &resource.kind, &resource.urn]
            .into_iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join("/")
    } else {
        resource.id.clone()
    };
    match &appeal.policy {
        Some(policy) => format!("{} on {resource}, decided by {}@{}", appeal.role, policy.id, policy.version),
        None => format!("{} on {resource}", appeal.role),
    }
}

/// The first criterion that does not hold.
fn broken(on: &Trigger, appeal: &Map<String, Value>, facts: &Parameters) -> Result<Option<String>, String> {
    let resource = appeal.get("resource").and_then(Value::as_object);
    let text = |key: &str| {
        resource.and_then(|resource| resource.get(key)).and_then(Value::as_str).unwrap_or_default()
    };
    let role = appeal.get("role").and_then(Value::as_str).unwrap_or_default();
    for (name, pattern, value) in [
        ("provider_type", &on.provider_type, text("provider_type")),
        ("provider_urn", &on.provider_urn, text("provider_urn")),
        ("resource_type", &on.resource_type, text("type")),
        ("resource_urn", &on.resource_urn, text("urn")),
        ("role", &on.role, role),
    ] {
        if let Some(pattern) = pattern
            && !matches(pattern, value)?
        {
            return Ok(Some(name.to_owned()));
        }
    }
    for (n, field) in on.fields.iter().enumerate() {
        if !field_matches(field, resource)? {
            return Ok(Some(format!("conditions[{n}]")));
        }
    }
    match &on.expression {
        Some(expression) if !boolean(expression, facts)? => Ok(Some("expression".to_owned())),
        _ => Ok(None),
    }
}

fn matches(pattern: &Pattern, text: &str) -> Result<bool, String> {
    let regex = pattern.regex.as_ref();
    regex
        .map(|regex| regex.is_match(text))
        .ok_or_else(|| format!("{:?} is not a regular expression", pattern.text))
}

fn field_matches(field: &FieldMatch, resource: Option<&Map<String, Value>>) -> Result<bool, String> {
    let Some(path) = field.field.strip_prefix("$resource.") else {
        return Err(format!("invalid condition field: {:?}", field.field));
    };
    let Some(equals) = &field.equals else { return Err("a condition has no match".to_owned()) };
    let resource = resource.map(|resource| Value::Object(resource.clone())).unwrap_or(Value::Null);
    let mut found = &resource;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        found = found.get(part).unwrap_or(&Value::Null);
    }
    let same = match (found, equals) {
        // All numbers of JSON are floats to Guardian.
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    };
    Ok(same)
}
