//! Where in a file something stands: a field path, and a place within an expression.

use granit_parser::ScalarStyle;

use super::source::Source;
use super::tree::{NodeId, Tree, Value};
use crate::expr::Position;

/// A field path, looked up.
#[derive(Debug)]
pub(super) struct Found {
    /// The innermost value of the path that is in the file.
    pub(super) node: NodeId,
    /// Whether that is the whole path.
    pub(super) whole: bool,
    /// The path in the spelling of the file.
    pub(super) path: String,
}

/// Looks up `path`, in the spelling of the service, below `root`.
pub(super) fn find(tree: &Tree, root: NodeId, path: &str) -> Found {
    let mut found = Found { node: root, whole: true, path: String::new() };
    for segment in Segments(path) {
        let next = if found.whole { step(tree, found.node, &segment) } else { None };
        match (next, segment) {
            (Some((node, spelling)), segment) => {
                found.node = node;
                push(&mut found.path, &spelling.map_or(segment, Segment::Name));
            }
            (None, segment) => {
                found.whole = false;
                push(&mut found.path, &segment);
            }
        }
    }
    found
}

/// The path of a value below `root`, in the spelling of the file. For a key, that of its entry.
pub(super) fn path_of(tree: &Tree, root: NodeId, id: NodeId) -> String {
    let mut segments = Vec::new();
    let mut at = id;
    while at != root {
        let Some(node) = tree.node(at) else { break };
        let Some(parent) = node.parent else { break };
        let segment = match node.key {
            Some(key) => Segment::Name(tree.text(key).to_owned()),
            None => match tree.items(parent).iter().position(|item| *item == at) {
                Some(index) => Segment::Index(index),
                None => Segment::Name(tree.text(at).to_owned()),
            },
        };
        segments.push(segment);
        at = parent;
    }
    let mut path = String::new();
    segments.iter().rev().for_each(|segment| push(&mut path, segment));
    path
}

/// The byte of the file to point at for a value: a container is where its key is, and so is a value that is not there.
pub(super) fn start_of(tree: &Tree, id: NodeId) -> usize {
    let Some(node) = tree.node(id) else { return 0 };
    let is_container = matches!(node.value, Value::List(_) | Value::Map(_));
    let key = node.key.filter(|_| is_container || node.start == node.end);
    key.and_then(|key| tree.node(key)).map_or(node.start, |key| key.start)
}

/// The byte of the file where `place` of the text at `id` stands, if the text stands there in a way that can be followed.
pub(super) fn offset_within(source: &Source, tree: &Tree, id: NodeId, place: Position) -> Option<usize> {
    let node = tree.node(id)?;
    let Value::Text(text, style) = &node.value else { return None };
    let raw = source.text.get(node.start..node.end)?;
    let visible = |c: &char| !c.is_whitespace();
    let count = before(text, place).chars().filter(visible).count();
    // Breaking, folding and indenting lines moves white space only, so what is visible matches one to one.
    let pieces = pieces(raw, *style)?;
    let mut matched = pieces.iter().filter(|piece| visible(&piece.character));
    if !text.chars().filter(visible).eq(matched.clone().map(|piece| piece.character)) {
        return None;
    }
    let at = match matched.nth(count) {
        Some(piece) => piece.start,
        // After the last character.
        None => pieces.iter().rfind(|piece| visible(&piece.character)).map_or(0, |piece| piece.end),
    };
    Some(node.start + at)
}

/// What of `text` is before `place`.
fn before(text: &str, place: Position) -> &str {
    let line = usize::try_from(place.line).unwrap_or(usize::MAX).saturating_sub(1);
    let column = usize::try_from(place.column).unwrap_or(usize::MAX).saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let far = text.get(start..).unwrap_or_default().chars().take(column).map(char::len_utf8).sum::<usize>();
    text.get(..start + far).unwrap_or(text)
}

/// One character of a scalar and the bytes that stand for it.
#[derive(Debug)]
struct Piece {
    character: char,
    start: usize,
    end: usize,
}

/// The characters that a scalar, quotes and all, stands for.
fn pieces(raw: &str, style: ScalarStyle) -> Option<Vec<Piece>> {
    let quote = match style {
        ScalarStyle::SingleQuoted => Some('\''),
        ScalarStyle::DoubleQuoted => Some('"'),
        _ => None,
    };
    let (open, inner) = match quote {
        Some(quote) => (quote.len_utf8(), raw.strip_prefix(quote)?.strip_suffix(quote)?),
        None => (0, raw),
    };
    let mut pieces = Vec::new();
    let mut rest = inner;
    while let Some(first) = rest.chars().next() {
        let (character, length) = match (style, first) {
            (ScalarStyle::SingleQuoted, '\'') => ('\'', 2),
            (ScalarStyle::DoubleQuoted, '\\') => escape(rest)?,
            _ => (first, first.len_utf8()),
        };
        let start = open + inner.len() - rest.len();
        pieces.push(Piece { character, start, end: start + length });
        rest = rest.get(length..)?;
    }
    Some(pieces)
}

