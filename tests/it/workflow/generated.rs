//! No document makes the compiler panic: documents made by chance, mostly of fields that there are, with values that are
//! right, nearly right, or nonsense.

use countersign::workflow::Nobody;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{compiled, read};

/// Whole values for the fields of a policy and of what is in it, in all of their shapes.
fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(0i64), Just(-1), Just(61), any::<i32>().prop_map(i64::from)].prop_map(Value::from),
        proptest::sample::select(vec![
            "",
            "grant",
            "a",
            "true",
            "subject.email == \"x\"",
            "subject.departmnet == 1",
            "appOwners",
            "((((",
            "é😀`",
            "3600s",
            "-1s",
            "315576000000.999999999s",
            "Europe/Berlin",
            "POLICY_TYPE_GRANT",
            "POLICY_TYPE_CERTIFY",
            "[x].all(y, y)",
            "2026-03-01T10:00:00Z",
            "APPROVAL_AGENT_MODE_COMMENT_ONLY",
        ])
        .prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
    ]
}

/// Names of fields of the messages below a policy.
const FIELDS: &[&str] = &[
    "displayName",
    "description",
    "policyType",
    "policySteps",
    "rules",
    "postActions",
    "baselinePolicyId",
    "scope",
    "annotations",
    "steps",
    "approval",
    "provision",
    "accept",
    "reject",
    "wait",
    "form",
    "action",
    "condition",
    "stepKey",
    "policyKey",
    "policyId",
    "users",
    "manager",
    "group",
    "self",
    "expression",
    "agent",
    "escalation",
    "escalationEnabled",
    "replacePolicy",
    "userIds",
    "expressions",
    "fallback",
    "fallbackUserIds",
    "fallbackGroupIds",
    "isGroupFallbackEnabled",
    "duration",
    "untilTime",
    "hours",
    "timezone",
    "timeoutDuration",
    "provisionPolicy",
    "multiStep",
    "provisionSteps",
    "manual",
    "assignee",
    "expiration",
    "policyIds",
    "agentMode",
    "grant",
    "a",
];

fn chaos() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((proptest::sample::select(FIELDS), inner), 0..6)
                .prop_map(|entries| entries
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), v))
                    .collect::<Map<_, _>>())
                .prop_map(Value::from),
        ]
    })
}

/// An expression, more often than not one that is none.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "true",
            "subject.email == \"x\"",
            "appOwners",
            "subject.x",
            "1 +",
            "a.b(c)[",
            ""
        ])
        .prop_map(str::to_owned),
        "[-a-z0-9.()\\[\\]{}\"'!&|=<>?: \n]{0,60}",
        "\\PC{0,30}",
    ]
}

/// A step in which the free places are filled by chance.
fn step() -> impl Strategy<Value = Value> {
    (text(), vec("[a-z]{0,3}", 0..4), -5..100_000i64, 0..30u32, any::<bool>(), 0..10usize).prop_map(
        |(text, ids, number, small, flag, kind)| match kind {
            0 => json!({"approval": {"users": {"userIds": ids}, "escalationEnabled": flag,
                "escalation": {"expiration": number.to_string(), "reassignToApprovers": {"approverIds": ids}}}}),
            1 => json!({"approval": {"expression": {"expressions": [text, "appOwners"], "fallback": flag,
                "fallbackUserIds": ids}}}),
            2 => json!({"approval": {"manager": {"fallback": flag, "isGroupFallbackEnabled": flag,
                "fallbackGroupIds": ids.iter().map(|id| json!({"appId": id})).collect::<Vec<_>>()}}}),
            3 => json!({"approval": {"agent": {"agentMode": small, "agentFailureAction": small % 5, "policyIds": ids}}}),
            4 => json!({"wait": {"condition": {"condition": text}, "timeoutDuration": format!("{number}s")}}),
            5 => json!({"wait": {"duration": {"duration": format!("{number}.5s")}}}),
            6 => json!({"wait": {"untilTime": {"hours": small, "minutes": small * 3, "timezone": text}}}),
            7 => json!({"provision": {"provisionPolicy": {"manual": {"assignee": {"expression": {"expressions": [text]}}}}}}),
            8 => json!({"form": {"form": {"displayName": text, "fields": number}}}),
            _ => json!({"accept": {"acceptMessage": text}}),
        },
    )
}

fn likely() -> impl Strategy<Value = Value> {
    let sequences = proptest::collection::btree_map("[a-c]|grant|\\PC{0,6}", vec(step(), 0..4), 0..4);
    let rule = (text(), prop_oneof![Just("stepKey"), Just("policyId"), Just("policyKey")], "[a-d]|grant")
        .prop_map(|(condition, field, key)| json!({"condition": condition, field: key}));
    (text(), 0..7i32, sequences, vec(rule, 0..6), "[a-b]{0,1}").prop_map(
        |(name, kind, steps, rules, baseline)| {
            let steps: Map<_, _> =
                steps.into_iter().map(|(key, steps)| (key, json!({"steps": steps}))).collect();
            json!({"displayName": name, "policyType": kind, "policySteps": steps, "rules": rules,
            "baselinePolicyId": baseline})
        },
    )
}

/// Compiles if it can be read; what comes of it has to be of one piece.
fn check(document: &Value) -> Result<(), TestCaseError> {
    let Ok(policy) = read(&document.to_string()) else { return Ok(()) };
    match compiled(policy.clone(), Nobody::Skip) {
        Ok((workflow, warnings)) => {
            let json = serde_json::to_value(&workflow).unwrap();
            for route in json["routes"].as_array().unwrap() {
                if let Some(key) = route["to"]["sequence"].as_str() {
                    prop_assert!(workflow.sequences.contains_key(key), "{key} of {document}");
                }
            }
            prop_assert!(
                workflow.sequences.values().all(|sequence| !sequence.stages.is_empty()),
                "{document}"
            );
            prop_assert!(warnings.iter().all(|one| !one.code.is_empty() && !one.message.is_empty()));
        }
        Err(violations) => {
            prop_assert!(violations.iter().count() > 0);
            prop_assert!(violations.iter().all(|one| !one.code.is_empty() && !one.message.is_empty()));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn likely_documents_do_not_make_it_panic(document in likely()) {
        check(&document)?;
    }

    #[test]
    fn unlikely_documents_do_not_make_it_panic(document in chaos()) {
        check(&document)?;
    }
}
