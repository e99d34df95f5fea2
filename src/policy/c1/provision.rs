//! Provision steps: how access is brought about, and by whom (reference: section 2.4).

use super::super::{Path, Report};
use super::{approval, check_ids, json, wait};
use crate::pb::c1::api::policy::v1::{
    self as pb, ManualProvision, ProvisionPolicy,
    connector_provision::{ProvisionType, account_provision::StorageType},
    provision_policy::Typ,
    provisioner_assignment::Typ as Assignment,
};
use crate::workflow::Provision;

pub(super) fn compile(report: &mut Report, at: &Path<'_>, step: &pb::Provision) -> Provision {
    if let Some(duration) = step.provision_target.as_ref().and_then(|target| target.grant_duration.as_ref()) {
        wait::compile_duration(report, &at.field("provisionTarget.grantDuration"), duration);
    }
    match &step.provision_policy {
        None => Provision::Unconfigured,
        Some(policy) => compile_policy(report, &at.field("provisionPolicy"), policy),
    }
}

/// Recursive, as the messages are; their depth is bounded where they are decoded.
fn compile_policy(report: &mut Report, at: &Path<'_>, policy: &ProvisionPolicy) -> Provision {
    match &policy.typ {
        None | Some(Typ::Unconfigured(_)) => Provision::Unconfigured,
        Some(Typ::Connector(connector)) => {
            if let Some(ProvisionType::Account(account)) = &connector.provision_type {
                let at = at.field("connector.account");
                if let Some(config) = &account.config {
                    json::check_object(report, &at.field("config"), config);
                }
                if let Some(StorageType::SaveToVault(save)) = &account.storage_type {
                    check_ids(report, &at.field("saveToVault.vaultIds"), &save.vault_ids);
                }
            }
            Provision::Connector
        }
        Some(Typ::Manual(manual)) => {
            check_manual(report, &at.field("manual"), manual);
            Provision::Manual
        }
        Some(Typ::Delegated(_)) => Provision::Delegated,
        Some(Typ::Webhook(_)) => Provision::Webhook,
        Some(Typ::MultiStep(steps)) => {
            let path = at.field("multiStep.provisionSteps");
            for (n, step) in steps.provision_steps.iter().enumerate() {
                compile_policy(report, &path.index(n), step);
            }
            Provision::MultiStep
        }
        Some(Typ::ExternalTicket(_)) => Provision::ExternalTicket,
        Some(Typ::Action(_)) => Provision::Action,
        Some(Typ::DevicePlacement(_)) => Provision::DevicePlacement,
    }
}

fn check_manual(report: &mut Report, at: &Path<'_>, manual: &ManualProvision) {
    check_ids(report, &at.field("userIds"), &manual.user_ids);
    let Some(assignment) = manual.assignee.as_ref().and_then(|assignee| assignee.typ.as_ref()) else {
        return;
    };
    let at = at.field("assignee");
    let (arm, fallback) = match assignment {
        Assignment::Users(by) => return check_ids(report, &at.field("users.userIds"), &by.user_ids),
        Assignment::AppOwners(by) => ("appOwners", &by.fallback_user_ids),
        Assignment::Group(by) => ("group", &by.fallback_user_ids),
        Assignment::Manager(by) => ("manager", &by.fallback_user_ids),
        Assignment::EntitlementOwners(by) => ("entitlementOwners", &by.fallback_user_ids),
        Assignment::Expression(by) => {
            approval::compile_expressions(report, &at.field("expression.expressions"), &by.expressions);
            ("expression", &by.fallback_user_ids)
        }
    };
    check_ids(report, &at.field(arm).field("fallbackUserIds"), fallback);
}
