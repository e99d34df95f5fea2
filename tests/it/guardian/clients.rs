//! What Guardian's own clients do over gRPC, in both families.

use super::server;
use countersign::pb::gotocompany::guardian::v1beta1 as goto;
use countersign::pb::gotocompany::guardian::v1beta1::guardian_service_client::GuardianServiceClient;
use goto::policy::ApprovalStep;
use tonic::Code;
use tonic_types::StatusExt as _;

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

/// The other commands, which send no metadata and no filters: `list` shows every version, `view ID@VER` takes 0 for the latest,
/// `create` and `edit` try with `--dry-run` and print what came back, `plan` shows the error of an unknown policy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_gets_what_it_needs() {
    for compat in ["default", "strict"] {
        let server = server(&[("guardian-compat", compat)]).await;
        let mut client = GuardianServiceClient::new(server.channel().await);
        let create = |dry_run| goto::CreatePolicyRequest { policy: Some(policy("data")), dry_run };
        let tried = client.create_policy(create(true)).await.unwrap().into_inner().policy.unwrap();
        assert_eq!((tried.id.as_str(), tried.version), ("data", 1));
        let get = |version| goto::GetPolicyRequest { id: "data".to_owned(), version };
        let planned = client.get_policy(get(0)).await.unwrap_err();
        assert_eq!((planned.code(), planned.message()), (Code::NotFound, "policy not found"));
        client.create_policy(create(false)).await.unwrap();

        let changed = goto::Policy { description: "changed".to_owned(), ..policy("data") };
        let edit = |dry_run| goto::UpdatePolicyRequest {
            id: "data".to_owned(),
            policy: Some(changed.clone()),
            dry_run,
        };
        client.update_policy(edit(true)).await.unwrap();
        assert_eq!(client.get_policy(get(0)).await.unwrap().into_inner().policy.unwrap().version, 1);
        client.update_policy(edit(false)).await.unwrap();

        let list = client.list_policies(goto::ListPoliciesRequest::default()).await.unwrap().into_inner();
        let listed: Vec<_> =
            list.policies.iter().map(|policy| (policy.version, policy.steps.len())).collect();
        assert_eq!(listed, [(1, 1), (2, 1)]);
        for (asked, version, description) in [(0, 2, "changed"), (1, 1, ""), (2, 2, "changed")] {
            let seen = client.get_policy(get(asked)).await.unwrap().into_inner().policy.unwrap();
            assert_eq!((seen.version, seen.description.as_str()), (version, description));
        }
        assert_eq!(client.get_policy(get(3)).await.unwrap_err().code(), Code::NotFound);
        server.stop().await;
    }
}

/// No update is lost, whoever comes at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_that_meet_each_get_a_version_of_their_own() {
    const UPDATES: u32 = 40;
    for compat in ["default", "strict"] {
        let server = server(&[("guardian-compat", compat)]).await;
        let channel = server.channel().await;
        let mut client = GuardianServiceClient::new(channel.clone());
        let create = goto::CreatePolicyRequest { policy: Some(policy("busy")), dry_run: false };
        client.create_policy(create).await.unwrap();
        let updates = (0..UPDATES).map(|n| {
            let mut client = GuardianServiceClient::new(channel.clone());
            tokio::spawn(async move {
                let policy = goto::Policy { description: n.to_string(), ..policy("busy") };
                let update =
                    goto::UpdatePolicyRequest { id: "busy".to_owned(), policy: Some(policy), dry_run: false };
                let policy = client.update_policy(update).await.unwrap().into_inner().policy.unwrap();
                (policy.version, policy.description)
            })
        });
        let mut answered = Vec::new();
        for update in updates.collect::<Vec<_>>() {
            answered.push(update.await.unwrap());
        }
        answered.sort();
        let versions: Vec<u32> = answered.iter().map(|(version, _)| *version).collect();
        assert_eq!(versions, (2..=UPDATES + 1).collect::<Vec<_>>());
        for (version, description) in answered {
            let get = goto::GetPolicyRequest { id: "busy".to_owned(), version };
            let found = client.get_policy(get).await.unwrap().into_inner().policy.unwrap();
            assert_eq!(found.description, description, "version {version}");
        }
        server.stop().await;
    }
}

