//! The README says what is so: its table of settings is the program's, and every file that it and the other documents name
//! is there.

use countersign::config::TABLE;
use std::fs;
use std::path::{Path, PathBuf};

const MARK: &str = "<!-- settings -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The table of settings, as the README must have it.
fn settings() -> String {
    let mut table = String::from("| flag | environment | default | meaning |\n| --- | --- | --- | --- |\n");
    for setting in TABLE {
        let (key, variable) = (setting.key(), setting.variable());
        table.push_str(&format!(
            "| `--{key}` | `{variable}` | `{}` | {} |\n",
            setting.default,
            setting.help.trim()
        ));
    }
    table
}

/// Set `BLESS=1` to write the table into the README.
#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let path = root().join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let parts: Vec<&str> = text.split(MARK).collect();
    assert_eq!(parts.len(), 3, "the README marks the table of settings");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, [parts[0], &settings(), parts[2]].join(MARK)).unwrap();
        return;
    }
    assert_eq!(parts[1], settings(), "run the test with BLESS=1");
}

#[test]
fn documents_name_files_that_are_there() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/rest.md", "docs/auth.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let named = text.split('`').skip(1).step_by(2).filter(|span| {
            let path = !span.contains(char::is_whitespace)
                && span.contains('/')
                && !span.starts_with(['/', '-', '*']);
            let ours = ["src/", "docs/", "tests/", "examples/", "benches/", ".ci/", "proto/"];
            path && ours.iter().any(|dir| span.starts_with(dir)) && !span.contains(['*', '<', '{'])
        });
        for name in named {
            assert!(root().join(name).exists(), "{document} names {name}, which is not there");
        }
    }
}
