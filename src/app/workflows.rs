//! Compiled policies: each revision is compiled once, and what it means is kept for those who ask again.

use super::{App, Error};
use crate::pb::c1::api::policy::v1::Policy;
use crate::policy::Violations;
use crate::policy::c1::{self, Surroundings};
use crate::workflow::Workflow;
use std::sync::Arc;
use uuid::Uuid;

/// How many compiled policies are kept.
pub const WORKFLOWS_CACHED_MAX: usize = 4096;

/// The compiled form of revisions, by policy id and number. A revision never changes, so nothing is ever stale.
#[derive(Debug)]
pub(super) struct Workflows {
    by_revision: quick_cache::sync::Cache<(String, u64), Arc<Workflow>>,
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
        let current = self.live(id).await?;
        self.workflow_of(id, current.record.number, &current.policy)
    }

    /// What one revision of the policy `id` means.
    ///
    /// # Errors
    /// [`Error::Uncompiled`].
    pub(super) fn workflow_of(&self, id: &str, number: u64, policy: &Policy) -> Result<Arc<Workflow>, Error> {
        let key = (id.to_owned(), number);
        if let Some(workflow) = self.workflows.by_revision.get(&key) {
            return Ok(workflow);
        }
        let compiled = c1::compile(policy, self.surroundings(Some(id)));
        let compiled = compiled.map_err(|violations| Error::Uncompiled { id: id.to_owned(), violations })?;
        let workflow = Arc::new(compiled.workflow);
        self.workflows.by_revision.insert(key, Arc::clone(&workflow));
        Ok(workflow)
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
