//! Bytes and texts that mean harm: nothing panics, nothing recurses without bound, nothing is invented.

use super::{POOL, SCHEMA, descriptor, from_json, to_json, ty};
use countersign::wire::json::{self, Parameters, Reading, Reason, Style, Unknown};
use countersign::wire::mask::{Mask, merge};
use countersign::wire::{Fields, Flaw, MESSAGE_DEPTH_MAX_LEVELS, Schema, Type, check};
use proptest::prelude::*;
use prost_reflect::DynamicMessage;

fn every_entry_point(ty: &Type, bytes: &[u8], other: &[u8]) {
    let checked = check(ty, bytes, 100);
    for defaults in [false, true] {
        let mut out = b"before".to_vec();
        let printed = json::encode(ty, bytes, &Style { defaults, ..Style::default() }, &mut out);
        match printed {
            Ok(()) => {
                serde_json::from_slice::<serde_json::Value>(&out["before".len()..])
                    .expect("well-formed JSON");
            }
            Err(_) => assert_eq!(out, b"before"),
        }
    }
    let other_how =
        Reading { unknown_fields: Unknown::Ignore, max_depth: 5, messages_around: 1, blank_is_unset: true };
    for how in [Reading::default(), other_how] {
        let mut out = b"before".to_vec();
        if json::decode(ty, bytes, &how, &mut out).is_err() {
            assert_eq!(out, b"before");
        }
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = Parameters::new(ty).set(&text, &text);
    if let Ok(mask) = Mask::parse_text(ty, &text) {
        let _ = merge(ty, &mask, bytes, other);
    }
    let mask = Mask::parse(
        ty,
        ["scalars.aDouble", "wellKnown.object.a.b", "maps.messages.`k`.aString", "oneofs.aText"],
    );
    if let Ok(mask) = mask {
        let merged = merge(ty, &mask, bytes, other);
        if checked.is_ok() && check(ty, other, 100).is_ok() {
            assert_eq!(
                check(ty, &merged.unwrap(), 100),
                Ok(()),
                "merging good messages makes a good message"
            );
        }
    }
    let _ = Mask::populated(ty, bytes);
    assert!(Fields::new(bytes).count() <= bytes.len() + 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 700, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), other in prop::collection::vec(any::<u8>(), 0..60)) {
        for name in ["every.v1.Every", "every.v1.Maps", "every.v1.WellKnown", "google.protobuf.Struct", "google.protobuf.Any"] {
            every_entry_point(&ty(name), &bytes, &other);
        }
    }

    /// Random tags of fields that exist reach deeper than random bytes do. What passes the check, prost can decode, and
    /// it can be printed, unless two halves of a time merge to something else.
    #[test]
    fn random_fields_never_panic(parts in prop::collection::vec((1u8..22, 0u8..6, prop::collection::vec(0u8..130, 0..12)), 0..12)) {
        let mut bytes = Vec::new();
        for (number, wire_type, content) in &parts {
            let tag = (u16::from(*number) << 3) | u16::from(*wire_type);
            if tag >= 0x80 {
                bytes.extend([(tag & 0x7f) as u8 | 0x80, (tag >> 7) as u8]);
            } else {
                bytes.push(tag as u8);
            }
            if *wire_type == 2 {
                bytes.push(content.len() as u8);
            }
            bytes.extend(content);
        }
        for name in ["every.v1.Every", "every.v1.Maps", "every.v1.Lists", "every.v1.Oneofs", "every.v1.Tree", "every.v1.WellKnown",
            "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.Timestamp"] {
            every_entry_point(&ty(name), &bytes, &bytes);
            if check(&ty(name), &bytes, 100).is_ok() {
                DynamicMessage::decode(descriptor(name), bytes.as_slice()).unwrap();
            }
        }
    }

    /// Our reader and serde_json agree on what is JSON.
    #[test]
    fn what_is_json_is_what_serde_json_says(text in r#"[\[\]{},:" \\0-9eE+.\-a-fnrtulsé/\t\n]{0,14}"#) {
        let ours = from_json(&ty("google.protobuf.Value"), &text);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (ours, theirs) {
            (Ok(_), Ok(_)) => {}
            (Err(e), Ok(_)) => prop_assert!(
                // serde_json lets the last of two equal keys win, and rounds.
                matches!(e.reason, Reason::DuplicateField | Reason::Inexact), "{e}: {text}"),
            (Ok(_), Err(e)) => prop_assert!(text.trim_matches([' ', '\n', '\t', '\r']).is_empty(), "{e}: {text}"),
            (Err(e), Err(_)) => prop_assert!(
                matches!(e.reason, Reason::Syntax | Reason::TrailingText | Reason::NotUtf8 | Reason::OutOfRange
                    | Reason::DuplicateField | Reason::Inexact), "{e}: {text}"),
        }
    }
}

