//! A YAML 1.2 stream, of which JSON is a part, as a tree that knows where in the file each value stands. May not know what
//! the values are for.
//!
//! Only what JSON can say is accepted: no aliases (one line can stand for a million values), no tags but those of the core
//! schema, no keys but scalars. Duplicate keys are kept; whoever reads the tree refuses them. No recursion here.

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Tag};

use super::escaped::Escaped;
use super::finding::Finding;

/// Levels of mappings and sequences; the JSON in a policy may have 64, and an answer of the service wraps it in some more.
pub(super) const DEPTH_MAX_LEVELS: usize = 80;
/// Values in one file: the memory of the tree is bounded by it.
pub(super) const NODES_MAX: usize = 500_000;
/// Faults of one file after which the rest is left out.
const FAULTS_MAX: usize = 100;

/// The place of a value in [`Tree::nodes`].
pub(in crate::cli) type NodeId = usize;

/// All documents of one file.
#[derive(Debug, Default)]
pub(in crate::cli) struct Tree {
    nodes: Vec<Node>,
    /// The outermost value of each document that has no fault.
    pub(in crate::cli) documents: Vec<NodeId>,
}

/// One value or key.
#[derive(Debug)]
pub(in crate::cli) struct Node {
    pub(in crate::cli) value: Value,
    /// The bytes of the file that it stands in; for a container, only where it begins.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The container that it is in.
    pub(super) parent: Option<NodeId>,
    /// Its key, if its container is a mapping.
    pub(super) key: Option<NodeId>,
}

#[derive(Debug)]
pub(in crate::cli) enum Value {
    Null,
    /// A number or a truth value: in the spelling of JSON, and as it stands in the file.
    Bare {
        json: String,
        written: String,
    },
    Text(String, ScalarStyle),
    List(Vec<NodeId>),
    /// Keys (always [`Value::Text`]) with their values, as they stand in the file.
    Map(Vec<(NodeId, NodeId)>),
}

impl Tree {
    /// The value at `id`, which this tree gave out.
    pub(in crate::cli) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// The text of a scalar that is one; for keys, always.
    pub(in crate::cli) fn text(&self, id: NodeId) -> &str {
        match self.node(id).map(|node| &node.value) {
            Some(Value::Text(text, _)) => text,
            _ => "",
        }
    }

