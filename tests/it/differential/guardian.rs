//! Guardian's policies: steps with and without stages, custom steps, expressions that are true, false, fail or look at the other
//! approvals, approvers of all kinds, dry runs, and decisions of whoever is and is not asked; and all that is asked of an appeal
//! before there is one, its labels and metadata, and what fires once it is approved.

use super::{Dice, cases};
use crate::reference::guardian::{
    Abort, Appeal, Asked, CREATOR, Config, Expr, LabelRule, Lifetime, Options, Policy, Requirement, Status,
    Step, UserLabels, create, decide,
};
use chrono::{DateTime, TimeDelta, Utc};
use countersign::pb;
use countersign::pb::gotocompany::guardian::v1beta1::Policy as Document;
use countersign::policy::guardian;
use countersign::wire::Schema;
use countersign::wire::json::{self as wire_json, Reading};
use countersign::workflow::run::{
    AppealMachine, AppealState, Decision, Effect, Event, Happening, PolicyName, Verdict,
};
use countersign::workflow::{Workflow, world};
use prost::Message;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const NAMES: &[&str] = &["one", "two", "three", "four", "five", "six"];
const STAGES: &[&str] = &["first", "second", "third"];
pub const PEOPLE: &[&str] = &["ann@example.com", "max@example.com", "eve@example.com", "MAX@example.com"];
const STATUSES: &[Status] =
    &[Status::Pending, Status::Blocked, Status::Skipped, Status::Approved, Status::Rejected];

