//! How much fits into a simulation, that the refusal of one more says where and how much, and that work stops when whoever asked
//! for it has gone.

use countersign::pb::c1::api::policy::v1::Policy;
use countersign::pb::countersign::v1::{
    App, BatchSimulateRequest, ByAdministrator, Case, Directory, Entitlement, Happening, Nothing,
    PolicySource, Request, SimulateRequest, User, happening::What, policy_source::Policy as Source,
    simulator_client::SimulatorClient,
};
use serde_json::json;
use std::sync::Arc;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::differential::read;
use crate::harness::{PATIENCE, Server, post, settings};
use countersign::app::SystemClock;

async fn start() -> (Server, SimulatorClient<Channel>) {
    let server = Server::start().await;
    let client = SimulatorClient::new(server.channel().await).max_decoding_message_size(64 << 20);
    (server, client)
}

fn policy(steps: &serde_json::Value) -> Policy {
    let document = json!({"displayName": "Any", "policyType": "POLICY_TYPE_GRANT",
                          "policySteps": {"grant": {"steps": steps}}});
    read("c1.api.policy.v1.Policy", &document)
}

fn inline(policy: Policy) -> Option<PolicySource> {
    Some(PolicySource { policy: Some(Source::Inline(policy)), ..PolicySource::default() })
}

fn request() -> Option<Request> {
    Some(Request { subject_id: "0".to_owned(), app_id: "db".to_owned(), ..Request::default() })
}

fn accepted() -> SimulateRequest {
    let policy = inline(policy(&json!([{"accept": {}}])));
    SimulateRequest { policy, request: request(), directory: directory(), ..SimulateRequest::default() }
}

fn directory() -> Option<Directory> {
    Some(Directory { users: users(1), ..Directory::default() })
}

fn nothing() -> Happening {
    Happening { what: Some(What::Nothing(Nothing::default())), ..Happening::default() }
}

fn users(count: usize) -> Vec<User> {
    (0..count).map(|n| User { id: n.to_string(), ..User::default() }).collect()
}

