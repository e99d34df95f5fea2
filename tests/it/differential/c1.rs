//! ConductorOne's policies: rules, chains, sequences of approvals of six kinds with fallbacks, waits, ends; escalations; and people
//! who approve, deny, hand over, or let time pass.

use super::{Dice, cases};
use crate::reference::c1::{
    Approval, Condition, Escalation, Happening, Policy, Source, Step, Target, Task, World,
};
use chrono::{DateTime, TimeDelta, Utc};
use countersign::app::world;
use countersign::pb;
use countersign::pb::c1::api::policy::v1::Policy as Document;
use countersign::policy::{Path, Report, c1};
use countersign::wire::Schema;
use countersign::wire::json::{self as wire_json, Reading};
use countersign::workflow::Nobody;
use countersign::workflow::run::{
    Decision, Effect, Happening as Happened, Machine, Policies, Policy as Snapshot, State, Trace, Verdict,
    simulate,
};
use countersign::workflow::world::{Directory, Request};
use prost::Message;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

const PEOPLE: &[&str] = &["ann", "bob", "max", "eve", "dan", "old", "nobody"];

fn people(dice: &mut Dice, least: usize, most: usize) -> Vec<&'static str> {
    (0..dice.between(least, most)).map(|_| dice.one_of(PEOPLE)).collect()
}

fn condition(dice: &mut Dice) -> Condition {
    dice.one_of(&[
        Condition::Always("false", Ok(false)),
        Condition::Always("entitlement.id == \"write\"", Ok(false)),
        Condition::Always("ip.is4", Err(())),
        Condition::Always("c1.directory.users.v1.GetByID(\"stranger\").id == \"\"", Err(())),
        Condition::Always("entitlement.id == \"read\"", Ok(true)),
        Condition::SubjectIs("ann"),
        Condition::SubjectIs("bob"),
        Condition::SubjectIs("max"),
    ])
}

