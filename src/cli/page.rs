//! A page of text for people: lines with an indent, and what is painted how. Whatever a file says is on it in a form that no
//! terminal takes for orders.

use std::fmt::{Display, Write as _};

use anstyle::{AnsiColor, Style};

use super::terminal::printable;

/// Columns of one level of indent.
const INDENT_COLUMNS: usize = 2;

/// What a piece of text is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// The name of a section.
    Heading,
    /// It went on.
    Good,
    /// It came to nothing.
    Bad,
    /// It stands still, or something is not as it should be.
    Care,
    /// Beside the point.
    Faint,
    Plain,
}

impl Tone {
    fn style(self) -> Style {
        let of = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
        match self {
            Tone::Heading => Style::new().bold(),
            Tone::Good => of(AnsiColor::Green),
            Tone::Bad => of(AnsiColor::Red),
            Tone::Care => of(AnsiColor::Yellow),
            Tone::Faint => Style::new().dimmed(),
            Tone::Plain => Style::new(),
        }
    }

    /// `text`, safe for a terminal, between the codes of the tone.
    pub(super) fn paint(self, text: impl Display) -> String {
        let style = self.style();
        format!("{style}{}{style:#}", printable(&text.to_string()))
    }
}

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// A new section.
    pub(super) fn section(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.line(0, Tone::Heading.paint(name));
    }

    /// One line of what has been made safe already.
    pub(super) fn line(&mut self, level: usize, text: impl Display) {
        let columns = level * INDENT_COLUMNS;
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{:columns$}{text}", "");
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}
