//! What Guardian's policies mean, as goldens in `data/guardian/NAME.workflow.json` (`COUNTERSIGN_BLESS=1` writes them
//! anew); and the examples, which are created, read back and checked.

use super::{folder, server};
use crate::check::golden;
use crate::harness::http;
use countersign::pb;
use countersign::pb::gotocompany::guardian::v1beta1::Policy;
use countersign::policy::guardian::{Surroundings, compile, prepare};
use countersign::wire::Schema;
use countersign::wire::json::{self, Reading, Unknown};
use prost::Message as _;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn files() -> Vec<PathBuf> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/guardian");
    let mut files: Vec<PathBuf> =
        fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(folder().join("every-kind.json"));
    files.retain(|path| path.extension().is_some_and(|is| is == "json"));
    files.sort();
    assert!(files.len() > 4);
    files
}

fn read(file: &Path) -> Policy {
    let ty = Schema::new(pb::pool()).message("gotocompany.guardian.v1beta1.Policy").unwrap();
    let mut bytes = Vec::new();
    let reading = Reading { unknown_fields: Unknown::Refuse, ..Reading::default() };
    json::decode(&ty, &fs::read(file).unwrap(), &reading, &mut bytes).unwrap();
    Policy::decode(bytes.as_slice()).unwrap()
}

#[test]
fn compiled_forms_are_as_expected() {
    for file in files() {
        let mut policy = read(&file);
        prepare(&mut policy, Surroundings::default());
        let compiled = compile(&policy, Surroundings::default()).unwrap();
        let warnings: Vec<String> = compiled.warnings.iter().map(ToString::to_string).collect();
        let both = serde_json::json!({"workflow": compiled.workflow, "warnings": warnings});
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = serde_json::to_string_pretty(&both).unwrap() + "\n";
        assert!(!text.contains("not-a-real-token"), "{name}: a secret is in the compiled form");
        golden(&folder().join(format!("{name}.workflow.json")), &text);
    }
}

/// What is accepted depends on the time of the call, so what was accepted before is not asked again when it is only read.
#[test]
fn approvers_are_evaluated_at_the_time_that_is_handed_in() {
    let mut policy = super::clients::policy("rota");
    let rota = |week: &str| format!("['a@x.co', 'b@x.co'][int((now() - date('{week}')).Hours() / 168)]");
    let codes = |policy: &Policy, now: Option<&str>| {
        let now = now.map(|now| now.parse().unwrap());
        let refused = compile(policy, Surroundings { now, ..Surroundings::default() }).err();
        let violations =
            refused.map(|refused| refused.violations.iter().map(|one| one.code).collect::<Vec<_>>());
        violations.unwrap_or_default()
    };
    policy.steps[0].approvers = vec![rota("2026-11-20")];
    for (now, expected) in [
        (Some("2026-11-21T00:00:00Z"), Vec::new()),
        (Some("2026-11-30T00:00:00Z"), Vec::new()),
        (Some("2026-12-05T00:00:00Z"), vec!["APPROVER_FAILS"]),
        (Some("1970-01-01T00:00:00Z"), vec!["APPROVER_FAILS"]),
        (None, Vec::new()),
    ] {
        assert_eq!(codes(&policy, now), expected, "{now:?}");
    }
    // What does not ask for the time is evaluated all the same.
    policy.steps[0].approvers = vec!["bob".to_owned()];
    assert_eq!(codes(&policy, None), ["APPROVER_NIL"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_are_accepted_and_come_back() {
    let server = server(&[("guardian-lint", "deny")]).await;
    for file in files().iter().filter(|file| file.to_string_lossy().contains("examples")) {
        let body = fs::read(file).unwrap();
        let answer = http(server.addr, "POST", "/api/v1beta1/policies", &[], &body).await;
        assert_eq!(answer.status, 200, "{}: {:?}", file.display(), answer.body);
        let mut wanted: Value = serde_json::from_slice(&body).unwrap();
        let target = format!("/api/v1beta1/policies/{}/versions/1", wanted["id"].as_str().unwrap());
        let mut found = http(server.addr, "GET", &target, &[], b"").await.json()["policy"].take();
        for name in ["created_at", "updated_at", "version"] {
            assert!(found.as_object_mut().unwrap().remove(name).is_some(), "{name}");
        }
        let requirements = wanted.get_mut("requirements").and_then(Value::as_array_mut);
        for requirement in requirements.into_iter().flatten() {
            for hook in requirement["post_hooks"].as_array_mut().unwrap() {
                assert!(hook.as_object_mut().unwrap().remove("config").is_some());
            }
        }
        assert_eq!(found, wanted, "{}", file.display());
    }
    server.stop().await;
}
