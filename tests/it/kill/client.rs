//! A client that writes one after the other to policies of its own, and knows what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use countersign::pb::c1::api::policy::v1::policies_client::PoliciesClient;
use countersign::pb::c1::api::policy::v1::{
    Accept, CreatePolicyRequest, DeletePolicyRequest, Policy, PolicyStep, PolicySteps, PolicyType,
    UpdatePolicyRequest, policy_step::Step,
};
use prost_types::FieldMask;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::binary::Binary;
use crate::harness::Dice;

/// The time between two kills.
pub struct Round {
    binary: Arc<Binary>,
    /// Killed with this acknowledgement,
    kill_at: usize,
    /// after the test's own tasks had so many chances to run.
    yields: usize,
    acknowledged: AtomicUsize,
    killed: AtomicBool,
}

impl Round {
    pub fn new(binary: Arc<Binary>, kill_at: usize, yields: usize) -> Round {
        Round { binary, kill_at, yields, acknowledged: AtomicUsize::new(0), killed: AtomicBool::new(false) }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    async fn acknowledge(&self) {
        if self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == self.kill_at {
            for _ in 0..self.yields {
                tokio::task::yield_now().await;
            }
            self.killed.store(true, Ordering::SeqCst);
            self.binary.kill();
        }
    }
}

/// What a client asked for and got no answer to.
#[derive(Debug, Clone)]
pub enum Pending {
    /// The policy as it would be, but for `updatedAt`.
    Update(Box<Policy>),
    Delete,
}

/// A policy that was acknowledged.
#[derive(Debug, Clone)]
pub struct Known {
    pub policy: Policy,
    /// How many writes of it were acknowledged.
    pub number: u64,
    /// The etag of the last one; a delete answers none.
    pub etag: Option<String>,
    pub old_names: Vec<String>,
    pub pending: Option<Pending>,
    /// Since the last check.
    pub written: bool,
}

/// A create, and the key it was sent with.
#[derive(Debug, Clone)]
pub struct Create {
    pub request: CreatePolicyRequest,
    pub key: Option<String>,
    /// The policy that it made, if it was acknowledged.
    pub id: Option<String>,
}

/// One client.
#[derive(Debug)]
pub struct Writer {
    n: usize,
    dice: Dice,
    names: usize,
    pub known: Vec<Known>,
    /// The creates since the last check; only the last may be unacknowledged.
    pub creates: Vec<Create>,
}

impl Writer {
    pub fn new(n: usize, dice: Dice) -> Writer {
        Writer { n, dice, names: 0, known: Vec::new(), creates: Vec::new() }
    }

    pub async fn write_until_killed(mut self, channel: Channel, round: Arc<Round>) -> Writer {
        let mut client = PoliciesClient::new(channel);
        loop {
            match self.write(&mut client).await {
                Ok(()) => round.acknowledge().await,
                Err(_) if round.killed.load(Ordering::SeqCst) => return self,
                Err(status) => panic!("refused before the kill: {status:?}\n{:?}", self.creates.last()),
            }
        }
    }

    async fn write(&mut self, client: &mut PoliciesClient<Channel>) -> Result<(), Status> {
        // The first one is what others refer to; it is never changed.
        let live: Vec<usize> =
            (1..self.known.len()).filter(|n| self.known[*n].policy.deleted_at.is_none()).collect();
        let of_all = self.dice.below(10);
        match live.len() {
            0 => self.create(client).await,
            _ if of_all < 4 => self.create(client).await,
            count => {
                let chosen = live[self.dice.below(count)];
                if of_all < 9 { self.update(client, chosen).await } else { self.delete(client, chosen).await }
            }
        }
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("Writer{} name{}", self.n, self.names)
    }

    async fn create(&mut self, client: &mut PoliciesClient<Channel>) -> Result<(), Status> {
        let name = self.new_name();
        let base = self.known.first().map(|known| known.policy.id.clone());
        let mut request = CreatePolicyRequest {
            description: format!("made as {name}"),
            display_name: name,
            policy_type: PolicyType::Grant.into(),
            ..CreatePolicyRequest::default()
        };
        match base.filter(|_| self.dice.one_in(4)) {
            Some(base) => request.baseline_policy_id = base,
            None => {
                // Now and then a document that nearly fills what one may hold.
                let length = if self.dice.one_in(12) { 120_000 } else { self.dice.below(2000) };
                let step = Step::Accept(Accept { accept_message: "x".repeat(length) });
                let steps = vec![PolicyStep { step: Some(step) }];
                request.policy_steps.insert("grant".to_owned(), PolicySteps { steps });
            }
        }
        let key = self.dice.one_in(2).then(|| format!("{}-{}", self.n, self.names));
        self.creates.push(Create { request: request.clone(), key: key.clone(), id: None });
        let mut request = Request::new(request);
        if let Some(key) = key {
            request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
        }
        let answer = client.create(request).await?;
        let etag = etag(answer.metadata());
        let policy = answer.into_inner().policy.unwrap();
        self.creates.last_mut().unwrap().id = Some(policy.id.clone());
        self.known.push(Known {
            policy,
            number: 1,
            etag,
            old_names: Vec::new(),
            pending: None,
            written: true,
        });
        Ok(())
    }

    async fn update(&mut self, client: &mut PoliciesClient<Channel>, chosen: usize) -> Result<(), Status> {
        let name = self.new_name();
        let before = self.known[chosen].policy.clone();
        let mut after = before.clone();
        let path = match self.dice.below(3) {
            0 => {
                after.display_name = name;
                "display_name"
            }
            1 => {
                after.description = format!("changed as {name}");
                "description"
            }
            _ => {
                after.annotations.insert("changed".to_owned(), name.replace(' ', "-"));
                "annotations"
            }
        };
        self.known[chosen].written = true;
        self.known[chosen].pending = Some(Pending::Update(Box::new(after.clone())));
        let update_mask = Some(FieldMask { paths: vec![path.to_owned()] });
        // What the mask does not name is not what is there, so that it would show if it were written.
        let sent = match path {
            "display_name" => Policy { display_name: after.display_name.clone(), ..Policy::default() },
            "description" => Policy { description: after.description.clone(), ..Policy::default() },
            _ => Policy { annotations: after.annotations.clone(), ..Policy::default() },
        };
        let sent = Policy { id: before.id.clone(), ..sent };
        let answer = client.update(UpdatePolicyRequest { policy: Some(sent), update_mask }).await?;
        let known = &mut self.known[chosen];
        known.pending = None;
        known.number += 1;
        known.etag = etag(answer.metadata());
        let policy = answer.into_inner().policy.unwrap();
        assert_eq!(Policy { updated_at: None, ..policy.clone() }, Policy { updated_at: None, ..after });
        if policy.display_name != before.display_name {
            known.old_names.push(before.display_name);
        }
        known.policy = policy;
        Ok(())
    }

    async fn delete(&mut self, client: &mut PoliciesClient<Channel>, chosen: usize) -> Result<(), Status> {
        let known = &mut self.known[chosen];
        known.written = true;
        known.pending = Some(Pending::Delete);
        client.delete(DeletePolicyRequest { id: known.policy.id.clone() }).await?;
        known.pending = None;
        known.number += 1;
        known.etag = None;
        // When, only the server knows; the next check finds out.
        known.policy.deleted_at = Some(prost_types::Timestamp::default());
        Ok(())
    }
}

pub fn etag(metadata: &MetadataMap) -> Option<String> {
    Some(metadata.get("etag")?.to_str().unwrap().to_owned())
}
