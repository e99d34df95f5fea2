//! What an appeal may and must say before it is made, and what is found out about it (reference: sections 4.3 and 4.7).

use super::{AppealState, Failure, FailureKind, Machine};
use crate::expr::guardian::{self, Parameters, Place, Value as Found};
use crate::workflow::{Entry, Lifetime, Question};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

impl Machine<'_> {
    /// The rules of entry, in Guardian's order: the first that is broken is the answer.
    pub(super) fn check_entry(&self, state: &AppealState, at: DateTime<Utc>) -> Result<(), Failure> {
        let entry = self.workflow.entry.as_deref();
        let lifetime = entry.and_then(|entry| entry.lifetime.as_ref());
        // A dry run does not ask what is granted already.
        if !self.dry_run {
            self.check_extension(lifetime, at)?;
        }
        self.check_permanence(lifetime, &state.appeal)?;
        if let Some(entry) = entry {
            check_questions(&entry.questions, &state.appeal)?;
        }
        if let Some(lifetime) = lifetime {
            check_duration(lifetime, &state.appeal, at)?;
        }
        check_on_behalf(lifetime, &state.appeal)?;
        if let Some(entry) = entry {
            check_creator(entry, &state.appeal)?;
        }
        Ok(())
    }

    /// A grant that is there already may be extended near its end only.
    fn check_extension(&self, lifetime: Option<&Lifetime>, at: DateTime<Utc>) -> Result<(), Failure> {
        let Some(until) = self.appeal.active_grant_until.filter(|until| *until > at) else { return Ok(()) };
        let own = lifetime.map(|lifetime| lifetime.extension_within.as_str()).filter(|own| !own.is_empty());
        let within = own.unwrap_or(&self.appeal.provider_extension_within);
        if within.is_empty() {
            return Err(Failure::new(FailureKind::Internal, "grant already exists and may not be extended"));
        }
        let Some(within) = duration(within) else {
            let message = format!("invalid duration {within:?}");
            return Err(Failure::new(FailureKind::FailedPrecondition, message));
        };
        if until - at > within {
            let message = "the grant that there is may be extended only nearer to its end";
            return Err(Failure::new(FailureKind::FailedPrecondition, message));
        }
        Ok(())
    }

    fn check_permanence(
        &self,
        lifetime: Option<&Lifetime>,
        appeal: &Map<String, Value>,
    ) -> Result<(), Failure> {
        let allowed = lifetime
            .map_or(self.appeal.provider_allows_permanent_access, |lifetime| lifetime.allow_permanent);
        if allowed {
            return Ok(());
        }
        // `0h` is a duration, and so passes: only a list of durations keeps it out.
        let given = option(appeal, "duration").filter(|given| !given.is_empty());
        if given.and_then(duration).is_none() {
            return Err(invalid("permanent access is not allowed, so a duration is needed"));
        }
        Ok(())
    }

    /// Puts what the metadata sources came to into the details of the appeal.
    pub(super) fn add_metadata(&self, state: &mut AppealState) {
        let Some(entry) = self.workflow.entry.as_deref() else { return };
        if entry.more_steps && self.appeal.own_steps.is_none() {
            state.notes.push("the custom steps were given no answer, so there are none".to_owned());
        }
        if entry.metadata.is_empty() {
            return;
        }
        let mut found = Map::new();
        for (key, source) in &entry.metadata {
            let value = match self.appeal.metadata.get(key) {
                Some(value) => value.clone(),
                None if source.kind == "static" && !speaks(&source.value) => source.value.clone(),
                None => {
                    state.notes.push(format!("the metadata source {key} was given no answer, so it is null"));
                    Value::Null
                }
            };
            found.insert(key.clone(), value);
        }
        let details = state.appeal.entry("details").or_insert(Value::Null);
        if !details.is_object() {
            *details = Value::Object(Map::new());
        }
        if let Some(details) = details.as_object_mut() {
            details.insert("__policy_metadata".to_owned(), Value::Object(found));
        }
    }
}