    /// The entries of a mapping; none for anything else.
    pub(in crate::cli) fn entries(&self, id: NodeId) -> &[(NodeId, NodeId)] {
        match self.node(id).map(|node| &node.value) {
            Some(Value::Map(entries)) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub(in crate::cli) fn items(&self, id: NodeId) -> &[NodeId] {
        match self.node(id).map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// Reads `text`. What has no fault is in the tree, and all faults are in the list.
    pub(in crate::cli) fn parse(text: &str) -> (Tree, Vec<Finding>) {
        Tree::parse_escaped(&Escaped::none(text))
    }

    /// The same for JSON, which has characters in its texts that YAML has as escapes only. Whether it is JSON is not looked at.
    pub(in crate::cli) fn parse_json(text: &str) -> (Tree, Vec<Finding>) {
        Tree::parse_escaped(&Escaped::json(text))
    }

    fn parse_escaped(escaped: &Escaped<'_>) -> (Tree, Vec<Finding>) {
        let text = &*escaped.text;
        let mut builder = Builder::default();
        let options = granit_parser::options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            flow_nesting_limit: DEPTH_MAX_LEVELS + 1,
            block_nesting_limit: DEPTH_MAX_LEVELS + 1,
        };
        for event in Parser::new_from_str_with_options(text, options) {
            let go_on = match event {
                Ok((event, span)) => {
                    let range = span.byte_range().unwrap_or_default();
                    builder.take(event, escaped.original(range.start), escaped.original(range.end))
                }
                Err(error) => {
                    let at = escaped.original(error.marker().byte_offset().unwrap_or(text.len()));
                    match error.kind() {
                        ErrorKind::RecursionLimitExceeded => builder.too_deep(at),
                        _ => builder.fault(at, "YAML_SYNTAX", error.info()),
                    }
                    false
                }
            };
            if !go_on || builder.faults.len() >= FAULTS_MAX {
                break;
            }
        }
        (builder.tree, builder.faults)
    }
}

/// A container that is not closed yet.
#[derive(Debug)]
struct Open {
    id: NodeId,
    /// In a mapping, the key that waits for its value.
    key: Option<NodeId>,
}

#[derive(Debug, Default)]
struct Builder {
    tree: Tree,
    open: Vec<Open>,
    /// The outermost value of the document at hand.
    root: Option<NodeId>,
    /// Faults found before the document at hand.
    faults_before: usize,
    faults: Vec<Finding>,
}

impl Builder {
    fn fault(&mut self, at: usize, code: &'static str, message: impl Into<String>) {
        self.faults.push(Finding::violation(at, code, message));
    }

    fn too_deep(&mut self, at: usize) {
        self.fault(at, "YAML_TOO_DEEP", format!("nested deeper than {DEPTH_MAX_LEVELS} levels"));
    }

    /// Takes one event, from the bytes of the file where it stands; false when nothing more can be taken.
    fn take(&mut self, event: Event<'_>, start: usize, end: usize) -> bool {
        match event {
            Event::DocumentStart(..) => {
                self.root = None;
                self.faults_before = self.faults.len();
                true
            }
            Event::DocumentEnd => {
                let sound = self.faults.len() == self.faults_before;
                self.tree.documents.extend(self.root.take().filter(|_| sound));
                true
            }
            Event::Scalar(text, style, _, tag) => {
                // An empty value has no place of its own; the parser calls it `~`.
                let text = if start == end && style == ScalarStyle::Plain { "" } else { &*text };
                let value = self.scalar(start, text, style, tag.as_deref());
                self.add(value, start, end)
            }
            Event::SequenceStart(_, _, tag) => {
                self.container_tag(start, tag.as_deref(), "seq");
                self.descend(Value::List(Vec::new()), start, end)
            }
            Event::MappingStart(_, _, tag) => {
                self.container_tag(start, tag.as_deref(), "map");
                self.descend(Value::Map(Vec::new()), start, end)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
                true
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let message = "aliases are not accepted; write the value out";
                self.fault(start, "YAML_ALIAS", message);
                self.add(Value::Null, start, end)
            }
            _ => true,
        }
    }

    fn scalar(&mut self, at: usize, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
        match tag.map(|tag| tag.core_suffix().unwrap_or_else(|| tag.suffix())) {
            None if style == ScalarStyle::Plain => resolve(text),
            None | Some("str" | "!") => Value::Text(text.to_owned(), style),
            Some("int" | "float" | "bool" | "null") => resolve(text),
            Some(_) => {
                self.fault(at, "YAML_TAG", "only the tags of YAML's core schema are accepted");
                Value::Null
            }
        }
    }

    fn container_tag(&mut self, at: usize, tag: Option<&Tag>, own: &str) {
        if tag.is_some_and(|tag| tag.core_suffix() != Some(own)) {
            self.fault(at, "YAML_TAG", "only the tags of YAML's core schema are accepted");
        }
    }

    fn descend(&mut self, value: Value, start: usize, end: usize) -> bool {
        if self.open.len() >= DEPTH_MAX_LEVELS {
            self.too_deep(start);
            return false;
        }
        let id = self.tree.nodes.len();
        let added = self.add(value, start, end);
        self.open.push(Open { id, key: None });
        added
    }

    /// Puts a value where the open container waits for one.
    fn add(&mut self, value: Value, start: usize, end: usize) -> bool {
        let id = self.tree.nodes.len();
        if id >= NODES_MAX {
            self.fault(start, "YAML_TOO_MANY_VALUES", format!("more than {NODES_MAX} values in one file"));
            return false;
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(id);
            self.tree.nodes.push(Node { value, start, end, parent: None, key: None });
            return true;
        };
        let parent = Some(open.id);
        let is_map = matches!(self.tree.nodes.get(open.id), Some(Node { value: Value::Map(_), .. }));
        if is_map && open.key.is_none() {
            open.key = Some(id);
            let value = self.as_key(value, start);
            self.tree.nodes.push(Node { value, start, end, parent, key: None });
            return true;
        }
        let key = open.key.take();
        match (self.tree.nodes.get_mut(open.id).map(|node| &mut node.value), key) {
            (Some(Value::Map(entries)), Some(key)) => entries.push((key, id)),
            (Some(Value::List(items)), _) => items.push(id),
            _ => {}
        }
        self.tree.nodes.push(Node { value, start, end, parent, key });
        true
    }

    /// A key as text: `1:` and `true:` are keys of a JSON object all the same, as they are written.
    fn as_key(&mut self, value: Value, at: usize) -> Value {
        let text = match value {
            Value::Text(..) => return value,
            Value::Null => "null".to_owned(),
            Value::Bare { written, .. } => written,
            Value::List(_) | Value::Map(_) => {
                self.fault(at, "YAML_KEY", "a key has to be a text");
                return value;
            }
        };
        Value::Text(text, ScalarStyle::Plain)
    }
}

/// What a plain scalar is in the core schema of YAML 1.2. (`yes` and `no` are texts there.)
fn resolve(text: &str) -> Value {
    let json = match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => Some("true".to_owned()),
        "false" | "False" | "FALSE" => Some("false".to_owned()),
        _ => number(text),
    };
    let written = text.to_owned();
    match json {
        Some(json) => Value::Bare { json, written },
        None => Value::Text(written, ScalarStyle::Plain),
    }
}

/// Whether a plain scalar of this text is a text.
pub(in crate::cli) fn is_text(text: &str) -> bool {
    matches!(resolve(text), Value::Text(..))
}

/// A number of the core schema in JSON's spelling, every digit kept.
fn number(text: &str) -> Option<String> {
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let plain = !digits.starts_with(['+', '-']);
            return u64::from_str_radix(digits, radix).ok().filter(|_| plain).map(|n| n.to_string());
        }
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let fraction_digits = fraction.unwrap_or_default();
    if !digits(whole) || !digits(fraction_digits) || (whole.is_empty() && fraction_digits.is_empty()) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let mut json = format!("{sign}{whole}");
    if !fraction_digits.is_empty() {
        json.push('.');
        json.push_str(fraction_digits);
    }
    if let Some(exponent) = exponent {
        let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if power.is_empty() || !digits(power) {
            return None;
        }
        json.push('e');
        json.push_str(exponent);
    }
    Some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_the_core_schema_says() {
        for (text, json) in [
            ("0", "0"),
            ("-12", "-12"),
            ("+5", "5"),
            ("007", "7"),
            ("0o17", "15"),
            ("0x1F", "31"),
            (".5", "0.5"),
            ("1.", "1"),
            ("1.50", "1.50"),
            ("1e3", "1e3"),
            ("-1.5E-07", "-1.5e-07"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("TRUE", "true"),
            ("False", "false"),
        ] {
            let is = |value: Value| matches!(value, Value::Bare { json: is, written } if is == json && written == text);
            assert!(is(resolve(text)), "{text}");
        }
        for text in [
            "2aUserIT001",
            "yes",
            "1:30",
            "-",
            ".",
            "+",
            "e5",
            "1e",
            "1e+",
            "0x",
            "0x-1",
            "1_000",
            "--1",
            "3600s",
        ] {
            assert!(matches!(resolve(text), Value::Text(is, _) if is == text), "{text}");
        }
        assert!(matches!(resolve(""), Value::Null));
    }

    #[test]
    fn a_fault_in_one_document_leaves_the_others() {
        let (tree, faults) =
            Tree::parse("a: 1\n---\nb: *x\n---\nc: !!binary aa\n---\n? [k]\n: 1\n---\nd: 4\n");
        assert_eq!(tree.documents.len(), 2);
        let codes: Vec<_> = faults.iter().map(|fault| fault.code).collect();
        assert_eq!(codes, ["YAML_ALIAS", "YAML_TAG", "YAML_KEY"]);
    }

    #[test]
    fn no_text_is_too_deep_or_too_large() {
        for (text, code) in [
            ("[".repeat(1_000_000), "YAML_TOO_DEEP"),
            ("- ".repeat(1_000_000), "YAML_TOO_DEEP"),
            ("{a: ".repeat(1_000_000), "YAML_TOO_DEEP"),
            (format!("[{}]", "1,".repeat(NODES_MAX + 1)), "YAML_TOO_MANY_VALUES"),
        ] {
            let (tree, faults) = Tree::parse(&text);
            assert!(tree.nodes.len() <= NODES_MAX);
            assert!(tree.documents.is_empty());
            assert!(
                faults.iter().any(|fault| fault.code == code || fault.code == "YAML_TOO_DEEP"),
                "{faults:?}"
            );
        }
    }
}
