//! Policies over gRPC, through the generated clients and, where those cannot say it, as bytes.

mod described;
mod details;
mod hostile;
mod limits;
mod masks;
mod metadata;
mod revisions;
mod round_trip;
mod tree;

pub use hostile::{call, call_streaming};

use countersign::pb::c1::api::policy::v1::policies_client::PoliciesClient;
use countersign::pb::c1::api::policy::v1::{
    Accept, CreatePolicyRequest, GetPolicyRequest, Policy, PolicyStep, PolicySteps, PolicyType,
    policy_step::Step,
};
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::harness::Server;

/// A server and a client of it.
async fn start() -> (Server, PoliciesClient<Channel>) {
    let server = Server::start().await;
    let client = PoliciesClient::new(server.channel().await);
    (server, client)
}

fn steps(steps: Vec<Step>) -> PolicySteps {
    PolicySteps { steps: steps.into_iter().map(|step| PolicyStep { step: Some(step) }).collect() }
}

/// A whole policy of the grant type with these steps.
fn grant(name: &str, of: Vec<Step>) -> CreatePolicyRequest {
    CreatePolicyRequest {
        display_name: name.to_owned(),
        policy_type: PolicyType::Grant.into(),
        policy_steps: [("grant".to_owned(), steps(of))].into(),
        ..CreatePolicyRequest::default()
    }
}

fn accept() -> Step {
    Step::Accept(Accept::default())
}

async fn create(client: &mut PoliciesClient<Channel>, request: CreatePolicyRequest) -> Policy {
    client.create(request).await.unwrap().into_inner().policy.unwrap()
}

async fn get(client: &mut PoliciesClient<Channel>, id: &str) -> Policy {
    client.get(GetPolicyRequest { id: id.to_owned() }).await.unwrap().into_inner().policy.unwrap()
}

fn text(metadata: &MetadataMap, key: &str) -> Option<String> {
    Some(metadata.get(key)?.to_str().unwrap().to_owned())
}

/// The reason of a refusal, from its `ErrorInfo`.
fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "countersign");
    info.reason
}

/// The field and the reason of each violation.
fn violations(status: &Status) -> Vec<(String, String)> {
    let request = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest: {status:?}"));
    request.field_violations.into_iter().map(|one| (one.field, one.reason)).collect()
}
