//! Tries a candidate: fills its directory with people, runs the machine, and acts as somebody would. What a finding shows has
//! happened in such a run.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;

use super::Witness;
use super::candidate::Candidate;
use super::solver::Stop;
use super::stages;
use crate::expr::{Entitlement, Outcome as Facts, UserStatus};
use crate::workflow::run::{
    Answer, Decision, Effect, Ending, Event, Happening, Machine, Outcome, Policies, StageRecord, StageState,
    State, Verdict, simulate,
};
use crate::workflow::world::EntitlementInfo;
use crate::workflow::{
    AgentFailure, AgentMode, Approval, EscalationTarget, GroupRef, Provision, Sequence, Source, Stage, Until,
    Work,
};

/// The most things that happen in one run.
const ACTS_MAX: usize = 256;
/// The most steps of all policies whose people are put into one directory.
const ALL_MAX: usize = 256;
/// The most steps of policies that may take over whose people are put into a directory, beside those of the sequence itself.
const TAKING_OVER_MAX: usize = 64;
/// The most people that a policy names who are tried as the one person.
const PEOPLE_MAX: usize = 12;

/// A step of one of the policies: its policy, and its field path there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub policy: String,
    pub place: String,
}

impl Spot {
    pub fn is(&self, record: &StageRecord) -> bool {
        self.policy == record.policy && self.place == record.place
    }
}

/// Who acts, and how.
#[derive(Clone, Debug)]
pub(super) enum Actor {
    /// Nobody does anything.
    Nobody,
    /// Whoever is asked approves; somebody who has not yet, where there is one. Webhooks and agents approve; an agent that may
    /// not fails.
    Everybody,
    /// As `Everybody`, but webhooks and agents fail.
    Fallible,
    /// This user approves, or has the approval handed over to them. Nobody else does anything but hand over.
    Only(String),
    /// This user approves. Nobody else does anything.
    OnlyWhenAsked(String),
    /// As `Everybody`, until this stage; there nobody does anything but let it escalate. An agent that is asked there answers so.
    EverybodyBefore(Spot, Option<Answer>),
    /// As `EverybodyBefore`; and where another policy may take over from one that took over, nobody does anything either.
    Round(Spot),
    /// The first who is asked denies, be it a webhook or an agent.
    Denies,
}

/// Where a sequence of things that happen came to.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub state: State,
    pub happenings: Vec<(TimeDelta, Happening)>,
    /// For each stage that somebody approved: its field path, who, and by which source.
    pub approvals: Vec<(String, String, String)>,
}

impl Run {
    pub fn is_granted(&self) -> bool {
        self.state.ended == Some(Outcome::Granted)
    }

    /// Everybody who approved.
    pub fn approvers(&self) -> BTreeSet<&str> {
        self.approvals.iter().map(|(_, who, _)| who.as_str()).collect()
    }

    /// Whether it is stuck in a stage, with nobody there to move it on.
    pub fn is_blocked(&self) -> bool {
        let stage = self.state.current();
        stage.is_some_and(|stage| stage.state == StageState::Blocked) && self.state.due().is_none()
    }
}

/// Runs the policies on a candidate.
#[derive(Clone, Copy)]
pub(super) struct Driver<'w> {
    pub policies: &'w Policies,
    pub stop: &'w Stop,
}

