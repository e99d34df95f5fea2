//! What is different between policies. `data/compare/*.json` are requests to the service, each with what it answers beside it in
//! `NAME.changes.json` (`COUNTERSIGN_BLESS=1` writes it anew). `worlds` and `appeals` hold what is said of conditions against every small world,
//! `effects` what is counted against both sides run by hand, `mutations` that nothing which changes goes unsaid.

mod appeals;
mod effects;
mod mutations;
mod worlds;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use countersign::workflow::compare::{Code, Effect};
use serde_json::{Value, json};

use crate::analyse::pruned;
use crate::check::golden;
use crate::harness::{Server, post};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/compare");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.to_str().unwrap().ends_with(".changes.json"));
    files.sort();
    files
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_as_expected_and_every_code_occurs() {
    let server = Server::start().await;
    let (mut seen, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for path in cases() {
        let case = read(&path);
        let (status, answer) = post(&server, "/v1/policies:compare", &case["body"]).await;
        for change in answer["changes"].as_array().into_iter().flatten() {
            seen.insert(change["code"].as_str().unwrap().to_owned());
        }
        for effect in answer["effects"]["effects"].as_array().into_iter().flatten() {
            kinds.insert(effect["kind"].as_str().unwrap().to_owned());
        }
        let found = json!({"about": case["about"], "status": status, "answer": pruned(answer)});
        let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
        golden(&path.with_extension("changes.json"), &text);
    }
    // What happens if nobody is found is set for the whole service, so that no two policies of one differ in it.
    let missing: Vec<String> = Code::ALL
        .iter()
        .filter(|code| **code != Code::NobodyChanged)
        .map(|code| code.as_str())
        .filter(|code| !seen.contains(code))
        .collect();
    assert_eq!(missing, [""; 0], "no case has these changes");
    assert_eq!(kinds.len(), Effect::ALL.len(), "{kinds:?}");
    server.stop().await;
}

/// Whatever is stored, drawn or tried anywhere in the tests: held against itself, nothing has changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_no_different_from_itself() {
    let server = Server::start().await;
    let mut compared = 0;
    for (name, policy) in policies() {
        let body = json!({"before": policy, "after": policy});
        let (status, answer) = post(&server, "/v1/policies:compare", &body).await;
        if status == 400 || status == 404 {
            // Some are there because they are wrong, or not there.
            continue;
        }
        assert_eq!(status, 200, "{name}: {answer}");
        assert_eq!(answer["changes"], json!([]), "{name}");
        compared += 1;
    }
    assert!(compared > 100, "{compared} were compared");
    server.stop().await;
}

/// The policies of the other tests, as sources.
fn policies() -> Vec<(String, Value)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data");
    let mut found = Vec::new();
    for folder in ["simulate", "analyze", "compare"] {
        let mut files: Vec<PathBuf> =
            fs::read_dir(data.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for path in files {
            let body = read(&path)["body"].clone();
            for side in ["policy", "before", "after"] {
                if body[side].is_object() {
                    found.push((format!("{folder}/{}", path.display()), body[side].clone()));
                }
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_policies_are_compared_by_their_revisions() {
    let server = Server::start().await;
    let step = |approval: Value| json!({"grant": {"steps": [{"approval": approval}]}});
    let policy = json!({"displayName": "x", "policyType": "POLICY_TYPE_GRANT", "policySteps": step(json!({"manager": {}}))});
    let (status, made) = post(&server, "/api/v1/policies", &policy).await;
    assert_eq!(status, 200, "{made}");
    let id = made["policy"]["id"].as_str().unwrap().to_owned();
    let mut next = policy.clone();
    next["policySteps"] = step(json!({"appOwners": {}}));
    let (status, answer) = post(&server, &format!("/api/v1/policies/{id}"), &json!({"policy": next})).await;
    assert_eq!(status, 200, "{answer}");
    let body = json!({"before": {"id": id, "revision": "1"}, "after": {"id": id}});
    let (status, answer) = post(&server, "/v1/policies:compare", &body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["before"]["revision"], &answer["after"]["revision"]), (&json!("1"), &json!("2")));
    assert_eq!(answer["changes"][0]["code"], "APPROVERS_CHANGED", "{answer}");
    let draft = json!({"before": {"id": id}, "after": {"inline": next}});
    let (status, answer) = post(&server, "/v1/policies:compare", &draft).await;
    assert_eq!((status, &answer["changes"]), (200, &json!([])), "{answer}");
    let body = json!({"before": {"id": id, "revision": "3"}, "after": {"id": id}});
    let (status, answer) = post(&server, "/v1/policies:compare", &body).await;
    assert_eq!(status, 404, "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_are_refused_with_the_limit() {
    let server = Server::start().await;
    let steps = json!({"grant": {"steps": [{"accept": {}}]}});
    let policy =
        json!({"inline": {"displayName": "x", "policyType": "POLICY_TYPE_GRANT", "policySteps": steps}});
    let requests: Vec<Value> = (0..10_001).map(|_| json!({"subjectId": "u0"})).collect();
    let users: Vec<Value> = (0..101).map(|n| json!({"id": format!("u{n}")})).collect();
    let things: Vec<Value> = (0..100).map(|n| json!({"id": format!("e{n}"), "appId": "a"})).collect();
    let directory = json!({"users": users, "entitlements": things});
    let mut bodies = vec![
        json!({"before": policy, "after": policy, "requests": requests, "directory": directory}),
        json!({"before": policy, "after": policy, "population": {}, "directory": directory}),
    ];
    for body in &bodies {
        let (status, answer) = post(&server, "/v1/policies:compare", body).await;
        let text = answer.to_string();
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("REQUESTS_TOO_MANY") && text.contains("at most 10000"), "{text}");
    }
    let mut last = bodies.pop().unwrap();
    last["directory"]["users"].as_array_mut().unwrap().truncate(3);
    let (status, answer) = post(&server, "/v1/policies:compare", &last).await;
    assert_eq!((status, &answer["effects"]["requests"]), (200, &json!(300)), "{answer}");
    assert_eq!(answer["effects"]["unaffected"], json!(300));
    server.stop().await;
}
