//! Regular expressions as Go's `regexp` reads them, run by the `regex` crate, which is of the same family: time linear in the
//! text, no back references. The syntax differs in places (`\d` is ASCII in Go, `\<` is a plain `<`, classes do not nest), so
//! that a pattern is rewritten piece by piece, and what Go refuses is refused.

use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled program of one pattern.
const PROGRAM_MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting of groups.
const GROUPS_MAX_LEVELS: u32 = 64;
/// Most repetitions that a pattern may ask for, as in Go.
const REPEAT_MAX: u32 = 1000;

/// A regular expression of Go's, compiled.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// The message of Go, or one of ours where the pattern is too large for us.
    pub fn new(text: &str) -> Result<Self, String> {
        let rewritten =
            Rewriter { text, at: 0, output: String::with_capacity(text.len() * 2), groups: 0 }.run()?;
        RegexBuilder::new(&rewritten)
            .size_limit(PROGRAM_MAX_BYTES)
            .dfa_size_limit(PROGRAM_MAX_BYTES)
            .nest_limit(GROUPS_MAX_LEVELS)
            .build()
            .map(Self)
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => parsing("expression too large", text),
                _ => parsing("invalid or unsupported pattern", text),
            })
    }

    /// Whether it is found anywhere in a text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }
}

fn parsing(what: &str, piece: &str) -> String {
    format!("error parsing regexp: {what}: `{piece}`")
}

struct Rewriter<'t> {
    text: &'t str,
    at: usize,
    output: String,
    groups: usize,
}

type Rewritten<T = ()> = Result<T, String>;

/// What a backslash and a letter stand for, outside and inside of brackets.
fn perl_class(letter: char) -> Option<(&'static str, &'static str)> {
    Some(match letter {
        'd' => ("[0-9]", "0-9"),
        'D' => ("[^0-9]", "[^0-9]"),
        's' => (r"[\t\n\f\r ]", r"\t\n\f\r\x20"),
        'S' => (r"[^\t\n\f\r ]", r"[^\t\n\f\r\x20]"),
        'w' => ("[0-9A-Za-z_]", "0-9A-Za-z_"),
        'W' => ("[^0-9A-Za-z_]", "[^0-9A-Za-z_]"),
        _ => return None,
    })
}

impl<'t> Rewriter<'t> {
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

    fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or("")
    }

    fn literal(&mut self, letter: char) {
        if letter.is_alphanumeric() || !letter.is_ascii() {
            self.output.push(letter);
        } else {
            self.output.push_str(&format!(r"\x{{{:x}}}", u32::from(letter)));
        }
    }

    fn run(mut self) -> Rewritten<String> {
        // Whether there is something that can be repeated, and whether it has been repeated already.
        let (mut repeatable, mut repeated) = (false, None::<usize>);
        while let Some(next) = self.peek() {
            let start = self.at;
            match next {
                '(' => {
                    let opened = self.group()?;
                    repeatable = !opened && repeatable;
                    repeated = None;
                    continue;
                }
                ')' => {
                    self.at += 1;
                    if self.groups == 0 {
                        return Err(parsing("unexpected )", self.text));
                    }
                    self.groups -= 1;
                    self.output.push(')');
                }
                '|' => {
                    self.at += 1;
                    self.output.push('|');
                    (repeatable, repeated) = (false, None);
                    continue;
                }
                '*' | '+' | '?' | '{' => {
                    if let Some(operator) = self.repetition()? {
                        if !repeatable {
                            return Err(parsing("missing argument to repetition operator", operator));
                        }
                        if let Some(before) = repeated {
                            return Err(parsing("invalid nested repetition operator", self.since(before)));
                        }
                        self.output.push_str(operator);
                        repeated = Some(start);
                        continue;
                    }
                    self.at += 1;
                    self.literal('{');
                }
                '[' => self.class()?,
                '\\' => {
                    if !self.escape()? {
                        continue;
                    }
                }
                '.' | '^' | '$' => {
                    self.at += 1;
                    self.output.push(next);
                }
                _ => {
                    self.next();
                    self.literal(next);
                }
            }
            (repeatable, repeated) = (true, None);
        }
        if self.groups > 0 {
            return Err(parsing("missing closing )", self.text));
        }
        Ok(self.output)
    }

    /// Whether a group was opened; flags alone, `(?i)`, open none.
    fn group(&mut self) -> Rewritten<bool> {
        let start = self.at;
        self.at += 1;
        if !self.rest().starts_with('?') {
            self.groups += 1;
            self.output.push('(');
            return Ok(true);
        }
        let rest = self.rest();
        if rest.starts_with("?P<") || rest.starts_with("?<") {
            let head = rest.find('>').and_then(|end| rest.get(..=end));
            let name = head.and_then(|head| head.split(['<', '>']).nth(1)).unwrap_or("");
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err(parsing("invalid named capture", self.text.get(start..).unwrap_or("")));
            }
            self.at += head.map_or(0, str::len);
            self.groups += 1;
            // Names are of no use to a match, and ours must not start with a digit.
            self.output.push('(');
            return Ok(true);
        }
        let length = rest.find([':', ')']).ok_or_else(|| parsing("missing closing )", self.text))?;
        let flags = rest.get(1..length).unwrap_or("");
        self.at += length + 1;
        let well_formed = flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 's' | 'U' | '-'))
            && flags.matches('-').count() <= 1
            && !flags.ends_with('-');
        let opens = rest.get(length..).is_some_and(|rest| rest.starts_with(':'));
        if !well_formed || (flags.is_empty() && !opens) {
            // Up to the first letter that is wrong.
            let good = flags.chars().take_while(|flag| matches!(flag, 'i' | 'm' | 's' | 'U' | '-')).count();
            let piece: String = self.since(start).chars().take(good + 3).collect();
            return Err(parsing("invalid or unsupported Perl syntax", &piece));
        }
        self.groups += usize::from(opens);
        self.output.push_str(self.since(start));
        Ok(opens)
    }

    /// The repetition operator at hand, with the `?` that makes it lazy; `None` for a brace that is just a brace.
    fn repetition(&mut self) -> Rewritten<Option<&'t str>> {
        let start = self.at;
        if self.peek() == Some('{') {
            let rest = self.rest();
            let Some(inner) = rest.find('}').and_then(|end| rest.get(1..end)) else { return Ok(None) };
            let (least, most) = inner.split_once(',').map_or((inner, Some(inner)), |(least, most)| {
                (least, Some(most).filter(|most| !most.is_empty()))
            });
            let is_number = |text: &str| {
                !text.is_empty()
                    && text.bytes().all(|byte| byte.is_ascii_digit())
                    && (text == "0" || !text.starts_with('0'))
            };
            if !is_number(least) || !most.is_none_or(is_number) {
                return Ok(None);
            }
            self.at += inner.len() + 2;
            let number = |text: &str| text.parse().unwrap_or(u32::MAX);
            let (least, most) = (number(least), most.map_or_else(|| number(least), number));
            if least > REPEAT_MAX || most > REPEAT_MAX || least > most {
                return Err(parsing("invalid repeat count", self.since(start)));
            }
        } else {
            self.at += 1;
        }
        if self.peek() == Some('?') {
            self.at += 1;
        }
        Ok(Some(self.since(start)))
    }

    /// Whether it stands for anything: a quotation of nothing does not.
    fn escape(&mut self) -> Rewritten<bool> {
        let start = self.at;
        self.at += 1;
        let Some(letter) = self.next() else {
            return Err("error parsing regexp: trailing backslash at end of expression: ``".to_owned());
        };
        match letter {
            'A' => self.output.push_str(r"\A"),
            'z' => self.output.push_str(r"\z"),
            'b' => self.output.push_str(r"(?-u:\b)"),
            'B' => self.output.push_str(r"(?-u:\B)"),
            'Q' => {
                let rest = self.rest();
                let quoted = rest.find(r"\E").and_then(|end| rest.get(..end)).unwrap_or(rest);
                self.at += quoted.len() + if quoted.len() < rest.len() { 2 } else { 0 };
                // Without a group around it: what repeats is the last letter.
                for letter in quoted.chars() {
                    self.literal(letter);
                }
                return Ok(!quoted.is_empty());
            }
            'p' | 'P' => {
                let class = self.unicode_class(start, letter)?;
                self.output.push_str(&class);
            }
            _ => match perl_class(letter) {
                Some((outside, _)) => self.output.push_str(outside),
                None => {
                    let letter = self.escaped(start, letter)?;
                    self.literal(letter);
                }
            },
        }
        Ok(true)
    }

    /// The character that an escape stands for.
    fn escaped(&mut self, start: usize, letter: char) -> Rewritten<char> {
        let value = match letter {
            'a' => 7,
            'f' => 12,
            't' => 9,
            'n' => 10,
            'r' => 13,
            'v' => 11,
            'x' => self.hex().unwrap_or(u32::MAX),
            '1'..='7' if !self.peek().is_some_and(|next| matches!(next, '0'..='7')) => u32::MAX,
            '0'..='7' => {
                let mut value = letter.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else { break };
                    self.at += 1;
                    value = value * 8 + digit;
                }
                value
            }
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => u32::from(letter),
            _ => u32::MAX,
        };
        char::from_u32(value).ok_or_else(|| parsing("invalid escape sequence", self.since(start)))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = if self.peek() == Some('{') {
            self.at += 1;
            let rest = self.rest();
            let digits = rest.get(..rest.find('}')?)?;
            self.at += digits.len() + 1;
            digits
        } else {
            let digits = self.rest().get(..2)?;
            self.at += 2;
            digits
        };
        u32::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }

    fn unicode_class(&mut self, start: usize, letter: char) -> Rewritten<String> {
        let mut negated = letter == 'P';
        let name = if self.peek() == Some('{') {
            let rest = self.rest();
            let Some(name) = rest.find('}').and_then(|end| rest.get(1..end)) else {
                return Err(parsing("invalid character class range", self.text.get(start..).unwrap_or("")));
            };
            self.at += name.len() + 2;
            name.strip_prefix('^').map_or(name, |name| {
                negated = !negated;
                name
            })
        } else {
            let from = self.at;
            self.next();
            self.since(from)
        };
        let is_name = !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        if !is_name {
            return Err(parsing("invalid character class range", self.since(start)));
        }
        if name == "Any" {
            return Ok(if negated { r"[^\s\S]" } else { r"[\s\S]" }.to_owned());
        }
        // Go knows general categories by one or two letters, and scripts by their names.
        let property = if name.len() <= 2 { "gc" } else { "sc" };
        let class = format!(r"\{}{{{property}={name}}}", if negated { 'P' } else { 'p' });
        if Regex::new(&class).is_err() {
            return Err(parsing("invalid character class range", self.since(start)));
        }
        Ok(class)
    }

    fn class(&mut self) -> Rewritten {
        let start = self.at;
        self.at += 1;
        self.output.push('[');
        if self.peek() == Some('^') {
            self.at += 1;
            self.output.push('^');
        }
        let mut first = true;
        loop {
            let Some(next) = self.peek() else {
                return Err(parsing("missing closing ]", self.text.get(start..).unwrap_or("")));
            };
            if next == ']' && !first {
                self.at += 1;
                self.output.push(']');
                return Ok(());
            }
            first = false;
            self.class_item()?;
        }
    }

    fn class_item(&mut self) -> Rewritten {
        let start = self.at;
        let rest = self.rest();
        if rest.starts_with("[:")
            && let Some(name) = rest.find(":]").and_then(|end| rest.get(..end + 2))
        {
            self.at += name.len();
            let known =
                ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct"];
            let more = ["space", "upper", "word", "xdigit"];
            let inner = name.trim_matches(['[', ':', ']']).trim_start_matches('^');
            if !known.contains(&inner) && !more.contains(&inner) {
                return Err(parsing("invalid character class range", name));
            }
            self.output.push_str(name);
            return Ok(());
        }
        if rest.starts_with(r"\p") || rest.starts_with(r"\P") {
            self.at += 1;
            let letter = self.next().unwrap_or('p');
            let class = self.unicode_class(start, letter)?;
            self.output.push_str(&class);
            return Ok(());
        }
        if let Some((_, inside)) = rest.strip_prefix('\\').and_then(|rest| perl_class(rest.chars().next()?)) {
            self.at += 2;
            self.output.push_str(inside);
            return Ok(());
        }
        let low = self.class_letter()?;
        if !self.rest().starts_with('-') || self.rest().starts_with("-]") {
            self.literal(low);
            return Ok(());
        }
        self.at += 1;
        let high = self.class_letter()?;
        if high < low {
            return Err(parsing("invalid character class range", self.since(start)));
        }
        self.literal(low);
        self.output.push('-');
        self.literal(high);
        Ok(())
    }

    fn class_letter(&mut self) -> Rewritten<char> {
        let start = self.at;
        match self.next() {
            Some('\\') => match self.next() {
                Some(letter) => self.escaped(start, letter),
                None => Err("error parsing regexp: trailing backslash at end of expression: ``".to_owned()),
            },
            Some(letter) => Ok(letter),
            None => Err(parsing("missing closing ]", self.text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, expected) in [
            (r"^\d+$", "١٢", false),
            (r"^\w+$", "né", false),
            (r"\bnew\b", "énewé", true),
            (r"a\<b", "a<b", true),
            (r"[[a]", "[", true),
            (r"^[a&&b]+$", "&", true),
            (r"[^\d]", "7", false),
            (r"a{,2}", "a{,2}", true),
            (r"\Qa.b\E+", "a.bb", true),
            (r"^\Qab\E+$", "abb", true),
            (r"^\Qab\E+$", "abab", false),
            (r"^a\Q\E*$", "aa", true),
            (r"^\Qa\$", r"a\$", true),
            (r"(?i)straße", "STRASSE", false),
            (r"(?i)Köln", "KÖLN", true),
            (r"\101", "A", true),
            (r"\pL{2}", "éé", true),
            (r"^[\s\S]*$", "a\nb", true),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
        }
        for pattern in [
            "a**",
            "(",
            ")",
            "[b-a]",
            "*a",
            r"\1",
            r"\q",
            r"\E",
            r"\Q\E*",
            "a{1001}",
            "(?x)a",
            "[a",
            r"(?=a)",
            "(a{1000}){1000}",
            "x{2}{3}",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
