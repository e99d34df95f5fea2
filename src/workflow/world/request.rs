//! One request, and the facts that expressions see of it.

use super::{Account, Directory};
use crate::expr::{AppUser, Attributes, Entitlement, Facts, Task, TaskAnalysis, TaskOrigin, User};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What kind of task a request makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskKind {
    /// Somebody gets access.
    #[default]
    Grant,
    /// Somebody loses access.
    Revoke,
    /// Somebody's access is reviewed.
    Certify,
}

/// One request. The fields are those of `countersign.v1.Request`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Whose access it is about: the id of a user.
    pub subject_id: String,
    /// Who asked; empty = the subject.
    pub requester_id: String,
    pub app_id: String,
    pub entitlement_id: String,
    /// Empty = the subject's first account in the app, if any.
    pub account_id: String,
    /// Empty = the one that the directory names for the entitlement.
    pub resource_id: String,
    /// `None` = for ever.
    pub grant_duration: Option<TimeDelta>,
    pub origin: TaskOrigin,
    pub created_at: Option<DateTime<Utc>>,
    pub ip: Option<IpAddr>,
    /// Laid over the subject's attributes.
    pub attributes: Attributes,
    pub display_name: String,
    pub task_id: String,
    pub numeric_id: String,
    pub analysis: TaskAnalysis,
    /// For Guardian's policies.
    pub appeal: Option<Appeal>,
}

/// A hypothetical appeal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Appeal {
    /// In the shape of `$appeal`: a JSON object with keys in snake_case.
    pub appeal: serde_json::Map<String, serde_json::Value>,
    /// What each metadata source comes to, by its key.
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// How many of the steps of the policy are its own; what comes after them is an answer to its custom steps. `None` = all.
    pub own_steps: Option<usize>,
    /// When the grant ends that there is already.
    pub active_grant_until: Option<DateTime<Utc>>,
    /// Made by a requirement, so that its own are not looked at.
    pub additional: bool,
    pub provider_allows_permanent_access: bool,
    /// As written; empty = the provider does not say.
    pub provider_extension_within: String,
}

impl Request {
    /// Who asked.
    pub fn requester(&self) -> &str {
        if self.requester_id.is_empty() { &self.subject_id } else { &self.requester_id }
    }

    /// The account that it is about.
    pub fn account<'d>(&self, directory: &'d Directory) -> Option<&'d Account> {
        let app = directory.app(&self.app_id)?;
        if self.account_id.is_empty() {
            return app.accounts.iter().find(|account| account.user_id == self.subject_id);
        }
        app.accounts.iter().find(|account| account.account.id == self.account_id)
    }

    /// The resource that it is about; empty if there is none.
    pub fn resource<'a>(&'a self, directory: &'a Directory) -> &'a str {
        if !self.resource_id.is_empty() {
            return &self.resource_id;
        }
        let entitlement = directory.entitlement(&self.app_id, &self.entitlement_id);
        entitlement.map_or("", |entitlement| entitlement.resource_id.as_str())
    }

    /// What expressions see of it. `now` stands in for the time at which it was made.
    pub fn facts(&self, directory: &Directory, now: DateTime<Utc>) -> Facts {
        let task = Task {
            id: self.task_id.clone(),
            numeric_id: self.numeric_id.clone(),
            display_name: self.display_name.clone(),
            subject_user_id: self.subject_id.clone(),
            requestor_user_id: self.requester().to_owned(),
            origin: self.origin,
            created_at: Some(self.created_at.unwrap_or(now)),
            is_grant_permanent: self.grant_duration.is_none(),
            grant_duration: self.grant_duration,
            analysis: self.analysis.clone(),
        };
        Facts {
            subject: self.subject(directory),
            account: self
                .account(directory)
                .map_or_else(Arc::<AppUser>::default, |one| Arc::clone(&one.account)),
            entitlement: self.entitlement(directory),
            task: Arc::new(task),
            ip: self.ip,
        }
    }

    fn subject(&self, directory: &Directory) -> Arc<User> {
        let known = directory.person(&self.subject_id).map(|person| Arc::clone(&person.user));
        let subject =
            known.unwrap_or_else(|| Arc::new(User { id: self.subject_id.clone(), ..User::default() }));
        if self.attributes.is_empty() {
            return subject;
        }
        let mut subject = User::clone(&subject);
        subject.attributes.extend(self.attributes.clone());
        Arc::new(subject)
    }

    fn entitlement(&self, directory: &Directory) -> Arc<Entitlement> {
        let known = directory.entitlement(&self.app_id, &self.entitlement_id);
        known.map_or_else(
            || {
                let (id, app_id) = (self.entitlement_id.clone(), self.app_id.clone());
                Arc::new(Entitlement { id, app_id, ..Entitlement::default() })
            },
            |known| Arc::clone(&known.entitlement),
        )
    }
}
