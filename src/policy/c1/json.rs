//! JSON objects inside documents: forms, and configurations of connectors. They come back as they were given.

use super::super::{Path, Report};
use crate::pb::json::{Kind, Struct, Value};
use std::collections::BTreeSet;

/// Refuses a key that a JSON object has twice. JSON is refused for it when it is read; a message can also be built so,
/// and would come back as JSON that no two readers understand alike. Recursion is bounded by the nesting of messages.
pub(super) fn check_object(report: &mut Report, at: &Path<'_>, object: &Struct) {
    let mut keys = BTreeSet::new();
    for entry in &object.fields {
        let below = at.key(&entry.key);
        if !keys.insert(&entry.key) {
            report.refuse(&below, "FIELD_DUPLICATE", "the object has this key twice");
        }
        if let Some(value) = &entry.value {
            check_value(report, &below, value);
        }
    }
}

fn check_value(report: &mut Report, at: &Path<'_>, value: &Value) {
    match &value.kind {
        Some(Kind::StructValue(object)) => check_object(report, at, object),
        Some(Kind::ListValue(list)) => {
            for (n, value) in list.values.iter().enumerate() {
                check_value(report, &at.index(n), value);
            }
        }
        _ => {}
    }
}
