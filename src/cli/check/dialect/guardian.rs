//! Guardian's documents: its file format is its API's, in snake_case; decoded, prepared and compiled by the same code as in
//! the service.

use prost::Message as _;

use super::{Accepted, Checked, Dialect, Document, Reference, Target, document};
use crate::app::DOCUMENT_MAX_BYTES;
use crate::cli::check::analysis;
use crate::cli::check::decode::{Decoded, Decoder, locate};
use crate::cli::check::finding::{Finding, Reported, Severity};
use crate::cli::check::place;
use crate::cli::check::source::Source;
use crate::cli::check::tree::{NodeId, Tree};
use crate::gateway::Style;
use crate::pb::gotocompany::guardian::v1beta1::Policy;
use crate::policy::guardian::{self, Lint, Surroundings, secrets};
use crate::wire::json::{Reading, Unknown};

pub(super) struct Guardian {
    decoder: Decoder,
    around: Surroundings,
    /// Whether a configuration that is left out is no fault, because the service may have it.
    keeps_secrets: bool,
    pub(super) analyse: bool,
}

impl Guardian {
    pub(super) fn new(around: Surroundings, keeps_secrets: bool) -> Result<Guardian, &'static str> {
        // Guardian passes over what it does not know; whoever misspelt a field wants to hear of it.
        let reading = Reading { unknown_fields: Unknown::Refuse, ..Style::GUARDIAN.read };
        let decoder = Decoder::new("gotocompany.guardian.v1beta1.Policy", reading, lint(around.lint))?;
        Ok(Guardian { decoder, around, keeps_secrets, analyse: false })
    }
}

impl Dialect for Guardian {
    fn check(&self, source: &Source, tree: &Tree, root: NodeId) -> Checked {
        // YAML as Guardian's command line reads it: `name: 5` is a text where a text is due. Its JSON is stricter.
        let go_yaml = !source.is_json();
        let Decoded { bytes, mut findings } = self.decoder.decode(tree, root, go_yaml);
        let Some(sent) = document::<Policy>(bytes, tree, root, &mut findings) else {
            return Checked { findings, ..Checked::default() };
        };
        // As an operation does before it compiles.
        let mut policy = sent.clone();
        policy.version = 1;
        guardian::prepare(&mut policy, self.around);
        let reported = self.compile(&sent, &policy);
        let warned = reported.iter().map(Reported::as_metadata).collect();
        findings.extend(reported.into_iter().map(|one| locate(source, tree, root, one)));
        let length = policy.encoded_len();
        if length > DOCUMENT_MAX_BYTES {
            let message = format!("{length} bytes; the limit of a policy is {DOCUMENT_MAX_BYTES} bytes");
            findings.push(Finding::violation(place::start_of(tree, root), "DOCUMENT_TOO_LARGE", message));
        }
        let references = self.references(tree, root, &policy);
        let accepted = Some(Accepted { document: Document::Guardian(Box::new(sent)), warned });
        Checked { references, findings, accepted, compiled: None }
    }
}

impl Guardian {
    /// What the compiler says of a policy. Warnings are told beside violations only if those are about nothing but what the
    /// file leaves out, as every export does: then it is whole otherwise.
    fn compile(&self, sent: &Policy, prepared: &Policy) -> Vec<Reported> {
        let (warnings, violations) = match guardian::compile(prepared, self.around) {
            Ok(compiled) => {
                let warnings = compiled.warnings.into_iter().map(Reported::from);
                let found = self.analyse.then(|| analysis::of_appeals(&compiled.workflow));
                return warnings.chain(found.into_iter().flatten()).collect();
            }
            Err(refused) => (refused.warnings, refused.violations),
        };
        let left_out = secrets::left_out(sent);
        let is_left_out = |path: &str| left_out.iter().any(|place| path.starts_with(place));
        let is_whole = violations.iter().all(|one| is_left_out(&one.path));
        let shown = violations.iter().filter(|one| !self.keeps_secrets || !is_left_out(&one.path));
        let warnings = warnings.into_iter().filter(|_| is_whole).map(Reported::from);
        shown.cloned().map(Reported::from).chain(warnings).collect()
    }

    /// The policies of other ids that requirements name.
    fn references(&self, tree: &Tree, root: NodeId, policy: &Policy) -> Vec<Reference> {
        let mut references = Vec::new();
        for (n, requirement) in policy.requirements.iter().enumerate() {
            for (m, appeal) in requirement.appeals.iter().enumerate() {
                let Some(named) = appeal.policy.as_ref().filter(|named| named.id != policy.id) else {
                    continue;
                };
                let found = place::find(tree, root, &format!("requirements[{n}].appeals[{m}].policy"));
                let (id, version) = (named.id.clone(), named.version);
                references.push(Reference {
                    offset: place::start_of(tree, found.node),
                    path: found.path,
                    target: Target::Guardian { id, version, severity: lint(self.around.lint) },
                });
            }
        }
        references
    }
}

fn lint(lint: Lint) -> Severity {
    match lint {
        Lint::Warn => Severity::Warning,
        Lint::Deny => Severity::Violation,
    }
}
