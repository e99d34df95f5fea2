//! What is written and read: one policy of the examples, as the calls need it.

use countersign::pb;
use countersign::pb::c1::api::policy::v1::{CreatePolicyResponse, GetPolicyRequest};
use countersign::wire::Schema;
use countersign::wire::json::{Reading, decode};
use prost::Message as _;

use crate::Fault;
use crate::clients::Http2;
use crate::durable::Record;
use crate::round::Clients as _;

/// A policy for production access, with two steps of approval.
const POLICY: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policies/02-aws-production.json"));

/// An id in a key, with its end mark.
const ID_BYTES: usize = 38;
/// What the writers add to every key.
const COUNTER_BYTES: usize = 8;
/// What the record holds beside the policy: its head, and number, time, actor and method of the write.
const REVISION_BYTES: usize = 80;

pub const CREATE: &str = "/c1.api.policy.v1.Policies/Create";
pub const GET: &str = "/c1.api.policy.v1.Policies/Get";

/// What Get needs, once the policy is there.
pub struct Stored {
    /// The path of the policy over REST.
    pub path: String,
    /// The message of a Get.
    pub get: Vec<u8>,
    /// The policy as it is stored.
    pub policy: Vec<u8>,
}

/// The message of a Create.
pub fn create() -> Result<Vec<u8>, Fault> {
    let schema = Schema::new(pb::pool());
    let request = schema.message("c1.api.policy.v1.CreatePolicyRequest").ok_or("no such message")?;
    let mut message = Vec::new();
    decode(&request, POLICY, &Reading::default(), &mut message).map_err(|error| error.to_string())?;
    Ok(message)
}

/// Makes the policy; `calls` are the creates.
pub fn store(calls: &Http2) -> Result<Stored, Fault> {
    let answer = once(calls)?;
    let policy = CreatePolicyResponse::decode(answer.as_slice())?.policy.ok_or("no policy was answered")?;
    Ok(Stored {
        path: format!("/api/v1/policies/{}", policy.id),
        get: GetPolicyRequest { id: policy.id.clone() }.encode_to_vec(),
        policy: policy.encode_to_vec(),
    })
}

/// The message of one answer.
pub fn once(calls: &Http2) -> Result<Vec<u8>, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut clients = calls.connect(1).await?;
        clients.first_mut().ok_or("no client")?.answer().await
    })?;
    Ok(answer.get(5..).ok_or("an answer without a message")?.to_vec())
}

/// A record of the size of the one that a create writes: the key of an id, and the policy with its revision.
pub fn record(stored: &Stored) -> Record {
    let value = [stored.policy.as_slice(), &[0; REVISION_BYTES]].concat();
    Record { key: vec![0; ID_BYTES - COUNTER_BYTES], value: value.into() }
}
