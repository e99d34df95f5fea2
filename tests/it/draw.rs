//! Drawings, as `countersign simulate` and `countersign draw` print them. Every drawing that is made here is read again: SVG as XML
//! whose boxes do not lie on each other, Graphviz's text by a parser of it, Mermaid's by its lines. Those of a few cases are kept in
//! `data/draw`, to be looked at; `COUNTERSIGN_BLESS=1` writes them anew.

mod hostile;
mod read;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::check::golden;
use crate::{simulate, simulate_command};

const FORMATS: &[&str] = &["mermaid", "dot", "svg"];

/// Cases of `data/simulate` whose drawings are kept: one for each thing that a drawing can show.
const KEPT: &[&str] = &[
    "rules",
    "approval-manager-fallback",
    "approval-denied",
    "escalation-to-users",
    "escalation-in-a-circle",
    "escalation-to-policy",
    "agent-changes-policy",
    "wait-condition-times-out",
    "guardian-requirements",
    "guardian-stages",
    "guardian-when",
];

/// Examples of which the drawing without a request is kept.
const KEPT_EXAMPLES: &[&str] = &["policies/09-data-platform.json", "guardian/03-parallel-stages.json"];

fn run(directory: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(args).current_dir(directory).env_clear().output().unwrap()
}

/// What a command prints that must succeed.
fn drawn(directory: &Path, args: &[&str]) -> String {
    let output = run(directory, args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Reads a drawing again; how many boxes and arrows it has.
fn sound(about: &str, format: &str, text: &str) -> (usize, usize) {
    match format {
        "svg" => read::svg(about, text),
        "dot" => read::dot(about, text),
        _ => read::mermaid(about, text),
    }
}

/// Holds a drawing against the one that is kept.
fn keep(name: &str, format: &str, text: &str) {
    let ending = if format == "mermaid" { "mmd" } else { format };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/draw");
    golden(&folder.join(format!("{name}.{ending}")), text);
}

#[test]
fn every_simulation_can_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (mut count, mut kept) = (0, 0);
    for (name, case) in simulate::cases() {
        let files =
            (case["call"] == "simulate").then(|| simulate_command::files(folder.path(), &case["body"]));
        let Some(args) = files.flatten() else { continue };
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        args.insert(0, "simulate");
        args.extend(["--format", "svg"]);
        // Some cases are about refusals.
        if run(folder.path(), &args).status.code() != Some(0) {
            continue;
        }
        count += 1;
        let mut sizes = Vec::new();
        for format in FORMATS {
            *args.last_mut().unwrap() = format;
            let text = drawn(folder.path(), &args);
            sizes.push(sound(&format!("{name} {format}"), format, &text));
            if KEPT.contains(&name.as_str()) {
                keep(&name, format, &text);
                kept += 1;
            }
        }
        // All three are of one model.
        assert_eq!(sizes[0], sizes[1], "{name}");
    }
    assert!(count > 60, "{count}");
    assert_eq!(kept, KEPT.len() * FORMATS.len());
}

#[test]
fn examples_are_drawn_without_a_request() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for folder in ["policies", "guardian"] {
        for entry in std::fs::read_dir(examples.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            for format in FORMATS {
                let text = drawn(&examples, &["draw", &name, "--format", format]);
                let (boxes, arrows) = sound(&name, format, &text);
                assert!(boxes >= 2 && arrows >= 1, "{name}: {text}");
                assert!(!text.contains("the way of this request"), "{name}");
                if KEPT_EXAMPLES.contains(&name.as_str()) {
                    keep(path.file_stem().unwrap().to_str().unwrap(), format, &text);
                }
            }
        }
    }
}

/// The way of a request, and not that of another, is marked.
#[test]
fn the_way_that_is_marked_is_that_of_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let policy = json!({
        "displayName": "Way", "policyType": "POLICY_TYPE_GRANT",
        "rules": [{"condition": "subject.department == \"Sales\"", "stepKey": "fast"}],
        "policySteps": {
            "fast": {"steps": [{"accept": {}}]},
            "grant": {"steps": [{"approval": {"users": {"userIds": ["max"]}}}]},
        },
    });
    let directory = json!({"users": [{"id": "ann", "department": "Sales"}, {"id": "bob"}, {"id": "max"}]});
    std::fs::write(folder.path().join("policy.json"), policy.to_string()).unwrap();
    std::fs::write(folder.path().join("directory.json"), directory.to_string()).unwrap();
    for (who, taken, not) in [("ann", "Granted", "Approval"), ("bob", "Approval", "Granted")] {
        let request = json!({"subjectId": who}).to_string();
        std::fs::write(folder.path().join("request.json"), request).unwrap();
        let args = ["simulate", "policy.json", "--request", "request.json", "--directory", "directory.json"];
        let text = drawn(folder.path(), &[&args[..], &["--format", "mermaid"]].concat());
        let marked = |what: &str, class: &[&str]| {
            text.lines().any(|line| {
                line.contains(&format!("\"{what}")) && class.iter().any(|class| line.ends_with(class))
            })
        };
        assert!(marked(taken, &[":::good", ":::waits"]), "{who}: {text}");
        assert!(marked(not, &[":::off"]), "{who}: {text}");
        assert_eq!(text.matches("linkStyle ").count(), 1, "{who}: {text}");
    }
}

/// What is too large to be looked at is folded, but not the way of the request.
#[test]
fn large_policies_are_folded() {
    let folder = tempfile::tempdir().unwrap();
    let approval = json!({"approval": {"manager": {"fallback": true, "fallbackUserIds": ["max"]}}});
    let sequence = json!({"steps": vec![approval; 100]});
    let mut sequences: serde_json::Map<String, serde_json::Value> =
        (0..63).map(|n| (format!("steps-{n}"), sequence.clone())).collect();
    sequences.insert("grant".to_owned(), sequence);
    let rules: Vec<serde_json::Value> = (0..128)
        .map(|n| json!({"condition": format!("subject.department == \"{n}\""), "stepKey": format!("steps-{}", n % 63)}))
        .collect();
    let policy = json!({"displayName": "Large", "policyType": "POLICY_TYPE_GRANT", "rules": rules, "policySteps": sequences});
    std::fs::write(folder.path().join("policy.json"), policy.to_string()).unwrap();
    let users = json!({"users": [{"id": "ann", "department": "70", "managerIds": ["max"]}, {"id": "max"}]});
    std::fs::write(folder.path().join("directory.json"), users.to_string()).unwrap();
    std::fs::write(folder.path().join("request.json"), json!({"subjectId": "ann"}).to_string()).unwrap();
    for format in FORMATS {
        let text = drawn(folder.path(), &["draw", "policy.json", "--format", format]);
        let (boxes, _) = sound(format, format, &text);
        assert!(boxes < 700, "{format}: {boxes} boxes");
        assert!(text.contains("drawn as one box each"), "{format}");
        let args = ["simulate", "policy.json", "--request", "request.json", "--directory", "directory.json"];
        let text = drawn(folder.path(), &[&args[..], &["--format", format]].concat());
        sound(format, format, &text);
        assert!(text.contains("waits for max"), "{format}");
    }
}
