//! Compiled policies: each revision is compiled once, and what it means is kept for those who ask again.

use super::{App, Error, records};
use crate::pb::c1::api::policy::v1::{Policy, PolicyType};
use crate::policy::Violations;
use crate::policy::c1::{self, Surroundings};
use crate::workflow::Workflow;
use crate::workflow::world::TaskKind;
use std::sync::Arc;
use uuid::Uuid;

/// How many compiled policies are kept.
pub const WORKFLOWS_CACHED_MAX: usize = 4096;

/// The compiled form of revisions, by policy id and number. A revision never changes, so nothing is ever stale.
#[derive(Debug)]
pub(super) struct Workflows {
    by_revision: quick_cache::sync::Cache<(String, u64), Meaning>,
}

/// What one revision of a policy means, and what must be known of its document beside.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    pub(super) workflow: Arc<Workflow>,
    /// `None` for a policy without a type.
    pub(super) kind: Option<TaskKind>,
    /// Whether the revision is the deletion of the policy.
    is_deletion: bool,
}

impl Default for Workflows {
    fn default() -> Self {
        Workflows { by_revision: quick_cache::sync::Cache::new(WORKFLOWS_CACHED_MAX) }
    }
}

/// A policy that an earlier version stored and this one does not compile. It can be read and deleted, and is never
/// evaluated.
#[derive(Debug)]
pub struct Uncompiled {
    /// The policy.
    pub id: String,
    /// What is wrong with it.
    pub violations: Violations,
}

impl App {
    /// What the policy `id` means as it stands.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a policy that is not there or deleted; [`Error::Uncompiled`] for one that an earlier
    /// version stored and this one refuses.
    pub async fn workflow(&self, id: &str) -> Result<Arc<Workflow>, Error> {
        Ok(self.meaning(id).await?.1.workflow)
    }

    /// What one revision of the policy `id` means.
    ///
    /// # Errors
    /// [`Error::Uncompiled`].
    pub(super) fn meaning_of(&self, id: &str, number: u64, policy: &Policy) -> Result<Meaning, Error> {
        let key = (id.to_owned(), number);
        if let Some(meaning) = self.workflows.by_revision.get(&key) {
            return Ok(meaning);
        }
        let compiled = c1::compile(policy, self.surroundings(Some(id)));
        let compiled = compiled.map_err(|violations| Error::Uncompiled { id: id.to_owned(), violations })?;
        let meaning = Meaning {
            workflow: Arc::new(compiled.workflow),
            kind: task_kind(policy),
            is_deletion: policy.deleted_at.is_some(),
        };
        self.workflows.by_revision.insert(key, meaning.clone());
        Ok(meaning)
    }

    /// What the policy `id` means as it stands, and the number of its revision. Does not look at a document whose meaning is known.
    ///
    /// # Errors
    /// As [`App::workflow`].
    pub(super) async fn meaning(&self, id: &str) -> Result<(u64, Meaning), Error> {
        let missing = || Error::NotFound { id: id.to_owned() };
        let (_, record) = self.record(id).await?.ok_or_else(missing)?;
        if let Some(known) = self.workflows.by_revision.get(&(id.to_owned(), record.number)) {
            return if known.is_deletion { Err(missing()) } else { Ok((record.number, known)) };
        }
        let policy: Policy = records::read(&record.document)?;
        if policy.deleted_at.is_some() {
            return Err(missing());
        }
        let meaning = self.meaning_of(id, record.number, &policy)?;
        Ok((record.number, meaning))
    }

    /// The stored policies that do not compile.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn uncompiled(&self) -> Result<Vec<Uncompiled>, Error> {
        let live: Vec<Uuid> = self.catalogue.entries().live_after(None).collect();
        let mut found = Vec::new();
        for id in live {
            match self.workflow(&id.to_string()).await {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(Error::Uncompiled { id, violations }) => found.push(Uncompiled { id, violations }),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// What compiling must know that is not in the document.
    pub(super) fn surroundings<'a>(&self, own_id: Option<&'a str>) -> Surroundings<'a> {
        Surroundings { own_id, nobody: self.nobody }
    }
}

/// What type of task a policy is for; `None` if it does not say.
pub(super) fn task_kind(policy: &Policy) -> Option<TaskKind> {
    match PolicyType::try_from(policy.policy_type) {
        Ok(PolicyType::Grant) => Some(TaskKind::Grant),
        Ok(PolicyType::Revoke) => Some(TaskKind::Revoke),
        Ok(PolicyType::Certify) => Some(TaskKind::Certify),
        _ => None,
    }
}
