//! Bytes that no generated client sends.

use bytes::{Buf as _, BufMut as _};
use countersign::pb::c1::api::policy::v1::{
    ConnectorProvision, CreatePolicyRequest, Form, ListPolicyRequest, MultiStep, PolicyStep, Provision,
    ProvisionPolicy, connector_provision, connector_provision::ProvisionType, policy_step::Step,
    provision_policy::Typ,
};
use countersign::pb::json::{Entry, Kind, ListValue, Struct, Value};
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::{accept, create, get, grant, reason, start, violations};
use crate::harness::http;

/// Sends bytes as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// One call with these bytes as its message.
pub async fn call(channel: &Channel, method: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::try_from(method).unwrap();
    grpc.unary(Request::new(message), path, Raw).await.map(tonic::Response::into_inner)
}

/// The same of a method that answers with a stream, up to its end.
pub async fn call_streaming(channel: &Channel, method: &str, message: Vec<u8>) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::try_from(method).unwrap();
    let mut answers = grpc.server_streaming(Request::new(message), path, Raw).await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

const CREATE: &str = "/c1.api.policy.v1.Policies/Create";

/// A JSON list in a list, so many levels deep.
fn deep_value(levels: usize) -> Value {
    let mut value = Value { kind: Some(Kind::NullValue(0)) };
    for _ in 0..levels {
        value = Value { kind: Some(Kind::ListValue(ListValue { values: vec![value] })) };
    }
    value
}

fn connector(config: Struct) -> Step {
    let account = connector_provision::AccountProvision {
        connector_id: "c1".to_owned(),
        config: Some(config),
        ..Default::default()
    };
    let connector = ConnectorProvision { provision_type: Some(ProvisionType::Account(account)) };
    provision(ProvisionPolicy { typ: Some(Typ::Connector(connector)) })
}

fn provision(policy: ProvisionPolicy) -> Step {
    Step::Provision(Provision { provision_policy: Some(policy), ..Provision::default() })
}

/// Provisions made of several, so many levels deep.
fn deep_provision(levels: usize) -> Step {
    let mut policy = ProvisionPolicy::default();
    for _ in 0..levels {
        policy = ProvisionPolicy { typ: Some(Typ::MultiStep(MultiStep { provision_steps: vec![policy] })) };
    }
    provision(policy)
}

/// Messages within each other, the field numbers from the outside in.
fn nested(numbers: Vec<u8>) -> Vec<u8> {
    let mut sizes = vec![0];
    for _ in &numbers {
        let inner: usize = *sizes.last().unwrap();
        sizes.push(1 + prost::encoding::encoded_len_varint(inner as u64) + inner);
    }
    let mut bytes = Vec::new();
    for (number, size) in numbers.iter().zip(sizes.iter().rev().skip(1)) {
        bytes.push(number << 3 | 2);
        prost::encoding::encode_varint(*size as u64, &mut bytes);
    }
    bytes
}

/// A field that has a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

fn entry(key: &str, value: Value) -> Entry {
    Entry { key: key.to_owned(), value: Some(value) }
}

#[tokio::test]
async fn messages_that_are_nested_too_deeply_are_refused_in_one_sentence() {
    let (server, mut client) = start().await;
    let form =
        |levels| Step::Form(Form { form: Some(Struct { fields: vec![entry("x", deep_value(levels))] }) });
    let config = |levels| connector(Struct { fields: vec![entry("x", deep_value(levels))] });
    for levels in [64, 200, 500] {
        for step in [form(levels), config(levels), deep_provision(levels)] {
            let message = grant("Deep", vec![step]).encode_to_vec();
            let refused = call(&server.channel().await, CREATE, message).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{levels}: {refused:?}");
            assert_eq!(reason(&refused), "MESSAGE_MALFORMED");
            assert_eq!(refused.message(), "messages are nested too deeply: more than 64 levels");
            assert!(refused.message().len() < 200, "{}", refused.message());
        }
    }
    // As deep as a message of 4 MiB can be.
    let numbers = [4, 2, 1, 2, 1].into_iter().chain([5, 1].into_iter().cycle().take(700_000));
    let refused = call(&server.channel().await, CREATE, nested(numbers.collect())).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("nested too deeply"), "{}", refused.message());
    // What just fits comes back, over both faces.
    for step in [config(24), deep_provision(25)] {
        let made = create(&mut client, grant("Deep", vec![step])).await;
        assert_eq!(get(&mut client, &made.id).await, made);
        let answer = http(server.addr, "GET", &format!("/api/v1/policies/{}", made.id), &[], b"").await;
        assert_eq!(answer.status, 200);
    }
    server.stop().await;
}

