//! Secrets where they are kept: never in the clear, and encrypted anew when keys are rotated.

use super::{FRESH, KEY};
use crate::harness::{Answer, Server, countersign, http, settings};
use countersign::app::SystemClock;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

/// One that nothing was encrypted with.
const THIRD: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
/// How many secret places [`document`] has: five credentials, a metadata source, a hook, custom steps.
const SECRETS: usize = 8;

/// A policy with something in every place that is secret: `hush-1` to `hush-8`, each in one of them.
fn document() -> Value {
    json!({
        "id": "secret",
        "description": "plainly said",
        "steps": [{"name": "owner", "strategy": "manual", "approvers": ["owner@corp.example"]}],
        "iam": {"provider": "http", "config": {"url": "http://iam", "auth": {
            "type": "basic", "username": "me", "password": "hush-1", "value": "hush-2", "token": "hush-3",
            "credentials_json": "hush-4", "credentials_json_base64": "hush-5",
        }}},
        "custom_steps": {"type": "http", "config": {"url": "http://steps", "headers": {"k": "hush-6"}}},
        "appeal": {"metadata_sources": {"hr": {
            "name": "HR", "type": "http", "config": {"url": "http://hr", "auth": {"token": "hush-7"}}, "value": "x",
        }}},
        "requirements": [{"on": {"role": "x"}, "post_hooks": [{
            "name": "tell", "type": "http", "config": {"url": "http://chat", "headers": {"k": "hush-8"}},
        }]}],
    })
}

/// Every byte below a directory.
fn bytes(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() { bytes(&path) } else { fs::read(&path).unwrap() });
    }
    all
}

fn holds(all: &[u8], text: &str) -> bool {
    all.windows(text.len()).any(|window| window == text.as_bytes())
}

/// That a data directory has documents that can be read in it, and none of their secrets.
fn assert_sealed(data: &Path) {
    let kept = bytes(data);
    assert!(holds(&kept, "plainly said"), "documents are not compressed");
    assert!(!holds(&kept, "hush-"), "a secret is kept in the clear");
}

fn rotate(store: &str, keys: &str) -> Output {
    countersign().args(["rotate-keys", "--store", store, "--secrets-keys", keys]).output().unwrap()
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("keys"), KEY).unwrap();
    fs::create_dir(at("empty")).unwrap();
    let keys = format!("file:{}", at("keys").display());
    let stores = ["typo", "empty"].map(|name| format!("sled:{}", at(name).display()));
    for store in stores.iter().map(String::as_str).chain(["memory:"]) {
        let refused = rotate(store, &keys);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let sentence = format!("there is no store at {store}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(&sentence), "{refused:?}");
    }
    assert!(!at("typo").exists());
    assert_eq!(fs::read_dir(at("empty")).unwrap().count(), 0);
}

/// What a rotation that works says.
fn rotated(store: &str, keys: &str) -> String {
    let rotated = rotate(store, keys);
    assert!(rotated.status.success(), "{rotated:?}");
    String::from_utf8(rotated.stdout).unwrap()
}

async fn serve(store: &str, keys: &str) -> Server {
    let settings = settings(store, &[("secrets-keys", keys)]);
    Server::with(&settings, Arc::new(SystemClock::default())).await
}

async fn put(server: &Server, headers: &[(&str, &str)], body: &Value) -> Answer {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = body.to_string();
    http(server.addr, "PUT", "/api/v1beta1/policies/secret", &headers, body.as_bytes()).await
}

