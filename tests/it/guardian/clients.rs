//! What Guardian's own clients do over gRPC, in both families.

use super::server;
use countersign::pb::gotocompany::guardian::v1beta1 as goto;
use countersign::pb::gotocompany::guardian::v1beta1::guardian_service_client::GuardianServiceClient;
use goto::policy::ApprovalStep;
use tonic::Code;

fn step(name: &str) -> ApprovalStep {
    ApprovalStep {
        name: name.to_owned(),
        strategy: "manual".to_owned(),
        approvers: vec!["owner@corp.example".to_owned()],
        ..ApprovalStep::default()
    }
}

pub fn policy(id: &str) -> goto::Policy {
    goto::Policy { id: id.to_owned(), steps: vec![step("owner")], ..goto::Policy::default() }
}

/// `guardian policy apply`: Get, which must say NOT_FOUND and nothing else for an unknown id, then Create or Update.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_creates_and_then_updates() {
    for compat in ["default", "strict"] {
        let server = server(&[("guardian-compat", compat)]).await;
        let mut client = GuardianServiceClient::new(server.channel().await);
        let get = goto::GetPolicyRequest { id: "data".to_owned(), version: 0 };
        let missing = client.get_policy(get.clone()).await.unwrap_err();
        assert_eq!((missing.code(), missing.message()), (Code::NotFound, "policy not found"));

        let create = goto::CreatePolicyRequest { policy: Some(policy("data")), dry_run: false };
        let created = client.create_policy(create).await.unwrap().into_inner().policy.unwrap();
        assert_eq!((created.id.as_str(), created.version), ("data", 1));

        let found = client.get_policy(get).await.unwrap().into_inner().policy.unwrap();
        assert_eq!(found, created);
        let update =
            goto::UpdatePolicyRequest { id: "data".to_owned(), policy: Some(policy("data")), dry_run: false };
        let updated = client.update_policy(update).await.unwrap().into_inner().policy.unwrap();
        assert_eq!(updated.version, 2);
        server.stop().await;
    }
}
