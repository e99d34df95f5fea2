//! Every write leaves a revision. No API shows them yet, so they are read from the data directory.

use countersign::pb::c1::api::policy::v1::{DeletePolicyRequest, Policy, UpdatePolicyRequest};
use countersign::store::{self, Location, Options};
use prost::Message as _;
use prost_types::FieldMask;

use super::{PoliciesClient, accept, create, get, grant};
use crate::harness::{ManualClock, Revision, Server, revisions, settings};

#[tokio::test]
async fn every_write_leaves_one() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::Sled(directory.path().join("data"));
    let clock = ManualClock::at(1_800_000_000);
    let server = Server::with(&settings(&location.to_string(), &[]), clock.clone()).await;
    let mut client = PoliciesClient::new(server.channel().await);
    let made = create(&mut client, grant("Name", vec![accept()])).await;
    let id = made.id.clone();
    clock.advance(1);
    let policy = Policy { id: id.clone(), description: "text".to_owned(), ..Policy::default() };
    let update_mask =
        Some(FieldMask { paths: vec!["description".to_owned(), "policySteps.grant".to_owned()] });
    let refused = client.update(UpdatePolicyRequest { policy: Some(policy.clone()), update_mask }).await;
    let updated = refused.unwrap().into_inner().policy.unwrap();
    clock.advance(1);
    let policy = Policy { display_name: "Other".to_owned(), ..policy };
    client.update(UpdatePolicyRequest { policy: Some(policy), update_mask: None }).await.unwrap();
    let renamed = get(&mut client, &id).await;
    let update_mask = Some(FieldMask { paths: vec!["nothing".to_owned()] });
    client.update(UpdatePolicyRequest { policy: Some(renamed.clone()), update_mask }).await.unwrap_err();
    clock.advance(1);
    client.delete(DeletePolicyRequest { id: id.clone() }).await.unwrap();
    let gone = get(&mut client, &id).await;
    server.stop().await;

    let store = store::open(Options::new(location)).unwrap();
    let found = revisions(store.as_ref(), &id).await;
    let revision = |number: u64, method: &str, mask: &[&str], document: &Policy| Revision {
        number,
        time: Some(prost_types::Timestamp {
            seconds: 1_799_999_999 + i64::try_from(number).unwrap(),
            nanos: 0,
        }),
        actor: "anonymous".to_owned(),
        method: format!("c1.api.policy.v1.Policies/{method}"),
        mask: mask.iter().map(|path| (*path).to_owned()).collect(),
        document: document.encode_to_vec(),
    };
    let wanted = [
        revision(1, "Create", &[], &made),
        revision(2, "Update", &["description", "policy_steps.grant"], &updated),
        revision(3, "Update", &["display_name", "description"], &renamed),
        revision(4, "Delete", &[], &gone),
    ];
    assert_eq!(found, wanted);
    store.close().await;
}
