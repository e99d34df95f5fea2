//! The description of the API, and the page that reads it, as a browser and a generator of clients would fetch them.

use std::collections::BTreeSet;

use countersign::pb;
use serde_json::Value;

use super::harness::{Server, http};

async fn description() -> Value {
    let server = Server::start().await;
    let answer = http(server.addr, "GET", "/openapi.json", &[], b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    let description = answer.json();
    server.stop().await;
    description
}

/// Every operation with its path and verb.
fn operations(description: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = description["paths"].as_object().unwrap();
    let verbs = paths.iter().map(|(path, verbs)| (path, verbs.as_object().unwrap()));
    verbs
        .flat_map(|(path, verbs)| verbs.iter().map(move |(verb, operation)| (path, verb, operation)))
        .collect()
}

/// Every `$ref` anywhere below `value`.
fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// The extension 72295728 of `google.protobuf.MethodOptions`.
fn has_http_rule(method: &prost_reflect::MethodDescriptor) -> bool {
    let http = pb::pool().get_extension_by_name("google.api.http").unwrap();
    method.options().has_extension(&http)
}

#[tokio::test]
async fn every_rpc_with_a_rule_is_described_once_and_nothing_else() {
    let description = description().await;
    let mut described: Vec<&str> = Vec::new();
    for (_, _, operation) in operations(&description) {
        described.push(operation["operationId"].as_str().unwrap());
    }
    described.sort_unstable();
    let mut rpcs: Vec<String> = Vec::new();
    for service in pb::pool().services() {
        let with_rule = service.methods().filter(has_http_rule);
        rpcs.extend(with_rule.map(|method| method.full_name().to_owned()));
    }
    rpcs.sort_unstable();
    assert_eq!(described, rpcs);
    assert!(rpcs.len() > 8, "the descriptors lost their options");
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_schema_is_needed() {
    let description = description().await;
    let mut found = BTreeSet::new();
    references(&description, &mut found);
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let named: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(found, named.iter().map(String::as_str).collect::<BTreeSet<_>>());
    assert!(schemas.values().all(Value::is_object), "each was filled in");
}

#[tokio::test]
async fn path_parameters_are_those_of_the_path() {
    for (path, _, operation) in operations(&description().await) {
        let parameters = operation["parameters"].as_array().unwrap();
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "path") {
            let name = parameter["name"].as_str().unwrap();
            assert!(path.contains(&format!("{{{name}}}")), "{name} in {path}");
        }
        let named = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(path.matches('{').count(), named, "{path}");
    }
}

#[tokio::test]
async fn no_two_paths_differ_in_the_names_of_their_variables_alone() {
    let description = description().await;
    let mut shapes = BTreeSet::new();
    for path in description["paths"].as_object().unwrap().keys() {
        let anonymous = |segment: &str| match segment.split_once('}') {
            Some((_, verb)) => format!("{{}}{verb}"),
            None => segment.to_owned(),
        };
        let shape: Vec<String> = path.split('/').map(anonymous).collect();
        assert!(shapes.insert(shape.join("/")), "{path}");
    }
}

#[tokio::test]
async fn each_api_is_described_in_its_own_spelling() {
    let description = description().await;
    let schemas = &description["components"]["schemas"];
    let policy = &schemas["c1.api.policy.v1.Policy"];
    assert_eq!(policy["properties"]["displayName"]["type"], "string");
    assert_eq!(policy["properties"]["createdAt"]["readOnly"], true);
    assert_eq!(
        policy["properties"]["policySteps"]["additionalProperties"]["$ref"],
        "#/components/schemas/c1.api.policy.v1.PolicySteps"
    );
    let step =
        schemas["c1.api.policy.v1.PolicyStep"]["properties"]["approval"]["description"].as_str().unwrap();
    assert!(step.contains("Not together with") && step.contains("`wait`"), "{step}");
    assert_eq!(
        schemas["gotocompany.guardian.v1beta1.Policy.ApprovalStep"]["properties"]["approve_if"]["type"],
        "string"
    );
    let list = &description["paths"]["/api/v1/policies"]["get"];
    let query: Vec<&str> =
        list["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(query, ["pageSize", "pageToken"]);
    let create = &description["paths"]["/api/v1beta1/policies"]["post"];
    let body = &create["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["anyOf"][0]["$ref"], "#/components/schemas/gotocompany.guardian.v1beta1.Policy");
}

#[tokio::test]
async fn the_page_asks_nobody_but_the_service() {
    let server = Server::start().await;
    let page = http(server.addr, "GET", "/docs", &[], b"").await;
    assert_eq!(page.status, 200);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(!html.contains("://"), "an address outside: {html}");
    for asset in ["/docs/docs.js", "/docs/docs.css"] {
        assert!(html.contains(asset), "{asset} is not used");
        assert_eq!(http(server.addr, "GET", asset, &[], b"").await.status, 200, "{asset}");
    }
    assert_eq!(http(server.addr, "POST", "/docs", &[], b"").await.status, 404);
    server.stop().await;
}

#[test]
fn the_command_line_writes_the_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("descriptors.binpb");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
    let wrote = command.arg("descriptors").arg("--out").arg(&path).status().unwrap();
    assert!(wrote.success());
    let pool = prost_reflect::DescriptorPool::decode(std::fs::read(&path).unwrap().as_slice()).unwrap();
    assert!(pool.get_service_by_name("c1.api.policy.v1.Policies").is_some());
}
