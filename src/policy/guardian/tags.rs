//! The rules that stand as struct tags in Guardian, in the order of its structs: it reports all that fail together.

use super::super::Path;
use super::findings::Findings;
use super::iam;
use crate::pb::gotocompany::guardian::v1beta1::{
    Policy, PolicyAppealConfig,
    policy::{
        ApprovalStep, Requirement,
        requirement::{AdditionalAppeal, RequirementTrigger, additional_appeal::ResourceIdentifier},
    },
};

/// Checks the whole document. The tag on the version can never fail, because it is set before.
pub(super) fn check(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    if policy.id.is_empty() {
        findings.tag(&root.field("id"), "ID_REQUIRED", "a policy needs an id", "Policy.ID", "required");
    }
    let steps = root.field("steps");
    if policy.steps.is_empty() {
        findings.tag(&steps, "STEPS_REQUIRED", "a policy needs a step", "Policy.Steps", "required");
    }
    for (n, step) in policy.steps.iter().enumerate() {
        check_step(findings, &steps.index(n), n, step);
    }
    if let Some(appeal) = &policy.appeal {
        check_appeal_config(findings, &root.field("appeal"), appeal);
    }
    let requirements = root.field("requirements");
    for (n, requirement) in policy.requirements.iter().enumerate() {
        let key = format!("Policy.Requirements[{n}]");
        check_requirement(findings, &requirements.index(n), &key, requirement);
    }
    if let Some(given) = &policy.iam {
        iam::check_tags(findings, given);
    }
}

fn check_step(findings: &mut Findings, at: &Path<'_>, n: usize, step: &ApprovalStep) {
    let key = |field: &str| format!("Policy.Steps[{n}].{field}");
    if step.name.is_empty() {
        findings.tag(&at.field("name"), "STEP_NAME_REQUIRED", "a step needs a name", key("Name"), "required");
    }
    let strategy = at.field("strategy");
    let message = "a step's strategy is auto or manual";
    match step.strategy.as_str() {
        "" => findings.tag(&strategy, "STRATEGY_REQUIRED", message, key("Strategy"), "required"),
        "manual" if step.approvers.is_empty() => {
            let message = "a manual step names who approves";
            findings.tag(
                &at.field("approvers"),
                "APPROVERS_REQUIRED",
                message,
                key("Approvers"),
                "required_if",
            );
        }
        "auto" if step.approve_if.is_empty() => {
            let message = "an auto step says when it is approved";
            findings.tag(
                &at.field("approve_if"),
                "APPROVE_IF_REQUIRED",
                message,
                key("ApproveIf"),
                "required_if",
            );
        }
        "manual" | "auto" => {}
        _ => findings.tag(&strategy, "STRATEGY_UNKNOWN", message, key("Strategy"), "oneof"),
    }
}

fn check_appeal_config(findings: &mut Findings, at: &Path<'_>, appeal: &PolicyAppealConfig) {
    let options = at.field("duration_options");
    for (n, option) in appeal.duration_options.iter().enumerate() {
        let at = options.index(n);
        for (field, go, value) in [("name", "Name", &option.name), ("value", "Value", &option.value)] {
            if value.is_empty() {
                let message = format!("a duration option needs a {field}");
                let key = format!("Policy.AppealConfig.DurationOptions[{n}].{go}");
                findings.tag(&at.field(field), "DURATION_OPTION_INCOMPLETE", message, key, "required");
            }
        }
    }
    let rules = at.field("labeling_rules");
    for (n, rule) in appeal.labeling_rules.iter().enumerate() {
        let (at, key) = (rules.index(n), format!("Policy.AppealConfig.LabelingRules[{n}]"));
        for (field, go, missing) in [
            ("rule_name", "RuleName", rule.rule_name.is_empty()),
            ("when", "When", rule.when.is_empty()),
            ("labels", "Labels", rule.labels.is_empty()),
        ] {
            if missing {
                let message = format!("a labelling rule needs {field}");
                let key = format!("{key}.{go}");
                findings.tag(&at.field(field), "LABELING_RULE_INCOMPLETE", message, key, "required");
            }
        }
    }
}

