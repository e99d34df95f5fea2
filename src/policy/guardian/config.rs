//! The expressions in the configurations of metadata sources, custom steps and post hooks, which Guardian meets when it calls somebody.
//!
//! A configuration may hold secrets, so what is said of an expression in it tells where it is wrong and never repeats it.

use super::super::Path;
use super::findings::Findings;
use super::iam::{fields, find};
use crate::expr::Diagnostic;
use crate::expr::guardian::{self as language, Place};
use crate::pb::gotocompany::guardian::v1beta1::Policy;
use crate::pb::json::{Entry, Kind, Struct, Value};

pub(super) fn check(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    let sources = root.field("appeal.metadata_sources");
    for (key, source) in policy.appeal.iter().flat_map(|appeal| &appeal.metadata_sources) {
        if let Some(config) = source.config.as_ref().and_then(fields) {
            check_source(findings, &sources.key(key).field("config"), config);
        }
    }
    let requirements = root.field("requirements");
    for (n, requirement) in policy.requirements.iter().enumerate() {
        let at = requirements.index(n);
        let hooks = at.field("post_hooks");
        for (m, hook) in requirement.post_hooks.iter().enumerate() {
            if let Some(config) = &hook.config {
                check_call(findings, &hooks.index(m).field("config"), Place::PostHook, config);
            }
        }
    }
    let custom = policy.custom_steps.as_ref().and_then(|custom| custom.config.as_ref());
    if let Some(config) = custom.and_then(fields) {
        check_source(findings, &root.field("custom_steps.config"), config);
    }
}

fn check_source(findings: &mut Findings, at: &Path<'_>, config: &Struct) {
    check_text(findings, &at.field("when"), Place::SourceWhen, find(config, "when"));
    check_call(findings, at, Place::SourceRequest, config);
}

/// What is sent, and where to.
fn check_call(findings: &mut Findings, at: &Path<'_>, place: Place, config: &Struct) {
    for name in ["url", "body"] {
        check_text(findings, &at.field(name), place, find(config, name));
    }
    let at = at.field("headers");
    for Entry { key, value } in
        find(config, "headers").and_then(fields).iter().flat_map(|headers| &headers.fields)
    {
        check_text(findings, &at.key(key), place, value.as_ref());
    }
}

fn check_text(findings: &mut Findings, at: &Path<'_>, place: Place, value: Option<&Value>) {
    let Some(Value { kind: Some(Kind::StringValue(text)) }) = value else { return };
    if text.is_empty() || !place.is_expression(text) {
        return;
    }
    let (faults, message) = match language::compile(place, text) {
        Ok(program) => (program.warnings().to_vec(), "there is no such field"),
        Err(faults) => (faults, "this is no expression that can be evaluated here"),
    };
    for fault in faults {
        findings.lint_expression(at, &Diagnostic { message: message.to_owned(), ..fault });
    }
}
