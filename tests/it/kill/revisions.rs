//! The revisions of every policy and the audit trail, read from the data directory itself.

use std::path::Path;

use countersign::app::verify_store;
use countersign::pb::c1::api::policy::v1::Policy;
use countersign::store::{self, Location, Options};
use prost::Message as _;

use super::client::{Pending, Writer};
use crate::harness::revisions;

/// Every policy has a revision for each acknowledged write, from 1 on without a gap, and the last one is what was
/// acknowledged last, or what was under way.
pub async fn check(directory: &Path, writers: &mut [Writer]) {
    let options = Options::new(Location::Sled(directory.to_owned()));
    let store = tokio::task::spawn_blocking(move || store::open(options)).await.unwrap().unwrap();
    for known in writers.iter().flat_map(|writer| &writer.known) {
        let revisions = revisions(store.as_ref(), &known.policy.id).await;
        let numbers: Vec<u64> = revisions.iter().map(|revision| revision.number).collect();
        let acknowledged: Vec<u64> = (1..=known.number).collect();
        let under_way: Vec<u64> = (1..=known.number + 1).collect();
        assert!(
            numbers == acknowledged || (known.pending.is_some() && numbers == under_way),
            "{numbers:?} of {known:?}"
        );
        for (n, revision) in revisions.iter().enumerate() {
            let document = Policy::decode(revision.document.as_slice()).unwrap();
            assert_eq!(document.id, known.policy.id);
            assert_eq!(revision.time, document.deleted_at.or(document.updated_at));
            assert_eq!(revision.actor, "anonymous");
            let method = match (n, document.deleted_at) {
                (0, _) => "c1.api.policy.v1.Policies/Create",
                (_, None) => "c1.api.policy.v1.Policies/Update",
                (_, Some(_)) => "c1.api.policy.v1.Policies/Delete",
            };
            assert_eq!(revision.method, method);
            assert_eq!(revision.mask.len(), usize::from(method.ends_with("Update")));
        }
        let last = Policy::decode(revisions.last().unwrap().document.as_slice()).unwrap();
        if numbers == acknowledged {
            let wanted = Policy { deleted_at: last.deleted_at, ..known.policy.clone() };
            assert_eq!(last, wanted);
            assert_eq!(last.deleted_at.is_some(), known.policy.deleted_at.is_some());
        } else if let Some(Pending::Update(after)) = &known.pending {
            assert_eq!(last, Policy { updated_at: last.updated_at, ..(**after).clone() });
        }
    }
    let verified = verify_store(store.as_ref(), []).await.unwrap();
    assert_eq!(verified.faults, [""; 0]);
    let written: u64 = writers.iter().flat_map(|writer| &writer.known).map(|known| known.number).sum();
    assert!(verified.entries >= written, "{} entries of {written} writes", verified.entries);
    store.close().await;
}
