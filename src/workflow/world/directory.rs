//! Everybody and everything that is known, with the indexes that make a question cheap.

use crate::expr::{self, AppUser, DirectoryError, Enrollment, Entitlement, Group, User};
use crate::workflow::GroupRef;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Somebody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Person {
    pub user: Arc<User>,
    /// Ids, the first one first.
    pub managers: Vec<String>,
    /// What the person has, beside what the entitlements say.
    pub groups: Vec<GroupRef>,
    /// Who decides in their place; empty = nobody.
    pub delegate_id: String,
    /// `None` = always.
    pub delegate_since: Option<DateTime<Utc>>,
}

/// An app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct App {
    pub id: String,
    /// Ids of users.
    pub owners: Vec<String>,
    pub accounts: Vec<Account>,
}

/// An account in an app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    pub account: Arc<AppUser>,
    /// Whose it is; empty = nobody's.
    pub user_id: String,
    /// As the app itself has them.
    pub managers: Vec<String>,
}

/// An entitlement, and who has and owns it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntitlementInfo {
    pub entitlement: Arc<Entitlement>,
    pub resource_id: String,
    /// Ids of users.
    pub owners: Vec<String>,
    pub members: Vec<String>,
    /// How members came to it, by user id.
    pub enrollments: BTreeMap<String, Enrollment>,
}

/// A resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    pub id: String,
    pub app_id: String,
    /// Ids of users.
    pub owners: Vec<String>,
}

type Answer<T> = Result<T, DirectoryError>;

/// Everybody and everything. Of two entries with the same id the first counts; whoever makes one refuses that before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directory {
    people: Vec<Person>,
    apps: BTreeMap<String, App>,
    entitlements: BTreeMap<(String, String), EntitlementInfo>,
    resources: BTreeMap<(String, String), Resource>,
    groups: Vec<Arc<Group>>,
    administrators: Vec<String>,
    by_id: BTreeMap<String, usize>,
    /// Lower-cased.
    by_email: BTreeMap<String, usize>,
    by_name: BTreeMap<String, usize>,
    reports: BTreeMap<String, Vec<usize>>,
    /// Members by entitlement, from both sides, each once.
    members: BTreeMap<(String, String), Vec<usize>>,
}

impl Directory {
    /// A directory of these.
    pub fn new(
        people: Vec<Person>,
        apps: Vec<App>,
        entitlements: Vec<EntitlementInfo>,
        resources: Vec<Resource>,
        groups: Vec<Group>,
        administrators: Vec<String>,
    ) -> Directory {
        let mut made = Directory { people, administrators, ..Directory::default() };
        made.groups = groups.into_iter().map(Arc::new).collect();
        for app in apps {
            made.apps.entry(app.id.clone()).or_insert(app);
        }
        for resource in resources {
            let key = (resource.app_id.clone(), resource.id.clone());
            made.resources.entry(key).or_insert(resource);
        }
        for info in entitlements {
            let key = (info.entitlement.app_id.clone(), info.entitlement.id.clone());
            made.entitlements.entry(key).or_insert(info);
        }
        made.index();
        made
    }

    fn index(&mut self) {
        for (n, person) in self.people.iter().enumerate() {
            let user = &person.user;
            self.by_id.entry(user.id.clone()).or_insert(n);
            for email in std::iter::once(&user.email).chain(&user.emails).filter(|email| !email.is_empty()) {
                self.by_email.entry(email.to_lowercase()).or_insert(n);
            }
            if !user.display_name.is_empty() {
                self.by_name.entry(user.display_name.clone()).or_insert(n);
            }
            for manager in person.managers.iter().collect::<BTreeSet<_>>() {
                self.reports.entry(manager.clone()).or_default().push(n);
            }
        }
        for (key, info) in &self.entitlements {
            let members = info.members.iter().filter_map(|id| self.by_id.get(id).copied());
            self.members.entry(key.clone()).or_default().extend(members);
        }
        for (n, person) in self.people.iter().enumerate() {
            for group in &person.groups {
                let key = (group.app_id.clone(), group.entitlement_id.clone());
                self.members.entry(key).or_default().push(n);
            }
        }
        for members in self.members.values_mut() {
            let mut seen = BTreeSet::new();
            members.retain(|member| seen.insert(*member));
        }
    }

    /// Everybody, in the order given.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Every entitlement, by app and id.
    pub fn entitlements(&self) -> impl Iterator<Item = &EntitlementInfo> {
        self.entitlements.values()
    }

