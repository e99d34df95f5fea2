//! Policies that are made to cost a lot.

use super::clients::policy;
use super::server;
use crate::harness::Server;
use countersign::pb::gotocompany::guardian::v1beta1 as goto;
use countersign::policy::guardian::{self, Surroundings};
use goto::guardian_service_client::GuardianServiceClient;
use goto::policy::requirement::{
    AdditionalAppeal, RequirementTrigger, additional_appeal::ResourceIdentifier,
};
use goto::policy::{ApprovalStep, Requirement};
use prost_types::Timestamp;
use tonic::Code;
use tonic_types::StatusExt as _;

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

/// What counts is what they cost, not how many they are.
#[test]
fn ordinary_approvers_may_be_many() {
    let check = |approvers: Vec<String>| {
        let mut policy = policy("many");
        policy.steps[0].approvers = approvers;
        let codes =
            |refused: guardian::Refused| refused.violations.iter().map(|one| one.code).collect::<Vec<_>>();
        guardian::compile(&policy, Surroundings::default())
            .map_or_else(|refused| codes(*refused), |_| Vec::new())
    };
    assert_eq!(check(vec!["$appeal.account_id".to_owned(); 2000]), [""; 0]);
    let costs_a_lot = "[string(len(filter(1..60000, # % 7 == 0)))]".to_owned();
    let codes = check(vec![costs_a_lot; 60]);
    assert!((1..60).contains(&codes.len()), "{codes:?}");
    assert!(codes.iter().all(|code| *code == "APPROVERS_TOO_MANY"), "{codes:?}");
}

/// The fields and reasons of the violations, or none if it is accepted.
async fn violations(server: &Server, policy: goto::Policy) -> Vec<(String, String)> {
    let mut client = GuardianServiceClient::new(server.channel().await);
    let create = goto::CreatePolicyRequest { policy: Some(policy), dry_run: true };
    match client.create_policy(create).await {
        Ok(_) => Vec::new(),
        Err(status) => {
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            let request = status.get_details_bad_request().unwrap_or_else(|| panic!("{status:?}"));
            request.field_violations.into_iter().map(|one| (one.field, one.reason)).collect()
        }
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(field, reason)| ((*field).to_owned(), (*reason).to_owned())).collect()
}

fn trigger() -> Option<RequirementTrigger> {
    Some(RequirementTrigger { role: "editor".to_owned(), ..Default::default() })
}

fn appeal() -> AdditionalAppeal {
    AdditionalAppeal {
        resource: Some(ResourceIdentifier { id: "r".to_owned(), ..Default::default() }),
        role: "viewer".to_owned(),
        ..Default::default()
    }
}

