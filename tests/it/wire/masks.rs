//! Merging under a mask against a naive model over `DynamicMessage`: for each path, set or clear the one thing named.

use super::oracle::{Choices, any_message, oracle_json, same};
use super::{descriptor, from_json, to_json, ty};
use countersign::wire::mask::{Mask, merge};
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value,
};

/// Each with its segments, so that the model needs no parser of its own.
const PATHS: &[(&str, &[&str])] = &[
    ("displayName", &["display_name"]),
    ("display_name", &["display_name"]),
    ("description", &["description"]),
    ("type", &["type"]),
    ("policySteps", &["policy_steps"]),
    ("policySteps.grant", &["policy_steps", "grant"]),
    ("policy_steps.`my key`.note", &["policy_steps", "my key", "note"]),
    ("policySteps.a.steps", &["policy_steps", "a", "steps"]),
    ("policySteps.``.steps", &["policy_steps", "", "steps"]),
    ("rules", &["rules"]),
    ("annotations", &["annotations"]),
    ("annotations.`a.b`", &["annotations", "a.b"]),
    ("annotations.grant", &["annotations", "grant"]),
    ("annotations.````", &["annotations", "`"]),
    ("scope", &["scope"]),
    ("scope.appId", &["scope", "app_id"]),
    ("scope.inner", &["scope", "inner"]),
    ("scope.inner.slot", &["scope", "inner", "slot"]),
    ("scope.inner.inner.slot", &["scope", "inner", "inner", "slot"]),
    ("reassign", &["reassign"]),
    ("form", &["form"]),
    ("form.grant", &["form", "grant"]),
    ("form.a", &["form", "a"]),
    ("form.`my key`.a", &["form", "my key", "a"]),
    ("extra", &["extra"]),
    ("extra.a", &["extra", "a"]),
    ("main", &["main"]),
    ("main.label", &["main", "label"]),
    ("main.accept", &["main", "accept"]),
    ("main.wait", &["main", "wait"]),
    ("main.wait.name", &["main", "wait", "name"]),
    ("main.approval", &["main", "approval"]),
    ("main.approval.users", &["main", "approval", "users"]),
    ("main.approval.users.user_ids", &["main", "approval", "users", "user_ids"]),
    ("main.approval.manager.fallback", &["main", "approval", "manager", "fallback"]),
    ("main.approval.assigned", &[]),
    ("numbered.1", &["numbered", "1"]),
    ("numbered.-1", &["numbered", "-1"]),
    ("flags.true", &["flags", "true"]),
    ("flags.false.appId", &["flags", "false", "app_id"]),
    ("priority", &["priority"]),
    ("items", &["items"]),
    ("id", &[]),
    ("createdAt", &[]),
    ("deleted_at", &[]),
];

fn apply(base: &mut DynamicMessage, patch: Option<&DynamicMessage>, path: &[&str]) {
    // Free-form JSON is addressed by its keys.
    let (name, rest) = match base.descriptor().full_name() {
        "google.protobuf.Struct" => ("fields", path),
        "google.protobuf.Value" => ("struct_value", path),
        _ => (path[0], &path[1..]),
    };
    let field = base.descriptor().get_field_by_name(name).unwrap();
    let sent = patch.filter(|p| p.has_field(&field)).map(|p| p.get_field(&field).into_owned());
    if rest.is_empty() {
        match sent {
            Some(value) => base.set_field(&field, value),
            None => base.clear_field(&field),
        }
    } else if field.is_map() {
        apply_to_key(base, sent, &field, rest);
    } else if sent.is_some() || base.has_field(&field) {
        let sent = sent.and_then(|value| value.as_message().cloned());
        let mut inner = base.get_field(&field).as_message().unwrap().clone();
        apply(&mut inner, sent.as_ref(), rest);
        base.set_field(&field, Value::Message(inner));
    }
}