#[test]
fn brackets_do_not_overflow_the_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        for text in [open.repeat(100_000), open.repeat(100_000) + "1" + &close.repeat(100_000)] {
            let refused = from_json(&ty("google.protobuf.Value"), &text).unwrap_err();
            assert_eq!(refused.reason, Reason::TooDeep, "{refused}");
            // In a field that is passed over, too.
            let how = Reading { unknown_fields: Unknown::Ignore, ..Reading::default() };
            let text = format!("{{\"bogus\":{text}}}");
            let refused =
                json::decode(&ty("every.v1.Tree"), text.as_bytes(), &how, &mut Vec::new()).unwrap_err();
            assert_eq!(refused.reason, Reason::TooDeep, "{refused}");
        }
    }
}

#[test]
fn depth_is_exact() {
    let tree = ty("every.v1.Tree");
    let nested = |levels: usize| "{\"left\":".repeat(levels - 1) + "{}" + &"}".repeat(levels - 1);
    assert!(from_json(&tree, &nested(64)).is_ok());
    let refused = from_json(&tree, &nested(65)).unwrap_err();
    assert_eq!((refused.reason, refused.column), (Reason::TooDeep, 64 * 8 + 1));
    assert_eq!(check(&tree, &from_json(&tree, &nested(64)).unwrap(), 64), Ok(()));
    assert_eq!(check(&tree, &from_json(&tree, &nested(64)).unwrap(), 63).unwrap_err().flaw, Flaw::Depth);
}

#[test]
fn free_form_json_stops_before_prost_does() {
    // An object is three levels of messages (value, object, entry), a list two (value, list), and what is in the last
    // one is a value again.
    let value = ty("google.protobuf.Value");
    for (open, close, fits) in [("{\"a\":", "}", 21), ("[", "]", 31)] {
        let nested = |levels: usize| open.repeat(levels) + "1" + &close.repeat(levels);
        let deepest = from_json(&value, &nested(fits)).unwrap();
        DynamicMessage::decode(descriptor("google.protobuf.Value"), deepest.as_slice()).unwrap();
        assert_eq!(check(&value, &deepest, MESSAGE_DEPTH_MAX_LEVELS), Ok(()));
        let refused = from_json(&value, &nested(fits + 1)).unwrap_err();
        assert_eq!(refused.reason, Reason::TooDeep, "{refused}");
        assert!(refused.message.contains("more than 64 levels"), "{refused}");
    }
}

#[test]
fn messages_around_count() {
    let tree = ty("every.v1.Tree");
    let nested = |levels: usize| "{\"left\":".repeat(levels - 1) + "{}" + &"}".repeat(levels - 1);
    let how = Reading { messages_around: 2, ..Reading::default() };
    let read = |levels| json::decode(&tree, nested(levels).as_bytes(), &how, &mut Vec::new());
    assert!(read(62).is_ok());
    let refused = read(63).unwrap_err();
    assert_eq!((refused.reason, refused.column), (Reason::TooDeep, 62 * 8 + 1));
}

