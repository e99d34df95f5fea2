//! Who is asked: the sources of an approval in order, whom each names, who of them may not decide and why, and who decides in
//! their place.

use super::machine::Run;
use super::state::{Asked, Excluded, Exclusion, Tried};
use crate::expr::UserStatus;
use crate::workflow::world::Person;
use crate::workflow::{Approval, Condition, GroupRef, Source};

/// The most members of a group that are asked; for a larger one the fallback is (reference: section 3.7).
pub const GROUP_MEMBERS_MAX: usize = 128;
/// The most people that one stage asks, whatever its source.
pub const ASKED_MAX: usize = 128;

/// What one source came to.
#[derive(Debug, Default)]
struct Named {
    source: String,
    users: Vec<String>,
    problem: String,
}

impl Run<'_, '_> {
    /// Finds who is asked in the stage that the task is in. False if nobody is.
    pub(super) fn find_approvers(&mut self, approval: &Approval) -> bool {
        let mut distinct = false;
        for (n, source) in approval.sources.iter().enumerate() {
            for mut named in self.named(source) {
                if n > 0 {
                    named.source = format!("fallback {}", named.source);
                }
                distinct |= self.ask(approval, named);
                if self.record().is_some_and(|record| !record.asked.is_empty()) {
                    return true;
                }
            }
        }
        self.or_administrators(approval, distinct)
    }

    /// Where the rule of distinct approvers leaves nobody, administrators decide (reference: section 3.7). False if nobody is
    /// asked even so.
    fn or_administrators(&mut self, approval: &Approval, distinct: bool) -> bool {
        if distinct && self.record().is_some_and(|record| record.asked.is_empty()) {
            self.ask_administrators(approval, "administrators, since all others approved earlier");
        }
        self.record().is_some_and(|record| !record.asked.is_empty())
    }

    /// Asks the administrators instead of anybody else.
    pub(super) fn ask_administrators(&mut self, approval: &Approval, source: &str) {
        let users = self.machine.directory.administrators().to_vec();
        self.ask(approval, Named { source: source.to_owned(), users, problem: String::new() });
    }

    /// Asks these users instead of whoever was asked; false if none of them may decide.
    pub(super) fn ask_instead(&mut self, approval: &Approval, source: &str, users: &[String]) -> bool {
        if let Some(record) = self.record() {
            record.asked.clear();
        }
        let distinct = self.ask(
            approval,
            Named { source: source.to_owned(), users: users.to_vec(), problem: String::new() },
        );
        self.or_administrators(approval, distinct)
    }

    /// Puts down whom a source named: who is asked, and who may not decide. True if somebody may not because they approved
    /// earlier.
    fn ask(&mut self, approval: &Approval, named: Named) -> bool {
        let (mut asked, mut excluded) = (Vec::<Asked>::new(), Vec::new());
        let Named { source, users, mut problem } = named;
        if users.len() > ASKED_MAX {
            problem = format!("only the first {ASKED_MAX} are asked");
        }
        let mut seen = std::collections::BTreeSet::new();
        for user in users.iter().filter(|user| seen.insert(user.as_str())).take(ASKED_MAX) {
            if let Some(why) = self.exclusion(approval, user) {
                // Nobody stands in for somebody who may not decide.
                excluded.push(Excluded { user: user.clone(), source: source.clone(), why });
                continue;
            }
            asked.push(Asked { user: user.clone(), source: source.clone(), delegate_of: String::new() });
            if let Some(delegate) = self.delegate(approval, user)
                && !users.contains(&delegate)
            {
                match self.exclusion(approval, &delegate) {
                    Some(why) => excluded.push(Excluded { user: delegate, source: source.clone(), why }),
                    None => asked.push(Asked {
                        user: delegate,
                        source: source.clone(),
                        delegate_of: user.clone(),
                    }),
                }
            }
        }
        let distinct = excluded.iter().any(|one| one.why == Exclusion::ApprovedEarlier);
        if let Some(record) = self.record() {
            record.sources.push(Tried { source, found: users.len(), problem });
            record.excluded.extend(excluded);
            record.asked.extend(asked);
        }
        distinct
    }

