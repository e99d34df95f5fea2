//! What a request may and must say before it runs, and what is found out about it.

use super::{Condition, Pattern};
use serde::Serialize;
use std::collections::BTreeMap;

/// The rules of entry.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entry {
    /// For how long access may be asked for, and what happens to what was granted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
    /// What must be answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
    /// How more is found out about who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<Creator>,
    /// How more is found out about the request, by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, MetadataSource>,
    /// Whether more steps come from elsewhere, at the end of those of the document.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more_steps: bool,
    /// By priority, the highest first; a key that an earlier rule has set stays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelRule>,
    /// The labels that a request brings with it; `None` = they are taken as they come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_labels: Option<UserLabels>,
}

/// For how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lifetime {
    /// If there are any, the request names one of them by its very text.
    pub options: Vec<DurationOption>,
    /// Whether access may be asked for without an end, whatever the resource's provider says.
    pub allow_permanent: bool,
    /// Whether somebody may ask for another user.
    pub allow_on_behalf: bool,
    /// How soon before its end access may be asked for again, as written; empty = the provider says so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub extension_within: String,
}

/// One length of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DurationOption {
    pub name: String,
    /// As written.
    pub value: String,
}

/// Something that is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    pub key: String,
    pub required: bool,
}

/// How more is found out about who asks. With what it is called stays in the document, because it may be secret.
#[derive(Clone, Debug, Serialize)]
pub struct Creator {
    /// `http` or `shield`.
    pub provider: String,
    /// Which field, or which expression, gives each key; empty = everything that was found.
    pub schema: BTreeMap<String, Template>,
    /// Whether the request goes on without it.
    pub may_fail: bool,
}

/// Something that is found out about a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetadataSource {
    /// `http` or `static`.
    pub kind: String,
    /// JSON; texts in it that speak of `$appeal` or `$response` are expressions.
    pub value: serde_json::Value,
}

/// Labels that a request gets.
#[derive(Clone, Debug, Serialize)]
pub struct LabelRule {
    pub name: String,
    /// `None` = always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    pub labels: Vec<Label>,
    pub priority: i32,
    /// Whether a label that fails is left out; else the request fails.
    pub may_fail: bool,
    /// The field path of the rule in its document.
    pub place: String,
}

/// One label.
#[derive(Clone, Debug, Serialize)]
pub struct Label {
    pub key: String,
    pub value: Template,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// What else is known of it; expressions see it.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// Which labels a request may bring with it.
#[derive(Clone, Debug, Serialize)]
pub struct UserLabels {
    /// Whether what follows is asked at all.
    pub checked: bool,
    /// Empty = any.
    pub allowed: Vec<String>,
    pub required: Vec<String>,
    /// `None` = any number.
    pub at_most: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_pattern: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_pattern: Option<Pattern>,
    /// Whether they come before those of the rules.
    pub override_rules: bool,
}

/// A text, or an expression that gives one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Word for word.
    Text(String),
    /// Must give a text.
    Expression(Condition),
}
