//! The labels of an appeal: those of the rules, and those that the requester brought (reference: section 4.6).

use super::facts::{boolean, text};
use super::{AppealState, Failure, FailureKind, GivenLabel, Machine, Refused};
use crate::expr::guardian::{Parameters, Value as Found, value_as_go_shows_it};
use crate::workflow::{Condition, LabelRule, Pattern, Template, UserLabels};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

impl Machine<'_> {
    pub(super) fn add_labels(&self, state: &mut AppealState, at: DateTime<Utc>) -> Result<(), Refused> {
        let Some(entry) = self.workflow.entry.as_deref() else { return Ok(()) };
        let facts = self.facts(state, at)?;
        let mut labels = BTreeMap::new();
        for rule in &entry.labels {
            self.go_on()?;
            apply_rule(rule, &facts, at, &mut labels, &mut state.notes)?;
        }
        let brought = state.appeal.get("user_labels").and_then(Value::as_object).cloned().unwrap_or_default();
        let rules = entry.user_labels.as_ref();
        if let Some(rules) = rules.filter(|rules| rules.checked && !brought.is_empty()) {
            check(rules, &brought)?;
        }
        for (key, value) in brought {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let label = GivenLabel { value, source: "user".to_owned(), ..GivenLabel::default() };
            if rules.is_some_and(|rules| rules.override_rules) {
                labels.insert(key, label);
            } else {
                labels.entry(key).or_insert(label);
            }
        }
        state.labels = labels;
        Ok(())
    }
}

/// A key that an earlier rule has set stays.
fn apply_rule(
    rule: &LabelRule,
    facts: &Parameters,
    at: DateTime<Utc>,
    labels: &mut BTreeMap<String, GivenLabel>,
    notes: &mut Vec<String>,
) -> Result<(), Refused> {
    let failed = |notes: &mut Vec<String>, error: String| {
        let message = format!("labeling rule {:?}: {error}", rule.name);
        if !rule.may_fail {
            return Err(Refused::internal(message));
        }
        notes.push(format!("{message}; left out"));
        Ok(())
    };
    match rule.when.as_ref().map(|when| boolean(when, facts)) {
        Some(Err(error)) => return failed(notes, error),
        Some(Ok(false)) => return Ok(()),
        Some(Ok(true)) | None => {}
    }
    for label in &rule.labels {
        if labels.contains_key(&label.key) {
            continue;
        }
        let value = match &label.value {
            Template::Expression(condition) => shown(condition, facts),
            literal => text(literal, facts),
        };
        match value {
            Err(error) => failed(notes, error)?,
            Ok(value) => {
                let given = GivenLabel {
                    value,
                    derived_from: rule.name.clone(),
                    source: "policy_rule".to_owned(),
                    category: label.category.clone(),
                    attributes: label.attributes.clone(),
                    applied_at: Some(at),
                };
                labels.insert(label.key.clone(), given);
            }
        }
    }
    Ok(())
}

/// A value as Guardian writes it into a label: floats with six digits, everything else as Go prints it.
fn shown(condition: &Condition, facts: &Parameters) -> Result<String, String> {
    match super::facts::evaluate(condition, facts)? {
        Found::Float(number) => Ok(format!("{number:.6}")),
        other => value_as_go_shows_it(&other).ok_or_else(|| "the value is too long".to_owned()),
    }
}

fn check(rules: &UserLabels, brought: &Map<String, Value>) -> Result<(), Failure> {
    let refuse = |message: String| Err(Failure::new(FailureKind::InvalidArgument, message));
    if let Some(most) = rules.at_most.filter(|most| brought.len() > *most as usize) {
        return refuse(format!("{} labels; the policy allows {most}", brought.len()));
    }
    for (key, value) in brought {
        let value = value.as_str().unwrap_or_default();
        if !rules.allowed.is_empty() && !rules.allowed.contains(key) {
            return refuse(format!("label {key:?} is not allowed"));
        }
        for (pattern, text) in [(&rules.key_pattern, key.as_str()), (&rules.value_pattern, value)] {
            if let Some(pattern) = pattern
                && !is_match(pattern, text)?
            {
                return refuse(format!("label {key:?}: {text:?} does not match {:?}", pattern.text));
            }
        }
    }
    match rules.required.iter().find(|key| !brought.contains_key(*key)) {
        Some(missing) => refuse(format!("label {missing:?} is required")),
        None => Ok(()),
    }
}

fn is_match(pattern: &Pattern, text: &str) -> Result<bool, Failure> {
    let regex = pattern.regex.as_ref();
    let regex = regex.ok_or_else(|| {
        Failure::new(FailureKind::Internal, format!("{:?} is not a regular expression", pattern.text))
    })?;
    Ok(regex.is_match(text))
}
