//! Metadata that our operations read, as bytes that no generated client sends: whatever cannot be understood is refused, and
//! never taken for something that was not said.

use countersign::pb::c1::api::policy::v1::{
    CreatePolicyRequest, DeletePolicyRequest, ListPolicyRequest, Policy, UpdatePolicyRequest,
};
use tonic::metadata::{AsciiMetadataKey, MetadataValue};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use super::{accept, create, get, grant, reason, start, text};

/// A request with these lines of metadata.
fn with<T>(message: T, lines: &[(&str, &[u8])]) -> Request<T> {
    let mut request = Request::new(message);
    for (key, value) in lines {
        let key = AsciiMetadataKey::from_bytes(key.as_bytes()).unwrap();
        request.metadata_mut().append(key, MetadataValue::try_from(*value).unwrap());
    }
    request
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let (server, mut client) = start().await;
    let cases: [(&str, &[&[u8]]); 9] = [
        ("if-match", &[b"\xe9"]),
        ("if-match", &[b"*", b"\xe9"]),
        ("idempotency-key", &[b"k\xc3\xa9"]),
        ("idempotency-key", &[b"k", b"l"]),
        ("idempotency-key", &[b"k", b"l", b"k"]),
        ("countersign-validate-only", &[b"\xe9"]),
        ("countersign-validate-only", &[b"tr\tue"]),
        ("countersign-validate-only", &[b"true", b"true"]),
        ("countersign-apply", &[b"\xe9"]),
    ];
    for (key, values) in cases {
        let lines: Vec<(&str, &[u8])> = values.iter().map(|value| (key, *value)).collect();
        let refused = client.create(with(grant("Name", vec![accept()]), &lines)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{key} {values:?}: {refused:?}");
        assert_eq!(reason(&refused), "METADATA_INVALID");
        assert_eq!(refused.get_details_error_info().unwrap().metadata["key"], key);
    }
    let list = client.list(ListPolicyRequest::default()).await.unwrap().into_inner().list;
    assert_eq!(list, [], "nothing was made");
    server.stop().await;
}

#[tokio::test]
async fn several_lines_are_one_list_of_etags() {
    let (server, mut client) = start().await;
    let made = create(&mut client, grant("Name", vec![accept()])).await;
    let update = |description: &str| UpdatePolicyRequest {
        policy: Some(Policy {
            id: made.id.clone(),
            description: description.to_owned(),
            ..Policy::default()
        }),
        update_mask: None,
    };
    let stale: [&[(&str, &[u8])]; 3] = [
        &[("if-match", b"\"nope\"\t,\"other\"")],
        &[("if-match", b"\"nope\""), ("if-match", b"\"other\"")],
        &[("if-match", b"")],
    ];
    for lines in stale {
        let refused = client.update(with(update("stale"), lines)).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::Aborted, "ETAG_MISMATCH"),
            "{lines:?}"
        );
    }
    assert_eq!(get(&mut client, &made.id).await, made);
    let answer = client.update(update("first")).await.unwrap();
    let etag = text(answer.metadata(), "etag").unwrap();
    let lines: [(&str, &[u8]); 2] = [("if-match", b"\"nope\""), ("if-match", etag.as_bytes())];
    let answer = client.update(with(update("second"), &lines)).await.unwrap();
    let etag = format!("\"nope\",\t{}", text(answer.metadata(), "etag").unwrap());
    let lines: [(&str, &[u8]); 1] = [("if-match", etag.as_bytes())];
    client.delete(with(DeletePolicyRequest { id: made.id.clone() }, &lines)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_key_said_twice_alike_is_one_key() {
    let (server, mut client) = start().await;
    let mut ids = Vec::new();
    for lines in [[b"a key"; 2], [b"a\tkey"; 2]] {
        let lines = lines.map(|key| ("idempotency-key", key.as_slice()));
        let request = CreatePolicyRequest { display_name: "Name".to_owned(), ..Default::default() };
        let made = client.create(with(request, &lines)).await.unwrap().into_inner();
        ids.push(made.policy.unwrap().id);
    }
    assert_eq!(ids[0], ids[1]);
    server.stop().await;
}
