//! The text of an SVG document: shapes and letters with their attributes, and nothing in them that XML would take for its own.

use std::fmt::{Display, Write as _};

use super::measure::{CODE_PX, LINE_PX, Part, TITLE_PX, wide};

const SANS: &str = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";
const MONO: &str = "Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace";

/// How a shape is filled and drawn around.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) fill: &'static str,
    pub(super) stroke: &'static str,
    pub(super) width: f64,
    pub(super) dashed: bool,
}

/// The document so far.
#[derive(Debug, Default)]
pub(super) struct Paper {
    text: String,
}

impl Paper {
    /// One line.
    pub(super) fn put(&mut self, line: impl Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    pub(super) fn rect(&mut self, (x, y, width, height): (f64, f64, f64, f64), round: f64, paint: Paint) {
        let Paint { fill, stroke, width: line, dashed } = paint;
        let dashes = if dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        self.put(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\" fill=\"{fill}\" stroke=\"{stroke}\" \
             stroke-width=\"{line}\"{dashes}/>",
            px(x), px(y), px(width), px(height), px(round)
        ));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str) {
        self.put(format_args!(
            "<path d=\"M{} {}L{} {}\" stroke=\"{stroke}\" stroke-width=\"1\" fill=\"none\"/>",
            px(from.0),
            px(from.1),
            px(to.0),
            px(to.1)
        ));
    }

    /// A line of text, from the left end of its base line.
    pub(super) fn text(&mut self, at: (f64, f64), part: Part, fill: &str, text: &str) {
        self.line_of(at, part, "", fill, text);
    }

    /// What an arrow says, around the middle of its base line, because nobody knows how wide it will be.
    pub(super) fn label(&mut self, at: (f64, f64), fill: &str, text: &str) {
        self.line_of(at, Part::Line, " text-anchor=\"middle\"", fill, text);
    }

    fn line_of(&mut self, (x, y): (f64, f64), part: Part, anchor: &str, fill: &str, text: &str) {
        let (family, size, weight) = match part {
            Part::Title => (SANS, TITLE_PX, " font-weight=\"600\""),
            Part::Line => (SANS, LINE_PX, ""),
            Part::Badge => (SANS, LINE_PX, " font-weight=\"600\""),
            Part::Code => (MONO, CODE_PX, ""),
        };
        // Of writing that is not Latin nobody knows here how wide it will be.
        let fit = match text.chars().all(|c| c < '\u{250}' || matches!(c, '…' | '→' | '×')) {
            true => String::new(),
            false => format!(" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\"", px(wide(part, text))),
        };
        self.put(format_args!(
            "<text x=\"{}\" y=\"{}\" font-family=\"{family}\" font-size=\"{size}\"{weight}{anchor} fill=\"{fill}\"{fit} \
             xml:space=\"preserve\">{}</text>",
            px(x), px(y), escaped(text)
        ));
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// A coordinate with one digit after the point, and none if it is zero.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `text` for the content of an element or an attribute in double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}