impl Driver<'_> {
    /// The candidate's request, with somebody acting.
    pub fn run(&self, candidate: &Candidate, actor: &Actor) -> Run {
        self.run_until(candidate, actor, |_| false)
    }

    /// The same, until the task is as it is waited for.
    pub fn run_until(&self, candidate: &Candidate, actor: &Actor, until: impl Fn(&State) -> bool) -> Run {
        let directory = candidate.directory();
        let machine = Machine::new(self.policies, &directory, &candidate.request);
        let mut run = Run { state: State::default(), happenings: Vec::new(), approvals: Vec::new() };
        let (state, _) =
            machine.step(State::default(), &Event { at: candidate.at, what: Happening::Started });
        run.state = state;
        for _ in 0..ACTS_MAX {
            if run.state.ended.is_some() || self.stop.is_set() || until(&run.state) {
                break;
            }
            let assumed = self.is_assumed(&run.state);
            let Some((later, what)) = self.next(&run.state, actor) else { break };
            let Some(at) = run.state.now.checked_add_signed(later) else { break };
            if let Some(approval) = approval(&run.state, &what) {
                run.approvals.push(approval);
            }
            let (state, effects) =
                machine.step(std::mem::take(&mut run.state), &Event { at, what: what.clone() });
            run.state = state;
            if effects.iter().any(|effect| matches!(effect, Effect::Refused { .. })) {
                run.approvals.retain(|(place, who, _)| {
                    run.state.stages.iter().any(|stage| stage.place == *place && stage.decided_by == *who)
                });
                break;
            }
            // What is taken to be done is so in every simulation, unless it is told otherwise.
            if !assumed {
                run.happenings.push((later, what));
            }
        }
        run
    }

    /// How the candidate's request ends if nobody does anything once this has happened.
    pub fn idle(
        &self,
        candidate: &Candidate,
        happenings: &[(TimeDelta, Happening)],
    ) -> (Ending, Outcome, State) {
        let directory = candidate.directory();
        let machine = Machine::new(self.policies, &directory, &candidate.request);
        let trace = simulate(&machine, candidate.at, happenings, true);
        (trace.idle.ending, trace.idle.outcome, trace.state)
    }

    /// Whether the task waits for something outside that is taken to be done at once.
    fn is_assumed(&self, state: &State) -> bool {
        match self.work(state) {
            Some(Work::Provision(kind)) => {
                !matches!(kind, Provision::Manual | Provision::ExternalTicket | Provision::Unconfigured)
            }
            Some(Work::Action(_)) => true,
            _ => false,
        }
    }

    /// What somebody does next; `None` if they do nothing any more.
    fn next(&self, state: &State, actor: &Actor) -> Option<(TimeDelta, Happening)> {
        let record = state.current().filter(|record| record.left_at.is_none())?;
        let now = |what| Some((TimeDelta::zero(), what));
        let later =
            || state.due().map(|due| ((due - state.now).max(TimeDelta::zero()), Happening::TimePassed));
        let work = self.work(state)?;
        if let Actor::EverybodyBefore(spot, _) | Actor::Round(spot) = actor
            && spot.is(record)
        {
            return match (actor, work) {
                (Actor::EverybodyBefore(_, Some(answer)), Work::Approval(approval))
                    if matches!(approval.sources.first(), Some(Source::Agent(_)))
                        && is_unanswered(record) =>
                {
                    now(Happening::Answered(answer.clone()))
                }
                _ => later(),
            };
        }
        let approval = match work {
            Work::Form if matches!(actor, Actor::Nobody) => return None,
            Work::Form => return now(Happening::FormFilled),
            Work::Provision(_) | Work::Action(_) => return now(Happening::Done { success: true }),
            Work::Wait(wait) => {
                return match &wait.until {
                    // What can come to hold does, as long as anybody does anything.
                    Until::Condition { condition, .. }
                        if !matches!(actor, Actor::Nobody) && !stages::never_holds(condition) =>
                    {
                        now(Happening::ConditionHeld)
                    }
                    _ => later(),
                };
            }
            Work::Approval(approval) => approval,
            _ => return None,
        };
        let decide = |user: &str, verdict| {
            let decision = Decision {
                actor: user.to_owned(),
                verdict,
                reason: "witness".to_owned(),
                stepped_up: true,
                approval: String::new(),
            };
            now(Happening::Decided(decision))
        };
        let asked = |user: &str| record.asked.iter().any(|one| one.user == user);
        if is_unanswered(record)
            && let Some(answer) = stand_in(approval, actor)
        {
            return now(Happening::Answered(answer));
        }
        match actor {
            Actor::Nobody => later(),
            Actor::Denies => match record.asked.first() {
                Some(first) => decide(&first.user, Verdict::Deny),
                None => later(),
            },
            Actor::Round(spot) if spot.policy != record.policy && escalates_to_policy(approval) => later(),
            Actor::Everybody | Actor::Fallible | Actor::EverybodyBefore(..) | Actor::Round(_) => {
                let fresh = record.asked.iter().find(|one| !state.approved_by.contains(&one.user));
                match fresh.or(record.asked.first()) {
                    Some(one) => decide(&one.user, Verdict::Approve),
                    None => later(),
                }
            }
            Actor::Only(user) | Actor::OnlyWhenAsked(user) if asked(user) => decide(user, Verdict::Approve),
            Actor::OnlyWhenAsked(_) => later(),
            Actor::Only(user) => match record.asked.first() {
                Some(first) if may_hand_over(approval, user) && record.reassignments == 0 => {
                    decide(&first.user, Verdict::Reassign(vec![user.clone()]))
                }
                _ => later(),
            },
        }
    }

    fn work(&self, state: &State) -> Option<&Work> {
        let policy = self.policies.by_id.get(&state.policy)?;
        let sequence = policy.workflow.sequences.get(&state.sequence)?;
        sequence.stages.get(state.position).map(|stage| &stage.work)
    }

    /// What became of the request, as invariants see it.
    pub fn outcome(&self, candidate: &Candidate, run: &Run) -> Facts {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (ending, ..) = self.idle(candidate, &[]);
        let granted = run.is_granted();
        Facts {
            granted,
            denied: matches!(run.state.ended, Some(Outcome::Denied { .. })),
            automatic: granted && run.approvals.is_empty(),
            unbounded: !matches!(ending, Ending::Ends { .. }),
            self_approved: run.approvers().contains(candidate.request.subject_id.as_str()),
            approvals: count(run.approvals.len()),
            distinct_approvers: count(run.approvers().len()),
        }
    }
}

