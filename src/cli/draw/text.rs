//! Texts of policies as they can be drawn: on one line, with nothing hidden in them, and broken into lines that fit.

/// The longest text of one label, in characters.
const LABEL_MAX_CHARS: usize = 300;

/// `text` on one line: spaces for line breaks, visible escapes for whatever else has no shape of its own or turns what stands
/// beside it around, and an ellipsis if it is too long.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(2 * LABEL_MAX_CHARS));
    let mut before = ' ';
    for (n, c) in text.chars().enumerate() {
        if n == LABEL_MAX_CHARS {
            out.push('…');
            break;
        }
        match c {
            _ if c.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            // Part of how some scripts and many emoji are written.
            '\u{200c}' | '\u{200d}' if before > '\u{300}' && !is_hidden(before) => out.push(c),
            _ if is_hidden(c) => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
        before = c;
    }
    out.trim().to_owned()
}

/// Whether a character is invisible, directs others, or is none.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
        || (u32::from(c) & 0xfffe) == 0xfffe
}

/// How many columns a character takes at most.
pub(super) fn columns(c: char) -> usize {
    if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{1f000}'..='\u{3ffff}' | '\u{fdfd}' | '\u{12000}'..='\u{1254f}')
    {
        2
    } else {
        1
    }
}

/// The columns of a whole text.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// `text` in lines of at most `max` columns; the last of at most `lines` lines says with an ellipsis that there is more. Broken
/// at spaces, and within a word only if it is longer than a line.
pub(super) fn wrap(text: &str, max: usize, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && width(&line) + 1 + width(word) > max {
            out.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if width(&line) + columns(c) > max {
                out.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() {
        out.push(line);
    }
    if out.len() > lines {
        out.truncate(lines);
        if let Some(last) = out.last_mut() {
            while width(last) + 1 > max {
                last.pop();
            }
            last.push('…');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(clean(" a\n\t b\u{202e}c\u{0}\u{feff} "), "a b\\u{202e}c\\u{0}\\u{feff}");
        assert_eq!(clean("שלום <b>"), "שלום <b>");
        assert_eq!(clean("🧑\u{200d}🧑 a\u{200d}b"), "🧑\u{200d}🧑 a\\u{200d}b");
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), LABEL_MAX_CHARS + 1);
    }

    #[test]
    fn lines_are_no_longer_than_they_may_be() {
        assert_eq!(wrap("one two three", 7, 9), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3, 9), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("one two three", 5, 2), ["one", "two…"]);
        assert_eq!(wrap("漢字漢字", 4, 9), ["漢字", "漢字"]);
        assert!(wrap("", 5, 2).is_empty());
    }
}
