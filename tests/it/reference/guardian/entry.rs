//! What Guardian asks of an appeal before there is one, what it puts on it, and what else fires once it is approved (reference:
//! sections 4.3, 4.5, 4.6, 4.7), plainly.

use super::{Abort, Expr};
use std::collections::BTreeMap;

/// What a policy says of appeals, beside its steps.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `None` for a policy without an appeal config; the provider decides then.
    pub lifetime: Option<Lifetime>,
    /// Each with whether it must be answered.
    pub questions: Vec<(&'static str, bool)>,
    /// Keys of metadata sources, each with what it comes to.
    pub metadata: BTreeMap<&'static str, Option<&'static str>>,
    pub rules: Vec<LabelRule>,
    pub user_labels: Option<UserLabels>,
    pub requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, Default)]
pub struct Lifetime {
    pub durations: Vec<&'static str>,
    pub permanent: bool,
    pub on_behalf: bool,
    /// Hours; `None` if the policy does not say.
    pub extension: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct LabelRule {
    pub name: &'static str,
    /// What is true or false, but no boolean, is an error.
    pub when: (&'static str, Result<bool, ()>),
    /// Each with its text, and what it comes to.
    pub labels: BTreeMap<&'static str, (&'static str, Result<&'static str, ()>)>,
    pub priority: i32,
    pub may_fail: bool,
}

#[derive(Clone, Debug, Default)]
pub struct UserLabels {
    pub checked: bool,
    pub allowed: Vec<&'static str>,
    pub required: Vec<&'static str>,
    pub most: usize,
    /// A key or a value must have this in it.
    pub key_has: Option<&'static str>,
    pub value_has: Option<&'static str>,
    pub may_override: bool,
}

/// Each criterion as its text, and whether it holds; an error fails everything.
#[derive(Clone, Debug, Default)]
pub struct Requirement {
    pub provider_type: Option<(&'static str, bool)>,
    pub role: Option<(&'static str, bool)>,
    /// A path below the resource, the value that is wanted, and whether it is there.
    pub condition: Option<(&'static str, &'static str, Result<bool, ()>)>,
    pub expression: Option<(&'static str, Result<bool, ()>)>,
}

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub created_by: &'static str,
    pub account_id: &'static str,
    pub account_type: &'static str,
    /// `None` = no options at all.
    pub options: Option<Options>,
    /// Answers to questions.
    pub answers: BTreeMap<&'static str, &'static str>,
    /// For how many hours the same access is granted already.
    pub granted_for: Option<i64>,
    pub user_labels: BTreeMap<&'static str, &'static str>,
    /// Made by a requirement.
    pub additional: bool,
    pub provider_permanent: bool,
    pub provider_extension: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The text, and whether it is a duration.
    pub duration: Option<(&'static str, bool)>,
    /// Hours from now.
    pub expires_in: Option<i64>,
}

/// A label: its value, and the rule; no rule = the requester brought it.
pub type Label = (String, Option<&'static str>);

/// Steps 4 to 7, in their order.
pub fn check(config: &Config, asked: &Asked, dry_run: bool) -> Result<(), Abort> {
    let lifetime = config.lifetime.as_ref();
    if let Some(left) = asked.granted_for.filter(|_| !dry_run) {
        match lifetime.and_then(|one| one.extension).or(asked.provider_extension) {
            None => return Err(Abort::NoExtension),
            Some(within) if left > within => return Err(Abort::ExtensionTooEarly),
            Some(_) => {}
        }
    }
    // The policy's word counts, even if it is no.
    let permanent = lifetime.map_or(asked.provider_permanent, |one| one.permanent);
    let duration = asked.options.as_ref().and_then(|options| options.duration);
    if !permanent && !duration.is_some_and(|(_, is_one)| is_one) {
        return Err(Abort::Permanent);
    }
    for (key, required) in &config.questions {
        if *required && asked.answers.get(key).is_none_or(|answer| answer.is_empty()) {
            return Err(Abort::Questions);
        }
    }
    if let (Some(lifetime), Some(options)) = (lifetime, &asked.options) {
        check_duration(lifetime, options)?;
    }
    let is_own = asked.account_id == asked.created_by;
    let on_behalf = lifetime.is_some_and(|one| one.on_behalf);
    if asked.account_type == "user" && !is_own && !on_behalf {
        return Err(Abort::OnBehalf);
    }
    Ok(())
}

fn check_duration(lifetime: &Lifetime, options: &Options) -> Result<(), Abort> {
    let given = options.duration.map_or("", |(text, _)| text);
    match options.expires_in {
        Some(_) if !given.is_empty() => Err(Abort::Duration),
        Some(hours) if hours <= 0 => Err(Abort::Duration),
        Some(_) => Ok(()),
        None if lifetime.durations.is_empty() || lifetime.durations.contains(&given) => Ok(()),
        None => Err(Abort::Duration),
    }
}

/// The labels of an appeal.
pub fn labels(config: &Config, asked: &Asked) -> Result<BTreeMap<&'static str, Label>, Abort> {
    let mut rules: Vec<&LabelRule> = config.rules.iter().collect();
    rules.sort_by_key(|rule| -rule.priority);
    let mut labels = BTreeMap::new();
    for rule in rules {
        match rule.when.1 {
            Ok(true) => {}
            Ok(false) => continue,
            Err(()) if rule.may_fail => continue,
            Err(()) => return Err(Abort::LabelRule),
        }
        for (key, (_, value)) in &rule.labels {
            // A key that another rule has set is kept.
            if labels.contains_key(key) {
                continue;
            }
            match value {
                Ok(value) => _ = labels.insert(*key, ((*value).to_owned(), Some(rule.name))),
                Err(()) if rule.may_fail => {}
                Err(()) => return Err(Abort::LabelRule),
            }
        }
    }
    if asked.user_labels.is_empty() {
        return Ok(labels);
    }
    let rules = config.user_labels.clone().unwrap_or_default();
    if rules.checked {
        check_labels(&rules, &asked.user_labels)?;
    }
    for (key, value) in &asked.user_labels {
        if rules.may_override || !labels.contains_key(key) {
            labels.insert(*key, ((*value).to_owned(), None));
        }
    }
    Ok(labels)
}

fn check_labels(rules: &UserLabels, brought: &BTreeMap<&str, &str>) -> Result<(), Abort> {
    let too_many = rules.most > 0 && brought.len() > rules.most;
    let stranger = brought.keys().any(|key| !rules.allowed.is_empty() && !rules.allowed.contains(key));
    let has = |part: Option<&str>, text: &str| part.is_none_or(|part| text.contains(part));
    let shaped = brought.iter().all(|(key, value)| has(rules.key_has, key) && has(rules.value_has, value));
    let missing = rules.required.iter().any(|key| !brought.contains_key(key));
    if too_many || stranger || !shaped || missing { Err(Abort::Labels) } else { Ok(()) }
}

/// For each requirement, whether it fires; none are looked at for an appeal that a requirement made.
pub fn requirements(config: &Config, asked: &Asked) -> Result<Vec<bool>, Abort> {
    let mut fires = Vec::new();
    for one in config.requirements.iter().filter(|_| !asked.additional) {
        let criteria = [
            one.provider_type.map(|(_, holds)| Ok(holds)),
            one.role.map(|(_, holds)| Ok(holds)),
            one.condition.map(|(_, _, holds)| holds),
            one.expression.map(|(_, holds)| holds),
        ];
        let mut all = true;
        for criterion in criteria.into_iter().flatten() {
            // Once one does not hold, the rest is not looked at.
            all = all && criterion.map_err(|()| Abort::Requirement)?;
            if !all {
                break;
            }
        }
        fires.push(all);
    }
    Ok(fires)
}

/// What steps can ask of labels and of metadata, with what it comes to.
pub fn label_is(labels: &BTreeMap<&'static str, Label>, key: &str, value: &str) -> Result<bool, Abort> {
    // Without any label there is no map to look into.
    if labels.is_empty() {
        Err(Abort::Internal)
    } else {
        Ok(labels.get(key).is_some_and(|one| one.0 == value))
    }
}

pub fn metadata_is(
    metadata: &BTreeMap<&'static str, Option<&'static str>>,
    key: &str,
    value: &str,
) -> Result<bool, Abort> {
    if metadata.is_empty() { Err(Abort::Internal) } else { Ok(metadata.get(key) == Some(&Some(value))) }
}

impl Expr {
    /// The text of a question about labels or metadata.
    pub fn looked_up(place: &str, key: &str, value: &str) -> String {
        format!("$appeal.{place}.{key} == \"{value}\"")
    }
}
