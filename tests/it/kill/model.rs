//! What must be there after a kill, and whether it is.

use std::collections::BTreeMap;

use countersign::pb::c1::api::policy::v1::policies_client::PoliciesClient;
use countersign::pb::c1::api::policy::v1::policy_search_client::PolicySearchClient;
use countersign::pb::c1::api::policy::v1::{
    DeletePolicyRequest, GetPolicyRequest, ListPolicyRequest, Policy, PolicyType, SearchPoliciesRequest,
};
use prost::Message as _;
use prost_types::Timestamp;
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::client::{Create, Known, Pending, Writer, etag};

/// Holds what the service says against what was acknowledged, and takes over what became of the writes under way.
pub async fn check(channel: &Channel, writers: &mut [Writer]) {
    let mut server = Server {
        policies: PoliciesClient::new(channel.clone()),
        search: PolicySearchClient::new(channel.clone()),
    };
    for writer in writers.iter_mut() {
        for create in std::mem::take(&mut writer.creates) {
            server.check_create(&mut writer.known, create).await;
        }
        // What was not written since the last check is in the list, or was deleted before.
        for known in &mut writer.known {
            if std::mem::take(&mut known.written) {
                server.check_policy(known).await;
                server.check_search(known).await;
            }
        }
        server.check_references(&writer.known).await;
    }
    let listed = server.list().await;
    let live =
        writers.iter().flat_map(|writer| &writer.known).filter(|known| known.policy.deleted_at.is_none());
    let live: BTreeMap<String, Policy> =
        live.map(|known| (known.policy.id.clone(), known.policy.clone())).collect();
    assert_same("List", &listed, &live);
    assert_same("Search by type", &server.of_type(PolicyType::Grant).await, &live);
}

fn assert_same(what: &str, found: &BTreeMap<String, Policy>, wanted: &BTreeMap<String, Policy>) {
    for (id, policy) in wanted {
        assert_eq!(found.get(id), Some(policy), "{what}");
    }
    for id in found.keys() {
        assert!(wanted.contains_key(id), "{what} has {id}, which nobody made, or which was deleted");
    }
}

struct Server {
    policies: PoliciesClient<Channel>,
    search: PolicySearchClient<Channel>,
}