/// Of creates of one id that meet, one wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_creates_that_meet_one_wins() {
    let server = server(&[]).await;
    let channel = server.channel().await;
    let creates = (0..16).map(|_| {
        let mut client = GuardianServiceClient::new(channel.clone());
        let create = goto::CreatePolicyRequest { policy: Some(policy("one")), dry_run: false };
        tokio::spawn(async move { client.create_policy(create).await.map_err(|status| status.code()) })
    });
    let mut won = 0;
    for create in creates.collect::<Vec<_>>() {
        match create.await.unwrap() {
            Ok(_) => won += 1,
            Err(code) => assert_eq!(code, Code::AlreadyExists),
        }
    }
    assert_eq!(won, 1);
    server.stop().await;
}

/// An update without an id never gets to REST.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_needs_an_id() {
    for compat in ["default", "strict"] {
        let server = server(&[("guardian-compat", compat)]).await;
        let mut client = GuardianServiceClient::new(server.channel().await);
        let update = goto::UpdatePolicyRequest { policy: Some(policy("x")), ..Default::default() };
        let refused = client.update_policy(update).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let wanted = if compat == "strict" { "id can't be empty" } else { "id: id can't be empty" };
        assert_eq!(refused.message(), wanted);
        let get = client.get_policy(goto::GetPolicyRequest::default()).await.unwrap_err();
        assert_eq!((get.code(), get.message()), (Code::NotFound, "policy not found"));
        server.stop().await;
    }
}

/// The older family: the same policies, with the two fields that only it has, on a port of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_family_has_the_same_policies() {
    for compat in ["default", "strict"] {
        older_family(compat).await;
    }
}

