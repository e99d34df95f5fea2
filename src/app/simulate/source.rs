//! The policies of a simulation: found in the store or given with the call, compiled once, and with everything that they may
//! lead to, as it is now.

use super::super::workflows::{Meaning, task_kind};
use super::super::world::to_object;
use super::super::{App, DOCUMENT_MAX_BYTES, Error, records};
use crate::pb::c1::api::policy::v1::Policy;
use crate::pb::countersign::v1::{self as pb, policy_source::Policy as Source};
use crate::pb::gotocompany::guardian::v1beta1::Policy as GuardianPolicy;
use crate::policy::guardian::{self, Family, Lint};
use crate::policy::{Path, Report, Violations, c1};
use crate::workflow::Workflow;
use crate::workflow::run::{Policies, Policy as Snapshot, PolicyName};
use crate::workflow::world::{Request, TaskKind};
use prost::Message;
use std::sync::Arc;

/// The most policies that a call may bring with it beside the first.
pub const OTHERS_MAX: usize = 64;
/// The most policies that are read for one simulation.
pub const POLICIES_MAX: usize = 256;
/// The id of a policy that has none.
const INLINE: &str = "inline";

/// What a request runs on.
#[derive(Debug)]
pub(in super::super) enum Prepared {
    Task {
        policies: Policies,
        /// `None` for a policy without a type.
        kind: Option<TaskKind>,
    },
    Appeal {
        workflow: Arc<Workflow>,
        policy: PolicyName,
        /// How many stages the policy declares.
        stages: usize,
        /// How many steps are the policy's own; `None` if no others were given.
        own_steps: Option<usize>,
    },
}

/// What makes two sources the same.
pub(in super::super) fn key(source: &pb::PolicySource, request: &pb::Request) -> Vec<u8> {
    let steps = request.appeal.as_ref().map(|appeal| appeal.custom_steps.clone()).unwrap_or_default();
    let steps = pb::Appeal { custom_steps: steps, ..pb::Appeal::default() };
    let mut key = source.encode_length_delimited_to_vec();
    key.extend(steps.encode_to_vec());
    key
}

impl Prepared {
    /// Refuses a request that the policy cannot run, and tells the appeal what is the policy's own.
    pub(in super::super) fn check_request(
        &self,
        report: &mut Report,
        at: &Path<'_>,
        request: &mut Request,
        asked: Option<TaskKind>,
    ) {
        match self {
            Prepared::Task { kind, .. } => {
                if let (Some(kind), Some(asked)) = (kind, asked)
                    && *kind != asked
                {
                    let message = "the policy is for another type of task";
                    report.refuse(&at.field("taskType"), "TASK_TYPE_MISMATCH", message);
                }
                if request.appeal.is_some() {
                    let message =
                        "only Guardian's policies run an appeal; give subjectId and the rest instead";
                    report.refuse(&at.field("appeal"), "APPEAL_NOT_FOR_POLICY", message);
                }
            }
            Prepared::Appeal { own_steps, .. } => match &mut request.appeal {
                Some(appeal) => appeal.own_steps = *own_steps,
                None => {
                    let message = "one of Guardian's policies runs an appeal";
                    report.refuse(&at.field("appeal"), "APPEAL_REQUIRED", message);
                }
            },
        }
    }
}

impl App {
    /// What a source means. `None` if it has faults, which are reported then.
    pub(in super::super) async fn find_policy(
        &self,
        report: &mut Report,
        at: &Path<'_>,
        given: &pb::PolicySource,
        request_at: &Path<'_>,
        request: &pb::Request,
    ) -> Result<Option<Prepared>, Error> {
        match &given.policy {
            None => {
                let message = "one of id, guardianId, inline, guardianInline";
                report.refuse(at, "POLICY_REQUIRED", message);
                Ok(None)
            }
            Some(Source::GuardianId(id)) => {
                let policy = self.guardian_stored(id, given.version).await?;
                let at = at.field("guardianId");
                Ok(self.appeal(report, &at, policy, request_at, request))
            }
            Some(Source::GuardianInline(policy)) => {
                let at = at.field("guardianInline");
                if !fits(report, &at, policy) {
                    return Ok(None);
                }
                let mut policy = policy.clone();
                guardian::prepare(&mut policy, self.lenient());
                Ok(self.appeal(report, &at, policy, request_at, request))
            }
            Some(Source::Id(_) | Source::Inline(_)) => self.task(report, at, given).await,
        }
    }

