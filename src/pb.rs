//! The wire types: the only include of generated code, and the descriptors it was made from.
//! Modules mirror proto packages (`c1.api.policy.v1` is `pb::c1::api::policy::v1`). No behaviour may live here.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

pub mod json;

/// A module with the generated code of one package. The lints are off because nobody edits that code here.
macro_rules! package {
    ($module:ident, $package:literal) => {
        #[allow(warnings, clippy::all, clippy::pedantic, clippy::restriction, reason = "generated code")]
        pub mod $module {
            include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
        }
    };
}

/// Package `c1`: the ConductorOne dialect.
pub mod c1 {
    /// Package `c1.api`.
    pub mod api {
        /// Package `c1.api.editor`: findings in expressions.
        pub mod editor {
            package!(v1, "c1.api.editor.v1");
        }
        /// Package `c1.api.form`: the shape of forms.
        pub mod form {
            package!(v1, "c1.api.form.v1");
        }
        /// Package `c1.api.policy`: policies and the services over them.
        pub mod policy {
            package!(v1, "c1.api.policy.v1");
        }
    }
}

/// Package `countersign`: our own API.
pub mod countersign {
    package!(v1, "countersign.v1");
}

/// Package `google`: what our own API takes from there.
pub mod google {
    package!(rpc, "google.rpc");
}

/// Package `gotocompany`: Guardian's dialect.
pub mod gotocompany {
    /// Package `gotocompany.guardian`.
    pub mod guardian {
        package!(v1beta1, "gotocompany.guardian.v1beta1");
    }
}

/// Package `raystack`: the older family of Guardian's dialect.
pub mod raystack {
    /// Package `raystack.guardian`.
    pub mod guardian {
        package!(v1beta1, "raystack.guardian.v1beta1");
    }
}

package!(validate, "validate");

/// A `google.protobuf.FileDescriptorSet` of every `.proto` of this crate and what they import, with comments, as the
/// compiler wrote it. Bytes, because decoding it into the types of `prost-types` drops the `google.api.http` options.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    #[allow(clippy::expect_used, reason = "the bytes are part of the program, and a test decodes them")]
    DescriptorPool::decode(DESCRIPTORS).expect("the descriptor set that the build made is well formed")
});

/// The descriptors of [`DESCRIPTORS`], options and extensions included. Decoded once, on first use.
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

#[cfg(test)]
mod tests {
    use prost::{Message, Name};
    use prost_reflect::{DynamicMessage, ReflectMessage, Value};

    use super::c1::api::policy::v1 as pb;
    use super::*;

    fn http_rule(method: &prost_reflect::MethodDescriptor) -> Option<(String, String, String)> {
        let http = pool().get_extension_by_name("google.api.http").unwrap();
        let options = method.options();
        if !options.has_extension(&http) {
            return None;
        }
        let rule = options.get_extension(&http).into_owned();
        let rule = rule.as_message().unwrap();
        let pattern = rule.descriptor().oneofs().find(|o| o.name() == "pattern").unwrap();
        let verb = pattern.fields().find(|f| rule.has_field(f)).unwrap();
        let path = rule.get_field(&verb).as_str().unwrap().to_owned();
        let body = rule.get_field_by_name("body").unwrap().as_str().unwrap().to_owned();
        Some((verb.name().to_owned(), path, body))
    }

    #[test]
    fn every_rpc_has_its_http_rule() {
        let mut rules = Vec::new();
        for service in pool().services().filter(|s| s.package_name().starts_with("c1.")) {
            for method in service.methods() {
                let (verb, path, body) = http_rule(&method).unwrap();
                rules.push(format!("{} {verb} {path} {body}", method.full_name()));
            }
        }
        rules.sort();
        let expected = [
            "c1.api.policy.v1.AccountProvisionPolicyTest.Test post /api/v1/policies/test-account-provision-policy *",
            "c1.api.policy.v1.Policies.Create post /api/v1/policies *",
            "c1.api.policy.v1.Policies.Delete delete /api/v1/policies/{id} *",
            "c1.api.policy.v1.Policies.Get get /api/v1/policies/{id} ",
            "c1.api.policy.v1.Policies.List get /api/v1/policies ",
            "c1.api.policy.v1.Policies.Update post /api/v1/policies/{policy.id} *",
            "c1.api.policy.v1.PolicySearch.Search post /api/v1/search/policies *",
            "c1.api.policy.v1.PolicyValidate.ValidateCEL post /api/v1/policies/validate/cel *",
        ];
        assert_eq!(rules, expected);
    }

