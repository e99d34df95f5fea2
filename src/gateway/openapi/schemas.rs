//! Messages, fields and enums as JSON Schema, by the proto3 JSON mapping; each message once, under its full name.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Comments;
use crate::wire::json::Names;

/// The schemas that the operations need, and those that these need.
pub(super) struct Schemas<'p> {
    pool: &'p DescriptorPool,
    comments: &'p Comments,
    done: BTreeMap<String, Value>,
}

/// The name of a field as its API writes it.
pub(super) fn name(field: &FieldDescriptor, names: Names) -> &str {
    match names {
        Names::Json => field.json_name(),
        Names::Proto => field.name(),
    }
}

/// Adds a key to an object.
pub(super) fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

impl<'p> Schemas<'p> {
    pub(super) fn new(pool: &'p DescriptorPool, comments: &'p Comments) -> Self {
        Schemas { pool, comments, done: BTreeMap::new() }
    }

    pub(super) fn finish(self) -> Map<String, Value> {
        self.done.into_iter().collect()
    }

    /// The schema of the message of this name; anything at all if the pool has none.
    pub(super) fn named(&mut self, full_name: &str, names: Names) -> Value {
        match self.pool.get_message_by_name(full_name) {
            Some(message) => self.message(&message, names),
            None => json!({}),
        }
    }

    /// A reference to a message, or the whole schema of a well-known type.
    pub(super) fn message(&mut self, message: &MessageDescriptor, names: Names) -> Value {
        if let Some(known) = well_known(message.full_name()) {
            return known;
        }
        let key = message.full_name().to_owned();
        if !self.done.contains_key(&key) {
            // Put there before its fields are looked at: messages contain themselves.
            self.done.insert(key.clone(), Value::Null);
            let schema = self.object(message, names);
            self.done.insert(key.clone(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{key}")})
    }

    fn object(&mut self, message: &MessageDescriptor, names: Names) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in message.fields() {
            let mut schema = self.field(&field, names);
            let about = self.about(&field, names);
            let behaviors = behaviors(&field);
            if !about.is_empty() {
                put(&mut schema, "description", json!(about));
            }
            if behaviors.iter().any(|behavior| behavior == "OUTPUT_ONLY") {
                put(&mut schema, "readOnly", json!(true));
            }
            if field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
                put(&mut schema, "deprecated", json!(true));
            }
            if behaviors.iter().any(|behavior| behavior == "REQUIRED") {
                required.push(json!(name(&field, names)));
            }
            properties.insert(name(&field, names).to_owned(), schema);
        }
        let mut schema = json!({"type": "object", "properties": properties});
        let about = self.comments.of_message(message);
        if !about.is_empty() {
            put(&mut schema, "description", json!(about));
        }
        if !required.is_empty() {
            put(&mut schema, "required", json!(required));
        }
        schema
    }

    /// The comment of a field, and the fields that it cannot stand beside.
    fn about(&self, field: &FieldDescriptor, names: Names) -> String {
        let mut about = self.comments.of_field(field).to_owned();
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            let others: Vec<String> = oneof
                .fields()
                .filter(|other| other != field)
                .map(|other| format!("`{}`", name(&other, names)))
                .collect();
            if !others.is_empty() {
                let separator = if about.is_empty() { "" } else { " " };
                about = format!("{about}{separator}Not together with {}.", others.join(", "));
            }
        }
        about
    }

    /// The schema of the value of a field.
    pub(super) fn field(&mut self, field: &FieldDescriptor, names: Names) -> Value {
        if field.is_map()
            && let Kind::Message(entry) = field.kind()
        {
            let value = self.value(&entry.map_entry_value_field().kind(), names);
            return json!({"type": "object", "additionalProperties": value});
        }
        let value = self.value(&field.kind(), names);
        if field.is_list() {
            return json!({"type": "array", "items": value});
        }
        match field.kind() {
            // An unset message is `null` in answers, and `null` is unset in requests.
            Kind::Message(_) if value.get("$ref").is_some() => json!({"anyOf": [value, {"type": "null"}]}),
            _ => value,
        }
    }

    fn value(&mut self, kind: &Kind, names: Names) -> Value {
        match kind {
            Kind::Double | Kind::Float => json!({"type": "number"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "format": "int64", "minimum": 0}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "string", "format": "int64"}),
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "format": "uint64"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Enum(each) if each.full_name() == "google.protobuf.NullValue" => json!({"type": "null"}),
            Kind::Enum(each) => self.enumeration(each),
            Kind::Message(message) => self.message(message, names),
        }
    }

    fn enumeration(&mut self, each: &EnumDescriptor) -> Value {
        let key = each.full_name().to_owned();
        if !self.done.contains_key(&key) {
            let declared = &each.enum_descriptor_proto().value;
            let names: Vec<&str> = declared.iter().map(|value| value.name()).collect();
            let mut about = self.comments.of_enum(each).to_owned();
            for (index, value) in declared.iter().enumerate() {
                let line = self.comments.of_value(each, index);
                if !line.is_empty() {
                    about = format!("{about}\n- `{}`: {line}", value.name());
                }
            }
            self.done
                .insert(key.clone(), json!({"type": "string", "enum": names, "description": about.trim()}));
        }
        json!({"$ref": format!("#/components/schemas/{key}")})
    }
}

/// The names of the values of `google.api.field_behavior` on a field.
fn behaviors(field: &FieldDescriptor) -> Vec<String> {
    let pool = field.parent_pool();
    let Some(extension) = pool.get_extension_by_name("google.api.field_behavior") else { return Vec::new() };
    let options = field.options();
    let values = options.get_extension(&extension);
    let numbers =
        values.as_list().unwrap_or_default().iter().filter_map(prost_reflect::Value::as_enum_number);
    let kind = extension.kind();
    let names = numbers.filter_map(|number| Some(kind.as_enum()?.get_value(number)?.name().to_owned()));
    names.collect()
}

/// The JSON of the well-known types (the proto3 JSON mapping).
fn well_known(full_name: &str) -> Option<Value> {
    let nullable = |kind: &str| json!({"type": [kind, "null"]});
    Some(match full_name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({"type": ["string", "null"], "format": "date-time"}),
        "Duration" => json!({"type": ["string", "null"], "pattern": r"^-?\d+(\.\d{1,9})?s$"}),
        "FieldMask" => json!({"type": ["string", "null"], "description": "Paths with commas between them."}),
        "Struct" => nullable("object"),
        "Value" => json!({}),
        "ListValue" => nullable("array"),
        "Empty" => json!({"type": "object"}),
        "Any" => json!({"type": "object", "properties": {"@type": {"type": "string"}}}),
        "StringValue" => nullable("string"),
        "BytesValue" => json!({"type": ["string", "null"], "contentEncoding": "base64"}),
        "BoolValue" => nullable("boolean"),
        "DoubleValue" | "FloatValue" => nullable("number"),
        "Int32Value" | "UInt32Value" => nullable("integer"),
        "Int64Value" | "UInt64Value" => nullable("string"),
        _ => return None,
    })
}
