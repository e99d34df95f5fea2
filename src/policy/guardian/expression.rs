//! The expressions of a document, in Guardian's language. Guardian compiles none of them when a policy is stored, but for
//! approvers; so a fault is a lint.

use super::super::Path;
use super::findings::Findings;
use crate::workflow::{Condition, GuardianExpression, Template};

/// Compiles an expression; its faults are lints.
pub(super) fn compile(_findings: &mut Findings, _path: &Path<'_>, text: &str) -> Condition {
    Condition::Guardian(GuardianExpression { text: text.to_owned() })
}

/// As [`compile`]; an empty text is no expression.
pub(super) fn compile_optional(findings: &mut Findings, path: &Path<'_>, text: &str) -> Option<Condition> {
    if text.is_empty() { None } else { Some(compile(findings, path, text)) }
}

/// A text that is an expression only if it speaks of one of `names`.
pub(super) fn compile_template(
    findings: &mut Findings,
    path: &Path<'_>,
    text: &str,
    names: &[&str],
) -> Template {
    if names.iter().any(|name| text.contains(name)) {
        Template::Expression(compile(findings, path, text))
    } else {
        Template::Text(text.to_owned())
    }
}

/// Guardian evaluates an approver on an empty appeal when a policy is created, unless it is sure to depend on a real one.
pub(super) fn check_early_approver(_findings: &mut Findings, _path: &Path<'_>, _text: &str) {}

/// A text in a metadata value. It is no `Condition`, because it stays where it is in the value.
pub(super) fn check_metadata(_findings: &mut Findings, _path: &Path<'_>, _text: &str) {}

/// An approver that is no e-mail address.
pub(super) fn compile_approver(findings: &mut Findings, path: &Path<'_>, text: &str) -> Condition {
    compile(findings, path, text)
}