/// What is decided, one after the other: the name of the approval, who, yes or no, why.
type Decided = Vec<(&'static str, &'static str, bool, &'static str)>;

/// So many cases in a row have the same policy, which costs more to compile than to run.
const RUNS: u64 = 8;

/// What becomes of one appeal.
#[derive(Debug)]
struct Case {
    asked: Asked,
    dry_run: bool,
    decided: Decided,
}

fn condition(dice: &mut Dice) -> Expr {
    match dice.below(100) {
        0..3 => dice.one_of(&[
            Expr::Always("$appeal.nothing", Err(())),
            Expr::Always("$appeal.options.duration.deeper", Err(())),
            Expr::Always("$stranger == 1", Err(())),
            Expr::Always("$appeal.role > 3", Err(())),
        ]),
        3..45 => dice.one_of(&[
            Expr::Always("true", Ok(true)),
            Expr::Always("$appeal.role", Ok(true)),
            Expr::Always("$appeal.role == \"editor\"", Ok(true)),
            Expr::Always("$appeal.status == \"pending\"", Ok(true)),
            Expr::Always("$appeal.details.level > 3", Ok(true)),
            Expr::Always("[]", Ok(true)),
            Expr::Always("\"false\"", Ok(true)),
            Expr::Always("-1", Ok(true)),
        ]),
        45..70 => dice.one_of(&[
            Expr::Always("false", Ok(false)),
            Expr::Always("$appeal.role != \"editor\"", Ok(false)),
            Expr::Always("0", Ok(false)),
            Expr::Always("0.0", Ok(false)),
            Expr::Always("$appeal.description", Ok(false)),
            Expr::Always("$appeal.details.level < 3", Ok(false)),
        ]),
        70..74 => Expr::LabelIs(dice.one_of(&["tier", "who"]), dice.one_of(&["high", "editor"])),
        74..78 => Expr::MetadataIs(dice.one_of(&["tier", "team"]), dice.one_of(&["high", "low"])),
        78..87 => Expr::MoreThan(dice.below(3), dice.one_of(STATUSES)),
        _ => Expr::Is(dice.one_of(&NAMES[..4]), dice.one_of(STATUSES)),
    }
}

fn approvers(dice: &mut Dice) -> Vec<(&'static str, Result<Vec<&'static str>, ()>)> {
    let one = |dice: &mut Dice| match dice.below(100) {
        0..1 => ("$appeal.resource.nothing", Err(())),
        1..2 => ("$appeal.details.level", Err(())),
        2..3 => ("$appeal.resource.details.stranger", Ok(vec!["stranger"])),
        3..13 => ("$appeal.resource.details.owner", Ok(vec!["ann@example.com"])),
        13..23 => ("$appeal.resource.details.stewards", Ok(vec!["eve@example.com", "max@example.com"])),
        23..33 => ("$appeal.created_by", Ok(vec![CREATOR])),
        _ => {
            let person = dice.one_of(PEOPLE);
            (person, Ok(vec![person]))
        }
    };
    (0..dice.between(1, 3)).map(|_| one(dice)).collect()
}

fn step(dice: &mut Dice, name: &'static str, staged: bool) -> Step {
    let reasons = [
        ("", Ok("")),
        ("too much", Ok("too much")),
        ("$appeal.role + \"s are\"", Ok("editors are")),
        ("$appeal.details.level", Err(())),
    ];
    let reason = if dice.percent(95) { dice.below(3) } else { 3 };
    Step {
        name,
        stage: staged.then(|| dice.one_of(STAGES)),
        is_auto: dice.percent(40),
        when: dice.percent(40).then(|| condition(dice)),
        approve_if: condition(dice),
        rejection_reason: reasons[reason],
        approvers: approvers(dice),
        allow_failed: dice.percent(40),
        dont_allow_self_approval: dice.percent(40),
    }
}

fn metadata(dice: &mut Dice) -> BTreeMap<&'static str, Option<&'static str>> {
    let keys = ["tier", "team"].into_iter().filter(|_| dice.percent(50)).collect::<Vec<_>>();
    keys.into_iter().map(|key| (key, dice.one_of(&[Some("high"), Some("low"), None]))).collect()
}

fn label_rule(dice: &mut Dice, name: &'static str, priority: i32) -> LabelRule {
    let whens = [
        ("true", Ok(true)),
        ("$appeal.details.level > 3", Ok(true)),
        ("$appeal.role == \"owner\"", Ok(false)),
        ("$appeal.role == \"editor\"", Ok(true)),
        // True, but no boolean.
        ("$appeal.role", Err(())),
        ("$appeal.options.duration.deeper", Err(())),
    ];
    let values = [
        ("high", Ok("high")),
        ("low", Ok("low")),
        ("$appeal.role", Ok("editor")),
        ("$appeal.details.level", Ok("4.000000")),
        ("$appeal.details.level > 3", Ok("true")),
        ("\"a \" + $appeal.role", Ok("a editor")),
        ("$appeal.details.level.deeper", Err(())),
    ];
    let mut keys = ["tier", "who", "why"].into_iter().filter(|_| dice.percent(40)).collect::<Vec<_>>();
    if keys.is_empty() {
        keys.push("tier");
    }
    let when = if dice.percent(92) { dice.below(4) } else { 4 + dice.below(2) };
    let value = |dice: &mut Dice| if dice.percent(94) { dice.below(6) } else { 6 };
    LabelRule {
        name,
        when: whens[when],
        labels: keys.into_iter().map(|key| (key, values[value(dice)])).collect(),
        priority,
        may_fail: dice.percent(50),
    }
}

fn user_labels(dice: &mut Dice) -> UserLabels {
    UserLabels {
        checked: dice.percent(70),
        allowed: if dice.percent(40) { vec!["tier", "team", "x-cost"] } else { Vec::new() },
        required: if dice.percent(20) { vec!["team"] } else { Vec::new() },
        most: dice.below(3),
        key_has: dice.percent(10).then_some("t"),
        value_has: dice.percent(15).then_some("e"),
        may_override: dice.percent(50),
    }
}

fn requirement(dice: &mut Dice) -> Requirement {
    let mut one = any_requirement(dice);
    if one.provider_type.is_none() && one.condition.is_none() && one.expression.is_none() {
        // A trigger has one criterion at least.
        one.role = one.role.or(Some(("edit", true)));
    }
    one
}

fn any_requirement(dice: &mut Dice) -> Requirement {
    Requirement {
        provider_type: dice
            .percent(30)
            .then(|| dice.one_of(&[("big", true), ("^query$", false), ("q.*y$", true)])),
        role: dice.percent(40).then(|| dice.one_of(&[("edit", true), ("^edit$", false), ("own", false)])),
        condition: dice.percent(30).then(|| {
            dice.one_of(&[
                ("$resource.details.tier", "secret", Ok(true)),
                ("$resource.details.tier", "public", Ok(false)),
                ("$resource.name", "sales", Ok(true)),
                ("$appeal.role", "editor", Err(())),
            ])
        }),
        expression: dice.percent(40).then(|| {
            dice.one_of(&[
                ("$appeal.details.level > 3", Ok(true)),
                ("$appeal.role == \"owner\"", Ok(false)),
                ("$appeal.role == \"editor\"", Ok(true)),
                ("$appeal.role", Err(())),
            ])
        }),
    }
}

/// What a policy says of appeals; most say little, so that most appeals are made.
fn config(number: u64) -> Config {
    let dice = &mut Dice::of_case(number ^ 0x7777);
    let lifetime = dice.percent(50).then(|| Lifetime {
        durations: dice.one_of(&[vec![], vec![], vec!["1h", "24h"], vec!["24h"]]),
        permanent: dice.percent(50),
        on_behalf: dice.percent(60),
        extension: dice.percent(50).then(|| dice.one_of(&[2, 48])),
    });
    let has_config = lifetime.is_some();
    let rules = if has_config { dice.below(4) } else { 0 };
    let names = [("first", 1), ("second", 7), ("third", 3)];
    let questions = [("why", dice.percent(50)), ("team", false)];
    let asks = has_config && dice.percent(20);
    Config {
        questions: if asks { questions.to_vec() } else { Vec::new() },
        metadata: if has_config { metadata(dice) } else { BTreeMap::new() },
        rules: names[..rules].iter().map(|(name, priority)| label_rule(dice, name, *priority)).collect(),
        user_labels: (has_config && dice.percent(40)).then(|| user_labels(dice)),
        requirements: (0..dice.below(3)).map(|_| requirement(dice)).collect(),
        lifetime,
    }
}

fn asked(number: u64) -> Asked {
    let dice = &mut Dice::of_case(number ^ 0x1234_5678);
    let created_by = dice.one_of(PEOPLE);
    let options = dice.percent(95).then(|| Options {
        duration: dice.percent(90).then(|| {
            dice.one_of(&[
                ("1h", true),
                ("1h", true),
                ("24h", true),
                ("0h", true),
                ("", false),
                ("long", false),
            ])
        }),
        expires_in: dice.percent(8).then(|| dice.one_of(&[24, -1])),
    });
    let answers = ["why", "team"].into_iter().filter(|_| dice.percent(80)).collect::<Vec<_>>();
    let brought = ["tier", "team", "x-cost"].into_iter().filter(|_| dice.percent(15)).collect::<Vec<_>>();
    Asked {
        created_by,
        account_id: if dice.percent(92) { created_by } else { "other@example.com" },
        account_type: dice.one_of(&["user", "user", "service"]),
        options,
        answers: answers.into_iter().map(|key| (key, dice.one_of(&["yes", "yes", ""]))).collect(),
        granted_for: dice.percent(6).then(|| dice.one_of(&[1, 24, 100])),
        user_labels: brought.into_iter().map(|key| (key, dice.one_of(&["high", "none", "i"]))).collect(),
        additional: dice.percent(10),
        provider_permanent: dice.percent(70),
        provider_extension: dice.percent(50).then(|| dice.one_of(&[2, 48])),
    }
}

pub fn policy(number: u64) -> Policy {
    let dice = &mut Dice::of_case(number);
    let staged = dice.percent(50);
    let total = dice.between(1, 6);
    // Most policies have a name for each step, a few have some twice.
    let names: Vec<&str> = if dice.percent(80) {
        NAMES[..total].to_vec()
    } else {
        (0..total).map(|_| dice.one_of(&NAMES[..4])).collect()
    };
    let mut steps: Vec<Step> = names.into_iter().map(|name| step(dice, name, staged)).collect();
    let own = if total > 1 && dice.percent(20) { dice.between(1, total - 1) } else { total };
    let custom = steps.split_off(own);
    let stages = if staged { STAGES.to_vec() } else { Vec::new() };
    Policy { stages, steps, custom, config: config(number) }
}

fn case(number: u64, policy: &Policy) -> Case {
    // Other numbers than those that policies are made of.
    let dice = &mut Dice::of_case(!number);
    let names: Vec<&str> = policy.steps.iter().chain(&policy.custom).map(|step| step.name).collect();
    let decided = (0..dice.between(0, 10))
        .map(|_| {
            let name = if dice.percent(97) { dice.one_of(&names) } else { "stranger" };
            let reason = dice.one_of(&["", "fine by me"]);
            (name, dice.one_of(PEOPLE), dice.percent(90), reason)
        })
        .collect();
    Case { asked: asked(number), dry_run: dice.percent(15), decided }
}

pub fn document(policy: &Policy) -> Value {
    let steps = policy.steps.iter().chain(&policy.custom).map(|step| {
        let mut json = json!({
            "name": step.name, "stage": step.stage.unwrap_or_default(), "allow_failed": step.allow_failed,
            "dont_allow_self_approval": step.dont_allow_self_approval,
            "rejection_reason": step.rejection_reason.0,
            "when": step.when.as_ref().map(Expr::text).unwrap_or_default(),
        });
        if step.is_auto {
            json["strategy"] = json!("auto");
            json["approve_if"] = json!(step.approve_if.text());
        } else {
            json["strategy"] = json!("manual");
            json["approvers"] = step.approvers.iter().map(|one| one.0).collect();
        }
        json
    });
    let mut json =
        json!({"id": "p", "description": "any", "stages": policy.stages, "steps": steps.collect::<Vec<_>>()});
    let requirements = policy.config.requirements.iter().map(requirement_json);
    json["requirements"] = requirements.collect();
    if let Some(lifetime) = &policy.config.lifetime {
        json["appeal"] = config_json(&policy.config, lifetime);
    }
    json
}

fn requirement_json(one: &Requirement) -> Value {
    let condition = one.condition.map(|(field, value, _)| json!({"field": field, "match": {"eq": value}}));
    json!({
        "on": {
            "provider_type": one.provider_type.map_or("", |one| one.0), "role": one.role.map_or("", |one| one.0),
            "conditions": condition.into_iter().collect::<Vec<_>>(),
            "expression": one.expression.map_or("", |one| one.0),
        },
        "appeals": [{"resource": {"id": "r"}, "role": "viewer", "options": {"duration": "1h"}}],
    })
}

fn config_json(config: &Config, lifetime: &Lifetime) -> Value {
    let durations = lifetime.durations.iter().map(|value| json!({"name": value, "value": value}));
    let questions = config
        .questions
        .iter()
        .map(|(key, required)| json!({"key": key, "question": key, "required": required}));
    let rules = config.rules.iter().map(|rule| {
        let labels = rule.labels.iter().map(|(key, (text, _))| ((*key).to_owned(), json!(text)));
        json!({
            "rule_name": rule.name, "when": rule.when.0, "priority": rule.priority,
            "labels": labels.collect::<serde_json::Map<_, _>>(), "allow_failure": rule.may_fail,
        })
    });
    let sources = config.metadata.keys().map(|key| {
        let source = json!({"name": key, "type": "http", "config": {"url": "http://x.example"}, "value": "$response.body"});
        ((*key).to_owned(), source)
    });
    let mut json = json!({
        "duration_options": durations.collect::<Vec<_>>(), "allow_permanent_access": lifetime.permanent,
        "allow_on_behalf": lifetime.on_behalf, "questions": questions.collect::<Vec<_>>(),
        "allow_active_access_extension_in": hours(lifetime.extension), "labeling_rules": rules.collect::<Vec<_>>(),
        "metadata_sources": sources.collect::<serde_json::Map<_, _>>(),
    });
    if let Some(rules) = &config.user_labels {
        json["user_label_config"] = json!({
            "allow_user_labels": rules.checked, "allowed_keys": rules.allowed, "required_keys": rules.required,
            "max_labels": rules.most, "key_pattern": rules.key_has.unwrap_or_default(),
            "value_pattern": rules.value_has.unwrap_or_default(), "allow_override": rules.may_override,
        });
    }
    json
}

fn hours(count: Option<i64>) -> String {
    count.map_or_else(String::new, |count| format!("{count}h"))
}

pub fn read(document: &Value) -> Document {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(pb::pool()));
    let ty = SCHEMA.message("gotocompany.guardian.v1beta1.Policy").unwrap();
    let mut bytes = Vec::new();
    wire_json::decode(&ty, document.to_string().as_bytes(), &Reading::default(), &mut bytes).unwrap();
    Document::decode(bytes.as_slice()).unwrap()
}

