//! Shows stubs that are generated from our `proto/` by tonic's generator at work: create, get, masked update, etags, list,
//! search, delete over gRPC. Usage: `stubs-rust HOST:PORT`.

use c1::api::policy::v1::policies_client::PoliciesClient;
use c1::api::policy::v1::policy_search_client::PolicySearchClient;
use c1::api::policy::v1::*;
use tonic::{Code, Request};

/// The generated module, nested as its package is.
mod c1 {
    pub mod api {
        pub mod policy {
            pub mod v1 {
                tonic::include_proto!("c1.api.policy.v1");
            }
        }
    }
}

fn mask(path: &str) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: vec![path.to_owned()] })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: stubs-rust HOST:PORT")?;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let mut policies = PoliciesClient::new(channel.clone());

    let accept = Accept { accept_message: "Welcome".to_owned() };
    let steps = PolicySteps { steps: vec![PolicyStep { step: Some(policy_step::Step::Accept(accept)) }] };
    let request = CreatePolicyRequest {
        display_name: "From Rust".to_owned(),
        description: "as it was".to_owned(),
        policy_type: PolicyType::Grant.into(),
        policy_steps: [("grant".to_owned(), steps)].into(),
        ..Default::default()
    };
    let created = policies.create(request).await?.into_inner().policy.ok_or("create: no policy")?;

    let changed = Policy {
        id: created.id.clone(),
        display_name: "ignored".to_owned(),
        description: "by mask".to_owned(),
        ..Default::default()
    };
    let request = UpdatePolicyRequest { policy: Some(changed.clone()), update_mask: mask("description") };
    let answer = policies.update(request).await?;
    let etag = answer.metadata().get("etag").ok_or("update: no etag")?.clone();
    let updated = answer.into_inner().policy.ok_or("update: no policy")?;
    assert_eq!((&*updated.description, &*updated.display_name), ("by mask", "From Rust"));

    let read = policies.get(GetPolicyRequest { id: created.id.clone() }).await?.into_inner();
    assert_eq!(read.policy, Some(updated));

    let conditional = || {
        let request =
            UpdatePolicyRequest { policy: Some(changed.clone()), update_mask: mask("display_name") };
        let mut request = Request::new(request);
        request.metadata_mut().insert("if-match", etag.clone());
        request
    };
    policies.update(conditional()).await?;
    let lost = policies.update(conditional()).await.expect_err("an old etag was taken");
    assert_eq!(lost.code(), Code::Aborted, "{lost}");

    let list = policies.list(ListPolicyRequest { page_size: 10, ..Default::default() }).await?.into_inner();
    assert_eq!(list.list.iter().map(|policy| &policy.id).collect::<Vec<_>>(), [&created.id]);
    let request = SearchPoliciesRequest { query: "by mask".to_owned(), ..Default::default() };
    let found = PolicySearchClient::new(channel).search(request).await?.into_inner();
    assert_eq!(found.list.iter().map(|policy| &policy.id).collect::<Vec<_>>(), [&created.id]);

    policies.delete(DeletePolicyRequest { id: created.id.clone() }).await?;
    let gone = policies.delete(DeletePolicyRequest { id: created.id }).await.expect_err("deleted twice");
    assert_eq!(gone.code(), Code::NotFound, "{gone}");
    println!("create, masked update, get, etags, list, search, delete");
    Ok(())
}
