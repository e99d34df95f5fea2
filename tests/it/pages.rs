//! Pages of lists and searches on more policies than fit on one: how large they are, and that the last one costs as much as the
//! first.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use countersign::app::{App, Caller, SystemClock};
use countersign::pb::c1::api::policy::v1::{
    CreatePolicyRequest, ListPolicyRequest, PolicyType, SearchPoliciesRequest,
};
use countersign::store::{
    self, Batch, BoxFuture, Committed, Direction, Engine, KeyRange, Location, Options, Stored,
};
use countersign::workflow::Nobody;
use serde_json::json;

use crate::harness::{Server, http, post, rest_of_its_store};

fn policy(n: usize) -> CreatePolicyRequest {
    CreatePolicyRequest {
        display_name: format!("Policy {n:03}"),
        policy_type: PolicyType::Grant.into(),
        ..CreatePolicyRequest::default()
    }
}

/// How many are on a page, and whether another follows.
async fn listed(server: &Server, size: &str) -> (usize, bool) {
    let answer = http(server.addr, "GET", &format!("/api/v1/policies{size}"), &[], b"").await.json();
    let token = answer["nextPageToken"].as_str().unwrap();
    (answer["list"].as_array().unwrap().len(), !token.is_empty())
}

async fn found(server: &Server, request: serde_json::Value) -> (usize, bool) {
    let (status, answer) = post(server, "/api/v1/search/policies", &request).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["nextPageToken"].as_str().unwrap();
    (answer["list"].as_array().unwrap().len(), !token.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_size_of_0_is_the_default_and_one_over_100_is_100() {
    let server = Server::start().await;
    for n in 0..101 {
        let body = json!({"displayName": format!("Policy {n:03}"), "policyType": "POLICY_TYPE_GRANT"});
        assert_eq!(post(&server, "/api/v1/policies", &body).await.0, 200);
    }
    for (size, wanted) in
        [("", 25), ("0", 25), ("1", 1), ("99", 99), ("100", 100), ("101", 100), ("1000000", 100)]
    {
        let target = if size.is_empty() { String::new() } else { format!("?page_size={size}") };
        assert_eq!(listed(&server, &target).await, (wanted, true), "{size:?}");
        let number: i64 = if size.is_empty() { 0 } else { size.parse().unwrap() };
        for query in ["", "policy"] {
            let request = json!({"pageSize": number, "query": query});
            assert_eq!(found(&server, request).await, (wanted, true), "{size:?} {query:?}");
        }
    }
    server.stop().await;
}

/// A store that counts what is read from it.
struct Counted {
    store: Arc<dyn Engine>,
    records: AtomicUsize,
}

impl fmt::Debug for Counted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Counted")
    }
}

impl Engine for Counted {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Stored>, store::Error>> {
        self.records.fetch_add(1, Ordering::SeqCst);
        self.store.get(key)
    }

    fn scan<'a>(
        &'a self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Stored)>, store::Error>> {
        Box::pin(async move {
            let found = self.store.scan(range, direction, limit).await?;
            self.records.fetch_add(1 + found.len(), Ordering::SeqCst);
            Ok(found)
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, store::Error>> {
        self.store.commit(batch)
    }

    rest_of_its_store!();
}

const POLICIES: usize = 400;
const SIZE: i32 = 10;

impl Counted {
    /// What was read since this was asked last.
    fn since(&self) -> usize {
        self.records.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_page_costs_as_much_as_the_first() {
    let store = store::open(Options::new(Location::Memory)).unwrap();
    let counted = Arc::new(Counted { store, records: AtomicUsize::new(0) });
    let app = App::open(counted.clone(), Arc::new(SystemClock::default()), Nobody::Block).await.unwrap();
    let caller = Caller { actor: "tester".to_owned(), method: "test.Test/Test", ..Caller::default() };
    for n in 0..POLICIES {
        app.policy_create(&caller, policy(n)).await.unwrap();
    }
    // What a page of so many costs at most: each policy, and whatever finds them.
    let most = 2 * usize::try_from(SIZE).unwrap() + 2;

    counted.since();
    let mut costs = Vec::new();
    let mut token = String::new();
    loop {
        let request = ListPolicyRequest { page_size: SIZE, page_token: token };
        let page = app.policy_list(request).await.unwrap().message;
        assert_eq!(page.list.len(), usize::try_from(SIZE).unwrap());
        costs.push(counted.since());
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(costs.len() * usize::try_from(SIZE).unwrap(), POLICIES);
    assert!(costs.iter().all(|cost| *cost <= most), "{costs:?}");

    // Of what is searched for, only what is shown is read.
    for query in ["", "policy"] {
        let mut costs = Vec::new();
        let mut token = String::new();
        loop {
            let request = SearchPoliciesRequest {
                query: query.to_owned(),
                page_size: SIZE,
                page_token: token,
                ..SearchPoliciesRequest::default()
            };
            let page = app.policy_search(request).await.unwrap().message;
            costs.push(counted.since());
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(costs.len() * usize::try_from(SIZE).unwrap(), POLICIES);
        assert!(costs.iter().all(|cost| *cost <= most), "{query:?}: {costs:?}");
    }
}
