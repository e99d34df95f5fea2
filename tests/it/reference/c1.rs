//! ConductorOne's tasks, plainly (reference: sections 3.1, 3.2, 3.7, 3.8; what they leave open: decision 0017 and
//! `docs/simulate.md`). Times are seconds since the task began.

mod given;

pub use given::*;

/// How often one stage is handed over, and how often other policies take over a task.
const HAND_OVERS_MAX: usize = 10;
const TAKEOVERS_MAX: usize = 32;
/// The second of the day, in UTC, at which every task here begins.
const BEGINS_AT: i64 = 8 * 3600;
const DAY: i64 = 86_400;

/// A policy that was gone through: its id, the rule that decided, where it led, and what each rule came to.
pub type Hop = (&'static str, Option<usize>, Target, Vec<&'static str>);
/// Something that happened: when, what, in which stage if in one, and whatever there is to say of it.
pub type Occurrence = (i64, &'static str, Option<usize>, String);

type Asked = Vec<(&'static str, Option<&'static str>)>;

#[derive(Debug)]
pub struct Task<'a> {
    policies: &'a [Policy],
    world: &'a World,
    pub route: Vec<Hop>,
    pub stages: Vec<Stage>,
    approved_by: Vec<&'static str>,
    takeovers: usize,
    /// `granted`, `denied`, `cancelled`, `failed`, `wait_timed_out`; `None` while it runs.
    pub ended: Option<(&'static str, i64)>,
    /// Of the policy whose steps ran.
    pub post_actions: Vec<bool>,
    pub refused: usize,
    pub timeline: Vec<Occurrence>,
    /// When something happened last, be it nothing.
    pub now: i64,
}

impl<'a> Task<'a> {
    pub fn begin(policies: &'a [Policy], world: &'a World) -> Task<'a> {
        let mut task = Task {
            policies,
            world,
            route: Vec::new(),
            stages: Vec::new(),
            approved_by: Vec::new(),
            takeovers: 0,
            ended: None,
            post_actions: Vec::new(),
            refused: 0,
            timeline: Vec::new(),
            now: 0,
        };
        task.go_to(policies[0].id, 0);
        task.assume();
        task
    }

    pub fn word(&self) -> &'static str {
        match self.ended {
            Some((word, _)) => word,
            None if self.stages.last().unwrap().state == "blocked" => "blocked",
            None => "waiting",
        }
    }

    /// Whom or what it waits for, as long as it does, and until when.
    pub fn waits(&self) -> Option<(Vec<&'static str>, Option<i64>)> {
        let stage = self.stages.last().unwrap();
        let on = match (stage.state, stage.asked.as_slice()) {
            _ if self.ended.is_some() => return None,
            ("blocked", _) => Vec::new(),
            (_, []) => vec![stage.kind],
            (_, asked) => asked.iter().map(|one| one.0).collect(),
        };
        Some((on, stage.due))
    }

    /// What happens in the stage that it is in.
    fn tell(&mut self, now: i64, kind: &'static str, what: impl Into<String>) {
        let stage = self.stages.len() - 1;
        self.timeline.push((now, kind, Some(stage), what.into()));
    }

    /// What happens to the task.
    fn tell_all(&mut self, now: i64, kind: &'static str, what: impl Into<String>) {
        self.timeline.push((now, kind, None, what.into()));
    }

    fn end(&mut self, word: &'static str, now: i64) {
        self.ended = Some((word, now));
        self.tell_all(now, "ended", word);
        if word == "granted" || word == "denied" {
            let policy = self.stages.last().unwrap().policy;
            let policy = self.policies.iter().find(|one| one.id == policy).unwrap();
            self.post_actions.clone_from(&policy.post_actions);
            policy
                .post_actions
                .iter()
                .for_each(|at_once| self.tell_all(now, "post_action", at_once.to_string()));
        }
    }

    /// The first rule that is true decides; one that fails does not match.
    fn go_to(&mut self, id: &'static str, now: i64) {
        let Some(policy) = self.policies.iter().find(|one| one.id == id) else {
            return self.block_task(now);
        };
        let mut rule = None;
        let mut values = Vec::new();
        for (n, (condition, _)) in policy.rules.iter().enumerate() {
            let value = if rule.is_some() { "not_reached" } else { condition.value(self.world, now) };
            values.push(value);
            if value == "true" {
                rule = Some(n);
            }
        }
        let target = rule.map_or(policy.baseline, |n| policy.rules[n].1);
        self.route.push((id, rule, target, values));
        match target {
            Target::Policy(next) => self.go_to(next, now),
            Target::Steps(key) => {
                self.tell_all(now, "routed", format!("{id} {key}"));
                self.enter(id, key, 0, now);
            }
        }
    }

    /// Another policy takes over; the last time is the 32nd.
    fn take_over(&mut self, id: &'static str, now: i64) {
        if self.takeovers == TAKEOVERS_MAX {
            return self.block_task(now);
        }
        self.takeovers += 1;
        self.go_to(id, now);
    }

    /// It is nowhere in a policy; where it was last is where it could begin again.
    fn block_task(&mut self, now: i64) {
        let last = self.stages.last().unwrap().clone();
        let (decided_by, asked) = ("", Vec::new());
        self.stages.push(Stage {
            kind: "blocked",
            state: "blocked",
            entered: now,
            left: None,
            due: None,
            hand_overs: 0,
            decided_by,
            asked,
            sources: Vec::new(),
            excluded: Vec::new(),
            required: ([false; 3], false),
            escalates: None,
            wait_until: None,
            ..last
        });
        self.tell_all(now, "blocked", "");
    }

    fn step(&self, policy: &str, sequence: &str, position: usize) -> Option<&'a Step> {
        let policy = self.policies.iter().find(|one| one.id == policy).unwrap();
        let steps = &policy.sequences.iter().find(|one| one.0 == sequence).unwrap().1;
        steps.get(position)
    }

    /// The step that it waits in, if it does.
    fn step_here(&self) -> Option<&'a Step> {
        let stage = self.stages.last().unwrap();
        let is_there = self.ended.is_none() && stage.left.is_none() && stage.kind != "blocked";
        if is_there { self.step(stage.policy, stage.sequence, stage.position) } else { None }
    }

    fn enter(&mut self, policy: &'static str, sequence: &'static str, position: usize, now: i64) {
        let Some(step) = self.step(policy, sequence, position) else {
            return self.end("granted", now);
        };
        let kind = match step {
            Step::Approval(approval) => match approval.source {
                Source::Webhook => "webhook",
                Source::Agent(_) => "agent",
                _ => "approval",
            },
            Step::Wait(_) | Step::WaitUntil(..) | Step::WaitFor(..) => "wait",
            Step::Form => "form",
            Step::Provision(..) => "provision",
            Step::Action => "action",
            Step::Accept => "accept",
            Step::Reject => "reject",
        };
        self.stages.push(Stage {
            policy,
            sequence,
            position,
            kind,
            state: "waiting",
            entered: now,
            left: None,
            asked: Vec::new(),
            decided_by: "",
            hand_overs: 0,
            due: None,
            sources: Vec::new(),
            excluded: Vec::new(),
            required: ([false; 3], false),
            escalates: None,
            wait_until: None,
        });
        self.tell(now, "entered", "");
        self.begin_step(step, now);
    }

    fn begin_step(&mut self, step: &'a Step, now: i64) {
        let stage = self.stages.last_mut().unwrap();
        match step {
            Step::Accept => {
                self.leave("passed", now);
                self.end("granted", now);
            }
            Step::Reject => {
                self.leave("denied", now);
                self.end("denied", now);
            }
            Step::Wait(seconds) => self.wait(Some(now + seconds), now),
            Step::WaitUntil(second, ahead) => {
                // The next one: never now.
                let clock = (BEGINS_AT + now + ahead).rem_euclid(DAY);
                let left = (second - clock).rem_euclid(DAY);
                self.wait(Some(now + if left == 0 { DAY } else { left }), now);
            }
            Step::WaitFor(condition, _) if condition.holds(self.world, now) => self.pass("passed", now),
            Step::WaitFor(_, most) => self.wait(most.map(|most| now + most), now),
            Step::Provision(kind, _) => {
                self.tell(
                    now,
                    "provision_started",
                    if *kind == "externalTicket" { "external_ticket" } else { kind },
                );
                if *kind == "unconfigured" {
                    self.stages.last_mut().unwrap().state = "blocked";
                    self.tell_all(now, "blocked", "");
                }
            }
            Step::Form => self.tell(now, "form_shown", ""),
            Step::Action => self.tell(now, "action_started", ""),
            Step::Approval(approval) => {
                stage.due = approval.escalation.as_ref().map(|(after, _)| now + after);
                stage.required = (approval.reasons, approval.step_up);
                stage.escalates = approval.escalation.as_ref().map(|(after, to)| {
                    let to = match to {
                        Escalation::Policy(id) => format!("policy {id}"),
                        Escalation::Users(ids) => format!("users {}", ids.join(", ")),
                        Escalation::Cancel => "cancel".to_owned(),
                        Escalation::Skip => "skip".to_owned(),
                    };
                    (now + after, to, false)
                });
                let number = self.stages.len();
                match approval.source {
                    Source::Webhook => self.tell(now, "webhook_called", "w"),
                    Source::Agent(_) => self.tell(now, "agent_asked", ""),
                    _ => {
                        let found = self.found(approval);
                        self.ask(found, now);
                    }
                }
                // Where nobody was found, the task may be elsewhere by now.
                if self.stages.len() == number {
                    self.tell_wake(now);
                }
            }
        }
    }

    fn wait(&mut self, until: Option<i64>, now: i64) {
        let stage = self.stages.last_mut().unwrap();
        (stage.due, stage.wait_until) = (until, until);
        self.tell_wake(now);
    }

    /// When it wants to be woken, if time alone moves it on.
    fn tell_wake(&mut self, now: i64) {
        if let Some(due) = self.due() {
            self.tell_all(now, "wake_at", due.to_string());
        }
    }

    /// These are asked; of nobody, the setting says what becomes.
    fn ask(&mut self, asked: Asked, now: i64) {
        let is_nobody = asked.is_empty();
        let stage = self.stages.last_mut().unwrap();
        stage.asked = asked;
        stage.state = "waiting";
        match self.world.nobody {
            _ if !is_nobody => self.tell_asked(now),
            "skip" => self.pass("skipped", now),
            "deny" => {
                self.leave("denied", now);
                self.end("denied", now);
            }
            _ => {
                self.stages.last_mut().unwrap().state = "blocked";
                self.tell_all(now, "blocked", "");
            }
        }
    }

    fn tell_asked(&mut self, now: i64) {
        let asked: Vec<&str> = self.stages.last().unwrap().asked.iter().map(|one| one.0).collect();
        self.tell(now, "asked", asked.join(", "));
    }

    fn leave(&mut self, state: &'static str, now: i64) {
        let stage = self.stages.last_mut().unwrap();
        (stage.state, stage.left, stage.due) = (state, Some(now), None);
        self.tell(now, "left", state.replace('_', " "));
    }

    /// Leaves the stage for the next one.
    fn pass(&mut self, state: &'static str, now: i64) {
        self.leave(state, now);
        let stage = self.stages.last().unwrap().clone();
        self.enter(stage.policy, stage.sequence, stage.position + 1, now);
    }

    /// Why somebody may not decide.
    fn exclusion(&self, approval: &Approval, id: &str) -> Option<&'static str> {
        let allow_self = match approval.source {
            // The owner of an account decides on their own; there is no switch. Nor is there one for what stands in for people.
            Source::Account => true,
            Source::Webhook | Source::Agent(_) => false,
            _ => approval.allow_self,
        };
        match self.world.people.iter().find(|one| one.id == id) {
            None => Some("unknown"),
            Some(person) if !person.is_enabled => Some("disabled"),
            Some(_) if !allow_self && id == self.world.subject => Some("subject"),
            Some(_) if !allow_self && id == self.world.requester => Some("requester"),
            Some(_) if approval.distinct && self.approved_by.contains(&id) => Some("approved_earlier"),
            Some(_) => None,
        }
    }

    fn can(&self, approval: &Approval, id: &str) -> bool {
        self.exclusion(approval, id).is_none()
    }

    /// Those of a source who may decide, each once, and whom they have named to decide in their place.
    fn eligible(&mut self, approval: &Approval, source: &str, ids: &[&'static str]) -> Asked {
        self.tried(source, ids.len(), false);
        let mut all: Asked = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for id in ids {
            if seen.contains(id) {
                continue;
            }
            seen.push(id);
            if self.is_excluded(approval, source, id) {
                continue;
            }
            all.push((*id, None));
            let person = self.world.people.iter().find(|one| one.id == *id).unwrap();
            // One level, and only for tasks that were made afterwards.
            if let Some((delegate, true)) = person.delegate
                && approval.delegation
                && !ids.contains(&delegate)
                && !self.is_excluded(approval, source, delegate)
            {
                all.push((delegate, Some(*id)));
            }
        }
        all
    }

    /// Whether somebody may not decide; that is put down.
    fn is_excluded(&mut self, approval: &Approval, source: &str, id: &'static str) -> bool {
        let why = self.exclusion(approval, id);
        let stage = self.stages.last_mut().unwrap();
        stage.excluded.extend(why.map(|why| (id, source.to_owned(), why)));
        why.is_some()
    }

    fn tried(&mut self, source: &str, found: usize, problem: bool) {
        self.stages.last_mut().unwrap().sources.push((source.to_owned(), found, problem));
    }

    fn found(&mut self, approval: &Approval) -> Asked {
        let world = self.world;
        let (source, ids) = match &approval.source {
            Source::Users(ids) => ("users".to_owned(), ids.clone()),
            Source::Managers => ("managers".to_owned(), self.managers()),
            Source::AppOwners => ("app owners".to_owned(), world.app_owners.clone()),
            Source::EntitlementOwners => ("entitlement owners".to_owned(), world.entitlement_owners.clone()),
            Source::ResourceOwners => ("resource owners".to_owned(), world.resource_owners.clone()),
            Source::Group => ("group dir/security".to_owned(), self.members("security")),
            Source::Account => ("account owner".to_owned(), vec![world.account_owner]),
            Source::Expressions(all) => {
                // The first that gives anybody is used; the last is what there is.
                let mut chosen = None;
                for (n, one) in all.iter().enumerate() {
                    let source = format!("expression {}", n + 1);
                    let ids = self.given(one.1);
                    if !ids.is_empty() {
                        chosen = Some((source, ids));
                        break;
                    }
                    self.tried(&source, 0, one.1 == Gives::Fails);
                }
                let Some(chosen) = chosen else { return self.fall_back(approval) };
                chosen
            }
            Source::Webhook | Source::Agent(_) => return Vec::new(),
        };
        let asked = self.eligible(approval, &source, &ids);
        if asked.is_empty() { self.fall_back(approval) } else { asked }
    }

    fn fall_back(&mut self, approval: &Approval) -> Asked {
        let mut asked = Vec::new();
        if let Some(fallback) = &approval.fallback {
            let (source, ids) = match fallback {
                Fallback::Users(ids) => ("users".to_owned(), ids.clone()),
                Fallback::Groups(names) => {
                    let members = names.iter().flat_map(|name| self.members(name));
                    let groups: Vec<String> = names.iter().map(|name| format!("group dir/{name}")).collect();
                    (groups.join(", "), members.collect())
                }
            };
            asked = self.eligible(approval, &format!("fallback {source}"), &ids);
        }
        self.or_administrators(approval, asked, 0)
    }

    /// The members of a group: people who are there, each once.
    fn members(&self, group: &str) -> Vec<&'static str> {
        let mut members = Vec::new();
        for id in &self.world.groups[usize::from(group == "leads")] {
            if !members.contains(id) && self.world.people.iter().any(|one| one.id == *id) {
                members.push(*id);
            }
        }
        members
    }

    fn managers(&self) -> Vec<&'static str> {
        let subject = self.world.people.iter().find(|one| one.id == self.world.subject);
        subject.map(|one| one.managers.clone()).unwrap_or_default()
    }

    /// Whom an expression gives: users, so only those who are there. One that fails gives nobody.
    fn given(&self, gives: Gives) -> Vec<&'static str> {
        let world = self.world;
        let ids = match gives {
            Gives::AppOwners => world.app_owners.clone(),
            Gives::Managers => self.managers(),
            Gives::Members => self.members("security"),
            Gives::Subject => vec![world.subject],
            Gives::One(id) => vec![id],
            Gives::Nobody | Gives::Fails => Vec::new(),
        };
        ids.into_iter().filter(|id| world.people.iter().any(|one| one.id == *id)).collect()
    }

    /// Where only the rule of distinct approvers leaves nobody, administrators are asked. `before` is how many were excluded
    /// before.
    fn or_administrators(&mut self, approval: &Approval, asked: Asked, before: usize) -> Asked {
        let stage = self.stages.last().unwrap();
        let distinct = stage.excluded.iter().skip(before).any(|one| one.2 == "approved_earlier");
        if asked.is_empty() && distinct {
            let administrators = &self.world.administrators;
            return self.eligible(
                approval,
                "administrators, since all others approved earlier",
                administrators,
            );
        }
        asked
    }

    /// When time alone does something next.
    pub fn due(&self) -> Option<i64> {
        if self.ended.is_some() { None } else { self.stages.last().unwrap().due }
    }

    /// Lets time do what it does until then.
    pub fn pass_until(&mut self, now: i64) {
        while let Some(due) = self.due().filter(|due| *due <= now) {
            self.now = due;
            self.stages.last_mut().unwrap().wait_until = None;
            match self.step_here().unwrap() {
                Step::Approval(approval) => self.escalate(approval, due),
                Step::WaitFor(condition, _) if !condition.holds(self.world, due) => {
                    self.leave("timed_out", due);
                    self.end("wait_timed_out", due);
                }
                _ => self.pass("passed", due),
            }
            self.assume();
        }
    }

    /// Whether the stages from one time to another came again and again, until the task may be taken over no more.
    pub fn goes_round(&self, from: i64, until: i64) -> bool {
        let last_before = |at: i64| self.stages.iter().rposition(|one| one.entered <= at).unwrap();
        let (first, length) = (last_before(from), last_before(until) - last_before(from));
        let alike = |one: &Stage| {
            let decided = (one.asked.clone(), one.excluded.clone(), one.state);
            (one.policy, one.sequence, one.position, one.kind, decided)
        };
        let (blocked, round) = self.stages.split_last().unwrap();
        let again = round.iter().skip(first + length);
        let same = round.iter().skip(first).zip(again).all(|(one, other)| alike(one) == alike(other));
        self.takeovers == TAKEOVERS_MAX
            && blocked.kind == "blocked"
            && self.ended.is_none()
            && length > 0
            && same
    }

    fn escalate(&mut self, approval: &Approval, now: i64) {
        let stage = self.stages.last_mut().unwrap();
        stage.due = None;
        let (_, to, done) = stage.escalates.as_mut().unwrap();
        *done = true;
        let to = to.clone();
        self.tell(now, "escalated", to);
        match &approval.escalation.as_ref().unwrap().1 {
            Escalation::Skip => self.pass("skipped", now),
            Escalation::Cancel => {
                self.leave("abandoned", now);
                self.end("cancelled", now);
            }
            Escalation::Policy(id) => {
                self.leave("abandoned", now);
                self.take_over(id, now);
            }
            Escalation::Users(ids) => {
                let asked = self.instead(approval, "escalation", ids);
                self.tell(now, "reassigned", format!("escalation: {}", ids.join(", ")));
                self.ask(asked, now);
            }
        }
    }

    /// These, and nobody else.
    fn instead(&mut self, approval: &Approval, source: &str, ids: &[&'static str]) -> Asked {
        let before = self.stages.last().unwrap().excluded.len();
        let asked = self.eligible(approval, source, ids);
        self.or_administrators(approval, asked, before)
    }

    fn ask_administrators(&mut self, approval: &Approval, source: &str, now: i64) {
        let administrators = self.eligible(approval, source, &self.world.administrators);
        self.ask(administrators, now);
    }

    /// What machines do outside is taken to be done.
    fn assume(&mut self) {
        while self.world.assumes
            && let Some(Step::Provision(_, true) | Step::Action) = self.step_here()
        {
            let now = self.stages.last().unwrap().entered;
            self.tell(now, "assumed", "");
            self.pass("passed", now);
        }
    }

    pub fn happen(&mut self, what: &Happening, now: i64) {
        self.pass_until(now);
        self.now = now;
        if !matches!(what, Happening::Nothing) && (self.ended.is_some() || !self.is_allowed(what, now)) {
            self.refused += 1;
            self.tell_all(now, "refused", "");
        }
        self.assume();
    }

    /// Does what happens, if it may.
    fn is_allowed(&mut self, what: &Happening, now: i64) -> bool {
        let step = self.step_here();
        match (what, step) {
            (Happening::Cancel, _) => {
                self.leave("abandoned", now);
                self.stages.last_mut().unwrap().decided_by = "root";
                self.end("cancelled", now);
            }
            (Happening::Restart, _) => {
                // The same steps again, and who approved is forgotten.
                self.leave("abandoned", now);
                self.stages.last_mut().unwrap().decided_by = "root";
                self.approved_by.clear();
                let stage = self.stages.last().unwrap().clone();
                self.enter(stage.policy, stage.sequence, 0, now);
            }
            (Happening::Skip, Some(_)) => {
                self.stages.last_mut().unwrap().decided_by = "root";
                self.pass("skipped", now);
            }
            (Happening::Recheck, Some(Step::WaitFor(condition, _))) => {
                if condition.holds(self.world, now) {
                    self.pass("passed", now);
                }
            }
            (Happening::ConditionHolds, Some(Step::WaitFor(..)))
            | (Happening::FormFilled, Some(Step::Form)) => {
                self.pass("passed", now);
            }
            (Happening::Done(true), Some(Step::Provision(..) | Step::Action)) => self.pass("passed", now),
            (Happening::Done(false), Some(Step::Provision(..) | Step::Action)) => {
                self.leave("failed", now);
                self.end("failed", now);
            }
            (Happening::Answer(answer), Some(Step::Approval(approval))) => {
                return self.answer(approval, answer, now);
            }
            (Happening::Approve(by) | Happening::Deny(by), Some(Step::Approval(approval))) => {
                return self.decide(approval, *by, matches!(what, Happening::Approve(_)), now);
            }
            (Happening::Reassign(By(actor, why, proved), to), Some(Step::Approval(approval))) => {
                let may = self.stages.last().unwrap().is_asked(actor) && (*proved || !approval.step_up);
                let to_all = |all: &Vec<&str>| all.is_empty() || to.iter().all(|id| all.contains(id));
                let is_named = approval.reassignees.as_ref().is_some_and(to_all);
                let told = *why || !approval.reasons[2];
                return may && is_named && told && self.hand_over(approval, actor, to, now);
            }
            _ => return false,
        }
        true
    }

    fn decide(&mut self, approval: &Approval, by: By, yes: bool, now: i64) -> bool {
        let By(actor, why, proved) = by;
        let needs_reason = approval.reasons[usize::from(!yes)];
        let stage = self.stages.last_mut().unwrap();
        if !stage.is_asked(actor) || (approval.step_up && !proved) || (needs_reason && !why) {
            return false;
        }
        stage.decided_by = actor;
        if yes {
            self.approved_by.push(actor);
            self.pass("passed", now);
        } else {
            self.leave("denied", now);
            self.end("denied", now);
        }
        true
    }

    /// In the place of whoever hands over; the others who were asked stay.
    fn hand_over(&mut self, approval: &Approval, by: &str, to: &[&'static str], now: i64) -> bool {
        // One who may not be asked, and nothing is handed over.
        let can_all = to.iter().all(|id| self.can(approval, id));
        let stage = self.stages.last().unwrap();
        if to.is_empty() || to.len() > 32 || !can_all || stage.hand_overs == HAND_OVERS_MAX {
            return false;
        }
        let stay =
            stage.asked.iter().filter(|(id, instead)| *id != by && *instead != Some(by) && !to.contains(id));
        let stay: Asked = stay.copied().collect();
        let mut asked = self.eligible(approval, &format!("reassigned by {by}"), to);
        asked.extend(stay);
        let stage = self.stages.last_mut().unwrap();
        // Somebody is there to decide now, even where nobody was.
        (stage.asked, stage.state) = (asked, "waiting");
        stage.hand_overs += 1;
        self.tell(now, "reassigned", format!("{by}: {}", to.join(", ")));
        true
    }

    /// What a webhook or an agent says, as long as no people are asked.
    fn answer(&mut self, approval: &Approval, answer: &Answer, now: i64) -> bool {
        let name = match &approval.source {
            Source::Webhook => "webhook w",
            Source::Agent(_) => "agent",
            _ => return false,
        };
        if !self.stages.last().unwrap().asked.is_empty() {
            return false;
        }
        if let Source::Agent(agent) = &approval.source {
            match answer {
                // It may not decide, and has not: people do.
                Answer::Comment if agent.mode != Mode::FullControl => {
                    self.tell_all(now, "commented", "hm");
                    self.ask_administrators(approval, "administrators, since the agent may not decide", now);
                    return true;
                }
                Answer::Comment => {}
                Answer::Fail => {
                    self.agent_fails(approval, agent, now);
                    return true;
                }
                Answer::ChangePolicy(id) => {
                    let is_named = agent.policies.is_empty() || agent.policies.contains(id);
                    if agent.mode == Mode::CommentOnly || !is_named {
                        return false;
                    }
                }
                _ if agent.mode != Mode::FullControl => return false,
                _ => {}
            }
        }
        match answer {
            Answer::Reassign(to) => {
                let is_handed_over = self.hand_over(approval, name, to, now);
                if is_handed_over {
                    self.tell_asked(now);
                }
                return is_handed_over;
            }
            Answer::Comment => {
                self.tell_all(now, "commented", "hm");
                return true;
            }
            _ => {}
        }
        self.stages.last_mut().unwrap().decided_by = name;
        match answer {
            Answer::Approve => self.pass("passed", now),
            Answer::Deny => {
                self.leave("denied", now);
                self.end("denied", now);
            }
            Answer::ChangePolicy(id) => {
                self.leave("abandoned", now);
                self.take_over(id, now);
            }
            // The policy goes on.
            Answer::Fail => self.pass("skipped", now),
            Answer::Reassign(_) | Answer::Comment => {}
        }
        true
    }

    fn agent_fails(&mut self, approval: &Approval, agent: &Agent, now: i64) {
        match &agent.failure {
            Failure::Users(ids) => {
                let asked = self.instead(approval, "agent failed", ids);
                self.ask(asked, now);
            }
            Failure::Administrators => {
                self.ask_administrators(approval, "administrators, since the agent failed", now);
            }
            Failure::Skip => {
                self.stages.last_mut().unwrap().decided_by = "agent";
                self.pass("skipped", now);
            }
        }
    }
}