/// The appeal that somebody makes of whom nothing else is known.
pub fn appeal(created_by: &'static str, policy: &Policy) -> world::Appeal {
    let options = Some(Options { duration: Some(("1h", true)), expires_in: None });
    let asked = Asked {
        created_by,
        account_id: created_by,
        account_type: "user",
        options,
        answers: BTreeMap::from([("why", "yes"), ("team", "yes")]),
        granted_for: None,
        user_labels: BTreeMap::new(),
        additional: false,
        provider_permanent: true,
        provider_extension: None,
    };
    appeal_of(&asked, policy)
}

fn appeal_of(asked: &Asked, policy: &Policy) -> world::Appeal {
    let mut details = json!({"level": 4});
    if !asked.answers.is_empty() {
        details["__policy_questions"] = json!(asked.answers);
    }
    let mut json = json!({
        "account_id": asked.account_id, "account_type": asked.account_type, "created_by": asked.created_by,
        "role": "editor", "details": details,
        "resource": {"provider_type": "bigquery", "name": "sales", "details": {
            "owner": "ann@example.com", "stewards": ["eve@example.com", "max@example.com"], "stranger": "stranger",
            "tier": "secret",
        }},
    });
    if let Some(options) = &asked.options {
        json["options"] = json!({});
        if let Some((duration, _)) = options.duration {
            json["options"]["duration"] = json!(duration);
        }
        if let Some(hours) = options.expires_in {
            json["options"]["expiration_date"] = json!((start() + TimeDelta::hours(hours)).to_rfc3339());
        }
    }
    if !asked.user_labels.is_empty() {
        json["user_labels"] = json!(asked.user_labels);
    }
    let own_steps = (!policy.custom.is_empty()).then_some(policy.steps.len());
    let metadata = policy.config.metadata.iter().map(|(key, value)| ((*key).to_owned(), json!(value)));
    world::Appeal {
        appeal: json.as_object().unwrap().clone(),
        metadata: metadata.collect(),
        own_steps,
        active_grant_until: asked.granted_for.map(|hours| start() + TimeDelta::hours(hours)),
        additional: asked.additional,
        provider_allows_permanent_access: asked.provider_permanent,
        provider_extension_within: hours(asked.provider_extension),
    }
}

