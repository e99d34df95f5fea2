//! Compiled policies: each revision is compiled once, and what it means is kept for those who ask again.

use super::records::{id_of, tables};
use super::{App, Error};
use crate::policy::Violations;
use crate::policy::c1::{self, Surroundings};
use crate::store::table::Key;
use crate::store::{Direction, SCAN_MAX_RECORDS};
use crate::workflow::Workflow;
use std::sync::Arc;

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
        let key = (id.to_owned(), current.record.number);
        if let Some(workflow) = self.workflows.by_revision.get(&key) {
            return Ok(workflow);
        }
        let compiled = c1::compile(&current.policy, self.surroundings(Some(id)));
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
        let mut found = Vec::new();
        let mut range = Key::new(tables::LIVE).range();
        loop {
            let entries = self.store.scan(range.clone(), Direction::Ascending, SCAN_MAX_RECORDS).await?;
            for (key, _) in &entries {
                let id = id_of(tables::LIVE, key)?;
                match self.workflow(&id).await {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(Error::Uncompiled { id, violations }) => found.push(Uncompiled { id, violations }),
                    Err(error) => return Err(error),
                }
            }
            match entries.last() {
                Some((last, _)) if entries.len() == SCAN_MAX_RECORDS => range = range.after(last),
                _ => return Ok(found),
            }
        }
    }

    /// What compiling must know that is not in the document.
    pub(super) fn surroundings<'a>(&self, own_id: Option<&'a str>) -> Surroundings<'a> {
        Surroundings { own_id, nobody: self.nobody }
    }
}
