//! A reader of JSON text (RFC 8259) that pulls one token at a time and knows where it is. It knows no descriptors.
//! Strings without escapes are borrowed; numbers are handed out as text.

use std::borrow::Cow;

use super::{Error, Reason, number, quote};

/// A refusal on its way up: the place in the text, and the path, innermost segment first.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) path: Vec<String>,
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Boxed, so that the good case stays small.
pub(super) type Result<T> = std::result::Result<T, Box<Fault>>;

pub(super) fn fault<T>(at: usize, reason: Reason, message: impl Into<String>) -> Result<T> {
    Err(Box::new(Fault { at, path: Vec::new(), reason, message: message.into() }))
}

/// Adds the field that a refusal came from, in the spelling of the text.
pub(super) fn under<T>(result: Result<T>, segment: impl FnOnce() -> String) -> Result<T> {
    result.map_err(|mut fault| {
        fault.path.push(segment());
        fault
    })
}

/// A map key as a path segment: plain when it is a word, else in back-ticks (AIP-161).
pub(super) fn key_segment(key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if plain { quote(key) } else { format!("`{}`", quote(key)) }
}

impl Fault {
    /// With line and column counted in the text it came from.
    pub(super) fn into_error(self, text: &[u8]) -> Error {
        let before = text.get(..self.at.min(text.len())).unwrap_or_default();
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        // Characters, not bytes: continuation bytes do not count.
        let column = 1 + before.iter().skip(line_start).filter(|&&b| b & 0xc0 != 0x80).count();
        Error { path: join(&self.path), line, column, reason: self.reason, message: self.message }
    }
}

fn join(innermost_first: &[String]) -> String {
    let mut path = String::new();
    for segment in innermost_first.iter().rev() {
        if !path.is_empty() && !segment.starts_with('[') {
            path.push('.');
        }
        path.push_str(segment);
    }
    path
}

/// What the next value is, by its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Object,
    Array,
    Text,
    Number,
    True,
    False,
    Null,
}

impl Next {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "a list",
            Self::Text => "a string",
            Self::Number => "a number",
            Self::True | Self::False => "a boolean",
            Self::Null => "null",
        }
    }
}

