//! `countersign simulate`, as it is run. Its own files are in `data/simulate_command`, with what is printed about them in files
//! that end in `.expected`; the cases of `data/simulate` are run too, and have to come to what the service answers.
//! `COUNTERSIGN_BLESS=1` writes what is expected anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::check::{self, golden, told};
use crate::harness::{Server, http};
use crate::simulate;

/// Cases of `data/simulate` whose text is kept: one for each thing that the page can say.
const PAGES: &[&str] = &[
    "rules",
    "chain-too-deep",
    "approval-delegated",
    "approval-distinct",
    "approval-expressions",
    "approval-manager-fallback",
    "approval-manager-of-oneself",
    "approval-reasons-and-step-up",
    "approval-reassigned",
    "agent-decides",
    "escalation-in-a-circle",
    "escalation-to-users",
    "form",
    "provision",
    "wait-condition-times-out",
    "webhook-answers",
    "guardian-labels",
    "guardian-no-expression-decision",
    "guardian-permanent",
    "guardian-requirements",
    "guardian-when",
];

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/simulate_command")
}

/// Runs `countersign simulate` in `directory`, with `input` on standard input.
fn run(directory: &Path, args: &[&str], env: &[(&str, &str)], input: &str) -> Output {
    check::run("simulate", directory, args, env, input)
}

/// The usual files, and these arguments after them.
fn usual(more: &[&str]) -> Vec<String> {
    let first = ["policy.yaml", "--directory", "directory.yaml", "--at", "2026-11-26T08:00:00Z"];
    first.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
}

#[test]
fn files_are_told_of_as_expected() {
    let cases: &[(&str, &[&str])] = &[
        ("waits", &["--request", "request.yaml"]),
        ("happens", &["--request", "request.yaml", "--happenings", "happenings.yaml"]),
        ("decided", &["--request", "request.yaml", "--decisions", "decided.json"]),
        ("on-to-the-board", &["--request", "board.yaml"]),
        ("bad-request", &["--request", "bad-request.yaml"]),
        ("unknown-subject", &["--request", "unknown-subject.yaml"]),
        ("bad-happenings", &["--request", "request.yaml", "--happenings", "bad-happenings.yaml"]),
        ("no-list", &["--request", "request.yaml", "--happenings", "no-list.yaml"]),
        ("two-documents", &["--request", "two.yaml"]),
        ("nothing", &["--request", "empty.yaml"]),
    ];
    for (name, args) in cases {
        let args = usual(args);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        golden(&data().join(format!("{name}.expected")), &told(&run(&data(), &args, &[], "")));
    }
    for (name, directory) in [("bad-directory", "bad-directory.yaml"), ("twice", "twice.yaml")] {
        let args = ["policy.yaml", "--request", "request.yaml", "--directory", directory];
        golden(&data().join(format!("{name}.expected")), &told(&run(&data(), &args, &[], "")));
    }
}

