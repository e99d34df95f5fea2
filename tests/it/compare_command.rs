//! `countersign compare`, as it is run: on files of `data/compare_command`, with what is printed about them in files that end in
//! `.expected` (`COUNTERSIGN_BLESS=1` writes those anew), and against a server.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::check::{self, golden, told};
use crate::harness::{Server, post};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/compare_command")
}

/// Runs `countersign compare` on the files, with `input` on standard input.
fn run(args: &[&str], input: &str) -> Output {
    check::run("compare", &data(), args, &[], input)
}

#[test]
fn files_are_told_of_as_expected() {
    let population = ["--population", "--directory", "directory.yaml", "--at", "2026-11-26T08:00:00Z"];
    let requests =
        ["--requests", "requests.yaml", "--directory", "directory.yaml", "--at", "2026-11-26T08:00:00Z"];
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("changes", &["before.yaml", "after.yaml"], &[]),
        ("rewritten", &["before.yaml", "rewritten.json", "--fail-on", "changed"], &[]),
        ("same", &["before.yaml", "before.yaml", "--fail-on", "changed"], &[]),
        ("population", &["before.yaml", "after.yaml", "--examples", "1"], &population),
        ("requests", &["before.yaml", "after.yaml"], &requests),
        (
            "fails",
            &["before.yaml", "after.yaml", "--fail-on", "newly-auto-approved,changed,lost-last-approver"],
            &population,
        ),
        ("passes", &["after.yaml", "before.yaml", "--fail-on", "newly-auto-approved"], &population),
        ("wrong-policy", &["before.yaml", "wrong.yaml"], &[]),
        ("dialects", &["before.yaml", "guardian.yaml"], &[]),
        (
            "unknown-subject",
            &["before.yaml", "after.yaml", "--requests", "unknown.yaml", "--directory", "directory.yaml"],
            &[],
        ),
        ("bad-requests", &["before.yaml", "after.yaml", "--requests", "bad-requests.yaml"], &[]),
    ];
    for (name, args, more) in cases {
        let args = [*args, *more].concat();
        golden(&data().join(format!("{name}.expected")), &told(&run(&args, "")));
    }
}

#[test]
fn what_makes_no_sense_ends_with_2() {
    let both = ["before.yaml", "after.yaml"];
    let with = |more: &[&'static str]| [&both[..], more].concat();
    let cases: &[(Vec<&str>, &str)] = &[
        (vec!["before.yaml"], "<B>"),
        (vec!["-", "-"], "only one of the files can be standard input"),
        (vec!["before.yaml", "not-there.yaml"], "not-there.yaml: cannot be read"),
        (with(&["--format", "xml"]), "xml"),
        (with(&["--fail-on", "everything"]), "everything"),
        (with(&["--fail-on", "newly-denied"]), "there are none: --requests or --population"),
        (with(&["--population"]), "--directory"),
        (with(&["--task-type", "grant"]), "--population"),
        (with(&["--examples", "0"]), "0 is not in"),
        (with(&["--requests", "not-there.yaml"]), "not-there.yaml: cannot be read"),
        (with(&["--server", "http://127.0.0.1:1"]), "127.0.0.1:1"),
    ];
    for (args, sentence) in cases {
        let output = run(args, "");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", told(&output));
        assert!(told(&output).contains(sentence), "{args:?}: {}", told(&output));
    }
}

#[test]
fn standard_input_is_a_file_and_machines_get_json() {
    let after = std::fs::read_to_string(data().join("after.yaml")).unwrap();
    let output = run(&["before.yaml", "-", "--format", "json", "--fail-on", "changed"], &after);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["changes"][0]["code"], "RULE_CONDITION_WIDENED", "{answer}");
    assert!(told(&output).contains("--fail-on changed: "), "{}", told(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_has_what_is_compared() {
    let server = Server::start().await;
    let step = |approval: Value| json!({"grant": {"steps": [{"approval": approval}]}});
    let mut policy = json!({"displayName": "x", "policyType": "POLICY_TYPE_GRANT"});
    policy["policySteps"] = step(json!({"users": {"userIds": ["ann"]}}));
    let (status, made) = post(&server, "/api/v1/policies", &policy).await;
    assert_eq!(status, 200, "{made}");
    let id = made["policy"]["id"].as_str().unwrap().to_owned();
    policy["policySteps"] = step(json!({"users": {"userIds": ["ann", "max"]}}));
    let (status, answer) = post(&server, &format!("/api/v1/policies/{id}"), &json!({"policy": policy})).await;
    assert_eq!(status, 200, "{answer}");
    let guardian = json!({"id": "bigquery", "steps": [{"name": "lead", "strategy": "manual", "approvers": ["lead@example.com"]}]});
    let (status, answer) = post(&server, "/api/v1beta1/policies", &guardian).await;
    assert_eq!(status, 200, "{answer}");
    let url = format!("http://{}", server.addr);
    let compare = |before: String, after: &str, more: &[&str]| {
        let args = [&[before.as_str(), after, "--server", url.as_str()][..], more].concat();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        tokio::task::spawn_blocking(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            run(&args, "")
        })
    };
    let output = compare(format!("{id}@1"), &id, &["--fail-on", "changed"]).await.unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("{id}, revision 1")) && text.contains("APPROVERS_CHANGED (wider)"),
        "{text}"
    );
    let output = compare(format!("{id}@latest"), &id, &["--fail-on", "changed"]).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    // A draft against what is stored, with requests.
    let more = ["--population", "--directory", "directory.yaml", "--fail-on", "route-changed"];
    let output = compare(id.clone(), "./before.yaml", &more).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let output = compare("bigquery@1".to_owned(), "guardian.yaml", &["--fail-on", "changed"]).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    for (before, after, sentence) in [
        ("nothing".to_owned(), id.as_str(), "NOT_FOUND"),
        (format!("{id}@9"), id.as_str(), "NOT_FOUND"),
        (format!("{id}@x"), id.as_str(), "INVALID_ARGUMENT"),
        (id.clone(), "bigquery", "two dialects"),
    ] {
        let output = compare(before.clone(), after, &[]).await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{before}: {}", told(&output));
        assert!(told(&output).contains(sentence), "{before}: {}", told(&output));
    }
    server.stop().await;
}
