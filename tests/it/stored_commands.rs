//! `simulate`, `draw` and `test` on policies that a real server has stored: they say what they say of the same documents in files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Server, http};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// What a run prints to both, and how it ends.
async fn run(directory: &Path, args: &[&str]) -> (String, String, i32) {
    let (directory, args) =
        (directory.to_owned(), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<String>>());
    let work = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(args).current_dir(directory).env_clear().output().unwrap()
    };
    let output = tokio::task::spawn_blocking(work).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

async fn stored(server: &Server, document: &Value) -> String {
    let answer = http(server.addr, "POST", "/api/v1/policies", &[], document.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()["policy"]["id"].as_str().unwrap().to_owned()
}

fn approval(of: &str) -> Value {
    json!({"steps": [{"approval": {"users": {"userIds": [of]}}}]})
}

/// A policy with two revisions, a folder with files about it, and the policy that it leads to.
struct Stage {
    server: Server,
    url: String,
    folder: tempfile::TempDir,
    id: String,
    other: String,
}

async fn stage() -> Stage {
    let server = Server::start().await;
    let url = format!("http://{}", server.addr);
    let folder = tempfile::tempdir().unwrap();
    let other = json!({"displayName": "The board", "policyType": "POLICY_TYPE_GRANT",
        "policySteps": {"grant": approval("moritz")}});
    let other = stored(&server, &other).await;
    let document = json!({"displayName": "Databases", "policyType": "POLICY_TYPE_GRANT",
        "rules": [{"condition": "subject.department == \"Board\"", "policyId": other}],
        "policySteps": {"grant": approval("max")}});
    let id = stored(&server, &document).await;
    let body = json!({"policy": {"policySteps": {"grant": {"steps": [{"accept": {}}]}}}, "updateMask": "policySteps"});
    let target = format!("/api/v1/policies/{id}");
    let answer = http(server.addr, "POST", &target, &[], body.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let files = [
        ("ann.json", json!({"subjectId": "ann"})),
        ("cleo.json", json!({"subjectId": "cleo"})),
        (
            "people.json",
            json!({"users": [{"id": "ann"}, {"id": "cleo", "department": "Board"}, {"id": "max"}, {"id": "moritz"}]}),
        ),
        ("broken.json", json!({"subjectId": "nobody"})),
    ];
    for (name, value) in files {
        fs::write(folder.path().join(name), value.to_string()).unwrap();
    }
    Stage { server, url, folder, id, other }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_policies_are_simulated_and_drawn() {
    let Stage { server, url, folder, id, other } = stage().await;
    let at = ["--directory", "people.json", "--at", "2026-11-26T08:00:00Z", "--server", &url];
    let simulate = |request: &'static str, more: &[&'static str]| {
        let (folder, id, at) = (folder.path().to_owned(), id.clone(), at.map(str::to_owned));
        let more: Vec<String> = more.iter().map(|one| (*one).to_owned()).collect();
        async move {
            let mut args = vec!["simulate", &id, "--request", request];
            args.extend(at.iter().chain(&more).map(String::as_str));
            run(&folder, &args).await
        }
    };
    let (out, err, code) = simulate("ann.json", &[]).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains(&format!("policy {id}, revision 2")) && out.contains("  granted\n"), "{out}");
    let (out, _, _) = simulate("ann.json", &["--revision", "1"]).await;
    assert!(out.contains("revision 1") && out.contains("waits for max"), "{out}");
    let (out, _, _) = simulate("cleo.json", &["--format", "json"]).await;
    let trace: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(trace["trace"]["route"][1]["policyId"], json!(other), "{trace}");
    assert_eq!(trace["trace"]["outcome"]["waitingOn"], json!(["moritz"]));
    // The other policy is drawn, too, with the way that goes through it.
    let (out, _, _) = simulate("cleo.json", &["--format", "mermaid"]).await;
    assert!(out.contains("\"The board\"") && out.contains("waits for moritz"), "{out}");
    let (out, _, _) = simulate("cleo.json", &["--format", "svg"]).await;
    assert!(out.starts_with("<svg ") && out.contains("The board"), "{out}");
    for args in [vec!["draw", &id, "--server", &url], vec!["draw", &id, "--server", &url, "--revision", "1"]]
    {
        let (out, err, code) = run(folder.path(), &args).await;
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!(out.contains("asks max"), args.len() > 4, "{out}");
    }
    let cases: &[(&str, &str, i32, &str)] =
        &[(&id, "broken.json", 1, "broken.json:1:"), ("nobody", "ann.json", 1, "policy nobody: NOT_FOUND")];
    for (policy, request, expected, sentence) in cases {
        let mut args = vec!["simulate", policy, "--request", request];
        args.extend(at);
        let (out, err, code) = run(folder.path(), &args).await;
        assert_eq!(code, *expected, "{out}{err}");
        assert!(err.contains(sentence), "{err}");
    }
    let (_, err, code) = run(folder.path(), &["draw", &id, "--revision", "1"]).await;
    assert!(code == 2 && err.contains("--server"), "{err}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_policies_are_tested() {
    let Stage { server, url, folder, id, other } = stage().await;
    let tests = json!({
        "policyId": id,
        "directoryFile": "people.json",
        "cases": [
            {"name": "everybody", "request": {"subjectId": "ann"},
                "expect": {"route": [{"policyId": "inline", "baseline": true}], "outcome": "OUTCOME_KIND_GRANTED"}},
            {"name": "the board", "request": {"subjectId": "cleo"},
                "expect": {"route": [{"policyId": "inline", "ruleIndex": 0}, {"policyId": other}],
                    "stages": [{"approvers": ["moritz"]}]}},
            {"name": "wrong", "request": {"subjectId": "ann"}, "expect": {"outcome": "OUTCOME_KIND_DENIED"}},
        ],
    });
    fs::write(folder.path().join("a.test.json"), tests.to_string()).unwrap();
    let (out, err, code) = run(folder.path(), &["test", ".", "--server", &url]).await;
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("2 passed, 1 failed"), "{out}");
    let covered = format!("policy {id}, policy {id}: rules 1 of 1, sequences 1 of 1, stages 1 of 1");
    assert!(out.contains(&covered), "{out}");
    assert!(out.contains(&format!("policy {id}, policy {other}: sequences 1 of 1")), "{out}");
    // Without a server there is no policy to test.
    let (_, err, code) = run(folder.path(), &["test", "."]).await;
    assert!(code == 1 && err.contains("POLICY_REQUIRED"), "{err}");
    server.stop().await;
}

/// Guardian's: the id is in the document, and the same file is run with and without a server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_tests_says_the_same_of_the_stored_policy() {
    let server = Server::start().await;
    let url = format!("http://{}", server.addr);
    let document = fs::read_to_string(root().join("examples/guardian/02-automatic.json")).unwrap();
    let answer = http(server.addr, "POST", "/api/v1beta1/policies", &[], document.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let file = "examples/tests/sandbox-access.test.yaml";
    let (there, err, code) = run(&root(), &["test", file, "--server", &url]).await;
    assert_eq!((code, err.as_str()), (0, ""), "{there}");
    let (here, _, _) = run(&root(), &["test", file]).await;
    assert_eq!(
        there.replace("policy sandbox-access", "POLICY"),
        here.replace("examples/tests/../guardian/02-automatic.json", "POLICY")
    );
    let (drawn, _, code) =
        run(&root(), &["draw", "sandbox-access", "--server", &url, "--revision", "1"]).await;
    assert!(code == 0 && drawn.contains("Policy sandbox-access, version 1"), "{drawn}");
    // A document without an id is no stored policy's.
    let file = "examples/tests/payroll-data.test.yaml";
    let (out, err, code) = run(&root(), &["test", file, "--server", &url]).await;
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("POLICY_ID_REQUIRED"), "{err}");
    server.stop().await;
}
