//! The expressions of a document: compiled in the environment that the place calls for.

use super::super::{Path, Report};
use crate::expr::{self, Environment};
use crate::workflow::Condition;

/// Compiles an expression; every fault of it, and every warning, is reported at `path`.
pub(super) fn compile(
    report: &mut Report,
    path: &Path<'_>,
    environment: Environment,
    text: &str,
) -> Option<Condition> {
    if text.trim().is_empty() {
        report.refuse(path, "EXPRESSION_EMPTY", "an expression is needed; the condition `true` always holds");
        return None;
    }
    match expr::compile(environment, text) {
        Ok(program) => {
            program.warnings().iter().for_each(|warning| report.diagnose(path, warning));
            Some(Condition::Cel(program))
        }
        Err(diagnostics) => {
            diagnostics.iter().for_each(|diagnostic| report.diagnose(path, diagnostic));
            None
        }
    }
}
