//! Texts in quotes, as Go writes them into its messages.

use regex::Regex;
use std::sync::LazyLock;

/// What `strconv.IsPrint` takes: letters, marks, numbers, punctuation, symbols, and of all spaces the plain one.
static PRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[ \pL\pM\pN\pP\pS]$").ok());

/// As the verb `%q` and `strconv.Quote` write it.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\x07' => quoted.push_str(r"\a"),
            '\x08' => quoted.push_str(r"\b"),
            '\x0c' => quoted.push_str(r"\f"),
            '\n' => quoted.push_str(r"\n"),
            '\r' => quoted.push_str(r"\r"),
            '\t' => quoted.push_str(r"\t"),
            '\x0b' => quoted.push_str(r"\v"),
            _ if is_printable(letter) => quoted.push(letter),
            _ => {
                let number = u32::from(letter);
                quoted.push_str(&match number {
                    0..=0x1f | 0x7f => format!(r"\x{number:02x}"),
                    0..=0xffff => format!(r"\u{number:04x}"),
                    _ => format!(r"\U{number:08x}"),
                });
            }
        }
    }
    quoted.push('"');
    quoted
}

/// As the package `time` writes what it cannot read: its own rules, by bytes.
pub fn quoted_by_time(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            ' '..='\x7f' => quoted.push(letter),
            _ => {
                let mut buffer = [0; 4];
                for byte in letter.encode_utf8(&mut buffer).bytes() {
                    quoted.push_str(&format!(r"\x{byte:02x}"));
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

fn is_printable(letter: char) -> bool {
    if letter.is_ascii() {
        return letter == ' ' || letter.is_ascii_graphic();
    }
    let mut buffer = [0; 4];
    PRINTABLE.as_ref().is_some_and(|class| class.is_match(letter.encode_utf8(&mut buffer)))
}

#[cfg(test)]
mod tests {
    use super::{quoted, quoted_by_time};

    /// What Go 1.24 prints.
    #[test]
    fn texts_are_quoted_as_in_go() {
        for (text, expected) in [
            ("", r#""""#),
            ("plain ~", r#""plain ~""#),
            ("a\x0cb", r#""a\fb""#),
            ("a\u{a0}b", r#""a\u00a0b""#),
            ("a\0b", r#""a\x00b""#),
            ("a\x7fb", r#""a\x7fb""#),
            ("\u{200b}", r#""\u200b""#),
            ("\u{2028}", r#""\u2028""#),
            ("\u{85}", r#""\u0085""#),
            ("\u{e000}", r#""\ue000""#),
            ("\u{feff}", r#""\ufeff""#),
            ("\u{e0001}", r#""\U000e0001""#),
            ("é 😀", "\"é 😀\""),
            ("\"\\'", r#""\"\\'""#),
            ("a\x07\x08\x0b\r\n\t", r#""a\a\b\v\r\n\t""#),
        ] {
            assert_eq!(quoted(text), expected, "{text:?}");
        }
    }

    #[test]
    fn times_are_quoted_as_in_go() {
        assert_eq!(quoted_by_time("1dé\n\"\\\x7f"), "\"1d\\xc3\\xa9\\x0a\\\"\\\\\x7f\"");
    }
}
