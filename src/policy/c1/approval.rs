//! Approvals: who is asked, what stands in when nobody is found, and what happens when nobody answers.
//!
//! Rules from sections 1.3, 2.2 and 3.3 of the public reference, with a violation wherever the original fails with an
//! internal error.

use super::super::{Path, Report};
use super::{APPROVERS_MAX, Surroundings, check_enum, check_expression, type_of};
use crate::pb::c1::api::policy::v1::{
    AgentApproval, AppEntitlementReference, Approval, ApprovalAgentFailureAction as FailureAction,
    ApprovalAgentMode as Mode, Escalation, ExpressionApproval, Policy, PolicyType, approval::Typ,
    escalation::EscalationPolicy,
};

/// Refuses an approval that names no source of approvers or one that can never work.
pub(super) fn check(
    report: &mut Report,
    at: &Path<'_>,
    approval: &Approval,
    policy: &Policy,
    around: Surroundings<'_>,
) {
    match &approval.typ {
        None => {
            let message = "an approval names who is asked: one of users, manager, appOwners, group, self, \
                           entitlementOwners, expression, webhook, resourceOwners, agent";
            report.refuse(at, "APPROVER_MISSING", message);
        }
        Some(typ) => check_source(report, at, typ, policy, around),
    }
    check_escalation(report, at, approval, around);
}

fn check_source(report: &mut Report, at: &Path<'_>, typ: &Typ, policy: &Policy, around: Surroundings<'_>) {
    match typ {
        Typ::Users(users) => check_users(report, &at.field("users"), &users.user_ids),
        Typ::Group(group) => {
            if group.app_group_id.is_empty() {
                let message = "no group is named, so nobody can be asked";
                report.warn(&at.field("group.appGroupId"), "APPROVER_GROUP_EMPTY", message);
            }
        }
        Typ::Expression(expression) => check_expressions(report, &at.field("expression"), expression),
        Typ::Webhook(webhook) => {
            if webhook.webhook_id.is_empty() {
                let message = "no webhook is named, so nothing can be asked";
                report.warn(&at.field("webhook.webhookId"), "APPROVER_WEBHOOK_EMPTY", message);
            }
        }
        Typ::Agent(agent) => check_agent(report, &at.field("agent"), agent, policy, around),
        Typ::Manager(_)
        | Typ::AppOwners(_)
        | Typ::Self_(_)
        | Typ::EntitlementOwners(_)
        | Typ::ResourceOwners(_) => {}
    }
    if let Some((arm, fallback)) = Fallback::of(typ) {
        fallback.check(report, &at.field(arm));
    }
}

fn check_users(report: &mut Report, at: &Path<'_>, user_ids: &[String]) {
    let path = at.field("userIds");
    if user_ids.is_empty() || user_ids.len() > APPROVERS_MAX {
        let message = format!("{} users; an approval names 1 to {APPROVERS_MAX}", user_ids.len());
        report.refuse(&path, "APPROVERS_COUNT", message);
    }
    check_ids(report, &path, user_ids);
}

/// Refuses empty ids in a list of ids.
fn check_ids(report: &mut Report, path: &Path<'_>, ids: &[String]) {
    for (n, _) in ids.iter().enumerate().filter(|(_, id)| id.is_empty()) {
        report.refuse(&path.index(n), "ID_EMPTY", "an id cannot be empty");
    }
}

fn check_expressions(report: &mut Report, at: &Path<'_>, approval: &ExpressionApproval) {
    let path = at.field("expressions");
    if approval.expressions.is_empty() {
        report.warn(&path, "APPROVER_EXPRESSIONS_EMPTY", "no expression is given, so nobody can be asked");
    }
    for (n, text) in approval.expressions.iter().enumerate() {
        check_expression(report, &path.index(n), text);
    }
}

