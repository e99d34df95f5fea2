//! Cuts the text of an expression into tokens, exactly as the lexer of antonmedv/expr v1.15.3 does, and holds it to the
//! limits of `super::super::limits` before anything recurses over it.
//! Knows no grammar: which tokens may follow each other is for `parse`.

use super::quote::quoted;
use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use crate::expr::diagnostic::{Code, Diagnostic, Span};
use crate::expr::limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Identifier,
    Number,
    String,
    Operator,
    Bracket,
    End,
}

#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub kind: Kind,
    /// The text; of a string literal, what it means.
    pub text: Cow<'t, str>,
    pub span: Span,
}

impl Token<'_> {
    pub fn is(&self, kind: Kind, text: &str) -> bool {
        self.kind == kind && self.text == text
    }

    /// As the library writes a token in its messages.
    pub fn described(&self) -> String {
        let kind = match self.kind {
            Kind::Identifier => "Identifier",
            Kind::Number => "Number",
            Kind::String => "String",
            Kind::Operator => "Operator",
            Kind::Bracket => "Bracket",
            Kind::End => "EOF",
        };
        if self.text.is_empty() { kind.to_owned() } else { format!("{kind}({})", quoted(&self.text)) }
    }
}

/// Letters are those of Unicode's category L, which is less than what Rust calls alphabetic.
fn is_in(class: &LazyLock<Option<Regex>>, letter: char) -> bool {
    let mut buffer = [0; 4];
    class.as_ref().is_some_and(|class| class.is_match(letter.encode_utf8(&mut buffer)))
}

fn is_alphabetic(letter: char) -> bool {
    static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{L}$").ok());
    match letter {
        '_' | '$' => true,
        _ if letter.is_ascii() => letter.is_ascii_alphabetic(),
        _ => is_in(&LETTER, letter),
    }
}

fn is_alphanumeric(letter: char) -> bool {
    static DIGIT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{Nd}$").ok());
    is_alphabetic(letter) || if letter.is_ascii() { letter.is_ascii_digit() } else { is_in(&DIGIT, letter) }
}

/// Whether an operator can be the name of a property, as `not` and `matches` can.
pub(super) fn is_word(text: &str) -> bool {
    text.chars().next().is_some_and(is_alphabetic) && text.chars().all(is_alphanumeric)
}

/// The tokens of a text that is within the limits; the last is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Vec<Diagnostic>> {
    limits::length(text).map_err(|fault| vec![fault])?;
    let mut lexer = Lexer { text, at: 0, tokens: Vec::with_capacity(text.len() / 3) };
    lexer.run().map_err(|fault| vec![fault])?;
    let faults = limits::measure(text, &mut lexer.tokens.iter().map(measured).collect::<Vec<_>>());
    if !faults.is_empty() {
        return Err(faults);
    }
    let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
    lexer.tokens.push(Token {
        kind: Kind::End,
        text: Cow::Borrowed(""),
        span: Span { start: last, end: text.len() },
    });
    Ok(lexer.tokens)
}

