//! Field masks over gRPC: none, the whole, and both spellings.

use countersign::pb::c1::api::policy::v1::policies_client::PoliciesClient;
use countersign::pb::c1::api::policy::v1::{Policy, PolicyType, UpdatePolicyRequest};
use prost_types::FieldMask;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::{accept, create, grant, start, steps, violations};

async fn update(
    client: &mut PoliciesClient<Channel>,
    policy: Policy,
    paths: Option<&[&str]>,
) -> Result<Policy, Status> {
    let update_mask =
        paths.map(|paths| FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
    let answer = client.update(UpdatePolicyRequest { policy: Some(policy), update_mask }).await?;
    Ok(answer.into_inner().policy.unwrap())
}

#[tokio::test]
#[allow(deprecated, reason = "the only plain boolean of a policy is a deprecated one")]
async fn without_a_mask_the_populated_fields_are_written() {
    let (server, mut client) = start().await;
    let mut request = grant("Name", vec![accept()]);
    request.description = "text".to_owned();
    request.reassign_tasks_to_delegates = true;
    request.annotations.insert("a".to_owned(), "1".to_owned());
    let made = create(&mut client, request).await;
    let sent = Policy { id: made.id.clone(), display_name: "Other".to_owned(), ..Policy::default() };
    for mask in [None, Some(&[][..])] {
        let updated = update(&mut client, sent.clone(), mask).await.unwrap();
        let wanted =
            Policy { display_name: "Other".to_owned(), updated_at: updated.updated_at, ..made.clone() };
        assert_eq!(updated, wanted, "empty and false are not populated");
    }
    // The same message under a mask that names them.
    let paths = &["description", "reassign_tasks_to_delegates"][..];
    let updated = update(&mut client, sent, Some(paths)).await.unwrap();
    assert_eq!((updated.description.as_str(), updated.reassign_tasks_to_delegates), ("", false));
    assert_eq!(updated.annotations, made.annotations);
    server.stop().await;
}

#[tokio::test]
async fn a_star_is_the_whole_object_but_for_what_only_the_server_sets() {
    let (server, mut client) = start().await;
    let mut request = grant("Name", vec![accept()]);
    request.description = "text".to_owned();
    request.annotations.insert("kept".to_owned(), "1".to_owned());
    let made = create(&mut client, request).await;
    let sent = Policy {
        id: made.id.clone(),
        display_name: "Other".to_owned(),
        policy_type: PolicyType::Revoke.into(),
        policy_steps: [("revoke".to_owned(), steps(vec![accept()]))].into(),
        system_builtin: true,
        created_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        deleted_at: Some(prost_types::Timestamp { seconds: 2, nanos: 0 }),
        ..Policy::default()
    };
    let updated = update(&mut client, sent.clone(), Some(&["*"])).await.unwrap();
    let wanted = Policy {
        annotations: made.annotations,
        created_at: made.created_at,
        updated_at: updated.updated_at,
        deleted_at: None,
        system_builtin: false,
        ..sent
    };
    assert_eq!(updated, wanted);
    server.stop().await;
}

#[tokio::test]
async fn paths_have_two_spellings_and_reach_into_maps() {
    let (server, mut client) = start().await;
    let made = create(&mut client, grant("Name", vec![accept()])).await;
    for (n, path) in
        ["policy_steps.`my key`", "policySteps.`my key`", "policy_steps.`my key`.steps"].iter().enumerate()
    {
        let mine = steps(vec![accept(); n + 2]);
        let sent = Policy {
            id: made.id.clone(),
            display_name: "not named".to_owned(),
            policy_steps: [("my key".to_owned(), mine.clone()), ("grant".to_owned(), steps(Vec::new()))]
                .into(),
            ..Policy::default()
        };
        let updated = update(&mut client, sent, Some(&[path])).await.unwrap();
        assert_eq!(updated.display_name, "Name", "{path}");
        assert_eq!(updated.policy_steps["my key"], mine, "{path}");
        assert_eq!(updated.policy_steps["grant"], made.policy_steps["grant"], "{path}");
    }
    let sent = Policy { id: made.id.clone(), ..Policy::default() };
    let updated = update(&mut client, sent.clone(), Some(&["policySteps.`my key`"])).await.unwrap();
    assert_eq!(updated.policy_steps, made.policy_steps, "a key that is named and not sent goes");
    for (path, why) in [
        ("policy_steps.grant.steps.0", "MASK_INTO_LIST"),
        ("display_name.x", "MASK_THROUGH_SCALAR"),
        ("nothing", "MASK_FIELD_UNKNOWN"),
        ("policy_steps.`open", "MASK_QUOTING"),
        ("*.x", "MASK_WILDCARD"),
    ] {
        let refused = update(&mut client, sent.clone(), Some(&["description", path])).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{path}");
        assert_eq!(violations(&refused), [("updateMask".to_owned(), why.to_owned())]);
        assert!(refused.message().contains(path), "{}", refused.message());
    }
    server.stop().await;
}
