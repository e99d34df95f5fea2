//! Provision steps: what they hold is kept as it is, so that only what cannot be given back is refused.

use super::super::{Path, Report};
use super::{json, steps::check_duration};
use crate::pb::c1::api::policy::v1::{
    Provision, ProvisionPolicy, connector_provision::ProvisionType, provision_policy::Typ,
};

pub(super) fn check(report: &mut Report, at: &Path<'_>, step: &Provision) {
    if let Some(policy) = &step.provision_policy {
        check_policy(report, &at.field("provisionPolicy"), policy);
    }
    if let Some(duration) = step.provision_target.as_ref().and_then(|target| target.grant_duration.as_ref()) {
        check_duration(report, &at.field("provisionTarget.grantDuration"), duration);
    }
}

/// Recursion is bounded by the nesting that a message may have.
fn check_policy(report: &mut Report, at: &Path<'_>, policy: &ProvisionPolicy) {
    match &policy.typ {
        Some(Typ::Connector(connector)) => {
            if let Some(ProvisionType::Account(account)) = &connector.provision_type
                && let Some(config) = &account.config
            {
                json::check_object(report, &at.field("connector.account.config"), config);
            }
        }
        Some(Typ::MultiStep(several)) => {
            let several_at = at.field("multiStep.provisionSteps");
            for (n, policy) in several.provision_steps.iter().enumerate() {
                check_policy(report, &several_at.index(n), policy);
            }
        }
        _ => {}
    }
}