pub fn start() -> DateTime<Utc> {
    "2026-11-26T08:00:00Z".parse().unwrap()
}

/// What the machine says where the reference refuses.
fn word(why: Abort) -> &'static str {
    match why {
        Abort::Approvers => "unable to set approvers for ",
        Abort::Internal => "evaluating ",
        Abort::AppealNotPending => "appeal status already ",
        Abort::NotFound => "approval not found",
        Abort::EarlierOpen => "earlier approval ",
        Abort::ApprovalNotPending => "approval status is ",
        Abort::NotAnApprover => " is not among the approvers",
        Abort::SelfApproval => "self approval is not allowed",
        Abort::NoExtension => "grant already exists and may not be extended",
        Abort::ExtensionTooEarly => "may be extended only nearer to its end",
        Abort::Permanent => "permanent access is not allowed",
        Abort::Questions => "answers to the questions ",
        Abort::Duration => " expiration date ",
        Abort::OnBehalf => "creating an appeal for another user is not allowed",
        Abort::LabelRule => "labeling rule ",
        Abort::Labels => "label",
        Abort::Requirement => "requirement ",
    }
}

/// All that can be compared of an appeal.
fn of_reference(appeal: &Appeal) -> Value {
    let approvals = appeal.approvals.iter().map(|one| {
        json!({
            "name": one.name, "stage": one.stage, "index": one.index, "approvers": one.approvers, "actor": one.actor,
            "status": one.status.word(), "reason": one.reason, "allow_failed": one.allow_failed,
        })
    });
    let labels =
        appeal.labels.iter().map(|(key, (value, rule))| json!([key, value, rule.unwrap_or_default()]));
    json!({
        "status": appeal.status, "approvals": approvals.collect::<Vec<_>>(), "labels": labels.collect::<Vec<_>>(),
        "requirements": appeal.requirements,
    })
}

