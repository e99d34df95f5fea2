//! What is written and read: a policy of the examples in each dialect, and a simulation, as the calls need them.

use countersign::pb;
use countersign::pb::c1::api::policy::v1::{CreatePolicyResponse, GetPolicyRequest};
use countersign::pb::countersign::v1::policy_source::Policy;
use countersign::pb::countersign::v1::{PolicySource, SimulateRequest};
use countersign::pb::gotocompany::guardian::v1beta1 as guardian;
use countersign::wire::Schema;
use countersign::wire::json::{Reading, decode};
use prost::Message as _;

use crate::Fault;
use crate::children::Process;
use crate::clients::Http2;
use crate::durable::Record;
use crate::round::Clients as _;

/// Policies for production access: two steps of approval each, and nothing to compile.
pub const PLAIN: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policies/02-aws-production.json"));
pub const GUARDIAN_PLAIN: &[u8] = include_bytes!("../data/guardian-production.json");
/// Policies with two short expressions each.
pub const CONDITIONS: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policies/04-leaver-confirmation.json"));
pub const GUARDIAN_EXPRESSIONS: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/guardian/01-sequential-manual.json"));
/// Five stages, and a request that comes through all of them.
const FIVE_STAGES: &[u8] = include_bytes!("../data/five-stages.json");
const SIMULATE: &[u8] = include_bytes!("../data/simulate.json");

/// An id in a key, with its end mark.
const ID_BYTES: usize = 38;
/// What the writers add to every key.
const COUNTER_BYTES: usize = 8;
/// What the record holds beside the policy: its head, and number, time, actor and method of the write.
const REVISION_BYTES: usize = 80;
/// In an id of Guardian's dialect, which the client gives: replaced by a number of the same length for each call.
const NUMBER: &str = "000000000000";

const CREATE: &str = "/c1.api.policy.v1.Policies/Create";
/// The path of every call of the echo too, which answers them all alike.
pub const GET: &str = "/c1.api.policy.v1.Policies/Get";
const GUARDIAN_CREATE: &str = "/gotocompany.guardian.v1beta1.GuardianService/CreatePolicy";
const GUARDIAN_GET: &str = "/gotocompany.guardian.v1beta1.GuardianService/GetPolicy";
const SIMULATION: &str = "/countersign.v1.Simulator/Simulate";

/// The calls of one dialect, its policy being there.
pub struct Stored {
    pub creates: Http2,
    pub gets: Http2,
    /// The message of a Get, for the echo.
    pub get: Vec<u8>,
    /// The policy as it is stored.
    policy: Vec<u8>,
    /// The path of the policy over REST.
    pub path: String,
}

/// Makes a policy of ConductorOne's shape.
pub fn store(server: &Process, json: &[u8]) -> Result<Stored, Fault> {
    let creates = Http2::grpc(server.addr, CREATE, &message("c1.api.policy.v1.CreatePolicyRequest", json)?)?;
    let answer = once(&creates)?;
    let policy = CreatePolicyResponse::decode(answer.as_slice())?.policy.ok_or("no policy was answered")?;
    let get = GetPolicyRequest { id: policy.id.clone() }.encode_to_vec();
    let path = format!("/api/v1/policies/{}", policy.id);
    let gets = Http2::grpc(server.addr, GET, &get)?;
    Ok(Stored { creates, gets, get, policy: policy.encode_to_vec(), path })
}

/// Makes a policy of Guardian's dialect.
pub fn store_guardian(server: &Process, json: &[u8]) -> Result<Stored, Fault> {
    let bytes = message("gotocompany.guardian.v1beta1.Policy", json)?;
    let mut policy = guardian::Policy::decode(bytes.as_slice())?;
    policy.id = format!("{}-{NUMBER}", policy.id);
    let create = guardian::CreatePolicyRequest { policy: Some(policy.clone()), dry_run: false };
    let creates =
        Http2::grpc(server.addr, GUARDIAN_CREATE, &create.encode_to_vec())?.numbered(NUMBER.as_bytes())?;
    let answer = once(&creates)?;
    let made = guardian::CreatePolicyResponse::decode(answer.as_slice())?;
    let policy = made.policy.ok_or("no policy was answered")?;
    let get = guardian::GetPolicyRequest { id: policy.id.clone(), ..guardian::GetPolicyRequest::default() }
        .encode_to_vec();
    let path = format!("/api/v1beta1/policies/{}/versions/1", policy.id);
    let gets = Http2::grpc(server.addr, GUARDIAN_GET, &get)?;
    Ok(Stored { creates, gets, get, policy: policy.encode_to_vec(), path })
}

/// The message of a Simulate and the call: a request against a stored policy of five stages.
pub fn simulation(server: &Process) -> Result<(Vec<u8>, Http2), Fault> {
    let create = message("c1.api.policy.v1.CreatePolicyRequest", FIVE_STAGES)?;
    let answer = once(&Http2::grpc(server.addr, CREATE, &create)?)?;
    let policy = CreatePolicyResponse::decode(answer.as_slice())?.policy.ok_or("no policy was answered")?;
    let bytes = message("countersign.v1.SimulateRequest", SIMULATE)?;
    let mut request = SimulateRequest::decode(bytes.as_slice())?;
    request.policy = Some(PolicySource { policy: Some(Policy::Id(policy.id)), ..PolicySource::default() });
    let request = request.encode_to_vec();
    let calls = Http2::grpc(server.addr, SIMULATION, &request)?;
    Ok((request, calls))
}

/// A message from its JSON.
fn message(name: &str, json: &[u8]) -> Result<Vec<u8>, Fault> {
    let ty = Schema::new(pb::pool()).message(name).ok_or("no such message")?;
    let mut message = Vec::new();
    decode(&ty, json, &Reading::default(), &mut message).map_err(|error| error.to_string())?;
    Ok(message)
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
