//! Path variables and query parameters to fields of the request.
//!
//! A query parameter that leads to no field, or to one that the path or the body fills, is ignored: links get decorated
//! by things that know nothing of us. One that leads somewhere is held to the type that it finds there.

use std::borrow::Cow;

use prost_reflect::FieldDescriptor;
use tonic::Status;

use super::binding::Binding;
use super::integer;
use super::refusal::{self, Reason, refuse};
use super::rule::Body;
use super::template::unescape;
use crate::wire::json;

/// The wire bytes of everything that the path and the query say. The captures come in the order of the rule's variables.
pub(crate) fn parameters(binding: &Binding, captures: &[String], query: &str) -> Result<Vec<u8>, Status> {
    let mut parameters = json::Parameters::new(&binding.input);
    let variables = binding.rule.template.variables.iter().zip(&binding.rule.variables);
    for ((variable, fields), text) in variables.zip(captures) {
        let mismatch = |code: &str, fault: &str| {
            let message = format!("type mismatch, parameter: {}, error: {fault}", variable.path);
            refusal::field(code, &variable.path, fault, &message)
        };
        let text = match fields.last().filter(|_| binding.dialect.style.go_paths) {
            Some(field) => Cow::Owned(
                integer::decimal(&field.kind(), text)
                    .map_err(|fault| mismatch(json::Reason::BadFormat.code(), &fault))?,
            ),
            None => Cow::Borrowed(text.as_str()),
        };
        parameters
            .set(&variable.path, &text)
            .map_err(|error| mismatch(error.reason.code(), &error.message))?;
    }
    if binding.rule.body == Body::Whole {
        return Ok(parameters.finish());
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, text) = (plain(name)?, plain(text)?);
        if is_filled(binding, &name) {
            continue;
        }
        match parameters.set(&name, &text) {
            Err(error) if error.reason != json::Reason::UnknownField => {
                let (code, message) = (error.reason.code(), error.to_string());
                return Err(refusal::field(code, &error.path, &error.message, &message));
            }
            _ => {}
        }
    }
    Ok(parameters.finish())
}

fn plain(text: &str) -> Result<String, Status> {
    unescape(&text.replace('+', " "), false)
        .ok_or_else(|| refuse(Reason::QueryInvalid, format!("invalid URL escape in the query: {text}")))
}

/// Whether the path fills the field of this name, or the body the field around it.
fn is_filled(binding: &Binding, name: &str) -> bool {
    let is = |field: &FieldDescriptor, name: &str| field.name() == name || field.json_name() == name;
    let in_body = match &binding.rule.body {
        Body::Field(body) => name.split(['.', '[']).next().is_some_and(|first| is(body, first)),
        Body::None | Body::Whole => false,
    };
    in_body
        || binding.rule.variables.iter().any(|bound| {
            let mut names = name.split('.');
            bound.iter().all(|field| names.next().is_some_and(|name| is(field, name)))
                && names.next().is_none()
        })
}