fn of_machine(state: &AppealState) -> Value {
    let approvals = state.approvals.iter().map(|one| {
        json!({
            "name": one.name, "stage": one.stage, "index": one.index, "approvers": one.approvers, "actor": one.actor,
            "status": one.status.word(), "reason": one.reason, "allow_failed": one.allow_failed,
        })
    });
    let labels = state.labels.iter().map(|(key, label)| json!([key, label.value, label.derived_from]));
    let requirements = state.requirements.iter().map(|one| one.fires);
    json!({
        "status": state.status.word(), "approvals": approvals.collect::<Vec<_>>(),
        "labels": labels.collect::<Vec<_>>(), "requirements": requirements.collect::<Vec<_>>(),
    })
}

/// What was refused in a step of the machine, if anything was.
fn refusal(effects: &[Effect]) -> Option<&str> {
    effects.iter().find_map(|effect| match effect {
        Effect::Refused { why } => Some(why.as_str()),
        _ => None,
    })
}

/// How the cases came out, to see that all that can happen does.
#[derive(Debug, Default)]
struct Seen {
    failed: u64,
    pending: u64,
    approved: u64,
    rejected: u64,
    decisions: u64,
    refused: BTreeMap<&'static str, u64>,
    /// Why there were no appeals.
    reasons: BTreeMap<&'static str, u64>,
    fired: u64,
    labels: u64,
}

