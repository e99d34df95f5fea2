//! Many clients at once on a real server with its data on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use countersign::pb::c1::api::policy::v1::policies_client::PoliciesClient;
use countersign::pb::c1::api::policy::v1::{
    CreatePolicyRequest, DeletePolicyRequest, GetPolicyRequest, ListPolicyRequest, Policy, PolicyType, Rule,
    UpdatePolicyRequest, rule::Outcome,
};
use prost_types::FieldMask;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::harness::Server;

type Client = PoliciesClient<Channel>;

/// A server, and a client for each of `N` tasks, each on a connection of its own.
async fn crowd<const N: usize>() -> (tempfile::TempDir, Server, [Client; N]) {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::on(directory.path()).await;
    let mut clients = Vec::new();
    for _ in 0..N {
        clients.push(PoliciesClient::new(server.channel().await));
    }
    (directory, server, clients.try_into().unwrap())
}

fn grant(name: &str) -> CreatePolicyRequest {
    CreatePolicyRequest {
        display_name: name.to_owned(),
        policy_type: PolicyType::Grant.into(),
        ..CreatePolicyRequest::default()
    }
}

async fn make(client: &mut Client, name: &str) -> Policy {
    client.create(grant(name)).await.unwrap().into_inner().policy.unwrap()
}

async fn get(client: &mut Client, id: &str) -> Policy {
    client.get(GetPolicyRequest { id: id.to_owned() }).await.unwrap().into_inner().policy.unwrap()
}

fn leading(id: &str, target: &str) -> UpdatePolicyRequest {
    let outcome = Some(Outcome::PolicyId(target.to_owned()));
    let rules = vec![Rule { condition: "true".to_owned(), outcome, ..Rule::default() }];
    masked(Policy { id: id.to_owned(), rules, ..Policy::default() }, "rules")
}

