//! ConductorOne's policies: updated by their ids where the service has them, else by name and type, else created; ids are the
//! service's own, so references between the policies of the files are changed to the ids they have there.

use std::collections::{BTreeMap, HashMap, HashSet};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Request};

use super::order::order;
use super::{Done, Given, Outcome};
use crate::cli::Failure;
use crate::cli::remote::{ANSWER_MAX_BYTES, Remote, Service, refusal};
use crate::cli::terminal::printable;
use crate::pb::c1::api::policy::v1::policies_client::PoliciesClient;
use crate::pb::c1::api::policy::v1::{
    CreatePolicyRequest, GetPolicyRequest, ListPolicyRequest, Policy, UpdatePolicyRequest,
};
use crate::policy::c1;

/// Policies a page of the list.
const PAGE: i32 = 100;

pub(super) fn import(remote: &Remote, given: &[Given<Policy>], done: &mut Done) -> Result<(), Failure> {
    let policies = || given.iter().map(|given| &given.policy);
    let mut places = HashMap::new();
    for (n, policy) in policies().enumerate().filter(|(_, policy)| !policy.id.is_empty()) {
        if places.insert(policy.id.clone(), n).is_some() {
            let id = printable(&policy.id);
            return Err(Failure::usage(format!("there are two policies with the id {id}")));
        }
    }
    let needs = |n: usize| {
        let references = given.get(n).map(|given| c1::references(&given.policy)).unwrap_or_default();
        references.iter().filter_map(|one| places.get(&one.target).copied()).collect()
    };
    let client = PoliciesClient::new(remote.service()).max_decoding_message_size(ANSWER_MAX_BYTES);
    let mut import = Import { remote, client, stored: None, taken: HashSet::new(), ids: HashMap::new() };
    // Those that the service has under their own ids are nobody else's, whatever they are called.
    let mut found = Vec::new();
    for policy in policies() {
        let own = import.live(&policy.id)?;
        import.taken.extend(own.iter().map(|own| own.policy.id.clone()));
        found.push(own);
    }
    for n in order(given.len(), needs) {
        let (Some(given), Some(own)) = (given.get(n), found.get_mut(n)) else { continue };
        let (outcome, id) = import.put(given, own.take(), done.dry_run)?;
        let policy = &given.policy;
        let was = if policy.id.is_empty() || policy.id == id {
            String::new()
        } else {
            format!(", {} in the file", policy.id)
        };
        done.tell(outcome, &format!("{id} ({}{was})", policy.display_name))?;
        if !policy.id.is_empty() {
            import.ids.insert(policy.id.clone(), id);
        }
    }
    Ok(())
}

/// A policy of the service, and the etag of its state.
struct Stored {
    policy: Policy,
    etag: Option<MetadataValue<Ascii>>,
}

struct Import<'a> {
    remote: &'a Remote,
    client: PoliciesClient<Service>,
    /// All policies of the service before anything was written; read when the first is looked for by name.
    stored: Option<Vec<Policy>>,
    /// Policies of the service that a policy of the files has become already.
    taken: HashSet<String>,
    /// The ids of the files, and what they are in the service.
    ids: HashMap<String, String>,
}