fn run(number: u64, policy: &Policy, document: &Value, workflow: &Workflow, seen: &mut Seen) {
    let case = case(number, policy);
    let told = || format!("case {number}: {document:#} {case:#?}");
    let appeal = appeal_of(&case.asked, policy);
    let machine = AppealMachine {
        workflow,
        policy: PolicyName { id: "p".to_owned(), version: 1 },
        stages: policy.stages.len(),
        appeal: &appeal,
        dry_run: case.dry_run,
        stop: None,
    };
    let event = |what| Event { at: start(), what };
    let (mut state, _) = machine.step(AppealState::default(), &event(Happening::Started));
    let mut wanted = match create(policy, &case.asked, case.dry_run) {
        Ok(appeal) => appeal,
        Err(why) => {
            seen.failed += 1;
            *seen.reasons.entry(word(why)).or_default() += 1;
            let failure = state.failure.as_ref().unwrap_or_else(|| panic!("no {why:?} in {}", told()));
            let is_said = failure.message.contains(word(why))
                || (why == Abort::Duration && failure.message.contains("duration "));
            assert!(is_said, "{why:?}, not {failure:?} in {}", told());
            assert!(state.approvals.is_empty(), "{}", told());
            return;
        }
    };
    assert_eq!(state.failure, None, "{}", told());
    assert_eq!(of_machine(&state), of_reference(&wanted), "made: {}", told());
    for (n, (approval, actor, is_approval, reason)) in case.decided.iter().enumerate() {
        seen.decisions += 1;
        let answer = decide(policy, &mut wanted, approval, actor, *is_approval, reason);
        let decision = Decision {
            actor: (*actor).to_owned(),
            verdict: if *is_approval { Verdict::Approve } else { Verdict::Deny },
            reason: (*reason).to_owned(),
            approval: (*approval).to_owned(),
            ..Decision::default()
        };
        let (next, effects) = machine.step(state, &event(Happening::Decided(decision)));
        state = next;
        match (answer, refusal(&effects)) {
            (Ok(()), None) => {}
            (Err(why), Some(said)) if said.contains(word(why)) => {
                *seen.refused.entry(word(why)).or_default() += 1
            }
            (answer, said) => panic!("decision {n}: {answer:?}, but the machine {said:?} in {}", told()),
        }
        assert_eq!(of_machine(&state), of_reference(&wanted), "after decision {n}: {}", told());
    }
    seen.fired += wanted.requirements.iter().filter(|fires| **fires).count() as u64;
    seen.labels += wanted.labels.len() as u64;
    match wanted.status {
        "approved" => seen.approved += 1,
        "rejected" => seen.rejected += 1,
        _ => seen.pending += 1,
    }
}

#[test]
fn appeals_run_as_in_the_reference() {
    let mut seen = Seen::default();
    let cases = cases();
    for first in (cases.start..cases.end).step_by(RUNS as usize) {
        let policy = policy(first);
        let document = document(&policy);
        let compiled = guardian::compile(&read(&document), guardian::Surroundings::default());
        let compiled = compiled.unwrap_or_else(|faults| panic!("{faults:?} in case {first}: {document:#}"));
        for number in first..cases.end.min(first + RUNS) {
            run(number, &policy, &document, &compiled.workflow, &mut seen);
        }
    }
    println!("{seen:?}");
    // Every ending and every refusal came up, and often enough to mean something.
    let few = (cases.end - cases.start) / 100;
    assert!(
        [seen.failed, seen.pending, seen.approved, seen.rejected].iter().all(|one| *one > few),
        "{seen:?}"
    );
    assert!(seen.reasons.len() >= 11 && seen.fired > few && seen.labels > few, "{seen:?}");
    assert!(seen.refused.len() >= 7 || cases.end - cases.start < 1000, "{seen:?}");
}
