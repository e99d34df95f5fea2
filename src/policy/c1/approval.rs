//! Approvals: who is asked, what stands in when nobody is found, and what happens when nobody answers.
//!
//! Rules from sections 1.3, 2.2 and 3.3 of the public reference, with a violation wherever the original fails with an
//! internal error.

use super::super::{Path, Report};
use super::{APPROVERS_MAX, Surroundings, check_ids, enum_value, expression, type_of};
use crate::expr::Environment;
use crate::pb::c1::api::policy::v1::{
    AgentApproval, AppEntitlementReference, Approval as Given, ApprovalAgentFailureAction as FailureAction,
    ApprovalAgentMode as Mode, Policy, PolicyType, approval::Typ, escalation::EscalationPolicy,
};
use crate::workflow::{
    Agent, AgentFailure, AgentMode, Approval, Condition, Escalation, EscalationTarget, GroupRef,
    Reassignment, Source,
};
use std::time::Duration;

/// Refuses an approval that names no source of approvers or one that can never work.
pub(super) fn compile(
    report: &mut Report,
    at: &Path<'_>,
    given: &Given,
    policy: &Policy,
    around: Surroundings<'_>,
) -> Option<Approval> {
    let escalation = compile_escalation(report, at, given, around);
    check_ids(report, &at.field("allowedReassignees"), &given.allowed_reassignees);
    let Some(typ) = &given.typ else {
        let message = "an approval names who is asked: one of users, manager, appOwners, group, self, \
                       entitlementOwners, expression, webhook, resourceOwners, agent";
        report.refuse(at, "APPROVER_MISSING", message);
        return None;
    };
    let mut sources = vec![compile_source(report, at, typ, policy, around)?];
    if let Some((arm, fallback)) = Fallback::of(typ) {
        sources.extend(fallback.compile(report, &at.field(arm)));
    }
    let (allow_self_approval, require_distinct_approvers) = choices(typ);
    let approval = Approval {
        sources,
        nobody: around.nobody,
        allow_self_approval,
        require_distinct_approvers,
        reassignment: Reassignment {
            allowed: given.allow_reassignment,
            to: given.allowed_reassignees.clone(),
            require_reason: given.require_reassignment_reason,
        },
        allow_delegation: given.allow_delegation,
        require_approval_reason: given.require_approval_reason,
        require_denial_reason: given.require_denial_reason,
        step_up_provider: Some(given.requires_step_up_provider_id.clone()).filter(|id| !id.is_empty()),
        escalation,
    };
    warn_of_surprises(report, at, typ, &approval);
    Some(approval)
}

/// What is allowed, and what its author may not have thought of.
fn warn_of_surprises(report: &mut Report, at: &Path<'_>, typ: &Typ, approval: &Approval) {
    if !approval.always_finds_somebody() && approval.escalation.is_none() {
        let message =
            "there may be nobody to ask, and neither a fallback nor an escalation says what happens then";
        report.warn(at, "APPROVAL_MAY_BLOCK", message);
    }
    if matches!(typ, Typ::Manager(manager) if manager.allow_self_approval) {
        let message = "somebody who is their own manager can approve their own request";
        report.warn(&at.field("manager.allowSelfApproval"), "SELF_APPROVAL_ALLOWED", message);
    }
}

/// Whether the subject may decide, and whether earlier approvers may not, for the arms that can say so.
fn choices(typ: &Typ) -> (bool, bool) {
    match typ {
        Typ::Users(a) => (a.allow_self_approval, a.require_distinct_approvers),
        Typ::Manager(a) => (a.allow_self_approval, a.require_distinct_approvers),
        Typ::AppOwners(a) => (a.allow_self_approval, a.require_distinct_approvers),
        Typ::Group(a) => (a.allow_self_approval, a.require_distinct_approvers),
        Typ::EntitlementOwners(a) => (a.allow_self_approval, a.require_distinct_approvers),
        Typ::Expression(a) => (a.allow_self_approval, a.require_distinct_approvers),
        Typ::ResourceOwners(a) => (a.allow_self_approval, a.require_distinct_approvers),
        // The owner of the account is asked because it is normally the subject.
        Typ::Self_(_) => (true, false),
        Typ::Webhook(_) | Typ::Agent(_) => (false, false),
    }
}

