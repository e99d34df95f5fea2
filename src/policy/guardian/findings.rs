//! What the checks of one document found, in two tongues: violations at field paths, and the text that Guardian answers.
//!
//! Guardian stops at the first fault, but reports all faults of its struct tags together. So the order in which faults are
//! noted here is Guardian's order, and decides its text.

use super::super::{Path, Report, Warning};
use super::{Compat, EARLY_STEPS_MAX, Lint, Refused, Said, Surroundings};
use crate::expr::guardian::{EvalError, Parameters, Program, Value};
use crate::expr::{Diagnostic, Severity};

/// What stands before every text of its validation.
pub(super) const VALIDATION: &str = "policy validation: ";
/// What beginning an evaluation costs, in steps.
const EVALUATION_STEPS: usize = 100;

/// How Guardian words one fault.
#[derive(Debug)]
pub(super) enum Wording {
    /// While it reads the IAM configuration, before the validation.
    Iam(String),
    /// A failed struct tag: the key with Go's field names, and the tag.
    Tag(String, &'static str),
    /// A check of its own.
    Text(String),
    /// Once it stores the document.
    Storing(String),
    /// It panics.
    Panic,
}

#[derive(Debug)]
pub(super) struct Findings {
    around: Surroundings,
    report: Report,
    wordings: Vec<Wording>,
    /// What the evaluations have cost so far, in steps.
    spent: usize,
}

impl Findings {
    pub(super) fn new(around: Surroundings) -> Findings {
        Findings { around, report: Report::default(), wordings: Vec::new(), spent: 0 }
    }

    pub(super) fn around(&self) -> Surroundings {
        self.around
    }

    pub(super) fn is_strict(&self) -> bool {
        self.around.compat == Compat::Strict
    }

    /// Evaluates one more expression. `None` once those before it have cost too much: a document is bounded in what its checks
    /// cost, too.
    pub(super) fn evaluate(
        &mut self,
        program: &Program,
        parameters: &Parameters,
    ) -> Option<Result<Value, EvalError>> {
        if self.spent > EARLY_STEPS_MAX {
            return None;
        }
        let (outcome, steps) = program.evaluate_counting(parameters);
        self.spent = self.spent.saturating_add(steps).saturating_add(EVALUATION_STEPS);
        Some(outcome)
    }

    /// A fault that Guardian refuses, too.
    pub(super) fn refuse(
        &mut self,
        path: &Path<'_>,
        code: &'static str,
        message: impl Into<String>,
        wording: Wording,
    ) {
        self.report.refuse(path, code, message);
        self.wordings.push(wording);
    }

    /// A fault for which Guardian's validator has a tag. `key` is the key with Go's names, from `Policy` on.
    pub(super) fn tag(
        &mut self,
        path: &Path<'_>,
        code: &'static str,
        message: impl Into<String>,
        key: impl Into<String>,
        tag: &'static str,
    ) {
        self.refuse(path, code, message, Wording::Tag(key.into(), tag));
    }

    /// A limit of ours, which Guardian does not have.
    pub(super) fn limit(&mut self, path: &Path<'_>, code: &'static str, message: impl Into<String>) {
        let message = message.into();
        self.refuse(path, code, message.clone(), Wording::Storing(message));
    }

    /// Something that Guardian accepts and trips over later.
    pub(super) fn lint(&mut self, path: &Path<'_>, code: &'static str, message: impl Into<String>) {
        match self.around.lint {
            Lint::Warn => self.report.warn(path, code, message),
            Lint::Deny => {
                let message = message.into();
                self.refuse(path, code, message.clone(), Wording::Text(format!("{path}: {message}")));
            }
        }
    }

    /// As [`Findings::lint`], for a fault of an expression; the sentence says the line and the column.
    pub(super) fn lint_expression(&mut self, path: &Path<'_>, diagnostic: &Diagnostic) {
        match self.around.lint {
            Lint::Warn => self.report.diagnose_as(Severity::Warning, path, diagnostic),
            Lint::Deny => {
                let Diagnostic { message, start, .. } = diagnostic;
                let text = format!("{path}: {message} (line {}, column {})", start.line, start.column);
                self.refuse_expression(path, diagnostic, Wording::Text(text));
            }
        }
    }

    /// A fault of an expression for which Guardian refuses the document, too.
    pub(super) fn refuse_expression(&mut self, path: &Path<'_>, diagnostic: &Diagnostic, wording: Wording) {
        self.report.diagnose_as(Severity::Error, path, diagnostic);
        self.wordings.push(wording);
    }

    /// Something that the author should know, whatever the settings.
    pub(super) fn warn(&mut self, path: &Path<'_>, code: &'static str, message: impl Into<String>) {
        self.report.warn(path, code, message);
    }

    /// The warnings, if nothing was refused.
    pub(super) fn finish(self) -> Result<Vec<Warning>, Box<Refused>> {
        let (warnings, violations) = self.report.split();
        match violations {
            None => Ok(warnings),
            Some(violations) => Err(Box::new(Refused { violations, warnings, said: said(&self.wordings) })),
        }
    }
}

/// Guardian's text for the first fault, or for all failed tags if that is one.
fn said(wordings: &[Wording]) -> Said {
    let Some(first) = wordings.first() else { return Said::Text(String::new()) };
    Said::Text(match first {
        Wording::Panic => return Said::Panic,
        Wording::Iam(text) => format!("parsing iam config: {text}"),
        Wording::Text(text) => format!("{VALIDATION}{text}"),
        Wording::Storing(text) => text.clone(),
        Wording::Tag(..) => {
            let lines = wordings.iter().filter_map(|wording| match wording {
                Wording::Tag(key, tag) => Some(tag_line(key, tag)),
                _ => None,
            });
            format!("{VALIDATION}{}", lines.collect::<Vec<_>>().join("\n"))
        }
    })
}

fn tag_line(key: &str, tag: &str) -> String {
    let field = key.rsplit('.').next().unwrap_or(key);
    format!("Key: '{key}' Error:Field validation for '{field}' failed on the '{tag}' tag")
}
