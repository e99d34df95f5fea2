//! Approvers: an e-mail address, or an expression. Guardian looks at each when a policy is created.

use super::super::Path;
use super::findings::Findings;
use super::{Family, expression};
use regex::Regex;
use std::sync::LazyLock;

/// Expressions that speak of one of these are not looked at when the policy is created: only an appeal can tell.
const LATE: [&str; 6] = [
    "$appeal.resource",
    "$appeal.creator",
    "$appeal.role",
    "$appeal.permissions",
    "$appeal.details",
    "$appeal.labels",
];
/// How many of them the older family knows.
const LATE_OF_RAYSTACK: usize = 2;

#[allow(clippy::expect_used, reason = "the pattern is part of the program, and a test compiles it")]
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    let beyond = r"\u{A0}-\u{D7FF}\u{F900}-\u{FDCF}\u{FDF0}-\u{FFEF}";
    let atom = format!(r"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{beyond}-]+");
    let quoted = format!(r#""(?:[ -!#-\[\]-~{beyond}\t]|\\[ -~{beyond}\t])*""#);
    let (letter, any) = (format!("[A-Za-z{beyond}]"), format!("[A-Za-z0-9{beyond}]"));
    let inner = format!("[A-Za-z0-9.~{beyond}-]*");
    let pattern = format!(
        r"^(?:{atom}(?:\.{atom})*|{quoted})@(?:{any}(?:{inner}{any})?\.)+{letter}(?:{inner}{letter})?\.?$"
    );
    Regex::new(&pattern).expect("the pattern of e-mail addresses compiles")
});

/// What Guardian takes for an e-mail address.
pub(super) fn is_email(text: &str) -> bool {
    EMAIL.is_match(text)
}

/// Guardian's check of one approver when a policy is created.
pub(super) fn check(findings: &mut Findings, path: &Path<'_>, text: &str) {
    if !is_email(text) && is_early(findings.around().family, text) {
        expression::check_early_approver(findings, path, text);
    }
}

/// Whether an expression is looked at when the policy is created.
pub(super) fn is_early(family: Family, text: &str) -> bool {
    let late = match family {
        Family::Goto => LATE.as_slice(),
        Family::Raystack => LATE.get(..LATE_OF_RAYSTACK).unwrap_or_default(),
    };
    !late.iter().any(|late| text.contains(late))
}

#[cfg(test)]
mod tests {
    use super::is_email;

    #[test]
    fn addresses_are_those_of_the_validator() {
        for good in [
            "a@b.co",
            "first.last+tag@sub.corp.example",
            "ünï@corp.example",
            "\"quoted local\"@corp.example",
            "a@b-c.example.",
            "a@1.example",
        ] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "bob",
            "a@b",
            "@b.co",
            "a@.co",
            "a..b@c.co",
            "a@b.c0m1",
            "a@b.co ",
            "$appeal.account_id",
            "a@-b.co",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
