//! Policies as releases before format 3 of the data directory kept them, the latest version apart from its head: everything is
//! found, and goes on.

use super::{FRESH, KEY, secret_policy};
use countersign::app::{App, Caller, Guardian, Keys, Rotated, SystemClock};
use countersign::pb::countersign::v1::{ListRevisionsRequest, RevisionView};
use countersign::pb::gotocompany::guardian::v1beta1 as goto;
use countersign::store::table::Key;
use countersign::store::{self, Batch, Engine, Location, Options};
use countersign::workflow::Nobody;
use prost::Message;
use prost_types::Timestamp;
use std::sync::Arc;

/// The numbers of the tables, which never change: heads, versions, and the order of the list, which is not read any more.
const HEAD: u8 = 32;
const VERSION: u8 = 33;
const TIME: u8 = 34;

/// A head as it is kept.
#[derive(Clone, PartialEq, Message)]
struct Head {
    #[prost(uint32, tag = "1")]
    latest: u32,
    /// An encoded version.
    #[prost(bytes = "vec", optional, tag = "2")]
    record: Option<Vec<u8>>,
}

async fn open(store: &Arc<dyn Engine>, keys: &str) -> App {
    let app = App::open(Arc::clone(store), Arc::new(SystemClock::default()), Nobody::Block).await.unwrap();
    app.with_guardian(Guardian { keys: Keys::parse(keys).unwrap(), ..Guardian::default() })
}

fn me() -> Caller {
    Caller { actor: "tester".to_owned(), method: "test.Test/Test", ..Caller::default() }
}

/// With a secret, and the time that it says it was created at.
fn document(id: &str, seconds: i64) -> goto::Policy {
    goto::Policy { created_at: Some(Timestamp { seconds, nanos: 0 }), ..secret_policy(id) }
}

async fn create(app: &App, id: &str, seconds: i64) {
    let request = goto::CreatePolicyRequest { policy: Some(document(id, seconds)), dry_run: false };
    app.guardian_create(&me(), request).await.unwrap();
}

async fn update(app: &App, id: &str, seconds: i64) -> u32 {
    let policy = Some(document(id, seconds));
    let request = goto::UpdatePolicyRequest { id: id.to_owned(), policy, dry_run: false };
    app.guardian_update(&me(), request).await.unwrap().message.policy.unwrap().version
}

async fn get(app: &App, id: &str, version: u32) -> goto::Policy {
    let request = goto::GetPolicyRequest { id: id.to_owned(), version };
    app.guardian_get(request).await.unwrap().message.policy.unwrap()
}

async fn list(app: &App) -> Vec<goto::Policy> {
    app.guardian_list(goto::ListPoliciesRequest::default()).await.unwrap().message.policies
}

/// The numbers of the versions, newest first, and who wrote them.
async fn revisions(app: &App, id: &str) -> Vec<(i64, String)> {
    let request = ListRevisionsRequest {
        policy_id: id.to_owned(),
        view: RevisionView::Full.into(),
        ..ListRevisionsRequest::default()
    };
    let answer = app.revision_list(request).await.unwrap().message;
    answer.revisions.into_iter().map(|revision| (revision.number, revision.actor)).collect()
}

/// Keeps a policy as it was kept up to format 2.
async fn keep_as_before(store: &dyn Engine, id: &str) {
    let key = Key::new(HEAD).text(id).into_bytes();
    let stored = store.get(&key).await.unwrap().expect("heads are kept where this test looks for them");
    let Head { latest, record } = Head::decode(stored.value).unwrap();
    let mut batch = Batch::new();
    batch.put(key, Head { latest, record: None }.encode_to_vec());
    let version = Key::new(VERSION).text(id).u64(latest.into()).into_bytes();
    batch.put(version, record.expect("the latest version stands with its head"));
    batch.put(Key::new(TIME).u64(0).u64(0).text(id).u64(latest.into()).into_bytes(), Vec::new());
    store.commit(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_of_an_earlier_format_go_on() {
    let store = store::open(Options::new(Location::Memory)).unwrap();
    let app = open(&store, KEY).await;
    create(&app, "p", 300).await;
    assert_eq!(update(&app, "p", 100).await, 2);
    create(&app, "q", 200).await;
    let listed = list(&app).await;
    let places: Vec<_> = listed.iter().map(|policy| (policy.id.as_str(), policy.version)).collect();
    assert_eq!(places, [("p", 2), ("q", 1), ("p", 1)]);
    drop(app);
    for id in ["p", "q"] {
        keep_as_before(store.as_ref(), id).await;
    }

    // Nothing has changed for readers,
    let app = open(&store, KEY).await;
    assert_eq!(list(&app).await, listed);
    assert_eq!(get(&app, "p", 0).await, listed[0]);
    assert_eq!(get(&app, "p", 2).await, listed[0]);
    assert_eq!(get(&app, "p", 1).await, listed[2]);
    let me = "tester".to_owned();
    assert_eq!(revisions(&app, "p").await, [(2, me.clone()), (1, me.clone())]);

    // nor for writers, and what they write is found with the rest, here and after a restart.
    assert_eq!(update(&app, "p", 50).await, 3);
    assert_eq!(update(&app, "p", 400).await, 4);
    let numbers: Vec<_> = [4, 3, 2, 1].map(|number| (number, me.clone())).into();
    for app in [app, open(&store, KEY).await] {
        let places: Vec<_> = list(&app).await.into_iter().map(|policy| (policy.id, policy.version)).collect();
        let expected = [("p", 3), ("p", 2), ("q", 1), ("p", 1), ("p", 4)];
        assert_eq!(places, expected.map(|(id, version)| (id.to_owned(), version)));
        assert_eq!(revisions(&app, "p").await, numbers);
        for version in 1..=4 {
            assert_eq!(get(&app, "p", version).await.version, version);
        }
    }

    // A rotation finds the secret of every version, wherever it is kept.
    let rotated = async |keys: &str| open(&store, keys).await.guardian_rotate_keys().await.unwrap();
    assert_eq!(rotated(&format!("{FRESH}\n{KEY}")).await, Rotated { versions: 5, secrets: 5 });
    assert_eq!(rotated(FRESH).await, Rotated { versions: 5, secrets: 0 });
}
