//! JSON as YAML takes it: with escapes for the characters that only JSON has as they are. Knows where in the file each byte came
//! from, and nothing of what the text says.

use std::borrow::Cow;

/// A text, and how it differs from the one that it was made of.
#[derive(Debug)]
pub(super) struct Escaped<'a> {
    pub(super) text: Cow<'a, str>,
    /// Where each escape ends, and how many bytes longer the text is up to there.
    longer: Vec<(usize, usize)>,
}

impl<'a> Escaped<'a> {
    /// The text as it is.
    pub(super) fn none(text: &'a str) -> Escaped<'a> {
        Escaped { text: Cow::Borrowed(text), longer: Vec::new() }
    }

    /// JSON has these characters in strings only, where an escape says the same.
    pub(super) fn json(text: &'a str) -> Escaped<'a> {
        let mut escaped = Escaped::none(text);
        let (mut out, mut done) = (String::new(), 0);
        for (at, found) in text.match_indices(is_only_in_json) {
            out.push_str(text.get(done..at).unwrap_or_default());
            out.extend(found.chars().map(|c| format!("\\u{:04x}", u32::from(c))));
            done = at + found.len();
            escaped.longer.push((out.len(), out.len() - done));
        }
        if done > 0 {
            out.push_str(text.get(done..).unwrap_or_default());
            escaped.text = Cow::Owned(out);
        }
        escaped
    }

    /// The byte of the text that this was made of.
    pub(super) fn original(&self, at: usize) -> usize {
        let before = self.longer.partition_point(|(end, _)| *end <= at).checked_sub(1);
        at - before.and_then(|last| self.longer.get(last)).map_or(0, |(_, longer)| *longer)
    }
}

/// Whether YAML has no such character but as an escape, and JSON has it as it is. (What JSON has not either is for the reader
/// to refuse.)
fn is_only_in_json(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_again() {
        let text = "{\"a\u{7f}\u{9f}b\": \"\u{ffff}\", \"c\": é}";
        let escaped = Escaped::json(text);
        assert_eq!(escaped.text, "{\"a\\u007f\\u009fb\": \"\\uffff\", \"c\": é}");
        for c in ['a', 'b', ':', ',', 'c', 'é', '}'] {
            assert_eq!(escaped.original(escaped.text.find(c).unwrap()), text.find(c).unwrap(), "{c}");
        }
        assert_eq!(escaped.original(escaped.text.len()), text.len());
        assert_eq!(Escaped::json("{}").original(2), 2);
    }
}
