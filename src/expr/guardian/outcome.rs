//! What the result of an expression means in its place: yes or no, who approves, a text. The messages are Guardian's where it
//! has one; where it crashes, the sentence is ours.

use super::quote::quoted;
use std::sync::Arc;

use super::value::{ListKind, Value};

/// What `when` and `approve_if` say: no for the zero value of any type, and yes for everything else, even an empty list.
///
/// # Errors
/// For nil, on which Guardian crashes.
pub fn is_truthy(value: &Value) -> Result<bool, String> {
    match value {
        Value::Nil => Err("the expression gave nil, which is neither yes nor no".to_owned()),
        other => Ok(!other.is_zero()),
    }
}

/// The approvers that an expression gives, without repetitions. Whether they are e-mail addresses is not looked at.
///
/// # Errors
/// For nil and for everything that is neither a text nor a list of texts.
pub fn approvers(value: &Value) -> Result<Vec<Arc<str>>, String> {
    let unexpected = |value: &Value| format!("unexpected approver type: \"{}\"", value.kind_name());
    let mut found: Vec<Arc<str>> = Vec::new();
    match value {
        Value::Nil => return Err("approvers not found".to_owned()),
        Value::Text(text) => found.push(Arc::clone(text)),
        Value::List(list) if list.kind != ListKind::Pair => {
            for item in list.iter() {
                let Value::Text(text) = &item else { return Err(unexpected(&item)) };
                if !found.contains(text) {
                    found.push(Arc::clone(text));
                }
            }
        }
        other => return Err(unexpected(other)),
    }
    Ok(found)
}

/// Of `on.expression` and of labelling rules, which must give a bool.
///
/// # Errors
/// For everything else.
pub fn boolean(expression: &str, value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(format!(
            "expression {} did not evaluate to a boolean, evaluated to {}",
            quoted(expression),
            other.type_name()
        )),
    }
}

/// Of rejection reasons, URLs, bodies and headers, which must give a text.
///
/// # Errors
/// For everything else.
pub fn text(expression: &str, value: &Value) -> Result<Arc<str>, String> {
    match value {
        Value::Text(text) => Ok(Arc::clone(text)),
        other => Err(format!(
            "expression {} did not evaluate to a string, evaluated to {}",
            quoted(expression),
            other.type_name()
        )),
    }
}

/// The result as JSON, indented, as a post hook sends what is no text.
///
/// # Errors
/// For what JSON has no form for, and for more than `TEXT_MAX_BYTES`.
pub fn json(value: &Value) -> Result<String, String> {
    super::text::json(value, super::TEXT_MAX_BYTES).map_err(|fault| match fault {
        super::text::NoJson::TooLong => "the value is too large".to_owned(),
        super::text::NoJson::Unsupported(message) => message,
    })
}
