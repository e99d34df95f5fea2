//! A policy's life, what travels beside it, and the services that are only declared.

use countersign::pb::c1::api::policy::v1::account_provision_policy_test_client::AccountProvisionPolicyTestClient;
use countersign::pb::c1::api::policy::v1::policies_client::PoliciesClient;
use countersign::pb::c1::api::policy::v1::policy_search_client::PolicySearchClient;
use countersign::pb::c1::api::policy::v1::policy_validate_client::PolicyValidateClient;
use countersign::pb::c1::api::policy::v1::{
    CreatePolicyRequest, DeletePolicyRequest, EditorEnvironment, EditorValidateRequest, ListPolicyRequest,
    Policy, SearchPoliciesRequest, TestAccountProvisionPolicyRequest, UpdatePolicyRequest,
};
use prost_types::FieldMask;
use tonic::{Code, Request};

use super::{accept, create, get, grant, reason, start, text};
use crate::harness::{ManualClock, Server, settings};

#[tokio::test]
async fn create_get_list_search_update_delete() {
    let (server, mut client) = start().await;
    let mut search = PolicySearchClient::new(server.channel().await);
    let made = create(&mut client, grant("Data platform", vec![accept()])).await;
    assert_eq!(get(&mut client, &made.id).await, made);
    let other = create(&mut client, grant("Other", vec![accept()])).await;
    let list = client.list(ListPolicyRequest::default()).await.unwrap().into_inner();
    assert_eq!((list.list, list.next_page_token), (vec![made.clone(), other.clone()], String::new()));
    let query = SearchPoliciesRequest { query: "plat".to_owned(), ..Default::default() };
    assert_eq!(search.search(query.clone()).await.unwrap().into_inner().list, std::slice::from_ref(&made));

    let policy = Policy { id: made.id.clone(), description: "text".to_owned(), ..Policy::default() };
    let update_mask = Some(FieldMask { paths: vec!["description".to_owned()] });
    let updated = client.update(UpdatePolicyRequest { policy: Some(policy), update_mask }).await.unwrap();
    let updated = updated.into_inner().policy.unwrap();
    let wanted = Policy { description: "text".to_owned(), updated_at: updated.updated_at, ..made.clone() };
    assert_eq!(updated, wanted);
    assert_eq!(get(&mut client, &made.id).await, updated);

    client.delete(DeletePolicyRequest { id: made.id.clone() }).await.unwrap();
    let gone = get(&mut client, &made.id).await;
    assert!(gone.deleted_at.is_some());
    assert_eq!(Policy { deleted_at: None, ..gone }, updated);
    assert_eq!(client.list(ListPolicyRequest::default()).await.unwrap().into_inner().list, [other]);
    assert!(search.search(query).await.unwrap().into_inner().list.is_empty());
    let again = client.delete(DeletePolicyRequest { id: made.id.clone() }).await.unwrap_err();
    assert_eq!((again.code(), reason(&again).as_str()), (Code::NotFound, "POLICY_NOT_FOUND"));
    server.stop().await;
}