async fn older_family(compat: &str) {
    use countersign::pb::raystack::guardian::v1beta1 as raystack;
    use raystack::guardian_service_client::GuardianServiceClient as RaystackClient;

    let settings = [("raystack-grpc-listen", "127.0.0.1:0"), ("guardian-compat", compat)];
    let server = server(&settings).await;
    let second = server.raystack_grpc_addr().unwrap();
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{second}")).unwrap();
    let mut old = RaystackClient::new(channel.connect().await.unwrap());
    let mut new = GuardianServiceClient::new(server.channel().await);

    let step = raystack::policy::ApprovalStep {
        name: "owner".to_owned(),
        strategy: "manual".to_owned(),
        approvers: vec!["owner@corp.example".to_owned()],
        ..Default::default()
    };
    let policy = raystack::Policy {
        id: "old".to_owned(),
        title: "The old one".to_owned(),
        steps: vec![step],
        appeal: Some(raystack::PolicyAppealConfig { allow_on_behalf: true, ..Default::default() }),
        ..Default::default()
    };
    let first = policy.clone();
    let create = raystack::CreatePolicyRequest { policy: Some(policy.clone()), dry_run: false };
    let created = old.create_policy(create).await.unwrap().into_inner().policy.unwrap();
    assert_eq!((created.title.as_str(), created.version), ("The old one", 1));
    assert_eq!(created.created_by, "anonymous");

    let get = goto::GetPolicyRequest { id: "old".to_owned(), version: 1 };
    let seen = new.get_policy(get).await.unwrap();
    let etag = seen.metadata().get("etag").unwrap().clone();
    let get = raystack::GetPolicyRequest { id: "old".to_owned(), version: 1 };
    let its_own = old.get_policy(get).await.unwrap();
    assert_eq!(its_own.metadata().get("etag"), Some(&etag), "both families see one state");
    let seen = seen.into_inner().policy.unwrap();
    assert_eq!(seen.steps[0].approvers, ["owner@corp.example"]);
    assert!(seen.custom_steps.is_none() && seen.stages.is_empty());

    let staged = goto::Policy {
        stages: vec!["one".to_owned()],
        steps: vec![ApprovalStep { stage: "one".to_owned(), ..super::clients::step("owner") }],
        ..super::clients::policy("old")
    };
    let update = goto::UpdatePolicyRequest { id: "old".to_owned(), policy: Some(staged), dry_run: false };
    new.update_policy(update).await.unwrap();
    let get = raystack::GetPolicyRequest { id: "old".to_owned(), version: 2 };
    let seen = old.get_policy(get).await.unwrap().into_inner().policy.unwrap();
    assert_eq!((seen.title.as_str(), seen.version), ("", 2));
    let get = raystack::GetPolicyRequest { id: "old".to_owned(), version: 1 };
    let seen = old.get_policy(get).await.unwrap().into_inner().policy.unwrap();
    assert_eq!(seen, created);

    let listed = old.list_policies(raystack::ListPoliciesRequest {}).await.unwrap().into_inner().policies;
    assert_eq!(listed.iter().map(|policy| policy.version).collect::<Vec<_>>(), [1, 2]);
    let get = raystack::GetPolicyPreferencesRequest { id: "old".to_owned(), version: 1 };
    let appeal = old.get_policy_preferences(get).await.unwrap().into_inner().appeal.unwrap();
    assert!(appeal.allow_on_behalf);

    // The older family leaves approvers unevaluated for fewer parameters.
    let approver = "$appeal.labels.owner".to_owned();
    let mut policy = policy;
    policy.steps[0].approvers = vec![approver.clone()];
    let create = raystack::CreatePolicyRequest { policy: Some(policy.clone()), dry_run: true };
    let refused = old.create_policy(create).await.unwrap_err();
    if compat == "strict" {
        let said =
            "failed to create policy: policy validation: validating approver \"$appeal.labels.owner\": ";
        assert_eq!(refused.code(), Code::Internal);
        assert!(refused.message().starts_with(said), "{}", refused.message());
    } else {
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let mut newer = super::clients::policy("new");
    newer.steps[0].approvers = vec![approver];
    new.create_policy(goto::CreatePolicyRequest { policy: Some(newer), dry_run: true }).await.unwrap();

    // It has no `$split`: an approver with it is refused, and a condition is warned of.
    let splits = "$split($appeal.account_id, '@')[0]".to_owned();
    policy.steps[0].approvers = vec![splits.clone()];
    let create = raystack::CreatePolicyRequest { policy: Some(policy.clone()), dry_run: true };
    let refused = old.create_policy(create).await.unwrap_err();
    if compat == "strict" {
        let said = format!(
            "failed to create policy: policy validation: validating approver \"{splits}\": evaluating expression: \
             parameter not found: split"
        );
        assert_eq!((refused.code(), refused.message()), (Code::Internal, said.as_str()));
    } else {
        assert_eq!(refused.code(), Code::InvalidArgument);
        let request = refused.get_details_bad_request().unwrap();
        assert_eq!(request.field_violations[0].reason, "EXPRESSION_UNDECLARED_VARIABLE");
    }
    policy.steps[0].approvers = vec!["owner@corp.example".to_owned()];
    policy.steps[0].when = format!("{splits} == 'x'");
    let create = raystack::CreatePolicyRequest { policy: Some(policy.clone()), dry_run: true };
    let warned = old.create_policy(create).await.unwrap();
    let warning = warned.metadata().get("countersign-warning").unwrap().to_str().unwrap();
    assert!(warning.starts_with("EXPRESSION_UNDECLARED_VARIABLE steps[0].when: "), "{warning}");
    policy.steps[0].when.clear();
    let mut newer = super::clients::policy("new");
    newer.steps[0].approvers = vec![splits.clone()];
    newer.steps[0].when = format!("{splits} == 'x'");
    let accepted = new.create_policy(goto::CreatePolicyRequest { policy: Some(newer), dry_run: true });
    assert_eq!(accepted.await.unwrap().metadata().get("countersign-warning"), None);

    // And it knows one provider only.
    let iam = raystack::policy::Iam { provider: "shield".to_owned(), ..Default::default() };
    policy.steps[0].approvers = vec!["owner@corp.example".to_owned()];
    let policy = raystack::Policy { iam: Some(iam), ..policy };
    let update = raystack::UpdatePolicyRequest { id: "old".to_owned(), policy: Some(policy), dry_run: true };
    let refused = old.update_policy(update).await.unwrap_err();
    if compat == "strict" {
        let said = "failed to update policy: parsing iam config: unknown provider type";
        assert_eq!((refused.code(), refused.message()), (Code::Internal, said));
    } else {
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let get = raystack::GetPolicyRequest { id: "nobody".to_owned(), version: 0 };
    let missing = old.get_policy(get).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "policy not found"));
    let again = raystack::CreatePolicyRequest { policy: Some(first), dry_run: false };
    let taken = old.create_policy(again).await.unwrap_err();
    let wanted = if compat == "strict" { Code::Internal } else { Code::AlreadyExists };
    assert_eq!(taken.code(), wanted, "{}", taken.message());
    server.stop().await;
}
