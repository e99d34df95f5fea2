//! The message tree of a policy against its public reference, `data/contract/c1*.tsv`: every name that clients write in JSON, its
//! type, which names exclude each other, and every value of an enum. The numbers of fields are ours.

use countersign::pb;
use prost_reflect::{FieldDescriptor, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// JSON that is kept as it was given, where the reference has a message: the answer has the keys in the order of the request.
const KEPT_AS_JSON: [(&str, &str); 1] = [("Form", "form")];

fn rows(name: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/contract").join(name);
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// The full name of a message of the table.
fn full_name(message: &str) -> String {
    match message.strip_prefix("form.") {
        Some(message) => format!("c1.api.form.v1.{message}"),
        None => format!("c1.api.policy.v1.{message}"),
    }
}

/// A type as the table writes it.
fn written(field: &FieldDescriptor) -> String {
    let of = |kind: Kind| match kind {
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => "timestamp".to_owned(),
            "google.protobuf.Duration" => "duration".to_owned(),
            "google.protobuf.Struct" => "map<string, any JSON>".to_owned(),
            name => name.replace("c1.api.policy.v1.", "").replace("c1.api.form.v1.", "form.").clone(),
        },
        Kind::Enum(_) => "enum".to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    match field.kind() {
        Kind::Message(entry) if field.is_map() => format!(
            "map<{}, {}>",
            of(entry.map_entry_key_field().kind()),
            of(entry.map_entry_value_field().kind())
        ),
        kind if field.is_list() => format!("list of {}", of(kind)),
        kind => of(kind),
    }
}

/// JSON name, proto name, type and oneof.
type Row = (String, String, String, String);

#[test]
fn messages_are_those_of_the_reference() {
    let mut wanted: BTreeMap<String, BTreeSet<Row>> = BTreeMap::new();
    for row in rows("c1.tsv") {
        let [message, json, proto, kind, oneof] = row.as_slice() else { panic!("{row:?}") };
        let fields = wanted.entry(message.clone()).or_default();
        if json != "-" {
            let proto = if proto == "-" { snake(json) } else { proto.clone() };
            assert!(fields.insert((json.clone(), proto, kind.clone(), oneof.clone())), "{row:?}");
        }
    }
    assert!(wanted.len() > 80);
    for (name, fields) in wanted {
        let message = pb::pool().get_message_by_name(&full_name(&name));
        let message = message.unwrap_or_else(|| panic!("{name} is missing"));
        let found: BTreeSet<Row> = message
            .fields()
            .map(|field| {
                let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
                let oneof = oneof.map_or("-".to_owned(), |oneof| oneof.name().to_owned());
                let is_kept = KEPT_AS_JSON.contains(&(name.as_str(), field.name()));
                let kind = if is_kept {
                    assert_eq!(written(&field), "map<string, any JSON>");
                    "form.Form".to_owned()
                } else {
                    written(&field)
                };
                (field.json_name().to_owned(), field.name().to_owned(), kind, oneof)
            })
            .collect();
        assert_eq!(found, fields, "{name}");
    }
}

/// How protobuf names a field whose JSON name is this.
fn snake(json: &str) -> String {
    let mut name = String::new();
    for letter in json.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[test]
fn enums_are_those_of_the_reference() {
    let mut wanted: BTreeMap<(String, String), Vec<(i32, String)>> = BTreeMap::new();
    for row in rows("c1-enums.tsv") {
        let [message, field, number, value] = row.as_slice() else { panic!("{row:?}") };
        let values = wanted.entry((full_name(message), field.clone())).or_default();
        values.push((number.parse().unwrap(), value.clone()));
    }
    assert_eq!(wanted.len(), 5);
    for ((message, field), values) in wanted {
        let descriptor = pb::pool().get_message_by_name(&message).unwrap();
        let field = descriptor.get_field_by_json_name(&field).unwrap();
        let Kind::Enum(found) = field.kind() else { panic!("{message}.{}: no enum", field.name()) };
        let found: Vec<_> = found.values().map(|value| (value.number(), value.name().to_owned())).collect();
        assert_eq!(found, values, "{message}.{}", field.name());
    }
}