fn check_agent(
    report: &mut Report,
    at: &Path<'_>,
    agent: &AgentApproval,
    policy: &Policy,
    around: Surroundings<'_>,
) {
    #[allow(deprecated, reason = "a document that still has the field must be refused")]
    if !agent.agent_user_id.is_empty() {
        let message = "the agent is chosen by the service; leave this field out";
        report.refuse(&at.field("agentUserId"), "AGENT_USER_GIVEN", message);
    }
    check_agent_mode(report, &at.field("agentMode"), agent, policy);
    if agent.agent_mode == Mode::ChangePolicyOnly as i32 && agent.policy_ids.is_empty() {
        let message = "an agent that may only change the policy needs policies to choose from";
        report.refuse(&at.field("policyIds"), "AGENT_POLICIES_REQUIRED", message);
    }
    let ids = at.field("policyIds");
    for (n, _) in agent.policy_ids.iter().enumerate().filter(|(_, id)| Some(id.as_str()) == around.own_id) {
        report.refuse(
            &ids.index(n),
            "REFERENCE_TO_SELF",
            "an agent cannot choose the policy that it is part of",
        );
    }
    let action = at.field("agentFailureAction");
    check_enum::<FailureAction>(report, &action, agent.agent_failure_action);
    if agent.agent_failure_action == FailureAction::Unspecified as i32 {
        let message = "say what happens when the agent fails";
        report.refuse(&action, "AGENT_FAILURE_ACTION_REQUIRED", message);
    }
    if agent.agent_failure_action == FailureAction::ReassignToUsers as i32
        && agent.reassign_to_user_ids.is_empty()
    {
        let message = "name the users that take over when the agent fails";
        report.refuse(&at.field("reassignToUserIds"), "AGENT_REASSIGNEES_REQUIRED", message);
    }
    check_ids(report, &at.field("reassignToUserIds"), &agent.reassign_to_user_ids);
}

fn check_agent_mode(report: &mut Report, path: &Path<'_>, agent: &AgentApproval, policy: &Policy) {
    check_enum::<Mode>(report, path, agent.agent_mode);
    if agent.agent_mode == Mode::Unspecified as i32 {
        report.refuse(path, "AGENT_MODE_REQUIRED", "say what the agent may do");
    }
    match type_of(policy) {
        // Nothing runs a policy without a type, so nothing can be said of its agents.
        PolicyType::Unspecified | PolicyType::Grant => {}
        PolicyType::Certify if agent.agent_mode == Mode::CommentOnly as i32 => {}
        PolicyType::Certify => {
            let message = "in a certify policy an agent may only comment";
            report.refuse(path, "AGENT_MODE_NOT_FOR_TYPE", message);
        }
        PolicyType::Revoke | PolicyType::AccessRequest | PolicyType::Provision => {
            let message = "only grant and certify policies can ask an agent";
            report.refuse(path, "AGENT_NOT_FOR_TYPE", message);
        }
    }
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

    fn check(&self, report: &mut Report, at: &Path<'_>) {
        check_ids(report, &at.field("fallbackUserIds"), self.users);
        if self.on && self.to_groups && self.groups.is_empty() {
            let message = "the fallback goes to groups, so name at least one";
            report.refuse(&at.field("fallbackGroupIds"), "FALLBACK_GROUPS_REQUIRED", message);
        }
        if self.on && !self.to_groups && self.users.is_empty() {
            let message = "the fallback goes to users, so name at least one";
            report.refuse(&at.field("fallbackUserIds"), "FALLBACK_USERS_REQUIRED", message);
        }
    }
}

fn check_escalation(report: &mut Report, at: &Path<'_>, approval: &Approval, around: Surroundings<'_>) {
    let path = at.field("escalation");
    let Some(escalation) = &approval.escalation else {
        if approval.escalation_enabled {
            report.warn(
                &path,
                "ESCALATION_EMPTY",
                "escalation is switched on but says nothing, so it never happens",
            );
        }
        return;
    };
    if escalation.expiration < 0 {
        report.refuse(&path.field("expiration"), "ESCALATION_EXPIRATION_NEGATIVE", "seconds, 0 or more");
    }
    if approval.escalation_enabled && escalation.escalation_policy.is_none() {
        report.warn(
            &path,
            "ESCALATION_EMPTY",
            "escalation is switched on but says nothing, so it never happens",
        );
    }
    check_escalation_target(report, &path, escalation, around);
}

fn check_escalation_target(
    report: &mut Report,
    path: &Path<'_>,
    escalation: &Escalation,
    around: Surroundings<'_>,
) {
    match &escalation.escalation_policy {
        Some(EscalationPolicy::ReplacePolicy(replace)) => {
            let path = path.field("replacePolicy.policyId");
            if replace.policy_id.is_empty() {
                report.refuse(&path, "ID_EMPTY", "name the policy that takes over");
            } else if Some(replace.policy_id.as_str()) == around.own_id {
                report.warn(&path, "ESCALATION_TO_SELF", "the policy escalates to itself and starts again");
            }
        }
        Some(EscalationPolicy::ReassignToApprovers(reassign)) => {
            let path = path.field("reassignToApprovers.approverIds");
            if reassign.approver_ids.is_empty() {
                report.warn(&path, "ESCALATION_EMPTY", "nobody is named to take over");
            }
            check_ids(report, &path, &reassign.approver_ids);
        }
        Some(EscalationPolicy::CancelTicket(_) | EscalationPolicy::SkipStep(_)) | None => {}
    }
}
