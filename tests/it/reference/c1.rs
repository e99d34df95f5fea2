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

/// A policy that was gone through: its id, the rule that decided, and where it led.
pub type Hop = (&'static str, Option<usize>, Target);

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

    fn end(&mut self, word: &'static str, now: i64) {
        self.ended = Some((word, now));
        if word == "granted" || word == "denied" {
            let policy = self.stages.last().unwrap().policy;
            let policy = self.policies.iter().find(|one| one.id == policy).unwrap();
            self.post_actions.clone_from(&policy.post_actions);
        }
    }

    /// The first rule that is true decides; one that fails does not match.
    fn go_to(&mut self, id: &'static str, now: i64) {
        let Some(policy) = self.policies.iter().find(|one| one.id == id) else {
            return self.block_task(now);
        };
        let mut rule = None;
        for (n, (condition, _)) in policy.rules.iter().enumerate() {
            if condition.holds(self.world, now) {
                rule = Some(n);
                break;
            }
        }
        let target = rule.map_or(policy.baseline, |n| policy.rules[n].1);
        self.route.push((id, rule, target));
        match target {
            Target::Policy(next) => self.go_to(next, now),
            Target::Steps(key) => self.enter(id, key, 0, now),
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
            ..last
        });
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
        });
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
            Step::Wait(seconds) => stage.due = Some(now + seconds),
            Step::WaitUntil(second, ahead) => {
                // The next one: never now.
                let clock = (BEGINS_AT + now + ahead).rem_euclid(DAY);
                let left = (second - clock).rem_euclid(DAY);
                stage.due = Some(now + if left == 0 { DAY } else { left });
            }
            Step::WaitFor(condition, _) if condition.holds(self.world, now) => self.pass("passed", now),
            Step::WaitFor(_, most) => stage.due = most.map(|most| now + most),
            Step::Provision("unconfigured", _) => stage.state = "blocked",
            Step::Form | Step::Provision(..) | Step::Action => {}
            Step::Approval(approval) => {
                stage.due = approval.escalation.as_ref().map(|(after, _)| now + after);
                if !matches!(approval.source, Source::Webhook | Source::Agent(_)) {
                    let found = self.found(approval);
                    self.ask(found, now);
                }
            }
        }
    }

    /// These are asked; of nobody, the setting says what becomes.
    fn ask(&mut self, asked: Vec<(&'static str, Option<&'static str>)>, now: i64) {
        let is_nobody = asked.is_empty();
        let stage = self.stages.last_mut().unwrap();
        stage.asked = asked;
        stage.state = "waiting";
        match self.world.nobody {
            _ if !is_nobody => {}
            "skip" => self.pass("skipped", now),
            "deny" => {
                self.leave("denied", now);
                self.end("denied", now);
            }
            _ => stage.state = "blocked",
        }
    }

    fn leave(&mut self, state: &'static str, now: i64) {
        let stage = self.stages.last_mut().unwrap();
        (stage.state, stage.left, stage.due) = (state, Some(now), None);
    }

    /// Leaves the stage for the next one.
    fn pass(&mut self, state: &'static str, now: i64) {
        self.leave(state, now);
        let stage = self.stages.last().unwrap().clone();
        self.enter(stage.policy, stage.sequence, stage.position + 1, now);
    }

    /// Whether somebody may decide, but for the rule of distinct approvers.
    fn may_decide(&self, approval: &Approval, id: &str) -> bool {
        let is_enabled = self.world.people.iter().any(|one| one.id == id && one.is_enabled);
        let is_own = id == self.world.subject || id == self.world.requester;
        let allow_self = match approval.source {
            // The owner of an account decides on their own; there is no switch. Nor is there one for what stands in for people.
            Source::Account => true,
            Source::Webhook | Source::Agent(_) => false,
            _ => approval.allow_self,
        };
        is_enabled && (allow_self || !is_own)
    }

    fn is_distinct(&self, approval: &Approval, id: &str) -> bool {
        !approval.distinct || !self.approved_by.contains(&id)
    }

    fn can(&self, approval: &Approval, id: &str) -> bool {
        self.may_decide(approval, id) && self.is_distinct(approval, id)
    }

    /// Those who may decide, each once, and whom they have named to decide in their place.
    fn eligible(
        &self,
        approval: &Approval,
        ids: &[&'static str],
    ) -> Vec<(&'static str, Option<&'static str>)> {
        let mut all: Vec<(&'static str, Option<&'static str>)> = Vec::new();
        for id in ids {
            if !self.can(approval, id) || all.contains(&(*id, None)) {
                continue;
            }
            all.push((*id, None));
            let person = self.world.people.iter().find(|one| one.id == *id).unwrap();
            // One level, and only for tasks that were made afterwards.
            if let Some((delegate, true)) = person.delegate
                && approval.delegation
                && !ids.contains(&delegate)
                && self.can(approval, delegate)
            {
                all.push((delegate, Some(*id)));
            }
        }
        all
    }

    fn found(&self, approval: &Approval) -> Vec<(&'static str, Option<&'static str>)> {
        let world = self.world;
        let mut ids = match &approval.source {
            Source::Users(ids) => ids.clone(),
            Source::Managers => self.managers(),
            Source::AppOwners => world.app_owners.clone(),
            Source::EntitlementOwners => world.entitlement_owners.clone(),
            Source::ResourceOwners => world.resource_owners.clone(),
            Source::Group => world.groups[0].clone(),
            Source::Account => vec![world.account_owner],
            Source::Expressions(all) => {
                let mut given = all.iter().map(|one| self.given(one.1));
                given.find(|ids| !ids.is_empty()).unwrap_or_default()
            }
            Source::Webhook | Source::Agent(_) => Vec::new(),
        };
        let mut asked = self.eligible(approval, &ids);
        if asked.is_empty()
            && let Some(fallback) = &approval.fallback
        {
            let fallback = match fallback {
                Fallback::Users(ids) => ids.clone(),
                Fallback::Groups(names) => {
                    let members = names.iter().flat_map(|name| &world.groups[usize::from(*name == "leads")]);
                    members.copied().collect()
                }
            };
            asked = self.eligible(approval, &fallback);
            ids.extend(fallback);
        }
        self.or_administrators(approval, asked, &ids)
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
            Gives::Members => world.groups[0].clone(),
            Gives::Subject => vec![world.subject],
            Gives::One(id) => vec![id],
            Gives::Nobody | Gives::Fails => Vec::new(),
        };
        ids.into_iter().filter(|id| world.people.iter().any(|one| one.id == *id)).collect()
    }

    /// Where only the rule of distinct approvers leaves nobody, administrators are asked.
    fn or_administrators(
        &self,
        approval: &Approval,
        asked: Vec<(&'static str, Option<&'static str>)>,
        found: &[&'static str],
    ) -> Vec<(&'static str, Option<&'static str>)> {
        let only_for_distinct = approval.distinct && found.iter().any(|id| self.may_decide(approval, id));
        if asked.is_empty() && only_for_distinct {
            return self.eligible(approval, &self.world.administrators);
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

    fn escalate(&mut self, approval: &Approval, now: i64) {
        self.stages.last_mut().unwrap().due = None;
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
            Escalation::Users(ids) => self.ask_instead(approval, ids, now),
        }
    }

    /// These, and nobody else.
    fn ask_instead(&mut self, approval: &Approval, ids: &[&'static str], now: i64) {
        let asked = self.or_administrators(approval, self.eligible(approval, ids), ids);
        self.ask(asked, now);
    }

    /// What machines do outside is taken to be done.
    fn assume(&mut self) {
        while self.world.assumes
            && let Some(Step::Provision(_, true) | Step::Action) = self.step_here()
        {
            let now = self.stages.last().unwrap().entered;
            self.pass("passed", now);
        }
    }

    pub fn happen(&mut self, what: &Happening, now: i64) {
        self.pass_until(now);
        if !matches!(what, Happening::Nothing) && (self.ended.is_some() || !self.is_allowed(what, now)) {
            self.refused += 1;
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
                return may && is_named && told && self.hand_over(approval, actor, to);
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
    fn hand_over(&mut self, approval: &Approval, by: &str, to: &[&'static str]) -> bool {
        // One who may not be asked, and nothing is handed over.
        let can_all = to.iter().all(|id| self.can(approval, id));
        let stage = self.stages.last().unwrap();
        if to.is_empty() || to.len() > 32 || !can_all || stage.hand_overs == HAND_OVERS_MAX {
            return false;
        }
        let stay =
            stage.asked.iter().filter(|(id, instead)| *id != by && *instead != Some(by) && !to.contains(id));
        let asked: Vec<_> = self.eligible(approval, to).iter().chain(stay).copied().collect();
        let stage = self.stages.last_mut().unwrap();
        // Somebody is there to decide now, even where nobody was.
        (stage.asked, stage.state) = (asked, "waiting");
        stage.hand_overs += 1;
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
                Answer::Comment if agent.mode == Mode::FullControl => return true,
                // It may not decide, and has not: people do.
                Answer::Comment => {
                    let administrators = self.eligible(approval, &self.world.administrators);
                    self.ask(administrators, now);
                    return true;
                }
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
            Answer::Reassign(to) => return self.hand_over(approval, name, to),
            Answer::Comment => return true,
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
            Failure::Users(ids) => self.ask_instead(approval, ids, now),
            Failure::Administrators => {
                let administrators = self.eligible(approval, &self.world.administrators);
                self.ask(administrators, now);
            }
            Failure::Skip => {
                self.stages.last_mut().unwrap().decided_by = "agent";
                self.pass("skipped", now);
            }
        }
    }
}