    async fn task(
        &self,
        report: &mut Report,
        at: &Path<'_>,
        given: &pb::PolicySource,
    ) -> Result<Option<Prepared>, Error> {
        let mut policies = Policies::default();
        let mut faulty = given.others.len() > OTHERS_MAX;
        if faulty {
            let message = format!("{} policies; at most {OTHERS_MAX}", given.others.len());
            report.refuse(&at.field("others"), "POLICIES_TOO_MANY", message);
        }
        let others = at.field("others");
        for (n, policy) in given.others.iter().take(OTHERS_MAX).enumerate() {
            let at = others.index(n);
            if policy.id.is_empty() {
                report.refuse(&at.field("id"), "ID_EMPTY", "another policy is found by its id");
                faulty = true;
            }
            match self.compile_inline(report, &at, policy) {
                Some(workflow) => {
                    policies.by_id.insert(policy.id.clone(), Snapshot { revision: 0, workflow });
                }
                None => faulty = true,
            }
        }
        let (id, first, kind) = match &given.policy {
            Some(Source::Inline(policy)) => {
                let Some(workflow) = self.compile_inline(report, &at.field("inline"), policy) else {
                    return Ok(None);
                };
                let id = if policy.id.is_empty() { INLINE.to_owned() } else { policy.id.clone() };
                (id, Snapshot { revision: 0, workflow }, task_kind(policy))
            }
            Some(Source::Id(id)) => {
                let (snapshot, kind) = self.snapshot(id, given.revision).await?;
                (id.clone(), snapshot, kind)
            }
            _ => return Ok(None),
        };
        policies.first.clone_from(&id);
        policies.by_id.insert(id, first);
        self.add_all_led_to(&mut policies).await?;
        Ok((!faulty).then_some(Prepared::Task { policies, kind }))
    }

