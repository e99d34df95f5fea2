//! Everybody and everything that is known, with the indexes that make a question cheap.

use crate::expr::{self, AppUser, DirectoryError, Enrollment, Entitlement, Group, User};
use crate::workflow::GroupRef;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

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
    /// The places of people, by id.
    by_id: Vec<usize>,
    /// By id.
    apps: Vec<App>,
    /// By app and id, as are resources.
    entitlements: Vec<EntitlementInfo>,
    resources: Vec<Resource>,
    groups: Vec<Arc<Group>>,
    administrators: Vec<String>,
    seldom: Seldom,
}

/// Indexes for questions that most policies never ask, made when the first is asked.
#[derive(Clone, Debug, Default)]
struct Seldom {
    /// Lower-cased.
    by_email: OnceLock<BTreeMap<String, usize>>,
    by_name: OnceLock<BTreeMap<String, usize>>,
    reports: OnceLock<BTreeMap<String, Vec<usize>>>,
    /// Members by entitlement, from both sides, each once.
    members: OnceLock<BTreeMap<(String, String), Vec<usize>>>,
}

impl PartialEq for Seldom {
    /// They say nothing that the directory does not say.
    fn eq(&self, _: &Seldom) -> bool {
        true
    }
}

impl EntitlementInfo {
    fn key(&self) -> (&str, &str) {
        (&self.entitlement.app_id, &self.entitlement.id)
    }
}

impl Resource {
    fn key(&self) -> (&str, &str) {
        (&self.app_id, &self.id)
    }
}

impl Directory {
    /// A directory of these.
    pub fn new(
        people: Vec<Person>,
        mut apps: Vec<App>,
        mut entitlements: Vec<EntitlementInfo>,
        mut resources: Vec<Resource>,
        groups: Vec<Group>,
        administrators: Vec<String>,
    ) -> Directory {
        // The order of equal ones stays, so that the first is kept.
        apps.sort_by(|a, b| a.id.cmp(&b.id));
        apps.dedup_by(|later, first| later.id == first.id);
        entitlements.sort_by(|a, b| a.key().cmp(&b.key()));
        entitlements.dedup_by(|later, first| later.key() == first.key());
        resources.sort_by(|a, b| a.key().cmp(&b.key()));
        resources.dedup_by(|later, first| later.key() == first.key());
        let id = |n: usize| people.get(n).map(|person| person.user.id.as_str());
        let mut by_id: Vec<usize> = (0..people.len()).collect();
        by_id.sort_by(|a, b| id(*a).cmp(&id(*b)));
        by_id.dedup_by(|later, first| id(*later) == id(*first));
        let groups = groups.into_iter().map(Arc::new).collect();
        Directory {
            people,
            by_id,
            apps,
            entitlements,
            resources,
            groups,
            administrators,
            seldom: Seldom::default(),
        }
    }

    fn by_email(&self) -> &BTreeMap<String, usize> {
        self.seldom.by_email.get_or_init(|| {
            let mut found = BTreeMap::new();
            for (n, Person { user, .. }) in self.people.iter().enumerate() {
                for email in
                    std::iter::once(&user.email).chain(&user.emails).filter(|email| !email.is_empty())
                {
                    found.entry(email.to_lowercase()).or_insert(n);
                }
            }
            found
        })
    }

    fn by_name(&self) -> &BTreeMap<String, usize> {
        self.seldom.by_name.get_or_init(|| {
            let mut found = BTreeMap::new();
            for (n, Person { user, .. }) in self.people.iter().enumerate() {
                if !user.display_name.is_empty() {
                    found.entry(user.display_name.clone()).or_insert(n);
                }
            }
            found
        })
    }

    fn reports(&self) -> &BTreeMap<String, Vec<usize>> {
        self.seldom.reports.get_or_init(|| {
            let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (n, person) in self.people.iter().enumerate() {
                for manager in person.managers.iter().collect::<BTreeSet<_>>() {
                    found.entry(manager.clone()).or_default().push(n);
                }
            }
            found
        })
    }