/// Over REST the same limits hold, and the refusal says where: the JSON of a configuration costs two to three levels of
/// messages for each of its own.
#[tokio::test]
async fn json_that_is_nested_too_deeply_is_refused_at_its_place() {
    let (server, _) = start().await;
    let objects = |levels: usize| "{\"x\":".repeat(levels) + "1" + &"}".repeat(levels);
    let lists = |levels: usize| format!("{{\"x\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    let create = async |config: String| {
        let body = format!(
            r#"{{"displayName": "Deep", "policyType": "POLICY_TYPE_GRANT", "policySteps": {{"grant": {{"steps": [
                {{"provision": {{"provisionPolicy": {{"connector": {{"account": {{"connectorId": "c1", "config":
                {config}}}}}}}}}}}]}}}}}}"#
        );
        let answer = http(server.addr, "POST", "/api/v1/policies", &[], body.as_bytes()).await;
        (answer.status, answer.json())
    };
    for config in [objects(18), lists(26)] {
        let (status, made) = create(config).await;
        assert_eq!(status, 200, "{made}");
    }
    let deep = (19..80).map(|levels| (objects(levels), ".x.x.x"));
    for (config, below) in deep.chain((27..80).map(|levels| (lists(levels), ".x[0][0]"))) {
        let (status, refused) = create(config).await;
        assert_eq!((status, &refused["code"]), (400, &3.into()), "{refused}");
        let [info, request] = &refused["details"].as_array().unwrap()[..] else { panic!("{refused}") };
        assert_eq!(info["reason"], "JSON_TOO_DEEP");
        let violation = &request["fieldViolations"][0];
        let place = "policySteps.grant.steps[0].provision.provisionPolicy.connector.account.config";
        assert!(
            violation["field"].as_str().unwrap().starts_with(&format!("{place}{below}"))
                || violation["field"].as_str().unwrap().ends_with("..."),
            "{violation}"
        );
        assert!(
            violation["description"].as_str().unwrap().contains("more than 64 levels deep"),
            "{violation}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let (server, _) = start().await;
    let channel = server.channel().await;
    let cases: [(&[u8], &str); 7] = [
        (b"\x0a\x02\xff\xfe", "not UTF-8"),
        (b"\x0a\x05ab", "end within a field"),
        (b"\x08\x01", "another wire type"),
        (b"\x00", "tag is not valid"),
        (b"\x0f", "tag is not valid"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "varint is too long"),
        (b"\x0b", "group does not end"),
    ];
    for (bytes, why) in cases {
        let refused = call(&channel, CREATE, bytes.to_vec()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bytes:?}: {refused:?}");
        assert_eq!(reason(&refused), "MESSAGE_MALFORMED");
        assert!(refused.message().contains(why), "{bytes:?}: {}", refused.message());
    }
    server.stop().await;
}

/// A map on the wire may have a key twice, and proto says that the last one counts. A form or a configuration is JSON that
/// comes back as it was given, and JSON with a key twice is refused, so this is too.
#[tokio::test]
async fn a_key_twice_in_json_on_the_wire_is_refused() {
    let (server, mut client) = start().await;
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let twice = Struct { fields: vec![entry("a", text("1")), entry("b", text("2")), entry("a", text("3"))] };
    let nested = |inner: Struct| Struct {
        fields: vec![
            entry(
                "a",
                Value {
                    kind: Some(Kind::ListValue(ListValue {
                        values: vec![Value { kind: Some(Kind::StructValue(inner)) }],
                    })),
                },
            ),
            entry("b", text("a")),
        ],
    };
    let form = |name: &str| Struct {
        fields: vec![entry("displayName", text(name)), entry("displayName", text("2"))],
    };
    let Step::Provision(Provision { provision_policy: Some(inner), .. }) = connector(twice.clone()) else {
        panic!("a provision step")
    };
    let several = MultiStep { provision_steps: vec![ProvisionPolicy::default(), inner] };
    let config = "provisionPolicy.connector.account.config";
    let cases = [
        (connector(twice.clone()), format!("provision.{config}.a"), "FIELD_DUPLICATE"),
        (connector(nested(twice)), format!("provision.{config}.a[0].a"), "FIELD_DUPLICATE"),
        (
            provision(ProvisionPolicy { typ: Some(Typ::MultiStep(several)) }),
            "provision.provisionPolicy.multiStep.provisionSteps[1].connector.account.config.a".to_owned(),
            "FIELD_DUPLICATE",
        ),
        (Step::Form(Form { form: Some(form("1")) }), "form.form.displayName".to_owned(), "FIELD_DUPLICATE"),
    ];
    for (step, place, why) in cases {
        let refused = client.create(grant("Twice", vec![step])).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(violations(&refused), [(format!("policySteps.grant.steps[0].{place}"), why.to_owned())]);
    }
    // A message may come in parts that add up, and so may the object.
    let half =
        PolicyStep { step: Some(connector(Struct { fields: vec![entry("a", text("1"))] })) }.encode_to_vec();
    let sequence = field(1, &[half.clone(), half].concat());
    let entry_of_map = [field(1, b"grant"), field(2, &sequence)].concat();
    let message = [field(1, b"In parts"), vec![0x18, 0x01], field(4, &entry_of_map)].concat();
    let refused = call(&server.channel().await, CREATE, message).await.unwrap_err();
    assert_eq!(violations(&refused)[0].1, "FIELD_DUPLICATE", "{refused:?}");
    // The same key at two places is no key twice.
    let once = Struct { fields: vec![entry("b", text("1")), entry("a", text("2"))] };
    let made = create(&mut client, grant("Once", vec![connector(nested(once))])).await;
    assert_eq!(get(&mut client, &made.id).await, made);
    server.stop().await;
}

/// Of a sequence that is there twice, the last counts, as in every map.
#[tokio::test]
async fn a_map_entry_twice_on_the_wire_is_one_entry() {
    let (server, mut client) = start().await;
    let mut message = grant("Twice", vec![accept(), accept()]).encode_to_vec();
    let again =
        CreatePolicyRequest { policy_steps: grant("", vec![accept()]).policy_steps, ..Default::default() };
    message.extend(again.encode_to_vec());
    call(&server.channel().await, CREATE, message).await.unwrap();
    let list = client.list(ListPolicyRequest::default()).await.unwrap().into_inner().list;
    assert_eq!(list[0].policy_steps["grant"].steps.len(), 1);
    server.stop().await;
}
