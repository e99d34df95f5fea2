//! `countersign test`, as it is run: on the examples, and on files of `data/test_command` with what is printed about them in files
//! that end in `.expected`. `COUNTERSIGN_BLESS=1` writes those anew.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::check::golden;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn data() -> PathBuf {
    root().join("tests/it/data/test_command")
}

/// What a run prints to both, and how it ends.
fn run(directory: &Path, args: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let output = command.arg("test").args(args).current_dir(directory).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

fn told((out, err, code): (String, String, i32)) -> String {
    format!("{out}-- standard error\n{err}-- exit code {code}\n")
}

#[test]
fn the_examples_pass() {
    let (out, err, code) = run(&root(), &["examples/tests"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    golden(&data().join("examples.expected"), &out);
}

#[test]
fn files_are_told_of_as_expected() {
    for name in ["failing", "faults", "hollow", "staged", "world"] {
        let is = told(run(&data(), &[&format!("{name}.test.yaml")]));
        golden(&data().join(format!("{name}.expected")), &is);
    }
}

#[test]
fn one_bad_file_does_not_keep_the_others_from_running() {
    let (out, err, code) = run(&data(), &["."]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("FAIL  everything is other") && out.contains("2 passed, 1 failed"), "{out}");
    assert!(err.contains("faults.test.yaml:7:3: FIELD_UNKNOWN"), "{err}");
}

#[test]
fn machines_get_json_and_junit() {
    let (out, _, code) = run(&data(), &["failing.test.yaml", "--format", "json"]);
    assert_eq!(code, 1);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["cases"][0]["passed"], true);
    let found = &json["cases"][1]["differences"][0];
    assert_eq!((&found["what"], &found["actual"]), (&"route[0].stepKey".into(), &"grant".into()));
    assert_eq!(json["coverage"][0]["stages"]["covered"], 1);
    let (out, _, code) = run(&data(), &["failing.test.yaml", "--format", "junit"]);
    assert_eq!(code, 1);
    golden(&data().join("failing.junit.xml"), &out);
}

#[test]
fn what_makes_no_sense_ends_with_2() {
    for (args, sentence) in [
        (vec!["not-there"], "not-there: cannot be read"),
        (vec!["../test_command/policy.yaml", "--format", "xml"], "xml"),
        (vec!["../wire"], "no file in it ends in .test.yaml"),
        (vec![], "<DIR>"),
    ] {
        let (out, err, code) = run(&data(), &args);
        assert_eq!(code, 2, "{args:?}: {out}{err}");
        assert!(err.contains(sentence), "{args:?}: {err}");
    }
}