impl Witness {
    /// The run of a candidate.
    pub(super) fn of_run(candidate: &Candidate, run: &Run) -> Witness {
        Witness { happenings: run.happenings.clone(), ..Witness::of(candidate) }
    }
}

/// Whether nobody has been asked or has answered so far.
fn is_unanswered(record: &StageRecord) -> bool {
    record.state == StageState::Waiting && record.asked.is_empty()
}

/// What a webhook or an agent in the place of people answers; `None` if there is none, or nothing is heard of it.
fn stand_in(approval: &Approval, actor: &Actor) -> Option<Answer> {
    let may_decide = match approval.sources.first()? {
        Source::Webhook(_) => true,
        Source::Agent(agent) => agent.mode == AgentMode::FullControl,
        _ => return None,
    };
    match actor {
        Actor::Nobody | Actor::Only(_) | Actor::OnlyWhenAsked(_) => None,
        Actor::Fallible => Some(Answer::Fail),
        Actor::Denies if may_decide => Some(Answer::Deny),
        Actor::Everybody | Actor::EverybodyBefore(..) | Actor::Round(_) if may_decide => {
            Some(Answer::Approve)
        }
        _ => Some(Answer::Fail),
    }
}

/// Whether another policy takes over when nobody answers.
pub(super) fn escalates_to_policy(approval: &Approval) -> bool {
    let to = approval.escalation.as_ref().map(|escalation| &escalation.to);
    matches!(to, Some(EscalationTarget::ReplacePolicy(_)))
}

fn may_hand_over(approval: &Approval, user: &str) -> bool {
    let rules = &approval.reassignment;
    rules.allowed && (rules.to.is_empty() || rules.to.iter().any(|one| one == user))
}

/// The approval that a happening is: field path, who, by which source.
fn approval(state: &State, what: &Happening) -> Option<(String, String, String)> {
    let Happening::Decided(Decision { actor, verdict: Verdict::Approve, .. }) = what else { return None };
    let record = state.current()?;
    let asked = record.asked.iter().find(|one| one.user == *actor);
    let source = asked.map(|one| match one.delegate_of.as_str() {
        "" => one.source.clone(),
        other => format!("delegate of {other}"),
    });
    Some((record.place.clone(), actor.clone(), source.unwrap_or_default()))
}

/// Who fills the roles that a policy asks.
#[derive(Clone, Debug)]
pub(super) enum Cast {
    /// Somebody else for each role.
    Everybody,
    /// This person for all roles, or for those that are said; all others delegate to them, or nobody does.
    Only { person: String, fills: Vec<(Role, Fill)>, delegates: bool },
}

impl Cast {
    /// This person for all roles; all others delegate to them.
    pub fn only(person: &str) -> Cast {
        Cast::Only { person: person.to_owned(), fills: Vec::new(), delegates: true }
    }

    fn fill(&self, role: Role) -> Fill {
        match self {
            Cast::Everybody => Fill::Other,
            Cast::Only { fills, .. } => {
                fills.iter().find(|(one, _)| *one == role).map_or(Fill::Person, |(_, fill)| *fill)
            }
        }
    }
}

/// What somebody can be to a request, beside being named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Manager,
    AppOwner,
    EntitlementOwner,
    ResourceOwner,
    Member,
}

/// Who has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    Person,
    Other,
    Nobody,
}

