//! ConductorOne's tasks, plainly (reference: sections 3.1, 3.2, 3.7, 3.8; what they leave open: decision 0017). Times are seconds
//! since the task began.

#[derive(Clone, Debug)]
pub enum Condition {
    /// A text, and what it comes to.
    Always(&'static str, Result<bool, ()>),
    SubjectIs(&'static str),
}

impl Condition {
    pub fn text(&self) -> String {
        match self {
            Condition::Always(text, _) => (*text).to_owned(),
            Condition::SubjectIs(id) => format!("subject.id == \"{id}\""),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Steps(&'static str),
    Policy(&'static str),
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub id: &'static str,
    pub rules: Vec<(Condition, Target)>,
    pub baseline: Target,
    pub sequences: Vec<(&'static str, Vec<Step>)>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Approval(Approval),
    Wait(i64),
    Accept,
    Reject,
}

#[derive(Clone, Debug)]
pub enum Source {
    Users(Vec<&'static str>),
    Managers,
    AppOwners,
    EntitlementOwners,
    Group,
    /// The owner of the account.
    Account,
}

#[derive(Clone, Debug)]
pub enum Escalation {
    Policy(&'static str),
    Users(Vec<&'static str>),
    Cancel,
    Skip,
}

#[derive(Clone, Debug)]
pub struct Approval {
    pub source: Source,
    /// Always off for sources without one.
    pub fallback: Option<Vec<&'static str>>,
    pub allow_self: bool,
    pub distinct: bool,
    /// Whether it may be handed over, and to whom; an empty list is anyone.
    pub reassignees: Option<Vec<&'static str>>,
    /// After so many seconds.
    pub escalation: Option<(i64, Escalation)>,
}

#[derive(Clone, Debug)]
pub struct World {
    /// Everybody there is, whether they are enabled, and their managers.
    pub people: Vec<(&'static str, bool, Vec<&'static str>)>,
    pub app_owners: Vec<&'static str>,
    pub entitlement_owners: Vec<&'static str>,
    pub group: Vec<&'static str>,
    pub account_owner: &'static str,
    pub administrators: Vec<&'static str>,
    pub subject: &'static str,
    pub requester: &'static str,
    /// `block`, `skip` or `deny`.
    pub nobody: &'static str,
}

#[derive(Clone, Debug)]
pub enum Happening {
    Approve(&'static str),
    Deny(&'static str),
    Reassign(&'static str, Vec<&'static str>),
    Nothing,
}

#[derive(Clone, Debug)]
pub struct Stage {
    pub policy: &'static str,
    pub sequence: &'static str,
    pub position: usize,
    pub kind: &'static str,
    pub state: &'static str,
    pub entered: i64,
    pub left: Option<i64>,
    pub asked: Vec<&'static str>,
    pub decided_by: &'static str,
    /// When time alone does something to it.
    due: Option<i64>,
}

/// A policy that was gone through: its id, the rule that decided, and where it led.
pub type Hop = (&'static str, Option<usize>, Target);

#[derive(Debug)]
pub struct Task<'a> {
    policies: &'a [Policy],
    world: &'a World,
    pub route: Vec<Hop>,
    pub stages: Vec<Stage>,
    approved_by: Vec<&'static str>,
    /// `granted`, `denied`, `cancelled`; `None` while it runs.
    pub ended: Option<(&'static str, i64)>,
    pub refused: usize,
}

impl<'a> Task<'a> {
    pub fn begin(policies: &'a [Policy], world: &'a World) -> Task<'a> {
        let (route, stages, approved_by) = (Vec::new(), Vec::new(), Vec::new());
        let mut task = Task { policies, world, route, stages, approved_by, ended: None, refused: 0 };
        task.go_to(policies[0].id, 0);
        task
    }

    pub fn word(&self) -> &'static str {
        match self.ended {
            Some((word, _)) => word,
            None if self.stages.last().unwrap().state == "blocked" => "blocked",
            None => "waiting",
        }
    }

    /// The first rule that is true decides; one that fails does not match.
    fn go_to(&mut self, id: &'static str, now: i64) {
        let policy = self.policies.iter().find(|one| one.id == id).unwrap();
        let mut rule = None;
        for (n, (condition, _)) in policy.rules.iter().enumerate() {
            let holds = match condition {
                Condition::Always(_, value) => *value == Ok(true),
                Condition::SubjectIs(id) => self.world.subject == *id,
            };
            if holds {
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

    fn step(&self, policy: &str, sequence: &str, position: usize) -> Option<Step> {
        let policy = self.policies.iter().find(|one| one.id == policy).unwrap();
        let steps = &policy.sequences.iter().find(|one| one.0 == sequence).unwrap().1;
        steps.get(position).cloned()
    }

    fn enter(&mut self, policy: &'static str, sequence: &'static str, position: usize, now: i64) {
        let Some(step) = self.step(policy, sequence, position) else {
            self.ended = Some(("granted", now));
            return;
        };
        let mut stage = Stage {
            policy,
            sequence,
            position,
            kind: "approval",
            state: "waiting",
            entered: now,
            left: None,
            asked: Vec::new(),
            decided_by: "",
            due: None,
        };
        match step {
            Step::Accept => {
                stage.kind = "accept";
                self.stages.push(stage);
                self.leave("passed", now);
                self.ended = Some(("granted", now));
            }
            Step::Reject => {
                stage.kind = "reject";
                self.stages.push(stage);
                self.leave("denied", now);
                self.ended = Some(("denied", now));
            }
            Step::Wait(seconds) => {
                stage.kind = "wait";
                stage.due = Some(now + seconds);
                self.stages.push(stage);
            }
            Step::Approval(approval) => {
                stage.due = approval.escalation.as_ref().map(|(after, _)| now + after);
                self.stages.push(stage);
                self.ask(self.found(&approval), now);
            }
        }
    }

    /// These are asked; of nobody, the setting says what becomes.
    fn ask(&mut self, asked: Vec<&'static str>, now: i64) {
        let is_nobody = asked.is_empty();
        let stage = self.stages.last_mut().unwrap();
        stage.asked = asked;
        stage.state = "waiting";
        match self.world.nobody {
            _ if !is_nobody => {}
            "skip" => {
                self.leave("skipped", now);
                self.go_on(now);
            }
            "deny" => {
                self.leave("denied", now);
                self.ended = Some(("denied", now));
            }
            _ => stage.state = "blocked",
        }
    }

    fn leave(&mut self, state: &'static str, now: i64) {
        let stage = self.stages.last_mut().unwrap();
        (stage.state, stage.left, stage.due) = (state, Some(now), None);
    }

    fn go_on(&mut self, now: i64) {
        let stage = self.stages.last().unwrap().clone();
        self.enter(stage.policy, stage.sequence, stage.position + 1, now);
    }

    /// Who may decide, but for the rule of distinct approvers.
    fn may_decide(&self, approval: &Approval, id: &str) -> bool {
        let is_enabled = self.world.people.iter().any(|(one, enabled, _)| *one == id && *enabled);
        let is_own = id == self.world.subject || id == self.world.requester;
        is_enabled && (approval.allow_self || !is_own)
    }

    fn eligible(&self, approval: &Approval, ids: &[&'static str]) -> Vec<&'static str> {
        let mut all = Vec::new();
        for id in ids {
            let is_distinct = !approval.distinct || !self.approved_by.contains(id);
            if self.may_decide(approval, id) && is_distinct && !all.contains(id) {
                all.push(*id);
            }
        }
        all
    }

    fn found(&self, approval: &Approval) -> Vec<&'static str> {
        let world = self.world;
        let mut ids = match &approval.source {
            Source::Users(ids) => ids.clone(),
            Source::Managers => world
                .people
                .iter()
                .find(|one| one.0 == world.subject)
                .map(|one| one.2.clone())
                .unwrap_or_default(),
            Source::AppOwners => world.app_owners.clone(),
            Source::EntitlementOwners => world.entitlement_owners.clone(),
            Source::Group => world.group.clone(),
            Source::Account => vec![world.account_owner],
        };
        let mut asked = self.eligible(approval, &ids);
        if asked.is_empty()
            && let Some(fallback) = &approval.fallback
        {
            asked = self.eligible(approval, fallback);
            ids.extend(fallback);
        }
        self.or_administrators(approval, asked, &ids)
    }

    /// Where only the rule of distinct approvers leaves nobody, administrators are asked.
    fn or_administrators(
        &self,
        approval: &Approval,
        asked: Vec<&'static str>,
        found: &[&'static str],
    ) -> Vec<&'static str> {
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
            let stage = self.stages.last().unwrap().clone();
            match self.step(stage.policy, stage.sequence, stage.position).unwrap() {
                Step::Approval(approval) => self.escalate(&approval, due),
                _ => {
                    self.leave("passed", due);
                    self.go_on(due);
                }
            }
        }
    }

    fn escalate(&mut self, approval: &Approval, now: i64) {
        self.stages.last_mut().unwrap().due = None;
        match &approval.escalation.as_ref().unwrap().1 {
            Escalation::Skip => {
                self.leave("skipped", now);
                self.go_on(now);
            }
            Escalation::Cancel => {
                self.leave("abandoned", now);
                self.ended = Some(("cancelled", now));
            }
            Escalation::Policy(id) => {
                self.leave("abandoned", now);
                self.go_to(id, now);
            }
            Escalation::Users(ids) => {
                let asked = self.or_administrators(approval, self.eligible(approval, ids), ids);
                self.ask(asked, now);
            }
        }
    }

    pub fn happen(&mut self, what: &Happening, now: i64) {
        self.pass_until(now);
        let (Happening::Approve(actor) | Happening::Deny(actor) | Happening::Reassign(actor, _)) = what
        else {
            return;
        };
        let stage = self.stages.last().unwrap().clone();
        if self.ended.is_some() || stage.kind != "approval" || !stage.asked.contains(actor) {
            self.refused += 1;
            return;
        }
        let Some(Step::Approval(approval)) = self.step(stage.policy, stage.sequence, stage.position) else {
            unreachable!("an approval is one")
        };
        match what {
            Happening::Approve(_) => {
                self.stages.last_mut().unwrap().decided_by = actor;
                self.approved_by.push(actor);
                self.leave("passed", now);
                self.go_on(now);
            }
            Happening::Deny(_) => {
                self.stages.last_mut().unwrap().decided_by = actor;
                self.leave("denied", now);
                self.ended = Some(("denied", now));
            }
            Happening::Reassign(_, to) => {
                let allowed = approval.reassignees.as_ref();
                let is_allowed = |id| allowed.is_some_and(|all| all.is_empty() || all.contains(id));
                let asked = self.eligible(&approval, to);
                // One who may not be asked, and nothing is handed over.
                let can_all = to.iter().all(|id| asked.contains(id));
                if !to.iter().all(is_allowed) || !can_all {
                    self.refused += 1;
                    return;
                }
                // In the place of whoever hands over; the others who were asked stay.
                let stay = stage.asked.iter().filter(|id| *id != actor && !to.contains(id));
                let asked = asked.iter().chain(stay).copied().collect();
                self.stages.last_mut().unwrap().asked = asked;
            }
            Happening::Nothing => {}
        }
    }
}