fn approval(dice: &mut Dice, later: &[&'static str]) -> Approval {
    let source = match dice.below(6) {
        0 => Source::Users(people(dice, 1, 3)),
        1 => Source::Managers,
        2 => Source::AppOwners,
        3 => Source::EntitlementOwners,
        4 => Source::Group,
        _ => Source::Account,
    };
    let has_fallback = !matches!(source, Source::Users(_) | Source::AppOwners);
    let is_account = matches!(source, Source::Account);
    let escalation = match dice.below(5) {
        0 if !later.is_empty() => Escalation::Policy(dice.one_of(later)),
        0 | 1 => Escalation::Users(people(dice, 1, 3)),
        2 => Escalation::Cancel,
        _ => Escalation::Skip,
    };
    Approval {
        source,
        fallback: (has_fallback && dice.percent(50)).then(|| people(dice, 1, 3)),
        // The owner of an account decides on their own; there is no switch.
        allow_self: is_account || dice.percent(40),
        distinct: !is_account && dice.percent(40),
        reassignees: dice.percent(50).then(|| people(dice, 0, 2)),
        escalation: dice.percent(50).then(|| (dice.one_of(&[600, 3600, 86_400]), escalation)),
    }
}

fn steps(dice: &mut Dice, later: &[&'static str]) -> Vec<Step> {
    let one = |dice: &mut Dice| match dice.below(12) {
        0 => Step::Wait(dice.one_of(&[3600, 7200])),
        1 => Step::Accept,
        2 => Step::Reject,
        _ => Step::Approval(approval(dice, later)),
    };
    (0..dice.between(1, 4)).map(|_| one(dice)).collect()
}

/// Three policies; each leads to later ones only.
fn policies(number: u64) -> Vec<Policy> {
    let dice = &mut Dice::of_case(number);
    let ids = ["a", "b", "c"];
    let mut all = Vec::new();
    for (n, id) in ids.into_iter().enumerate() {
        let later = &ids[n + 1..];
        let mut sequences = vec![("x", steps(dice, later)), ("y", steps(dice, later))];
        let target = |dice: &mut Dice| match dice.below(3) {
            0 if !later.is_empty() => Target::Policy(dice.one_of(later)),
            one => Target::Steps(["x", "x", "y"][one]),
        };
        let rules = (0..dice.between(0, 3)).map(|_| (condition(dice), target(dice))).collect();
        let chains = !later.is_empty() && dice.percent(20);
        let baseline = if chains { Target::Policy(dice.one_of(later)) } else { Target::Steps("grant") };
        if !chains {
            sequences.push(("grant", steps(dice, later)));
        }
        all.push(Policy { id, rules, baseline, sequences });
    }
    all
}

fn world_of(number: u64, nobody: &'static str) -> World {
    let dice = &mut Dice::of_case(!number);
    let everybody = PEOPLE.iter().filter(|id| **id != "nobody");
    let subject = dice.one_of(&["ann", "bob", "max"]);
    World {
        people: everybody.map(|id| (*id, *id != "old", people(dice, 0, 2))).collect(),
        app_owners: people(dice, 0, 3),
        entitlement_owners: people(dice, 0, 2),
        group: people(dice, 0, 3),
        account_owner: dice.one_of(PEOPLE),
        administrators: people(dice, 1, 2),
        subject,
        requester: if dice.percent(60) { subject } else { dice.one_of(&PEOPLE[..5]) },
        nobody,
    }
}

fn happenings(number: u64) -> Vec<(i64, Happening)> {
    let dice = &mut Dice::of_case(number ^ 0x5555_5555_5555_5555);
    let one = |dice: &mut Dice| match dice.below(20) {
        0..13 => Happening::Approve(dice.one_of(&PEOPLE[..5])),
        13 => Happening::Deny(dice.one_of(&PEOPLE[..5])),
        14..18 => Happening::Reassign(dice.one_of(&PEOPLE[..5]), people(dice, 1, 2)),
        _ => Happening::Nothing,
    };
    (0..dice.between(0, 9)).map(|_| (dice.one_of(&[0, 1, 600, 4000, 90_000]), one(dice))).collect()
}

fn read<M: Message + Default>(name: &str, json: &Value) -> M {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(pb::pool()));
    let ty = SCHEMA.message(name).unwrap();
    let mut bytes = Vec::new();
    wire_json::decode(&ty, json.to_string().as_bytes(), &Reading::default(), &mut bytes).unwrap();
    M::decode(bytes.as_slice()).unwrap()
}

fn approval_json(approval: &Approval) -> Value {
    let (arm, mut fields) = match &approval.source {
        Source::Users(ids) => ("users", json!({"userIds": ids})),
        Source::Managers => ("manager", json!({})),
        Source::AppOwners => ("appOwners", json!({})),
        Source::EntitlementOwners => ("entitlementOwners", json!({})),
        Source::Group => ("group", json!({"appId": "dir", "appGroupId": "security"})),
        Source::Account => ("self", json!({})),
    };
    if arm != "self" {
        fields["allowSelfApproval"] = json!(approval.allow_self);
        fields["requireDistinctApprovers"] = json!(approval.distinct);
    }
    if let Some(ids) = &approval.fallback {
        fields["fallback"] = json!(true);
        fields["fallbackUserIds"] = json!(ids);
    }
    let mut json = json!({arm: fields});
    if let Some(ids) = &approval.reassignees {
        json["allowReassignment"] = json!(true);
        json["allowedReassignees"] = json!(ids);
    }
    if let Some((after, to)) = &approval.escalation {
        let mut escalation = match to {
            Escalation::Policy(id) => json!({"replacePolicy": {"policyId": id}}),
            Escalation::Users(ids) => json!({"reassignToApprovers": {"approverIds": ids}}),
            Escalation::Cancel => json!({"cancelTicket": {}}),
            Escalation::Skip => json!({"skipStep": {}}),
        };
        escalation["expiration"] = json!(after.to_string());
        json["escalationEnabled"] = json!(true);
        json["escalation"] = escalation;
    }
    json
}

fn document(policy: &Policy) -> Value {
    let step = |step: &Step| match step {
        Step::Approval(approval) => json!({"approval": approval_json(approval)}),
        Step::Wait(seconds) => json!({"wait": {"duration": {"duration": format!("{seconds}s")}}}),
        Step::Accept => json!({"accept": {}}),
        Step::Reject => json!({"reject": {}}),
    };
    let sequences = policy.sequences.iter().map(|(key, steps)| {
        let steps: Vec<Value> = steps.iter().map(step).collect();
        ((*key).to_owned(), json!({"steps": steps}))
    });
    let rules = policy.rules.iter().map(|(condition, target)| match target {
        Target::Steps(key) => json!({"condition": condition.text(), "stepKey": key}),
        Target::Policy(id) => json!({"condition": condition.text(), "policyId": id}),
    });
    let mut json = json!({
        "displayName": "Any", "policyType": "POLICY_TYPE_GRANT", "rules": rules.collect::<Vec<_>>(),
        "policySteps": sequences.collect::<serde_json::Map<_, _>>(),
    });
    if let Target::Policy(id) = policy.baseline {
        json["baselinePolicyId"] = json!(id);
    }
    json
}

fn snapshots(policies: &[Policy], nobody: &str) -> Policies {
    let nobody = match nobody {
        "skip" => Nobody::Skip,
        "deny" => Nobody::Deny,
        _ => Nobody::Block,
    };
    let mut by_id = BTreeMap::new();
    for policy in policies {
        let document = document(policy);
        let mut message: Document = read("c1.api.policy.v1.Policy", &document);
        c1::prepare(&mut message);
        let compiled = c1::compile(&message, c1::Surroundings { own_id: None, nobody });
        let compiled = compiled.unwrap_or_else(|faults| panic!("{faults:?} in {document:#}"));
        by_id.insert(policy.id.to_owned(), Snapshot { revision: 1, workflow: Arc::new(compiled.workflow) });
    }
    Policies { first: policies[0].id.to_owned(), by_id }
}

fn directory(world: &World) -> Directory {
    let users = world.people.iter().map(|(id, is_enabled, managers)| {
        let status = if *is_enabled { "USER_STATUS_ENABLED" } else { "USER_STATUS_DISABLED" };
        json!({"id": id, "managerIds": managers, "status": status})
    });
    let json = json!({
        "users": users.collect::<Vec<_>>(),
        "apps": [
            {"id": "db", "ownerIds": world.app_owners, "accounts": [{"id": "acc", "userId": world.account_owner}]},
            {"id": "dir"},
        ],
        "entitlements": [
            {"id": "read", "appId": "db", "ownerIds": world.entitlement_owners},
            {"id": "security", "appId": "dir", "memberIds": world.group},
        ],
        "administratorIds": world.administrators,
    });
    let mut report = Report::default();
    let made = world::directory(&mut report, &Path::ROOT, &read("countersign.v1.Directory", &json));
    report.finish().unwrap();
    made
}

fn start() -> DateTime<Utc> {
    "2026-11-26T08:00:00Z".parse().unwrap()
}

fn happened(what: &Happening) -> Happened {
    let (actor, verdict) = match what {
        Happening::Approve(actor) => (actor, Verdict::Approve),
        Happening::Deny(actor) => (actor, Verdict::Deny),
        Happening::Reassign(actor, to) => {
            (actor, Verdict::Reassign(to.iter().map(|id| (*id).to_owned()).collect()))
        }
        Happening::Nothing => return Happened::TimePassed,
    };
    Happened::Decided(Decision { actor: (*actor).to_owned(), verdict, ..Decision::default() })
}

/// All that can be compared of a task.
fn of_reference(task: &Task<'_>) -> Value {
    let route = task.route.iter().map(|(policy, rule, target)| {
        let (sequence, next) = match target {
            Target::Steps(key) => (*key, ""),
            Target::Policy(id) => ("", *id),
        };
        json!([policy, rule, sequence, next])
    });
    let stages = task.stages.iter().map(|one| {
        json!([
            one.policy,
            one.sequence,
            one.position,
            one.kind,
            one.state,
            one.entered,
            one.left,
            one.asked,
            one.decided_by
        ])
    });
    json!({
        "route": route.collect::<Vec<_>>(), "stages": stages.collect::<Vec<_>>(), "refused": task.refused,
        "outcome": task.word(),
    })
}

fn of_machine(state: &State, trace: &Trace) -> Value {
    let seconds = |at: DateTime<Utc>| (at - start()).num_seconds();
    let route = state.route.iter().map(|hop| json!([hop.policy, hop.rule, hop.sequence, hop.next_policy]));
    let stages = state.stages.iter().map(|one| {
        let asked: Vec<&String> = one.asked.iter().map(|asked| &asked.user).collect();
        let (entered, left) = (seconds(one.entered_at), one.left_at.map(seconds));
        json!([
            one.policy,
            one.sequence,
            one.position,
            one.kind,
            one.state,
            entered,
            left,
            asked,
            one.decided_by
        ])
    });
    let refused = trace.timeline.iter().filter(|one| matches!(one.effect, Effect::Refused { .. })).count();
    json!({
        "route": route.collect::<Vec<_>>(), "stages": stages.collect::<Vec<_>>(), "refused": refused,
        "outcome": state.outcome().word(),
    })
}

#[test]
fn tasks_run_as_in_the_reference() {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let cases = cases();
    for first in (cases.start..cases.end).step_by(8) {
        let policies = policies(first);
        let nobody = Dice::of_case(first ^ 0x0F0F).one_of(&["block", "skip", "deny"]);
        let snapshots = snapshots(&policies, nobody);
        for number in first..cases.end.min(first + 8) {
            let world = world_of(number, nobody);
            let happenings = happenings(number);
            let directory = directory(&world);
            let request = Request {
                subject_id: world.subject.to_owned(),
                requester_id: world.requester.to_owned(),
                app_id: "db".to_owned(),
                entitlement_id: "read".to_owned(),
                account_id: "acc".to_owned(),
                ..Request::default()
            };
            let machine = Machine::new(&snapshots, &directory, &request);
            let given: Vec<_> =
                happenings.iter().map(|(after, what)| (TimeDelta::seconds(*after), happened(what))).collect();
            let trace = simulate(&machine, start(), &given, true);
            let mut task = Task::begin(&policies, &world);
            let mut now = 0;
            for (after, what) in &happenings {
                now += after;
                task.happen(what, now);
            }
            let told = || format!("case {number}: {policies:#?} {world:?} {happenings:?}");
            assert_eq!(of_machine(&trace.state, &trace), of_reference(&task), "{}", told());
            // And then nobody ever does anything.
            *seen.entry(task.word()).or_default() += 1;
            task.pass_until(i64::MAX);
            assert_eq!(trace.idle.outcome.word(), task.word(), "idle: {}", told());
        }
    }
    println!("{seen:?}");
    assert!(seen.len() == 5 || cases.end - cases.start < 1000, "{seen:?}");
}
