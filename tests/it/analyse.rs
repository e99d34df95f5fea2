//! What the analysis finds. `data/analyze/*.json` are requests to the service, each with what it answers beside it in
//! `NAME.findings.json` (`COUNTERSIGN_BLESS=1` writes it anew); whatever an answer shows by a witness is simulated, and must
//! happen. `worlds` holds what it says of all requests against every small world, `runs` what it says of everything that can become
//! of them against everything that can be done in one, `appeals` the same for Guardian's policies.

mod appeals;
mod confirm;
mod hostile;
mod runs;
mod small;
pub mod worlds;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::check::golden;
use crate::harness::{Server, http, is_empty, post};
use confirm::confirm;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/analyze");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.to_str().unwrap().ends_with(".findings.json"));
    files.sort();
    files
}

/// Without fields that are empty.
pub fn pruned(value: Value) -> Value {
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
            let (policy, invariants) = (&case["body"]["policy"], &case["body"]["invariants"]);
            confirm(&server, name, policy, invariants, finding).await;
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
    guardian_comes_after(&server, &ids).await;
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

/// All policies are those of both dialects, with tokens that nobody else can make, and with invariants for those that have some.
async fn guardian_comes_after(server: &Server, ids: &[String]) {
    for (id, condition) in [("one", "false"), ("two", "true")] {
        let body = json!({"id": id, "steps": [{"name": "s", "strategy": "auto", "approve_if": condition}]});
        let answer =
            http(server.addr, "POST", "/api/v1beta1/policies", &[], body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    let invariants = json!([{"name": "quick", "expression": "outcome.granted || !outcome.granted"}]);
    let (mut found, mut body) = (Vec::new(), json!({"pageSize": 6, "invariants": invariants}));
    for _ in 0..2 {
        let (status, answer) = post(server, "/v1/policies:analyze", &body).await;
        assert_eq!(status, 200, "{answer}");
        found.extend(answer["analyses"].as_array().unwrap().clone());
        body["pageToken"] = answer["nextPageToken"].clone();
    }
    assert_eq!(body["pageToken"], "", "{found:?}");
    let names: Vec<&str> = found.iter().map(|one| one["policyId"].as_str().unwrap()).collect();
    let expected: Vec<&str> = ids.iter().map(String::as_str).chain(["one", "two"]).collect();
    assert_eq!(names, expected);
    let codes = |n: usize| -> Vec<&str> {
        found[n]["findings"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect()
    };
    assert!(codes(0).contains(&"INVARIANT_PROVED"), "{}", found[0]);
    assert_eq!(found[0]["dialect"], "POLICY_DIALECT_C1");
    assert_eq!(codes(5), ["ALWAYS_REJECTED", "CANNOT_TELL"], "{}", found[5]);
    assert_eq!((codes(6), &found[6]["dialect"]), (vec!["CANNOT_TELL"], &json!("POLICY_DIALECT_GUARDIAN")));
    // An id is no token, and a token belongs to its call.
    let (_, answer) = post(server, "/v1/policies:analyze", &json!({"pageSize": 1})).await;
    let token = &answer["nextPageToken"];
    for body in [json!({"pageToken": ids[0]}), json!({"pageToken": token, "invariants": invariants})] {
        assert_eq!(post(server, "/v1/policies:analyze", &body).await.0, 400, "{body}");
    }
}

/// Nobody hears of an analysis that nobody waits for.
#[test]
fn an_analysis_ends_when_nobody_waits_for_it() {
    use countersign::workflow::analyse::{Stop, analyse_until};
    use countersign::workflow::run::{Policies, Policy};
    use countersign::workflow::{Destination, Sequence, Stage, Work, Workflow};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let stage = Stage {
        name: String::new(),
        when: None,
        may_fail: false,
        work: Work::Accept { message: String::new() },
        place: "policySteps.grant.steps[0]".to_owned(),
    };
    let workflow = Workflow {
        baseline: Destination::Sequence("grant".to_owned()),
        sequences: [("grant".to_owned(), Sequence { stages: vec![stage] })].into(),
        ..Workflow::default()
    };
    let policy = Policy { revision: 0, workflow: Arc::new(workflow) };
    let policies = Policies { first: String::new(), by_id: [(String::new(), policy)].into() };
    let flag = Arc::new(AtomicBool::new(false));
    let stop = Stop::when(Arc::clone(&flag));
    assert!(!analyse_until(&policies, &[], &stop).is_empty());
    flag.store(true, Ordering::Relaxed);
    assert!(analyse_until(&policies, &[], &stop).is_empty());
}
