//! Guardian's part of the API: the scenarios of `data/guardian/`, each in both modes, and what needs a gRPC client.

mod at_rest;
mod clients;
mod contract;
mod earlier;
mod hostile;
mod stores;
mod times;
mod workflows;

use crate::harness::{Server, settings};
use crate::scenario;
use countersign::app::SystemClock;
use countersign::pb::gotocompany::guardian::v1beta1::{self as goto, policy::CustomSteps};
use countersign::pb::json::{Kind, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// 32 bytes in base64.
pub const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Another one.
pub const FRESH: &str = "HxweHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE=";

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/guardian")
}

/// A policy with one secret.
pub fn secret_policy(id: &str) -> goto::Policy {
    let config = Some(Value { kind: Some(Kind::StringValue("hush".to_owned())) });
    let custom_steps = Some(CustomSteps { r#type: "http".to_owned(), config });
    goto::Policy { custom_steps, ..clients::policy(id) }
}

/// A file with [`KEY`] in it, and the setting that names it.
pub fn key_file() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    std::fs::write(&path, format!("# a key\n{KEY}\n")).unwrap();
    let setting = format!("file:{}", path.display());
    (directory, setting)
}

/// A server in a mode, with a key for secrets.
pub async fn server(others: &[(&str, &str)]) -> Server {
    let (_directory, keys) = key_file();
    let mut all = vec![("secrets-keys", keys.as_str())];
    all.extend(others);
    Server::with(&settings("memory:", &all), Arc::new(SystemClock::default())).await
}

async fn run(name: &str, settings: &[(&str, &str)], mode: &str) {
    scenario::run_on(server(settings).await, &folder().join(format!("{name}.txt")), mode).await;
}

macro_rules! scenarios {
    (both: $($both:ident),*; others: $($other:ident $settings:tt),* $(,)?) => {
        $(
            mod $both {
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn default() {
                    super::run(stringify!($both), &[], "").await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn strict() {
                    super::run(stringify!($both), &[("guardian-compat", "strict")], "strict").await;
                }
            }
        )*
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $other() {
                run(stringify!($other), &$settings, "").await;
            }
        )*

        /// What is denied because of a lint is told in Guardian's manner where that is asked for.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn lint_deny_strict() {
            run("lint_deny", &[("guardian-lint", "deny"), ("guardian-compat", "strict")], "strict").await;
        }

        /// A file that no test runs would promise nothing.
        #[test]
        fn every_file_is_run() {
            let run = [$(concat!(stringify!($both), ".txt"),)* $(concat!(stringify!($other), ".txt"),)*];
            for entry in std::fs::read_dir(folder()).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(!name.ends_with(".txt") || run.contains(&name.as_str()), "{name} is not run");
            }
        }
    };
}

scenarios! {
    both: versions, errors, order, validation, requirements, iam, approvers, list, dry_run, secrets, rest, validate_only, revisions;
    others: no_key [("secrets-keys", "none")], lint_warn [], lint_deny [("guardian-lint", "deny")]
}
