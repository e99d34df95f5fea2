//! Operations on Guardian's policies that meet: no version is lost, none is missing from a list, and every secret is found.

use super::staged::{Stage, me};
use crate::guardian::{FRESH, KEY, secret_policy};
use crate::harness::PATIENCE;
use countersign::app::{App, Error, Guardian, Keys, Rotated, SystemClock};
use countersign::pb::countersign::v1::RollbackRequest;
use countersign::pb::gotocompany::guardian::v1beta1 as goto;
use std::sync::Arc;

/// Both with these keys; of each the first one encrypts.
async fn stage(one: [&str; 2], other: [&str; 2]) -> Stage {
    let guardian =
        |keys: [&str; 2]| Guardian { keys: Keys::parse(&keys.join("\n")).unwrap(), ..Guardian::default() };
    Stage::with(Arc::new(SystemClock::default()), guardian(one), guardian(other)).await
}

fn document(description: &str) -> goto::Policy {
    goto::Policy { description: description.to_owned(), ..secret_policy("p") }
}

async fn create(app: &App) -> Result<(), Error> {
    let request = goto::CreatePolicyRequest { policy: Some(document("first")), dry_run: false };
    app.guardian_create(&me(), request).await.map(drop)
}

async fn update(app: &App, description: &str) -> u32 {
    let policy = Some(document(description));
    let request = goto::UpdatePolicyRequest { id: "p".to_owned(), policy, dry_run: false };
    app.guardian_update(&me(), request).await.unwrap().message.policy.unwrap().version
}

async fn rollback(app: &App, revision: &str) -> i64 {
    let request = RollbackRequest {
        policy_id: "p".to_owned(),
        revision: revision.to_owned(),
        ..RollbackRequest::default()
    };
    app.revision_rollback(&me(), request).await.unwrap().message.number
}

/// The versions that are listed, each with its description.
async fn listed(app: &App) -> Vec<(u32, String)> {
    let request = goto::ListPoliciesRequest { ids: vec!["p".to_owned()], ..Default::default() };
    let answer = app.guardian_list(request).await.unwrap().message;
    assert_eq!(usize::try_from(answer.total).unwrap(), answer.policies.len());
    let mut versions: Vec<_> =
        answer.policies.into_iter().map(|policy| (policy.version, policy.description)).collect();
    versions.sort();
    versions
}

fn versions(descriptions: &[&str]) -> Vec<(u32, String)> {
    (1..).zip(descriptions).map(|(version, description)| (version, (*description).to_owned())).collect()
}

#[tokio::test]
async fn whoever_is_told_of_a_version_finds_those_before_it_listed() {
    let stage = stage([KEY, FRESH], [KEY, FRESH]).await;
    create(&stage.one).await.unwrap();
    stage.before_commit(async move |other| assert_eq!(update(&other, "second").await, 2));
    assert_eq!(update(&stage.one, "third").await, 3);
    assert!(stage.is_played());
    assert_eq!(listed(&stage.one).await, versions(&["first", "second", "third"]));
}

#[tokio::test]
async fn whoever_is_told_that_an_id_is_taken_finds_the_policy_listed() {
    let stage = stage([KEY, FRESH], [KEY, FRESH]).await;
    stage.before_commit(async move |other| create(&other).await.unwrap());
    assert!(matches!(create(&stage.one).await, Err(Error::AlreadyExists { .. })));
    assert_eq!(listed(&stage.one).await, versions(&["first"]));
}

#[tokio::test]
async fn what_another_process_wrote_comes_to_be_listed() {
    let stage = stage([KEY, FRESH], [KEY, FRESH]).await;
    create(&stage.other).await.unwrap();
    assert_eq!(update(&stage.other, "second").await, 2);
    assert_eq!(rollback(&stage.other, "1").await, 3);
    let expected = versions(&["first", "second", "first"]);
    let until = async {
        while listed(&stage.one).await != expected {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, until).await.expect("it is never listed");
}

#[tokio::test]
async fn a_rollback_that_is_overtaken_comes_after() {
    let stage = stage([KEY, FRESH], [KEY, FRESH]).await;
    create(&stage.one).await.unwrap();
    assert_eq!(update(&stage.one, "second").await, 2);
    stage.before_commit(async move |other| assert_eq!(update(&other, "third").await, 3));
    assert_eq!(rollback(&stage.one, "1").await, 4);
    assert!(stage.is_played());
    assert_eq!(listed(&stage.one).await, versions(&["first", "second", "third", "first"]));
}

#[tokio::test]
async fn a_version_that_is_moved_while_it_is_read_is_read() {
    let stage = stage([KEY, FRESH], [KEY, FRESH]).await;
    create(&stage.one).await.unwrap();
    stage.after_get(async move |other| assert_eq!(update(&other, "second").await, 2));
    let request = goto::GetPolicyRequest { id: "p".to_owned(), version: 1 };
    let policy = stage.one.guardian_get(request).await.unwrap().message.policy.unwrap();
    assert!(stage.is_played());
    assert_eq!((policy.version, policy.description.as_str()), (1, "first"));
}

/// How many secrets of how many versions are still encrypted with [`KEY`].
async fn left(stage: &Stage) -> Rotated {
    stage.other.guardian_rotate_keys().await.unwrap()
}

#[tokio::test]
async fn an_update_that_a_rotation_overtakes_keeps_what_was_rotated() {
    let stage = stage([KEY, FRESH], [FRESH, KEY]).await;
    create(&stage.one).await.unwrap();
    stage.before_commit(async move |other| {
        assert_eq!(other.guardian_rotate_keys().await.unwrap(), Rotated { versions: 1, secrets: 1 });
    });
    assert_eq!(update(&stage.one, "second").await, 2);
    assert!(stage.is_played());
    // The first version was moved as the rotation had left it.
    assert_eq!(left(&stage).await, Rotated { versions: 2, secrets: 1 });
}

#[tokio::test]
async fn a_rotation_that_an_update_overtakes_finds_both_versions() {
    let stage = stage([FRESH, KEY], [KEY, FRESH]).await;
    create(&stage.other).await.unwrap();
    stage.before_commit(async move |other| assert_eq!(update(&other, "second").await, 2));
    let rotated = stage.one.guardian_rotate_keys().await.unwrap();
    assert!(stage.is_played());
    assert_eq!(rotated, Rotated { versions: 2, secrets: 2 });
    assert_eq!(stage.one.guardian_rotate_keys().await.unwrap(), Rotated { versions: 2, secrets: 0 });
}