fn compile_source(
    report: &mut Report,
    at: &Path<'_>,
    typ: &Typ,
    policy: &Policy,
    around: Surroundings<'_>,
) -> Option<Source> {
    Some(match typ {
        Typ::Users(users) => {
            check_users(report, &at.field("users"), &users.user_ids);
            Source::Users(users.user_ids.clone())
        }
        Typ::Group(group) => {
            if group.app_group_id.is_empty() {
                let message = "no group is named, so nobody can be asked";
                report.warn(&at.field("group.appGroupId"), "APPROVER_GROUP_EMPTY", message);
            }
            let group = GroupRef { app_id: group.app_id.clone(), entitlement_id: group.app_group_id.clone() };
            Source::Groups(vec![group])
        }
        Typ::Expression(approval) => {
            let path = at.field("expression.expressions");
            Source::Expressions(compile_expressions(report, &path, &approval.expressions)?)
        }
        Typ::Webhook(webhook) => {
            if webhook.webhook_id.is_empty() {
                let message = "no webhook is named, so nothing can be asked";
                report.warn(&at.field("webhook.webhookId"), "APPROVER_WEBHOOK_EMPTY", message);
            }
            Source::Webhook(webhook.webhook_id.clone())
        }
        Typ::Agent(agent) => Source::Agent(compile_agent(report, &at.field("agent"), agent, policy, around)?),
        Typ::Manager(_) => Source::Managers,
        Typ::AppOwners(_) => Source::AppOwners,
        Typ::Self_(_) => Source::AccountOwner,
        Typ::EntitlementOwners(_) => Source::EntitlementOwners,
        Typ::ResourceOwners(_) => Source::ResourceOwners,
    })
}

fn check_users(report: &mut Report, at: &Path<'_>, user_ids: &[String]) {
    let path = at.field("userIds");
    if user_ids.is_empty() || user_ids.len() > APPROVERS_MAX {
        let message = format!("{} users; an approval names 1 to {APPROVERS_MAX}", user_ids.len());
        report.refuse(&path, "APPROVERS_COUNT", message);
    }
    check_ids(report, &path, user_ids);
}

/// Compiles expressions that give approvers or provisioners, each at its index below `path`. `None` if one is faulty.
pub(super) fn compile_expressions(
    report: &mut Report,
    path: &Path<'_>,
    texts: &[String],
) -> Option<Vec<Condition>> {
    if texts.is_empty() {
        report.warn(path, "APPROVER_EXPRESSIONS_EMPTY", "no expression is given, so nobody can be asked");
    }
    let mut compiled = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        compiled.extend(expression::compile(report, &path.index(n), Environment::Approver, text));
    }
    (compiled.len() == texts.len()).then_some(compiled)
}

fn compile_agent(
    report: &mut Report,
    at: &Path<'_>,
    agent: &AgentApproval,
    policy: &Policy,
    around: Surroundings<'_>,
) -> Option<Agent> {
    #[allow(deprecated, reason = "a document that still has the field must be refused")]
    if !agent.agent_user_id.is_empty() {
        let message = "the agent is chosen by the service; leave this field out";
        report.refuse(&at.field("agentUserId"), "AGENT_USER_GIVEN", message);
    }
    let mode = compile_agent_mode(report, &at.field("agentMode"), agent, policy);
    if mode == Some(AgentMode::ChangePolicyOnly) && agent.policy_ids.is_empty() {
        let message = "an agent that may only change the policy needs policies to choose from";
        report.refuse(&at.field("policyIds"), "AGENT_POLICIES_REQUIRED", message);
    }
    let ids = at.field("policyIds");
    check_ids(report, &ids, &agent.policy_ids);
    for (n, _) in agent.policy_ids.iter().enumerate().filter(|(_, id)| Some(id.as_str()) == around.own_id) {
        report.refuse(
            &ids.index(n),
            "REFERENCE_TO_SELF",
            "an agent cannot choose the policy that it is part of",
        );
    }
    let on_failure = compile_agent_failure(report, at, agent);
    let (policies, instructions) = (agent.policy_ids.clone(), agent.instructions.clone());
    Some(Agent { mode: mode?, on_failure: on_failure?, policies, instructions })
}

