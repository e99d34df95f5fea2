//! An OpenAPI 3.1 description of everything that the gateway serves, made from the same descriptors and http rules that
//! route requests, so that it cannot tell of a call that is not there. It knows no RPC by name.
//!
//! Each package is described in the JSON style that it speaks. What OpenAPI cannot say is said in words: that at most one
//! member of a oneof is given, and what a stream of lines looks like.

mod comments;
mod operation;
mod schemas;

use prost_reflect::DescriptorPool;
use serde_json::{Map, Value, json};

use super::rule::{self, BadRule};
use super::style::Styles;
use comments::Comments;
use schemas::Schemas;

/// What every error answer is.
const ERROR_MESSAGE: &str = "google.rpc.Status";

const ABOUT: &str = "Every call here is also a gRPC call of the same name, on the same port. \
Bodies and answers follow the proto3 JSON mapping: names are taken in camelCase and in snake_case, 64-bit integers as \
strings or numbers, `null` as unset. Unless an API says otherwise, a field that is not described here is refused with 400. \
Errors are a `google.rpc.Status` with an `ErrorInfo`, and a `BadRequest` that names each field at fault.";

/// The description of every rule in `pool`, each package in its style.
///
/// # Errors
/// A rule that the gateway itself would refuse.
pub fn openapi(pool: &DescriptorPool, styles: &Styles, version: &str) -> Result<Value, BadRule> {
    let comments = Comments::of(pool);
    let dialects = styles.dialects(None);
    let mut schemas = Schemas::new(pool, &comments);
    let mut paths: Map<String, Value> = Map::new();
    let mut tags: Vec<Value> = Vec::new();
    for rule in rule::rules(pool)? {
        let service = rule.rpc.parent_service();
        let names = dialects.of(service.package_name()).style.write.names;
        if !tags.iter().any(|tag| tag["name"] == service.full_name()) {
            let about = comments.of_service(service);
            tags.push(json!({"name": service.full_name(), "description": about}));
        }
        let path = operation::path(&rule);
        let operation = operation::describe(&rule, names, &comments, &mut schemas);
        let at = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(verbs) = at.as_object_mut() {
            verbs.insert(rule.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    tags.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    Ok(json!({
        "openapi": "3.1.0",
        "info": {"title": "Countersign", "version": version, "description": ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "tags": tags,
        "security": [{}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }))
}