    fn members(&self) -> &BTreeMap<(String, String), Vec<usize>> {
        self.seldom.members.get_or_init(|| {
            let mut found: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
            for info in &self.entitlements {
                let (app_id, id) = info.key();
                let members = info.members.iter().filter_map(|id| self.place(id));
                found.entry((app_id.to_owned(), id.to_owned())).or_default().extend(members);
            }
            for (n, person) in self.people.iter().enumerate() {
                for group in &person.groups {
                    let key = (group.app_id.clone(), group.entitlement_id.clone());
                    found.entry(key).or_default().push(n);
                }
            }
            for members in found.values_mut() {
                let mut seen = BTreeSet::new();
                members.retain(|member| seen.insert(*member));
            }
            found
        })
    }

    /// Everybody, in the order given.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Every entitlement, by app and id.
    pub fn entitlements(&self) -> impl Iterator<Item = &EntitlementInfo> {
        self.entitlements.iter()
    }

    fn place(&self, id: &str) -> Option<usize> {
        let id_of = |n: &usize| self.people.get(*n).map(|person| person.user.id.as_str());
        let found = self.by_id.binary_search_by(|n| id_of(n).cmp(&Some(id))).ok()?;
        self.by_id.get(found).copied()
    }

    /// Who has this id.
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.get(self.place(id)?)
    }

    /// Every app, by id.
    pub fn apps(&self) -> impl Iterator<Item = &App> {
        self.apps.iter()
    }

    /// Every resource, by app and id.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter()
    }

    /// The app of this id.
    pub fn app(&self, id: &str) -> Option<&App> {
        let found = self.apps.binary_search_by(|app| app.id.as_str().cmp(id)).ok()?;
        self.apps.get(found)
    }

    /// The entitlement of this id in an app.
    pub fn entitlement(&self, app_id: &str, id: &str) -> Option<&EntitlementInfo> {
        let found = self.entitlements.binary_search_by(|one| one.key().cmp(&(app_id, id))).ok()?;
        self.entitlements.get(found)
    }

    /// The owners of a resource; nobody for one that is not known.
    pub fn resource_owners(&self, app_id: &str, id: &str) -> &[String] {
        let found = self.resources.binary_search_by(|one| one.key().cmp(&(app_id, id))).ok();
        let found = found.and_then(|found| self.resources.get(found));
        found.map_or(&[], |resource| resource.owners.as_slice())
    }

    /// Ids of those who are asked where a policy falls back on administrators.
    pub fn administrators(&self) -> &[String] {
        &self.administrators
    }

    /// How many people and things are in it, and links between them.
    pub fn size(&self) -> usize {
        let people = self.people.iter().map(|one| 1 + one.managers.len() + one.groups.len());
        let apps = self.apps.iter().map(|one| 1 + one.owners.len() + one.accounts.len());
        let entitlements = self.entitlements.iter().map(|one| 1 + one.owners.len() + one.members.len());
        let resources = self.resources.iter().map(|one| 1 + one.owners.len());
        let all = people.chain(apps).chain(entitlements).chain(resources);
        all.sum::<usize>() + self.groups.len() + self.administrators.len()
    }

    /// Ids of the members of an entitlement, each once.
    pub fn member_ids(&self, app_id: &str, id: &str) -> Vec<String> {
        self.users_of(app_id, id).map(|user| user.id.clone()).collect()
    }

    fn users_of(&self, app_id: &str, id: &str) -> impl Iterator<Item = &Arc<User>> {
        let members = self.members().get(&(app_id.to_owned(), id.to_owned())).into_iter().flatten();
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
        Ok(self.user_at(self.by_email().get(&email.to_lowercase())))
    }

    fn user_by_name(&self, name: &str) -> Answer<Option<Arc<User>>> {
        Ok(self.user_at(self.by_name().get(name)))
    }

    fn managers(&self, user_id: &str) -> Answer<Vec<Arc<User>>> {
        Ok(self.person(user_id).map(|person| self.users(&person.managers)).unwrap_or_default())
    }

    fn direct_reports(&self, user_id: &str) -> Answer<Vec<Arc<User>>> {
        let reports = self.reports().get(user_id).into_iter().flatten();
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
