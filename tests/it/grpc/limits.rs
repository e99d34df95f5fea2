//! How much fits, and that the refusal of one more names the limit.

use std::collections::BTreeMap;

use countersign::pb::c1::api::policy::v1::{
    Accept, CreatePolicyRequest, DeletePolicyRequest, Policy, PolicySteps, Rule, UpdatePolicyRequest,
    policy_step::Step, rule::Outcome,
};
use prost::Message as _;
use prost_types::FieldMask;
use tonic::Code;

use super::{accept, create, get, grant, start, steps, violations};

fn rules(count: usize) -> Vec<Rule> {
    let outcome = Some(Outcome::StepKey("grant".to_owned()));
    vec![Rule { condition: "true".to_owned(), outcome, ..Rule::default() }; count]
}

fn sequences(count: usize) -> BTreeMap<String, PolicySteps> {
    let others = (1..count).map(|n| (format!("sequence {n}"), steps(vec![accept()])));
    others.chain([("grant".to_owned(), steps(vec![accept()]))]).collect()
}

#[tokio::test]
async fn steps_sequences_and_rules_have_limits() {
    let (server, mut client) = start().await;
    let with_rules = |count| CreatePolicyRequest { rules: rules(count), ..grant("Name", vec![accept()]) };
    let with_sequences =
        |count| CreatePolicyRequest { policy_steps: sequences(count), ..grant("Name", vec![]) };
    let cases = [
        (grant("Name", vec![accept(); 100]), grant("Name", vec![accept(); 101]), "STEPS_TOO_MANY", "100"),
        (with_sequences(64), with_sequences(65), "SEQUENCES_TOO_MANY", "64"),
        (with_rules(128), with_rules(129), "RULES_TOO_MANY", "128"),
    ];
    for (fits, over, why, limit) in cases {
        let made = create(&mut client, fits.clone()).await;
        assert_eq!((&made.policy_steps, &made.rules), (&fits.policy_steps, &fits.rules));
        assert_eq!(get(&mut client, &made.id).await, made);
        let refused = client.create(over).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{why}");
        assert_eq!(violations(&refused)[0].1, why);
        assert!(refused.message().contains(limit), "{}", refused.message());
    }
    server.stop().await;
}

/// A policy whose document has this many bytes, once the server has set what it sets.
fn of_size(bytes: usize) -> CreatePolicyRequest {
    let message = |length| Step::Accept(Accept { accept_message: "x".repeat(length) });
    let document = |request: &CreatePolicyRequest| {
        let time = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 });
        let set_by_server =
            Policy { id: "x".repeat(36), created_at: time, updated_at: time, ..Policy::default() };
        request.encoded_len() + set_by_server.encoded_len()
    };
    let rest = document(&grant("Name", vec![message(bytes - 400)])) - (bytes - 400);
    let request = grant("Name", vec![message(bytes - rest)]);
    assert_eq!(document(&request), bytes);
    request
}

#[tokio::test]
async fn a_document_has_128_kib() {
    const LIMIT: usize = 128 * 1024;
    let clock = crate::harness::ManualClock::at(1_800_000_000);
    let server = crate::harness::Server::with(&crate::harness::settings("memory:", &[]), clock).await;
    let mut client = super::PoliciesClient::new(server.channel().await);
    let made = create(&mut client, of_size(LIMIT)).await;
    assert_eq!(made.encoded_len(), LIMIT);
    assert_eq!(get(&mut client, &made.id).await, made);
    let refused = client.create(of_size(LIMIT + 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(violations(&refused), [(String::new(), "DOCUMENT_TOO_LARGE".to_owned())]);
    assert!(refused.message().contains("131073 bytes; the limit of a policy is 131072 bytes"), "{refused:?}");
    // It is told beside what else is wrong.
    let unnamed = CreatePolicyRequest { display_name: String::new(), ..of_size(LIMIT + 100) };
    let refused = violations(&client.create(unnamed).await.unwrap_err());
    let wanted = [("displayName", "DISPLAY_NAME_REQUIRED"), ("", "DOCUMENT_TOO_LARGE")];
    assert_eq!(refused, wanted.map(|(field, reason)| (field.to_owned(), reason.to_owned())));
    // Also when an update makes it grow.
    let policy = Policy { id: made.id.clone(), description: "x".to_owned(), ..Policy::default() };
    let refused =
        client.update(UpdatePolicyRequest { policy: Some(policy), update_mask: None }).await.unwrap_err();
    assert_eq!(violations(&refused)[0].1, "DOCUMENT_TOO_LARGE");
    assert_eq!(get(&mut client, &made.id).await, made);
    // Nor has a mask more than there is room for beside it.
    let paths = (10..30).map(|n| format!("annotations.{}{n}", "k".repeat(900))).collect();
    let policy = Some(Policy { id: made.id.clone(), ..Policy::default() });
    let update_mask = Some(FieldMask { paths });
    let refused = client.update(UpdatePolicyRequest { policy, update_mask }).await.unwrap_err();
    assert_eq!(violations(&refused), [("updateMask".to_owned(), "MASK_TOO_LONG".to_owned())]);
    // That it grows by the time of its end keeps nobody from deleting it.
    client.delete(DeletePolicyRequest { id: made.id.clone() }).await.unwrap();
    assert!(get(&mut client, &made.id).await.deleted_at.is_some());
    server.stop().await;
}

#[tokio::test]
async fn a_message_has_4_mib() {
    let (server, mut client) = start().await;
    let refused = client.create(grant(&"x".repeat(4 * 1024 * 1024), vec![])).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("max-message-bytes = 4194304"), "{}", refused.message());
    // One that just fits is looked at, and refused for its name.
    let refused = client.create(grant(&"x".repeat(4 * 1024 * 1024 - 100), vec![accept()])).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(violations(&refused)[0], ("displayName".to_owned(), "TEXT_TOO_LONG".to_owned()));
    server.stop().await;
}
