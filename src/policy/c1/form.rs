//! Form steps: a form is JSON that comes back as it was given, so its shape is checked here against `c1.api.form.v1`.

use super::super::{Path, Report};
use crate::pb::{self, c1::api::policy::v1::Form};
use crate::wire::{Schema, Type, json};
use prost::Message;
use std::sync::LazyLock;

/// The message that a form's JSON must be, and the one that it travels as.
static FORM: LazyLock<Option<(Type, Type)>> = LazyLock::new(|| {
    let schema = Schema::new(pb::pool());
    Some((schema.message("c1.api.form.v1.Form")?, schema.message("google.protobuf.Struct")?))
});

/// Refuses a form with a field that forms do not have, or with a value of another type.
pub(super) fn check(report: &mut Report, at: &Path<'_>, step: &Form) {
    let path = at.field("form");
    let Some(form) = &step.form else {
        report.warn(&path, "FORM_EMPTY", "the step has no form, so nothing is asked");
        return;
    };
    super::json::check_object(report, &path, form);
    let Some((form_type, struct_type)) = FORM.as_ref() else { return };
    let mut text = Vec::new();
    if json::encode(struct_type, &form.encode_to_vec(), &json::Style::default(), &mut text).is_err() {
        report.refuse(&path, "FORM_INVALID", "the form cannot be read as JSON");
        return;
    }
    if let Err(error) = json::decode(form_type, &text, &json::Reading::default(), &mut Vec::new()) {
        let below = if error.path.is_empty() { path.to_string() } else { format!("{path}.{}", error.path) };
        report.refuse_at(below, "FORM_INVALID", error.message);
    }
}