/// What stages ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    pub users: BTreeSet<String>,
    groups: BTreeSet<(String, String)>,
    asked: BTreeSet<Role>,
    /// Whether a delegate may decide somewhere.
    pub delegates: bool,
    /// Whether an agent may leave the decision to administrators.
    administrators: bool,
}

impl Roles {
    /// Of all the stages of all the policies, as far as they are few enough.
    pub fn all(policies: &Policies) -> Roles {
        let workflows = policies.by_id.values().map(|policy| &policy.workflow);
        let sequences = workflows.flat_map(|workflow| workflow.sequences.values());
        Roles::of(sequences.flat_map(|sequence| &sequence.stages).take(ALL_MAX))
    }

    /// Of this sequence, and of all policies that may take over from it.
    pub fn from(policies: &Policies, sequence: &Sequence) -> Roles {
        let mut stages: Vec<&Stage> = sequence.stages.iter().collect();
        let mut open: Vec<String> = stages.iter().flat_map(|stage| stage.leads_to()).collect();
        let mut known = BTreeSet::new();
        while let Some(id) = open.pop() {
            let Some(policy) = policies.by_id.get(&id).filter(|_| known.insert(id)) else { continue };
            open.extend(policy.workflow.leads_to());
            stages.extend(policy.workflow.sequences.values().flat_map(|sequence| &sequence.stages));
        }
        stages.truncate(sequence.stages.len() + TAKING_OVER_MAX);
        Roles::of(stages)
    }

    /// What these stages ask for.
    pub fn of<'s>(stages: impl IntoIterator<Item = &'s Stage>) -> Roles {
        let mut roles = Roles::default();
        for stage in stages {
            let Work::Approval(approval) = &stage.work else { continue };
            for source in &approval.sources {
                roles.asked.extend(role(source));
                match source {
                    Source::Users(users) => roles.users.extend(users.iter().cloned()),
                    Source::Groups(groups) => {
                        let ids = groups.iter().map(|one| (one.app_id.clone(), one.entitlement_id.clone()));
                        roles.groups.extend(ids);
                    }
                    Source::Agent(agent) => {
                        if let AgentFailure::Reassign(users) = &agent.on_failure {
                            roles.users.extend(users.iter().cloned());
                        }
                        roles.administrators |= agent.on_failure == AgentFailure::ReassignToAdministrators;
                    }
                    _ => {}
                }
            }
            roles.delegates |= approval.allow_delegation;
            roles.users.extend(approval.reassignment.to.iter().cloned());
            if let Some(EscalationTarget::Reassign(users)) = approval.escalation.as_ref().map(|one| &one.to) {
                roles.users.extend(users.iter().cloned());
            }
        }
        roles
    }

    /// The people who could be the one person: somebody unnamed, and everybody who is named.
    pub fn people<'r>(&'r self, unnamed: &'r str) -> impl Iterator<Item = &'r str> {
        std::iter::once(unnamed).chain(self.users.iter().take(PEOPLE_MAX).map(String::as_str))
    }

    /// What the stages ask for beside people who are named.
    pub fn filled(&self) -> Vec<Role> {
        self.asked.iter().copied().collect()
    }

    /// Puts people into the candidate's directory. Roles of `but` stay empty.
    pub fn cast(&self, candidate: &mut Candidate, cast: &Cast, but: Option<&Approval>) {
        for user in &self.users {
            candidate.ensure(user);
        }
        // Who has a role; nobody, `None`.
        let who = |role: Role, name: &str| {
            let left_out =
                but.is_some_and(|but| but.sources.iter().any(|source| self::role(source) == Some(role)));
            match (cast.fill(role), cast) {
                (Fill::Nobody, _) => None,
                _ if left_out => None,
                (Fill::Person, Cast::Only { person, .. }) => Some(person.clone()),
                _ => Some(name.to_owned()),
            }
        };
        match who(Role::Manager, "manager") {
            Some(manager) if candidate.subject.managers.is_empty() => candidate.set_manager(&manager),
            // The conditions ask for a manager.
            Some(_) => {}
            None => candidate.no_manager(),
        }
        let mut owners = |role: Role, name: &str| {
            let owner = who(role, name);
            owner.iter().for_each(|owner| candidate.ensure(owner));
            owner.into_iter().collect::<Vec<_>>()
        };
        let app = owners(Role::AppOwner, "app-owner");
        let entitlement = owners(Role::EntitlementOwner, "entitlement-owner");
        let resource = owners(Role::ResourceOwner, "resource-owner");
        (candidate.app.owners, candidate.entitlement.owners, candidate.resource.owners) =
            (app, entitlement, resource);
        for (n, group) in self.groups.iter().enumerate() {
            // Of several groups only those are left out that the approval asks.
            let asks = |source: &Source| matches!(source, Source::Groups(groups) if groups.iter().any(|one| is(one, group)));
            let left_out = but.is_some_and(|but| but.sources.iter().any(asks));
            let name = format!("member-{}", n + 1);
            let member = match (cast.fill(Role::Member), cast) {
                (Fill::Nobody, _) => None,
                _ if left_out => None,
                (Fill::Person, Cast::Only { person, .. }) => Some(person.clone()),
                _ => Some(name),
            };
            member.iter().for_each(|member| candidate.ensure(member));
            candidate.set_members(group, member.into_iter().collect());
        }
        let asks_administrators = |but: &Approval| matches!(but.sources.first(), Some(Source::Agent(_)));
        if self.administrators && !but.is_some_and(asks_administrators) {
            let administrator = match cast {
                Cast::Only { person, .. } => person,
                Cast::Everybody => "administrator",
            };
            candidate.ensure(administrator);
            candidate.administrators = vec![administrator.to_owned()];
        }
        if let Cast::Only { person, delegates, .. } = cast {
            candidate.ensure(person);
            if *delegates {
                candidate.delegate_to(person);
            }
        }
    }
}

