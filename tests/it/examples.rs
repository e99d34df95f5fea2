//! The examples that people are shown: accepted as they are, and as they come back, in the ways in which clients of the API
//! send them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Answer, Server, http};

/// What the server sets. An update ignores these; a create request does not have them.
const SET_BY_SERVER: [&str; 5] = ["id", "createdAt", "updatedAt", "deletedAt", "systemBuiltin"];

/// Ids that example 10 needs in place of its own.
const PLACEHOLDERS: [&str; 2] = ["2aPolStandard", "2aPolSecReview"];

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|is| is == "json"));
    files.sort();
    files
}

async fn send(server: &Server, verb: &str, target: &str, body: &Value) -> Answer {
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    http(server.addr, verb, target, &headers, body.to_string().as_bytes()).await
}

/// The policy in an answer that must be a success, without what the server sets.
fn policy(what: &str, answer: &Answer) -> (String, Value) {
    assert_eq!(answer.status, 200, "{what}: {:?}", answer.body);
    let mut policy = answer.json()["policy"].take();
    let id = policy["id"].as_str().unwrap().to_owned();
    let fields = policy.as_object_mut().unwrap();
    for name in SET_BY_SERVER {
        assert!(fields.remove(name).is_some(), "{what} has no {name}");
    }
    (id, policy)
}

/// Every value of `wanted` is in `found`.
fn assert_has(what: &str, found: &Value, wanted: &Value) {
    match wanted {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, wanted)| assert_has(&format!("{what}.{name}"), &found[name], wanted));
        }
        Value::Array(items) => {
            assert_eq!(found.as_array().map(Vec::len), Some(items.len()), "{what}");
            let both = items.iter().zip(found.as_array().unwrap());
            both.for_each(|(wanted, found)| assert_has(what, found, wanted));
        }
        // The old spelling of a step key is given back as it was sent.
        _ => assert_eq!(found, wanted, "{what}"),
    }
}

/// A server with the policies that example 10 refers to, and the examples with their ids.
async fn with_examples() -> (Server, Vec<(String, Value)>) {
    let server = Server::start().await;
    let mut replaced = Vec::new();
    for name in PLACEHOLDERS {
        let body = json!({"displayName": name, "policyType": "POLICY_TYPE_GRANT"});
        let (id, _) = policy(name, &send(&server, "POST", "/api/v1/policies", &body).await);
        replaced.push((name, id));
    }
    let examples = files().into_iter().map(|file| {
        let text = fs::read_to_string(&file).unwrap();
        let text = replaced.iter().fold(text, |text, (name, id)| text.replace(name, id));
        (file.file_name().unwrap().to_str().unwrap().to_owned(), serde_json::from_str(&text).unwrap())
    });
    let examples = examples.collect();
    (server, examples)
}

#[tokio::test]
async fn every_example_is_accepted_and_can_be_sent_back() {
    let (server, examples) = with_examples().await;
    assert!(examples.len() >= 10, "{} examples", examples.len());
    for (name, example) in examples {
        let answer = send(&server, "POST", "/api/v1/policies", &example).await;
        let whole = answer.json()["policy"].take();
        let (id, made) = policy(&name, &answer);
        assert_has(&name, &made, &example);

        // As a create, of another policy.
        let (other, again) = policy(&name, &send(&server, "POST", "/api/v1/policies", &whole).await);
        assert_ne!(other, id);
        assert_eq!(again, made, "{name}");

        // As an update, with everything that was read: without a mask, with null for one, and with the mask for all.
        let target = format!("/api/v1/policies/{id}");
        let bodies = [
            json!({"policy": whole}),
            json!({"policy": whole, "updateMask": null}),
            json!({"policy": whole, "updateMask": "*"}),
        ];
        for body in bodies {
            assert_eq!(
                policy(&name, &send(&server, "POST", &target, &body).await),
                (id.clone(), made.clone())
            );
        }
        assert_eq!(policy(&name, &http(server.addr, "GET", &target, &[], b"").await), (id, made));
    }
    server.stop().await;
}

/// Terraform's provider sends the whole object that it manages, without a mask: what a plan empties comes as `null`, `""`,
/// `[]` or `{}`, and it expects to read back what it sent.
#[tokio::test]
async fn a_whole_object_without_a_mask_is_what_there_is_afterwards() {
    let (server, examples) = with_examples().await;
    let mut before = json!({"displayName": "Managed", "policyType": "POLICY_TYPE_GRANT", "description": "old",
        "annotations": {"kept": "1"}, "policySteps": {"grant": {"steps": [{"accept": {}}]}}});
    for (name, example) in examples.iter().filter(|(_, example)| example["scope"].is_null()) {
        let created = send(&server, "POST", "/api/v1/policies", &before).await;
        let (id, _) = policy(name, &created);
        let mut managed = json!({"description": "", "rules": null, "postActions": [], "policySteps": {},
            "baselinePolicyId": "", "reassignTasksToDelegates": false});
        managed.as_object_mut().unwrap().extend(example.as_object().unwrap().clone());
        let target = format!("/api/v1/policies/{id}");
        let (_, updated) = policy(name, &send(&server, "POST", &target, &json!({"policy": managed})).await);
        assert_has(name, &updated, example);
        for (field, sent) in managed.as_object().unwrap() {
            let empty = sent.is_null() || *sent == "" || *sent == json!([]) || *sent == json!({});
            let found = &updated[field];
            assert!(!empty || *found == json!([]) || found == sent, "{name}: {field} is {found}");
        }
        // The provider knows nothing of annotations, so they stay.
        assert_eq!(updated["annotations"], before["annotations"]);
        before["description"] = json!(name);
    }
    server.stop().await;
}

/// The TypeScript client announces JSON and sends nothing; others send `{}`, or neither.
#[tokio::test]
async fn a_delete_has_a_body_or_none() {
    let (server, _) = with_examples().await;
    let json_type = [("content-type".to_owned(), "application/json".to_owned())];
    for (headers, body) in [(&json_type[..], &b""[..]), (&json_type, b"{}"), (&[], b""), (&[], b"{}")] {
        let body_of_create = json!({"displayName": "Name", "policyType": "POLICY_TYPE_GRANT"});
        let (id, _) = policy("create", &send(&server, "POST", "/api/v1/policies", &body_of_create).await);
        let target = format!("/api/v1/policies/{id}");
        let answer = http(server.addr, "DELETE", &target, headers, body).await;
        assert_eq!((answer.status, answer.body.as_ref()), (200, &b"{}"[..]));
        let gone = http(server.addr, "GET", &target, &[], b"").await.json();
        assert!(gone["policy"]["deletedAt"].is_string(), "{gone}");
    }
    server.stop().await;
}