#[test]
fn colours_are_for_those_who_see_them() {
    let args = usual(&["--request", "request.yaml", "--happenings", "happenings.yaml"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let plain = run(&data(), &args, &[("TERM", "xterm-256color")], "").stdout;
    let painted = run(&data(), &args, &[("CLICOLOR_FORCE", "1")], "").stdout;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (plain, painted) = (text(plain), text(painted));
    assert!(!plain.contains('\u{1b}') && plain.contains("\\u{1b}[2J"), "{plain}");
    assert!(painted.contains("\u{1b}[1mRoute\u{1b}[0m") && !painted.contains("\u{1b}[2J"), "{painted}");
}

#[test]
fn standard_input_is_a_file() {
    let directory = fs::read_to_string(data().join("directory.yaml")).unwrap();
    let args =
        ["policy.yaml", "--request", "request.yaml", "--at", "2026-11-26T08:00:00Z", "--directory", "-"];
    let is = run(&data(), &args, &[], &directory);
    golden(&data().join("waits.expected"), &told(&is));
}

#[test]
fn what_makes_no_sense_ends_with_2() {
    let request = ["policy.yaml", "--request", "request.yaml"];
    let with = |more: &[&'static str]| [&request[..], more].concat();
    let cases: &[(Vec<&str>, &str)] = &[
        (vec!["policy.yaml"], "--request"),
        (with(&["--at", "tomorrow"]), "tomorrow"),
        (with(&["--format", "xml"]), "xml"),
        (with(&["--empty-approvers", "shrug"]), "shrug"),
        (with(&["--directory", "not-there.yaml"]), "not-there.yaml: cannot be read"),
        (vec!["-", "--request", "-"], "only one of the files can be standard input"),
    ];
    for (args, sentence) in cases {
        let output = run(&data(), args, &[], "");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", told(&output));
        assert!(told(&output).contains(sentence), "{args:?}: {}", told(&output));
    }
    let policies = "- {id: p, steps: []}\n- {displayName: other}\n";
    let output = run(&data(), &["-", "--request", "request.yaml"], &[], policies);
    assert_ne!(output.status.code(), Some(0), "{}", told(&output));
}

/// The files of a case, and how the command is called on them.
pub fn files(folder: &Path, body: &Value) -> Option<Vec<String>> {
    let policy = &body["policy"];
    let first = policy.get("inline").or_else(|| policy.get("guardianInline"))?;
    let others = policy["others"].as_array().cloned().unwrap_or_default();
    let policies: Vec<&Value> = std::iter::once(first).chain(&others).collect();
    let parts = [
        ("policy", json!(policies)),
        ("request", body["request"].clone()),
        ("directory", body["directory"].clone()),
        ("happenings", body.get("happenings").cloned().unwrap_or(json!([]))),
    ];
    let mut args = Vec::new();
    for (name, value) in parts {
        let value = if value.is_null() { json!({}) } else { value };
        fs::write(folder.join(format!("{name}.json")), value.to_string()).unwrap();
        if name != "policy" {
            args.push(format!("--{name}"));
        }
        args.push(format!("{name}.json"));
    }
    args.extend(["--dialect".into(), if policy.get("inline").is_some() { "c1" } else { "guardian" }.into()]);
    args.extend(["--at".into(), body["at"].as_str()?.into()]);
    for (key, flag) in [("waitForOutside", "--wait-for-outside"), ("dryRun", "--dry-run")] {
        args.extend((body[key] == true).then(|| flag.to_owned()));
    }
    Some(args)
}

/// Without a server it comes to what a server answers, and to what is wrong if something is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_comes_to_what_the_service_answers() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut answered, mut refused, mut pages) = (0, 0, 0);
    for (name, case) in simulate::cases() {
        let body = &case["body"];
        let args = if case["call"] == "simulate" { files(folder.path(), body) } else { None };
        let Some(mut args) = args else { continue };
        let text = body.to_string();
        let answer = http(server.addr, "POST", "/v1/policies:simulate", &[], text.as_bytes()).await;
        let call = |args: &[String]| {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            run(folder.path(), &args, &[], "")
        };
        if PAGES.contains(&name.as_str()) {
            pages += 1;
            let page = String::from_utf8(call(&args).stdout).unwrap();
            golden(&data().join(format!("{name}.page.txt")), &page);
        }
        args.extend(["--format".to_owned(), "json".to_owned()]);
        let output = call(&args);
        if answer.status == 200 {
            answered += 1;
            assert_eq!(output.status.code(), Some(0), "{name}: {}", told(&output));
            let found: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(found, answer.json(), "{name}");
        } else {
            refused += 1;
            assert_eq!(output.status.code(), Some(1), "{name}: {}", told(&output));
            for detail in answer.json()["details"].as_array().unwrap() {
                for violation in detail["fieldViolations"].as_array().into_iter().flatten() {
                    let code = violation["reason"].as_str().unwrap();
                    assert!(told(&output).contains(code), "{name}: {code}: {}", told(&output));
                }
            }
        }
    }
    assert!(answered > 60 && refused > 2, "{answered} answered, {refused} refused");
    assert_eq!(pages, PAGES.len());
    server.stop().await;
}