/// The violation that names the limit in its sentence, as path and code.
fn refused(status: &Status, limit: &str) -> (String, String) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let request = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest: {status:?}"));
    // A directory that is not read has other faults, too: nobody is in it.
    let one = request.field_violations.iter().find(|one| one.description.contains(limit));
    let one = one.unwrap_or_else(|| panic!("{limit} is not in {request:?}"));
    (one.field.clone(), one.reason.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_a_thousand_cases() {
    let (server, mut client) = start().await;
    let one = accepted();
    let batch = |count: usize| BatchSimulateRequest {
        policy: one.policy.clone(),
        request: one.request.clone(),
        directory: directory(),
        cases: (0..count).map(|n| Case { id: n.to_string(), ..Case::default() }).collect(),
        ..BatchSimulateRequest::default()
    };
    let mut answers = client.batch_simulate(batch(1000)).await.unwrap().into_inner();
    let mut count = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        assert_eq!((answer.index, answer.id), (count, count.to_string()));
        count += 1;
    }
    assert_eq!(count, 1000);
    for count in [0, 1001] {
        let status = client.batch_simulate(batch(count)).await.unwrap_err();
        assert_eq!(refused(&status, "1000"), ("cases".to_owned(), "CASES_COUNT".to_owned()));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn happenings_and_policies_have_limits() {
    let (server, mut client) = start().await;
    let with_happenings = |count| SimulateRequest { happenings: vec![nothing(); count], ..accepted() };
    let with_others = |count: usize| {
        let other = |n: usize| Policy { id: format!("p{n}"), ..policy(&json!([{"accept": {}}])) };
        let policy = accepted()
            .policy
            .map(|source| PolicySource { others: (0..count).map(other).collect(), ..source });
        SimulateRequest { policy, ..accepted() }
    };
    for (fits, over, limit, path, code) in [
        (with_happenings(1000), with_happenings(1001), "1000", "happenings", "HAPPENINGS_TOO_MANY"),
        (with_others(64), with_others(65), "64", "policy.others", "POLICIES_TOO_MANY"),
    ] {
        let answer = client.simulate(fits).await.unwrap().into_inner();
        assert_eq!(answer.trace.unwrap().outcome.unwrap().kind().as_str_name(), "OUTCOME_KIND_GRANTED");
        let status = client.simulate(over).await.unwrap_err();
        assert_eq!(refused(&status, limit), (path.to_owned(), code.to_owned()));
    }
    server.stop().await;
}

/// What leads to more policies than are read for one simulation. The machine says so where it comes to one that was not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_reads_256_policies() {
    let (server, mut client) = start().await;
    let stored = async |leads: serde_json::Value| {
        let policy = json!({"displayName": "Any", "policyType": "POLICY_TYPE_GRANT", "policySteps": leads["policySteps"],
                            "baselinePolicyId": leads["baselinePolicyId"]});
        let (status, made) = post(&server, "/api/v1/policies", &policy).await;
        assert_eq!(status, 200, "{made}");
        made["policy"]["id"].as_str().unwrap().to_owned()
    };
    let accepts = json!({"policySteps": {"grant": {"steps": [{"accept": {}}]}}});
    // Each of 128 rules leads to a policy, and each of those to one more: with the first 257, and one less with a rule less.
    let mut ids = Vec::new();
    for _ in 0..128 {
        let last = stored(accepts.clone()).await;
        ids.push(stored(json!({"baselinePolicyId": last})).await);
    }
    let case = |n: usize| {
        let request = Request { subject_id: n.to_string(), ..Request::default() };
        Case { id: n.to_string(), request: Some(request), ..Case::default() }
    };
    for (rules, granted) in [(127, 127), (128, 127)] {
        let one = |n: usize| json!({"condition": format!("subject.id == \"{n}\""), "policyId": ids[n]});
        let router = json!({"displayName": "Router", "policyType": "POLICY_TYPE_GRANT",
                            "rules": (0..rules).map(one).collect::<Vec<_>>(), "policySteps": accepts["policySteps"]});
        let batch = BatchSimulateRequest {
            policy: inline(read("c1.api.policy.v1.Policy", &router)),
            directory: Some(Directory { users: users(128), ..Directory::default() }),
            cases: (0..rules).map(case).collect(),
            ..BatchSimulateRequest::default()
        };
        let mut answers = client.batch_simulate(batch).await.unwrap().into_inner();
        let mut outcomes = Vec::new();
        while let Some(answer) = answers.message().await.unwrap() {
            outcomes.push(answer.trace.unwrap().outcome.unwrap());
        }
        let (good, bad): (Vec<_>, Vec<_>) =
            outcomes.iter().partition(|one| one.kind().as_str_name() == "OUTCOME_KIND_GRANTED");
        assert_eq!((good.len(), bad.len()), (granted, rules - granted), "{bad:?}");
        assert!(bad.iter().all(|one| one.why.contains("there is no policy")), "{bad:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_has_limits() {
    let (server, mut client) = start().await;
    let things = |count: usize| Directory {
        apps: (0..count).map(|n| App { id: n.to_string(), ..App::default() }).collect(),
        users: users(1),
        ..Directory::default()
    };
    let entitlements = |count: usize| Directory {
        entitlements: (0..count)
            .map(|n| Entitlement { id: n.to_string(), ..Entitlement::default() })
            .collect(),
        users: users(1),
        ..Directory::default()
    };
    // Each entitlement has the same members; every id in a list counts.
    let links = |count: usize| {
        let members = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let one = |n: usize, members| Entitlement {
            id: n.to_string(),
            member_ids: members,
            ..Entitlement::default()
        };
        let mut entitlements: Vec<Entitlement> = (0..10).map(|n| one(n, members(count / 10))).collect();
        entitlements.push(one(10, members(count % 10)));
        Directory { users: users(20_000), entitlements, ..Directory::default() }
    };
    let people = |count| Directory { users: users(count), ..Directory::default() };
    for (fits, over, limit, path) in [
        (people(20_000), people(20_001), "20000", "directory.users"),
        (things(20_000), things(20_001), "20000", "directory.apps"),
        (entitlements(20_000), entitlements(20_001), "20000", "directory.entitlements"),
        (links(200_000), links(200_001), "200000", "directory"),
    ] {
        client.simulate(SimulateRequest { directory: Some(fits), ..accepted() }).await.unwrap();
        let over = SimulateRequest { directory: Some(over), ..accepted() };
        let status = client.simulate(over).await.unwrap_err();
        assert_eq!(refused(&status, limit), (path.to_owned(), "DIRECTORY_TOO_LARGE".to_owned()));
    }
    let long = |bytes| {
        let mut users = users(1);
        users.push(User { id: "x".repeat(bytes), ..User::default() });
        Directory { users, ..Directory::default() }
    };
    client.simulate(SimulateRequest { directory: Some(long(512)), ..accepted() }).await.unwrap();
    let over = SimulateRequest { directory: Some(long(513)), ..accepted() };
    let status = client.simulate(over).await.unwrap_err();
    assert_eq!(refused(&status, "512"), ("directory.users[1].id".to_owned(), "ID_TOO_LONG".to_owned()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_have_the_limit_of_the_service() {
    let chosen = settings("memory:", &[("max-message-bytes", "64KiB")]);
    let server = Server::with(&chosen, Arc::new(SystemClock::default())).await;
    let mut client = SimulatorClient::new(server.channel().await);
    let of_size = |bytes| {
        let user = User { id: "0".to_owned(), display_name: "x".repeat(bytes), ..User::default() };
        let directory = Some(Directory { users: vec![user], ..Directory::default() });
        SimulateRequest { directory, ..accepted() }
    };
    client.simulate(of_size(60 * 1024)).await.unwrap();
    let status = client.simulate(of_size(64 * 1024)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("max-message-bytes = 65536"), "{status:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_enters_512_stages() {
    let (server, mut client) = start().await;
    let mut steps = vec![json!({"action": {"automation": {"automationTemplateId": "t"}}}); 99];
    steps.push(json!({"approval": {"users": {"userIds": ["1"]}}}));
    let restart = Happening {
        what: Some(What::Restart(ByAdministrator { actor: "root".to_owned() })),
        ..Happening::default()
    };
    for (restarts, outcome, stages) in [(4, "OUTCOME_KIND_BLOCKED", 500), (5, "OUTCOME_KIND_FAILED", 512)] {
        let happenings = vec![restart.clone(); restarts];
        let call = SimulateRequest { policy: inline(policy(&json!(steps))), happenings, ..accepted() };
        let trace = client.simulate(call).await.unwrap().into_inner().trace.unwrap();
        assert_eq!(trace.outcome.unwrap().kind().as_str_name(), outcome);
        assert_eq!(trace.stages.len(), stages);
    }
    server.stop().await;
}

/// A case that takes a machine minutes: a dear condition that is looked at a thousand times.
fn dear() -> (Option<PolicySource>, Vec<Happening>) {
    let numbers = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let (all, few) = (numbers(40), numbers(30));
    let condition =
        format!("{all}.exists(a, {all}.exists(b, {few}.exists(c, a + b + c + size(subject.id) == 0)))");
    let wait = json!([{"wait": {"condition": {"condition": condition}}}]);
    let recheck = Happening { what: Some(What::Recheck(Nothing::default())), ..Happening::default() };
    (inline(policy(&wait)), vec![recheck; 1000])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_nobody_reads_any_more_stops() {
    let (server, mut client) = start().await;
    let (policy, happenings) = dear();
    // The first sixteen are answered at once; what is dear is under way when they have come.
    let quick = accepted();
    let cases: Vec<Case> = (0..64)
        .map(|n| match n {
            0..16 => Case { policy: quick.policy.clone(), ..Case::default() },
            _ => Case { happenings: happenings.clone(), ..Case::default() },
        })
        .collect();
    let batch = BatchSimulateRequest {
        policy,
        request: request(),
        directory: directory(),
        cases,
        ..BatchSimulateRequest::default()
    };
    // As many as would keep every processor busy for longer than this test waits.
    let processors = std::thread::available_parallelism().unwrap().get();
    let mut left = Vec::new();
    for _ in 0..processors {
        let mut answers = client.batch_simulate(batch.clone()).await.unwrap().into_inner();
        for index in 0..16 {
            assert_eq!(answers.message().await.unwrap().unwrap().index, index);
        }
        left.push(answers);
    }
    drop(left);
    // Somebody else gets a processor: there are none but those.
    for _ in 0..processors {
        let answer = tokio::time::timeout(PATIENCE, client.simulate(accepted())).await;
        assert!(answer.expect("the work goes on without anybody who waits").is_ok());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_that_nobody_waits_for_any_more_stops() {
    let (server, client) = start().await;
    let (policy, happenings) = dear();
    let call = SimulateRequest {
        policy,
        request: request(),
        directory: directory(),
        happenings,
        ..SimulateRequest::default()
    };
    let processors = std::thread::available_parallelism().unwrap().get();
    let calls: Vec<_> = (0..processors)
        .map(|_| {
            let (mut client, call) = (client.clone(), call.clone());
            tokio::spawn(async move { client.simulate(call).await })
        })
        .collect();
    // One after another, so that those are all with the service when this has been answered with a refusal.
    let mut other = client.clone();
    other.simulate(SimulateRequest::default()).await.unwrap_err();
    for call in calls {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled(), "it was dear");
    }
    let mut other = client;
    let answer = tokio::time::timeout(PATIENCE, other.simulate(accepted())).await;
    assert!(answer.expect("the work goes on without anybody who waits").is_ok());
    server.stop().await;
}