    /// Adds every stored policy that those that are there may lead to. One that is not there stays away, and the machine says so
    /// if it comes to it.
    async fn add_all_led_to(&self, policies: &mut Policies) -> Result<(), Error> {
        let mut open: Vec<String> = policies.by_id.values().flat_map(|one| one.workflow.leads_to()).collect();
        while let Some(id) = open.pop() {
            if policies.by_id.contains_key(&id) || policies.by_id.len() >= POLICIES_MAX {
                continue;
            }
            match self.snapshot(&id, 0).await {
                Ok((snapshot, _)) => {
                    open.extend(snapshot.workflow.leads_to());
                    policies.by_id.insert(id, snapshot);
                }
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A stored policy: one revision of it, or with 0 as it stands.
    async fn snapshot(&self, id: &str, revision: u64) -> Result<(Snapshot, Option<TaskKind>), Error> {
        let (number, meaning) = if revision == 0 {
            self.meaning(id).await?
        } else {
            let record = self.revision(id, revision).await?;
            let record =
                record.ok_or_else(|| Error::NotFound { id: format!("{id} (revision {revision})") })?;
            (revision, self.meaning_of(id, revision, &records::read(&record.document)?)?)
        };
        let Meaning { workflow, kind, .. } = meaning;
        Ok((Snapshot { revision: number, workflow }, kind))
    }

    fn compile_inline(&self, report: &mut Report, at: &Path<'_>, policy: &Policy) -> Option<Arc<Workflow>> {
        if !fits(report, at, policy) {
            return None;
        }
        let mut policy = policy.clone();
        c1::prepare(&mut policy);
        let own_id = Some(policy.id.as_str()).filter(|id| !id.is_empty());
        match c1::compile(&policy, self.surroundings(own_id)) {
            Ok(compiled) => Some(Arc::new(compiled.workflow)),
            Err(violations) => {
                refuse_all(report, at, &violations);
                None
            }
        }
    }

    /// Guardian's policies are only looked at: what it finds out too late shows in the trace.
    fn lenient(&self) -> guardian::Surroundings {
        let compat = guardian::Compat::Default;
        guardian::Surroundings { compat, lint: Lint::Warn, family: Family::Goto, ..Default::default() }
    }

    fn appeal(
        &self,
        report: &mut Report,
        at: &Path<'_>,
        mut policy: GuardianPolicy,
        request_at: &Path<'_>,
        request: &pb::Request,
    ) -> Option<Prepared> {
        let name = PolicyName { id: policy.id.clone(), version: policy.version };
        let custom = request.appeal.as_ref().map(|appeal| appeal.custom_steps.as_slice()).unwrap_or_default();
        let own_steps = policy.steps.len();
        let asked = policy.custom_steps.is_some();
        let steps_at = request_at.field("appeal.customSteps");
        if !custom.is_empty() && !asked {
            report.refuse(&steps_at, "CUSTOM_STEPS_NOT_ASKED", "the policy has no custom steps");
            return None;
        }
        for (n, step) in custom.iter().enumerate() {
            let json = serde_json::Value::Object(to_object(step));
            match step_of(&json) {
                Ok(step) => policy.steps.push(step),
                Err(why) => {
                    report.refuse(&steps_at.index(n), "CUSTOM_STEP_INVALID", why);
                    return None;
                }
            }
        }
        match guardian::compile(&policy, self.lenient()) {
            Ok(compiled) => Some(Prepared::Appeal {
                workflow: Arc::new(compiled.workflow),
                policy: name,
                stages: policy.stages.len(),
                own_steps: (!custom.is_empty()).then_some(own_steps),
            }),
            Err(refused) => {
                refuse_all(report, at, &refused.violations);
                None
            }
        }
    }
}

/// A step of Guardian's, from its JSON with keys in snake_case.
fn step_of(
    json: &serde_json::Value,
) -> Result<crate::pb::gotocompany::guardian::v1beta1::policy::ApprovalStep, String> {
    const STEP: &str = "gotocompany.guardian.v1beta1.Policy.ApprovalStep";
    let ty =
        crate::wire::Schema::new(crate::pb::pool()).message(STEP).ok_or("the descriptors lack a step")?;
    let mut bytes = Vec::new();
    let reading = crate::wire::json::Reading::default();
    crate::wire::json::decode(&ty, json.to_string().as_bytes(), &reading, &mut bytes)
        .map_err(|error| error.to_string())?;
    Message::decode(bytes.as_slice()).map_err(|error| error.to_string())
}

/// Refuses a document that could not be stored either, before anything looks at it: what that costs grows with it.
fn fits(report: &mut Report, at: &Path<'_>, policy: &impl Message) -> bool {
    let bytes = policy.encoded_len();
    if bytes > DOCUMENT_MAX_BYTES {
        let message = format!("{bytes} bytes; the limit of a policy is {DOCUMENT_MAX_BYTES} bytes");
        report.refuse(at, "DOCUMENT_TOO_LARGE", message);
    }
    bytes <= DOCUMENT_MAX_BYTES
}

/// The violations of a document, below the place where it stands.
fn refuse_all(report: &mut Report, at: &Path<'_>, violations: &Violations) {
    let at = at.to_string();
    for one in violations.iter() {
        let path = if one.path.is_empty() { at.clone() } else { format!("{at}.{}", one.path) };
        report.refuse_at(path, one.code, one.message.clone());
    }
}
