//! Two operations on one store, the second carried out just before the first commits (or just after it has read).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use countersign::app::{ATTEMPTS_MAX, App, Caller, Clock, Error, Guardian, SystemClock};
use countersign::pb::c1::api::policy::v1::{
    CreatePolicyRequest, DeletePolicyRequest, GetPolicyRequest, ListPolicyRequest, Policy, PolicyStep,
    PolicySteps, PolicyType, Reject, Rule, SearchPoliciesRequest, UpdatePolicyRequest, policy_step::Step,
    rule::Outcome,
};
use countersign::store::{
    self, Batch, BoxFuture, Committed, Direction, Engine, KeyRange, Location, Options, Stored,
};
use countersign::workflow::Nobody;
use prost_types::FieldMask;

use crate::harness::{ManualClock, PATIENCE, rest_of_its_store};

type Interlude = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// A store on which something else happens in between.
struct Staged {
    store: Arc<dyn Engine>,
    before_commits: Mutex<VecDeque<Interlude>>,
    after_gets: Mutex<VecDeque<Interlude>>,
}

impl fmt::Debug for Staged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Staged")
    }
}

impl Engine for Staged {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Stored>, store::Error>> {
        Box::pin(async move {
            let found = self.store.get(key).await;
            let interlude = self.after_gets.lock().unwrap().pop_front();
            if let Some(interlude) = interlude {
                interlude().await;
            }
            found
        })
    }

    fn scan<'a>(
        &'a self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Stored)>, store::Error>> {
        self.store.scan(range, direction, limit)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, store::Error>> {
        let interlude = self.before_commits.lock().unwrap().pop_front();
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            if let Some(interlude) = interlude {
                interlude().await;
            }
            store.commit(batch).await
        })
    }

    rest_of_its_store!();
}

/// The one whose operation is met, and the other, on the same store.
pub struct Stage {
    staged: Arc<Staged>,
    pub one: App,
    pub other: Arc<App>,
}

impl Stage {
    pub async fn new() -> Stage {
        Stage::at(Arc::new(SystemClock::default())).await
    }

    async fn at(clock: Arc<dyn Clock>) -> Stage {
        Stage::with(clock, Guardian::default(), Guardian::default()).await
    }

    /// With settings for Guardian's policies of the one and of the other.
    pub async fn with(clock: Arc<dyn Clock>, one: Guardian, other: Guardian) -> Stage {
        let store = store::open(Options::new(Location::Memory)).unwrap();
        let opened = App::open(Arc::clone(&store), clock.clone(), Nobody::Block).await.unwrap();
        let other = Arc::new(opened.with_guardian(other));
        let staged =
            Arc::new(Staged { store, before_commits: Mutex::default(), after_gets: Mutex::default() });
        let opened = App::open(staged.clone(), clock, Nobody::Block).await.unwrap();
        Stage { staged, one: opened.with_guardian(one), other }
    }

    /// Whether everything that was to happen in between has happened.
    pub fn is_played(&self) -> bool {
        self.staged.before_commits.lock().unwrap().is_empty()
            && self.staged.after_gets.lock().unwrap().is_empty()
    }