    /// Who has this id.
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.get(*self.by_id.get(id)?)
    }

    /// Every app, by id.
    pub fn apps(&self) -> impl Iterator<Item = &App> {
        self.apps.values()
    }

    /// Every resource, by app and id.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }

    /// The app of this id.
    pub fn app(&self, id: &str) -> Option<&App> {
        self.apps.get(id)
    }

    /// The entitlement of this id in an app.
    pub fn entitlement(&self, app_id: &str, id: &str) -> Option<&EntitlementInfo> {
        self.entitlements.get(&(app_id.to_owned(), id.to_owned()))
    }

    /// The owners of a resource; nobody for one that is not known.
    pub fn resource_owners(&self, app_id: &str, id: &str) -> &[String] {
        let found = self.resources.get(&(app_id.to_owned(), id.to_owned()));
        found.map_or(&[], |resource| resource.owners.as_slice())
    }

    /// Ids of those who are asked where a policy falls back on administrators.
    pub fn administrators(&self) -> &[String] {
        &self.administrators
    }

    /// Ids of the members of an entitlement, each once.
    pub fn member_ids(&self, app_id: &str, id: &str) -> Vec<String> {
        self.users_of(app_id, id).map(|user| user.id.clone()).collect()
    }

    fn users_of(&self, app_id: &str, id: &str) -> impl Iterator<Item = &Arc<User>> {
        let members = self.members.get(&(app_id.to_owned(), id.to_owned())).into_iter().flatten();
        members.filter_map(|n| self.people.get(*n)).map(|person| &person.user)
    }

    fn users(&self, ids: &[String]) -> Vec<Arc<User>> {
        ids.iter().filter_map(|id| self.person(id)).map(|person| Arc::clone(&person.user)).collect()
    }

    fn user_at(&self, place: Option<&usize>) -> Option<Arc<User>> {
        place.and_then(|n| self.people.get(*n)).map(|person| Arc::clone(&person.user))
    }

    fn accounts_of(&self, user_id: &str, app_id: &str) -> impl Iterator<Item = &Account> {
        let accounts = self.app(app_id).into_iter().flat_map(|app| &app.accounts);
        accounts.filter(move |account| account.user_id == user_id)
    }
}

/// What expressions ask. Whom a list names and the directory does not know is left out of the answer.
impl expr::Directory for Directory {
    fn user_by_id(&self, user_id: &str) -> Answer<Option<Arc<User>>> {
        Ok(self.person(user_id).map(|person| Arc::clone(&person.user)))
    }

    fn user_by_email(&self, email: &str) -> Answer<Option<Arc<User>>> {
        Ok(self.user_at(self.by_email.get(&email.to_lowercase())))
    }

    fn user_by_name(&self, name: &str) -> Answer<Option<Arc<User>>> {
        Ok(self.user_at(self.by_name.get(name)))
    }

    fn managers(&self, user_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(self.person(user_id).map(|person| self.users(&person.managers)).unwrap_or_default())
    }

    fn direct_reports(&self, user_id: &str) -> Answer<Vec<Arc<User>>> {
        let reports = self.reports.get(user_id).into_iter().flatten();
        Ok(reports.filter_map(|n| self.user_at(Some(n))).collect())
    }

    fn group_by_name(&self, name: &str) -> Answer<Option<Arc<Group>>> {
        Ok(self.groups.iter().find(|group| group.display_name == name).map(Arc::clone))
    }

    fn app_owners(&self, app_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(self.app(app_id).map(|app| self.users(&app.owners)).unwrap_or_default())
    }

    fn app_users(&self, user_id: &str, app_id: &str) -> Answer<Vec<Arc<AppUser>>> {
        Ok(self.accounts_of(user_id, app_id).map(|account| Arc::clone(&account.account)).collect())
    }

    fn app_user_managers(&self, user_id: &str, app_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(self.accounts_of(user_id, app_id).flat_map(|account| self.users(&account.managers)).collect())
    }

    fn entitlement_members(&self, app_id: &str, entitlement_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(self.users_of(app_id, entitlement_id).map(Arc::clone).collect())
    }

    fn entitlement_owners(&self, app_id: &str, entitlement_id: &str) -> Answer<Vec<Arc<User>>> {
        let found = self.entitlement(app_id, entitlement_id);
        Ok(found.map(|info| self.users(&info.owners)).unwrap_or_default())
    }

    fn has_entitlement(&self, user_id: &str, app_id: &str, entitlement_id: &str) -> Answer<bool> {
        Ok(self.users_of(app_id, entitlement_id).any(|user| user.id == user_id))
    }

    fn enrollment(&self, user_id: &str, app_id: &str, entitlement_id: &str) -> Answer<Option<Enrollment>> {
        let found = self.entitlement(app_id, entitlement_id);
        Ok(found.and_then(|info| info.enrollments.get(user_id).copied()))
    }
}
