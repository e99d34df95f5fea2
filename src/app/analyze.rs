//! What policies do for every request. Reads policies; writes nothing, calls nobody.

pub(super) mod witness;

use super::simulate::Prepared;
use super::{Answer, App, Error, error::invalid};
use crate::expr::{Environment, compile};
use crate::pb::c1::api::policy::v1::Policy;
use crate::pb::countersign::v1::{self as pb, policy_source::Policy as Source};
use crate::policy::{Path, Report};
use crate::workflow::analyse::{Finding, Invariant, Severity, analyse, analyse_appeals};
use std::sync::Arc;
use uuid::Uuid;

/// The most invariants of one call.
pub const INVARIANTS_MAX: usize = 32;
/// The most findings of one policy that an answer carries.
pub const FINDINGS_MAX: usize = 512;
/// How many policies of all one call analyses, where it does not say.
pub const ANALYSED_DEFAULT: usize = 20;
/// The most policies of all that one call analyses.
pub const ANALYSED_MAX: usize = 100;

impl App {
    /// Everything that can be said about one policy, or about a page of all.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of an inline policy and of the invariants; [`Error::NotFound`] and
    /// [`Error::NoSuchVersion`] for a policy that is not there; [`Error::Uncompiled`] for one that an earlier version stored.
    pub async fn analyze(&self, request: pb::AnalyzeRequest) -> Result<Answer<pb::AnalyzeResponse>, Error> {
        let root = Path::ROOT;
        let mut report = Report::default();
        let invariants = read_invariants(&mut report, &root.field("invariants"), &request.invariants);
        let Some(source) = &request.policy else {
            report.finish()?;
            return self.analyze_all(&request, invariants).await;
        };
        let (policy_at, request_at) = (root.field("policy"), root.field("request"));
        let prepared =
            self.find_policy(&mut report, &policy_at, source, &request_at, &pb::Request::default()).await?;
        report.finish()?;
        let prepared =
            prepared.ok_or_else(|| Error::Internal("a policy with faults has no violations".to_owned()))?;
        if matches!(prepared, Prepared::Appeal { .. }) && !invariants.is_empty() {
            let message = "invariants are about policies of the first dialect";
            return Err(invalid("invariants", "INVARIANTS_NOT_FOR_POLICY", message));
        }
        let id = match &source.policy {
            Some(Source::Id(id) | Source::GuardianId(id)) => id.clone(),
            Some(Source::Inline(policy)) => policy.id.clone(),
            Some(Source::GuardianInline(policy)) => policy.id.clone(),
            None => String::new(),
        };
        let analysis = self.analyzed(id, prepared, Arc::new(invariants)).await?;
        Ok(pb::AnalyzeResponse { analyses: vec![analysis], next_page_token: String::new() }.into())
    }

