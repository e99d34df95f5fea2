//! What a document refers to: whether the policies are there, and whether requirements come back to where they began.

use super::Doing;
use super::write::too_large;
use crate::app::{App, Caller, DOCUMENT_MAX_BYTES, Error};
use crate::pb::gotocompany::guardian::v1beta1::{Policy, PolicyConfig};
use crate::policy::guardian::{self, Lint, REFERENCES_MAX, Refused, Surroundings};
use crate::policy::{Path, Report, Warning};
use prost::Message;
use std::collections::BTreeSet;

/// How many policies are read to find a cycle.
const REFERENCES_WALKED_MAX: usize = 64;

/// Refuses what costs too much to look at.
pub(super) fn too_large_to_check(policy: &Policy) -> Result<(), Error> {
    let bytes = policy.encoded_len();
    if bytes > DOCUMENT_MAX_BYTES { Err(too_large(bytes)) } else { Ok(()) }
}

/// The other policies that are referred to, each with the places of its requirement and its appeal. Of a document that has too many,
/// which is refused for that, not all. That one leads to the policy itself has been said without looking anything up.
fn references(policy: &Policy) -> Vec<(usize, usize, &PolicyConfig)> {
    let references = policy.requirements.iter().enumerate().flat_map(|(n, requirement)| {
        let appeals = requirement.appeals.iter().enumerate();
        appeals.filter_map(move |(m, appeal)| Some((n, m, appeal.policy.as_ref()?)))
    });
    let references = references.filter(|(.., named)| named.id != policy.id);
    references.take(REFERENCES_MAX).collect()
}

impl App {
    /// Everything that must hold before a document is stored; what comes back are its warnings. Whoever only asks gets those of
    /// the analysis, too.
    ///
    /// Versions never change and never go away, so that what was found here still holds when the document is stored.
    pub(super) async fn guardian_check(
        &self,
        caller: &Caller,
        doing: Doing,
        policy: &Policy,
        around: Surroundings,
    ) -> Result<Vec<String>, Error> {
        // Before anything looks at it, because what that costs grows with it.
        too_large_to_check(policy)?;
        let compiled = match guardian::compile(policy, around) {
            Ok(compiled) => compiled,
            Err(mut refused) => {
                // All violations come at once.
                if self.guardian.lint == Lint::Deny
                    && let Err(Error::Invalid(more)) = self.check_guardian_references(policy).await
                {
                    refused.violations.extend(more);
                }
                return Err(self.guardian.refusal(doing, *refused));
            }
        };
        let found = match self.check_guardian_references(policy).await {
            Err(Error::Invalid(violations)) => {
                return Err(self.guardian.refusal(doing, Refused::by_lints(violations)));
            }
            found => found?,
        };
        let warnings: Vec<Warning> = compiled.warnings.into_iter().chain(found).collect();
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        if caller.validate_only {
            warnings.extend(self.guardian_analysis_warnings(compiled.workflow).await?);
        }
        Ok(warnings)
    }

    pub(super) async fn check_guardian_references(&self, policy: &Policy) -> Result<Vec<Warning>, Error> {
        let mut report = Report::default();
        let root = Path::ROOT;
        let path = root.field("requirements");
        for (n, m, reference) in references(policy) {
            let at = path.index(n);
            let at = at.field("appeals");
            let at = at.index(m);
            let at = at.field("policy");
            if self.find(&reference.id, reference.version).await?.is_none() {
                let message = format!("there is no version {} of policy {}", reference.version, reference.id);
                self.lint(&mut report, &at, "POLICY_REFERENCE_UNKNOWN", message);
            }
            if self.comes_back(&policy.id, (reference.id.clone(), reference.version)).await? {
                self.lint(&mut report, &at, "REQUIREMENT_CYCLE", guardian::comes_back(&reference.id));
            }
        }
        Ok(report.finish()?)
    }

    fn lint(&self, report: &mut Report, at: &Path<'_>, code: &'static str, message: String) {
        match self.guardian.lint {
            Lint::Warn => report.warn(at, code, message),
            Lint::Deny => report.refuse(at, code, message),
        }
    }

    async fn find(&self, id: &str, version: i32) -> Result<Option<Policy>, Error> {
        let Some(version) = u32::try_from(version).ok().filter(|version| *version > 0) else {
            return Ok(None);
        };
        // No id that is too long to be stored is looked for.
        if id.len() > guardian::ID_MAX_BYTES {
            return Ok(None);
        }
        Ok(self.guardian_version(id, version).await?.map(|document| document.policy))
    }

    /// Whether following the requirements from a version leads to the policy `own`.
    async fn comes_back(&self, own: &str, from: (String, i32)) -> Result<bool, Error> {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some((id, version)) = open.pop() {
            if id == own {
                return Ok(true);
            }
            if seen.len() >= REFERENCES_WALKED_MAX || !seen.insert((id.clone(), version)) {
                continue;
            }
            let Some(policy) = self.find(&id, version).await? else { continue };
            let appeals = policy.requirements.into_iter().flat_map(|requirement| requirement.appeals);
            open.extend(appeals.filter_map(|appeal| appeal.policy).map(|policy| (policy.id, policy.version)));
        }
        Ok(false)
    }
}