#[test]
fn nested_bytes_do_not_overflow_the_stack() {
    let mut bytes = Vec::new();
    for _ in 0..3_000 {
        let mut outer = vec![0x12];
        let mut length = bytes.len();
        while length >= 0x80 {
            outer.push(length as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend(bytes);
        bytes = outer;
    }
    let tree = ty("every.v1.Tree");
    assert_eq!(check(&tree, &bytes, 100).unwrap_err().flaw, Flaw::Depth);
    assert_eq!(
        json::encode(&tree, &bytes, &Style::default(), &mut Vec::new()).unwrap_err().flaw,
        Flaw::Depth
    );
    assert!(check(&tree, &[0x0b; 100_000], 100).is_err(), "groups in groups");
}

#[test]
fn refused_bytes_say_what_is_wrong() {
    let flaw = |name: &str, bytes: &[u8]| check(&ty(name), bytes, 100).map_err(|e| e.flaw);
    assert_eq!(flaw("every.v1.Tree", &[0x0a, 0x02, 0xc3, 0x28]), Err(Flaw::Utf8));
    assert_eq!(flaw("every.v1.Tree", &[0x0a, 0x05, b'a']), Err(Flaw::Truncated));
    assert_eq!(flaw("every.v1.Tree", &[0x08, 0x01]), Err(Flaw::WireType));
    assert_eq!(flaw("every.v1.Tree", &[0x00]), Err(Flaw::Tag));
    assert_eq!(flaw("every.v1.Tree", &[0xff; 11]), Err(Flaw::Varint));
    assert_eq!(flaw("every.v1.Tree", &[0x0c]), Err(Flaw::Group));
    assert_eq!(flaw("google.protobuf.Timestamp", &[0x10, 0x80, 0x94, 0xeb, 0xdc, 0x03]), Err(Flaw::Range));
    assert_eq!(flaw("google.protobuf.Value", &[0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f]), Err(Flaw::Number));
    // Unknown fields and whole groups are passed over.
    assert_eq!(flaw("every.v1.Tree", &[0xa3, 0x06, 0x08, 0x01, 0xa4, 0x06]), Ok(()));
}

#[test]
fn text_that_is_not_utf8_is_refused_at_its_place() {
    let refused = json::decode(
        &ty("every.v1.Scalars"),
        b"{\n \"aString\": \"\xff\"}",
        &Reading::default(),
        &mut Vec::new(),
    );
    let refused = refused.unwrap_err();
    assert_eq!((refused.reason, refused.line, refused.column), (Reason::NotUtf8, 2, 14));
    assert_eq!(from_json(&ty("every.v1.Scalars"), "\u{feff}{}").unwrap_err().reason, Reason::Syntax);
}

#[test]
fn many_keys_and_long_numbers_stay_quick() {
    let maps = ty("every.v1.Maps");
    let members: Vec<_> = (0..100_000).map(|i| format!("\"k{i}\":\"v\"")).collect();
    let text = format!("{{\"texts\":{{{}}}}}", members.join(","));
    assert_eq!(to_json(&maps, &from_json(&maps, &text).unwrap(), false), text);
    let twice = text.replace("\"k99999\"", "\"k3\"");
    assert_eq!(from_json(&maps, &twice).unwrap_err().reason, Reason::DuplicateField);

    let scalars = ty("every.v1.Scalars");
    let long = "9".repeat(1_000_000);
    for field in ["aDouble", "anInt64", "aUint32"] {
        let refused = from_json(&scalars, &format!("{{\"{field}\":{long}}}")).unwrap_err();
        assert_eq!(refused.reason, Reason::OutOfRange);
        assert!(refused.message.len() < 1000, "the message does not repeat the input");
    }
    let refused = from_json(&scalars, &format!("{{\"{}\":1}}", "x".repeat(1_000_000))).unwrap_err();
    assert!(refused.path.len() < 1000);
}

#[test]
fn keys_that_were_present_are_reported() {
    let ty = ty("document.v1.UpdateRequest");
    let text = r#"{"document":{"display_name":"","scope":null,"reassign":false,"main":{"label":"x"},"policySteps":{}},
        "updateMask":null}"#;
    let mut out = Vec::new();
    let decoded = json::decode(&ty, text.as_bytes(), &Reading::default(), &mut out).unwrap();
    let top: Vec<_> = decoded.keys().map(|k| (k.name, k.null)).collect();
    assert_eq!(top, [("document", false), ("update_mask", true)]);
    let under: Vec<_> = decoded.keys_under("document").map(|k| (k.name, k.null)).collect();
    let expected = [
        ("display_name", false),
        ("scope", true),
        ("reassign", false),
        ("main", false),
        ("policy_steps", false),
    ];
    assert_eq!(under, expected);
    assert_eq!(decoded.keys_under("updateMask").count(), 0);
    assert_eq!(decoded.keys_under("bogus").count(), 0);
}

#[test]
fn blank_text_may_count_as_unset() {
    let how = Reading { blank_is_unset: true, ..Reading::default() };
    let mut out = Vec::new();
    let text = r#"{"at":"","lasts":"","wInt64":"","wString":"","value":"","mask":""}"#;
    let decoded = json::decode(&ty("every.v1.WellKnown"), text.as_bytes(), &how, &mut out).unwrap();
    assert_eq!(to_json(&ty("every.v1.WellKnown"), &out, false), r#"{"mask":"","value":"","wString":""}"#);
    let unset: Vec<_> = decoded.keys().filter(|k| k.null).map(|k| k.name).collect();
    assert_eq!(unset, ["at", "lasts", "w_int64"]);
    out.clear();
    json::decode(
        &ty("every.v1.Scalars"),
        br#"{"aDouble":"","colour":"","anInt64":"","aString":""}"#,
        &how,
        &mut out,
    )
    .unwrap();
    assert_eq!(out, b"");
}

#[test]
fn a_schema_knows_its_types() {
    let schema: Schema = SCHEMA.clone();
    assert!(schema.message("every.v1.Nothing").is_none());
    let request = schema.message("document.v1.UpdateRequest").unwrap();
    assert_eq!(request.full_name(), "document.v1.UpdateRequest");
    assert_eq!(request.field_type("document").unwrap().full_name(), "document.v1.Document");
    assert_eq!(request.field_number("updateMask"), Some(2));
    assert!(ty("document.v1.Document").field_type("policy_steps").is_none());
    assert_eq!(POOL.all_messages().filter(|m| schema.message(m.full_name()).is_none()).count(), 0);
}

#[test]
fn any_of_an_unknown_type_is_printed_as_base64() {
    let any = [&[0x0a, 0x05][..], b"x/y.z", &[0x12, 0x02, 0x01, 0x02]].concat();
    assert_eq!(to_json(&ty("google.protobuf.Any"), &any, true), r#"{"@type":"x/y.z","value":"AQI="}"#);
}

#[test]
fn unknown_fields_may_be_ignored() {
    let how = Reading { unknown_fields: Unknown::Ignore, ..Reading::default() };
    let text =
        br#"{"bogus":{"deep":[1,{"x":null}]},"children":[{"bogus":1,"name":"x"}],"named":{"k":{"bogus":2}}}"#;
    let mut out = Vec::new();
    json::decode(&ty("every.v1.Tree"), text, &how, &mut out).unwrap();
    assert_eq!(to_json(&ty("every.v1.Tree"), &out, false), r#"{"children":[{"name":"x"}],"named":{"k":{}}}"#);
    let broken = json::decode(&ty("every.v1.Tree"), br#"{"bogus":{"deep":[1,]}}"#, &how, &mut Vec::new());
    assert_eq!(broken.unwrap_err().reason, Reason::Syntax);
}
