//! What expressions of a Guardian policy see: the appeal as a JSON map with keys in snake_case (reference: section 3.2).

use super::{AppealState, Approval, GivenLabel, Machine, Refused};
use crate::expr::guardian::{Parameters, Value as Found, outcome};
use crate::workflow::{Condition, Template};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// What Go has as no time at all.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Machine<'_> {
    /// The appeal with every key that Guardian always has, and the values that were given.
    pub(super) fn prepared(&self, _at: DateTime<Utc>) -> Map<String, Value> {
        let mut appeal = Map::new();
        for (key, value) in [
            ("id", json!("")),
            ("resource_id", json!("")),
            ("policy_id", json!("")),
            ("policy_version", json!(0)),
            ("status", json!("")),
            ("account_id", json!("")),
            ("account_type", json!("user")),
            ("created_by", json!("")),
            ("creator", Value::Null),
            ("role", json!("")),
            ("permissions", Value::Null),
            ("options", Value::Null),
            ("details", Value::Null),
            ("labels", Value::Null),
            ("description", json!("")),
            ("created_at", json!(NEVER)),
            ("updated_at", json!(NEVER)),
        ] {
            appeal.insert(key.to_owned(), value);
        }
        for (key, value) in &self.appeal.appeal {
            appeal.insert(key.clone(), value.clone());
        }
        if appeal.get("account_type").and_then(Value::as_str).is_none_or(str::is_empty) {
            appeal.insert("account_type".to_owned(), json!("user"));
        }
        if let Some(resource) = appeal.get_mut("resource").and_then(Value::as_object_mut) {
            for (key, value) in [
                ("id", json!("")),
                ("provider_type", json!("")),
                ("provider_urn", json!("")),
                ("type", json!("")),
                ("urn", json!("")),
                ("name", json!("")),
                ("details", Value::Null),
                ("global_urn", json!("")),
                ("created_at", json!(NEVER)),
                ("updated_at", json!(NEVER)),
            ] {
                resource.entry(key).or_insert(value);
            }
        }
        appeal
    }

    /// What approvers are resolved on: neither policy nor status is set by then (reference: section 3.3).
    pub(super) fn early(&self, state: &AppealState, at: DateTime<Utc>) -> Result<Parameters, Refused> {
        parameters(Value::Object(state.appeal.clone()), at)
    }

    /// What everything later is evaluated on.
    pub(super) fn facts(&self, state: &AppealState, at: DateTime<Utc>) -> Result<Parameters, Refused> {
        parameters(self.current(state), at)
    }

    /// The appeal as it stands.
    pub(super) fn current(&self, state: &AppealState) -> Value {
        let mut appeal = state.appeal.clone();
        appeal.insert("policy_id".to_owned(), json!(self.policy.id));
        appeal.insert("policy_version".to_owned(), json!(self.policy.version));
        appeal.insert("status".to_owned(), json!(state.status.word()));
        if !state.labels.is_empty() {
            let labels = state.labels.iter().map(|(key, label)| (key.clone(), json!(label.value)));
            appeal.insert("labels".to_owned(), Value::Object(labels.collect()));
            let metadata = state.labels.iter().map(|(key, label)| (key.clone(), about(label)));
            appeal.insert("labels_metadata".to_owned(), Value::Object(metadata.collect()));
        }
        if !state.approvals.is_empty() {
            let made =
                state.made.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default();
            let approvals = state.approvals.iter().map(|one| self.approval(one, &made)).collect();
            appeal.insert("approvals".to_owned(), Value::Array(approvals));
        }
        Value::Object(appeal)
    }

    fn approval(&self, one: &Approval, made: &str) -> Value {
        json!({
            "id": "", "appeal_id": "", "name": one.name, "index": one.index, "status": one.status.word(),
            "actor": if one.actor.is_empty() { Value::Null } else { json!(one.actor) }, "reason": one.reason,
            "policy_id": self.policy.id, "policy_version": self.policy.version, "approvers": one.approvers,
            "stage": one.stage, "allow_failed": one.allow_failed, "is_stale": false, "appeal_revision": 0,
            "dont_allow_self_approval": one.dont_allow_self_approval, "created_at": made, "updated_at": made,
        })
    }
}

/// What Guardian keeps of a label beside its value.
fn about(label: &GivenLabel) -> Value {
    let mut data = Map::new();
    for (key, text) in [
        ("value", &label.value),
        ("derived_from", &label.derived_from),
        ("source", &label.source),
        ("category", &label.category),
    ] {
        data.insert(key.to_owned(), json!(text));
    }
    if !label.attributes.is_empty() {
        data.insert("attributes".to_owned(), Value::Object(label.attributes.clone()));
    }
    if let Some(at) = label.applied_at {
        data.insert("applied_at".to_owned(), json!(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)));
    }
    Value::Object(data)
}

fn parameters(appeal: Value, at: DateTime<Utc>) -> Result<Parameters, Refused> {
    let appeal = Found::from_json(&appeal).map_err(|_| Refused::internal("the appeal is too large"))?;
    Ok(Parameters::new(at).with("appeal", appeal))
}

/// The value of an expression.
pub(super) fn evaluate(condition: &Condition, facts: &Parameters) -> Result<Found, String> {
    let Condition::Guardian(expression) = condition else {
        return Err("an expression of the other dialect is not supported".to_owned());
    };
    let program = expression.program.as_ref().map_err(String::clone)?;
    program.evaluate(facts).map_err(|error| error.as_guardian_says(&expression.text))
}

/// What `when` and `approve_if` say.
pub(super) fn is_truthy(condition: &Condition, facts: &Parameters) -> Result<bool, String> {
    outcome::is_truthy(&evaluate(condition, facts)?)
}

/// What a trigger or a labelling rule says.
pub(super) fn boolean(condition: &Condition, facts: &Parameters) -> Result<bool, String> {
    outcome::boolean(condition.text(), &evaluate(condition, facts)?)
}

/// A text, or an expression that must give one.
pub(super) fn text(template: &Template, facts: &Parameters) -> Result<String, String> {
    match template {
        Template::Text(text) => Ok(text.clone()),
        Template::Expression(condition) => {
            let value = evaluate(condition, facts)?;
            outcome::text(condition.text(), &value).map(|text| text.to_string())
        }
    }
}