impl Server {
    async fn list(&mut self) -> BTreeMap<String, Policy> {
        let mut all = BTreeMap::new();
        let mut request = ListPolicyRequest { page_size: 20, ..ListPolicyRequest::default() };
        loop {
            let page = self.policies.list(request.clone()).await.unwrap().into_inner();
            for policy in page.list {
                assert!(all.insert(policy.id.clone(), policy).is_none(), "listed twice");
            }
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return all;
            }
        }
    }

    async fn of_type(&mut self, policy_type: PolicyType) -> BTreeMap<String, Policy> {
        let policy_types = vec![policy_type.into()];
        let found = self.found(SearchPoliciesRequest { policy_types, ..Default::default() }).await;
        found.into_iter().map(|policy| (policy.id.clone(), policy)).collect()
    }

    async fn found(&mut self, mut request: SearchPoliciesRequest) -> Vec<Policy> {
        let mut all = Vec::new();
        request.page_size = 20;
        loop {
            let page = self.search.search(request.clone()).await.unwrap().into_inner();
            all.extend(page.list);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return all;
            }
        }
    }

    /// A create that was acknowledged can be had again with its key. One that was under way happened whole or not at all;
    /// sent again with its key, it has happened once.
    async fn check_create(&mut self, known: &mut Vec<Known>, create: Create) {
        let name = create.request.display_name.clone();
        let mut made = match create.id {
            Some(_) => Vec::new(),
            None => self.found(SearchPoliciesRequest { display_name: name, ..Default::default() }).await,
        };
        assert!(made.len() <= 1, "made twice: {create:?}");
        let made = made.pop();
        if let Some(key) = create.key {
            let mut request = Request::new(create.request);
            request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
            let answer = self.policies.create(request).await.unwrap();
            let etag = etag(answer.metadata());
            let policy = answer.into_inner().policy.unwrap();
            match (create.id, made) {
                (Some(id), _) => assert_eq!(policy.id, id, "an acknowledged key was forgotten"),
                (None, Some(made)) => assert_eq!(policy, made, "made, but its key was forgotten"),
                (None, None) => {}
            }
            if !known.iter().any(|known| known.policy.id == policy.id) {
                known.push(Known {
                    policy,
                    number: 1,
                    etag,
                    old_names: Vec::new(),
                    pending: None,
                    written: true,
                });
            }
        } else if let (None, Some(made)) = (create.id, made) {
            let request = create.request;
            let wanted = Policy {
                display_name: request.display_name,
                description: request.description,
                policy_type: request.policy_type,
                policy_steps: request.policy_steps,
                baseline_policy_id: request.baseline_policy_id,
                id: made.id.clone(),
                created_at: made.created_at,
                updated_at: made.created_at,
                ..Policy::default()
            };
            assert_eq!(made, wanted, "half of a create");
            let policy = wanted;
            known.push(Known {
                policy,
                number: 1,
                etag: None,
                old_names: Vec::new(),
                pending: None,
                written: true,
            });
        }
    }

    /// Get gives what was acknowledged, or that and the write under way, with the etag of that very state.
    async fn check_policy(&mut self, known: &mut Known) {
        let answer = self.policies.get(GetPolicyRequest { id: known.policy.id.clone() }).await;
        let answer = answer.unwrap_or_else(|status| panic!("lost: {status:?}\n{known:?}"));
        let found_etag = etag(answer.metadata()).unwrap();
        let found = answer.into_inner().policy.unwrap();
        match known.pending.take() {
            // The time of an acknowledged delete is learned here, once.
            None if known.policy.deleted_at == Some(Timestamp::default()) => {
                assert!(found.deleted_at.is_some(), "a delete was taken back: {known:?}");
                known.policy.deleted_at = found.deleted_at;
            }
            Some(Pending::Update(after)) if found != known.policy => {
                let wanted = Policy { updated_at: found.updated_at, ..*after };
                assert_ne!(found.updated_at, known.policy.updated_at);
                if wanted.display_name != known.policy.display_name {
                    known.old_names.push(known.policy.display_name.clone());
                }
                (known.policy, known.number, known.etag) = (wanted, known.number + 1, None);
            }
            Some(Pending::Delete) if found.deleted_at.is_some() => {
                known.policy.deleted_at = found.deleted_at;
                (known.number, known.etag) = (known.number + 1, None);
            }
            _ => {}
        }
        assert_eq!(found, known.policy);
        // The etag that was answered with the write; and the number of the revision and the checksum of these bytes.
        assert_eq!(found_etag, countersign::app::etag(known.number, &found.encode_to_vec()), "{known:?}");
        assert!(known.etag.as_ref().is_none_or(|etag| *etag == found_etag), "{known:?}");
        known.etag = Some(found_etag);
    }

    /// It is found under its name and its words, not under names that it had, and deleted only where deleted ones are
    /// asked for.
    async fn check_search(&mut self, known: &Known) {
        let name = known.policy.display_name.clone();
        let deleted = known.policy.deleted_at.is_some();
        let both = [
            SearchPoliciesRequest { display_name: name.clone(), ..Default::default() },
            SearchPoliciesRequest { query: name, ..Default::default() },
        ];
        for request in both {
            // The words of a name also begin those of others: `name1`, `name10`.
            let mut found = self.found(request.clone()).await;
            found.retain(|one| one.id == known.policy.id);
            assert_eq!(found.len(), usize::from(!deleted), "{request:?}");
            let mut found = self.found(SearchPoliciesRequest { include_deleted: true, ..request }).await;
            found.retain(|one| one.id == known.policy.id);
            assert_eq!(found, std::slice::from_ref(&known.policy));
        }
        for old_name in &known.old_names {
            let request = SearchPoliciesRequest {
                display_name: old_name.clone(),
                include_deleted: true,
                ..Default::default()
            };
            assert!(self.found(request).await.is_empty(), "found under the name it had: {old_name}");
        }
    }

    /// What is referred to cannot be deleted, so the index of referrers is there.
    async fn check_references(&mut self, known: &[Known]) {
        let Some(base) = known.first().map(|known| &known.policy) else { return };
        let mut live = known.iter().filter(|known| known.policy.deleted_at.is_none());
        if live.any(|known| known.policy.baseline_policy_id == base.id) {
            let refused =
                self.policies.delete(DeletePolicyRequest { id: base.id.clone() }).await.unwrap_err();
            assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
        }
    }
}
