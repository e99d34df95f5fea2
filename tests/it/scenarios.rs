//! Runs the scenarios of `data/policies/`, one test a file.

use crate::scenario;
use std::path::Path;

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                scenario::run(&folder().join(concat!(stringify!($name), ".txt"))).await;
            }
        )*

        /// A file that no test runs would promise nothing.
        #[test]
        fn every_file_is_run() {
            let run = [$(concat!(stringify!($name), ".txt")),*];
            for entry in std::fs::read_dir(folder()).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(run.contains(&name.as_str()), "{name} is not in the list of scenarios");
            }
        }
    };
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/policies")
}

scenarios! {
    create, read_only_fields, delete, list, search, update_masks, etags, idempotency, references, annotations,
    refusals, json, expressions, warnings, validate_only,
    revisions, audit, compare, provision,
}
