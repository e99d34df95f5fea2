//! ConductorOne-shaped documents: decoded, prepared and compiled by the same code as in the service.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message as _;

use super::{Accepted, Checked, Dialect, Document, Reference, Target, document};
use crate::app::DOCUMENT_MAX_BYTES;
use crate::cli::check::decode::{Decoded, Decoder, locate};
use crate::cli::check::finding::{Finding, Reported, Severity};
use crate::cli::check::place;
use crate::cli::check::source::Source;
use crate::cli::check::tree::{NodeId, Tree};
use crate::gateway::Style;
use crate::pb::c1::api::policy::v1::Policy;
use crate::policy::c1::{self, Surroundings};
use crate::workflow::Nobody;
use crate::workflow::analyse::Invariant;

pub(super) struct C1 {
    decoder: Decoder,
    nobody: Nobody,
    /// The invariants to analyse with; `None` = no analysis.
    pub(super) analysis: Option<Vec<Invariant>>,
}

impl C1 {
    pub(super) fn new(nobody: Nobody) -> Result<C1, &'static str> {
        let reading = Style::CONDUCTORONE.read;
        let decoder = Decoder::new("c1.api.policy.v1.Policy", reading, Severity::Violation)?;
        Ok(C1 { decoder, nobody, analysis: None })
    }
}

impl Dialect for C1 {
    fn check(&self, source: &Source, tree: &Tree, root: NodeId) -> Checked {
        let Decoded { bytes, mut findings } = self.decoder.decode(tree, root, false);
        let Some(sent) = document::<Policy>(bytes, tree, root, &mut findings) else {
            return Checked { findings, ..Checked::default() };
        };
        let mut policy = sent.clone();
        // As an operation does before it compiles.
        policy.annotations = c1::merge_annotations(&BTreeMap::new(), &policy.annotations);
        let mut reported: Vec<Reported> = c1::prepare(&mut policy).into_iter().map(Reported::from).collect();
        let own_id = Some(policy.id.as_str()).filter(|id| !id.is_empty());
        let mut meant = None;
        match c1::compile(&policy, Surroundings { own_id, nobody: self.nobody }) {
            Ok(compiled) => {
                reported.extend(compiled.warnings.into_iter().map(Reported::from));
                meant = self.analysis.is_some().then(|| (policy.id.clone(), Arc::new(compiled.workflow)));
            }
            Err(violations) => reported.extend(violations.iter().cloned().map(Reported::from)),
        }
        let warned = reported.iter().map(Reported::as_metadata).collect();
        findings.extend(reported.into_iter().map(|one| locate(source, tree, root, one)));
        let length = policy.encoded_len();
        if length > DOCUMENT_MAX_BYTES {
            let message = format!("{length} bytes; the limit of a policy is {DOCUMENT_MAX_BYTES} bytes");
            findings.push(Finding::violation(place::start_of(tree, root), "DOCUMENT_TOO_LARGE", message));
        }
        let references = references(tree, root, &policy);
        let accepted = Some(Accepted { document: Document::C1(Box::new(sent)), warned });
        Checked { references, findings, accepted, compiled: meant }
    }
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
            target: Target::C1 { id: one.target, policy_type: policy.policy_type },
        }
    };
    others.map(place).collect()
}