/// Each part that holds secrets alone in a document.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_needs_another_to_be_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    let data = directory.path().join("data");
    fs::write(&keys, KEY).unwrap();
    let server = serve(&format!("sled:{}", data.display()), &format!("file:{}", keys.display())).await;
    let Value::Object(whole) = document() else { panic!("a document is an object") };
    let mut secrets = 0;
    for (name, part) in whole.iter().filter(|(_, part)| part.to_string().contains("hush-")) {
        let mut alone = json!({"id": name, "description": "plainly said", "steps": whole["steps"]});
        alone[name] = part.clone();
        let body = alone.to_string();
        let answer = http(server.addr, "POST", "/api/v1beta1/policies", &[], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{name}: {:?}", answer.body);
        secrets += body.matches("hush-").count();
    }
    assert_eq!(secrets, SECRETS);
    server.stop().await;
    assert_sealed(&data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_sealed_and_rotated() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    let data = directory.path().join("data");
    let store = format!("sled:{}", data.display());
    let source = format!("file:{}", keys.display());
    fs::write(&keys, KEY).unwrap();

    let server = serve(&store, &source).await;
    let body = document();
    let answer = http(server.addr, "POST", "/api/v1beta1/policies", &[], body.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    for n in 1..=SECRETS {
        assert!(holds(&answer.body, &format!("hush-{n}")), "{n} is not kept: {:?}", answer.body);
    }
    server.stop().await;
    assert_sealed(&data);

    let server = serve(&store, &source).await;
    let answer = put(&server, &[], &body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    server.stop().await;
    assert_sealed(&data);

    // Without the old key, nothing is lost and nothing is changed.
    fs::write(&keys, FRESH).unwrap();
    let refused = rotate(&store, &source);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not among --secrets-keys"), "{refused:?}");

    fs::write(&keys, format!("{FRESH}\n{KEY}\n")).unwrap();
    let said = rotated(&store, &source);
    assert_eq!(said, format!("{} secrets encrypted anew; 2 versions of policies looked at\n", 2 * SECRETS));
    assert_sealed(&data);

    // From now on the new key is enough,
    fs::write(&keys, FRESH).unwrap();
    assert_eq!(rotated(&store, &source), "0 secrets encrypted anew; 2 versions of policies looked at\n");

    // also for the service, which opens what an import leaves out and puts it into the next version.
    let server = serve(&store, &source).await;
    let seen = http(server.addr, "GET", "/api/v1beta1/policies/secret/versions/0", &[], b"").await;
    assert!(!holds(&seen.body, "hush-"), "{:?}", seen.body);
    let mut masked = seen.json()["policy"].clone();
    masked["description"] = json!("plainly said, and once more");
    let apply = [("countersign-apply", "true")];
    let answer = put(&server, &apply, &masked).await;
    assert_eq!((answer.status, &answer.json()["policy"]["version"]), (200, &json!(3)), "{:?}", answer.body);
    assert!(!holds(&answer.body, "hush-"), "{:?}", answer.body);
    server.stop().await;
    assert_sealed(&data);

    // Any other is not.
    fs::write(&keys, THIRD).unwrap();
    let server = serve(&store, &source).await;
    masked["description"] = json!("with a key that opens nothing");
    let answer = put(&server, &apply, &masked).await;
    assert_eq!(answer.status, 400, "{:?}", answer.body);
    assert_eq!(answer.json()["details"][0]["reason"], "SECRETS_KEY_MISSING", "{:?}", answer.body);
    server.stop().await;

    // What the import took over was all of it.
    fs::write(&keys, format!("{KEY}\n{FRESH}\n")).unwrap();
    let said = rotated(&store, &source);
    assert_eq!(said, format!("{} secrets encrypted anew; 3 versions of policies looked at\n", 3 * SECRETS));
}

#[test]
fn what_is_no_key_is_told_without_showing_it() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    fs::write(&keys, "hunter2").unwrap();
    let refused = rotate("memory:", &format!("file:{}", keys.display()));
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("openssl rand -base64 32") && !said.contains("hunter2"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_may_be_in_a_variable() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    let store = format!("sled:{}", directory.path().join("data").display());
    fs::write(&keys, KEY).unwrap();
    serve(&store, &format!("file:{}", keys.display())).await.stop().await;
    let rotate = |variable: Option<&str>| {
        let mut command = countersign();
        command.args(["rotate-keys", "--store", &store, "--secrets-keys", "env:KEYS_OF_A_TEST"]);
        command.env_remove("KEYS_OF_A_TEST").envs(variable.map(|keys| ("KEYS_OF_A_TEST", keys)));
        command.output().unwrap()
    };
    let set = rotate(Some(&format!("{FRESH},{KEY}")));
    assert!(set.status.success(), "{set:?}");
    assert_eq!(
        String::from_utf8(set.stdout).unwrap(),
        "0 secrets encrypted anew; 0 versions of policies looked at\n"
    );

    let unset = rotate(None);
    assert_eq!(unset.status.code(), Some(2), "{unset:?}");
    let said = String::from_utf8_lossy(&unset.stderr).into_owned();
    assert!(said.contains("the environment variable KEYS_OF_A_TEST is not set"), "{said}");

    let wrong = rotate(Some("hunter2"));
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("env:KEYS_OF_A_TEST") && !said.contains("hunter2"), "{said}");
}
