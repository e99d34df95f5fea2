//! What a refusal carries, as a client decodes it from `grpc-status-details-bin`, and that a client can receive it.

use countersign::pb::c1::api::policy::v1::{
    Approval, CreatePolicyRequest, DeletePolicyRequest, GetPolicyRequest, PolicyScope, PolicyStep,
    PolicySteps, Rule, SearchPoliciesRequest, UserApproval, approval::Typ,
    policy_search_client::PolicySearchClient, policy_step::Step,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{accept, create, grant, reason, start, violations};

/// The most that a client may have to take of metadata: what several implementations allow at their defaults.
const METADATA_MAX_BYTES: usize = 8 * 1024;

/// How long a refusal is on the wire.
fn wire_bytes(status: &tonic::Status) -> usize {
    let mut headers = http::HeaderMap::new();
    status.add_header(&mut headers).unwrap();
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

#[tokio::test]
async fn every_violation_has_its_field_and_its_reason() {
    let (server, mut client) = start().await;
    let users = Approval { typ: Some(Typ::Users(UserApproval::default())), ..Approval::default() };
    let mut request = grant("", vec![accept(), accept(), Step::Approval(users)]);
    request.rules = vec![Rule::default()];
    let refused = client.create(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(reason(&refused), "DISPLAY_NAME_REQUIRED");
    let fields: Vec<String> = violations(&refused).into_iter().map(|(field, _)| field).collect();
    let wanted = [
        "displayName",
        "policySteps.grant.steps[2].approval.users.userIds",
        "rules[0].condition",
        "rules[0]",
    ];
    assert_eq!(fields, wanted);
    assert!(violations(&refused).iter().all(|(_, reason)| !reason.is_empty()));
    server.stop().await;
}

#[tokio::test]
async fn who_is_in_the_way_of_a_delete_is_named() {
    let (server, mut client) = start().await;
    let target = create(&mut client, grant("Target", vec![accept()])).await.id;
    let request = CreatePolicyRequest {
        policy_steps: [].into(),
        baseline_policy_id: target.clone(),
        ..grant("Referrer", Vec::new())
    };
    let mut referrers = Vec::new();
    for _ in 0..30 {
        referrers.push(create(&mut client, request.clone()).await.id);
    }
    let refused = client.delete(DeletePolicyRequest { id: target }).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "POLICY_IN_USE"));
    let failure = refused.get_details_precondition_failure().unwrap();
    let named: Vec<String> = failure.violations.into_iter().map(|one| one.subject).collect();
    let wanted: Vec<String> = referrers.iter().take(20).map(|id| format!("policies/{id}")).collect();
    assert_eq!(named, wanted);
    assert!(wire_bytes(&refused) <= METADATA_MAX_BYTES, "{}", wire_bytes(&refused));
    server.stop().await;
}

#[tokio::test]
async fn a_number_that_no_enum_value_has_is_refused() {
    let (server, mut client) = start().await;
    let mut request = grant("Name", vec![accept()]);
    request.policy_type = 99;
    request.scope = Some(PolicyScope { app_id: "app".to_owned(), slot: 7, ..PolicyScope::default() });
    let refused = client.create(request).await.unwrap_err();
    let unknown: Vec<(String, String)> = violations(&refused);
    for field in ["policyType", "scope.slot"] {
        assert!(unknown.contains(&(field.to_owned(), "ENUM_VALUE_UNKNOWN".to_owned())), "{unknown:?}");
    }
    let mut search = PolicySearchClient::new(server.channel().await);
    let request = SearchPoliciesRequest { policy_types: vec![1, -1], ..Default::default() };
    let refused = search.search(request).await.unwrap_err();
    assert_eq!(violations(&refused), [("policyTypes[1]".to_owned(), "ENUM_VALUE_UNKNOWN".to_owned())]);
    server.stop().await;
}

/// A refusal that a client's limit on metadata would not let through tells the client nothing.
#[tokio::test]
#[allow(deprecated, reason = "the deprecated field is still read")]
async fn a_refusal_with_much_to_say_still_arrives() {
    let (server, mut client) = start().await;
    let empty = PolicySteps { steps: vec![PolicyStep::default(); 100] };
    let many = CreatePolicyRequest {
        policy_steps: [("grant".to_owned(), empty.clone())].into(),
        ..grant("", vec![])
    };
    let refused = client.create(many.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "DISPLAY_NAME_REQUIRED"));
    let listed = violations(&refused);
    assert_eq!(listed[1].0, "policySteps.grant.steps[0]");
    assert_eq!(listed.last().unwrap().1, "MORE_VIOLATIONS");
    assert!(wire_bytes(&refused) <= METADATA_MAX_BYTES, "{}", wire_bytes(&refused));

    // Whatever the caller sent, the answer does not give megabytes of it back.
    let long = "ü".repeat(500_000);
    let key = CreatePolicyRequest { policy_steps: [(long.clone(), empty)].into(), ..many };
    let rule = Rule { condition: "true".to_owned(), policy_key: long.clone(), ..Rule::default() };
    let lost = CreatePolicyRequest { baseline_policy_id: long.clone(), ..grant("Name", vec![]) };
    let refusals = [
        client.create(key).await.unwrap_err(),
        client
            .create(CreatePolicyRequest { rules: vec![rule], ..grant("Name", vec![accept()]) })
            .await
            .unwrap_err(),
        client.create(CreatePolicyRequest { policy_steps: [].into(), ..lost }).await.unwrap_err(),
        client
            .create(CreatePolicyRequest { display_name: long.clone(), ..grant("", vec![accept()]) })
            .await
            .unwrap_err(),
        client.get(GetPolicyRequest { id: long.clone() }).await.unwrap_err(),
        client.delete(DeletePolicyRequest { id: long }).await.unwrap_err(),
    ];
    for (n, refused) in refusals.iter().enumerate() {
        let code = if n < 4 { Code::InvalidArgument } else { Code::NotFound };
        assert_eq!(refused.code(), code, "{n}: {}", refused.message());
        assert!(!reason(refused).is_empty());
        assert!(wire_bytes(refused) <= METADATA_MAX_BYTES, "{n}: {}", wire_bytes(refused));
    }
    server.stop().await;
}

/// An answer that a client cannot take makes it believe that a write failed that did not.
#[tokio::test]
async fn an_answer_with_many_warnings_still_arrives() {
    let (server, mut client) = start().await;
    let mut request = grant("Name", vec![accept()]);
    for n in 0..40 {
        let form = PolicyStep { step: Some(Step::Form(Default::default())) };
        // The longest keys that are allowed, in letters that metadata cannot have.
        let key = format!("{n:02}{}", "\u{10ffff}".repeat(63));
        request.policy_steps.insert(key, PolicySteps { steps: vec![form] });
    }
    let answer = client.create(request).await.unwrap();
    let warnings: Vec<&str> =
        answer.metadata().get_all("countersign-warning").iter().map(|one| one.to_str().unwrap()).collect();
    assert!(warnings[0].starts_with("FORM_EMPTY policySteps."), "{}", warnings[0]);
    assert!(warnings.last().unwrap().starts_with("MORE_WARNINGS"), "{}", warnings.last().unwrap());
    let bytes: usize = warnings.iter().map(|one| one.len() + "countersign-warning".len() + 32).sum();
    assert!(bytes <= METADATA_MAX_BYTES, "{bytes}");
    server.stop().await;
}