/// What a token is to the limits.
fn measured(token: &Token<'_>) -> limits::Token {
    let kind = match (token.kind, token.text.as_ref()) {
        (Kind::Bracket, "(" | "[" | "{") => limits::Kind::Open,
        (Kind::Bracket, _) => limits::Kind::Close,
        (Kind::Operator, ",") => limits::Kind::Comma,
        (Kind::Operator, "." | "?.") => limits::Kind::Dot,
        (Kind::Operator, "#") => limits::Kind::Operand,
        (Kind::Operator, _) => limits::Kind::Operator,
        _ => limits::Kind::Operand,
    };
    limits::Token { kind, span: token.span, closed_at: None }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn accept(&mut self, valid: &str) -> bool {
        let found = self.peek().is_some_and(|next| valid.contains(next));
        if found {
            self.next();
        }
        found
    }

    /// Goes over all that follows and fits.
    fn skip(&mut self, fits: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|next| !fits(next)).unwrap_or(rest.len());
    }

    fn accept_run(&mut self, valid: &str) {
        self.skip(|next| valid.contains(next));
    }

    fn word(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or("")
    }

    fn emit(&mut self, kind: Kind, start: usize) {
        let text = Cow::Borrowed(self.word(start));
        self.tokens.push(Token { kind, text, span: Span { start, end: self.at } });
    }

    /// A fault at the place that has been reached.
    fn fault(&self, message: String) -> Diagnostic {
        Diagnostic::new(self.text, Code::Syntax, Span { start: self.at, end: self.at }, message)
    }

    fn run(&mut self) -> Result<(), Diagnostic> {
        loop {
            let start = self.at;
            let Some(next) = self.next() else { return Ok(()) };
            match next {
                _ if next.is_whitespace() => {}
                '\'' | '"' => self.string(start, next)?,
                '0'..='9' => self.number(start)?,
                '?' => {
                    self.accept(".?");
                    self.emit(Kind::Operator, start);
                }
                '/' => self.slash(start)?,
                '#' => self.pointer(start),
                '|' => {
                    self.accept("|");
                    self.emit(Kind::Operator, start);
                }
                '(' | '[' | '{' | ')' | ']' | '}' => self.emit(Kind::Bracket, start),
                ',' | ':' | ';' | '%' | '+' | '-' | '^' => self.emit(Kind::Operator, start),
                '&' | '!' | '=' | '*' | '<' | '>' => {
                    self.accept("&=*");
                    self.emit(Kind::Operator, start);
                }
                '.' if self.peek().is_some_and(|digit| digit.is_ascii_digit()) => self.number(start)?,
                '.' => {
                    self.accept(".");
                    self.emit(Kind::Operator, start);
                }
                _ if is_alphanumeric(next) => self.word_token(start),
                _ => {
                    let shown = if next.is_control() { String::new() } else { format!(" '{next}'") };
                    let message = format!("unrecognized character: U+{:04X}{shown}", u32::from(next));
                    return Err(self.fault(message));
                }
            }
        }
    }

    fn word_token(&mut self, start: usize) {
        self.skip(is_alphanumeric);
        let kind = match self.word(start) {
            "not" | "in" | "or" | "and" | "matches" | "contains" | "startsWith" | "endsWith" | "let" => {
                Kind::Operator
            }
            _ => Kind::Identifier,
        };
        self.emit(kind, start);
    }

    /// `#`, and the name that follows it without a blank.
    fn pointer(&mut self, start: usize) {
        self.accept("#");
        self.emit(Kind::Operator, start);
        let start = self.at;
        self.skip(is_alphanumeric);
        if self.at > start {
            self.emit(Kind::Identifier, start);
        }
    }

    fn slash(&mut self, start: usize) -> Result<(), Diagnostic> {
        if self.accept("/") {
            while self.next().is_some_and(|next| next != '\n') {}
        } else if self.accept("*") {
            let rest = self.rest();
            let Some(end) = rest.find("*/") else {
                self.at = self.text.len();
                return Err(self.fault("unclosed comment".to_owned()));
            };
            self.at += end + 2;
        } else {
            self.emit(Kind::Operator, start);
        }
        Ok(())
    }

    /// A number whose first character, a digit or a dot, has been read.
    fn number(&mut self, start: usize) -> Result<(), Diagnostic> {
        let dotted = self.word(start) == ".";
        if !dotted {
            self.at = start;
        }
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        // `1..2` is a range.
        if !self.rest().starts_with("..") {
            if self.accept(".") {
                self.accept_run(digits);
            }
            if self.accept("eE") {
                self.accept("+-");
                self.accept_run(digits);
            }
            if self.peek().is_some_and(is_alphanumeric) {
                self.next();
                let message = format!("bad number syntax: {}", quoted(self.word(start)));
                return Err(self.fault(message));
            }
        }
        self.emit(Kind::Number, start);
        Ok(())
    }

    fn string(&mut self, start: usize, quote: char) -> Result<(), Diagnostic> {
        let plain = |next| next != quote && next != '\\' && next != '\n';
        self.skip(plain);
        let mut next = self.next();
        loop {
            next = match next {
                Some(end) if end == quote => break,
                None | Some('\n') => return Err(self.fault("literal not terminated".to_owned())),
                Some('\\') => self.escape(quote)?,
                Some(_) => {
                    self.skip(plain);
                    self.next()
                }
            };
        }
        let inner = self.text.get(start + 1..self.at - 1).unwrap_or("");
        let text = unescaped(inner).map_err(|message| self.fault(message.to_owned()))?;
        self.tokens.push(Token { kind: Kind::String, text, span: Span { start, end: self.at } });
        Ok(())
    }

    /// Reads an escape and the character after it.
    fn escape(&mut self, quote: char) -> Result<Option<char>, Diagnostic> {
        let (base, count) = match self.next() {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(self.next()),
            Some(same) if same == quote => return Ok(self.next()),
            Some('0'..='7') => (8, 2),
            Some('x') => (16, 2),
            Some('u') => (16, 4),
            Some('U') => (16, 8),
            _ => return Err(self.fault("invalid char escape".to_owned())),
        };
        for _ in 0..count {
            if !self.next().is_some_and(|digit| digit.is_digit(base)) {
                return Err(self.fault("invalid char escape".to_owned()));
            }
        }
        Ok(self.next())
    }
}

