//! Guardian's policies: steps with and without stages, custom steps, expressions that are true, false, fail or look at the other
//! approvals, approvers of all kinds, dry runs, and decisions of whoever is and is not asked.

use super::{Dice, cases};
use crate::reference::guardian::{Abort, Appeal, CREATOR, Expr, Policy, Status, Step, create, decide};
use chrono::{DateTime, Utc};
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
const PEOPLE: &[&str] = &["ann@example.com", "max@example.com", "eve@example.com", "MAX@example.com"];
const STATUSES: &[Status] =
    &[Status::Pending, Status::Blocked, Status::Skipped, Status::Approved, Status::Rejected];

/// What is decided, one after the other: the name of the approval, who, yes or no, why.
type Decided = Vec<(&'static str, &'static str, bool, &'static str)>;

/// So many cases in a row have the same policy, which costs more to compile than to run.
const RUNS: u64 = 8;

/// What becomes of one appeal.
#[derive(Debug)]
struct Case {
    created_by: &'static str,
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
        70..85 => Expr::MoreThan(dice.below(3), dice.one_of(STATUSES)),
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

fn policy(number: u64) -> Policy {
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
    Policy { stages, steps, custom }
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
    Case { created_by: dice.one_of(PEOPLE), dry_run: dice.percent(15), decided }
}

fn document(policy: &Policy) -> Value {
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
    json!({"id": "p", "description": "any", "stages": policy.stages, "steps": steps.collect::<Vec<_>>()})
}

fn read(document: &Value) -> Document {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(pb::pool()));
    let ty = SCHEMA.message("gotocompany.guardian.v1beta1.Policy").unwrap();
    let mut bytes = Vec::new();
    wire_json::decode(&ty, document.to_string().as_bytes(), &Reading::default(), &mut bytes).unwrap();
    Document::decode(bytes.as_slice()).unwrap()
}

fn appeal(case: &Case, policy: &Policy) -> world::Appeal {
    let json = json!({
        "account_id": case.created_by, "created_by": case.created_by, "role": "editor",
        "options": {"duration": "1h"}, "details": {"level": 4},
        "resource": {"details": {
            "owner": "ann@example.com", "stewards": ["eve@example.com", "max@example.com"], "stranger": "stranger",
        }},
    });
    let own_steps = (!policy.custom.is_empty()).then_some(policy.steps.len());
    world::Appeal { appeal: json.as_object().unwrap().clone(), own_steps, ..world::Appeal::default() }
}

fn start() -> DateTime<Utc> {
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
    json!({"status": appeal.status, "approvals": approvals.collect::<Vec<_>>()})
}

fn of_machine(state: &AppealState) -> Value {
    let approvals = state.approvals.iter().map(|one| {
        json!({
            "name": one.name, "stage": one.stage, "index": one.index, "approvers": one.approvers, "actor": one.actor,
            "status": one.status.word(), "reason": one.reason, "allow_failed": one.allow_failed,
        })
    });
    json!({"status": state.status.word(), "approvals": approvals.collect::<Vec<_>>()})
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
}

fn run(number: u64, policy: &Policy, document: &Value, workflow: &Workflow, seen: &mut Seen) {
    let case = case(number, policy);
    let told = || format!("case {number}: {document:#} {case:#?}");
    let appeal = appeal(&case, policy);
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
    let mut wanted = match create(policy, case.created_by, case.dry_run) {
        Ok(appeal) => appeal,
        Err(why) => {
            seen.failed += 1;
            let failure = state.failure.as_ref().unwrap_or_else(|| panic!("no {why:?} in {}", told()));
            assert!(failure.message.contains(word(why)), "{why:?}, not {failure:?} in {}", told());
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
    assert!(seen.refused.len() >= 7 || cases.end - cases.start < 1000, "{seen:?}");
}
