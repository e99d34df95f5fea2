//! The `google.api.http` options of the descriptors, read once at the start.
//!
//! A rule that cannot be served is an error that names the RPC and says why: nobody should learn of it from a request.

use std::fmt;

use http::Method;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

use super::template::Template;

/// A `google.api.http` rule that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRule {
    /// Full name of the RPC.
    pub rpc: String,
    /// A sentence for the author of the proto.
    pub why: String,
}

impl fmt::Display for BadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the http rule of {} cannot be served: {}", self.rpc, self.why)
    }
}

impl std::error::Error for BadRule {}

/// One way from HTTP to one RPC: the rule itself or one of its additional bindings.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) rpc: MethodDescriptor,
    pub(crate) method: Method,
    pub(crate) template: Template,
    /// The fields that the template's variables fill, in the same order.
    pub(crate) variables: Vec<Vec<FieldDescriptor>>,
    pub(crate) body: Body,
    /// The field of the answer that becomes the HTTP body; the whole answer without one.
    pub(crate) response_body: Option<FieldDescriptor>,
    pub(crate) mask: Option<Mask>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Whole,
    /// A singular message field.
    Field(FieldDescriptor),
}

/// How the field mask of an update is filled when the caller gave none.
#[derive(Debug)]
pub(crate) struct Mask {
    pub(crate) field: FieldDescriptor,
    pub(crate) resource: FieldDescriptor,
    /// Proto names of the resource's fields that the path fills.
    pub(crate) bound: Vec<String>,
}

/// Reads every rule of every service in the pool.
pub(crate) fn rules(pool: &DescriptorPool) -> Result<Vec<Rule>, BadRule> {
    let Some(http) = pool.get_extension_by_name("google.api.http") else { return Ok(Vec::new()) };
    let mut rules = Vec::new();
    for rpc in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let options = rpc.options();
        if !options.has_extension(&http) {
            continue;
        }
        let bad = |why| BadRule { rpc: rpc.full_name().to_owned(), why };
        let option = options.get_extension(&http);
        let option = option.as_message().ok_or_else(|| bad("it is not a message".to_owned()))?;
        rules.push(read(&rpc, option).map_err(bad)?);
        for more in messages(option, "additional_bindings") {
            if !messages(&more, "additional_bindings").is_empty() {
                return Err(bad("additional bindings do not nest".to_owned()));
            }
            rules.push(read(&rpc, &more).map_err(bad)?);
        }
    }
    Ok(rules)
}

fn read(rpc: &MethodDescriptor, option: &DynamicMessage) -> Result<Rule, String> {
    if rpc.is_client_streaming() {
        return Err("a stream of requests cannot come over REST".to_owned());
    }
    let (method, template) = pattern(option)?;
    let template = Template::parse(&template)?;
    let input = rpc.input();
    let variables = template.variables.iter().map(|variable| bound(&input, &variable.path));
    let variables = variables.collect::<Result<Vec<_>, _>>()?;
    let body = match text(option, "body").as_str() {
        "" => Body::None,
        "*" => Body::Whole,
        name => Body::Field(message_field(&input, name)?),
    };
    let response_body = match text(option, "response_body").as_str() {
        "" => None,
        name => Some(message_field(&rpc.output(), name)?),
    };
    let mask = mask(&input, &body, &variables);
    Ok(Rule { rpc: rpc.clone(), method, template, variables, body, response_body, mask })
}

fn pattern(option: &DynamicMessage) -> Result<(Method, String), String> {
    let plain = [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ];
    for (field, method) in plain {
        if option.has_field_by_name(field) {
            return Ok((method, text(option, field)));
        }
    }
    let custom = option.get_field_by_name("custom").filter(|_| option.has_field_by_name("custom"));
    let custom = custom.as_deref().and_then(|custom| custom.as_message()).ok_or("it has no pattern")?;
    let kind = text(custom, "kind");
    let method = Method::from_bytes(kind.as_bytes()).ok().filter(|_| kind != "*");
    Ok((method.ok_or_else(|| format!("the verb `{kind}` is not served"))?, text(custom, "path")))
}

/// The fields that a path variable names: messages, and a scalar at the end.
fn bound(input: &MessageDescriptor, path: &str) -> Result<Vec<FieldDescriptor>, String> {
    let mut fields = Vec::new();
    let mut message = Some(input.clone());
    for name in path.split('.') {
        let field = message.and_then(|message| message.get_field_by_name(name));
        let field = field.ok_or_else(|| format!("the request has no field `{path}`"))?;
        if field.cardinality() == Cardinality::Repeated {
            return Err(format!("the path variable `{path}` goes through a repeated field"));
        }
        message = field.kind().as_message().cloned();
        fields.push(field);
    }
    match message {
        Some(_) => Err(format!("the path variable `{path}` is a message")),
        None => Ok(fields),
    }
}

/// Bodies are JSON objects here: a rule may not make a list or a scalar the whole body.
fn message_field(message: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, String> {
    let field = message.get_field_by_name(name);
    let field = field.ok_or_else(|| format!("{} has no field `{name}`", message.full_name()))?;
    match field.kind() {
        Kind::Message(_) if field.cardinality() != Cardinality::Repeated => Ok(field),
        _ => Err(format!("the body field `{name}` is not a singular message")),
    }
}

/// A request has a mask to fill if it has a field `update_mask` of the well-known type and exactly one other message,
/// the resource, and the body holds that resource.
fn mask(input: &MessageDescriptor, body: &Body, variables: &[Vec<FieldDescriptor>]) -> Option<Mask> {
    let field = input.get_field_by_name("update_mask")?;
    let is_mask = |field: &FieldDescriptor| {
        field.kind().as_message().is_some_and(|message| message.full_name() == "google.protobuf.FieldMask")
    };
    let mut resources = input.fields().filter(|other| *other != field && other.kind().as_message().is_some());
    let (resource, None) = (resources.next()?, resources.next()) else { return None };
    let in_body = match body {
        Body::None => false,
        Body::Whole => true,
        Body::Field(body) => *body == resource,
    };
    if !is_mask(&field) || resource.cardinality() == Cardinality::Repeated || !in_body {
        return None;
    }
    let bound = variables.iter().filter_map(|fields| match fields.as_slice() {
        [first, second] if *first == resource => Some(second.name().to_owned()),
        _ => None,
    });
    Some(Mask { bound: bound.collect(), field, resource })
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn messages(message: &DynamicMessage, field: &str) -> Vec<DynamicMessage> {
    let value = message.get_field_by_name(field);
    let list = value.as_deref().and_then(|value| value.as_list()).unwrap_or_default();
    list.iter().filter_map(|value| value.as_message().cloned()).collect()
}
