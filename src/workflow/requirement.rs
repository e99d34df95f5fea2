//! What else happens once a request was approved: more requests, and calls to others.

use super::Condition;
use crate::expr::guardian;
use serde::{Serialize, Serializer};

/// When the trigger holds, all of what is asked for is made.
#[derive(Clone, Debug, Serialize)]
pub struct Requirement {
    /// When.
    pub on: Trigger,
    /// Requests for the same account, made side by side. They are decided by their own policies, and nobody waits for them.
    pub appeals: Vec<Appeal>,
    /// Called after the appeals, side by side.
    pub hooks: Vec<Hook>,
    /// The field path of the requirement in its document.
    pub place: String,
}

/// All that is given must hold. An error in any of it fails the approval.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trigger {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_type: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_urn: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_urn: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Pattern>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldMatch>,
    /// Must give true or false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<Condition>,
}

/// A regular expression of Go's that is searched for.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As written.
    pub text: String,
    /// `None` if it is none: matching fails.
    pub regex: Option<guardian::Pattern>,
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// A field of the resource equals a value.
#[derive(Clone, Debug, Serialize)]
pub struct FieldMatch {
    /// `$resource.` and a path.
    pub field: String,
    /// JSON, compared without conversions; `None` if the document has none, and matching fails.
    pub equals: Option<serde_json::Value>,
}

/// One more request.
#[derive(Clone, Debug, Serialize)]
pub struct Appeal {
    /// For what.
    pub resource: ResourceRef,
    /// In which role.
    pub role: String,
    /// For how long, as written; empty means for ever.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub duration: String,
    /// Until when, RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub until: String,
    /// Decided by this policy; `None` = by the one that belongs to the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRef>,
}

/// A resource by its id, or by the other four.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResourceRef {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_urn: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub urn: String,
}

/// One version of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRef {
    pub id: String,
    pub version: i32,
}

/// A call to others. What it is called with stays in the document, because it may be secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hook {
    pub name: String,
    /// `http`.
    pub kind: String,
}