fn apply_to_key(base: &mut DynamicMessage, sent: Option<Value>, field: &FieldDescriptor, path: &[&str]) {
    let Kind::Message(entry) = field.kind() else { unreachable!() };
    let key = match entry.map_entry_key_field().kind() {
        Kind::String => MapKey::String(path[0].to_owned()),
        Kind::Bool => MapKey::Bool(path[0] == "true"),
        _ => MapKey::I32(path[0].parse().unwrap()),
    };
    let sent = sent.and_then(|map| map.as_map().unwrap().get(&key).cloned());
    let mut map = base.get_field(field).as_map().unwrap().clone();
    if path.len() == 1 {
        match sent {
            Some(value) => drop(map.insert(key, value)),
            None => drop(map.remove(&key)),
        }
    } else if sent.is_some() || map.contains_key(&key) {
        let Kind::Message(value) = entry.map_entry_value_field().kind() else { unreachable!() };
        let mut inner = match map.get(&key) {
            Some(value) => value.as_message().unwrap().clone(),
            None => DynamicMessage::new(value),
        };
        apply(&mut inner, sent.as_ref().and_then(Value::as_message), &path[1..]);
        map.insert(key, Value::Message(inner));
    }
    base.set_field(field, Value::Map(map));
}

fn document(descriptor: &MessageDescriptor, numbers: &[u64]) -> DynamicMessage {
    let message = any_message(descriptor, &mut Choices { numbers, at: 0 }, 4);
    DynamicMessage::decode(descriptor.clone(), message.encode_to_vec().as_slice()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes need not be canonical: two messages one after the other are one, and what the second overrides must not
    /// come back when the mask clears.
    #[test]
    fn merging_sees_only_what_counts(
        parts in prop::array::uniform4(prop::collection::vec(any::<u64>(), 0..200)),
        chosen in prop::collection::vec(0..PATHS.len(), 0..6),
    ) {
        let document_descriptor = descriptor("document.v1.Document");
        let ty = ty("document.v1.Document");
        let bytes: Vec<_> = parts.iter().map(|p| document(&document_descriptor, p).encode_to_vec()).collect();
        let (base, patch) = (bytes[..2].concat(), bytes[2..].concat());
        let canonical = |bytes: &[u8]| DynamicMessage::decode(document_descriptor.clone(), bytes).unwrap();
        let mask = Mask::parse(&ty, chosen.iter().map(|&i| PATHS[i].0)).unwrap();
        let merged = merge(&ty, &mask, &base, &patch).unwrap();
        let expected = merge(
            &ty, &mask, &canonical(&base).encode_to_vec(), &canonical(&patch).encode_to_vec()).unwrap();
        prop_assert!(
            same(&canonical(&merged), &canonical(&expected)),
            "{:?}\ngot {}\nwant {}", mask.paths(),
            oracle_json(&canonical(&merged), false), oracle_json(&canonical(&expected), false));
    }

    #[test]
    fn merging_does_what_the_model_does(
        base in prop::collection::vec(any::<u64>(), 0..300),
        patch in prop::collection::vec(any::<u64>(), 0..300),
        chosen in prop::collection::vec(0..PATHS.len(), 0..6),
    ) {
        let document_descriptor = descriptor("document.v1.Document");
        let ty = ty("document.v1.Document");
        let base = document(&document_descriptor, &base);
        let patch = document(&document_descriptor, &patch);
        let paths: Vec<&str> = chosen.iter().map(|&i| PATHS[i].0).collect();
        let mask = Mask::parse(&ty, paths.iter().copied()).unwrap();

        let mut expected = base.clone();
        for &i in &chosen {
            if !PATHS[i].1.is_empty() {
                apply(&mut expected, Some(&patch), PATHS[i].1);
            }
        }
        let merged = merge(&ty, &mask, &base.encode_to_vec(), &patch.encode_to_vec()).unwrap();
        let merged = DynamicMessage::decode(document_descriptor, merged.as_slice()).unwrap();
        prop_assert!(
            same(&merged, &expected),
            "mask {paths:?}\nbase {}\nsend {}\ngot {}\nwant {}",
            oracle_json(&base, false), oracle_json(&patch, false), oracle_json(&merged, false), oracle_json(&expected, false)
        );
        // Reading with a mask and writing what was read with it changes nothing.
        let bytes = base.encode_to_vec();
        let again = merge(&ty, &mask, &bytes, &bytes).unwrap();
        let again = DynamicMessage::decode(base.descriptor(), again.as_slice()).unwrap();
        prop_assert!(same(&again, &base));
    }
}

#[test]
fn a_member_that_was_replaced_does_not_come_back() {
    let ty = ty("document.v1.Document");
    let wait = from_json(&ty, r#"{"main":{"wait":{"name":"w"}}}"#).unwrap();
    let accept = from_json(&ty, r#"{"main":{"accept":{}}}"#).unwrap();
    let wait_again = from_json(&ty, r#"{"main":{"wait":{"seconds":"1"}}}"#).unwrap();
    let merged = |path: &str, base: &[&[u8]], patch: &[&[u8]]| {
        let mask = Mask::parse(&ty, [path]).unwrap();
        to_json(&ty, &merge(&ty, &mask, &base.concat(), &patch.concat()).unwrap(), false)
    };
    assert_eq!(merged("main.accept", &[&wait, &accept], &[]), r#"{"main":{}}"#);
    assert_eq!(
        merged("main.wait", &[], &[&wait, &accept, &wait_again]),
        r#"{"main":{"wait":{"seconds":"1"}}}"#
    );
    assert_eq!(
        merged("main.wait.name", &[&wait, &accept, &wait_again], &[]),
        r#"{"main":{"wait":{"seconds":"1"}}}"#
    );
}

#[test]
fn what_a_mask_names_can_be_asked() {
    let ty = ty("document.v1.Document");
    let mask = Mask::parse(&ty, ["scope.appId", "policy_steps.grant", "rules", "id"]).unwrap();
    assert!(mask.contains("rules") && mask.contains("scope.app_id") && mask.contains("scope.appId"));
    assert!(mask.contains("policySteps.grant") && mask.contains("policySteps.grant.steps"));
    assert!(!mask.contains("scope") && mask.touches("scope"));
    assert!(!mask.contains("policySteps") && mask.touches("policySteps"));
    assert!(!mask.touches("policySteps.revoke") && !mask.touches("displayName") && !mask.touches("bogus"));
    assert!(!mask.touches("id"), "output-only fields are not in the mask");
    assert_eq!(mask.paths(), ["scope.app_id", "policy_steps.grant", "rules"]);
    let whole = Mask::parse(&ty, ["rules", "*"]).unwrap();
    assert!(whole.is_whole() && whole.contains("scope") && whole.touches("displayName"));
    assert!(Mask::parse_text(&ty, "").unwrap().is_empty());
}

#[test]
fn without_a_mask_the_populated_fields_count() {
    let ty = ty("document.v1.Document");
    let json = r#"{"id":"1","displayName":"x","description":"","rules":[],"annotations":{"a":""},"scope":{},"priority":0,
        "reassign":false,"createdAt":"2026-01-05T09:30:00Z"}"#;
    let mut bytes = from_json(&ty, json).unwrap();
    let paths = |bytes: &[u8]| Mask::populated(&ty, bytes).unwrap().paths();
    assert_eq!(paths(&bytes), ["display_name", "annotations", "scope", "priority"]);
    // A zero that is written out is still not populated, and the last occurrence counts.
    bytes.extend([0x12, 0x00, 0x58, 0x00]);
    assert_eq!(paths(&bytes), ["annotations", "scope", "priority"]);
}

#[test]
fn masks_have_limits() {
    use countersign::wire::mask::{MASK_PATH_MAX_BYTES, MASK_PATHS_MAX_COUNT, MaskReason};
    let ty = ty("document.v1.Document");
    let reason = |paths: Vec<&str>| Mask::parse(&ty, paths).map(|_| ()).map_err(|e| e.reason);
    assert_eq!(reason(vec!["rules"; MASK_PATHS_MAX_COUNT]), Ok(()));
    assert_eq!(reason(vec!["rules"; MASK_PATHS_MAX_COUNT + 1]), Err(MaskReason::TooLong));
    let key = |bytes: usize| format!("annotations.{}", "k".repeat(bytes - "annotations.".len()));
    assert_eq!(reason(vec![&key(MASK_PATH_MAX_BYTES)]), Ok(()));
    assert_eq!(reason(vec![&key(MASK_PATH_MAX_BYTES + 1)]), Err(MaskReason::TooLong));
}