    /// A page of all policies of the first dialect, in the order of their ids. One that does not compile is left out; the
    /// service lists those when it starts.
    async fn analyze_all(
        &self,
        request: &pb::AnalyzeRequest,
        invariants: Vec<Invariant>,
    ) -> Result<Answer<pb::AnalyzeResponse>, Error> {
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(Uuid::try_parse(token).map_err(|_| {
                invalid("pageToken", "PAGE_TOKEN_INVALID", "this token is not from an answer of this service")
            })?),
        };
        let size = match usize::try_from(request.page_size) {
            Ok(0) => ANALYSED_DEFAULT,
            Ok(size) => size.min(ANALYSED_MAX),
            Err(_) => return Err(invalid("pageSize", "PAGE_SIZE_INVALID", "0 or more")),
        };
        let mut ids: Vec<Uuid> = self.catalogue.entries().live_after(after).take(size + 1).collect();
        let more = ids.len() > size;
        ids.truncate(size);
        let invariants = Arc::new(invariants);
        let mut analyses = Vec::with_capacity(ids.len());
        for id in &ids {
            let id = id.to_string();
            let source =
                pb::PolicySource { policy: Some(Source::Id(id.clone())), ..pb::PolicySource::default() };
            let (mut report, root) = (Report::default(), Path::ROOT);
            let found = self.find_policy(&mut report, &root, &source, &root, &pb::Request::default()).await;
            match found {
                Ok(Some(prepared)) => {
                    analyses.push(self.analyzed(id, prepared, Arc::clone(&invariants)).await?);
                }
                Ok(None) | Err(Error::NotFound { .. } | Error::Uncompiled { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let next_page_token = ids.last().filter(|_| more).map(ToString::to_string).unwrap_or_default();
        Ok(pb::AnalyzeResponse { analyses, next_page_token }.into())
    }

    /// What the analysis warns of in a policy that is to be written, each as a line; what is only good to know is left out.
    pub(super) async fn analysis_warnings(&self, policy: &Policy) -> Result<Vec<String>, Error> {
        let source = Some(Source::Inline(policy.clone()));
        let source = pb::PolicySource { policy: source, ..pb::PolicySource::default() };
        let (mut report, root) = (Report::default(), Path::ROOT);
        let prepared = self.find_policy(&mut report, &root, &source, &root, &pb::Request::default()).await?;
        let Some(Prepared::Task { policies, .. }) = prepared else { return Ok(Vec::new()) };
        let findings = self.compute.run(move |_| analyse(&policies, &[])).await?;
        let warnings = findings.iter().filter(|finding| finding.code.severity() > Severity::Info);
        Ok(warnings.map(|one| format!("{} {}: {}", one.code, one.path, one.message)).collect())
    }

    async fn analyzed(
        &self,
        policy_id: String,
        prepared: Prepared,
        invariants: Arc<Vec<Invariant>>,
    ) -> Result<pb::PolicyAnalysis, Error> {
        let findings = self.compute.run(move |_| match &prepared {
            Prepared::Task { policies, .. } => analyse(policies, &invariants),
            Prepared::Appeal { workflow, .. } => analyse_appeals(workflow),
        });
        let findings = findings.await?;
        let left_out = i32::try_from(findings.len().saturating_sub(FINDINGS_MAX)).unwrap_or(i32::MAX);
        let findings = findings.iter().take(FINDINGS_MAX).map(message).collect();
        Ok(pb::PolicyAnalysis { policy_id, findings, left_out })
    }
}

/// The invariants, or the faults of them.
fn read_invariants(report: &mut Report, at: &Path<'_>, given: &[pb::Invariant]) -> Vec<Invariant> {
    if given.len() > INVARIANTS_MAX {
        let message = format!("{} invariants; at most {INVARIANTS_MAX}", given.len());
        report.refuse(at, "INVARIANTS_TOO_MANY", message);
        return Vec::new();
    }
    let mut read = Vec::with_capacity(given.len());
    for (n, one) in given.iter().enumerate() {
        let at = at.index(n);
        if one.name.is_empty() {
            report.refuse(&at.field("name"), "NAME_REQUIRED", "an invariant has a name");
        }
        match compile(Environment::Invariant, &one.expression) {
            Ok(program) => read.push(Invariant { name: one.name.clone(), program }),
            Err(faults) => {
                let at = at.field("expression");
                faults.iter().for_each(|fault| report.diagnose(&at, fault));
            }
        }
    }
    read
}

/// A finding as a message.
fn message(finding: &Finding) -> pb::Finding {
    let severity = match finding.code.severity() {
        Severity::Info => pb::FindingSeverity::Info,
        Severity::Warning => pb::FindingSeverity::Warning,
        Severity::Error => pb::FindingSeverity::Error,
    };
    pb::Finding {
        code: finding.code.as_str().to_owned(),
        severity: severity.into(),
        path: finding.path.clone(),
        message: finding.message.clone(),
        related: finding.related.clone(),
        witness: finding.witness.as_deref().map(witness::message),
        invariant: finding.invariant.clone(),
    }
}