fn compile_agent_failure(report: &mut Report, at: &Path<'_>, agent: &AgentApproval) -> Option<AgentFailure> {
    let path = at.field("agentFailureAction");
    let reassignees = at.field("reassignToUserIds");
    check_ids(report, &reassignees, &agent.reassign_to_user_ids);
    match enum_value(report, &path, agent.agent_failure_action) {
        FailureAction::Unspecified => {
            report.refuse(&path, "AGENT_FAILURE_ACTION_REQUIRED", "say what happens when the agent fails");
            None
        }
        FailureAction::ReassignToUsers => {
            if agent.reassign_to_user_ids.is_empty() {
                let message = "name the users that take over when the agent fails";
                report.refuse(&reassignees, "AGENT_REASSIGNEES_REQUIRED", message);
            }
            Some(AgentFailure::Reassign(agent.reassign_to_user_ids.clone()))
        }
        FailureAction::ReassignToSuperAdmins => Some(AgentFailure::ReassignToAdministrators),
        FailureAction::SkipPolicyStep => Some(AgentFailure::SkipStage),
    }
}

fn compile_agent_mode(
    report: &mut Report,
    path: &Path<'_>,
    agent: &AgentApproval,
    policy: &Policy,
) -> Option<AgentMode> {
    let mode = match enum_value(report, path, agent.agent_mode) {
        Mode::Unspecified => {
            report.refuse(path, "AGENT_MODE_REQUIRED", "say what the agent may do");
            None
        }
        Mode::FullControl => Some(AgentMode::FullControl),
        Mode::ChangePolicyOnly => Some(AgentMode::ChangePolicyOnly),
        Mode::CommentOnly => Some(AgentMode::CommentOnly),
    };
    match type_of(policy) {
        // Nothing runs a policy without a type, so nothing can be said of its agents.
        PolicyType::Unspecified | PolicyType::Grant => {}
        PolicyType::Certify if mode == Some(AgentMode::CommentOnly) => {}
        PolicyType::Certify => {
            let message = "in a certify policy an agent may only comment";
            report.refuse(path, "AGENT_MODE_NOT_FOR_TYPE", message);
        }
        PolicyType::Revoke | PolicyType::AccessRequest | PolicyType::Provision => {
            let message = "only grant and certify policies can ask an agent";
            report.refuse(path, "AGENT_NOT_FOR_TYPE", message);
        }
    }
    mode
}

/// The four fields that most approver arms share.
struct Fallback<'a> {
    on: bool,
    to_groups: bool,
    users: &'a [String],
    groups: &'a [AppEntitlementReference],
}

impl<'a> Fallback<'a> {
    /// The fallback of an arm and the arm's JSON name; `None` for the arms that have none.
    fn of(typ: &'a Typ) -> Option<(&'static str, Fallback<'a>)> {
        macro_rules! fallback {
            ($arm:literal, $approval:ident) => {
                Some((
                    $arm,
                    Fallback {
                        on: $approval.fallback,
                        to_groups: $approval.is_group_fallback_enabled,
                        users: &$approval.fallback_user_ids,
                        groups: &$approval.fallback_group_ids,
                    },
                ))
            };
        }
        match typ {
            Typ::Manager(a) => fallback!("manager", a),
            Typ::Group(a) => fallback!("group", a),
            Typ::Self_(a) => fallback!("self", a),
            Typ::EntitlementOwners(a) => fallback!("entitlementOwners", a),
            Typ::Expression(a) => fallback!("expression", a),
            Typ::ResourceOwners(a) => fallback!("resourceOwners", a),
            Typ::Users(_) | Typ::AppOwners(_) | Typ::Webhook(_) | Typ::Agent(_) => None,
        }
    }

