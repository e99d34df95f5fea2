//! One http rule as one operation: where its path, its query and its body come from.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

use super::ERROR_MESSAGE;
use super::comments::Comments;
use super::schemas::{Schemas, name, put};
use crate::gateway::rule::{Body, Rule};
use crate::gateway::template::{Segment, Template};
use crate::wire::json::Names;

/// A query parameter leads through at most this many messages; requests of ours are flat, and a cycle must end.
const QUERY_DEPTH_MAX_LEVELS: usize = 3;

/// What a path variable is called here: its last name, so that `{id}` and `{thing.id}` are one path, as OpenAPI demands.
fn called<'t>(path: &'t str, template: &Template) -> &'t str {
    let last = |path: &'t str| path.rsplit_once('.').map_or(path, |(_, last)| last);
    let same =
        template.variables.iter().filter(|other| other.path.rsplit('.').next() == path.rsplit('.').next());
    if same.count() > 1 { path } else { last(path) }
}

/// The path of a rule as OpenAPI writes it: `/v1/things/{id}:undelete`.
pub(super) fn path(rule: &Rule) -> String {
    let template = &rule.template;
    let mut path = String::new();
    for (at, segment) in template.segments.iter().enumerate() {
        path.push('/');
        match segment {
            Segment::Literal(literal) => path.push_str(literal),
            Segment::One | Segment::Rest => {
                let variable = template.variables.iter().find(|variable| variable.segments.contains(&at));
                path.push('{');
                path.push_str(variable.map_or("rest", |variable| called(&variable.path, template)));
                path.push('}');
            }
        }
    }
    if let Some(verb) = &template.verb {
        path.push(':');
        path.push_str(verb);
    }
    path
}

/// The operation of a rule.
pub(super) fn describe(rule: &Rule, names: Names, comments: &Comments, schemas: &mut Schemas<'_>) -> Value {
    let rpc = &rule.rpc;
    let about = comments.of_method(rpc);
    let summary = about.split_once(". ").map_or(about, |(first, _)| first).trim_end_matches('.');
    let mut operation = json!({
        "operationId": rpc.full_name(),
        "tags": [rpc.parent_service().full_name()],
        "summary": summary,
        "description": about,
        "parameters": parameters(rule, names, comments, schemas),
        "responses": {
            "200": {"description": "It worked.", "content": {"application/json": {"schema": answer(rule, names, schemas)}}},
            "default": {
                "description": "It did not; the HTTP status follows from the code.",
                "content": {"application/json": {"schema": schemas.named(ERROR_MESSAGE, names)}},
            },
        },
    });
    let body = match &rule.body {
        Body::None => None,
        Body::Whole => Some(schemas.message(&rpc.input(), names)),
        Body::Field(field) => Some(schemas.field(field, names)),
    };
    if let Some(schema) = body {
        put(&mut operation, "requestBody", json!({"content": {"application/json": {"schema": schema}}}));
    }
    if rpc.method_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
        put(&mut operation, "deprecated", json!(true));
    }
    operation
}

fn answer(rule: &Rule, names: Names, schemas: &mut Schemas<'_>) -> Value {
    let whole = match &rule.response_body {
        Some(field) => schemas.field(field, names),
        None => schemas.message(&rule.rpc.output(), names),
    };
    if !rule.rpc.is_server_streaming() {
        return whole;
    }
    json!({
        "description": "Lines, each of them an object: `result` for a message, and `error` in the last one when the stream failed.",
        "type": "object",
        "properties": {"result": whole, "error": schemas.named(ERROR_MESSAGE, names)},
    })
}

fn parameters(rule: &Rule, names: Names, comments: &Comments, schemas: &mut Schemas<'_>) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for (variable, fields) in rule.template.variables.iter().zip(&rule.variables) {
        if let Some(field) = fields.last() {
            all.push(json!({
                "name": called(&variable.path, &rule.template), "in": "path", "required": true,
                "description": comments.of_field(field), "schema": schemas.field(field, names),
            }));
        }
    }
    if rule.body != Body::Whole {
        let bound = |path: &str| rule.template.variables.iter().any(|variable| variable.path == path);
        let mut query = Query { names, comments, schemas, all: &mut all };
        let in_body = match &rule.body {
            Body::Field(field) => Some(field.clone()),
            Body::None | Body::Whole => None,
        };
        query.fields(&rule.rpc.input(), &Place::default(), &bound, in_body.as_ref());
    }
    all
}

/// Where a query parameter stands: as the caller writes it, and by proto names.
#[derive(Default)]
struct Place {
    written: String,
    proto: String,
    depth: usize,
}

impl Place {
    fn below(&self, field: &FieldDescriptor, names: Names) -> Place {
        let join =
            |path: &str, name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        Place {
            written: join(&self.written, name(field, names)),
            proto: join(&self.proto, field.name()),
            depth: self.depth + 1,
        }
    }
}

struct Query<'a, 'p> {
    names: Names,
    comments: &'a Comments,
    schemas: &'a mut Schemas<'p>,
    all: &'a mut Vec<Value>,
}

impl Query<'_, '_> {
    fn fields(
        &mut self,
        message: &MessageDescriptor,
        place: &Place,
        bound: &dyn Fn(&str) -> bool,
        in_body: Option<&FieldDescriptor>,
    ) {
        for field in message.fields().filter(|field| Some(field) != in_body) {
            let place = place.below(&field, self.names);
            if bound(&place.proto) {
                continue;
            }
            match field.kind() {
                _ if field.is_map() => {}
                Kind::Message(_) if field.is_list() => {}
                Kind::Message(inner) if !inner.full_name().starts_with("google.protobuf.") => {
                    if place.depth < QUERY_DEPTH_MAX_LEVELS {
                        self.fields(&inner, &place, bound, None);
                    }
                }
                _ => self.all.push(json!({
                    "name": place.written, "in": "query",
                    "description": self.comments.of_field(&field), "schema": self.schemas.field(&field, self.names),
                })),
            }
        }
    }
}