#[tokio::test]
async fn etags_and_warnings_are_metadata_and_if_match_is_heard() {
    let (server, mut client) = start().await;
    let request = CreatePolicyRequest { policy_steps: [].into(), ..grant("Name", Vec::new()) };
    let answer = client.create(request).await.unwrap();
    let first = text(answer.metadata(), "etag").unwrap();
    let warning = text(answer.metadata(), "countersign-warning").unwrap();
    assert!(warning.starts_with("BASELINE_ADDED policySteps.grant: "), "{warning}");
    let id = answer.into_inner().policy.unwrap().id;
    let answer = client.get(super::GetPolicyRequest { id: id.clone() }).await.unwrap();
    assert_eq!(text(answer.metadata(), "etag"), Some(first.clone()));
    assert_eq!(text(answer.metadata(), "countersign-warning"), None);

    let update = |description: &str, etag: &str| {
        let policy = Policy { id: id.clone(), description: description.to_owned(), ..Policy::default() };
        let mut request = Request::new(UpdatePolicyRequest { policy: Some(policy), update_mask: None });
        request.metadata_mut().insert("if-match", etag.parse().unwrap());
        request
    };
    let answer = client.update(update("one", &first)).await.unwrap();
    let second = text(answer.metadata(), "etag").unwrap();
    assert_ne!(first, second);
    let refused = client.update(update("two", &first)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let mut request = Request::new(DeletePolicyRequest { id: id.clone() });
    request.metadata_mut().insert("if-match", first.parse().unwrap());
    assert_eq!(client.delete(request).await.unwrap_err().code(), Code::Aborted);
    let mut request = Request::new(DeletePolicyRequest { id: id.clone() });
    request.metadata_mut().insert("if-match", second.parse().unwrap());
    client.delete(request).await.unwrap();
    server.stop().await;
}

/// 2027-01-15, 08:00:00 UTC.
const START: i64 = 1_800_000_000;

#[tokio::test]
async fn times_are_those_of_the_clock_that_was_handed_in() {
    let clock = ManualClock::at(START);
    let server = Server::with(&settings("memory:", &[]), clock.clone()).await;
    let mut client = PoliciesClient::new(server.channel().await);
    let made = create(&mut client, grant("Name", vec![accept()])).await;
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    assert_eq!((made.created_at, made.updated_at, made.deleted_at), (at(START), at(START), None));
    clock.advance(5);
    let policy = Policy { id: made.id.clone(), description: "text".to_owned(), ..Policy::default() };
    let updated =
        client.update(UpdatePolicyRequest { policy: Some(policy), update_mask: None }).await.unwrap();
    let updated = updated.into_inner().policy.unwrap();
    assert_eq!((updated.created_at, updated.updated_at), (at(START), at(START + 5)));
    clock.advance(5);
    client.delete(DeletePolicyRequest { id: made.id.clone() }).await.unwrap();
    assert_eq!(get(&mut client, &made.id).await.deleted_at, at(START + 10));
    server.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_is_kept_for_a_day() {
    let clock = ManualClock::at(START);
    let server = Server::with(&settings("memory:", &[]), clock.clone()).await;
    let mut client = PoliciesClient::new(server.channel().await);
    let keyed = |name: &str| {
        let mut request = Request::new(grant(name, vec![accept()]));
        request.metadata_mut().insert("idempotency-key", "a key".parse().unwrap());
        request
    };
    let answer = client.create(keyed("Once")).await.unwrap();
    let etag = text(answer.metadata(), "etag");
    let made = answer.into_inner().policy.unwrap();
    clock.advance(24 * 60 * 60 - 1);
    let again = client.create(keyed("Once")).await.unwrap();
    assert_eq!(text(again.metadata(), "etag"), etag);
    assert_eq!(again.into_inner().policy.unwrap(), made);
    let refused = client.create(keyed("Other")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
    clock.advance(1);
    let other = client.create(keyed("Other")).await.unwrap().into_inner().policy.unwrap();
    assert_ne!(other.id, made.id);
    // Taken again, it counts again, also when the old one is cleared away.
    clock.advance(60);
    create(&mut client, grant("Between", vec![accept()])).await;
    assert_eq!(client.create(keyed("Other")).await.unwrap().into_inner().policy.unwrap().id, other.id);
    assert_eq!(client.create(keyed("Once")).await.unwrap_err().code(), Code::AlreadyExists);
    server.stop().await;
}

#[tokio::test]
async fn expressions_are_checked_and_evaluated_by_themselves() {
    let (server, _) = start().await;
    let channel = server.channel().await;
    let text = "appOwners".to_owned();
    let conditions = EditorValidateRequest { text: text.clone(), environment: 0 };
    let approvers = EditorValidateRequest { text, environment: EditorEnvironment::Approver.into() };
    let mut validate = PolicyValidateClient::new(channel.clone());
    assert_eq!(validate.validate_cel(conditions).await.unwrap().into_inner().markers.len(), 1);
    assert_eq!(validate.validate_cel(approvers).await.unwrap().into_inner().markers, []);
    let other = EditorValidateRequest { text: "true".to_owned(), environment: 77 };
    assert_eq!(reason(&validate.validate_cel(other).await.unwrap_err()), "ENUM_VALUE_UNKNOWN");

    let mut test = AccountProvisionPolicyTestClient::new(channel);
    let request = TestAccountProvisionPolicyRequest { cel: "subject.username".to_owned() };
    let answer = test.test(request).await.unwrap().into_inner();
    assert_eq!((answer.r#type.as_str(), answer.value.as_str()), ("string", "jane.doe"));
    let request = TestAccountProvisionPolicyRequest { cel: "subject.nothing".to_owned() };
    let refused = test.test(request).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::InvalidArgument, "EXPRESSION_UNDECLARED_FIELD")
    );
    server.stop().await;
}

#[tokio::test]
async fn what_is_only_tried_is_checked_and_not_written() {
    let (server, mut client) = start().await;
    let tried = |request: CreatePolicyRequest| {
        let mut request = Request::new(request);
        request.metadata_mut().insert("countersign-validate-only", "true".parse().unwrap());
        request
    };
    let answer = client.create(tried(grant("Tried", vec![accept()]))).await.unwrap();
    assert_eq!(text(answer.metadata(), "etag"), None);
    assert_eq!(answer.into_inner().policy.unwrap().id, "");
    let refused = client.create(tried(grant("", vec![accept()]))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(client.list(ListPolicyRequest::default()).await.unwrap().into_inner().list, []);
    server.stop().await;
}
