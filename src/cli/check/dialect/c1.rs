//! ConductorOne-shaped documents: decoded, prepared and compiled by the same code as in the service.

use std::collections::{BTreeMap, HashSet};

use prost::Message as _;

use super::{Checked, Dialect, Reference};
use crate::app::DOCUMENT_MAX_BYTES;
use crate::cli::check::finding::{Excerpt, Finding, Reported};
use crate::cli::check::json_text::JsonText;
use crate::cli::check::place;
use crate::cli::check::source::Source;
use crate::cli::check::tree::{NodeId, Tree, Value};
use crate::gateway::Style;
use crate::pb;
use crate::pb::c1::api::policy::v1::Policy;
use crate::policy::c1::{self, Surroundings};
use crate::wire::json::{self, Reason};
use crate::wire::{Schema, Type};
use crate::workflow::Nobody;

/// Faults of decoding that are looked for in one document; each takes one more pass over it.
const DECODE_FAULTS_MAX: usize = 20;

pub(super) struct C1 {
    ty: Type,
    nobody: Nobody,
}

impl C1 {
    pub(super) fn new(nobody: Nobody) -> Result<C1, &'static str> {
        let ty = Schema::new(pb::pool()).message("c1.api.policy.v1.Policy");
        Ok(C1 { ty: ty.ok_or("the protobuf descriptors lack the policy")?, nobody })
    }

    /// The policy at `root`, or every fault for which it is none. After a fault, the value that has it is left out and
    /// the rest is decoded again.
    fn decode(&self, tree: &Tree, root: NodeId) -> Result<Policy, Vec<Finding>> {
        let mut left_out = HashSet::new();
        let mut faults = Vec::new();
        loop {
            let json = JsonText::of(tree, root, &left_out);
            let mut bytes = Vec::new();
            let fault =
                match json::decode(&self.ty, json.text.as_bytes(), &Style::CONDUCTORONE.read, &mut bytes) {
                    Ok(_) if faults.is_empty() => match Policy::decode(bytes.as_slice()) {
                        Ok(policy) => return Ok(policy),
                        Err(error) => {
                            let at = place::start_of(tree, root);
                            return Err(vec![Finding::violation(
                                at,
                                "DOCUMENT_MALFORMED",
                                error.to_string(),
                            )]);
                        }
                    },
                    Ok(_) => return Err(faults),
                    Err(fault) => fault,
                };
            let node = json.node_at(fault.line).unwrap_or(root);
            faults.push(decode_fault(tree, root, node, fault));
            let again = node != root && faults.len() < DECODE_FAULTS_MAX && left_out.insert(node);
            if !again {
                return Err(faults);
            }
        }
    }
}

impl Dialect for C1 {
    fn check(&self, source: &Source, tree: &Tree, root: NodeId) -> Checked {
        let mut policy = match self.decode(tree, root) {
            Ok(policy) => policy,
            Err(findings) => return Checked { findings, references: Vec::new() },
        };
        // As an operation does before it compiles.
        policy.annotations = c1::merge_annotations(&BTreeMap::new(), &policy.annotations);
        let mut reported: Vec<Reported> = c1::prepare(&mut policy).into_iter().map(Reported::from).collect();
        let own_id = Some(policy.id.as_str()).filter(|id| !id.is_empty());
        match c1::compile(&policy, Surroundings { own_id, nobody: self.nobody }) {
            Ok(compiled) => reported.extend(compiled.warnings.into_iter().map(Reported::from)),
            Err(violations) => reported.extend(violations.iter().cloned().map(Reported::from)),
        }
        let mut findings: Vec<Finding> =
            reported.into_iter().map(|one| locate(source, tree, root, one)).collect();
        let length = policy.encoded_len();
        if length > DOCUMENT_MAX_BYTES {
            let message = format!("{length} bytes; the limit of a policy is {DOCUMENT_MAX_BYTES} bytes");
            findings.push(Finding::violation(place::start_of(tree, root), "DOCUMENT_TOO_LARGE", message));
        }
        Checked { references: references(tree, root, &policy), findings }
    }
}

fn decode_fault(tree: &Tree, root: NodeId, node: NodeId, fault: json::Error) -> Finding {
    let is_bare = matches!(tree.node(node).map(|node| &node.value), Some(Value::Number(_) | Value::Bool(_)));
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
fn locate(source: &Source, tree: &Tree, root: NodeId, one: Reported) -> Finding {
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

/// References to other policies that a server can look up. Those that name none, or the policy itself, are for the
/// checks of the document.
fn references(tree: &Tree, root: NodeId, policy: &Policy) -> Vec<Reference> {
    let all = c1::references(policy).into_iter();
    let others = all.filter(|one| !one.target.is_empty() && one.target != policy.id);
    let place = |one: c1::Reference| {
        let found = place::find(tree, root, &one.path);
        Reference {
            offset: place::start_of(tree, found.node),
            path: found.path,
            target: one.target,
            policy_type: policy.policy_type,
        }
    };
    others.map(place).collect()
}
