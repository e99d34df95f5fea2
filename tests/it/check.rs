//! `countersign check`, as it is run: every file of `data/check` with what is printed about it, next to it in a file that
//! ends in `.expected`. `COUNTERSIGN_BLESS=1` writes those files anew.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use countersign::pb::c1::api::policy::v1::policies_client::PoliciesClient;
use countersign::pb::c1::api::policy::v1::{
    CreatePolicyRequest, DeletePolicyRequest, PolicyStep, PolicySteps, PolicyType, Reject, policy_step::Step,
};

use crate::harness::Server;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/check")
}

/// Runs `countersign check` in the directory of the files, with `input` on standard input.
fn check(args: &[&str], input: &str) -> Output {
    run("check", &data(), args, &[], input)
}

/// Runs a command of `countersign` in a directory, with nothing but `env` around it and `input` on standard input.
pub fn run(name: &str, directory: &Path, args: &[&str], env: &[(&str, &str)], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg(name).args(args).current_dir(directory).env_clear().envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// All that a run says, as a person can read it.
pub fn told(output: &Output) -> String {
    format!("{}-- standard error\n{}-- exit code {}\n", stdout(output), stderr(output), code(output))
}

/// Compares with a file, or writes it when `COUNTERSIGN_BLESS` is set.
pub fn golden(file: &Path, is: &str) {
    if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
        fs::write(file, is).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert!(expected == is, "{} has\n{expected}\nand there is\n{is}", file.display());
}

#[test]
fn every_file_is_told_of_as_expected() {
    let mut names: Vec<String> = fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".json"))
        .collect();
    names.sort();
    assert!(names.len() > 10);
    for name in names {
        golden(&data().join(format!("{name}.expected")), &told(&check(&[&name], "")));
    }
}

/// What needs no server to be seen is refused without one.
#[test]
fn a_policy_that_requires_itself_can_be_refused() {
    let output = check(&["--guardian-lint", "deny", "guardian-itself.yaml"], "");
    assert_eq!(code(&output), 1, "{}", told(&output));
    assert!(
        stdout(&output).contains("REQUIREMENT_CYCLE: the requirements of selfy come back to this policy"),
        "{}",
        told(&output)
    );
}

#[test]
fn several_files_are_told_of_together() {
    let output = check(&["list.json", "strings.yaml", "not-there.yaml", "warnings-only.yaml"], "");
    golden(&data().join("several.expected"), &told(&output));
}

#[test]
fn machines_get_an_object_a_line() {
    let output = check(&["--format", "json", "expressions.yaml", "decoding.yaml", "warnings-only.yaml"], "");
    golden(&data().join("lines.expected"), &told(&output));
    for line in stdout(&output).lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["line"].as_u64().unwrap() > 0 && line["column"].as_u64().unwrap() > 0, "{line}");
    }
}

#[test]
fn standard_input_is_a_file() {
    let text = fs::read_to_string(data().join("tabs.json")).unwrap();
    let output = check(&["-"], &text);
    assert_eq!(code(&output), 1);
    let of_file = stdout(&check(&["tabs.json"], ""));
    assert_eq!(stdout(&output), of_file.replace("tabs.json", "<stdin>"));
}

#[test]
fn every_example_checks() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for (folder, dialect, at_least) in [("policies", "c1", 10), ("guardian", "guardian", 4)] {
        let mut count = 0;
        for entry in fs::read_dir(examples.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|is| is == "json") {
                let alone = check(&[path.to_str().unwrap()], "");
                assert_eq!(code(&alone), 0, "{}", told(&alone));
                let named = check(&["--dialect", dialect, path.to_str().unwrap()], "");
                assert_eq!(told(&named), told(&alone), "the dialect is plain to see");
                count += 1;
            }
        }
        assert!(count >= at_least);
    }
}

#[test]
fn what_makes_no_sense_ends_with_2() {
    let large = tempfile::NamedTempFile::new().unwrap();
    large.as_file().set_len(4 * 1024 * 1024 + 1).unwrap();
    let not_text = tempfile::NamedTempFile::new().unwrap();
    fs::write(not_text.path(), b"a: \xff").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&[], "<FILE>"),
        (&["--guardian-lint", "shrug", "list.json"], "shrug"),
        (&["--dialect", "latin", "list.json"], "latin"),
        (&["--format", "xml", "list.json"], "xml"),
        (&["--empty-approvers", "shrug", "list.json"], "shrug"),
        (
            &["--server", "ftp://localhost:1", "list.json"],
            "expected http://HOST:PORT, https://HOST:PORT or unix:PATH",
        ),
        (&["--server", "http://localhost:1/path", "list.json"], "expected http://HOST:PORT"),
        (&["--server", "http://me:secret@localhost:1", "list.json"], "expected http://HOST:PORT"),
        (
            &["--server", "http://127.0.0.1:1", "--ca", "list.json", "list.json"],
            "--ca is for a server at https://",
        ),
        (&["--server", "https://127.0.0.1:1", "--ca", "not-there", "list.json"], "--ca not-there: "),
        (
            &["--server", "https://127.0.0.1:1", "--ca", "list.json", "list.json"],
            "no certificate in this file",
        ),
        (&["--server", "http://127.0.0.1:1", "--token", "two words", "list.json"], "visible ASCII"),
        (&["--server", "http://", "list.json"], "expected http://HOST:PORT"),
        (&["--server", "http://127.0.0.1:1", "list.json"], "refused"),
        (&["not-there.yaml"], "not-there.yaml: cannot be read"),
        (&["."], "cannot be read"),
        (&[large.path().to_str().unwrap()], "larger than 4 MiB"),
        (&[not_text.path().to_str().unwrap()], "not UTF-8 text, from byte 4"),
    ];
    for (args, sentence) in cases {
        let output = check(args, "");
        assert_eq!(code(&output), 2, "{args:?}: {}", told(&output));
        assert!(stderr(&output).contains(sentence), "{args:?}: {}", told(&output));
    }
}