impl Import<'_> {
    /// Makes the service's policy what the file says, and returns what that took and its id.
    fn put(
        &mut self,
        given: &Given<Policy>,
        own: Option<Stored>,
        dry_run: bool,
    ) -> Result<(Outcome, String), Failure> {
        let mut wanted = content(&given.policy);
        c1::rewrite_references(&mut wanted, |id| self.ids.get(id).cloned());
        let stored = match own {
            Some(stored) => Some(stored),
            None => match self.by_name(&wanted)? {
                Some(id) => self.live(&id)?,
                None => None,
            },
        };
        let Some(Stored { policy: stored, etag }) = stored else {
            let id = if dry_run { "(new)".to_owned() } else { self.create(given, wanted)? };
            return Ok((Outcome::Created, id));
        };
        let outcome = if content(&stored) == wanted { Outcome::Unchanged } else { Outcome::Updated };
        if outcome == Outcome::Updated && !dry_run {
            self.update(given, &stored, etag, wanted)?;
        }
        Ok((outcome, stored.id))
    }

    /// The live policy of that id.
    fn live(&mut self, id: &str) -> Result<Option<Stored>, Failure> {
        if id.is_empty() {
            return Ok(None);
        }
        match self.remote.wait(self.client.get(GetPolicyRequest { id: id.to_owned() })) {
            Ok(answer) => {
                let etag = answer.metadata().get("etag").cloned();
                let live = answer.into_inner().policy.filter(|policy| policy.deleted_at.is_none());
                Ok(live.map(|policy| Stored { policy, etag }))
            }
            Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => Ok(None),
            Err(status) => Err(Failure::failed(format!("policy {}: {}", printable(id), refusal(&status)))),
        }
    }

    /// The id of the policy of the service that this one became in an earlier import: of the same name and type, and equal
    /// to it if there are several.
    fn by_name(&mut self, wanted: &Policy) -> Result<Option<String>, Failure> {
        let stored = match self.stored.take() {
            Some(stored) => stored,
            None => list(self.remote, &mut self.client)?,
        };
        let same = |one: &&Policy| {
            one.display_name == wanted.display_name
                && one.policy_type == wanted.policy_type
                && !self.taken.contains(&one.id)
        };
        let candidates: Vec<&Policy> = stored.iter().filter(same).collect();
        let equal = candidates.iter().find(|one| content(one) == *wanted);
        let chosen = match (equal, candidates.as_slice()) {
            (Some(equal), _) => Some(equal.id.clone()),
            (None, []) => None,
            (None, [one]) => Some(one.id.clone()),
            (None, several) => {
                let ids: Vec<&str> = several.iter().map(|one| one.id.as_str()).collect();
                return Err(Failure::failed(format!(
                    "several policies are called {}: {}; write the id of the one that is meant into the file",
                    printable(&wanted.display_name),
                    ids.join(", ")
                )));
            }
        };
        self.stored = Some(stored);
        self.taken.extend(chosen.clone());
        Ok(chosen)
    }

    #[allow(deprecated, reason = "a deprecated field is still stored and given back")]
    fn create(&mut self, given: &Given<Policy>, wanted: Policy) -> Result<String, Failure> {
        let request = CreatePolicyRequest {
            display_name: wanted.display_name,
            description: wanted.description,
            policy_type: wanted.policy_type,
            policy_steps: wanted.policy_steps,
            rules: wanted.rules,
            post_actions: wanted.post_actions,
            reassign_tasks_to_delegates: wanted.reassign_tasks_to_delegates,
            baseline_policy_id: wanted.baseline_policy_id,
            scope: wanted.scope,
            annotations: wanted.annotations,
            ..CreatePolicyRequest::default()
        };
        let answer = self.remote.wait(self.client.create(request));
        let answer = answer.map_err(|status| refused(&given.policy, &status))?;
        given.tell_warnings(&given.policy.display_name, &answer);
        let id = answer.into_inner().policy.map(|policy| policy.id).unwrap_or_default();
        self.taken.insert(id.clone());
        Ok(id)
    }

    fn update(
        &mut self,
        given: &Given<Policy>,
        stored: &Policy,
        etag: Option<MetadataValue<Ascii>>,
        mut wanted: Policy,
    ) -> Result<(), Failure> {
        wanted.id.clone_from(&stored.id);
        // An update merges annotations; an empty value takes one away.
        for key in stored.annotations.keys() {
            wanted.annotations.entry(key.clone()).or_default();
        }
        let mask = prost_types::FieldMask { paths: vec!["*".to_owned()] };
        let mut request = Request::new(UpdatePolicyRequest { policy: Some(wanted), update_mask: Some(mask) });
        // Nobody else's change is overwritten that came after the comparison.
        if let Some(etag) = etag {
            request.metadata_mut().insert("if-match", etag);
        }
        let answer = self.remote.wait(self.client.update(request));
        let answer = answer.map_err(|status| refused(&given.policy, &status))?;
        given.tell_warnings(&given.policy.display_name, &answer);
        Ok(())
    }
}

/// Every live policy of the service.
pub(in crate::cli) fn list(
    remote: &Remote,
    client: &mut PoliciesClient<Service>,
) -> Result<Vec<Policy>, Failure> {
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let request = ListPolicyRequest { page_size: PAGE, page_token: token };
        let answer = remote.call(client.list(request));
        let answer = answer.map_err(|status| Failure::failed(format!("the list: {}", refusal(&status))))?;
        all.extend(answer.list);
        token = answer.next_page_token;
        if token.is_empty() {
            return Ok(all);
        }
    }
}

/// What a policy says, apart from what only the service sets, in the shape in which it is kept.
fn content(policy: &Policy) -> Policy {
    let mut content = Policy {
        id: String::new(),
        system_builtin: false,
        created_at: None,
        updated_at: None,
        deleted_at: None,
        annotations: c1::merge_annotations(&BTreeMap::new(), &policy.annotations),
        ..policy.clone()
    };
    c1::prepare(&mut content);
    content
}

fn refused(policy: &Policy, status: &tonic::Status) -> Failure {
    Failure::failed(format!("policy {}: {}", printable(&policy.display_name), refusal(status)))
}
