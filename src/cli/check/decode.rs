//! A document of a file as a message: the proto3 JSON mapping of the service, with every fault at its place in the file.

use super::finding::{Excerpt, Finding, Reported, Severity};
use super::json_text::{Edits, JsonText};
use super::source::Source;
use super::tree::{NodeId, Tree, Value};
use super::{go_yaml, place};
use crate::pb;
use crate::wire::json::{self, Reading, Reason};
use crate::wire::{Schema, Type};

/// Violations that are looked for in one document; each takes one more pass over it.
const VIOLATIONS_MAX: usize = 20;
/// Passes over one document: unknown fields and values that are meant otherwise, where they are accepted, take one each.
const PASSES_MAX: usize = 200;

/// How documents of one dialect become messages.
#[derive(Debug)]
pub(super) struct Decoder {
    pub(super) ty: Type,
    pub(super) reading: Reading,
    /// What a field is that the message does not have.
    pub(super) unknown_fields: Severity,
}

/// A message, if there is one, and what there is to say about the document.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) findings: Vec<Finding>,
}

impl Decoder {
    /// For the message of that full name.
    ///
    /// # Errors
    /// If the program was built wrongly.
    pub(super) fn new(
        message: &str,
        reading: Reading,
        unknown_fields: Severity,
    ) -> Result<Decoder, &'static str> {
        let ty = Schema::new(pb::pool()).message(message);
        Ok(Decoder { ty: ty.ok_or("the protobuf descriptors lack the policy")?, reading, unknown_fields })
    }

    /// The document at `root`, or every fault for which it is none. After a fault, the value that has it is left out and
    /// the rest is decoded again. With `go_yaml`, a value is what [`go_yaml`] says where that is due.
    pub(super) fn decode(&self, tree: &Tree, root: NodeId, go_yaml: bool) -> Decoded {
        let mut edits = Edits::default();
        let mut findings: Vec<Finding> = Vec::new();
        for pass in 1.. {
            let json = JsonText::of(tree, root, &edits);
            let mut bytes = Vec::new();
            let fault = match json::decode(&self.ty, json.text.as_bytes(), &self.reading, &mut bytes) {
                Ok(_) => {
                    let sound = findings.iter().all(|one| one.severity == Severity::Warning);
                    return Decoded { bytes: sound.then_some(bytes), findings };
                }
                Err(fault) => fault,
            };
            let node = json.node_at(fault.line).unwrap_or(root);
            if go_yaml
                && pass < PASSES_MAX
                && let Some(meant) = go_yaml::meant(tree, node, &fault)
                && edits.instead.insert(node, meant).is_none()
            {
                continue;
            }
            let passed_over = fault.reason == Reason::UnknownField && pass < PASSES_MAX;
            let severity = if passed_over { self.unknown_fields } else { Severity::Violation };
            findings.push(Finding { severity, ..decode_fault(tree, root, node, fault) });
            let violations = findings.iter().filter(|one| one.severity == Severity::Violation).count();
            let again = node != root
                && violations < VIOLATIONS_MAX
                && pass < PASSES_MAX
                && edits.left_out.insert(node);
            if !again {
                if violations == 0 {
                    let at = place::start_of(tree, root);
                    findings.push(Finding::violation(at, "DOCUMENT_MALFORMED", "this is no such message"));
                }
                break;
            }
        }
        Decoded { bytes: None, findings }
    }
}

fn decode_fault(tree: &Tree, root: NodeId, node: NodeId, fault: json::Error) -> Finding {
    let is_bare = matches!(tree.node(node).map(|node| &node.value), Some(Value::Bare { .. }));
    let message = match fault.reason {
        Reason::UnknownField => {
            fault.message.replace("no such field", &format!("no field `{}`", tree.text(node)))
        }
        Reason::WrongType if is_bare && fault.message.starts_with("expected a string") => {
            format!(
                "{}; a text that looks like a number or a truth value is written in quotes",
                fault.message
            )
        }
        _ => fault.message,
    };
    Finding {
        path: place::path_of(tree, root, node),
        ..Finding::violation(place::start_of(tree, node), fault.reason.code(), message)
    }
}

/// Finds the place of what was reported.
pub(super) fn locate(source: &Source, tree: &Tree, root: NodeId, one: Reported) -> Finding {
    let Reported { severity, code, path, mut message, span } = one;
    let found = place::find(tree, root, &path);
    let mut offset = place::start_of(tree, found.node);
    let mut excerpt = None;
    if let Some(span) = span.filter(|_| found.whole) {
        // The sentence says it for those who see nothing else.
        let said = format!(" (line {}, column {})", span.start.line, span.start.column);
        message.truncate(message.strip_suffix(&said).map_or(message.len(), str::len));
        offset = place::offset_within(source, tree, found.node, span.start).unwrap_or(offset);
        excerpt = Some(Excerpt { text: tree.text(found.node).to_owned(), place: span });
    }
    Finding { severity, code, path: found.path, message, offset, excerpt }
}
