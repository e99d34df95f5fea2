//! What policies do for every request. Reads policies; writes nothing, calls nobody.

pub(super) mod witness;

use super::page::Call;
use super::simulate::Prepared;
use super::{Answer, App, Error, error::invalid};
use crate::expr::{Environment, compile};
use crate::pb::c1::api::policy::v1::Policy;
use crate::pb::countersign::v1::{self as pb, policy_source::Policy as Source};
use crate::policy::{Path, Report};
use crate::workflow::Workflow;
use crate::workflow::analyse::{Code, Finding, Invariant, Severity, Stop, analyse_appeals, analyse_until};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
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
        let Some(source) = request.policy.clone() else {
            report.finish()?;
            return self.analyze_all(request, invariants).await;
        };
        let (policy_at, request_at) = (root.field("policy"), root.field("request"));
        let prepared =
            self.find_policy(&mut report, &policy_at, &source, &request_at, &pb::Request::default()).await?;
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

    /// A page of all policies: first those of the first dialect in the order of their ids, then the latest versions of Guardian's.
    /// One that does not compile is left out; the service lists those when it starts.
    async fn analyze_all(
        &self,
        request: pb::AnalyzeRequest,
        invariants: Vec<Invariant>,
    ) -> Result<Answer<pb::AnalyzeResponse>, Error> {
        let size = match usize::try_from(request.page_size) {
            Ok(0) => ANALYSED_DEFAULT,
            Ok(size) => size.min(ANALYSED_MAX),
            Err(_) => return Err(invalid("pageSize", "PAGE_SIZE_INVALID", "0 or more")),
        };
        let token = request.page_token.clone();
        let arguments = pb::AnalyzeRequest { page_size: 0, page_token: String::new(), ..request };
        let call = Call::new("Analyzer.Analyze", &arguments);
        let after = self.tokens.open(&call, &token)?.map(|cursor| Place::read(&cursor)).transpose()?;
        // One more than asked for tells whether there is another page.
        let mut places = self.places_after(after, size + 1);
        let more = places.len() > size;
        places.truncate(size);
        let invariants = Arc::new(invariants);
        let mut analyses = Vec::with_capacity(places.len());
        for place in &places {
            let (id, source) = match place {
                Place::First(id) => (id.to_string(), Source::Id(id.to_string())),
                Place::Guardian(id) => (id.clone(), Source::GuardianId(id.clone())),
            };
            let source = pb::PolicySource { policy: Some(source), ..pb::PolicySource::default() };
            let (mut report, root) = (Report::default(), Path::ROOT);
            let found = self.find_policy(&mut report, &root, &source, &root, &pb::Request::default()).await;
            match found {
                Ok(Some(prepared)) => {
                    analyses.push(self.analyzed(id, prepared, Arc::clone(&invariants)).await?);
                }
                Ok(None)
                | Err(Error::NotFound { .. } | Error::NoSuchVersion { .. } | Error::Uncompiled { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let last = places.last().filter(|_| more);
        let next_page_token = last.map(|last| self.tokens.seal(&call, last.cursor())).unwrap_or_default();
        Ok(pb::AnalyzeResponse { analyses, next_page_token }.into())
    }

    /// The policies after a place.
    fn places_after(&self, after: Option<Place>, count: usize) -> Vec<Place> {
        let (uuid, guardian) = match after {
            None => (None, None),
            Some(Place::First(id)) => (Some(id), None),
            Some(Place::Guardian(id)) => (Some(Uuid::max()), Some(id)),
        };
        let mut places: Vec<Place> =
            self.catalogue.entries().live_after(uuid).take(count).map(Place::First).collect();
        let left = count - places.len();
        if left > 0 {
            let versions = self.catalogue.versions();
            let ids = versions.ids_after(guardian.as_deref()).take(left);
            places.extend(ids.map(|id| Place::Guardian(id.to_owned())));
        }
        places
    }

    /// What the analysis warns of in a policy that is to be written, each as a line; what is only good to know is left out.
    pub(super) async fn analysis_warnings(&self, policy: &Policy) -> Result<Vec<String>, Error> {
        let source = Some(Source::Inline(policy.clone()));
        let source = pb::PolicySource { policy: source, ..pb::PolicySource::default() };
        let (mut report, root) = (Report::default(), Path::ROOT);
        let prepared = self.find_policy(&mut report, &root, &source, &root, &pb::Request::default()).await?;
        let Some(prepared) = prepared else { return Ok(Vec::new()) };
        let findings = self.compute.run(move |stop| findings(&prepared, &[], stop)).await?;
        Ok(warnings(&findings))
    }

    /// As [`App::analysis_warnings`], of what one of Guardian's means.
    pub(super) async fn guardian_analysis_warnings(&self, workflow: Workflow) -> Result<Vec<String>, Error> {
        let findings = self.compute.run(move |_| analyse_appeals(&workflow)).await?;
        Ok(warnings(&findings))
    }

    async fn analyzed(
        &self,
        policy_id: String,
        prepared: Prepared,
        invariants: Arc<Vec<Invariant>>,
    ) -> Result<pb::PolicyAnalysis, Error> {
        let dialect = match &prepared {
            Prepared::Task { .. } => pb::PolicyDialect::C1,
            Prepared::Appeal { .. } => pb::PolicyDialect::Guardian,
        };
        let findings = self.compute.run(move |stop| findings(&prepared, &invariants, stop)).await?;
        let left_out = i32::try_from(findings.len().saturating_sub(FINDINGS_MAX)).unwrap_or(i32::MAX);
        let findings = findings.iter().take(FINDINGS_MAX).map(message).collect();
        Ok(pb::PolicyAnalysis { policy_id, findings, left_out, dialect: dialect.into() })
    }
}

/// A policy, as the order of all goes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    First(Uuid),
    Guardian(String),
}

impl Place {
    /// What a page token carries.
    fn cursor(&self) -> Vec<u8> {
        let (dialect, id) = match self {
            Place::First(id) => (0, id.as_bytes().as_slice()),
            Place::Guardian(id) => (1, id.as_bytes()),
        };
        [&[dialect], id].concat()
    }

    fn read(cursor: &[u8]) -> Result<Place, Error> {
        let internal = || Error::Internal("a sealed token holds no place".to_owned());
        match cursor.split_first() {
            Some((0, id)) => Uuid::from_slice(id).map(Place::First).map_err(|_| internal()),
            Some((1, id)) => String::from_utf8(id.to_vec()).map(Place::Guardian).map_err(|_| internal()),
            _ => Err(internal()),
        }
    }
}

/// What its author should know, each as a line.
fn warnings(findings: &[Finding]) -> Vec<String> {
    let warnings = findings.iter().filter(|finding| finding.code.severity() > Severity::Info);
    warnings.map(|one| format!("{} {}: {}", one.code, one.path, one.message)).collect()
}

/// What is found; nothing once nobody waits for it.
fn findings(prepared: &Prepared, invariants: &[Invariant], stop: &Arc<AtomicBool>) -> Vec<Finding> {
    match prepared {
        Prepared::Task { policies, .. } => analyse_until(policies, invariants, &Stop::when(Arc::clone(stop))),
        Prepared::Appeal { workflow, .. } => {
            let mut findings = analyse_appeals(workflow);
            findings.extend(invariants.iter().map(|one| Finding {
                code: Code::CannotTell,
                path: String::new(),
                message: format!("the invariant {} says nothing of Guardian's policies", one.name),
                related: Vec::new(),
                invariant: one.name.clone(),
                witness: None,
            }));
            findings
        }
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
