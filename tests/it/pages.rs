//! Pages of lists and searches on more policies than fit on one: how large they are, and that the last one costs as much as the
//! first.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use countersign::app::{App, Caller, SystemClock};
use countersign::pb::c1::api::policy::v1::{
    Accept, CreatePolicyRequest, DeletePolicyRequest, ListPolicyRequest, PolicyRef, PolicyScope,
    PolicyScopeView, PolicyStep, PolicySteps, PolicyType, SearchPoliciesRequest,
    policies_client::PoliciesClient, policy_search_client::PolicySearchClient, policy_step::Step,
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

/// Every page of a list: how many policies it shows, and how many records were read for it.
async fn listed_pages(app: &App, counted: &Counted) -> Vec<(usize, usize)> {
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let request = ListPolicyRequest { page_size: SIZE, page_token: token };
        let page = app.policy_list(request).await.unwrap().message;
        pages.push((page.list.len(), counted.since()));
        token = page.next_page_token;
        if token.is_empty() {
            return pages;
        }
    }
}

/// The same of a search.
async fn found_pages(app: &App, counted: &Counted, request: &SearchPoliciesRequest) -> Vec<(usize, usize)> {
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let request = SearchPoliciesRequest { page_size: SIZE, page_token: token, ..request.clone() };
        let page = app.policy_search(request).await.unwrap().message;
        pages.push((page.list.len(), counted.since()));
        token = page.next_page_token;
        if token.is_empty() {
            return pages;
        }
    }
}