fn masked(policy: Policy, path: &str) -> UpdatePolicyRequest {
    let update_mask = Some(FieldMask { paths: vec![path.to_owned()] });
    UpdatePolicyRequest { policy: Some(policy), update_mask }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Sends one request from each client at one moment.
async fn at_once<const N: usize>(
    clients: &[Client; N],
    requests: [UpdatePolicyRequest; N],
) -> [Result<Policy, Status>; N] {
    let barrier = Arc::new(Barrier::new(N));
    let mut tasks = Vec::new();
    for (client, request) in clients.iter().zip(requests) {
        let (mut client, barrier) = (client.clone(), Arc::clone(&barrier));
        tasks.push(tokio::spawn(async move {
            barrier.wait().await;
            client.update(request).await.map(|answer| answer.into_inner().policy.unwrap())
        }));
    }
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_references_that_would_close_a_cycle_one_wins() {
    let (_directory, server, mut clients) = crowd::<3>().await;
    for round in 0..60 {
        let mut ids = Vec::new();
        for name in ["A", "B", "C"] {
            ids.push(make(&mut clients[0], &format!("{name}{round}")).await.id);
        }
        // A -> B -> C -> A: any two of them are right, all three are not.
        let requests = [leading(&ids[0], &ids[1]), leading(&ids[1], &ids[2]), leading(&ids[2], &ids[0])];
        let outcomes = at_once(&clients, requests).await;
        let refused: Vec<&Status> = outcomes.iter().filter_map(|one| one.as_ref().err()).collect();
        assert_eq!(refused.len(), 1, "round {round}: {outcomes:?}");
        assert_eq!(refused[0].code(), Code::InvalidArgument, "round {round}");
        assert_eq!(reason(refused[0]), "REFERENCE_CYCLE", "round {round}");
        for (id, outcome) in ids.iter().zip(&outcomes) {
            assert_eq!(get(&mut clients[0], id).await.rules.len(), usize::from(outcome.is_ok()));
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_many_build_never_gets_too_long() {
    let (_directory, server, mut clients) = crowd::<7>().await;
    for round in 0..15 {
        let mut ids = Vec::new();
        for n in 0..8 {
            ids.push(make(&mut clients[0], &format!("P{n} of {round}")).await.id);
        }
        // Seven references in a row, all at once; five are allowed.
        let requests = std::array::from_fn(|n| leading(&ids[n], &ids[n + 1]));
        let outcomes = at_once(&clients, requests).await;
        let (mut run, mut longest) = (0, 0);
        for (n, outcome) in outcomes.iter().enumerate() {
            run = if outcome.is_ok() { run + 1 } else { 0 };
            longest = longest.max(run);
            if let Err(status) = outcome {
                assert_eq!(reason(status), "REFERENCE_TOO_DEEP", "round {round}, reference {n}: {status:?}");
            }
        }
        assert!(longest <= 5, "round {round}: a chain of {longest}");
        let refused = outcomes.iter().filter(|one| one.is_err()).count();
        assert!((1..=2).contains(&refused), "round {round}: {refused} of 7 refused");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_either_deleted_or_referred_to() {
    let (_directory, server, clients) = crowd::<2>().await;
    let [mut deleting, mut referring] = clients;
    for round in 0..60 {
        let target = make(&mut deleting, &format!("Target {round}")).await.id;
        let referrer = make(&mut deleting, &format!("Referrer {round}")).await.id;
        let (deleted, referred) = tokio::join!(
            deleting.delete(DeletePolicyRequest { id: target.clone() }),
            referring.update(leading(&referrer, &target)),
        );
        match (&deleted, &referred) {
            (Ok(_), Err(status)) => assert_eq!(reason(status), "REFERENCE_DELETED"),
            (Err(status), Ok(_)) => {
                assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
                assert_eq!(reason(status), "POLICY_IN_USE");
            }
            _ => panic!("round {round}: {deleted:?} and {referred:?}"),
        }
        assert_eq!(get(&mut deleting, &target).await.deleted_at.is_some(), deleted.is_ok());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_of_different_fields_lose_nothing() {
    let (_directory, server, mut clients) = crowd::<4>().await;
    for round in 0..20 {
        let id = make(&mut clients[0], "Name").await.id;
        let text = format!("round {round}");
        let with = |change: fn(&mut Policy, &str)| {
            let mut policy = Policy { id: id.clone(), ..Policy::default() };
            change(&mut policy, &text);
            policy
        };
        let annotate = |policy: &mut Policy, text: &str| {
            policy.annotations.insert("note".to_owned(), text.replace(' ', "-"));
        };
        let step = |policy: &mut Policy, text: &str| {
            policy.rules.push(Rule {
                condition: format!("'{text}' == ''"),
                outcome: Some(Outcome::StepKey("grant".to_owned())),
                ..Rule::default()
            });
        };
        let requests = [
            masked(with(|policy, text| policy.display_name = text.to_owned()), "display_name"),
            masked(with(|policy, text| policy.description = text.to_owned()), "description"),
            masked(with(annotate), "annotations"),
            masked(with(step), "rules"),
        ];
        for outcome in at_once(&clients, requests).await {
            outcome.unwrap();
        }
        let found = get(&mut clients[0], &id).await;
        assert_eq!((found.display_name.as_str(), found.description.as_str()), (text.as_str(), text.as_str()));
        assert_eq!((found.annotations.len(), found.rules.len()), (1, 1), "round {round}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_with_one_etag_one_wins() {
    let (_directory, server, mut clients) = crowd::<8>().await;
    for round in 0..15 {
        let answer = clients[0].create(grant("Name")).await.unwrap();
        let etag = answer.metadata().get("etag").unwrap().clone();
        let id = answer.into_inner().policy.unwrap().id;
        let barrier = Arc::new(Barrier::new(clients.len()));
        let mut tasks = JoinSet::new();
        for (n, client) in clients.iter().enumerate() {
            let (mut client, barrier) = (client.clone(), Arc::clone(&barrier));
            let policy = Policy { id: id.clone(), description: format!("by {n}"), ..Policy::default() };
            let mut request = Request::new(masked(policy, "description"));
            request.metadata_mut().insert("if-match", etag.clone());
            tasks.spawn(async move {
                barrier.wait().await;
                client.update(request).await.map(|answer| answer.into_inner().policy.unwrap())
            });
        }
        let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 7), "round {round}");
        for status in lost.iter().filter_map(|one| one.as_ref().err()) {
            assert_eq!((status.code(), reason(status).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
        }
        assert_eq!(&get(&mut clients[0], &id).await, won[0].as_ref().unwrap());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_creates_with_one_key_make_one_policy() {
    let (_directory, server, mut clients) = crowd::<8>().await;
    for round in 0..15 {
        let barrier = Arc::new(Barrier::new(clients.len()));
        let mut tasks = JoinSet::new();
        for client in &clients {
            let (mut client, barrier) = (client.clone(), Arc::clone(&barrier));
            let mut request = Request::new(grant(&format!("Once {round}")));
            request.metadata_mut().insert("idempotency-key", format!("key-{round}").parse().unwrap());
            tasks.spawn(async move {
                barrier.wait().await;
                let answer = client.create(request).await.unwrap();
                let warnings = answer.metadata().get_all("countersign-warning").iter().count();
                let etag = answer.metadata().get("etag").unwrap().to_str().unwrap().to_owned();
                (answer.into_inner().policy.unwrap().id, etag, warnings)
            });
        }
        let answers: BTreeSet<_> = tasks.join_all().await.into_iter().collect();
        assert_eq!(answers.len(), 1, "round {round}: {answers:?}");
        assert_eq!(answers.first().unwrap().2, 1, "the warning of the added baseline");
    }
    let all = clients[0].list(ListPolicyRequest { page_size: 100, ..Default::default() }).await.unwrap();
    assert_eq!(all.into_inner().list.len(), 15);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paging_sees_everything_that_lives_throughout_exactly_once() {
    let (_directory, server, mut clients) = crowd::<4>().await;
    let mut lasting = BTreeMap::new();
    let mut passing = Vec::new();
    for n in 0..60 {
        let policy = make(&mut clients[0], &format!("P{n}")).await;
        if n % 3 == 0 {
            passing.push(policy.id);
        } else {
            lasting.insert(policy.id, 0);
        }
    }
    // Writers go on as long as there are pages to read: each page lets them make one more step each.
    let steps = Arc::new(Semaphore::new(0));
    let mut writers = JoinSet::new();
    for client in &clients[1..] {
        let (mut client, steps) = (client.clone(), Arc::clone(&steps));
        let mut passing = passing.split_off(passing.len() - passing.len() / 3);
        writers.spawn(async move {
            let mut made = 0;
            while let Ok(step) = steps.acquire().await {
                step.forget();
                let new = make(&mut client, "Passing").await;
                made += 1;
                let gone = passing.pop().unwrap_or(new.id);
                client.delete(DeletePolicyRequest { id: gone }).await.unwrap();
            }
            made
        });
    }
    for _ in 0..3 {
        lasting.values_mut().for_each(|seen| *seen = 0);
        let mut token = String::new();
        let mut last = String::new();
        loop {
            steps.add_permits(3);
            let request = ListPolicyRequest { page_size: 3, page_token: token };
            let page = clients[0].list(request).await.unwrap().into_inner();
            for policy in page.list {
                assert!(policy.id > last, "out of order, or twice");
                assert_eq!(policy.deleted_at, None);
                lasting.entry(policy.id.clone()).and_modify(|seen| *seen += 1);
                last = policy.id;
            }
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert!(lasting.values().all(|seen| *seen == 1), "{lasting:?}");
    }
    steps.close();
    assert!(writers.join_all().await.into_iter().sum::<usize>() > 0);
    server.stop().await;
}
