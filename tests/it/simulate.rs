//! Simulations: one file a case in `data/simulate/`, called over REST on a real server. A case says what it is about, which call
//! it makes and with what; one without a directory is in that of `directory.json`, one with settings on a server with those. What comes back is in `NAME.trace.json`,
//! without the fields that are empty; `COUNTERSIGN_BLESS=1` writes it anew.

mod limits;
mod machine;

use crate::check::golden;
use crate::harness::{Server, http, is_empty, settings};
use countersign::app::SystemClock;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/simulate")
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every case, with its name.
pub fn cases() -> Vec<(String, Value)> {
    let shared = read(&folder().join("directory.json"));
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let names = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let cases = names.filter(|name| !name.ends_with(".trace.json") && name != "directory.json");
    let cases = cases.map(|name| {
        let mut case = read(&folder().join(&name));
        let body = case["body"].as_object_mut().unwrap();
        body.entry("directory").or_insert_with(|| shared.clone());
        (name.trim_end_matches(".json").to_owned(), case)
    });
    cases.collect()
}

/// Without fields that are empty, and with times of a day in one word.
fn pruned(value: Value) -> Option<Value> {
    let value = match value {
        Value::Array(items) => items.into_iter().map(|item| pruned(item).unwrap_or(json!({}))).collect(),
        Value::Object(fields) => {
            fields.into_iter().filter_map(|(key, value)| Some((key, pruned(value)?))).collect()
        }
        other => other,
    };
    (!is_empty(&value)).then_some(value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_are_as_expected() {
    let cases = cases();
    assert!(cases.len() > 130);
    let mut servers: Vec<(Value, Server)> = Vec::new();
    for (name, case) in cases {
        let server = match servers.iter().position(|(chosen, _)| *chosen == case["server"]) {
            Some(n) => n,
            None => {
                servers.push((case["server"].clone(), server_with(&case["server"]).await));
                servers.len() - 1
            }
        };
        let addr = servers[server].1.addr;
        let target = format!("/v1/policies:{}", case["call"].as_str().unwrap());
        let body = case["body"].to_string();
        let answer = http(addr, "POST", &target, &[], body.as_bytes()).await;
        let again = http(addr, "POST", &target, &[], body.as_bytes()).await;
        assert_eq!(answer.body, again.body, "{name}: the same call has the same answer");
        let found = json!({
            "about": case["about"], "status": answer.status, "answer": pruned(answer.json()).unwrap_or_default(),
        });
        let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
        golden(&folder().join(format!("{name}.trace.json")), &text);
    }
    for (_, server) in servers {
        server.stop().await;
    }
}

/// Set as a case says, by the names of settings.
async fn server_with(chosen: &Value) -> Server {
    let chosen = chosen.as_object().cloned().unwrap_or_default();
    let chosen: Vec<(&str, &str)> =
        chosen.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    Server::with(&settings("memory:", &chosen), Arc::new(SystemClock::default())).await
}

/// Every kind of stage in every state that it can come to.
#[test]
fn every_kind_of_stage_has_a_case_in_every_state() {
    let mut seen = BTreeSet::new();
    for (name, _) in cases() {
        let trace = read(&folder().join(format!("{name}.trace.json")));
        for stage in trace["answer"]["trace"]["stages"].as_array().into_iter().flatten() {
            seen.insert(format!("{} {}", stage["kind"].as_str().unwrap(), stage["state"].as_str().unwrap()));
        }
    }
    let kinds = [
        ("approval", "waiting blocked passed skipped denied abandoned"),
        ("webhook", "waiting blocked passed skipped denied abandoned"),
        ("agent", "waiting blocked passed skipped denied abandoned"),
        ("wait", "waiting passed skipped timed_out abandoned"),
        ("form", "waiting passed skipped abandoned"),
        ("provision", "waiting blocked passed skipped failed abandoned"),
        ("action", "waiting passed skipped failed abandoned"),
        ("accept", "passed"),
        ("reject", "denied"),
        // The task as a whole, where no policy says how to go on.
        ("blocked", "blocked abandoned"),
        // Guardian's.
        ("approval", "pending blocked skipped approved rejected"),
        ("automatic", "pending blocked skipped approved rejected"),
    ];
    let wanted =
        kinds.iter().flat_map(|(kind, states)| states.split(' ').map(move |state| format!("{kind} {state}")));
    let missing: Vec<String> = wanted.filter(|one| !seen.contains(one)).collect();
    assert_eq!(missing, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_answers_in_order_and_as_the_single_calls_do() {
    let server = Server::start().await;
    let all = cases();
    let good: Vec<&(String, Value)> = all
        .iter()
        .filter(|(name, case)| {
            case["call"] == "simulate"
                && !name.contains("bad-")
                && !name.starts_with("no-")
                && !name.contains("unknown-policy")
                && !["waitForOutside", "dryRun"].iter().any(|key| case["body"].get(key).is_some())
                && case["server"].is_null()
                && name != "delegate-named-later"
                && name != "delegate-of-a-delegate"
                && !name.contains("too-large")
                && !name.contains("not-asked")
                && !name.contains("no-appeal")
        })
        .collect();
    let cases: Vec<Value> = good
        .iter()
        .map(|(name, case)| {
            let body = &case["body"];
            json!({
                "id": name, "policy": body["policy"], "request": body["request"],
                "happenings": body.get("happenings").cloned().unwrap_or(json!([])),
            })
        })
        .collect();
    let body = json!({
        "directory": read(&folder().join("directory.json")), "at": "2026-11-26T08:00:00Z", "cases": cases,
    });
    let target = "/v1/policies:batchSimulate";
    let answer = http(server.addr, "POST", target, &[], body.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), good.len());
    for (n, (line, (name, case))) in lines.iter().zip(&good).enumerate() {
        let found = &line["result"];
        assert_eq!((&found["id"], &found["index"]), (&json!(name), &json!(n)), "{name}");
        let body = case["body"].to_string();
        let one = http(server.addr, "POST", "/v1/policies:simulate", &[], body.as_bytes()).await;
        assert_eq!(found["trace"], one.json()["trace"], "{name}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_policy_runs_as_the_revision_that_is_asked_for() {
    let server = Server::start().await;
    let steps = |step: Value| json!({"grant": {"steps": [step]}});
    let policy = json!({
        "displayName": "Stored", "policyType": "POLICY_TYPE_GRANT", "policySteps": steps(json!({"accept": {}})),
    });
    let made = http(server.addr, "POST", "/api/v1/policies", &[], policy.to_string().as_bytes()).await.json();
    let id = made["policy"]["id"].as_str().unwrap();
    let update =
        json!({"policy": {"policySteps": steps(json!({"reject": {}}))}, "updateMask": "policySteps"});
    let target = format!("/api/v1/policies/{id}");
    let updated = http(server.addr, "POST", &target, &[], update.to_string().as_bytes()).await;
    assert_eq!(updated.status, 200, "{:?}", updated.body);
    for (revision, wanted) in
        [(0, "OUTCOME_KIND_DENIED"), (1, "OUTCOME_KIND_GRANTED"), (2, "OUTCOME_KIND_DENIED")]
    {
        let body = json!({
            "policy": {"id": id, "revision": revision}, "request": {"subjectId": "a"},
            "directory": {"users": [{"id": "a"}]},
        });
        let target = "/v1/policies:simulate";
        let answer = http(server.addr, "POST", target, &[], body.to_string().as_bytes()).await.json();
        assert_eq!(answer["trace"]["outcome"]["kind"], wanted, "revision {revision}: {answer}");
        let number = if revision == 0 { 2 } else { revision };
        assert_eq!(answer["trace"]["route"][0]["revision"], json!(number.to_string()));
    }
    let guardian = json!({
        "id": "stored", "description": "d", "steps": [{"name": "s", "strategy": "auto", "approve_if": "true"}],
    });
    let stored =
        http(server.addr, "POST", "/api/v1beta1/policies", &[], guardian.to_string().as_bytes()).await;
    assert_eq!(stored.status, 200, "{:?}", stored.body);
    let body = json!({
        "policy": {"guardianId": "stored"},
        "request": {"appeal": {"appeal": {"account_id": "a@b.co", "created_by": "a@b.co"},
                               "providerAllowsPermanentAccess": true}},
    });
    let mut body = body;
    let next = json!({"steps": [{"name": "s", "strategy": "auto", "approve_if": "false"}]});
    let next =
        http(server.addr, "PUT", "/api/v1beta1/policies/stored", &[], next.to_string().as_bytes()).await;
    assert_eq!(next.status, 200, "{:?}", next.body);
    for (version, wanted) in
        [(0, "OUTCOME_KIND_DENIED"), (1, "OUTCOME_KIND_GRANTED"), (2, "OUTCOME_KIND_DENIED")]
    {
        body["policy"]["version"] = json!(version);
        let answer =
            http(server.addr, "POST", "/v1/policies:simulate", &[], body.to_string().as_bytes()).await;
        assert_eq!(answer.json()["trace"]["outcome"]["kind"], wanted, "version {version}: {:?}", answer.body);
    }
    server.stop().await;
}
