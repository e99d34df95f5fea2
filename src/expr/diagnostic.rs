//! What is wrong with an expression, and where: one `Diagnostic` per fault, with a stable code and a span.
//! Knows nothing of CEL; only of text and positions in it.

use std::fmt;

/// A stretch of the source text of an expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte, counted from 0.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// The smallest span that covers both.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A place in the text as people count it: lines and columns from 1, columns in Unicode characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

impl Position {
    /// The position of byte `offset` of `text`. An offset past the end, or inside a character, counts as the
    /// nearest character before it.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let mut position = Self { line: 1, column: 1 };
        for (at, character) in text.char_indices() {
            if at >= offset {
                break;
            }
            if character == '\n' {
                position.line += 1;
                position.column = 1;
            } else {
                position.column += 1;
            }
        }
        position
    }
}

/// Whether a fault forbids storing the expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The kind of a fault. The text of each code is part of the interface and never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable `UPPER_SNAKE` text of the code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    /// The text is not CEL.
    Syntax = "EXPRESSION_SYNTAX",
    /// The text has more bytes than `EXPRESSION_MAX_BYTES`.
    TooLong = "EXPRESSION_TOO_LONG",
    /// Brackets are nested deeper than `NESTING_MAX_LEVELS`.
    TooDeep = "EXPRESSION_TOO_DEEP",
    /// Too many operators or members follow each other.
    ChainTooLong = "EXPRESSION_CHAIN_TOO_LONG",
    /// CEL, but a part of it that policies do not have.
    Unsupported = "EXPRESSION_UNSUPPORTED",
    UndeclaredVariable = "EXPRESSION_UNDECLARED_VARIABLE",
    UndeclaredField = "EXPRESSION_UNDECLARED_FIELD",
    UndeclaredFunction = "EXPRESSION_UNDECLARED_FUNCTION",
    UndeclaredEnumValue = "EXPRESSION_UNDECLARED_ENUM_VALUE",
    WrongArgumentCount = "EXPRESSION_WRONG_ARGUMENT_COUNT",
    /// No overload of the function or operator takes these types.
    WrongArgumentType = "EXPRESSION_WRONG_ARGUMENT_TYPE",
    /// The arms of a conditional have different types.
    ArmsDiffer = "EXPRESSION_ARMS_DIFFER",
    /// The expression as a whole does not give what its environment asks for.
    WrongResultType = "EXPRESSION_WRONG_RESULT_TYPE",
    /// A constant that its function can never accept: a bad date, duration, zone, layout, address.
    BadConstant = "EXPRESSION_BAD_CONSTANT",
    /// The pattern of `matches` is not written out as a literal.
    PatternNotLiteral = "EXPRESSION_PATTERN_NOT_LITERAL",
    /// The pattern of `matches` is no regular expression, or compiles to too large a program.
    BadPattern = "EXPRESSION_BAD_PATTERN",
    /// The upper bound of the cost is above `COST_MAX_UNITS`.
    TooCostly = "EXPRESSION_TOO_COSTLY",
    /// Warning: the expression gives the same for every request.
    Constant = "EXPRESSION_CONSTANT",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One fault of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// A sentence without a full stop, in the words of who wrote the expression.
    pub message: String,
    pub span: Span,
    /// Where the span starts.
    pub start: Position,
    /// Just after the last character of the span.
    pub end: Position,
}

impl Diagnostic {
    pub(super) fn new(text: &str, code: Code, span: Span, message: String) -> Self {
        let severity = if code == Code::Constant { Severity::Warning } else { Severity::Error };
        let (start, end) = (Position::of(text, span.start), Position::of(text, span.end));
        Self { code, severity, message, span, start, end }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.start.line, self.start.column, self.code, self.message)
    }
}

/// A fault of the syntax as cel's parser reports it: line from 1, column from 1 in characters, and its words.
pub(super) fn syntax(text: &str, (line, column): (isize, isize), message: &str) -> Diagnostic {
    let start = offset_of(text, line, column);
    let rest = text.get(start..).unwrap_or("");
    let word = rest
        .chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .map(char::len_utf8)
        .sum();
    let length = if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) };
    Diagnostic::new(text, Code::Syntax, Span { start, end: start + length }, reworded(message))
}

/// The parser's words for who writes policies. What could stand in a place instead is a list of twenty tokens, more noise
/// than help, and is left out.
fn reworded(message: &str) -> String {
    let message = message.trim_start_matches("Syntax error: ");
    let message = message.split(" expecting {").next().unwrap_or(message);
    if let Some(found) = message.strip_prefix("token recognition error at: ") {
        let quoted = found.starts_with("''") || found.starts_with("'\"");
        let found = found.trim_matches('\'').trim();
        return match found.chars().next() {
            Some('=') => "= does not compare; write ==".to_owned(),
            Some('&') => "& is written twice, &&".to_owned(),
            Some('|') => "| is written twice, ||".to_owned(),
            _ if quoted => "a text is not closed, or has an escape that CEL does not know".to_owned(),
            _ => format!("CEL has no {found}"),
        };
    }
    if message.starts_with("Incomplete") {
        return "the : of this ? is missing".to_owned();
    }
    let message = message.replace("'<EOF>'", "the end").replace("<EOF>", "the end");
    let message = message.replace("mismatched input", "unexpected").replace("extraneous input", "unexpected");
    message.replace("no viable alternative at input", "unexpected")
}

fn offset_of(text: &str, line: isize, column: isize) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..).unwrap_or("");
    start + rest.chars().take(column).map(char::len_utf8).sum::<usize>()
}

/// The nearest of `known` when `found` looks like a slip of the pen: at most a third of its letters differ.
pub(super) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = found.chars().count() / 3;
    known
        .into_iter()
        .map(|name| (distance(&found.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(far, name)| *far <= limit && *name != found)
        .min_by_key(|(far, _)| *far)
        .map(|(_, name)| name)
}

/// Edit distance in characters of the first 64; a swap of neighbours counts as one edit.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().take(64).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    let cell = |rows: &[Vec<usize>], i: usize, j: usize| -> usize {
        rows.get(i).and_then(|row| row.get(j)).copied().unwrap_or(usize::MAX - 1)
    };
    for (i, a) in left.iter().enumerate() {
        rows.push(vec![i + 1]);
        for (j, b) in right.iter().enumerate() {
            let replaced = cell(&rows, i, j) + usize::from(a != b);
            let mut best = replaced.min(cell(&rows, i, j + 1) + 1).min(cell(&rows, i + 1, j) + 1);
            if let (Some(before_i), Some(before_j)) = (i.checked_sub(1), j.checked_sub(1))
                && left.get(before_i) == Some(b)
                && right.get(before_j) == Some(a)
            {
                best = best.min(cell(&rows, before_i, before_j) + 1);
            }
            if let Some(row) = rows.last_mut() {
                row.push(best);
            }
        }
    }
    cell(&rows, left.len(), right.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_lines() {
        let text = "a\n'é😀' + b";
        assert_eq!(Position::of(text, 0), Position { line: 1, column: 1 });
        assert_eq!(Position::of(text, text.len() - 1), Position { line: 2, column: 8 });
        assert_eq!(Position::of(text, text.len()), Position { line: 2, column: 9 });
        assert_eq!(Position::of(text, 9_999), Position { line: 2, column: 9 });
    }

    #[test]
    fn slips_of_the_pen_are_found() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(nearest("departmnet", ["department", "email"]), Some("department"));
        assert_eq!(distance("emial", "email"), 1);
        assert_eq!(nearest("zzz", ["department", "email"]), None);
    }
}
