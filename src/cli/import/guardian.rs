//! Guardian's policies: created under their own ids, or updated where there is one. The service is asked to keep what it does
//! not show (`countersign-apply`), so that a file without secrets, as every export is, takes none away.

use std::collections::{BTreeSet, HashMap};

use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use super::order::order;
use super::{Done, Given, Outcome};
use crate::cli::Failure;
use crate::cli::remote::{ANSWER_MAX_BYTES, Remote, Service, refusal};
use crate::cli::terminal::printable;
use crate::pb::gotocompany::guardian::v1beta1::guardian_service_client::GuardianServiceClient;
use crate::pb::gotocompany::guardian::v1beta1::{
    CreatePolicyRequest, GetPolicyRequest, Policy, UpdatePolicyRequest,
};
use crate::policy::guardian::secrets;

pub(super) fn import(remote: &Remote, given: &[Given<Policy>], done: &mut Done) -> Result<(), Failure> {
    let policies = || given.iter().map(|given| &given.policy);
    let mut ids = BTreeSet::new();
    if let Some(twice) = policies().find(|policy| !ids.insert(policy.id.as_str())) {
        return Err(Failure::usage(format!("there are two policies with the id {}", printable(&twice.id))));
    }
    let client = GuardianServiceClient::new(remote.service()).max_decoding_message_size(ANSWER_MAX_BYTES);
    let mut client = Client { remote, client };
    let places: HashMap<&str, usize> =
        policies().enumerate().map(|(n, policy)| (policy.id.as_str(), n)).collect();
    let needs = |n: usize| {
        let requirements = given.get(n).into_iter().flat_map(|given| &given.policy.requirements);
        let named = requirements.flat_map(|one| &one.appeals).filter_map(|appeal| appeal.policy.as_ref());
        named.filter_map(|policy| places.get(policy.id.as_str()).copied()).collect()
    };
    for n in order(given.len(), needs) {
        let Some(given) = given.get(n) else { continue };
        let (outcome, version) = client.put(given, done.dry_run)?;
        done.tell(outcome, &format!("{} (version {version})", given.policy.id))?;
    }
    Ok(())
}

struct Client<'a> {
    remote: &'a Remote,
    client: GuardianServiceClient<Service>,
}

impl Client<'_> {
    /// Makes the service's policy what the file says, and returns what that took and the version that holds.
    fn put(&mut self, given: &Given<Policy>, dry_run: bool) -> Result<(Outcome, u32), Failure> {
        let policy = &given.policy;
        let failed = |status: &tonic::Status| {
            Failure::failed(format!("policy {}: {}", printable(&policy.id), refusal(status)))
        };
        // The service says when, and as which version.
        let sent = Policy { version: 0, created_at: None, updated_at: None, ..policy.clone() };
        let request = GetPolicyRequest { id: policy.id.clone(), version: 0 };
        let before = match self.remote.call(self.client.get_policy(request)) {
            Ok(answer) => answer.policy.map(|policy| policy.version),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => return Err(failed(&status)),
        };
        let Some(before) = before else {
            note_what_is_left_out(policy);
            let mut request = Request::new(CreatePolicyRequest { policy: Some(sent), dry_run: false });
            only_ask(&mut request, dry_run);
            let answer = self.remote.wait(self.client.create_policy(request));
            let answer = answer.map_err(|status| failed(&status))?;
            given.tell_warnings(&policy.id, &answer);
            return Ok((Outcome::Created, answer.into_inner().policy.map_or(1, |policy| policy.version)));
        };
        let update = UpdatePolicyRequest { id: policy.id.clone(), policy: Some(sent), dry_run: false };
        let mut request = Request::new(update);
        only_ask(&mut request, dry_run);
        request.metadata_mut().insert("countersign-apply", MetadataValue::from_static("true"));
        let answer =
            self.remote.wait(self.client.update_policy(request)).map_err(|status| failed(&status))?;
        given.tell_warnings(&policy.id, &answer);
        let version = answer.into_inner().policy.map_or(before, |policy| policy.version);
        Ok((if version == before { Outcome::Unchanged } else { Outcome::Updated }, version))
    }
}

/// Everything is checked as in the call itself, which Guardian's own dry run does not do.
fn only_ask<T>(request: &mut Request<T>, dry_run: bool) {
    if dry_run {
        request.metadata_mut().insert("countersign-validate-only", MetadataValue::from_static("true"));
    }
}

/// A new policy has nothing that could be kept.
fn note_what_is_left_out(policy: &Policy) {
    for place in secrets::lacking(policy) {
        eprintln!(
            "countersign: policy {}: {} is not in the file, and the service has none to keep",
            printable(&policy.id),
            printable(&place)
        );
    }
}