pub(super) struct Text<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    max_depth: usize,
}

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str, max_depth: usize) -> Self {
        Self { text, at: 0, depth: 0, max_depth }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Where the next token starts.
    #[inline]
    pub(super) fn place(&mut self) -> usize {
        self.space();
        self.at
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.space();
        self.at >= self.text.len()
    }

    /// Back to a place that was handed out before, at the same depth.
    pub(super) fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    fn unexpected<T>(&self, wanted: &str) -> Result<T> {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => fault(self.at, Reason::Syntax, format!("the text ends where {wanted} should be")),
            Some(c) => fault(self.at, Reason::Syntax, format!("expected {wanted}, found {c:?}")),
        }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<Next> {
        self.space();
        Ok(match self.byte() {
            Some(b'{') => Next::Object,
            Some(b'[') => Next::Array,
            Some(b'"') => Next::Text,
            Some(b'-' | b'0'..=b'9') => Next::Number,
            Some(b't') => Next::True,
            Some(b'f') => Next::False,
            Some(b'n') => Next::Null,
            _ => return self.unexpected("a value"),
        })
    }

    /// `true`, `false` or `null`, whose first letter has been seen.
    pub(super) fn word(&mut self, word: &'static str) -> Result<()> {
        self.space();
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let ends = |b: Option<&u8>| !b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if rest.starts_with(word.as_bytes()) && ends(rest.get(word.len())) {
            self.at += word.len();
            return Ok(());
        }
        fault(self.at, Reason::Syntax, "expected a value, found a word that is not true, false or null")
    }

    fn open(&mut self, bracket: u8, name: &str) -> Result<()> {
        self.space();
        if self.byte() != Some(bracket) {
            return self.unexpected(name);
        }
        self.depth += 1;
        if self.depth > self.max_depth {
            let message = format!("nested more than {} levels deep", self.max_depth);
            return fault(self.at, Reason::TooDeep, message);
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn open_object(&mut self) -> Result<()> {
        self.open(b'{', "an object")
    }

    pub(super) fn open_array(&mut self) -> Result<()> {
        self.open(b'[', "a list")
    }

    /// After an opening bracket or a member: moves to the next one, or past the closing bracket (false).
    #[inline]
    fn more(&mut self, close: u8, first: &mut bool, wanted: &str) -> Result<bool> {
        self.space();
        match self.byte() {
            Some(b) if b == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(b',') if !*first => {
                self.at += 1;
                self.space();
                if self.byte() == Some(close) {
                    return self.unexpected("a value after the comma");
                }
                Ok(true)
            }
            Some(_) if *first => {
                *first = false;
                Ok(true)
            }
            _ => self.unexpected(wanted),
        }
    }

    /// The place and text of the next key, past its colon; nothing when the object is closed.
    #[inline]
    pub(super) fn next_key(&mut self, first: &mut bool) -> Result<Option<(usize, Cow<'a, str>)>> {
        if !self.more(b'}', first, "a comma or a closing brace")? {
            return Ok(None);
        }
        let at = self.place();
        if self.byte() != Some(b'"') {
            return self.unexpected("a key in double quotes");
        }
        let key = self.string()?;
        self.space();
        if self.byte() != Some(b':') {
            return self.unexpected("a colon");
        }
        self.at += 1;
        Ok(Some((at, key)))
    }

    pub(super) fn next_element(&mut self, first: &mut bool) -> Result<bool> {
        self.more(b']', first, "a comma or a closing bracket")
    }

    /// The text of a number; it is one by JSON's grammar.
    pub(super) fn number(&mut self) -> Result<&'a str> {
        self.space();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(length) = number::length(rest.as_bytes()) else {
            return fault(self.at, Reason::Syntax, "this is not a number of JSON");
        };
        let after = rest.as_bytes().get(length);
        if after.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'_')) {
            return fault(self.at, Reason::Syntax, "this is not a number of JSON");
        }
        self.at += length;
        Ok(rest.get(..length).unwrap_or_default())
    }

    /// A string, without its quotes and escapes.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>> {
        self.space();
        let start = self.at + 1;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let stop = rest.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20);
        match stop.and_then(|stop| rest.get(stop).map(|&byte| (stop, byte))) {
            Some((stop, b'"')) => {
                self.at = start + stop + 1;
                Ok(Cow::Borrowed(self.text.get(start..start + stop).unwrap_or_default()))
            }
            _ => self.string_with_escapes(start).map(Cow::Owned),
        }
    }

    fn string_with_escapes(&mut self, start: usize) -> Result<String> {
        let quote_at = start - 1;
        let mut out = String::new();
        let mut at = start;
        loop {
            let rest = self.text.as_bytes().get(at..).unwrap_or_default();
            let Some(stop) = rest.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20) else {
                return fault(quote_at, Reason::Syntax, "the string does not end");
            };
            out.push_str(self.text.get(at..at + stop).unwrap_or_default());
            at += stop;
            match self.text.as_bytes().get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    let (c, length) = self.escape(at)?;
                    out.push(c);
                    at += length;
                }
                _ => return fault(at, Reason::Syntax, "a control character in a string must be escaped"),
            }
        }
    }

    /// The character of the escape whose backslash is at `at`, and how many bytes the escape takes.
    fn escape(&self, at: usize) -> Result<(char, usize)> {
        let plain = match self.text.as_bytes().get(at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(at),
            _ => return fault(at, Reason::Syntax, "this escape is not one of JSON"),
        };
        Ok((plain, 2))
    }

    fn unicode_escape(&self, at: usize) -> Result<(char, usize)> {
        let high = self.hex(at + 2)?;
        if !(0xd800..0xe000).contains(&high) {
            return match char::from_u32(high) {
                Some(c) => Ok((c, 6)),
                None => fault(at, Reason::NotUtf8, "this escape is not a character"),
            };
        }
        let pair = self.text.as_bytes().get(at + 6..at + 8) == Some(b"\\u");
        if high < 0xdc00 && pair {
            let low = self.hex(at + 8)?;
            if (0xdc00..0xe000).contains(&low)
                && let Some(c) = char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
            {
                return Ok((c, 12));
            }
        }
        fault(at, Reason::NotUtf8, "half of a surrogate pair is not a character")
    }

    fn hex(&self, at: usize) -> Result<u32> {
        let digits = self.text.as_bytes().get(at..at + 4).unwrap_or_default();
        let mut value = 0;
        for &digit in digits {
            let Some(digit) = (digit as char).to_digit(16) else {
                return fault(at, Reason::Syntax, "expected four hexadecimal digits after \\u");
            };
            value = value * 16 + digit;
        }
        if digits.len() == 4 {
            Ok(value)
        } else {
            fault(at, Reason::Syntax, "expected four hexadecimal digits after \\u")
        }
    }

    /// Reads over one value of any kind. Recurses as deep as the text is nested, which `open` bounds.
    pub(super) fn skip(&mut self) -> Result<()> {
        match self.next()? {
            Next::Text => self.string().map(drop),
            Next::Number => self.number().map(drop),
            Next::True => self.word("true"),
            Next::False => self.word("false"),
            Next::Null => self.word("null"),
            Next::Object => {
                self.open_object()?;
                let mut first = true;
                while let Some((_, key)) = self.next_key(&mut first)? {
                    under(self.skip(), || key_segment(&key))?;
                }
                Ok(())
            }
            Next::Array => {
                self.open_array()?;
                let (mut first, mut i) = (true, 0usize);
                while self.next_element(&mut first)? {
                    under(self.skip(), || format!("[{i}]"))?;
                    i += 1;
                }
                Ok(())
            }
        }
    }
}