    /// Why a user may not decide.
    pub(super) fn exclusion(&self, approval: &Approval, user: &str) -> Option<Exclusion> {
        let request = self.machine.request;
        let Some(person) = self.machine.directory.person(user) else { return Some(Exclusion::Unknown) };
        match person.user.status {
            UserStatus::Disabled => return Some(Exclusion::Disabled),
            UserStatus::Deleted => return Some(Exclusion::Deleted),
            UserStatus::Enabled | UserStatus::Unspecified => {}
        }
        if !approval.allow_self_approval && user == request.subject_id {
            return Some(Exclusion::Subject);
        }
        if !approval.allow_self_approval && user == request.requester() {
            return Some(Exclusion::Requester);
        }
        let earlier = self.state.approved_by.iter().any(|one| one == user);
        (approval.require_distinct_approvers && earlier).then_some(Exclusion::ApprovedEarlier)
    }

    /// Who decides in a user's place; one level deep, and only for requests made after the delegate was named.
    fn delegate(&self, approval: &Approval, user: &str) -> Option<String> {
        let person: &Person = self.machine.directory.person(user)?;
        let made = self.machine.request.created_at.or(self.state.began)?;
        let counts = approval.allow_delegation
            && !person.delegate_id.is_empty()
            && person.delegate_since.is_none_or(|since| since <= made);
        counts.then(|| person.delegate_id.clone())
    }

    /// Whom a source names. Expressions give one entry each, up to the first that names somebody.
    fn named(&self, source: &Source) -> Vec<Named> {
        let request = self.machine.request;
        let directory = self.machine.directory;
        let one = |source: &str, users: Vec<String>| {
            vec![Named { source: source.to_owned(), users, problem: String::new() }]
        };
        match source {
            Source::Users(users) => one("users", users.clone()),
            Source::Managers => {
                let person = directory.person(&request.subject_id);
                one("managers", person.map(|person| person.managers.clone()).unwrap_or_default())
            }
            Source::AppOwners => one(
                "app owners",
                directory.app(&request.app_id).map(|app| app.owners.clone()).unwrap_or_default(),
            ),
            Source::EntitlementOwners => {
                let found = directory.entitlement(&request.app_id, &request.entitlement_id);
                one("entitlement owners", found.map(|found| found.owners.clone()).unwrap_or_default())
            }
            Source::ResourceOwners => {
                let resource = request.resource(directory);
                one("resource owners", directory.resource_owners(&request.app_id, resource).to_vec())
            }
            Source::AccountOwner => {
                let account = request.account(directory).filter(|account| !account.user_id.is_empty());
                let owner = account.map_or(&request.subject_id, |account| &account.user_id);
                one("account owner", vec![owner.clone()])
            }
            Source::Groups(groups) => vec![self.groups(groups)],
            Source::Expressions(expressions) => self.expressions(expressions),
            // Guardian's documents are run by the other machine; the other two are no people.
            Source::All(_) | Source::Webhook(_) | Source::Agent(_) => one("", Vec::new()),
        }
    }

    fn groups(&self, groups: &[GroupRef]) -> Named {
        let mut named = Named::default();
        let mut sources = Vec::new();
        for group in groups {
            let members = self.machine.directory.member_ids(&group.app_id, &group.entitlement_id);
            let source = format!("group {}/{}", group.app_id, group.entitlement_id);
            if members.len() > GROUP_MEMBERS_MAX {
                named.problem =
                    format!("{source} has {} members, more than {GROUP_MEMBERS_MAX}", members.len());
            } else {
                named.users.extend(members);
            }
            sources.push(source);
        }
        named.source = sources.join(", ");
        named
    }

    fn expressions(&self, expressions: &[Condition]) -> Vec<Named> {
        let mut all = Vec::new();
        for (n, expression) in expressions.iter().enumerate() {
            let (users, problem) = match self.users_of(expression) {
                Ok(users) => (users, String::new()),
                Err(problem) => (Vec::new(), problem),
            };
            all.push(Named { source: format!("expression {}", n + 1), users, problem });
            // The first that gives anybody is used, whoever of them may decide then.
            if all.last().is_some_and(|named| !named.users.is_empty()) {
                break;
            }
        }
        all
    }

    fn users_of(&self, expression: &Condition) -> Result<Vec<String>, String> {
        let Condition::Cel(program) = expression else {
            return Err("an expression of this dialect is not supported".to_owned());
        };
        let evaluation = self.evaluation().map_err(|error| error.to_string())?;
        let value = program.evaluate(&evaluation).map_err(|error| error.to_string())?;
        let users = value.users().ok_or_else(|| format!("it gave no users, but a {}", value.type_name()))?;
        Ok(users.iter().map(|user| user.id.clone()).collect())
    }
}
