//! Guardian's approval flow, pseudo-step by pseudo-step (reference: section 4.4: Apply, StepOf, Advance, DryRunAdvance, Decide);
//! `entry` has what comes before and after.
//! Expressions are few, and what each comes to is known without an engine.

mod entry;

pub use entry::{Asked, Config, Label, LabelRule, Lifetime, Options, Requirement, UserLabels};
use std::collections::BTreeMap;

/// What an expression can see of an appeal on its way: name and status of every approval, as they were when a pass began; and
/// what does not change any more.
struct Env {
    approvals: Vec<(String, Status)>,
    labels: BTreeMap<&'static str, Label>,
    metadata: BTreeMap<&'static str, Option<&'static str>>,
}

/// Stands for whoever made the appeal, where an expression gives approvers.
pub const CREATOR: &str = "(creator)";

/// A text for the engine, and what it comes to.
#[derive(Clone, Debug)]
pub enum Expr {
    /// Truthy, falsy, or an error, whatever happens.
    Always(&'static str, Result<bool, ()>),
    /// More than `n` approvals have this status.
    MoreThan(usize, Status),
    /// An approval of this name has this status.
    Is(&'static str, Status),
    /// A label of this key has this value.
    LabelIs(&'static str, &'static str),
    /// A source of metadata of this key came to this value.
    MetadataIs(&'static str, &'static str),
}

impl Expr {
    pub fn text(&self) -> String {
        match self {
            Expr::Always(text, _) => (*text).to_owned(),
            Expr::MoreThan(n, status) => {
                format!("count($appeal.approvals, {{.status == \"{}\"}}) > {n}", status.word())
            }
            Expr::LabelIs(key, value) => Expr::looked_up("labels", key, value),
            Expr::MetadataIs(key, value) => Expr::looked_up("details.__policy_metadata", key, value),
            Expr::Is(name, status) => {
                format!("any($appeal.approvals, {{.name == \"{name}\" && .status == \"{}\"}})", status.word())
            }
        }
    }

    fn is_truthy(&self, env: &Env) -> Result<bool, Abort> {
        match self {
            Expr::Always(_, truth) => truth.map_err(|()| Abort::Internal),
            Expr::MoreThan(n, status) => {
                Ok(env.approvals.iter().filter(|(_, one)| one == status).count() > *n)
            }
            Expr::Is(name, status) => Ok(env.approvals.iter().any(|one| one.0 == *name && one.1 == *status)),
            Expr::LabelIs(key, value) => entry::label_is(&env.labels, key, value),
            Expr::MetadataIs(key, value) => entry::metadata_is(&env.metadata, key, value),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending,
    Blocked,
    Skipped,
    Approved,
    Rejected,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Blocked => "blocked",
            Status::Skipped => "skipped",
            Status::Approved => "approved",
            Status::Rejected => "rejected",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Step {
    pub name: &'static str,
    pub stage: Option<&'static str>,
    pub is_auto: bool,
    pub when: Option<Expr>,
    pub approve_if: Expr,
    /// The text, and what it comes to.
    pub rejection_reason: (&'static str, Result<&'static str, ()>),
    /// Each text, and whom it gives.
    pub approvers: Vec<(&'static str, Result<Vec<&'static str>, ()>)>,
    pub allow_failed: bool,
    pub dont_allow_self_approval: bool,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub stages: Vec<&'static str>,
    pub steps: Vec<Step>,
    /// What the custom steps were answered with: known while the appeal is made, and not afterwards.
    pub custom: Vec<Step>,
    pub config: Config,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub name: String,
    pub stage: String,
    pub index: usize,
    pub approvers: Vec<String>,
    pub status: Status,
    pub actor: String,
    pub reason: String,
    pub allow_failed: bool,
    dont_allow_self_approval: bool,
}

#[derive(Clone, Debug)]
pub struct Appeal {
    pub created_by: String,
    /// `pending`, `approved` or `rejected`.
    pub status: &'static str,
    pub approvals: Vec<Approval>,
    pub labels: BTreeMap<&'static str, Label>,
    metadata: BTreeMap<&'static str, Option<&'static str>>,
    asked: Asked,
    /// For each requirement that was looked at, whether it fires.
    pub requirements: Vec<bool>,
}

/// Why nothing happened; the appeal is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// Approvers could not be resolved.
    Approvers,
    /// An expression failed.
    Internal,
    AppealNotPending,
    NotFound,
    EarlierOpen,
    ApprovalNotPending,
    NotAnApprover,
    SelfApproval,
    NoExtension,
    ExtensionTooEarly,
    Permanent,
    Questions,
    Duration,
    OnBehalf,
    LabelRule,
    Labels,
    Requirement,
}

/// Makes an appeal: what is asked of it, Apply, labels, Advance or DryRunAdvance, and, of an appeal that is stored, what fires if it is
/// approved by then.
pub fn create(policy: &Policy, asked: &Asked, dry_run: bool) -> Result<Appeal, Abort> {
    let mut known = policy.clone();
    known.steps.append(&mut known.custom);
    entry::check(&policy.config, asked, dry_run)?;
    let mut appeal = apply(&known, asked)?;
    appeal.labels = entry::labels(&policy.config, asked)?;
    advance(&known, &mut appeal)?;
    if dry_run {
        dry_run_advance(&known, &mut appeal)?;
    }
    if appeal.status == "approved" && !dry_run {
        appeal.requirements = entry::requirements(&policy.config, asked)?;
    }
    Ok(appeal)
}

fn apply(policy: &Policy, asked: &Asked) -> Result<Appeal, Abort> {
    let created_by = asked.created_by;
    let mut approvals = Vec::new();
    for (i, step) in policy.steps.iter().enumerate() {
        let index = match step.stage {
            None => i,
            Some(stage) => policy.stages.iter().position(|one| *one == stage).unwrap(),
        };
        let mut approvers: Vec<String> = Vec::new();
        if !step.is_auto {
            for (_, given) in &step.approvers {
                for one in given.as_ref().map_err(|()| Abort::Approvers)? {
                    let one = if *one == CREATOR { created_by } else { *one };
                    // Duplicates are removed, keeping order; every result must be an e-mail address.
                    if !one.contains('@') {
                        return Err(Abort::Approvers);
                    }
                    if !approvers.iter().any(|known| known == one) {
                        approvers.push(one.to_owned());
                    }
                }
            }
        }
        approvals.push(Approval {
            name: step.name.to_owned(),
            stage: step.stage.unwrap_or_default().to_owned(),
            index,
            approvers,
            status: if index == 0 { Status::Pending } else { Status::Blocked },
            actor: String::new(),
            reason: String::new(),
            allow_failed: step.allow_failed,
            dont_allow_self_approval: step.dont_allow_self_approval,
        });
    }
    Ok(Appeal {
        created_by: created_by.to_owned(),
        status: "pending",
        approvals,
        labels: BTreeMap::new(),
        metadata: policy.config.metadata.clone(),
        asked: asked.clone(),
        requirements: Vec::new(),
    })
}

fn step_of<'p>(policy: &'p Policy, approval: &Approval) -> Option<&'p Step> {
    if let Some(step) = policy.steps.iter().find(|step| step.name == approval.name) {
        return Some(step);
    }
    if policy.stages.is_empty() && approval.index < policy.steps.len() {
        return Some(&policy.steps[approval.index]);
    }
    None
}

fn env_of(appeal: &Appeal) -> Env {
    Env {
        approvals: appeal.approvals.iter().map(|one| (one.name.clone(), one.status)).collect(),
        labels: appeal.labels.clone(),
        metadata: appeal.metadata.clone(),
    }
}

fn advance(policy: &Policy, appeal: &mut Appeal) -> Result<(), Abort> {
    let env = env_of(appeal);
    for approval in &mut appeal.approvals {
        if approval.status == Status::Blocked
            && let Some(step) = step_of(policy, approval)
            && let Some(when) = &step.when
            && !when.is_truthy(&env)?
        {
            approval.status = Status::Skipped;
        }
    }
    let mut indices: Vec<usize> = appeal.approvals.iter().map(|one| one.index).collect();
    indices.sort_unstable();
    indices.dedup();
    for (nth, k) in indices.iter().copied().enumerate() {
        for approval in appeal.approvals.iter_mut().filter(|one| one.index == k) {
            if approval.status != Status::Pending {
                continue;
            }
            let Some(step) = step_of(policy, approval) else { continue };
            if let Some(when) = &step.when
                && !when.is_truthy(&env)?
            {
                approval.status = Status::Skipped;
                continue;
            }
            if step.is_auto {
                let v = step.approve_if.is_truthy(&env)?;
                if !v && step.allow_failed {
                    approval.status = Status::Skipped;
                } else if !v {
                    approval.status = Status::Rejected;
                    approval.reason = step.rejection_reason.1.map_err(|()| Abort::Internal)?.to_owned();
                } else {
                    approval.status = Status::Approved;
                }
            }
        }
        let group: Vec<Approval> = appeal.approvals.iter().filter(|one| one.index == k).cloned().collect();
        if group.iter().any(|one| one.status == Status::Rejected && !one.allow_failed) {
            reject_at(appeal, k);
            return Ok(());
        }
        let is_passed = |one: &Approval| {
            one.status == Status::Approved
                || one.status == Status::Skipped
                || (one.status == Status::Rejected && one.allow_failed)
        };
        if !group.iter().all(is_passed) {
            return Ok(());
        }
        if nth + 1 == indices.len() {
            appeal.status = "approved";
        } else {
            for approval in appeal.approvals.iter_mut().filter(|one| one.index == indices[nth + 1]) {
                if approval.status == Status::Blocked {
                    approval.status = Status::Pending;
                }
            }
        }
    }
    Ok(())
}

/// The appeal is rejected; later ones are skipped, whatever they were, and pending ones beside.
fn reject_at(appeal: &mut Appeal, k: usize) {
    appeal.status = "rejected";
    for approval in &mut appeal.approvals {
        if approval.index > k {
            approval.status = Status::Skipped;
        }
        if approval.index == k && approval.status == Status::Pending {
            approval.status = Status::Skipped;
        }
    }
}

fn dry_run_advance(policy: &Policy, appeal: &mut Appeal) -> Result<(), Abort> {
    let env = env_of(appeal);
    for approval in &mut appeal.approvals {
        if approval.status != Status::Blocked && approval.status != Status::Pending {
            continue;
        }
        let step = policy.steps.iter().find(|step| step.name == approval.name);
        if let Some(when) = step.and_then(|step| step.when.as_ref())
            && !when.is_truthy(&env)?
        {
            approval.status = Status::Skipped;
        }
    }
    Ok(())
}

/// One answer of one person to the approval of this name.
pub fn decide(
    policy: &Policy,
    appeal: &mut Appeal,
    name: &str,
    actor: &str,
    is_approval: bool,
    reason: &str,
) -> Result<(), Abort> {
    if appeal.status != "pending" {
        return Err(Abort::AppealNotPending);
    }
    let place = appeal.approvals.iter().position(|one| one.name == name).ok_or(Abort::NotFound)?;
    let approval = appeal.approvals[place].clone();
    for earlier in appeal.approvals.iter().filter(|one| one.index < approval.index) {
        if earlier.status != Status::Approved && earlier.status != Status::Skipped {
            return Err(Abort::EarlierOpen);
        }
    }
    if approval.status != Status::Pending {
        return Err(Abort::ApprovalNotPending);
    }
    if !approval.approvers.iter().any(|one| one.to_lowercase() == actor.to_lowercase()) {
        return Err(Abort::NotAnApprover);
    }
    // Nothing is written before all of it has worked.
    let mut next = appeal.clone();
    next.approvals[place].actor = actor.to_owned();
    next.approvals[place].reason = reason.to_owned();
    if is_approval {
        let forbidden = match step_of(policy, &approval) {
            Some(step) => step.dont_allow_self_approval,
            None => approval.dont_allow_self_approval,
        };
        if forbidden && actor == appeal.created_by {
            return Err(Abort::SelfApproval);
        }
        next.approvals[place].status = Status::Approved;
        advance(policy, &mut next)?;
        if next.status == "approved" {
            next.requirements = entry::requirements(&policy.config, &next.asked)?;
        }
    } else {
        next.approvals[place].status = Status::Rejected;
        reject_at(&mut next, approval.index);
    }
    *appeal = next;
    Ok(())
}
