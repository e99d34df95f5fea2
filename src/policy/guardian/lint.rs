//! What Guardian accepts and finds out too late, or never, apart from expressions.

use super::super::Path;
use super::duration;
use super::findings::Findings;
use crate::pb::gotocompany::guardian::v1beta1::{AppealOptions, Policy, PolicyAppealConfig};
use std::collections::BTreeSet;

pub(super) fn check(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    check_names(findings, policy);
    check_stages(findings, policy);
    check_references(findings, policy);
    if let Some(appeal) = &policy.appeal {
        check_appeal_config(findings, &root.field("appeal"), appeal);
    }
    let requirements = root.field("requirements");
    for (n, requirement) in policy.requirements.iter().enumerate() {
        let at = requirements.index(n);
        let appeals = at.field("appeals");
        for (m, appeal) in requirement.appeals.iter().enumerate() {
            if let Some(options) = &appeal.options {
                check_options(findings, &appeals.index(m).field("options"), options);
            }
        }
    }
}

/// For how long a requirement asks for access.
fn check_options(findings: &mut Findings, at: &Path<'_>, options: &AppealOptions) {
    check_duration(findings, &at.field("duration"), &options.duration);
    if !options.duration.is_empty() && options.expiration_date.is_some() {
        let message = "an appeal with a duration and an expiration_date is refused";
        findings.lint(at, "OPTIONS_EXCLUSIVE", message);
    }
}

/// A length of time, if there is one.
fn check_duration(findings: &mut Findings, at: &Path<'_>, text: &str) {
    if !text.is_empty()
        && let Err(error) = duration::parse(text)
    {
        findings.lint(at, "DURATION_INVALID", format!("{error}; write it like 24h or 1h30m"));
    }
}

fn check_names(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    let steps = root.field("steps");
    let mut seen = BTreeSet::new();
    for (n, step) in policy.steps.iter().enumerate() {
        let at = steps.index(n);
        if !step.name.is_empty() && !seen.insert(step.name.as_str()) {
            let message = "another step has this name; decisions by name only ever reach the first";
            findings.lint(&at.field("name"), "STEP_NAME_REPEATED", message);
        }
        if step.allow_failed && step.strategy == "manual" {
            let message = "a rejection by a person ends the appeal whatever allow_failed says";
            findings.lint(&at.field("allow_failed"), "ALLOW_FAILED_WITHOUT_EFFECT", message);
        }
        if step.strategy == "manual" && !step.approve_if.is_empty() {
            let message = "only an auto step is decided by an expression";
            findings.lint(&at.field("approve_if"), "APPROVE_IF_WITHOUT_EFFECT", message);
        }
    }
}

fn check_stages(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    let stages = root.field("stages");
    let used: BTreeSet<&str> = policy.steps.iter().map(|step| step.stage.as_str()).collect();
    let mut seen = BTreeSet::new();
    for (n, stage) in policy.stages.iter().enumerate() {
        if !seen.insert(stage.as_str()) {
            let message = "the stage is named twice; it counts where it is named last";
            findings.lint(&stages.index(n), "STAGE_REPEATED", message);
        } else if n == 0 && !used.contains(stage.as_str()) {
            let message = "no step is in the first stage, so no appeal ever begins";
            findings.lint(&stages.index(n), "FIRST_STAGE_EMPTY", message);
        } else if !used.contains(stage.as_str()) {
            findings.lint(&stages.index(n), "STAGE_EMPTY", "no step is in this stage");
        }
    }
}

/// Whether a requirement leads back to the policy itself. By way of others, only who has them can know.
fn check_references(findings: &mut Findings, policy: &Policy) {
    let root = Path::ROOT;
    let requirements = root.field("requirements");
    for (n, requirement) in policy.requirements.iter().enumerate() {
        let at = requirements.index(n);
        let at = at.field("appeals");
        for (m, appeal) in requirement.appeals.iter().enumerate() {
            if appeal.policy.as_ref().is_some_and(|named| named.id == policy.id) {
                findings.lint(&at.index(m).field("policy"), "REQUIREMENT_CYCLE", comes_back(&policy.id));
            }
        }
    }
}

/// What is wrong with a reference to a policy from which requirements lead to where they began.
pub fn comes_back(id: &str) -> String {
    format!("the requirements of {id} come back to this policy")
}

fn check_appeal_config(findings: &mut Findings, at: &Path<'_>, appeal: &PolicyAppealConfig) {
    let options = at.field("duration_options");
    let mut names = BTreeSet::new();
    for (n, option) in appeal.duration_options.iter().enumerate() {
        let at = options.index(n);
        check_duration(findings, &at.field("value"), &option.value);
        if !option.name.is_empty() && !names.insert(option.name.as_str()) {
            findings.lint(&at.field("name"), "DURATION_NAME_REPEATED", "another option has this name");
        }
    }
    let questions = at.field("questions");
    let mut keys = BTreeSet::new();
    for (n, question) in appeal.questions.iter().enumerate() {
        let at = questions.index(n);
        if question.key.is_empty() {
            findings.lint(
                &at.field("key"),
                "QUESTION_KEY_EMPTY",
                "an answer is found by the key of its question",
            );
        } else if !keys.insert(question.key.as_str()) {
            let message = "another question has this key, so both have one answer";
            findings.lint(&at.field("key"), "QUESTION_KEY_REPEATED", message);
        }
    }
}