/// The character that the escape at the beginning of `text` stands for, and its length in bytes.
fn escape(text: &str) -> Option<(char, usize)> {
    let kind = text.chars().nth(1)?;
    let hex = |from: usize, digits: usize| u32::from_str_radix(text.get(from..from + digits)?, 16).ok();
    Some(match kind {
        'x' => (char::from_u32(hex(2, 2)?)?, 4),
        'u' => match hex(2, 4)? {
            high @ 0xd800..=0xdbff => {
                let low = hex(8, 4)?.checked_sub(0xdc00)?;
                (char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + low)?, 12)
            }
            code => (char::from_u32(code)?, 6),
        },
        'U' => (char::from_u32(hex(2, 8)?)?, 10),
        // Those that stand for a control character, for white space, or for nothing are passed over like white space.
        '0' | 'a' | 'b' | 'e' => return None,
        't' | 'n' | 'v' | 'f' | 'r' | 'N' | '_' | 'L' | 'P' | ' ' | '\t' | '\n' | '\r' => {
            (' ', 1 + kind.len_utf8())
        }
        other => (other, 1 + other.len_utf8()),
    })
}

fn step(tree: &Tree, node: NodeId, segment: &Segment) -> Option<(NodeId, Option<String>)> {
    match segment {
        Segment::Index(index) => Some((*tree.items(node).get(*index)?, None)),
        Segment::Name(name) => {
            let entries = tree.entries(node);
            let exact = entries.iter().find(|(key, _)| tree.text(*key) == name);
            let entry = exact.or_else(|| entries.iter().find(|(key, _)| camel(tree.text(*key)) == *name));
            entry.map(|(key, value)| (*value, Some(tree.text(*key).to_owned())))
        }
    }
}

/// The JSON name of a field in proto spelling, by the rule of the proto3 mapping.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else {
            out.push(if upper { c.to_ascii_uppercase() } else { c });
            upper = false;
        }
    }
    out
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Name(String),
    Index(usize),
}

fn push(path: &mut String, segment: &Segment) {
    use std::fmt::Write as _;
    let dot = if path.is_empty() { "" } else { "." };
    // Writing to a string does not fail.
    let _ = match segment {
        Segment::Index(index) => write!(path, "[{index}]"),
        Segment::Name(name) if is_plain(name) => write!(path, "{dot}{name}"),
        Segment::Name(name) => write!(path, "{dot}`{}`", name.replace('`', "``")),
    };
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The segments of a path as `policy::Path` writes it.
struct Segments<'a>(&'a str);

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let rest = self.0.strip_prefix('.').unwrap_or(self.0);
        if let Some(rest) = rest.strip_prefix('[')
            && let Some((index, after)) = rest.split_once(']')
        {
            self.0 = after;
            return Some(Segment::Index(index.parse().unwrap_or(usize::MAX)));
        }
        if let Some(rest) = rest.strip_prefix('`') {
            let mut end = 0;
            while let Some(at) = rest.get(end..).and_then(|rest| rest.find('`')) {
                end += at;
                if rest.get(end + 1..).is_some_and(|after| after.starts_with('`')) {
                    end += 2;
                } else {
                    break;
                }
            }
            self.0 = rest.get(end + 1..).unwrap_or_default();
            return Some(Segment::Name(rest.get(..end).unwrap_or(rest).replace("``", "`")));
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        self.0 = after;
        (!name.is_empty()).then(|| Segment::Name(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_in_either_spelling() {
        let text = "policy_steps:\n  'a`b c':\n    steps:\n    - x: 1\n";
        let (tree, _) = Tree::parse(text);
        let root = tree.documents[0];
        let found = find(&tree, root, "policySteps.`a``b c`.steps[0].x");
        assert!(found.whole);
        assert_eq!(found.path, "policy_steps.`a``b c`.steps[0].x");
        assert_eq!(path_of(&tree, root, found.node), found.path);
        let missing = find(&tree, root, "policySteps.grant.steps[2]");
        assert!(!missing.whole);
        assert_eq!(missing.path, "policy_steps.grant.steps[2]");
        assert_eq!(start_of(&tree, missing.node), 0);
    }

    #[test]
    fn places_within_texts_are_followed() {
        let cases = [
            "e: a == zz",
            "e: 'a == ''b'' && zz'",
            r#"e: "a == \"b\" \ud83d\ude00 \x41\t\u00e9 && zz""#,
            "e: |\n  a ==\n    b &&\n  zz\n",
            "e: >-\n  a ==\n  b &&\n\n  zz\n",
            "e: a\n  ==\n  zz",
            "e: \"a\n  == \\\n  zz\"",
        ];
        for text in cases {
            let source = Source::new("x".into(), text.into());
            let (tree, faults) = Tree::parse(&source.text);
            assert!(faults.is_empty(), "{text}: {faults:?}");
            let node = find(&tree, tree.documents[0], "e").node;
            let value = tree.text(node);
            let place = Position::of(value, value.find("zz").unwrap());
            assert_eq!(offset_within(&source, &tree, node, place), text.find("zz"), "{text}");
            let end = Position::of(value.trim_end(), 9_999);
            assert_eq!(offset_within(&source, &tree, node, end), text.find("zz").map(|at| at + 2), "{text}");
        }
    }
}
