//! What an appeal may and must say before it runs: the appeal configuration, the creator, the metadata, the labels.

use super::super::Path;
use super::findings::Findings;
use super::{expression, requirement};
use crate::expr::guardian::Place;
use crate::pb::gotocompany::guardian::v1beta1::{
    LabelingRule, Policy, PolicyAppealConfig, UserLabelConfig,
    policy_appeal_config::MetadataSource as GivenSource,
};
use crate::pb::json::{Entry as Member, Kind, Struct, Value};
use crate::workflow::{
    Creator, DurationOption, Entry, Label, LabelRule, Lifetime, MetadataSource, Question, UserLabels,
};
use std::collections::BTreeMap;

pub(super) fn compile(findings: &mut Findings, policy: &Policy) -> Option<Box<Entry>> {
    let root = Path::ROOT;
    let at = root.field("appeal");
    let given = policy.appeal.as_ref();
    let entry = Entry {
        lifetime: given.map(compile_lifetime),
        questions: given.map(compile_questions).unwrap_or_default(),
        creator: compile_creator(findings, policy),
        metadata: given.map(|given| compile_metadata(findings, &at, given)).unwrap_or_default(),
        more_steps: policy.custom_steps.is_some(),
        labels: given
            .map(|given| compile_rules(findings, &at.field("labeling_rules"), given))
            .unwrap_or_default(),
        user_labels: given
            .and_then(|given| given.user_label_config.as_ref())
            .map(|given| compile_user_labels(findings, &at.field("user_label_config"), given)),
    };
    Some(Box::new(entry))
}

fn compile_lifetime(given: &PolicyAppealConfig) -> Lifetime {
    let option =
        |option: &crate::pb::gotocompany::guardian::v1beta1::policy_appeal_config::DurationOptions| {
            DurationOption { name: option.name.clone(), value: option.value.clone() }
        };
    Lifetime {
        options: given.duration_options.iter().map(option).collect(),
        allow_permanent: given.allow_permanent_access,
        allow_on_behalf: given.allow_on_behalf,
        extension_within: given.allow_active_access_extension_in.clone(),
    }
}

fn compile_questions(given: &PolicyAppealConfig) -> Vec<Question> {
    let questions = given.questions.iter();
    questions.map(|question| Question { key: question.key.clone(), required: question.required }).collect()
}

fn compile_creator(findings: &mut Findings, policy: &Policy) -> Option<Creator> {
    let iam = policy.iam.as_ref()?;
    let root = Path::ROOT;
    let schema = root.field("iam.schema");
    let mut compiled = BTreeMap::new();
    for (key, text) in &iam.schema {
        let template = expression::compile_template(findings, &schema.key(key), Place::IamSchema, text);
        compiled.insert(key.clone(), template);
    }
    let may_fail = policy.appeal.as_ref().is_some_and(|appeal| appeal.allow_creator_details_failure);
    Some(Creator { provider: iam.provider.clone(), schema: compiled, may_fail })
}

fn compile_metadata(
    findings: &mut Findings,
    at: &Path<'_>,
    given: &PolicyAppealConfig,
) -> BTreeMap<String, MetadataSource> {
    let at = at.field("metadata_sources");
    let mut sources = BTreeMap::new();
    for (key, GivenSource { r#type, value, .. }) in &given.metadata_sources {
        let at = at.key(key);
        let place = if r#type == "static" { Place::StaticValue } else { Place::SourceValue };
        check_texts(findings, &at.field("value"), place, value.as_ref());
        sources.insert(key.clone(), MetadataSource { kind: r#type.clone(), value: json(value.as_ref()) });
    }
    sources
}

/// Looks at every text in a metadata value that is an expression. As deep as the message is, which the codec bounds.
fn check_texts(findings: &mut Findings, at: &Path<'_>, place: Place, value: Option<&Value>) {
    match value.and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) if place.is_expression(text) => {
            // What it gives is for the answer to tell.
            let _ = expression::check(findings, at, place, text);
        }
        Some(Kind::StructValue(object)) => {
            for Member { key, value } in &object.fields {
                check_texts(findings, &at.key(key), place, value.as_ref());
            }
        }
        Some(Kind::ListValue(list)) => {
            for (n, value) in list.values.iter().enumerate() {
                check_texts(findings, &at.index(n), place, Some(value));
            }
        }
        _ => {}
    }
}

fn compile_rules(findings: &mut Findings, at: &Path<'_>, given: &PolicyAppealConfig) -> Vec<LabelRule> {
    let mut rules = Vec::new();
    for (n, rule) in given.labeling_rules.iter().enumerate() {
        rules.push(compile_rule(findings, &at.index(n), rule));
    }
    // Stable, so that rules of one priority stay in the order of the document; Guardian leaves that to chance.
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
    rules
}

fn compile_rule(findings: &mut Findings, at: &Path<'_>, rule: &LabelingRule) -> LabelRule {
    let labels = at.field("labels");
    let mut compiled = Vec::new();
    for (key, text) in &rule.labels {
        let data = rule.label_metadata.get(key);
        compiled.push(Label {
            key: key.clone(),
            value: expression::compile_template(findings, &labels.key(key), Place::LabelValue, text),
            category: data.map(|data| data.category.clone()).unwrap_or_default(),
            attributes: data.and_then(|data| data.attributes.as_ref()).map(object).unwrap_or_default(),
        });
    }
    LabelRule {
        name: rule.rule_name.clone(),
        when: expression::compile_optional(findings, &at.field("when"), Place::LabelWhen, &rule.when),
        labels: compiled,
        priority: rule.priority,
        may_fail: rule.allow_failure,
        place: at.to_string(),
    }
}

fn compile_user_labels(findings: &mut Findings, at: &Path<'_>, given: &UserLabelConfig) -> UserLabels {
    UserLabels {
        checked: given.allow_user_labels,
        allowed: given.allowed_keys.clone(),
        required: given.required_keys.clone(),
        at_most: u32::try_from(given.max_labels).ok().filter(|most| *most > 0),
        key_pattern: requirement::pattern(findings, &at.field("key_pattern"), &given.key_pattern),
        value_pattern: requirement::pattern(findings, &at.field("value_pattern"), &given.value_pattern),
        override_rules: given.allow_override,
    }
}

/// A free-form value as JSON; a number that JSON cannot write is null.
pub(super) fn json(value: Option<&Value>) -> serde_json::Value {
    match value.and_then(|value| value.kind.as_ref()) {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::NumberValue(number)) => (*number).into(),
        Some(Kind::StringValue(text)) => text.clone().into(),
        Some(Kind::BoolValue(truth)) => (*truth).into(),
        Some(Kind::StructValue(fields)) => serde_json::Value::Object(object(fields)),
        Some(Kind::ListValue(list)) => list.values.iter().map(|value| json(Some(value))).collect(),
    }
}

fn object(fields: &Struct) -> serde_json::Map<String, serde_json::Value> {
    fields.fields.iter().map(|Member { key, value }| (key.clone(), json(value.as_ref()))).collect()
}