fn check_requirement(findings: &mut Findings, at: &Path<'_>, key: &str, requirement: &Requirement) {
    let on = at.field("on");
    match &requirement.on {
        None => {
            let message = "a requirement says when it applies";
            findings.tag(&on, "TRIGGER_REQUIRED", message, format!("{key}.On"), "required");
        }
        Some(trigger) => check_trigger(findings, &on, &format!("{key}.On"), trigger),
    }
    let appeals = at.field("appeals");
    for (n, appeal) in requirement.appeals.iter().enumerate() {
        check_appeal(findings, &appeals.index(n), &format!("{key}.Appeals[{n}]"), appeal);
    }
    let hooks = at.field("post_hooks");
    for (n, hook) in requirement.post_hooks.iter().enumerate() {
        let (at, key) = (hooks.index(n), format!("{key}.PostHooks[{n}]"));
        if hook.name.is_empty() {
            let path = at.field("name");
            findings.tag(
                &path,
                "HOOK_NAME_REQUIRED",
                "a hook needs a name",
                format!("{key}.Name"),
                "required",
            );
        }
        if hook.r#type != "http" {
            let tag = if hook.r#type.is_empty() { "required" } else { "oneof" };
            let path = at.field("type");
            findings.tag(&path, "HOOK_TYPE_UNKNOWN", "a hook's type is http", format!("{key}.Type"), tag);
        }
    }
}

/// Something must be given. Guardian's lists for the last three fields forget `resource_urn`, so that a trigger with
/// nothing else is refused; here it is not, unless that is asked for.
fn check_trigger(findings: &mut Findings, at: &Path<'_>, key: &str, trigger: &RequirementTrigger) {
    let first = [
        ("ProviderType", trigger.provider_type.is_empty()),
        ("ProviderURN", trigger.provider_urn.is_empty()),
        ("ResourceType", trigger.resource_type.is_empty()),
        ("ResourceURN", trigger.resource_urn.is_empty()),
    ];
    let last = [
        ("Role", trigger.role.is_empty()),
        ("Conditions", trigger.conditions.is_empty()),
        ("Expression", trigger.expression.is_empty()),
    ];
    let empty = |fields: &[(&str, bool)]| fields.iter().all(|(_, empty)| *empty);
    if !empty(&last) || (trigger.resource_urn.is_empty() && !empty(&first)) {
        return;
    }
    let missing: &[&str] = if empty(&first) {
        &["ProviderType", "ProviderURN", "ResourceType", "ResourceURN", "Role", "Conditions", "Expression"]
    } else if findings.is_strict() && first.iter().take(3).all(|(_, empty)| *empty) {
        &["Role", "Conditions", "Expression"]
    } else {
        return;
    };
    if !findings.is_strict() {
        let message = "a trigger gives at least one of provider_type, provider_urn, resource_type, resource_urn, \
                       role, conditions, expression";
        findings.tag(at, "TRIGGER_EMPTY", message, key, "required_without_all");
        return;
    }
    for field in missing {
        let message = "a trigger gives at least one of its fields, and not only resource_urn";
        findings.tag(at, "TRIGGER_EMPTY", message, format!("{key}.{field}"), "required_without_all");
    }
}

fn check_appeal(findings: &mut Findings, at: &Path<'_>, key: &str, appeal: &AdditionalAppeal) {
    let resource = at.field("resource");
    match &appeal.resource {
        None => {
            let message = "an appeal names a resource";
            findings.tag(&resource, "RESOURCE_REQUIRED", message, format!("{key}.Resource"), "required");
        }
        Some(given) => check_resource(findings, &resource, &format!("{key}.Resource"), given),
    }
    if appeal.role.is_empty() {
        let path = at.field("role");
        findings.tag(&path, "ROLE_REQUIRED", "an appeal names a role", format!("{key}.Role"), "required");
    }
    let Some(policy) = &appeal.policy else { return };
    let at = at.field("policy");
    if policy.id.is_empty() {
        let key = format!("{key}.Policy.ID");
        findings.tag(&at.field("id"), "POLICY_ID_REQUIRED", "a reference names a policy", key, "required");
    }
    if policy.version == 0 {
        let message = "a reference names a version; it cannot say `the latest`";
        let key = format!("{key}.Policy.Version");
        findings.tag(&at.field("version"), "POLICY_VERSION_REQUIRED", message, key, "required");
    }
}

