//! What `check` found in a file, before it is printed.

use crate::policy::{Place, Violation, Warning};
use crate::rpc::ascii;

/// A violation or a warning, and where in the file it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Finding {
    pub(super) severity: Severity,
    /// Upper case, stable.
    pub(super) code: &'static str,
    /// The field path within the policy, in the spelling of the file; may be empty.
    pub(super) path: String,
    /// A sentence without a full stop.
    pub(super) message: String,
    /// The byte of the file where it is.
    pub(super) offset: usize,
    /// The expression that it is about.
    pub(super) excerpt: Option<Excerpt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Severity {
    Violation,
    Warning,
    /// Good to know; counts as nothing.
    Note,
}

/// An expression with the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The whole expression, after the file's escapes.
    pub(super) text: String,
    /// What is meant of it.
    pub(super) place: Place,
}

impl Finding {
    /// A violation that is about no expression.
    pub(super) fn violation(offset: usize, code: &'static str, message: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Violation,
            code,
            path: String::new(),
            message: message.into(),
            offset,
            excerpt: None,
        }
    }
}

/// What the checks of a document report, alike for violations and warnings.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) severity: Severity,
    pub(super) code: &'static str,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) span: Option<Place>,
}

impl Reported {
    /// How the metadata of an answer of the service say it.
    pub(super) fn as_metadata(&self) -> String {
        ascii(&format!("{} {}: {}", self.code, self.path, self.message)).into_owned()
    }
}

impl From<Violation> for Reported {
    fn from(Violation { path, span, code, message }: Violation) -> Self {
        Reported { severity: Severity::Violation, code, path, message, span }
    }
}

impl From<Warning> for Reported {
    fn from(Warning { path, span, code, message }: Warning) -> Self {
        Reported { severity: Severity::Warning, code, path, message, span }
    }
}
