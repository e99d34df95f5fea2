//! The text of a box, for the formats that have no more to say of it than lines.

use super::model::{Arrow, Kind, Model, Node, Style};
use super::text::wrap;

/// The most lines of one part of a label.
const PART_LINES_MAX: usize = 4;

/// The title, the condition, what there is to say, and what a request made of it.
pub(super) fn lines(node: &Node, columns: usize) -> Vec<String> {
    let title = match node.code.is_empty() {
        true => node.title.clone(),
        false => format!("{}: {}", node.title, node.code),
    };
    let badge = if node.badge.is_empty() { String::new() } else { format!("→ {}", node.badge) };
    let parts = [title].into_iter().chain(node.lines.iter().cloned()).chain([badge]);
    let lines: Vec<String> = parts.flat_map(|part| wrap(&part, columns, PART_LINES_MAX)).collect();
    // A box without any text is none.
    if lines.is_empty() { vec![" ".to_owned()] } else { lines }
}

/// Whether an arrow leaves a rule because it matches, which only its label can say.
pub(super) fn needs_yes(model: &Model, arrow: &Arrow) -> bool {
    let rule = model.nodes.get(arrow.from).is_some_and(|one| one.kind == Kind::Rule && !one.code.is_empty());
    rule && arrow.style == Style::Flow
}