fn check_resource(findings: &mut Findings, at: &Path<'_>, key: &str, resource: &ResourceIdentifier) {
    let four = [
        ("provider_type", "ProviderType", resource.provider_type.is_empty()),
        ("provider_urn", "ProviderURN", resource.provider_urn.is_empty()),
        ("type", "Type", resource.r#type.is_empty()),
        ("urn", "URN", resource.urn.is_empty()),
    ];
    if four.iter().all(|(.., empty)| *empty) {
        if resource.id.is_empty() {
            let message = "a resource is named by its id, or by provider_type, provider_urn, type and urn";
            findings.tag(
                &at.field("id"),
                "RESOURCE_UNNAMED",
                message,
                format!("{key}.ID"),
                "required_without_all",
            );
        }
        return;
    }
    for (field, go, _) in four.iter().filter(|(.., empty)| *empty) {
        let message = "provider_type, provider_urn, type and urn come together";
        let key = format!("{key}.{go}");
        findings.tag(&at.field(field), "RESOURCE_INCOMPLETE", message, key, "required_with");
    }
}

/// What Guardian's validator takes for a URL: Go can parse it as a request URI, and it has a scheme. As Go 1.20 parses, which
/// looks at no address in brackets closer than that the bracket is closed.
pub(super) fn is_url(text: &str) -> bool {
    let text = text.split('#').next().unwrap_or_default();
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    let scheme = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !scheme || text.chars().any(|c| c.is_ascii_control()) {
        return false;
    }
    let rest = rest.split('?').next().unwrap_or_default();
    if !rest.starts_with('/') {
        // Nothing looks into what does not begin with a slash.
        return true;
    }
    let Some(rest) = rest.strip_prefix("//") else { return escapes_fit(rest, |_| true) };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    is_authority(authority) && escapes_fit(path, |_| true)
}

fn is_authority(authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    is_user(user) && is_host(host)
}

/// A name, or a name and a password behind a colon.
fn is_user(user: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    user.chars().all(known) && escapes_fit(name, |_| true) && escapes_fit(password, |_| true)
}

fn is_host(host: &str) -> bool {
    let Some(inside) = host.strip_prefix('[') else {
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        return is_number(port) && is_name(host);
    };
    let Some((inside, port)) = inside.rsplit_once(']') else { return false };
    let port = if port.is_empty() { Some("") } else { port.strip_prefix(':') };
    let (address, zone) = inside.split_at(inside.find("%25").unwrap_or(inside.len()));
    let of_zone = |byte: u8| matches!(byte, b'%' | b' ') || is_host_byte(byte);
    port.is_some_and(is_number) && is_name(address) && has_host_bytes(zone) && escapes_fit(zone, of_zone)
}

/// In a name, only bytes beyond ASCII are escaped, and the percent sign.
fn is_name(name: &str) -> bool {
    has_host_bytes(name) && escapes_fit(name, |byte| byte >= 0x80 || byte == b'%')
}

fn has_host_bytes(text: &str) -> bool {
    text.bytes().all(|byte| byte >= 0x80 || byte == b'%' || is_host_byte(byte))
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

fn is_number(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether each percent sign stands before two hexadecimal digits, and each byte that those are is one that `fits`.
fn escapes_fit(text: &str, fits: impl Fn(u8) -> bool) -> bool {
    text.split('%').skip(1).all(|escape| {
        let digits = escape.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).is_some_and(&fits)
    })
}

#[cfg(test)]
mod tests {
    use super::is_url;

    #[test]
    fn urls_are_those_of_the_validator() {
        for good in [
            "http://a",
            "https://a.example:8080/b?c=d#e",
            "mailto:x",
            "x:",
            "http://[::1]:80/",
            "http://a/%20",
            "http:%zz",
            "http:a b",
            "http:?%zz",
            "http://",
            "http:///x",
            "http://h?%zz",
            "http://[fe80::1%25en0]/",
            "http://[fe80::1%25%65%20x]:/",
            "http://[::1%25e\"n]/",
            "http://a%e4b%25/",
            "http://ä!$&'()*+,;=<>]\"/",
            "http://a:b:80",
            "http://u;=&+$,!'()*~._-%20:p:q%41@h/",
            "http://u@v@h",
            "http://:@",
            "http://u?@h/",
            "http+x.y-z://h",
        ] {
            assert!(is_url(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "/a",
            "#http://a",
            ":a",
            "1a://b",
            "http://a b/",
            "http://a:b/",
            "http://a/%2",
            "http://a\n",
            "http://[::1",
            "http://[",
            "http://[::1]x/",
            "http://[::1]:8a",
            "http://u^r@h",
            "http://us er@h/",
            "http://u[r@h/",
            "http://uä@h",
            "http://u%zz@h",
            "http://u:p%4@h",
            "http://u%4:1@h",
            "http://a%20b/",
            "http://a%41/",
            "http://a%zz/",
            "http://a%+1/",
            "http://[fe80::1%en0]/",
            "http://[fe80::1%25 e]/",
            "http://[fe80::1%25%zz]/",
            "http://[a%20b%25c]/",
            "http://a|b",
            "http:/a%zz",
            "http:///%zz",
        ] {
            assert!(!is_url(bad), "{bad:?}");
        }
    }
}
