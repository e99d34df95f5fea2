//! Secrets where they are kept: never in the clear, and encrypted anew when keys are rotated.

use super::{KEY, folder};
use crate::harness::{Server, countersign, http, settings};
use countersign::app::SystemClock;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

/// Another key than [`KEY`].
const FRESH: &str = "HxweHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE=";

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

fn rotate(store: &str, keys: &Path) -> Output {
    let keys = format!("file:{}", keys.display());
    countersign().args(["rotate-keys", "--store", store, "--secrets-keys", &keys]).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_sealed_and_rotated() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    let data = directory.path().join("data");
    let store = format!("sled:{}", data.display());
    fs::write(&keys, KEY).unwrap();
    let source = format!("file:{}", keys.display());
    let settings = settings(&store, &[("secrets-keys", &source)]);
    let server = Server::with(&settings, Arc::new(SystemClock::default())).await;
    // The request of the scenario about secrets.
    let text = fs::read_to_string(folder().join("secrets.txt")).unwrap();
    let body = text.lines().find(|line| line.starts_with("{\"id\"")).unwrap();
    assert!(body.contains("hush"));
    let answer = http(server.addr, "POST", "/api/v1beta1/policies", &[], body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    server.stop().await;

    let kept = bytes(&data);
    assert!(
        holds(&kept, "data-platform") || holds(&kept, "owner@corp.example"),
        "documents are not compressed"
    );
    assert!(!holds(&kept, "hush"), "a secret is kept in the clear");

    // Without the old key, nothing is lost and nothing is changed.
    fs::write(&keys, FRESH).unwrap();
    let refused = rotate(&store, &keys);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not among --secrets-keys"), "{refused:?}");

    fs::write(&keys, format!("{FRESH}\n{KEY}\n")).unwrap();
    let rotated = rotate(&store, &keys);
    assert!(rotated.status.success(), "{rotated:?}");
    let said = String::from_utf8_lossy(&rotated.stdout).into_owned();
    assert_eq!(said, "2 secrets encrypted anew; 1 versions of policies looked at\n");

    // From now on the new key is enough.
    fs::write(&keys, FRESH).unwrap();
    let again = rotate(&store, &keys);
    assert!(again.status.success(), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stdout).starts_with("0 secrets"), "{again:?}");
}

#[test]
fn what_is_no_key_is_told_without_showing_it() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    fs::write(&keys, "hunter2").unwrap();
    let refused = rotate("memory:", &keys);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("openssl rand -base64 32") && !said.contains("hunter2"), "{said}");
}
