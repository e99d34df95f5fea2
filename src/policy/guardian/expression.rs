//! The expressions of a document, in Guardian's language. Guardian compiles none of them when a policy is stored, but for
//! approvers; so a fault is a lint.

use super::super::Path;
use super::Family;
use super::findings::{Findings, Wording};
use crate::expr::Diagnostic;
use crate::expr::guardian::{
    self as language, EvalError, Parameters, Place, Program, ResultKind, Value,
    compile_error_as_guardian_says, outcome,
};
use crate::workflow::{Condition, GuardianExpression, Template, is_email};
use chrono::{DateTime, Utc};
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

/// Lints an expression, and what it gives as far as that is the same for every appeal. The error is what Guardian says of one
/// that does not compile.
pub(super) fn check(
    findings: &mut Findings,
    path: &Path<'_>,
    place: Place,
    text: &str,
) -> Result<Program, String> {
    match compile_for_family(findings, place, text) {
        Ok(program) => {
            program.warnings().iter().for_each(|warning| findings.lint_expression(path, warning));
            if let Some(fault) = fault_of_result(findings, &program, place, text) {
                findings.lint(path, "EXPRESSION_RESULT", fault);
            }
            Ok(program)
        }
        Err(faults) => {
            faults.iter().for_each(|fault| findings.lint_expression(path, fault));
            Err(said_of_faults(text, &faults))
        }
    }
}

/// The older family has no `$split`.
fn compile_for_family(findings: &Findings, place: Place, text: &str) -> Result<Program, Vec<Diagnostic>> {
    let program = language::compile(place, text)?;
    match program.fault_without_split().filter(|_| findings.around().family == Family::Raystack) {
        Some(fault) => Err(vec![fault]),
        None => Ok(program),
    }
}

/// Guardian's text for an expression that does not compile: it stops at the first fault.
fn said_of_faults(text: &str, faults: &[Diagnostic]) -> String {
    faults.first().map(|fault| compile_error_as_guardian_says(text, fault)).unwrap_or_default()
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
        let program = compile_for_family(findings, Place::Approvers, text);
        let program = program.map_err(|faults| said_of_faults(text, &faults));
        return Condition::Guardian(GuardianExpression { text: text.to_owned(), program });
    }
    compile(findings, path, Place::Approvers, text)
}

/// Guardian evaluates an approver on an empty appeal when a policy is created, unless it is sure to depend on a real one.
pub(super) fn check_early_approver(findings: &mut Findings, path: &Path<'_>, text: &str) {
    let said =
        |fault: String| Wording::Text(format!("validating approver {}: {fault}", language::quoted(text)));
    let program = match compile_for_family(findings, Place::Approvers, text) {
        Ok(program) => program,
        Err(faults) => {
            let Some(fault) = faults.first() else { return };
            let wording = said(format!("evaluating expression: {}", said_of_faults(text, &faults)));
            findings.refuse_expression(path, fault, wording);
            return;
        }
    };
    program.warnings().iter().for_each(|warning| findings.lint_expression(path, warning));
    let Some(now) = time_for(findings, &program) else { return };
    let facts = Parameters::new(now).with("appeal", EMPTY_APPEAL.clone());
    let Some(outcome) = findings.evaluate(&program, &facts) else {
        let message = "the expressions of this policy cost too much to evaluate when it is stored";
        findings.limit(path, "APPROVERS_TOO_MANY", message);
        return;
    };
    match outcome {
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
            if let Some(fault) = fault_of_result(findings, &program, Place::Approvers, text) {
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

/// The time to evaluate a program at; `None` if it asks for the time and there is none.
fn time_for(findings: &Findings, program: &Program) -> Option<DateTime<Utc>> {
    findings.around().now.or_else(|| (!program.asks_for_the_time()).then_some(DateTime::UNIX_EPOCH))
}

/// What is wrong with the result of an expression whatever the appeal and the time: with its value if that is always the same,
/// else with its type.
fn fault_of_result(findings: &mut Findings, program: &Program, place: Place, text: &str) -> Option<String> {
    // `$split` there always is.
    let asks_for_facts = program.parameters().iter().any(|parameter| parameter.name != "split");
    if asks_for_facts || program.asks_for_the_time() {
        return program.kind().and_then(|kind| fault_of_kind(kind, place));
    }
    // Once too much has been evaluated, nothing more is said.
    match findings.evaluate(program, &Parameters::new(DateTime::UNIX_EPOCH))? {
        Ok(value) => fault_of_constant(&value, place, text),
        Err(error) => Some(format!("whatever the appeal, {}", sentence(&error))),
    }
}

/// What is wrong with every value of a kind.
fn fault_of_kind(kind: ResultKind, place: Place) -> Option<String> {
    let (fits, wanted) = match place {
        Place::RequirementOn | Place::LabelWhen => (kind == ResultKind::Bool, "a bool"),
        Place::RejectionReason => (kind == ResultKind::Text, "a text"),
        Place::Approvers => {
            (matches!(kind, ResultKind::Text | ResultKind::List), "a text or a list of texts")
        }
        _ => return None,
    };
    (!fits)
        .then(|| format!("whatever the appeal, this gives {} or fails, and must give {wanted}", kind.named()))
}

fn fault_of_constant(value: &Value, place: Place, text: &str) -> Option<String> {
    match place {
        Place::When | Place::ApproveIf => outcome::is_truthy(value).err(),
        Place::RequirementOn | Place::LabelWhen => outcome::boolean(text, value).err(),
        Place::RejectionReason => outcome::text(text, value).err(),
        Place::Approvers => match outcome::approvers(value) {
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
static EMPTY_APPEAL: LazyLock<Value> = LazyLock::new(|| {
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
    Value::from_json(&appeal).unwrap_or(Value::Nil)
});
