//! A drawing as Graphviz's text.

use std::fmt::Write as _;

use super::label::{lines, needs_yes};
use super::model::{Arrow, Kind, Mark, Model, Node, Style, Tone};

/// Columns of a line of a label.
const LABEL_COLUMNS: usize = 40;

/// The whole text.
pub(super) fn write(model: &Model) -> String {
    let mut out = String::new();
    let title: Vec<String> =
        [&model.title].into_iter().chain(&model.captions).map(|line| escaped(line)).collect();
    // Writing to a string does not fail.
    let _ = writeln!(out, "digraph policy {{");
    let _ =
        writeln!(out, "  rankdir=LR; labelloc=t; labeljust=l; bgcolor=\"#ffffff\"; fontname=\"Helvetica\";");
    let _ = writeln!(out, "  label=\"{}\\l\";", title.join("\\l"));
    let _ = writeln!(
        out,
        "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#ffffff\", fontname=\"Helvetica\", fontsize=11];"
    );
    let _ = writeln!(out, "  edge [fontname=\"Helvetica\", fontsize=10, color=\"#64748b\"];");
    for (n, node) in model.nodes.iter().enumerate().filter(|(_, node)| node.group.is_none()) {
        let _ = writeln!(out, "  {}", boxed(n, node));
    }
    for (g, group) in model.groups.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{g} {{");
        let _ = writeln!(out, "    label=\"{}\"; color=\"#cbd5e1\";", escaped(&group.title));
        for (n, node) in model.nodes.iter().enumerate().filter(|(_, node)| node.group == Some(g)) {
            let _ = writeln!(out, "    {}", boxed(n, node));
        }
        if group.rules.len() > 1 {
            let rules: Vec<String> = group.rules.iter().map(|n| format!("n{n};")).collect();
            let _ = writeln!(out, "    subgraph same_{g} {{ rank=same; {} }}", rules.join(" "));
        }
        let _ = writeln!(out, "  }}");
    }
    for arrow in &model.arrows {
        let _ = writeln!(out, "  {}", connected(model, arrow));
    }
    out.push_str("}\n");
    out
}

fn boxed(n: usize, node: &Node) -> String {
    let shape = match node.kind {
        Kind::Start | Kind::Outcome(_) | Kind::Gate => "ellipse",
        Kind::Several => "box3d",
        Kind::Elsewhere => "folder",
        Kind::Rule | Kind::Stage | Kind::StandIn => "box",
    };
    let style = match node.kind {
        Kind::Rule | Kind::Several | Kind::Elsewhere | Kind::Start | Kind::Outcome(_) | Kind::Gate => {
            "filled"
        }
        Kind::StandIn => "rounded,filled,dashed",
        Kind::Stage => "rounded,filled",
    };
    let (fill, stroke, text, width) = match (node.mark, node.kind) {
        (Mark::Off, _) => ("#f8fafc", "#94a3b8", "#475569", 1),
        (Mark::On, _) => ("#dbeafe", "#1d4ed8", "#0f172a", 2),
        (Mark::Good, _) => ("#dcfce7", "#15803d", "#0f172a", 2),
        (Mark::Bad, _) => ("#fee2e2", "#b91c1c", "#0f172a", 2),
        (Mark::Waits, _) => ("#fef3c7", "#b45309", "#0f172a", 2),
        (Mark::Plain, Kind::Outcome(Tone::Good)) => ("#dcfce7", "#15803d", "#0f172a", 1),
        (Mark::Plain, Kind::Outcome(Tone::Bad)) => ("#fee2e2", "#b91c1c", "#0f172a", 1),
        (Mark::Plain, _) => ("#ffffff", "#475569", "#0f172a", 1),
    };
    let label: Vec<String> = lines(node, LABEL_COLUMNS).iter().map(|line| escaped(line)).collect();
    format!(
        "n{n} [label=\"{}\", shape={shape}, style=\"{style}\", fillcolor=\"{fill}\", color=\"{stroke}\", \
         fontcolor=\"{text}\", penwidth={width}];",
        label.join("\\n")
    )
}

fn connected(model: &Model, arrow: &Arrow) -> String {
    let label = if needs_yes(model, arrow) { "yes" } else { &arrow.label };
    let mut attributes = vec![format!("label=\"{}\"", escaped(label))];
    if matches!(arrow.style, Style::Dashed | Style::Jump) {
        attributes.push("style=dashed".to_owned());
    }
    if arrow.taken {
        attributes.push("color=\"#1d4ed8\", penwidth=2.5".to_owned());
    }
    format!("n{} -> n{} [{}];", arrow.from, arrow.to, attributes.join(", "))
}

/// `text` for a quoted label.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Graphviz knows HTML's names of characters.
            '&' => out.push_str("&amp;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_label_is_taken_for_syntax() {
        assert_eq!(escaped("a\"]; \\N &lt;"), "a\\\"]; \\\\N &amp;lt;");
    }
}
