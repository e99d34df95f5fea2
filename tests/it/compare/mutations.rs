//! Nothing that changes goes unsaid: every value of many policies is changed, one at a time, and whenever that changes what the policy
//! means, at least one change is found; and none when it does not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use countersign::pb;
use countersign::pb::gotocompany::guardian::v1beta1::Policy as GuardianPolicy;
use countersign::policy::{c1, guardian};
use countersign::wire::Schema;
use countersign::wire::json::{self, Reading};
use countersign::workflow::compare::compare;
use countersign::workflow::{Nobody, Workflow};
use prost::Message;
use serde_json::Value;

/// The message of a JSON text; `None` if it is none.
fn decoded<M: Message + Default>(name: &str, value: &Value) -> Option<M> {
    let ty = Schema::new(pb::pool()).message(name).unwrap();
    let mut bytes = Vec::new();
    json::decode(&ty, value.to_string().as_bytes(), &Reading::default(), &mut bytes).ok()?;
    M::decode(bytes.as_slice()).ok()
}

fn compiled(value: &Value, is_guardian: bool) -> Option<Workflow> {
    if is_guardian {
        let mut policy: GuardianPolicy = decoded("gotocompany.guardian.v1beta1.Policy", value)?;
        let around =
            guardian::Surroundings { lint: guardian::Lint::Warn, ..guardian::Surroundings::default() };
        guardian::prepare(&mut policy, around);
        return guardian::compile(&policy, around).ok().map(|compiled| compiled.workflow);
    }
    let mut policy = decoded("c1.api.policy.v1.Policy", value)?;
    c1::prepare(&mut policy);
    let around = c1::Surroundings { own_id: None, nobody: Nobody::Block };
    c1::compile(&policy, around).ok().map(|compiled| compiled.workflow)
}

/// All that a workflow means, without the places of the document.
fn meaning(workflow: &Workflow) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("place");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(workflow).unwrap();
    // Where Guardian's stages stand among the declared ones matters for the first: approvals begin at that or not at all.
    let first = value["sequences"]["approval"]["stages"][0]["place"].as_str().unwrap_or_default().to_owned();
    strip(&mut value);
    value["begins"] = Value::from(!first.starts_with("stages[") || first == "stages[0]");
    value
}

/// Every document that differs from this one in one value.
fn mutants(document: &Value) -> Vec<Value> {
    let mut places = Vec::new();
    pointers(document, String::new(), &mut places);
    let mut made = Vec::new();
    for place in places {
        let others: Vec<Value> = match document.pointer(&place).unwrap() {
            Value::Bool(flag) => vec![Value::from(!flag)],
            Value::Number(number) => vec![Value::from(number.as_i64().unwrap_or(0) + 1)],
            Value::String(text) => {
                let number = text.parse::<i64>().ok().map(|number| (number + 3600).to_string());
                let span = text.strip_suffix('s').and_then(|span| span.parse::<i64>().ok());
                let span = span.map(|span| format!("{}s", span + 60));
                let more =
                    [Some(format!("{text}x")), Some(format!("!({text})")), number, span, Some(String::new())];
                more.into_iter().flatten().map(Value::from).collect()
            }
            Value::Array(items) => {
                let fewer = (0..items.len()).map(|n| {
                    let mut rest = items.clone();
                    rest.remove(n);
                    Value::from(rest)
                });
                let twice = items
                    .last()
                    .map(|last| Value::from([items.as_slice(), std::slice::from_ref(last)].concat()));
                fewer.chain(twice).collect()
            }
            Value::Object(fields) => {
                let without = fields.keys().map(|key| {
                    let mut rest = fields.clone();
                    rest.remove(key);
                    Value::from(rest)
                });
                without.collect()
            }
            Value::Null => Vec::new(),
        };
        for other in others {
            let mut mutant = document.clone();
            *mutant.pointer_mut(&place).unwrap() = other;
            made.push(mutant);
        }
    }
    made
}

fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers(inner, format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (n, inner) in items.iter().enumerate() {
                pointers(inner, format!("{at}/{n}"), found);
            }
        }
        _ => {}
    }
    found.push(at);
}

/// Policies of the examples and of other tests, with their dialect.
fn documents() -> Vec<(String, Value, bool)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![
        root.join("tests/it/data/workflow/every-kind.json"),
        root.join("tests/it/data/workflow/agents.json"),
    ];
    for folder in ["examples/policies", "examples/guardian", "tests/it/data/compare"] {
        files.extend(fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.sort();
    let mut found = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|is| is == "json")) {
        let name = path.display().to_string();
        let Ok(value) = serde_json::from_str::<Value>(&fs::read_to_string(path).unwrap()) else { continue };
        if value["body"].is_null() {
            let is_guardian = name.contains("/guardian/");
            found.push((name, value, is_guardian));
            continue;
        }
        for side in ["policy", "before", "after"] {
            for (field, is_guardian) in [("inline", false), ("guardianInline", true)] {
                let policy = &value["body"][side][field];
                if policy.is_object() {
                    found.push((name.clone(), policy.clone(), is_guardian));
                }
            }
        }
    }
    found
}

#[test]
fn nothing_that_changes_goes_unsaid() {
    let (mut changed, mut unchanged, mut guardian) = (0_u64, 0_u64, 0_u64);
    let mut tried = BTreeSet::new();
    for (name, document, is_guardian) in documents() {
        if !tried.insert(document.to_string()) {
            continue;
        }
        let Some(before) = compiled(&document, is_guardian) else { continue };
        assert!(compare(&before, &before).0.is_empty(), "{name}");
        guardian += u64::from(is_guardian);
        let was = meaning(&before);
        for mutant in mutants(&document) {
            let Some(after) = compiled(&mutant, is_guardian) else { continue };
            // Many are made twice, of documents that have much in common.
            let is = meaning(&after);
            let same = was == is;
            if !same && !tried.insert(format!("{was} {is}")) {
                continue;
            }
            let there = changed % 2 == 0;
            let (old, new) = if there { (&before, &after) } else { (&after, &before) };
            let (changes, _) = compare(old, new);
            assert_eq!(changes.is_empty(), same, "{name}: {mutant:#} {changes:#?}");
            if same { unchanged += 1 } else { changed += 1 }
        }
    }
    println!("{changed} changed, {unchanged} did not, {guardian} of Guardian's");
    assert!(changed > 800 && unchanged > 50 && guardian > 15, "{changed} {unchanged} {guardian}");
}
