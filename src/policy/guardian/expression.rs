//! The expressions of a document, in Guardian's language. Guardian compiles none of them when a policy is stored, but for
//! approvers; so a fault is a lint.

use super::super::Path;
use super::EARLY_APPROVERS_MAX;
use super::findings::{Findings, Wording};
use crate::expr::guardian::{
    self as language, EvalError, Parameters, Place, Program, Value, compile_error_as_guardian_says, outcome,
};
use crate::workflow::{Condition, GuardianExpression, Template, is_email};
use chrono::DateTime;
use std::sync::LazyLock;

/// Compiles an expression; its faults are lints.
pub(super) fn compile(findings: &mut Findings, path: &Path<'_>, place: Place, text: &str) -> Condition {
    let program = check(findings, path, place, text);
    Condition::Guardian(GuardianExpression { text: text.to_owned(), program })
}

/// As [`compile`]; an empty text is no expression.
pub(super) fn compile_optional(
    findings: &mut Findings,
    path: &Path<'_>,
    place: Place,
    text: &str,
) -> Option<Condition> {
    if text.is_empty() { None } else { Some(compile(findings, path, place, text)) }
}

/// A text that is an expression only if it speaks of the parameters of its place.
pub(super) fn compile_template(
    findings: &mut Findings,
    path: &Path<'_>,
    place: Place,
    text: &str,
) -> Template {
    if place.is_expression(text) {
        Template::Expression(compile(findings, path, place, text))
    } else {
        Template::Text(text.to_owned())
    }
}

/// Lints an expression, and what it gives if that is the same for every appeal.
pub(super) fn check(findings: &mut Findings, path: &Path<'_>, place: Place, text: &str) -> Option<Program> {
    match language::compile(place, text) {
        Ok(program) => {
            program.warnings().iter().for_each(|warning| findings.lint_expression(path, warning));
            if program.parameters().is_empty()
                && findings.may_evaluate()
                && let Some(fault) = fault_of_constant(&program, place, text)
            {
                findings.lint(path, "EXPRESSION_RESULT", fault);
            }
            Some(program)
        }
        Err(faults) => {
            faults.iter().for_each(|fault| findings.lint_expression(path, fault));
            None
        }
    }
}

/// An approver that is no e-mail address.
pub(super) fn compile_approver(
    findings: &mut Findings,
    path: &Path<'_>,
    text: &str,
    early: bool,
) -> Condition {
    if early {
        // What is wrong with it has been said by `check_early_approver`.
        let program = language::compile(Place::Approvers, text).ok();
        return Condition::Guardian(GuardianExpression { text: text.to_owned(), program });
    }
    compile(findings, path, Place::Approvers, text)
}

/// Guardian evaluates an approver on an empty appeal when a policy is created, unless it is sure to depend on a real one.
pub(super) fn check_early_approver(findings: &mut Findings, path: &Path<'_>, text: &str) {
    let said =
        |fault: String| Wording::Text(format!("validating approver {}: {fault}", language::quoted(text)));
    let program = match language::compile(Place::Approvers, text) {
        Ok(program) => program,
        Err(faults) => {
            let Some(fault) = faults.first() else { return };
            let wording =
                said(format!("evaluating expression: {}", compile_error_as_guardian_says(text, fault)));
            findings.refuse_expression(path, fault, wording);
            return;
        }
    };
    program.warnings().iter().for_each(|warning| findings.lint_expression(path, warning));
    if !findings.may_evaluate() {
        let message =
            format!("at most {EARLY_APPROVERS_MAX} approvers of a policy are expressions of this kind");
        findings.limit(path, "APPROVERS_TOO_MANY", message);
        return;
    }
    match program.evaluate(&EMPTY_APPEAL) {
        Err(error) => {
            let wording = said(format!("evaluating expression: {}", error.as_guardian_says(text)));
            let message = format!("on an empty appeal, {}", sentence(&error));
            findings.refuse(path, "APPROVER_FAILS", message, wording);
        }
        Ok(Value::Nil) => {
            let message = "this gives nil, and is no e-mail address either; Guardian panics on it";
            findings.refuse(path, "APPROVER_NIL", message, Wording::Panic);
        }
        Ok(Value::Text(_) | Value::List(_)) => {
            if program.parameters().is_empty()
                && let Some(fault) = fault_of_constant(&program, Place::Approvers, text)
            {
                findings.lint(path, "EXPRESSION_RESULT", fault);
            }
        }
        Ok(other) => {
            let wording = said(format!("invalid value type: {}", language::quoted(text)));
            let message =
                format!("an approver is a text or a list of texts, and this gives {}", other.type_name());
            findings.refuse(path, "APPROVER_TYPE", message, wording);
        }
    }
}

/// What is wrong with the result of an expression that does not depend on any appeal.
fn fault_of_constant(program: &Program, place: Place, text: &str) -> Option<String> {
    let value = match program.evaluate(&Parameters::new(DateTime::UNIX_EPOCH)) {
        Ok(value) => value,
        Err(error) => return Some(format!("whatever the appeal, {}", sentence(&error))),
    };
    match place {
        Place::When | Place::ApproveIf => outcome::is_truthy(&value).err(),
        Place::RequirementOn | Place::LabelWhen => outcome::boolean(text, &value).err(),
        Place::Approvers => match outcome::approvers(&value) {
            Err(fault) => Some(fault),
            Ok(found) => {
                let stranger = found.iter().find(|one| !is_email(one));
                stranger.map(|one| format!("approver value is not a valid email: {one:?}"))
            }
        },
        _ => None,
    }
}

fn sentence(error: &EvalError) -> String {
    match error.start {
        Some(start) => format!("{} (line {}, column {})", error.message, start.line, start.column),
        None => error.message.clone(),
    }
}

/// What Guardian evaluates approvers on when a policy is created.
static EMPTY_APPEAL: LazyLock<Parameters> = LazyLock::new(|| {
    let never = "0001-01-01T00:00:00Z";
    let appeal = serde_json::json!({
        "id": "", "resource_id": "", "policy_id": "", "policy_version": 0, "status": "", "account_id": "",
        "account_type": "", "created_by": "", "creator": null, "role": "", "permissions": null, "options": null,
        "details": null, "labels": null, "description": "", "created_at": never, "updated_at": never,
        "resource": {
            "id": "", "provider_type": "", "provider_urn": "", "type": "", "urn": "", "name": "", "details": null,
            "global_urn": "", "created_at": never, "updated_at": never,
        },
    });
    let appeal = Value::from_json(&appeal).unwrap_or(Value::Nil);
    Parameters::new(DateTime::UNIX_EPOCH).with("appeal", appeal)
});
