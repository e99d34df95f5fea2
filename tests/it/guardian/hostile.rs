//! Policies that are made to cost a lot.

use super::clients::policy;
use super::server;
use countersign::pb::gotocompany::guardian::v1beta1 as goto;
use goto::guardian_service_client::GuardianServiceClient;
use goto::policy::{ApprovalStep, Requirement};
use tonic::Code;

/// As dear as an expression can be, for nothing.
const DEAR: &str = "[string(len(filter(1..900000, # % 7 == 0)))]";

async fn refused(policy: goto::Policy) -> String {
    let server = server(&[]).await;
    let mut client = GuardianServiceClient::new(server.channel().await);
    let create = goto::CreatePolicyRequest { policy: Some(policy), dry_run: true };
    let status = client.create_policy(create).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    server.stop().await;
    status.message().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_document_is_refused_before_it_is_looked_at() {
    let stages = (0..300_000).map(|_| "s".to_owned()).collect();
    let steps = vec![ApprovalStep { stage: "t".to_owned(), ..Default::default() }; 100_000];
    let message = refused(goto::Policy { stages, steps, ..policy("large") }).await;
    assert!(message.contains("the limit of a policy is"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_approvers_are_evaluated() {
    let mut dear = policy("dear");
    dear.steps[0].approvers = vec![DEAR.to_owned(); 2000];
    let message = refused(dear).await;
    assert!(message.contains("more violations"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_references_are_followed() {
    let reference = goto::PolicyConfig { id: "x".to_owned(), version: 1 };
    let appeal =
        goto::policy::requirement::AdditionalAppeal { policy: Some(reference), ..Default::default() };
    let requirement = Requirement { appeals: vec![appeal; 1000], ..Default::default() };
    refused(goto::Policy { requirements: vec![requirement], ..policy("many") }).await;
}
