//! What Guardian's calls answer when the store below them fails, in both modes.

use super::clients::policy;
use crate::harness::{Server, http, rest_of_its_store};
use bytes::Bytes;
use countersign::app::{App, Caller, Error, Guardian, GuardianCode, SystemClock};
use countersign::pb::gotocompany::guardian::v1beta1 as goto;
use countersign::policy::guardian::Compat;
use countersign::store::{
    self, Batch, BoxFuture, Committed, Device, Direction, Engine, KeyRange, Location, Options, RESERVE_BYTES,
    Stored,
};
use countersign::workflow::Nobody;
use serde_json::{Value, json};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Status, code, message and reason of what a call answers.
type Told = (u16, u64, String, String);

async fn call(server: &Server, verb: &str, target: &str) -> Told {
    let body = json!({
        "id": "p", "steps": [{"name": "owner", "strategy": "manual", "approvers": ["owner@corp.example"]}],
    });
    let body = if verb == "GET" { String::new() } else { body.to_string() };
    let target = format!("/api/v1beta1/policies{target}");
    let answer = http(server.addr, verb, &target, &[], body.as_bytes()).await;
    let json = answer.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reason = text(&json["details"][0]["reason"]);
    (answer.status, json["code"].as_u64().unwrap_or(0), text(&json["message"]), reason)
}

/// What a refusal of the store is in a mode.
fn told(compat: &str, doing: &str, status: u16, code: u64, message: &str, reason: &str) -> Told {
    if compat == "strict" {
        (500, 13, format!("failed to {doing} policy: {message}"), String::new())
    } else {
        (status, code, message.to_owned(), reason.to_owned())
    }
}

#[tokio::test]
async fn a_full_disk() {
    const SAID: &str = "the disk of the service is full; reads go on, writes resume when there is room";
    for compat in ["default", "strict"] {
        let directory = tempfile::tempdir().unwrap();
        let free = Arc::new(AtomicU64::new(u64::MAX));
        let asked = Arc::clone(&free);
        let free_bytes = Arc::new(move |_: &std::fs::File| Ok(asked.load(Ordering::SeqCst)));
        let device = Device { free_bytes, ..Device::default() };
        let server = Server::on_device_with(directory.path(), device, &[("guardian-compat", compat)]).await;
        assert_eq!(call(&server, "POST", "").await.0, 200);
        free.store(RESERVE_BYTES - 1, Ordering::SeqCst);
        let other = json!({
            "id": "q", "steps": [{"name": "owner", "strategy": "manual", "approvers": ["owner@corp.example"]}],
        });
        let created =
            http(server.addr, "POST", "/api/v1beta1/policies", &[], other.to_string().as_bytes()).await;
        let wanted = told(compat, "create", 429, 8, SAID, "STORE_FULL");
        assert_eq!((created.status, created.json()["message"].as_str()), (wanted.0, Some(wanted.2.as_str())));
        let wanted = told(compat, "update", 429, 8, SAID, "STORE_FULL");
        assert_eq!(call(&server, "PUT", "/p").await, wanted);
        assert_eq!(call(&server, "GET", "/p/versions/0").await.0, 200, "reads go on");
        assert_eq!(call(&server, "GET", "").await.0, 200);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_disk_that_does_not_confirm() {
    const SAID: &str = "the store of the service takes no more writes";
    for compat in ["default", "strict"] {
        let directory = tempfile::tempdir().unwrap();
        let fails = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&fails);
        let sync_data = Arc::new(move |file: &std::fs::File| {
            if asked.load(Ordering::SeqCst) { Err(io::Error::other("injected")) } else { file.sync_data() }
        });
        let device = Device { sync_data, ..Device::default() };
        let server = Server::on_device_with(directory.path(), device, &[("guardian-compat", compat)]).await;
        assert_eq!(call(&server, "POST", "").await.0, 200);
        fails.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let wanted = told(compat, "update", 503, 14, SAID, "STORE_NOT_READY");
            assert_eq!(call(&server, "PUT", "/p").await, wanted);
        }
        assert_eq!(call(&server, "GET", "/p/versions/0").await.0, 200, "reads go on");
        server.stop().await;
    }
}

/// A store whose records turn out to be damaged.
struct Damaged {
    store: Arc<dyn Engine>,
    is_damaged: AtomicBool,
}

impl Damaged {
    fn check(&self) -> Result<(), store::Error> {
        if self.is_damaged.load(Ordering::SeqCst) {
            return Err(store::Error::Corrupt { key: b"k".to_vec(), why: "injected".to_owned() });
        }
        Ok(())
    }
}

impl fmt::Debug for Damaged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Damaged")
    }
}

impl Engine for Damaged {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Stored>, store::Error>> {
        Box::pin(async move {
            self.check()?;
            self.store.get(key).await
        })
    }

    fn scan<'a>(
        &'a self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Stored)>, store::Error>> {
        Box::pin(async move {
            self.check()?;
            self.store.scan(range, direction, limit).await
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, store::Error>> {
        self.store.commit(batch)
    }

    rest_of_its_store!();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_cannot_be_read() {
    for compat in [Compat::Default, Compat::Strict] {
        let store = store::open(Options::new(Location::Memory)).unwrap();
        let damaged = Arc::new(Damaged { store, is_damaged: AtomicBool::new(false) });
        let app = App::open(damaged.clone(), Arc::new(SystemClock::default()), Nobody::Block).await.unwrap();
        let app = app.with_guardian(Guardian { compat, ..Guardian::default() });
        let caller = Caller { actor: "tester".to_owned(), method: "test.Test/Test", ..Caller::default() };
        let create = |id: &str| goto::CreatePolicyRequest { policy: Some(policy(id)), dry_run: false };
        app.guardian_create(&caller, create("p")).await.unwrap();

        damaged.is_damaged.store(true, Ordering::SeqCst);
        let id = || "p".to_owned();
        let update = goto::UpdatePolicyRequest { id: id(), policy: Some(policy("p")), dry_run: false };
        let preferences = goto::GetPolicyPreferencesRequest { id: id(), version: 0 };
        let all = goto::ListPoliciesRequest::default();
        let some = goto::ListPoliciesRequest { ids: vec![id()], ..all.clone() };
        let get = |version| goto::GetPolicyRequest { id: id(), version };
        let retrieve = "failed to retrieve policy";
        for (error, doing) in [
            (app.guardian_get(get(0)).await.map(drop).unwrap_err(), retrieve),
            (app.guardian_get(get(1)).await.map(drop).unwrap_err(), retrieve),
            (app.guardian_preferences(preferences).await.map(drop).unwrap_err(), retrieve),
            (app.guardian_list(all).await.map(drop).unwrap_err(), "failed to get policy list"),
            (app.guardian_list(some).await.map(drop).unwrap_err(), "failed to get policy list"),
            (app.guardian_update(&caller, update).await.map(drop).unwrap_err(), "failed to update policy"),
        ] {
            match error {
                Error::AsGuardian { code, message } if compat == Compat::Strict => {
                    assert_eq!(code, GuardianCode::Internal);
                    assert_eq!(message, format!("{doing}: a stored record is damaged"));
                }
                Error::Damaged if compat == Compat::Default => {}
                other => panic!("{compat:?} {doing}: {other:?}"),
            }
        }
    }
}