/// Policies with so many references to others, in two requirements.
fn referring(count: usize) -> goto::Policy {
    let reference = |n: usize| AdditionalAppeal {
        policy: Some(goto::PolicyConfig { id: format!("other-{n}"), version: 1 }),
        ..appeal()
    };
    let requirement =
        |appeals: Vec<AdditionalAppeal>| Requirement { on: trigger(), appeals, ..Default::default() };
    let requirements = vec![
        requirement((0..count / 2).map(reference).collect()),
        requirement((count / 2..count).map(reference).collect()),
    ];
    goto::Policy { requirements, ..policy("many") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_where_they_are_said_to() {
    let server = server(&[]).await;
    assert_eq!(violations(&server, referring(64)).await, []);
    let wanted = owned(&[("requirements", "REFERENCES_TOO_MANY")]);
    assert_eq!(violations(&server, referring(65)).await, wanted);
    // Appeals that name no policy refer to none.
    let requirement = Requirement { on: trigger(), appeals: vec![appeal(); 100], ..Default::default() };
    assert_eq!(
        violations(&server, goto::Policy { requirements: vec![requirement], ..policy("p") }).await,
        []
    );

    let steps = |count: usize| {
        let step = &policy("p").steps[0];
        (0..count).map(|n| ApprovalStep { name: format!("s{n}"), ..step.clone() }).collect::<Vec<_>>()
    };
    assert_eq!(violations(&server, goto::Policy { steps: steps(256), ..policy("p") }).await, []);
    let wanted = owned(&[("steps", "LIST_TOO_LONG")]);
    assert_eq!(violations(&server, goto::Policy { steps: steps(257), ..policy("p") }).await, wanted);

    let staged = |count: usize| {
        let step = ApprovalStep { stage: "0".to_owned(), ..policy("p").steps[0].clone() };
        let stages = (0..count).map(|n| n.to_string()).collect();
        goto::Policy { stages, steps: vec![step], ..policy("p") }
    };
    assert_eq!(violations(&server, staged(256)).await, []);
    assert_eq!(violations(&server, staged(257)).await, owned(&[("stages", "LIST_TOO_LONG")]));

    let requirement = Requirement { on: trigger(), appeals: vec![appeal()], ..Default::default() };
    let requiring =
        |count: usize| goto::Policy { requirements: vec![requirement.clone(); count], ..policy("p") };
    assert_eq!(violations(&server, requiring(128)).await, []);
    assert_eq!(violations(&server, requiring(129)).await, owned(&[("requirements", "LIST_TOO_LONG")]));

    let long = |bytes: usize| policy(&"i".repeat(bytes));
    assert_eq!(violations(&server, long(512)).await, []);
    assert_eq!(violations(&server, long(513)).await, owned(&[("id", "ID_TOO_LONG")]));
    server.stop().await;
}

/// Times that JSON cannot write, though protobuf's numbers can say them: nobody gets them past the codec, and whoever would is
/// told each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_are_within_the_years_that_can_be_written() {
    const LAST: i64 = 253_402_300_799;
    const FIRST: i64 = -62_135_596_800;
    let server = server(&[]).await;
    let mut client = GuardianServiceClient::new(server.channel().await);
    let time = |seconds: i64, nanos: i32| Some(Timestamp { seconds, nanos });
    for good in [time(LAST, 999_999_999), time(FIRST, 1), None] {
        let policy = goto::Policy { created_at: good, updated_at: good, ..policy("p") };
        assert_eq!(violations(&server, policy).await, [], "{good:?}");
    }
    for bad in [time(LAST + 1, 0), time(FIRST - 1, 0), time(i64::MAX, 0), time(0, 1_000_000_000), time(0, -1)]
    {
        let options = Some(goto::AppealOptions { expiration_date: bad, ..Default::default() });
        let appeals = vec![AdditionalAppeal { options, ..appeal() }];
        let requirement = Requirement { on: trigger(), appeals, ..Default::default() };
        let policy =
            goto::Policy { created_at: bad, updated_at: bad, requirements: vec![requirement], ..policy("p") };
        let create = goto::CreatePolicyRequest { policy: Some(policy.clone()), dry_run: true };
        let refused = client.create_policy(create).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad:?} {refused:?}");
        let refused = guardian::compile(&policy, Surroundings::default()).unwrap_err();
        let found: Vec<_> = refused
            .violations
            .iter()
            .map(|violation| (violation.path.clone(), violation.code.to_owned()))
            .collect();
        let wanted = owned(&[
            ("created_at", "TIME_OUT_OF_RANGE"),
            ("updated_at", "TIME_OUT_OF_RANGE"),
            ("requirements[0].appeals[0].options.expiration_date", "TIME_OUT_OF_RANGE"),
        ]);
        assert_eq!(found, wanted, "{bad:?}");
    }
    server.stop().await;
}

/// An answer that nobody could hold is refused, and can be had in parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_has_a_limit() {
    const LARGE: usize = 127 * 1024;
    const TOO_MANY: usize = 64 * 1024 * 1024 / LARGE + 1;
    let server = server(&[]).await;
    let mut client = GuardianServiceClient::new(server.channel().await).max_decoding_message_size(usize::MAX);
    let description = "d".repeat(LARGE);
    for n in 0..TOO_MANY {
        let policy = goto::Policy { description: description.clone(), ..policy(&format!("p{n}")) };
        client
            .create_policy(goto::CreatePolicyRequest { policy: Some(policy), dry_run: false })
            .await
            .unwrap();
    }
    let refused = client.list_policies(goto::ListPoliciesRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "LIST_TOO_LARGE");
    let size = u32::try_from(TOO_MANY - 2).unwrap();
    for (size, offset, wanted) in [(size, 0, TOO_MANY - 2), (0, size, 2)] {
        let request = goto::ListPoliciesRequest { size, offset, ..Default::default() };
        let listed = client.list_policies(request).await.unwrap().into_inner();
        assert_eq!((listed.policies.len(), listed.total as usize), (wanted, TOO_MANY));
    }
    // Who wants no policies gets the number of all.
    let request =
        goto::ListPoliciesRequest { field_masks: vec!["policies".to_owned()], ..Default::default() };
    let listed = client.list_policies(request).await.unwrap().into_inner();
    assert_eq!((listed.policies.len(), listed.total as usize), (0, TOO_MANY));
    server.stop().await;
}