fn is(group: &GroupRef, (app_id, id): &(String, String)) -> bool {
    group.app_id == *app_id && group.entitlement_id == *id
}

/// What a source asks for; `None` for one that names people, or asks none.
fn role(source: &Source) -> Option<Role> {
    match source {
        Source::Managers => Some(Role::Manager),
        Source::AppOwners => Some(Role::AppOwner),
        Source::EntitlementOwners => Some(Role::EntitlementOwner),
        Source::ResourceOwners => Some(Role::ResourceOwner),
        Source::Groups(_) => Some(Role::Member),
        _ => None,
    }
}

impl Candidate {
    fn set_members(&mut self, (app_id, id): &(String, String), members: Vec<String>) {
        let asked_for = &self.entitlement.entitlement;
        if asked_for.app_id == *app_id && asked_for.id == *id {
            self.entitlement.members = members;
            return;
        }
        let known = Entitlement { id: id.clone(), app_id: app_id.clone(), ..Entitlement::default() };
        let entitlement = Arc::new(known);
        self.groups.push(EntitlementInfo { entitlement, members, ..EntitlementInfo::default() });
    }

    fn set_manager(&mut self, manager: &str) {
        self.ensure(manager);
        let mut user = (*self.subject.user).clone();
        manager.clone_into(&mut user.manager_id);
        user.manager = format!("{manager}@example.com");
        if manager == user.id {
            user.manager = user.email.clone();
        }
        self.subject.user = Arc::new(user);
        self.subject.managers = vec![manager.to_owned()];
    }

    fn no_manager(&mut self) {
        let mut user = (*self.subject.user).clone();
        user.manager_id.clear();
        user.manager.clear();
        self.subject.user = Arc::new(user);
        self.subject.managers.clear();
    }

    /// This user may decide nothing any more.
    pub(super) fn disable(&mut self, id: &str) {
        let people = std::iter::once(&mut self.subject).chain(&mut self.others);
        for person in people.filter(|person| person.user.id == id) {
            let mut user = (*person.user).clone();
            user.status = UserStatus::Disabled;
            person.user = Arc::new(user);
        }
    }

    /// The subject has this id.
    pub(super) fn rename(&mut self, id: &str) {
        let mut user = (*self.subject.user).clone();
        let email = format!("{id}@example.com");
        if user.email == format!("{}@example.com", user.id) {
            user.emails = vec![email.clone()];
            user.email = email;
        }
        id.clone_into(&mut user.id);
        self.subject.user = Arc::new(user);
        id.clone_into(&mut self.request.subject_id);
        self.others.retain(|other| other.user.id != id);
        for account in &mut self.app.accounts {
            id.clone_into(&mut account.user_id);
        }
    }

    fn delegate_to(&mut self, id: &str) {
        for other in self.others.iter_mut().filter(|other| other.user.id != id) {
            id.clone_into(&mut other.delegate_id);
        }
    }
}
