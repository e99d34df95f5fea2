//! What a check found: violations, for which a document is refused, and warnings, which travel with the answer.
//!
//! Both carry a path, a stable upper-case code that programs may branch on, and a sentence for people. A code, once
//! released, keeps its meaning (AIP-193).

use super::Path;
use crate::expr::{Diagnostic, Position, Severity};
use std::fmt;

/// The most violations that one answer carries; a document with more is told how many were left out.
pub const VIOLATIONS_MAX: usize = 100;

/// The most warnings that one answer carries, since each becomes a line of response metadata.
pub const WARNINGS_MAX: usize = 32;

/// One reason why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where, in the client's spelling; empty for the document as a whole.
    pub path: String,
    /// Where in the expression at that path, if it is one.
    pub span: Option<Place>,
    /// Which rule: upper case, stable.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// A place in an expression: lines and columns from 1, in characters; the end is after the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it starts.
    pub start: Position,
    /// Where it ends.
    pub end: Position,
}

/// Something that the author of an accepted document should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where, in the client's spelling.
    pub path: String,
    /// Where in the expression at that path, if it is one.
    pub span: Option<Place>,
    /// Which finding: upper case, stable.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl fmt::Display for Warning {
    /// `CODE field.path: sentence`, the form in which a warning travels as metadata.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.code, self.path, self.message)
    }
}

/// Why a document is refused: at least one violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations {
    /// At most [`VIOLATIONS_MAX`], and one more that says how many are left out.
    listed: Vec<Violation>,
    left_out: usize,
}

impl Violations {
    /// The violations, in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.listed.iter()
    }

    /// How many there are, those that are left out included.
    #[must_use]
    pub fn total(&self) -> usize {
        self.listed.len() + self.left_out - usize::from(self.left_out > 0)
    }

    /// Those of one more check of the same document behind these, as far as one answer carries them.
    pub fn extend(&mut self, more: Violations) {
        let room = VIOLATIONS_MAX.saturating_sub(self.listed.len());
        self.listed.extend(more.listed.into_iter().take(room));
    }
}

impl From<Violation> for Violations {
    fn from(one: Violation) -> Self {
        Violations { listed: vec![one], left_out: 0 }
    }
}

/// Collects what the checks of one document find.
#[derive(Debug, Default)]
pub struct Report {
    violations: Vec<Violation>,
    left_out: usize,
    warnings: Vec<Warning>,
    warnings_left_out: usize,
}

impl Report {
    /// Notes a reason to refuse the document.
    pub fn refuse(&mut self, path: &Path<'_>, code: &'static str, message: impl Into<String>) {
        self.refuse_at(path.to_string(), code, message);
    }

    /// Notes a reason to refuse the document, for a path that is text already.
    pub fn refuse_at(&mut self, path: String, code: &'static str, message: impl Into<String>) {
        self.add(Violation { path, span: None, code, message: message.into() });
    }

    /// What was checked; if it was refused, that is noted, and its default stands in for it.
    pub fn value_or_default<T: Default>(&mut self, checked: Result<T, Violation>) -> T {
        checked.unwrap_or_else(|violation| {
            self.add(violation);
            T::default()
        })
    }

    fn add(&mut self, violation: Violation) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation);
        } else {
            self.left_out += 1;
        }
    }

    /// Notes a fault of the expression at `path`, or something that its author should know. The sentence says the line
    /// and the column, for readers of the sentence alone.
    pub fn diagnose(&mut self, path: &Path<'_>, diagnostic: &Diagnostic) {
        self.diagnose_as(diagnostic.severity, path, diagnostic);
    }

    /// As [`Report::diagnose`], whatever the severity that the diagnostic itself has.
    pub fn diagnose_as(&mut self, severity: Severity, path: &Path<'_>, diagnostic: &Diagnostic) {
        let Diagnostic { code, message, start, end, .. } = diagnostic;
        let message = format!("{message} (line {}, column {})", start.line, start.column);
        let span = Some(Place { start: *start, end: *end });
        match severity {
            Severity::Error => {
                self.refuse(path, code.as_str(), message);
                if let Some(last) = self.violations.last_mut().filter(|_| self.left_out == 0) {
                    last.span = span;
                }
            }
            Severity::Warning => {
                self.warn(path, code.as_str(), message);
                if let Some(last) = self.warnings.last_mut().filter(|_| self.warnings_left_out == 0) {
                    last.span = span;
                }
            }
        }
    }

    /// Notes something that the author should know.
    pub fn warn(&mut self, path: &Path<'_>, code: &'static str, message: impl Into<String>) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(Warning { path: path.to_string(), span: None, code, message: message.into() });
        } else {
            self.warnings_left_out += 1;
        }
    }

    /// The warnings, if nothing was refused; else all the violations.
    pub fn finish(self) -> Result<Vec<Warning>, Violations> {
        match self.split() {
            (warnings, None) => Ok(warnings),
            (_, Some(violations)) => Err(violations),
        }
    }

    /// The warnings; and all the violations, if anything was refused.
    pub fn split(mut self) -> (Vec<Warning>, Option<Violations>) {
        if self.warnings_left_out > 0 {
            let message = format!("{} more warnings are not listed", self.warnings_left_out);
            let path = String::new();
            self.warnings.push(Warning { path, span: None, code: "MORE_WARNINGS", message });
        }
        if self.violations.is_empty() {
            return (self.warnings, None);
        }
        if self.left_out > 0 {
            let message = format!("{} more violations are not listed", self.left_out);
            self.violations.push(Violation {
                path: String::new(),
                span: None,
                code: "MORE_VIOLATIONS",
                message,
            });
        }
        let violations = Violations { listed: self.violations, left_out: self.left_out };
        (self.warnings, Some(violations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_violations_gives_its_warnings() {
        let mut report = Report::default();
        report.warn(&Path::ROOT.field("policyType"), "TYPE_UNSPECIFIED", "no type");
        let warnings = report.finish().unwrap();
        assert_eq!(warnings[0].to_string(), "TYPE_UNSPECIFIED policyType: no type");
    }

    #[test]
    fn a_long_report_is_cut_and_says_so() {
        let mut report = Report::default();
        for n in 0..VIOLATIONS_MAX + 7 {
            report.refuse(&Path::ROOT.field("rules").index(n), "X", "wrong");
        }
        let refused = report.finish().unwrap_err();
        assert_eq!(refused.total(), VIOLATIONS_MAX + 7);
        let violations: Vec<_> = refused.iter().cloned().collect();
        assert_eq!(violations.len(), VIOLATIONS_MAX + 1);
        assert_eq!(violations.last().unwrap().message, "7 more violations are not listed");

        let mut report = Report::default();
        for n in 0..WARNINGS_MAX + 7 {
            report.warn(&Path::ROOT.field("rules").index(n), "X", "odd");
        }
        let warnings = report.finish().unwrap();
        assert_eq!(warnings.len(), WARNINGS_MAX + 1);
        assert_eq!(warnings.last().unwrap().to_string(), "MORE_WARNINGS : 7 more warnings are not listed");
    }
}