#[test]
fn who_reads_no_further_is_not_written_to() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["check", "-"]).env_clear();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let policies = r#"{"displayName": 1}"#.to_owned() + &"\n---\ndisplayName: 1".repeat(5000);
    child.stdin.take().unwrap().write_all(policies.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output).as_str()), (1, ""));
}

/// The settings of the service that matter to a check can be said.
#[test]
fn what_guardian_finds_too_late_can_be_refused() {
    let output = check(&["--guardian-lint", "deny", "--format", "json", "guardian-warnings.json"], "");
    assert_eq!(code(&output), 1);
    let lines = stdout(&output);
    let of = |code: &str| lines.lines().find(|line| line.contains(code)).unwrap().to_owned();
    assert!(of("FIELD_UNKNOWN").contains("\"severity\":\"violation\""), "{lines}");
    let only = r#"{"id": "x", "steps": [{"name": "a", "strategy": "auto", "approve_if": "true"}],
        "requirements": [{"on": {"resource_urn": "r"}, "post_hooks": [{"name": "h", "type": "http"}]}]}"#;
    assert_eq!(code(&check(&["-"], only)), 0);
    assert_eq!(code(&check(&["--guardian-compat", "strict", "-"], only)), 1);
}

/// What the service says of a document, `check` says without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_are_looked_up() {
    let server = Server::start().await;
    let mut client = PoliciesClient::new(server.channel().await);
    let mut create = async |policy_type: PolicyType| {
        let reject = PolicyStep { step: Some(Step::Reject(Reject::default())) };
        let key = if policy_type == PolicyType::Grant { "grant" } else { "revoke" };
        let request = CreatePolicyRequest {
            display_name: "Stored".to_owned(),
            policy_type: policy_type.into(),
            policy_steps: [(key.to_owned(), PolicySteps { steps: vec![reject] })].into(),
            ..CreatePolicyRequest::default()
        };
        client.create(request).await.unwrap().into_inner().policy.unwrap().id
    };
    let live = create(PolicyType::Grant).await;
    let other_type = create(PolicyType::Revoke).await;
    let deleted = create(PolicyType::Grant).await;
    client.delete(DeletePolicyRequest { id: deleted.clone() }).await.unwrap();
    let text = format!(
        "displayName: Refers
policyType: POLICY_TYPE_GRANT
baselinePolicyId: {live}
rules:
- {{condition: 'true && subject.email == \"\"', policyId: {other_type}}}
policySteps:
  spare:
    steps:
    - approval:
        users: {{userIds: [x]}}
        escalation:
          expiration: 3600
          replacePolicy: {{policyId: {deleted}}}
    - approval:
        agent:
          agentMode: APPROVAL_AGENT_MODE_CHANGE_POLICY_ONLY
          agentFailureAction: APPROVAL_AGENT_FAILURE_ACTION_SKIP_POLICY_STEP
          instructions: choose
          policyIds: [{live}, nobody]
"
    );
    let url = format!("http://{}", server.addr);
    let output = tokio::task::spawn_blocking(move || check(&["--server", &url, "-"], &text)).await.unwrap();
    let found = stdout(&output);
    let faults: Vec<&str> = found.lines().filter(|line| line.contains("REFERENCE")).collect();
    assert_eq!(
        faults,
        [
            format!(
                "<stdin>:5:56: REFERENCE_TYPE_DIFFERS: policy {other_type} is of another type than this one"
            ),
            format!("<stdin>:13:37: REFERENCE_DELETED: policy {deleted} has been deleted"),
            "<stdin>:19:61: REFERENCE_NOT_FOUND: policy nobody does not exist".to_owned(),
        ],
        "{}",
        told(&output)
    );
    assert_eq!(code(&output), 1);
    assert!(!stderr(&output).contains("not checked"), "{}", told(&output));
    server.stop().await;
}

#[test]
fn policies_are_analysed_when_asked() {
    let policy = "analyzed/policy.yaml";
    let plain = check(&["--analyze", policy], "");
    let stated = check(&["--invariants", "analyzed/invariants.toml", policy], "");
    let bad = check(&["--invariants", policy, policy], "");
    let all = [plain, stated].map(|output| told(&output)).join("\n");
    golden(&data().join("analyzed/policy.yaml.expected"), &all);
    assert_eq!(code(&bad), 2, "{}", told(&bad));
}

#[test]
fn policies_of_one_file_are_analysed_together() {
    let file = "analyzed/together.yaml";
    let plain = check(&["--analyze", file], "");
    let stated = check(&["--invariants", "analyzed/invariants.toml", file], "");
    let all = [plain, stated].map(|output| told(&output)).join("\n");
    golden(&data().join("analyzed/together.yaml.expected"), &all);
}
