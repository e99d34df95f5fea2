//! A tree as text for people: YAML in blocks, or JSON with indents. The order of fields is the tree's, and every text reads
//! back as what it was, also by readers of YAML 1.1, for which `no` is a truth value.

use crate::cli::check::tree::{NodeId, Tree, Value, is_text};

/// Texts that other versions of YAML take for something else.
const OTHERWISE: &[&str] = &["y", "n", "yes", "no", "on", "off"];

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Layout {
    Yaml,
    Json,
}

impl Layout {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Layout::Yaml => "yaml",
            Layout::Json => "json",
        }
    }

    /// The value at `root`, with an end of line.
    pub(super) fn text(self, tree: &Tree, root: NodeId) -> String {
        let mut out = String::new();
        match self {
            Layout::Yaml => yaml(tree, root, 0, &mut out),
            Layout::Json => json(tree, root, 0, &mut out),
        }
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out.trim_start().to_owned()
    }

    /// Several such texts in one file; JSON calls their list `list`.
    pub(super) fn all(self, list: &str, texts: &[String]) -> String {
        match self {
            // A file with nothing in it is not one that was meant to have nothing in it.
            Layout::Yaml if texts.is_empty() => format!("{list}: []\n"),
            Layout::Json if texts.is_empty() => format!("{{\n  {}: []\n}}\n", quoted(list)),
            Layout::Yaml => texts.join("---\n"),
            Layout::Json => {
                let items: Vec<String> = texts.iter().map(|text| indented(text.trim_end(), 4)).collect();
                format!("{{\n  {}: [\n{}\n  ]\n}}\n", quoted(list), items.join(",\n"))
            }
        }
    }
}

fn indented(text: &str, spaces: usize) -> String {
    let lines = text.lines().map(|line| format!("{}{line}", " ".repeat(spaces)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A container begins on a line of its own, a scalar where it is.
fn yaml(tree: &Tree, id: NodeId, indent: usize, out: &mut String) {
    let Some(node) = tree.node(id) else { return };
    let pad = " ".repeat(indent);
    match &node.value {
        Value::List(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                yaml(tree, *item, indent + 2, &mut inner);
                // The first line of what is inside goes behind the dash.
                out.push_str(&format!("\n{pad}- {}", inner.trim_start()));
            }
        }
        Value::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                out.push_str(&format!("\n{pad}{}:", one_line(tree.text(*key))));
                let is_block = matches!(
                    tree.node(*value).map(|node| &node.value),
                    Some(Value::List(items)) if !items.is_empty()
                ) || !tree.entries(*value).is_empty();
                if is_block {
                    yaml(tree, *value, indent + 2, out);
                } else {
                    out.push(' ');
                    yaml(tree, *value, indent + 2, out);
                }
            }
        }
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
        Value::Null => out.push_str("null"),
        Value::Bare { json, .. } => out.push_str(json),
        Value::Text(text, _) if is_block(text) => {
            out.push_str(if text.ends_with('\n') { "|" } else { "|-" });
            text.lines().for_each(|line| out.push_str(&format!("\n{pad}{line}")));
        }
        Value::Text(text, _) => out.push_str(&one_line(text)),
    }
}

/// Whether a text of several lines can stand as they are.
fn is_block(text: &str) -> bool {
    let begins = text.starts_with(|c: char| !c.is_whitespace());
    let line = |line: &str| !line.is_empty() && line.trim_end() == line && line.chars().all(is_printable);
    text.contains('\n') && begins && !text.contains('\r') && text.lines().all(line)
}

/// A text on one line: bare where nobody can take it for anything else, else in quotes.
fn one_line(text: &str) -> String {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$' | '/'));
    let bare =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.' | '/' | '@' | '-' | '+' | ' ');
    let otherwise = OTHERWISE.iter().any(|other| text.eq_ignore_ascii_case(other));
    if begins && text.chars().all(bare) && !text.ends_with(' ') && !otherwise && is_text(text) {
        return text.to_owned();
    }
    if text.chars().all(is_printable) { format!("'{}'", text.replace('\'', "''")) } else { quoted(text) }
}

/// Whether a character may stand in YAML as it is, and on one line.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// In double quotes, for JSON and YAML alike.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if is_printable(c) {
            out.push(c);
        } else {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
        out
    })
}

fn json(tree: &Tree, id: NodeId, indent: usize, out: &mut String) {
    let Some(node) = tree.node(id) else { return };
    let (pad, inner) = (" ".repeat(indent), " ".repeat(indent + 2));
    match &node.value {
        Value::List(items) if !items.is_empty() => {
            for (n, item) in items.iter().enumerate() {
                out.push_str(&format!("{}\n{inner}", if n == 0 { "[" } else { "," }));
                json(tree, *item, indent + 2, out);
            }
            out.push_str(&format!("\n{pad}]"));
        }
        Value::Map(entries) if !entries.is_empty() => {
            for (n, (key, value)) in entries.iter().enumerate() {
                let key = quoted(tree.text(*key));
                out.push_str(&format!("{}\n{inner}{key}: ", if n == 0 { "{" } else { "," }));
                json(tree, *value, indent + 2, out);
            }
            out.push_str(&format!("\n{pad}}}"));
        }
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
        Value::Null => out.push_str("null"),
        Value::Bare { json, .. } => out.push_str(json),
        Value::Text(text, _) => out.push_str(&quoted(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::tree_of_json;
    use proptest::prelude::*;

    /// JSON values, of which many look like something else.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        let text = prop_oneof![
            "([!-~é][ -~é]{0,5}[!-~]\n){1,3}[!-~]{0,3}",
            proptest::sample::select(
                &["", "no", "null", "~", "1", "1e5", "0x1f", "- a", "a: b", "a #b", "true"][..]
            )
            .prop_map(str::to_owned),
            "[ -~\\n\\té\u{7f}\u{85}\u{9f}\u{2028}\u{feff}\u{fffe}\u{ffff}\u{1b}😀'\"]{0,12}",
            "[a-z$_.:# -]{0,6}",
        ];
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            text.clone().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                proptest::collection::btree_map(text.clone(), inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_reads_back(value in value()) {
            let (tree, root) = tree_of_json(&value.to_string()).unwrap();
            for layout in [Layout::Yaml, Layout::Json] {
                let text = layout.text(&tree, root);
                let (again, faults) = Tree::parse(&text);
                prop_assert!(faults.is_empty(), "{text}: {faults:?}");
                let mut json = String::new();
                super::json(&again, again.documents[0], 0, &mut json);
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value.clone(), "{}", text);
            }
        }
    }
}
