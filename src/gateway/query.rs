//! Query parameters to fields of the request.
//!
//! A name is a path of proto or JSON names with dots, or `map[key]` at its end. A name that leads nowhere, or to a field
//! that the path or the body fills, is ignored: links get decorated by things that know nothing of us. A name that leads
//! somewhere is held to the type that it finds there.

use std::collections::HashSet;

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};
use tonic::Status;

use super::binding::{Binding, push};
use super::codec::Codec;
use super::refusal::{Reason, parameter, refuse};
use super::rule::Body;
use super::template::unescape;

/// A parameter that leads to a field.
struct Target {
    /// Messages, and what is filled at the end.
    fields: Vec<FieldDescriptor>,
    /// The key, if it is one entry of a map.
    key: Option<String>,
}

/// Appends the fields that `query` fills to `out`.
pub(crate) fn append(codec: &Codec, binding: &Binding, query: &str, out: &mut Vec<u8>) -> Result<(), Status> {
    let input = binding.rule.rpc.input();
    let mut seen: HashSet<String> = HashSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, text) = (plain(name)?, plain(text)?);
        let Some(target) = find(&input, &name)?.filter(|target| !is_filled(binding, &target.fields)) else {
            continue;
        };
        once(&name, &target, &mut seen)?;
        let Target { fields, key } = target;
        match key {
            None => codec.parameter(&binding.input, &fields, &text, out),
            Some(key) => entry(codec, &fields, &key, &text, out),
        }
        .map_err(|why| {
            let message = format!("type mismatch, parameter: {name}, error: {why}");
            parameter(&name, &why, &message)
        })?;
    }
    Ok(())
}

fn plain(text: &str) -> Result<String, Status> {
    unescape(&text.replace('+', " "), false)
        .ok_or_else(|| refuse(Reason::ParameterInvalid, format!("invalid URL escape in the query: {text}")))
}

/// Follows a name. `None` if it leads nowhere.
fn find(input: &MessageDescriptor, name: &str) -> Result<Option<Target>, Status> {
    let (path, key) = match name.strip_suffix(']').and_then(|open| open.split_once('[')) {
        Some((path, key)) => (path, Some(key.to_owned())),
        None => (name, None),
    };
    let invalid = |why: &str| parameter(name, why, &format!("invalid path: {name} {why}"));
    let mut fields: Vec<FieldDescriptor> = Vec::new();
    let mut message = Some(input.clone());
    for part in path.split('.') {
        let Some(within) = message else { return Err(invalid("goes through a field that is not a message")) };
        let field = within.get_field_by_name(part).or_else(|| within.get_field_by_json_name(part));
        let Some(field) = field else { return Ok(None) };
        message = match field.kind() {
            Kind::Message(kind) if field.cardinality() != Cardinality::Repeated => Some(kind),
            _ => None,
        };
        fields.push(field);
    }
    match (fields.last().is_some_and(FieldDescriptor::is_map), &key) {
        (true, None) => Err(invalid("is a map, which takes the form name[key]")),
        (false, Some(_)) => Err(invalid("is not a map")),
        _ => Ok(Some(Target { fields, key })),
    }
}

/// Whether the path or the body fills it, or part of it.
fn is_filled(binding: &Binding, fields: &[FieldDescriptor]) -> bool {
    let rule = &binding.rule;
    let in_body = match &rule.body {
        Body::None => false,
        Body::Whole => true,
        Body::Field(body) => fields.first() == Some(body),
    };
    in_body || rule.variables.iter().any(|bound| bound == fields)
}

/// Refuses the second value of what takes one, and the second member of a oneof.
fn once(name: &str, target: &Target, seen: &mut HashSet<String>) -> Result<(), Status> {
    let mut at = String::new();
    for field in &target.fields {
        if let Some(oneof) = field.containing_oneof().filter(|oneof| oneof.fields().len() > 1) {
            let of = format!("{at}|{}", oneof.name());
            let member = format!("{of}|{}", field.name());
            if !seen.contains(&member) && seen.contains(&of) {
                let why = format!("field already set for oneof {}", oneof.name());
                return Err(parameter(name, &why, &why));
            }
            seen.insert(of);
            seen.insert(member);
        }
        at = format!("{at}.{}", field.name());
    }
    if let Some(key) = &target.key {
        at = format!("{at}[{key}]");
    } else if target.fields.last().is_some_and(FieldDescriptor::is_list) {
        return Ok(());
    }
    if !seen.insert(at) {
        return Err(parameter(name, "is given more than once", &format!("too many values for field {name}")));
    }
    Ok(())
}

/// One entry of a map: a message with the key as field 1 and the value as field 2.
fn entry(
    codec: &Codec,
    fields: &[FieldDescriptor],
    key: &str,
    text: &str,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let Some((map, parents)) = fields.split_last() else { return Ok(()) };
    let kind = map.kind();
    let Some(kind) = kind.as_message() else { return Err("is not a map".to_owned()) };
    let message = codec.message(kind.full_name()).ok_or("is not a known map")?;
    let mut content = Vec::new();
    codec.parameter(&message, &[kind.map_entry_key_field()], key, &mut content)?;
    codec.parameter(&message, &[kind.map_entry_value_field()], text, &mut content)?;
    let mut number = map.number();
    for parent in parents.iter().rev() {
        let mut outer = Vec::new();
        push(&mut outer, number, &content);
        (content, number) = (outer, parent.number());
    }
    push(out, number, &content);
    Ok(())
}