/// What the inside of a string literal means. Every escape in it is one that `Lexer::escape` lets through.
fn unescaped(inner: &str) -> Result<Cow<'_, str>, &'static str> {
    if !inner.contains(['\\', '\r']) {
        return Ok(Cow::Borrowed(inner));
    }
    let inner = inner.replace("\r\n", "\n").replace('\r', "\n");
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(next) = rest.next() {
        if next != '\\' {
            text.push(next);
            continue;
        }
        let Some(kind) = rest.next() else { return Err("unable to unescape string") };
        let (base, count, first) = match kind {
            'a' => (0, 0, 7),
            'b' => (0, 0, 8),
            'f' => (0, 0, 12),
            'n' => (0, 0, 10),
            'r' => (0, 0, 13),
            't' => (0, 0, 9),
            'v' => (0, 0, 11),
            'x' => (16, 2, 0),
            'u' => (16, 4, 0),
            'U' => (16, 8, 0),
            '0'..='3' => (8, 2, u32::from(kind) - u32::from('0')),
            '4'..='7' => return Err("unable to unescape string"),
            same => (0, 0, u32::from(same)),
        };
        let mut value = first;
        for _ in 0..count {
            let digit = rest.next().and_then(|digit| digit.to_digit(base));
            value = value.wrapping_mul(base) | digit.ok_or("unable to unescape string")?;
        }
        if value > u32::from(char::MAX) {
            return Err("unable to unescape string");
        }
        // Half of a surrogate pair is no character; Go writes the replacement character for it.
        text.push(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    Ok(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        tokens(text).unwrap().into_iter().map(|token| token.text.into_owned()).collect()
    }

    #[test]
    fn tokens_are_cut_as_go_cuts_them() {
        assert_eq!(texts("a?.b ?? .5"), ["a", "?.", "b", "??", ".5", ""]);
        assert_eq!(texts("1..2"), ["1", "..", "2", ""]);
        assert_eq!(texts("#acc + # // x"), ["#", "acc", "+", "#", ""]);
        assert_eq!(texts("$a.b_1 not in c/*no*/"), ["$a", ".", "b_1", "not", "in", "c", ""]);
        assert_eq!(texts(r"'\x41\u00e9\101\''"), ["AéA'", ""]);
    }
}
