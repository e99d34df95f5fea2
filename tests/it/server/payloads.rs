//! Payloads stay out of the log, whatever is logged, whether the call is good or not.

use std::io::BufRead as _;

use countersign::pb::c1::api::policy::v1::CreatePolicyRequest;
use countersign::pb::c1::api::policy::v1::policies_client::PoliciesClient;
use serde_json::{Value, json};

use super::process::Process;
use crate::guardian::KEY;
use crate::harness::http;

/// Everything that is logged up to the line of a call.
fn logged(process: &mut Process) -> String {
    let mut text = String::new();
    let mut line = String::new();
    while process.log.read_line(&mut line).unwrap() > 0 {
        text.push_str(&line);
        let parsed: Value = serde_json::from_str(&line).unwrap_or_default();
        if parsed["message"] == "call" {
            return text;
        }
        line.clear();
    }
    panic!("no call in the log:\n{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payload_is_logged() {
    let env = [("COUNTERSIGN_SECRETS_KEYS", "env:KEYS_OF_A_TEST"), ("KEYS_OF_A_TEST", KEY)];
    let mut process = Process::serve_in(&env, &["--log-level", "trace"]);
    let steps = json!([{"name": "hush-step", "strategy": "manual", "approvers": ["hush@corp.example"]}]);
    let iam = |auth: Value| json!({"provider": "http", "config": {"url": "http://hush", "auth": auth}});
    let good = json!({
        "id": "a", "description": "hush", "steps": steps,
        "iam": iam(json!({"type": "bearer", "token": "hush"})),
    });
    let refused = json!({
        "id": "b", "description": "hush", "steps": steps,
        "iam": iam(json!({"type": "hush", "token": ["hush"], "password": "hush"})),
    });
    let c1 = json!({"displayName": "hush", "description": "hush", "annotations": {"hush": "hush"}});
    let c1_refused = json!({
        "displayName": "hush", "policyType": "POLICY_TYPE_GRANT", "hush": "hush",
    });
    let no_expression = json!({
        "displayName": "hush", "policyType": "POLICY_TYPE_GRANT",
        "rules": [{"condition": "hush(", "stepKey": "grant"}], "policySteps": {"grant": {"steps": [{"accept": {}}]}},
    });
    let mut log = String::new();
    for (verb, path, body, status) in [
        ("POST", "/api/v1beta1/policies", good.to_string(), 200),
        ("PUT", "/api/v1beta1/policies/a", good.to_string(), 200),
        ("GET", "/api/v1beta1/policies/a/versions/0", String::new(), 200),
        ("POST", "/api/v1beta1/policies", refused.to_string(), 400),
        ("POST", "/api/v1beta1/policies", good.to_string(), 409),
        ("POST", "/api/v1beta1/policies", "{\"hush\": \"hush".to_owned(), 400),
        ("POST", "/api/v1/policies", c1.to_string(), 200),
        ("POST", "/api/v1/policies", c1_refused.to_string(), 400),
        ("POST", "/api/v1/policies", no_expression.to_string(), 400),
        ("POST", "/api/v1/policies", "hush".to_owned(), 400),
    ] {
        let answer = http(process.addr, verb, path, &[], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{verb} {path} {body} {:?}", answer.body);
        log.push_str(&tokio::task::block_in_place(|| logged(&mut process)));
    }
    // Over gRPC, too, where the libraries have something to say.
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", process.addr)).unwrap();
    let mut policies = PoliciesClient::new(channel.connect().await.unwrap());
    for (name, is_good) in [("hush", true), ("", false)] {
        let description = "hush".to_owned();
        let request =
            CreatePolicyRequest { display_name: name.to_owned(), description, ..Default::default() };
        assert_eq!(policies.create(request).await.is_ok(), is_good);
        log.push_str(&tokio::task::block_in_place(|| logged(&mut process)));
    }
    drop(policies);
    process.signal(rustix::process::Signal::TERM);
    let (code, rest) = tokio::task::block_in_place(|| process.exit_code());
    assert_eq!(code, Some(0), "{rest}");
    log.push_str(&rest);
    assert!(log.contains("GuardianService/CreatePolicy") && log.contains("\"TRACE\""), "{log}");
    let told: Vec<&str> = log.lines().filter(|line| line.contains("hush")).collect();
    assert!(told.is_empty(), "{told:#?}");
}
