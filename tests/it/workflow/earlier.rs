//! A policy that an earlier build stored and this one does not compile: named at the start, read and deleted like any
//! other, never evaluated.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::harness::Revision;
use countersign::app::{App, Caller, Error, SystemClock};
use countersign::pb::c1::api::policy::v1::{
    CreatePolicyRequest, DeletePolicyRequest, GetPolicyRequest, Policy, PolicyStep, PolicySteps, PolicyType,
    Reject, Rule, policy_step::Step, rule::Outcome,
};
use countersign::rpc::status;
use countersign::store::table::Key;
use countersign::store::{self, Batch, Engine, Location, Options};
use countersign::workflow::Nobody;
use prost::Message;
use tonic::Code;

/// The number of the table of policies, which never changes.
const POLICY: u8 = 2;

async fn open(directory: &Path) -> (Arc<dyn Engine>, App) {
    let store = store::open(Options::new(Location::Sled(directory.to_path_buf()))).unwrap();
    let app = App::open(Arc::clone(&store), Arc::new(SystemClock::default()), Nobody::Block).await.unwrap();
    (store, app)
}

fn me() -> Caller {
    Caller { actor: "tester".to_owned(), method: "test.Test/Test", ..Caller::default() }
}

async fn make(app: &App, name: &str) -> Policy {
    let reject = PolicyStep { step: Some(Step::Reject(Reject::default())) };
    let request = CreatePolicyRequest {
        display_name: name.to_owned(),
        policy_type: PolicyType::Grant.into(),
        policy_steps: [("grant".to_owned(), PolicySteps { steps: vec![reject] })].into(),
        ..CreatePolicyRequest::default()
    };
    app.policy_create(&me(), request).await.unwrap().message.policy.unwrap()
}

/// What an earlier build, which knew a field `squad`, might have stored.
async fn store_as_an_earlier_build(store: &dyn Engine, mut policy: Policy) -> Policy {
    policy.rules.push(Rule {
        condition: "subject.squad == \"blue\"".to_owned(),
        outcome: Some(Outcome::StepKey("grant".to_owned())),
        ..Rule::default()
    });
    let key = Key::new(POLICY).text(&policy.id).into_bytes();
    let before = store.get(&key).await.unwrap().expect("policies are kept where this test looks for them");
    let record = Revision::decode(before.value).unwrap();
    let mut batch = Batch::new();
    batch.put(key, Revision { document: policy.encode_to_vec(), ..record }.encode_to_vec());
    store.commit(batch).await.unwrap();
    policy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_of_an_earlier_build_is_kept_and_not_evaluated() {
    let directory = tempfile::tempdir().unwrap();
    let (store, app) = open(directory.path()).await;
    let sound = make(&app, "Sound").await;
    let broken = make(&app, "Broken").await;
    assert!(app.uncompiled().await.unwrap().is_empty());
    let broken = store_as_an_earlier_build(store.as_ref(), broken).await;
    drop(app);
    store.close().await;

    // It is named where the operator looks.
    let warned = warnings_of_a_start(directory.path());
    let [line] = warned.as_slice() else { panic!("{warned:#?}") };
    assert_eq!(line["policy"], *broken.id);
    let violations = line["violations"].as_str().unwrap();
    assert!(violations.contains("EXPRESSION_UNDECLARED_FIELD rules[0].condition"), "{violations}");

    let (store, app) = open(directory.path()).await;
    let uncompiled = app.uncompiled().await.unwrap();
    let [one] = uncompiled.as_slice() else { panic!("{uncompiled:?}") };
    assert_eq!(one.id, broken.id);
    let codes: Vec<_> = one.violations.iter().map(|one| one.code).collect();
    assert_eq!(codes, ["EXPRESSION_UNDECLARED_FIELD"]);

    // It is never evaluated, and what is said of that has every violation.
    let error = app.workflow(&broken.id).await.unwrap_err();
    assert!(matches!(&error, Error::Uncompiled { id, .. } if *id == broken.id), "{error}");
    let status = status::of(&error);
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert!(app.workflow(&sound.id).await.is_ok());

    // It is read as it is, and deleted.
    let id = broken.id.clone();
    let read = app.policy_get(GetPolicyRequest { id: id.clone() }).await.unwrap();
    assert_eq!(read.message.policy, Some(broken));
    app.policy_delete(&me(), DeletePolicyRequest { id: id.clone() }).await.unwrap();
    assert!(app.uncompiled().await.unwrap().is_empty());
    assert!(matches!(app.workflow(&id).await, Err(Error::NotFound { .. })));
    store.close().await;
}

/// Starts the binary on `directory`, and kills it once it serves: what it has warned of until then.
fn warnings_of_a_start(directory: &Path) -> Vec<serde_json::Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ]);
    command.arg("--store").arg(format!("sled:{}", directory.display())).env_clear();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let lines = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
    let started: Vec<_> = lines.take_while(|line| line["message"] != "serving").collect();
    child.kill().unwrap();
    child.wait().unwrap();
    started.into_iter().filter(|line| line["level"] == "WARN").collect()
}
