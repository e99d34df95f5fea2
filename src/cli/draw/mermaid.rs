//! A drawing as Mermaid's text, a flowchart.

use std::fmt::Write as _;

use super::label::{lines, needs_yes};
use super::model::{Arrow, Kind, Mark, Model, Node, Style, Tone};
use super::text::wrap;

/// Columns of a line of a label.
const LABEL_COLUMNS: usize = 40;
/// Columns of the title of a policy.
const TITLE_COLUMNS: usize = 60;

/// The whole text.
pub(super) fn write(model: &Model) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(out, "flowchart LR");
    for (n, node) in model.nodes.iter().enumerate().filter(|(_, node)| node.group.is_none()) {
        let _ = writeln!(out, "    {}", boxed(n, node));
    }
    for (g, group) in model.groups.iter().enumerate() {
        let _ =
            writeln!(out, "    subgraph p{g}[{}]", quoted(&wrap(&group.title, TITLE_COLUMNS, 1).concat()));
        for (n, node) in model.nodes.iter().enumerate().filter(|(_, node)| node.group == Some(g)) {
            let _ = writeln!(out, "        {}", boxed(n, node));
        }
        let _ = writeln!(out, "    end");
    }
    for arrow in &model.arrows {
        let _ = writeln!(out, "    {}", connected(model, arrow));
    }
    for (n, caption) in model.captions.iter().enumerate() {
        let _ = writeln!(out, "    note{n}[{}]:::note", quoted(caption));
    }
    out.push_str(CLASSES);
    let taken: Vec<String> = (0..model.arrows.len())
        .filter(|n| model.arrows.get(*n).is_some_and(|arrow| arrow.taken))
        .map(|n| n.to_string())
        .collect();
    if !taken.is_empty() {
        let _ = writeln!(out, "    linkStyle {} stroke:#1d4ed8,stroke-width:3px", taken.join(","));
    }
    out
}

const CLASSES: &str = "    \
    classDef plain fill:#ffffff,stroke:#475569,color:#0f172a
    classDef off fill:#f8fafc,stroke:#94a3b8,color:#475569
    classDef on fill:#dbeafe,stroke:#1d4ed8,color:#0f172a,stroke-width:2px
    classDef good fill:#dcfce7,stroke:#15803d,color:#0f172a,stroke-width:2px
    classDef bad fill:#fee2e2,stroke:#b91c1c,color:#0f172a,stroke-width:2px
    classDef waits fill:#fef3c7,stroke:#b45309,color:#0f172a,stroke-width:2px
    classDef note fill:none,stroke:none
";

fn boxed(n: usize, node: &Node) -> String {
    let (open, close) = match node.kind {
        Kind::Start | Kind::Outcome(_) | Kind::Gate => ("([", "])"),
        Kind::Rule => ("{{", "}}"),
        Kind::Several => ("[[", "]]"),
        Kind::Elsewhere => ("[/", "/]"),
        Kind::Stage | Kind::StandIn => ("[", "]"),
    };
    let text: Vec<String> = lines(node, LABEL_COLUMNS).iter().map(|line| escaped(line)).collect();
    format!("n{n}{open}\"{}\"{close}:::{}", text.join("<br/>"), class(node))
}

fn class(node: &Node) -> &'static str {
    match (node.mark, node.kind) {
        (Mark::Off, _) => "off",
        (Mark::On, _) => "on",
        (Mark::Good, _) | (Mark::Plain, Kind::Outcome(Tone::Good)) => "good",
        (Mark::Bad, _) | (Mark::Plain, Kind::Outcome(Tone::Bad)) => "bad",
        (Mark::Waits, _) => "waits",
        (Mark::Plain, _) => "plain",
    }
}

fn connected(model: &Model, arrow: &Arrow) -> String {
    let line = match arrow.style {
        Style::Flow | Style::Next => "-->",
        Style::Dashed | Style::Jump => "-.->",
    };
    let label = if needs_yes(model, arrow) { "yes" } else { &arrow.label };
    let label = if label.is_empty() { String::new() } else { format!("|{}|", quoted(label)) };
    format!("n{} {line}{label} n{}", arrow.from, arrow.to)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// `text` for a quoted label. Whatever Mermaid, Markdown, HTML or KaTeX could take for its own becomes a code.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '.' | ',' | '(' | ')' | '/' | '\'' => out.push(c),
            _ if !c.is_ascii() => out.push(c),
            // Two of them begin a formula, even as codes; what stands between them cannot be seen.
            '$' => out.push_str("#36;#8203;"),
            _ => {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_label_is_taken_for_syntax() {
        assert_eq!(quoted("a\"]; click n1"), "\"a#34;#93;#59; click n1\"");
        assert_eq!(
            escaped("<b>%%{init}%%`$$"),
            "#60;b#62;#37;#37;#123;init#125;#37;#37;#96;#36;#8203;#36;#8203;"
        );
        assert_eq!(escaped("שלום"), "שלום");
    }
}