    /// The paths of all fields below `message` that carry `behavior`, each message looked at once.
    fn fields_that_are(message: &str, behavior: i32) -> Vec<String> {
        let extension = pool().get_extension_by_name("google.api.field_behavior").unwrap();
        let mut seen = Vec::new();
        let mut open = vec![pool().get_message_by_name(message).unwrap()];
        let mut found = Vec::new();
        while let Some(message) = open.pop() {
            if seen.contains(&message) {
                continue;
            }
            for field in message.fields() {
                let options = field.options();
                let behaviors = options.get_extension(&extension);
                if behaviors.as_list().unwrap().contains(&Value::EnumNumber(behavior)) {
                    found.push(format!("{}.{}", message.name(), field.name()));
                }
                open.extend(field.kind().as_message().cloned());
            }
            seen.push(message);
        }
        found.sort();
        found
    }

    #[test]
    fn read_only_fields_are_marked() {
        let expected = [
            "Approval.assigned",
            "ExpressionApproval.assigned_user_ids",
            "ManagerApproval.assigned_user_ids",
            "Policy.created_at",
            "Policy.deleted_at",
            "Policy.id",
            "Policy.system_builtin",
            "Policy.updated_at",
            "SelfApproval.assigned_user_ids",
        ];
        assert_eq!(fields_that_are("c1.api.policy.v1.Policy", 3), expected);
        assert_eq!(fields_that_are("c1.api.policy.v1.Policy", 5), ["Policy.scope", "PolicyScope.slot"]);
        assert_eq!(
            fields_that_are("c1.api.policy.v1.CreatePolicyRequest", 2),
            ["CreatePolicyRequest.display_name"]
        );
    }

    #[test]
    fn oneofs_have_all_their_arms() {
        for (message, oneof, arms) in [
            ("PolicyStep", "step", 7),
            ("Approval", "typ", 10),
            ("Escalation", "escalation_policy", 4),
            ("Wait", "until", 3),
            ("Action", "target", 3),
            ("ProvisionPolicy", "typ", 9),
            ("ProvisionerAssignment", "typ", 6),
            ("ConnectorProvision", "provision_type", 3),
            ("Rule", "outcome", 2),
            ("PolicyPostActions", "action", 1),
        ] {
            let message = pool().get_message_by_name(&format!("c1.api.policy.v1.{message}")).unwrap();
            let oneof = message.oneofs().find(|o| o.name() == oneof).unwrap();
            assert_eq!(oneof.fields().len(), arms, "{}", oneof.full_name());
        }
    }

    #[test]
    fn error_details_can_be_described() {
        for name in ["BadRequest", "ErrorInfo", "PreconditionFailure", "ResourceInfo", "RetryInfo", "Status"]
        {
            assert!(pool().get_message_by_name(&format!("google.rpc.{name}")).is_some(), "{name}");
        }
    }

    #[test]
    fn a_policy_is_the_same_through_its_descriptor() {
        let step = pb::PolicyStep { step: Some(pb::policy_step::Step::Reject(pb::Reject::default())) };
        let remediate = pb::policy_post_actions::Action::CertifyRemediateImmediately(false);
        let policy = pb::Policy {
            display_name: "Databases".to_owned(),
            policy_type: pb::PolicyType::Certify.into(),
            policy_steps: [("certify".to_owned(), pb::PolicySteps { steps: vec![step] })].into(),
            post_actions: vec![pb::PolicyPostActions { action: Some(remediate) }],
            created_at: Some(prost_types::Timestamp { seconds: 1, nanos: 2 }),
            ..Default::default()
        };
        let bytes = policy.encode_to_vec();
        let descriptor = pool().get_message_by_name(&pb::Policy::full_name()).unwrap();
        let dynamic = DynamicMessage::decode(descriptor, bytes.as_slice()).unwrap();
        assert_eq!(dynamic.get_field_by_name("display_name").unwrap().as_str(), Some("Databases"));
        assert_eq!(pb::Policy::decode(dynamic.encode_to_vec().as_slice()).unwrap(), policy);
    }
}