    /// The source that is tried when the arm gives nobody.
    fn compile(&self, report: &mut Report, at: &Path<'_>) -> Option<Source> {
        check_ids(report, &at.field("fallbackUserIds"), self.users);
        let groups = at.field("fallbackGroupIds");
        for (n, _) in self.groups.iter().enumerate().filter(|(_, group)| group.app_entitlement_id.is_empty())
        {
            let message = "a group is named by the id of its entitlement";
            report.refuse(&groups.index(n).field("appEntitlementId"), "ID_EMPTY", message);
        }
        if !self.on {
            return None;
        }
        if self.to_groups {
            if self.groups.is_empty() {
                let message = "the fallback goes to groups, so name at least one";
                report.refuse(&groups, "FALLBACK_GROUPS_REQUIRED", message);
            }
            let groups = self.groups.iter().map(|group| GroupRef {
                app_id: group.app_id.clone(),
                entitlement_id: group.app_entitlement_id.clone(),
            });
            return Some(Source::Groups(groups.collect()));
        }
        if self.users.is_empty() {
            let message = "the fallback goes to users, so name at least one";
            report.refuse(&at.field("fallbackUserIds"), "FALLBACK_USERS_REQUIRED", message);
        }
        Some(Source::Users(self.users.to_vec()))
    }
}

/// What happens when nobody answers. An escalation that is switched off is checked too, so that it can be switched on.
fn compile_escalation(
    report: &mut Report,
    at: &Path<'_>,
    given: &Given,
    around: Surroundings<'_>,
) -> Option<Escalation> {
    let path = at.field("escalation");
    let says_nothing =
        given.escalation.as_ref().is_none_or(|escalation| escalation.escalation_policy.is_none());
    if given.escalation_enabled && says_nothing {
        report.warn(
            &path,
            "ESCALATION_EMPTY",
            "escalation is switched on but says nothing, so it never happens",
        );
    }
    let escalation = given.escalation.as_ref()?;
    let after = u64::try_from(escalation.expiration);
    if after.is_err() {
        report.refuse(&path.field("expiration"), "ESCALATION_EXPIRATION_NEGATIVE", "seconds, 0 or more");
    }
    let to = compile_escalation_target(report, &path, escalation.escalation_policy.as_ref()?, around);
    let after = Duration::from_secs(after.ok()?);
    given.escalation_enabled.then(|| Escalation { after, to, comment: escalation.escalation_comment.clone() })
}

fn compile_escalation_target(
    report: &mut Report,
    path: &Path<'_>,
    target: &EscalationPolicy,
    around: Surroundings<'_>,
) -> EscalationTarget {
    match target {
        EscalationPolicy::ReplacePolicy(replace) => {
            let path = path.field("replacePolicy.policyId");
            if replace.policy_id.is_empty() {
                report.refuse(&path, "ID_EMPTY", "name the policy that takes over");
            } else if Some(replace.policy_id.as_str()) == around.own_id {
                report.refuse(&path, "REFERENCE_TO_SELF", "a policy cannot take over from itself");
            }
            EscalationTarget::ReplacePolicy(replace.policy_id.clone())
        }
        EscalationPolicy::ReassignToApprovers(reassign) => {
            let path = path.field("reassignToApprovers.approverIds");
            if reassign.approver_ids.is_empty() {
                report.warn(&path, "ESCALATION_EMPTY", "nobody is named to take over");
            }
            check_ids(report, &path, &reassign.approver_ids);
            EscalationTarget::Reassign(reassign.approver_ids.clone())
        }
        EscalationPolicy::CancelTicket(_) => EscalationTarget::CancelTask,
        EscalationPolicy::SkipStep(_) => EscalationTarget::SkipStage,
    }
}
