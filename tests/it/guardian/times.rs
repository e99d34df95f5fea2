//! The times of versions, on a clock that stands still: those that a client sends are kept, those that it leaves out are of
//! now, and nothing is taken over from the version before.

use crate::harness::{ManualClock, Server, http, settings};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z.
const BEGINNING: i64 = 1_767_225_600;

struct Told {
    server: Server,
    clock: std::sync::Arc<ManualClock>,
}

impl Told {
    async fn start(compat: &str) -> Told {
        let clock = ManualClock::at(BEGINNING);
        let settings = settings("memory:", &[("guardian-compat", compat)]);
        Told { server: Server::with(&settings, clock.clone()).await, clock }
    }

    /// The policy that comes back.
    async fn call(&self, verb: &str, target: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let target = format!("/api/v1beta1/policies{target}");
        let answer = http(self.server.addr, verb, &target, &[], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{verb} {target} {:?}", answer.body);
        answer.json()["policy"].clone()
    }
}

fn policy(times: Value) -> Value {
    let mut policy = json!({
        "id": "p", "steps": [{"name": "owner", "strategy": "manual", "approvers": ["owner@corp.example"]}],
    });
    for (key, time) in times.as_object().unwrap() {
        policy[key] = time.clone();
    }
    policy
}

fn times(policy: &Value) -> (&str, &str) {
    (policy["created_at"].as_str().unwrap_or("none"), policy["updated_at"].as_str().unwrap_or("none"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_inherited_and_what_is_sent_is_kept() {
    const FIRST: &str = "2026-01-01T00:00:00Z";
    const SENT: &str = "2020-02-03T04:05:06.789Z";
    for compat in ["default", "strict"] {
        let told = Told::start(compat).await;
        let created = told.call("POST", "", &policy(json!({}))).await;
        assert_eq!(times(&created), (FIRST, FIRST), "{compat}");

        told.clock.advance(60);
        let updated = told.call("PUT", "/p", &policy(json!({}))).await;
        assert_eq!(times(&updated), ("2026-01-01T00:01:00Z", "2026-01-01T00:01:00Z"), "{compat}");

        // What was read is sent back: with its times.
        told.clock.advance(60);
        let read = told.call("GET", "/p/versions/1", &Value::Null).await;
        assert_eq!(times(&read), (FIRST, FIRST));
        let updated = told.call("PUT", "/p", &read).await;
        assert_eq!((updated["version"].as_u64(), times(&updated)), (Some(3), (FIRST, FIRST)), "{compat}");

        // One of them alone.
        let now = "2026-01-01T00:02:00Z";
        let updated = told.call("PUT", "/p", &policy(json!({"created_at": SENT}))).await;
        assert_eq!(times(&updated), (SENT, now), "{compat}");
        let updated = told.call("PUT", "/p", &policy(json!({"updated_at": SENT}))).await;
        assert_eq!(times(&updated), (now, SENT), "{compat}");
        // Go's zero time is no time.
        let zero = "0001-01-01T00:00:00Z";
        let updated = told.call("PUT", "/p", &policy(json!({"created_at": zero, "updated_at": zero}))).await;
        assert_eq!(times(&updated), (now, now), "{compat}");
        for (version, wanted) in [(4, (SENT, now)), (5, (now, SENT)), (6, (now, now))] {
            let read = told.call("GET", &format!("/p/versions/{version}"), &Value::Null).await;
            assert_eq!(times(&read), wanted, "{compat}: what was answered is what is kept");
        }

        // Whoever only tries gets the times that it sent.
        let tried = told.call("PUT", "/p?dry_run=true", &policy(json!({"created_at": SENT}))).await;
        assert_eq!(times(&tried), (SENT, "none"), "{compat}");

        // The list is in the order of created_at, whoever said it.
        let listed = http(told.server.addr, "GET", "/api/v1beta1/policies", &[], b"").await.json();
        let order: Vec<u64> = listed["policies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|policy| policy["version"].as_u64().unwrap())
            .collect();
        assert_eq!(order[0], 4, "{compat}: {order:?}");
        assert_eq!(order[1..3].iter().collect::<std::collections::BTreeSet<_>>(), [1, 3].iter().collect());
        assert_eq!(order[3], 2, "{compat}: {order:?}");
        told.server.stop().await;
    }
}
