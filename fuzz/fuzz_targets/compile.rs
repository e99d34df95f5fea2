//! Decode, prepare and compile: no JSON may make any of it panic, and what compiles is of one piece. The first byte chooses
//! the setting for approvals that find nobody, the rest is the document.

#![no_main]

use std::sync::LazyLock;

use countersign::pb;
use countersign::pb::c1::api::policy::v1::Policy;
use countersign::policy::c1::{Surroundings, compile, prepare, references};
use countersign::wire::json::{Reading, decode};
use countersign::wire::{Schema, Type};
use countersign::workflow::{Destination, Nobody};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

static POLICY: LazyLock<Type> =
    LazyLock::new(|| Schema::new(pb::pool()).message("c1.api.policy.v1.Policy").expect("it is there"));

fuzz_target!(|data: &[u8]| {
    let Some((first, json)) = data.split_first() else { return };
    let nobody = [Nobody::Block, Nobody::Skip, Nobody::Deny][usize::from(*first) % 3];
    let reading = Reading { blank_is_unset: true, ..Reading::default() };
    let mut bytes = Vec::new();
    if decode(&POLICY, json, &reading, &mut bytes).is_err() {
        return;
    }
    let mut policy = Policy::decode(bytes.as_slice()).expect("what was written decodes");
    prepare(&mut policy);
    assert!(prepare(&mut policy.clone()).is_empty(), "what is prepared stays as it is");
    let _ = references(&policy);
    let id = policy.id.clone();
    let own_id = Some(id.as_str()).filter(|id| !id.is_empty());
    match compile(&policy, Surroundings { own_id, nobody }) {
        Ok(compiled) => {
            let workflow = compiled.workflow;
            for to in workflow.routes.iter().map(|route| &route.to).chain([&workflow.baseline]) {
                if let Destination::Sequence(key) = to {
                    assert!(workflow.sequences.contains_key(key), "{key}");
                }
            }
            assert!(workflow.sequences.values().all(|sequence| !sequence.stages.is_empty()));
        }
        Err(violations) => assert!(violations.iter().count() > 0),
    }
});
