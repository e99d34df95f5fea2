//! The dialects that `check` knows: what each finds in one document. A new one is a variant of [`Name`] and an
//! implementation of [`Dialect`].

mod c1;
mod guardian;

use super::analysis::Compiled;
use super::decode::locate;
use super::finding::Finding;
use super::place;
use super::source::Source;
use super::tree::{NodeId, Tree};
use crate::cli::check::finding::Severity;
use crate::pb::c1::api::policy::v1::Policy as C1Policy;
use crate::pb::gotocompany::guardian::v1beta1::Policy as GuardianPolicy;
use crate::policy::guardian::Surroundings;
use crate::workflow::analyse::Invariant;
use crate::workflow::{Nobody, Workflow};
use prost::Message;
use std::sync::Arc;

/// Fields at the top of a policy that only ConductorOne's have.
const ONLY_C1: &[&str] = &[
    "displayName",
    "display_name",
    "policyType",
    "policy_type",
    "policySteps",
    "policy_steps",
    "rules",
    "postActions",
    "post_actions",
    "baselinePolicyId",
    "baseline_policy_id",
    "scope",
    "annotations",
    "systemBuiltin",
    "system_builtin",
];
/// Fields at the top of a policy that only Guardian's have.
const ONLY_GUARDIAN: &[&str] =
    &["version", "steps", "stages", "labels", "requirements", "iam", "appeal", "customSteps", "custom_steps"];

/// A dialect, as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Name {
    /// Policies in the shape of ConductorOne's API.
    C1,
    /// Policies in the shape of Guardian's API and files.
    Guardian,
}

/// A document that could be decoded, as it was sent.
#[derive(Debug)]
pub(in crate::cli) enum Document {
    C1(Box<C1Policy>),
    Guardian(Box<GuardianPolicy>),
}

/// A document of a file, for a command that goes on with it.
#[derive(Debug)]
pub(in crate::cli) struct Accepted {
    pub(in crate::cli) document: Document,
    /// What its author was warned of, as the metadata of an answer of the service say it.
    pub(in crate::cli) warned: Vec<String>,
}

/// What is found in one document without asking a server.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// What only a server can know about.
    pub(super) references: Vec<Reference>,
    pub(super) accepted: Option<Accepted>,
    /// The id of a policy that compiled, and what it means, if it is to be analysed beside the others of its file.
    pub(super) compiled: Option<(String, Arc<Workflow>)>,
}

/// A reference to a stored policy.
#[derive(Debug)]
pub(super) struct Reference {
    /// In the spelling of the file.
    pub(super) path: String,
    /// Where in the file it stands.
    pub(super) offset: usize,
    pub(super) target: Target,
}

/// What a reference refers to.
#[derive(Debug)]
pub(super) enum Target {
    /// A policy by its id, and the number of the type that it has to have.
    C1 { id: String, policy_type: i32 },
    /// One version of a policy, and what it is if there is none.
    Guardian { id: String, version: i32, severity: Severity },
}

/// How documents of one dialect are checked.
pub(super) trait Dialect {
    /// Checks the document at `root`.
    fn check(&self, source: &Source, tree: &Tree, root: NodeId) -> Checked;
}

/// All dialects, and which one is meant.
pub(in crate::cli) struct Dialects {
    c1: c1::C1,
    guardian: guardian::Guardian,
    named: Option<Name>,
}

impl Dialects {
    /// With what the service is set to. Without a name, each document is looked at. With `keeps_secrets`, what the service
    /// shows to nobody may be left out.
    ///
    /// # Errors
    /// If the program was built wrongly.
    pub(in crate::cli) fn new(
        named: Option<Name>,
        nobody: Nobody,
        around: Surroundings,
        keeps_secrets: bool,
    ) -> Result<Dialects, &'static str> {
        let guardian = guardian::Guardian::new(around, keeps_secrets)?;
        Ok(Dialects { c1: c1::C1::new(nobody)?, guardian, named })
    }

    /// The same; and policies that compile are analysed, too.
    pub(super) fn analysing(mut self, invariants: Vec<Invariant>) -> Dialects {
        self.c1.analysis = Some(invariants);
        self.guardian.analyse = true;
        self
    }

    /// What policies of a file, each at its place, do for every request.
    pub(super) fn analysed(
        &self,
        source: &Source,
        tree: &Tree,
        compiled: &Compiled,
        roots: &[NodeId],
    ) -> Vec<Finding> {
        let Some(invariants) = &self.c1.analysis else { return Vec::new() };
        let each = compiled.analysed(invariants).zip(roots);
        each.flat_map(|(found, root)| found.into_iter().map(|one| locate(source, tree, *root, one))).collect()
    }

    /// The dialect of the document at `root`.
    pub(super) fn of(&self, tree: &Tree, root: NodeId) -> &dyn Dialect {
        match self.named.unwrap_or_else(|| look(tree, root)) {
            Name::C1 => &self.c1,
            Name::Guardian => &self.guardian,
        }
    }
}

/// Guardian's if the document has fields that only its policies have, and none that only ConductorOne's have.
fn look(tree: &Tree, root: NodeId) -> Name {
    let has = |names: &[&str]| tree.entries(root).iter().any(|(key, _)| names.contains(&tree.text(*key)));
    if has(ONLY_GUARDIAN) && !has(ONLY_C1) { Name::Guardian } else { Name::C1 }
}

/// The message that these bytes are; adds a finding if they are none.
fn document<M: Message + Default>(
    bytes: Option<Vec<u8>>,
    tree: &Tree,
    root: NodeId,
    findings: &mut Vec<Finding>,
) -> Option<M> {
    match M::decode(bytes?.as_slice()) {
        Ok(message) => Some(message),
        Err(error) => {
            let at = place::start_of(tree, root);
            findings.push(Finding::violation(at, "DOCUMENT_MALFORMED", error.to_string()));
            None
        }
    }
}
