//! What the analysis finds. `data/analyze/*.json` are requests to the service, each with what it answers beside it in
//! `NAME.findings.json` (`COUNTERSIGN_BLESS=1` writes it anew); whatever an answer shows by a witness is simulated, and must
//! happen. `worlds` holds what it says of all requests against every small world.

mod hostile;
pub mod worlds;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::check::golden;
use crate::harness::{Server, http};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/analyze");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.to_str().unwrap().ends_with(".findings.json"));
    files.sort();
    files
}

pub async fn post(server: &Server, target: &str, body: &Value) -> (u16, Value) {
    let answer = http(server.addr, "POST", target, &[], body.to_string().as_bytes()).await;
    (answer.status, answer.json())
}

/// Without fields that are empty.
pub fn pruned(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0" || text.ends_with("_UNSPECIFIED"),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    };
    match value {
        Value::Array(items) => items.into_iter().map(pruned).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key, pruned(value)));
            fields.filter(|(_, value)| !is_empty(value)).collect()
        }
        other => other,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn findings_are_as_expected_and_their_witnesses_happen() {
    let server = Server::start().await;
    let cases = cases();
    assert!(cases.len() > 10);
    let mut seen = std::collections::BTreeSet::new();
    for path in cases {
        let case: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let (status, answer) = post(&server, "/v1/policies:analyze", &case["body"]).await;
        let name = path.file_stem().unwrap().to_str().unwrap();
        for finding in answer["analyses"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|one| one["findings"].as_array().unwrap())
        {
            seen.insert(finding["code"].as_str().unwrap().to_owned());
            if !finding["witness"].is_null() {
                confirm(&server, name, &case["body"]["policy"], finding).await;
            }
        }
        let found = json!({"about": case["about"], "status": status, "answer": pruned(answer)});
        let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
        golden(&path.with_extension("findings.json"), &text);
    }
    let missing: Vec<&str> = countersign::workflow::analyse::Code::ALL
        .iter()
        .map(|code| code.as_str())
        .filter(|code| !seen.contains(*code))
        .collect();
    assert_eq!(missing, [""; 0], "no case has these findings");
    server.stop().await;
}

/// Simulates the witness of a finding and looks whether it happens.
async fn confirm(server: &Server, name: &str, policy: &Value, finding: &Value) {
    let mut body = finding["witness"].clone();
    body["policy"] = policy.clone();
    body["waitForOutside"] = json!(true);
    let (status, answer) = post(server, "/v1/policies:simulate", &body).await;
    let code = finding["code"].as_str().unwrap();
    assert_eq!(status, 200, "{name} {code}: {answer}");
    let trace = &answer["trace"];
    let kind = trace["outcome"]["kind"].as_str().unwrap();
    let stages = trace["stages"].as_array().unwrap();
    let decided: Vec<&str> =
        stages.iter().map(|stage| stage["decidedBy"].as_str().unwrap()).filter(|by| !by.is_empty()).collect();
    let ending = trace["idle"]["ending"].as_str().unwrap();
    match code {
        "RULES_OVERLAP" => {
            let rule = finding["related"][0].as_str().unwrap();
            let index = trace["route"][0]["ruleIndex"].as_u64().unwrap_or(0);
            assert_eq!(rule, format!("rules[{index}]"), "{name}: {trace}");
        }
        "APPROVAL_CAN_BLOCK" => {
            assert_eq!(kind, "OUTCOME_KIND_BLOCKED", "{name}: {trace}");
            assert_eq!(stages.last().unwrap()["path"], finding["path"], "{name}");
        }
        "ESCALATION_CYCLE" => assert_eq!(ending, "ENDING_REPEATS", "{name}: {trace}"),
        "DECISION_UNBOUNDED" => assert_ne!(ending, "ENDING_ENDS", "{name}: {trace}"),
        "GRANTED_AUTOMATICALLY" => {
            assert!(decided.is_empty() && kind == "OUTCOME_KIND_GRANTED", "{name}: {trace}")
        }
        "SELF_APPROVAL" | "SINGLE_APPROVER" => {
            assert_eq!(kind, "OUTCOME_KIND_GRANTED", "{name}: {trace}");
            let who = decided[0];
            assert!(decided.iter().all(|one| *one == who), "{name}: {trace}");
            let appeal = &finding["witness"]["request"]["appeal"]["appeal"]["created_by"];
            let own = if appeal.is_null() { &finding["witness"]["request"]["subjectId"] } else { appeal };
            assert_eq!(own == who, code == "SELF_APPROVAL", "{name}: {trace}");
            assert!(code == "SELF_APPROVAL" || decided.len() > 1, "{name}: {trace}");
        }
        "INVARIANT_REFUTED" => {}
        other => panic!("{name}: {other} has a witness"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_policies_are_analysed_a_page_at_a_time() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let body = json!({"displayName": format!("Policy {n}"), "policyType": "POLICY_TYPE_GRANT",
            "policySteps": {"grant": {"steps": [{"accept": {}}]}}});
        let answer = http(server.addr, "POST", "/api/v1/policies", &[], body.to_string().as_bytes()).await;
        ids.push(answer.json()["policy"]["id"].as_str().unwrap().to_owned());
    }
    ids.sort();
    let (mut found, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let (status, answer) =
            post(&server, "/v1/policies:analyze", &json!({"pageSize": 2, "pageToken": token})).await;
        assert_eq!(status, 200, "{answer}");
        for analysis in answer["analyses"].as_array().unwrap() {
            found.push(analysis["policyId"].as_str().unwrap().to_owned());
            assert_eq!(analysis["findings"][0]["code"], "DECISION_TIME");
        }
        pages += 1;
        token = answer["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((found, pages), (ids.clone(), 3));
    let stored = json!({"policy": {"id": ids[0], "revision": "1"}});
    assert_eq!(post(&server, "/v1/policies:analyze", &stored).await.0, 200);
    for (body, status) in [
        (json!({"policy": {"id": ids[0], "revision": "9"}}), 404),
        (json!({"policy": {"id": "nobody"}}), 404),
        (json!({"policy": {}}), 400),
        (json!({"pageToken": "x"}), 400),
        (json!({"pageSize": -1}), 400),
    ] {
        assert_eq!(post(&server, "/v1/policies:analyze", &body).await.0, status, "{body}");
    }
    server.stop().await;
}