/// One record is read for each policy that is shown, wherever the page is, and none for those that are not.
fn check(pages: &[(usize, usize)], wanted: usize, what: &str) {
    let size = usize::try_from(SIZE).unwrap();
    assert_eq!(pages.iter().map(|(shown, _)| shown).sum::<usize>(), wanted, "{what}");
    assert_eq!(pages.len(), wanted.div_ceil(size).max(1), "{what}");
    assert!(pages.iter().all(|(shown, read)| read == shown), "{what}: {pages:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_page_costs_as_much_as_the_first() {
    let store = store::open(Options::new(Location::Memory)).unwrap();
    let counted = Arc::new(Counted { store, records: AtomicUsize::new(0) });
    let app = App::open(counted.clone(), Arc::new(SystemClock::default()), Nobody::Block).await.unwrap();
    let caller = Caller { actor: "tester".to_owned(), method: "test.Test/Test", ..Caller::default() };
    let mut ids = Vec::new();
    for n in 0..POLICIES {
        // A tenth is deleted below, a quarter is for one app, and a half is of another type.
        let app_id = "app".to_owned();
        let scope = (n % 4 == 1).then(|| PolicyScope { app_id, ..PolicyScope::default() });
        let policy_type = if n % 2 == 0 { PolicyType::Grant } else { PolicyType::Revoke }.into();
        let made = app.policy_create(&caller, CreatePolicyRequest { scope, policy_type, ..policy(n) }).await;
        ids.push(made.unwrap().message.policy.unwrap().id);
    }
    for id in ids.iter().step_by(10) {
        app.policy_delete(&caller, DeletePolicyRequest { id: id.clone() }).await.unwrap();
    }
    counted.since();
    check(&listed_pages(&app, &counted).await, POLICIES * 9 / 10, "list");

    let all = SearchPoliciesRequest {
        scope_view: PolicyScopeView::All.into(),
        include_deleted: true,
        ..SearchPoliciesRequest::default()
    };
    let refs = ids.iter().skip(200).map(|id| PolicyRef { id: id.clone() }).collect();
    let (revoke, certify) = (PolicyType::Revoke.into(), PolicyType::Certify.into());
    let searches = [
        ("all", all.clone(), POLICIES),
        ("live", SearchPoliciesRequest { include_deleted: false, ..all.clone() }, POLICIES * 9 / 10),
        ("global", SearchPoliciesRequest { scope_view: 0, ..all.clone() }, POLICIES * 3 / 4),
        ("words", SearchPoliciesRequest { query: "polic".to_owned(), ..all.clone() }, POLICIES),
        ("word", SearchPoliciesRequest { query: "policy 39".to_owned(), ..all.clone() }, 10),
        ("name", SearchPoliciesRequest { display_name: "policy 399".to_owned(), ..all.clone() }, 1),
        ("type", SearchPoliciesRequest { policy_types: vec![revoke], ..all.clone() }, POLICIES / 2),
        ("no such type", SearchPoliciesRequest { policy_types: vec![certify], ..all.clone() }, 0),
        ("refs", SearchPoliciesRequest { refs, ..all.clone() }, 200),
        ("others", SearchPoliciesRequest { exclude_policy_ids: ids[..390].to_vec(), ..all.clone() }, 10),
        (
            "app",
            SearchPoliciesRequest {
                scope_view: PolicyScopeView::Scoped.into(),
                scope_app_id: "app".to_owned(),
                include_deleted: false,
                ..all.clone()
            },
            POLICIES / 4,
        ),
    ];
    for (what, request, wanted) in searches {
        check(&found_pages(&app, &counted, &request).await, wanted, what);
    }
}

/// Over a client of gRPC as it is by default, which takes 4 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_large_policies_ends_before_it_is_too_large_for_a_client() {
    const LARGE: usize = 40;
    let server = Server::start().await;
    let mut policies = PoliciesClient::new(server.channel().await);
    let mut search = PolicySearchClient::new(server.channel().await);
    let accept = Accept { accept_message: "x".repeat(120_000) };
    let steps = PolicySteps { steps: vec![PolicyStep { step: Some(Step::Accept(accept)) }] };
    let mut made = Vec::new();
    for n in 0..LARGE {
        let policy_steps = [("grant".to_owned(), steps.clone())].into();
        let request = CreatePolicyRequest { policy_steps, ..policy(n) };
        made.push(policies.create(request).await.unwrap().into_inner().policy.unwrap().id);
    }
    let (mut ids, mut sizes, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = policies.list(ListPolicyRequest { page_size: 100, page_token: token }).await.unwrap();
        let page = page.into_inner();
        sizes.push(page.list.len());
        ids.extend(page.list.into_iter().map(|policy| policy.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    // 27 times 120,000 bytes is the first to exceed 3 MiB.
    assert_eq!((sizes, &ids), (vec![27, 13], &made));

    for query in ["", "policy"] {
        let (mut ids, mut sizes, mut token) = (Vec::new(), Vec::new(), String::new());
        loop {
            let request = SearchPoliciesRequest {
                query: query.to_owned(),
                page_size: 100,
                page_token: token,
                ..SearchPoliciesRequest::default()
            };
            let page = search.search(request).await.unwrap().into_inner();
            sizes.push(page.list.len());
            ids.extend(page.list.into_iter().map(|policy| policy.id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!((sizes, &ids), (vec![27, 13], &made), "{query:?}");
    }
    server.stop().await;
}

/// As Get, a search takes an id in the one spelling that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_in_a_search_have_one_spelling() {
    let server = Server::start().await;
    let (_, made) = post(&server, "/api/v1/policies", &json!({"displayName": "Policy"})).await;
    let id = made["policy"]["id"].as_str().unwrap();
    for (spelt, is_one) in [
        (id.to_owned(), true),
        (id.to_uppercase(), false),
        (id.replace('-', ""), false),
        (format!("{{{id}}}"), false),
        (format!("urn:uuid:{id}"), false),
    ] {
        let got = http(server.addr, "GET", &format!("/api/v1/policies/{spelt}"), &[], b"").await;
        assert_eq!(got.status == 200, is_one, "{spelt}");
        let wanted = json!({"refs": [{"id": spelt}]});
        assert_eq!(found(&server, wanted).await.0, usize::from(is_one), "{spelt}");
        let excluded = json!({"excludePolicyIds": [spelt]});
        assert_eq!(found(&server, excluded).await.0, usize::from(!is_one), "{spelt}");
    }
    server.stop().await;
}