/// Whether there is an expression in a value.
fn speaks(value: &Value) -> bool {
    match value {
        Value::String(text) => Place::SourceValue.is_expression(text),
        Value::Array(values) => values.iter().any(speaks),
        Value::Object(fields) => fields.values().any(speaks),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::InvalidArgument, message)
}

fn text<'a>(appeal: &'a Map<String, Value>, key: &str) -> &'a str {
    appeal.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A text of `options`.
fn option<'a>(appeal: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    appeal.get("options")?.as_object()?.get(key)?.as_str()
}

/// A duration as Go reads it; `None` for what is none.
fn duration(text: &str) -> Option<TimeDelta> {
    let quoted = serde_json::to_string(text).ok()?;
    let program = guardian::compile(Place::Unknown, &format!("duration({quoted})")).ok()?;
    match program.evaluate(&Parameters::new(DateTime::UNIX_EPOCH)) {
        Ok(Found::Duration(nanos)) => Some(TimeDelta::nanoseconds(nanos)),
        _ => None,
    }
}

fn check_questions(questions: &[Question], appeal: &Map<String, Value>) -> Result<(), Failure> {
    let details = appeal.get("details").and_then(Value::as_object);
    let answers = details.and_then(|details| details.get("__policy_questions")).and_then(Value::as_object);
    let is_answered = |question: &&Question| {
        let answer = answers.and_then(|answers| answers.get(&question.key)).unwrap_or(&Value::Null);
        let zero = match answer {
            Value::Null => true,
            Value::Bool(truth) => !truth,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(_) | Value::Object(_) => false,
        };
        !zero
    };
    let missing: Vec<String> = questions
        .iter()
        .filter(|question| question.required && !is_answered(question))
        .map(|question| format!("{:?}", question.key))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(invalid(format!("answers to the questions {} are required", missing.join(", "))))
}

fn check_duration(
    lifetime: &Lifetime,
    appeal: &Map<String, Value>,
    at: DateTime<Utc>,
) -> Result<(), Failure> {
    if !appeal.get("options").is_some_and(Value::is_object) {
        return Ok(());
    }
    let given = option(appeal, "duration").unwrap_or_default();
    let until = option(appeal, "expiration_date").unwrap_or_default();
    if !until.is_empty() {
        if !given.is_empty() {
            return Err(invalid("options have a duration or an expiration date, not both"));
        }
        return match until.parse::<DateTime<Utc>>() {
            Ok(until) if until > at => Ok(()),
            Ok(_) => Err(invalid("the expiration date is in the past")),
            Err(_) => Err(invalid(format!("invalid expiration date {until:?}"))),
        };
    }
    if lifetime.options.is_empty() || lifetime.options.iter().any(|option| option.value == given) {
        return Ok(());
    }
    let known: Vec<&str> = lifetime.options.iter().map(|option| option.value.as_str()).collect();
    Err(invalid(format!("invalid duration {given:?}: the policy allows {}", known.join(", "))))
}

fn check_on_behalf(lifetime: Option<&Lifetime>, appeal: &Map<String, Value>) -> Result<(), Failure> {
    let own = text(appeal, "account_id") == text(appeal, "created_by");
    if lifetime.is_some_and(|lifetime| lifetime.allow_on_behalf)
        || text(appeal, "account_type") != "user"
        || own
    {
        return Ok(());
    }
    Err(invalid("creating an appeal for another user is not allowed"))
}

fn check_creator(entry: &Entry, appeal: &Map<String, Value>) -> Result<(), Failure> {
    let known = appeal.get("creator").is_some_and(|creator| !creator.is_null());
    match &entry.creator {
        Some(creator) if !creator.may_fail && !known => Err(Failure::new(
            FailureKind::Internal,
            "the creator is not known to the IAM provider: appeal.creator is needed",
        )),
        _ => Ok(()),
    }
}
