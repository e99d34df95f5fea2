//! A part of a tree as JSON text with one token on each line, so that a line tells which value of the file it came from.

use std::collections::{HashMap, HashSet};

use super::tree::{NodeId, Tree, Value};

/// How the text differs from the file.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// Entries and items of which a key or value is here are not there.
    pub(super) left_out: HashSet<NodeId>,
    /// Scalars that are meant otherwise, each with the JSON that stands for it.
    pub(super) instead: HashMap<NodeId, String>,
}

/// JSON text, and the values that its lines came from.
#[derive(Debug, Default)]
pub(super) struct JsonText {
    pub(super) text: String,
    lines: Vec<NodeId>,
}

impl JsonText {
    /// The value at `root`, but for `edits`.
    pub(super) fn of(tree: &Tree, root: NodeId, edits: &Edits) -> JsonText {
        let mut json = JsonText::default();
        json.value(tree, root, edits);
        json
    }

    /// The value that `line` (from 1) came from; the last one for a line past the end.
    pub(super) fn node_at(&self, line: usize) -> Option<NodeId> {
        line.checked_sub(1).and_then(|index| self.lines.get(index)).or(self.lines.last()).copied()
    }

    fn line(&mut self, from: NodeId, parts: &[&str]) {
        parts.iter().for_each(|part| self.text.push_str(part));
        self.text.push('\n');
        self.lines.push(from);
    }

    /// Recurses as deep as the tree is, which is bounded.
    fn value(&mut self, tree: &Tree, id: NodeId, edits: &Edits) {
        let Some(node) = tree.node(id) else { return };
        let Edits { left_out, instead } = edits;
        if let Some(json) = instead.get(&id) {
            return self.line(id, &[json]);
        }
        match &node.value {
            Value::Null => self.line(id, &["null"]),
            Value::Bare { json, .. } => self.line(id, &[json]),
            Value::Text(text, _) => self.line(id, &[&quoted(text)]),
            Value::List(items) => {
                self.line(id, &["["]);
                let kept = items.iter().filter(|item| !left_out.contains(item));
                for (n, item) in kept.enumerate() {
                    if n > 0 {
                        self.line(*item, &[","]);
                    }
                    self.value(tree, *item, edits);
                }
                self.line(id, &["]"]);
            }
            Value::Map(entries) => {
                self.line(id, &["{"]);
                let kept = entries
                    .iter()
                    .filter(|(key, value)| !left_out.contains(key) && !left_out.contains(value));
                for (n, (key, value)) in kept.enumerate() {
                    if n > 0 {
                        self.line(*key, &[","]);
                    }
                    self.line(*key, &[&quoted(tree.text(*key)), ":"]);
                    self.value(tree, *value, edits);
                }
                self.line(id, &["}"]);
            }
        }
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
