//! How findings are printed: for people, with a caret under what is meant, or as one JSON object on each line.

use std::io::{self, Write};

use serde::Serialize;

use super::finding::{Excerpt, Finding, Severity};
use super::source::Source;
use crate::cli::terminal::printable;

/// Characters of one line of an expression that are shown around what is meant.
const EXCERPT_MAX_CHARS: usize = 160;
/// Of those, characters before what is meant.
const EXCERPT_BEFORE_CHARS: usize = 60;
const INDENT: &str = "    ";

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// `file:line:column: code: sentence`, and the expression with a caret line.
    Text,
    /// One JSON object on each line.
    Json,
}

/// Prints one finding.
pub(super) fn finding(
    out: &mut impl Write,
    format: Format,
    source: &Source,
    finding: &Finding,
) -> io::Result<()> {
    match format {
        Format::Text => text(out, source, finding),
        Format::Json => json(out, source, finding),
    }
}

fn text(out: &mut impl Write, source: &Source, finding: &Finding) -> io::Result<()> {
    let at = source.position(finding.offset);
    let warning = match finding.severity {
        Severity::Violation => "",
        Severity::Warning => "warning: ",
        Severity::Note => "note: ",
    };
    let sentence = printable(&finding.message);
    writeln!(
        out,
        "{}:{}:{}: {}: {warning}{sentence}",
        printable(&source.name),
        at.line,
        at.column,
        finding.code
    )?;
    finding.excerpt.as_ref().map_or(Ok(()), |excerpt| caret(out, excerpt))
}

/// The line of the expression in which the place starts, and carets under it.
fn caret(out: &mut impl Write, Excerpt { text, place }: &Excerpt) -> io::Result<()> {
    let index = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
    let line = text.split('\n').nth(index(place.start.line)).unwrap_or_default();
    let length = line.chars().count();
    let start = index(place.start.column).min(length);
    let end = if place.end.line == place.start.line { index(place.end.column).min(length) } else { length };
    // A long line is cut on both sides.
    let first = if length > EXCERPT_MAX_CHARS { start.saturating_sub(EXCERPT_BEFORE_CHARS) } else { 0 };
    let (before, after) = (first > 0, length > first + EXCERPT_MAX_CHARS);
    // One column for each character, whatever it is.
    let shown = line.chars().skip(first).take(EXCERPT_MAX_CHARS);
    let shown: String = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let dots = |cut: bool| if cut { "..." } else { "" };
    writeln!(out, "{INDENT}{}{shown}{}", dots(before), dots(after))?;
    let pad = start - first + dots(before).len();
    let carets = end.min(first + EXCERPT_MAX_CHARS).saturating_sub(start).max(1);
    writeln!(out, "{INDENT}{}{}", " ".repeat(pad), "^".repeat(carets))
}

/// One line of `--format json`. Members are only ever added.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    severity: &'static str,
    code: &'static str,
    path: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<Expression<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Expression<'a> {
    text: &'a str,
    start_line: u32,
    start_column: u32,
    end_line: u32,
    end_column: u32,
}

fn json(out: &mut impl Write, source: &Source, finding: &Finding) -> io::Result<()> {
    let at = source.position(finding.offset);
    let line = Line {
        file: &source.name,
        line: at.line,
        column: at.column,
        severity: match finding.severity {
            Severity::Violation => "violation",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        code: finding.code,
        path: &finding.path,
        message: &finding.message,
        expression: finding.excerpt.as_ref().map(|Excerpt { text, place }| Expression {
            text,
            start_line: place.start.line,
            start_column: place.start.column,
            end_line: place.end.line,
            end_column: place.end.column,
        }),
    };
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)
}
