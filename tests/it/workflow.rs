//! What policies mean: the compiled form of documents, which route a request takes, and policies that an earlier build
//! stored and this one does not compile.
//!
//! The compiled forms are in `data/workflow/NAME.workflow.json`, each with its warnings; `COUNTERSIGN_BLESS=1` writes them
//! anew.

mod earlier;
mod generated;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::DateTime;
use countersign::expr::{EmptyDirectory, Entitlement, Evaluation, Facts, User};
use countersign::pb;
use countersign::pb::c1::api::policy::v1::Policy;
use countersign::policy::c1::{Compiled, Surroundings, compile, prepare};
use countersign::policy::{Violations, Warning};
use countersign::wire::Schema;
use countersign::wire::json::{self, Reading};
use countersign::workflow::{Destination, Nobody, Workflow};
use prost::Message as _;

use crate::check::golden;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The policy in JSON text.
fn read(text: &str) -> Result<Policy, json::Error> {
    let ty = Schema::new(pb::pool()).message("c1.api.policy.v1.Policy").unwrap();
    let mut bytes = Vec::new();
    json::decode(&ty, text.as_bytes(), &Reading::default(), &mut bytes)?;
    Ok(Policy::decode(bytes.as_slice()).unwrap())
}

/// Prepares and compiles; the warnings of both.
fn compiled(mut policy: Policy, nobody: Nobody) -> Result<(Workflow, Vec<Warning>), Violations> {
    let mut warnings = prepare(&mut policy);
    let around = Surroundings { own_id: None, nobody };
    let Compiled { workflow, warnings: more } = compile(&policy, around)?;
    warnings.extend(more);
    Ok((workflow, warnings))
}

/// What is compared.
#[derive(serde::Serialize)]
struct Both {
    workflow: Workflow,
    warnings: Vec<String>,
}

#[test]
fn compiled_forms_are_as_expected() {
    let data = root().join("tests/it/data/workflow");
    let mut files = vec![data.join("every-kind.json"), data.join("agents.json")];
    files.extend(fs::read_dir(root().join("examples/policies")).unwrap().map(|entry| entry.unwrap().path()));
    files.retain(|file| file.extension().is_some_and(|is| is == "json"));
    assert!(files.len() > 11);
    for file in files {
        let policy = read(&fs::read_to_string(&file).unwrap()).unwrap();
        let (workflow, warnings) = compiled(policy, Nobody::Block).unwrap();
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        let both = Both { workflow, warnings };
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = format!("{}\n", serde_json::to_string_pretty(&both).unwrap());
        golden(&data.join(format!("{name}.workflow.json")), &text);
    }
}

#[test]
fn the_setting_decides_where_the_document_is_silent() {
    let text = r#"{
        "displayName": "Silent, and not", "policyType": "POLICY_TYPE_GRANT",
        "policySteps": {"grant": {"steps": [
            {"approval": {"manager": {}}},
            {"approval": {"manager": {"fallback": true, "fallbackUserIds": ["u1"]}}}
        ]}}
    }"#;
    for (setting, word) in [("block", "block"), ("skip", "skip"), ("deny", "deny")] {
        let (workflow, _) = compiled(read(text).unwrap(), setting.parse().unwrap()).unwrap();
        let json = serde_json::to_value(&workflow).unwrap();
        let stages = &json["sequences"]["grant"]["stages"];
        assert_eq!(stages[0]["work"]["approval"]["nobody"], word);
        assert_eq!(stages[1]["work"]["approval"]["sources"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn the_first_route_that_matches_decides_and_failures_do_not_match() {
    let text = r#"{
        "displayName": "Routes", "policyType": "POLICY_TYPE_GRANT",
        "policySteps": {
            "grant": {"steps": [{"reject": {}}]},
            "a": {"steps": [{"accept": {}}]},
            "b": {"steps": [{"accept": {}}]}
        },
        "rules": [
            {"condition": "subject.email == \"none@example.com\"", "stepKey": "b"},
            {"condition": "ip.within(cidr(\"10.0.0.0/8\"))", "stepKey": "b"},
            {"condition": "subject.department == \"Eng\"", "stepKey": "a"},
            {"condition": "entitlement.id == \"x\" || subject.department == \"Eng\"", "stepKey": "b"},
            {"condition": "subject.department == \"Sales\"", "policyId": "elsewhere"}
        ]
    }"#;
    let (workflow, _) = compiled(read(text).unwrap(), Nobody::Block).unwrap();
    let sequence = |key: &str| Destination::Sequence(key.to_owned());
    for (department, alias, route, to) in [
        ("Eng", "x", Some(2), sequence("a")),
        ("Ops", "x", Some(3), sequence("b")),
        ("Sales", "", Some(4), Destination::Policy("elsewhere".to_owned())),
        ("", "", None, sequence("grant")),
    ] {
        let facts = Facts {
            subject: Arc::new(User { department: department.into(), ..User::default() }),
            entitlement: Arc::new(Entitlement { id: alias.into(), ..Entitlement::default() }),
            ..Facts::default()
        };
        let evaluation = Evaluation::new(&facts, &EmptyDirectory, DateTime::default()).unwrap();
        let routed = workflow.route(&evaluation);
        assert_eq!((routed.route, routed.to), (route, &to), "{department}");
        // Nobody knows the address that the request came from.
        let failed: Vec<usize> = routed.errors.iter().map(|error| error.route).collect();
        assert_eq!(failed, [1], "{department}");
    }
}