    /// Before the next commit of the one (the one after that, if called again), the other does this.
    pub fn before_commit<F>(&self, what: impl FnOnce(Arc<App>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let other = Arc::clone(&self.other);
        self.staged.before_commits.lock().unwrap().push_back(Box::new(move || Box::pin(what(other))));
    }

    /// As [`Stage::before_commit`], but after the next read of one record.
    pub fn after_get<F>(&self, what: impl FnOnce(Arc<App>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let other = Arc::clone(&self.other);
        self.staged.after_gets.lock().unwrap().push_back(Box::new(move || Box::pin(what(other))));
    }

    async fn get(&self, id: &str) -> Policy {
        get(&self.other, id).await
    }
}

async fn get(app: &App, id: &str) -> Policy {
    app.policy_get(GetPolicyRequest { id: id.to_owned() }).await.unwrap().message.policy.unwrap()
}

pub fn me() -> Caller {
    Caller { actor: "tester".to_owned(), method: "test.Test/Test", ..Caller::default() }
}

fn with_key(key: &str) -> Caller {
    Caller { idempotency_key: Some(key.to_owned()), ..me() }
}

fn grant(name: &str) -> CreatePolicyRequest {
    let reject = PolicyStep { step: Some(Step::Reject(Reject::default())) };
    CreatePolicyRequest {
        display_name: name.to_owned(),
        policy_type: PolicyType::Grant.into(),
        policy_steps: [("grant".to_owned(), PolicySteps { steps: vec![reject] })].into(),
        ..CreatePolicyRequest::default()
    }
}

fn to(id: &str) -> Rule {
    let outcome = Some(Outcome::PolicyId(id.to_owned()));
    Rule { condition: "true".to_owned(), outcome, ..Rule::default() }
}

/// A new policy that leads to these.
async fn make(app: &App, name: &str, targets: &[&str]) -> Result<String, Error> {
    let request = CreatePolicyRequest { rules: targets.iter().map(|id| to(id)).collect(), ..grant(name) };
    Ok(app.policy_create(&me(), request).await?.message.policy.unwrap().id)
}

/// Makes a policy lead to these.
async fn lead(app: &App, id: &str, targets: &[&str]) -> Result<Policy, Error> {
    let rules = targets.iter().map(|id| to(id)).collect();
    update(app, &me(), Policy { id: id.to_owned(), rules, ..Policy::default() }, "rules").await
}

async fn update(app: &App, caller: &Caller, policy: Policy, mask: &str) -> Result<Policy, Error> {
    let update_mask = Some(FieldMask { paths: vec![mask.to_owned()] });
    let request = UpdatePolicyRequest { policy: Some(policy), update_mask };
    Ok(app.policy_update(caller, request).await?.message.policy.unwrap())
}

async fn describe(app: &App, caller: &Caller, id: &str, text: &str) -> Result<Policy, Error> {
    let policy = Policy { id: id.to_owned(), description: text.to_owned(), ..Policy::default() };
    update(app, caller, policy, "description").await
}

async fn delete(app: &App, id: &str) -> Result<(), Error> {
    app.policy_delete(&me(), DeletePolicyRequest { id: id.to_owned() }).await.map(drop)
}

/// The reason of a refusal.
fn reason<T: fmt::Debug>(outcome: Result<T, Error>) -> &'static str {
    match outcome.unwrap_err() {
        Error::Invalid(violations) => violations.iter().next().unwrap().code,
        Error::NotFound { .. } => "not found",
        Error::KeyReused => "key reused",
        Error::InUse { .. } => "in use",
        Error::EtagMismatch { .. } => "etag mismatch",
        Error::Contended { .. } => "contended",
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn two_references_cannot_close_a_cycle() {
    let stage = Stage::new().await;
    let a = make(&stage.other, "A", &[]).await.unwrap();
    let b = make(&stage.other, "B", &[]).await.unwrap();
    let c = make(&stage.other, "C", &[&a]).await.unwrap();
    // A -> B, while B -> C -> A comes about.
    let (from, target) = (b.clone(), c.clone());
    stage.before_commit(async move |other| drop(lead(&other, &from, &[&target]).await.unwrap()));
    assert_eq!(reason(lead(&stage.one, &a, &[&b]).await), "REFERENCE_CYCLE");
    assert!(stage.get(&a).await.rules.is_empty());
    assert_eq!(stage.get(&b).await.rules, [to(&c)]);
}

#[tokio::test]
async fn a_cycle_is_also_found_far_from_both_ends() {
    let stage = Stage::new().await;
    let a = make(&stage.other, "A", &[]).await.unwrap();
    let d = make(&stage.other, "D", &[]).await.unwrap();
    let c = make(&stage.other, "C", &[]).await.unwrap();
    let b = make(&stage.other, "B", &[&c]).await.unwrap();
    lead(&stage.other, &d, &[&a]).await.unwrap();
    // A -> B -> C, and C -> D -> A in between: neither write touches a policy that the other writes or refers to.
    let (from, target) = (c.clone(), d.clone());
    stage.before_commit(async move |other| drop(lead(&other, &from, &[&target]).await.unwrap()));
    assert_eq!(reason(lead(&stage.one, &a, &[&b]).await), "REFERENCE_CYCLE");
}

/// P1 leads to P2 and so on; the ids in that order.
async fn chain(app: &App, policies: usize) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for n in 0..policies {
        let below: Vec<&str> = ids.first().map(String::as_str).into_iter().collect();
        let id = make(app, &format!("P{n}"), &below).await.unwrap();
        ids.insert(0, id);
    }
    ids
}

#[tokio::test]
async fn a_chain_cannot_grow_at_both_ends_at_once() {
    // Five references at most: a chain of five policies has four, and one more at either end is still allowed.
    let stage = Stage::new().await;
    let ids = chain(&stage.other, 5).await;
    let end = make(&stage.other, "End", &[]).await.unwrap();
    let last = ids.last().unwrap().clone();
    stage.before_commit(async move |other| drop(lead(&other, &last, &[&end]).await.unwrap()));
    assert_eq!(reason(make(&stage.one, "Start", &[&ids[0]]).await), "REFERENCE_TOO_DEEP");

    let stage = Stage::new().await;
    let ids = chain(&stage.other, 5).await;
    let end = make(&stage.other, "End", &[]).await.unwrap();
    let first = ids[0].clone();
    stage.before_commit(async move |other| drop(make(&other, "Start", &[&first]).await.unwrap()));
    assert_eq!(reason(lead(&stage.one, ids.last().unwrap(), &[&end]).await), "REFERENCE_TOO_DEEP");
}

#[tokio::test]
async fn a_delete_and_a_new_reference_do_not_pass_each_other() {
    let stage = Stage::new().await;
    let target = make(&stage.other, "Target", &[]).await.unwrap();
    let id = target.clone();
    stage.before_commit(async move |other| drop(make(&other, "Referrer", &[&id]).await.unwrap()));
    assert_eq!(reason(delete(&stage.one, &target).await), "in use");
    assert_eq!(stage.get(&target).await.deleted_at, None);

    let stage = Stage::new().await;
    let target = make(&stage.other, "Target", &[]).await.unwrap();
    let id = target.clone();
    stage.before_commit(async move |other| delete(&other, &id).await.unwrap());
    assert_eq!(reason(make(&stage.one, "Referrer", &[&target]).await), "REFERENCE_DELETED");
}

#[tokio::test]
async fn a_change_of_type_and_a_new_reference_do_not_pass_each_other() {
    let untyped = |id: &str| Policy { id: id.to_owned(), ..Policy::default() };
    let stage = Stage::new().await;
    let target = make(&stage.other, "Target", &[]).await.unwrap();
    let id = target.clone();
    stage.before_commit(async move |other| drop(make(&other, "Referrer", &[&id]).await.unwrap()));
    let outcome = update(&stage.one, &me(), untyped(&target), "policy_type").await;
    assert_eq!(reason(outcome), "REFERRERS_OF_OTHER_TYPE");

    let stage = Stage::new().await;
    let target = make(&stage.other, "Target", &[]).await.unwrap();
    let policy = untyped(&target);
    stage.before_commit(async move |other| drop(update(&other, &me(), policy, "policy_type").await.unwrap()));
    assert_eq!(reason(make(&stage.one, "Referrer", &[&target]).await), "REFERENCE_TYPE_DIFFERS");
}

#[tokio::test]
async fn masked_updates_of_one_policy_keep_each_other() {
    let stage = Stage::new().await;
    let id = make(&stage.other, "Name", &[]).await.unwrap();
    let named = Policy { id: id.clone(), display_name: "Other name".to_owned(), ..Policy::default() };
    stage.before_commit(async move |other| drop(update(&other, &me(), named, "display_name").await.unwrap()));
    let answer = describe(&stage.one, &me(), &id, "Text").await.unwrap();
    assert_eq!((answer.display_name.as_str(), answer.description.as_str()), ("Other name", "Text"));
    assert_eq!(stage.get(&id).await, answer);
    let search =
        SearchPoliciesRequest { display_name: "name".to_owned(), ..SearchPoliciesRequest::default() };
    assert!(stage.other.policy_search(search).await.unwrap().message.list.is_empty(), "an old index entry");
}

#[tokio::test]
async fn an_update_and_a_delete_do_not_pass_each_other() {
    let stage = Stage::new().await;
    let id = make(&stage.other, "Name", &[]).await.unwrap();
    let gone = id.clone();
    stage.before_commit(async move |other| delete(&other, &gone).await.unwrap());
    assert_eq!(reason(describe(&stage.one, &me(), &id, "Text").await), "not found");
    assert_eq!(stage.get(&id).await.description, "");

    let id = make(&stage.other, "Name", &[]).await.unwrap();
    let gone = id.clone();
    stage.before_commit(async move |other| delete(&other, &gone).await.unwrap());
    assert_eq!(reason(delete(&stage.one, &id).await), "not found");
}

#[tokio::test]
async fn if_match_is_held_against_what_is_there_at_the_commit() {
    let stage = Stage::new().await;
    let made = stage.other.policy_create(&me(), grant("Name")).await.unwrap();
    let id = made.message.policy.unwrap().id;
    let caller = Caller { if_match: made.etag, ..me() };
    let changed = id.clone();
    stage.before_commit(async move |other| drop(describe(&other, &me(), &changed, "first").await.unwrap()));
    assert_eq!(reason(describe(&stage.one, &caller, &id, "second").await), "etag mismatch");
    assert_eq!(stage.get(&id).await.description, "first");
}

#[tokio::test]
async fn one_idempotency_key_makes_one_policy() {
    let stage = Stage::new().await;
    // The other takes the key as soon as the one has found it free, or just before the one takes it.
    for at_once in [false, true] {
        let key = format!("k{at_once}");
        let (send, made) = tokio::sync::oneshot::channel();
        let caller = with_key(&key);
        let create = async move |other: Arc<App>| {
            let answer = other.policy_create(&caller, grant("Once")).await.unwrap();
            send.send(answer.message.policy.unwrap()).unwrap();
        };
        if at_once {
            stage.after_get(create)
        } else {
            stage.before_commit(create)
        }
        let answer = stage.one.policy_create(&with_key(&key), grant("Once")).await.unwrap();
        assert_eq!(answer.message.policy.unwrap(), made.await.unwrap());
        assert!(answer.etag.is_some());
    }
    stage.before_commit(async move |other| {
        drop(other.policy_create(&with_key("l"), grant("Another")).await.unwrap());
    });
    assert_eq!(reason(stage.one.policy_create(&with_key("l"), grant("Twice")).await), "key reused");
    let all = stage.other.policy_list(ListPolicyRequest::default()).await.unwrap().message.list;
    let names: Vec<&str> = all.iter().map(|policy| policy.display_name.as_str()).collect();
    assert_eq!(names, ["Once", "Once", "Another"]);
}

#[tokio::test]
async fn creates_that_clear_the_same_old_keys_do_not_hinder_each_other() {
    let clock = ManualClock::at(1_800_000_000);
    let stage = Stage::at(clock.clone()).await;
    for n in 0..300 {
        stage.other.policy_create(&with_key(&format!("old {n}")), grant("Old")).await.unwrap();
    }
    clock.advance(25 * 60 * 60);
    for n in 0..ATTEMPTS_MAX {
        stage.before_commit(async move |other| {
            drop(other.policy_create(&with_key(&format!("new {n}")), grant("New")).await.unwrap());
        });
    }
    stage.one.policy_create(&with_key("mine"), grant("Mine")).await.unwrap();
}

#[tokio::test]
async fn a_create_that_had_to_start_again_still_has_its_warnings() {
    let stage = Stage::new().await;
    let target = make(&stage.other, "Target", &[]).await.unwrap();
    let changed = target.clone();
    stage.before_commit(async move |other| drop(describe(&other, &me(), &changed, "changed").await.unwrap()));
    let request =
        CreatePolicyRequest { policy_steps: [].into(), rules: vec![to(&target)], ..grant("Warned") };
    let answer = stage.one.policy_create(&me(), request).await.unwrap();
    assert!(answer.warnings.iter().any(|one| one.starts_with("BASELINE_ADDED")), "{:?}", answer.warnings);
}

#[tokio::test]
async fn who_is_overtaken_again_and_again_is_told_to_retry() {
    let stage = Stage::new().await;
    let id = make(&stage.other, "Name", &[]).await.unwrap();
    for n in 0..ATTEMPTS_MAX {
        let id = id.clone();
        stage.before_commit(async move |other| {
            drop(describe(&other, &me(), &id, &format!("change {n}")).await.unwrap());
        });
    }
    assert_eq!(reason(describe(&stage.one, &me(), &id, "mine").await), "contended");
    assert!(stage.is_played());
    assert_eq!(describe(&stage.one, &me(), &id, "mine").await.unwrap().description, "mine");
}

/// Waits until `app` lists what another wrote, which it hears of from the feed of changes.
async fn listed(app: &App, id: &str) {
    let until = async {
        loop {
            let list = app.policy_list(ListPolicyRequest::default()).await.unwrap().message.list;
            if list.iter().any(|policy| policy.id == id) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, until).await.expect("it is never listed");
}

#[tokio::test]
async fn what_is_deleted_while_a_page_is_put_together_is_not_on_it() {
    let stage = Stage::new().await;
    let kept = make(&stage.other, "Kept", &[]).await.unwrap();
    for search in [false, true] {
        let id = make(&stage.other, "Gone", &[]).await.unwrap();
        listed(&stage.one, &id).await;
        // After the first policy of the page has been read, and before the second.
        stage.after_get(async move |other| delete(&other, &id).await.unwrap());
        let list = if search {
            stage.one.policy_search(SearchPoliciesRequest::default()).await.unwrap().message.list
        } else {
            stage.one.policy_list(ListPolicyRequest::default()).await.unwrap().message.list
        };
        assert!(stage.is_played());
        let ids: Vec<&str> = list.iter().map(|policy| policy.id.as_str()).collect();
        assert_eq!(ids, [kept.as_str()], "search: {search}");
    }
}
