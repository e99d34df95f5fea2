//! ConductorOne's policies: rules, chains, sequences of every kind of step, approvals by every kind of source with fallbacks,
//! delegates and escalations; and people, administrators, webhooks and agents who do whatever they may and may not.

use super::{Dice, cases};
use crate::reference::c1::{
    Agent, Answer, Approval, By, Condition, Escalation, Expression, Failure, Fallback, Gives, Happening,
    Mode, Person, Policy, Source, Step, Target, Task, World,
};
use chrono::{DateTime, TimeDelta, Utc};
use countersign::app::world;
use countersign::pb;
use countersign::pb::c1::api::policy::v1::Policy as Document;
use countersign::policy::{Path, Report, c1};
use countersign::wire::Schema;
use countersign::wire::json::{self as wire_json, Reading};
use countersign::workflow::run::{
    Answer as Answered, Decision, Effect, Ending, Happening as Happened, Machine, Occurrence as Occurred,
    Outcome as Ended, Policies, Policy as Snapshot, RuleValue, State, Trace, Verdict, simulate,
};
use countersign::workflow::world::{Directory, Request};
use countersign::workflow::{Afterwards, Nobody};
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
        Condition::From(5000, "2026-11-26T09:23:20Z"),
        Condition::From(100_000, "2026-11-27T11:46:40Z"),
    ])
}

fn expressions(dice: &mut Dice) -> Vec<Expression> {
    let one = |dice: &mut Dice| {
        dice.one_of(&[
            Expression("appOwners", Gives::AppOwners),
            Expression("c1.directory.users.v1.GetManagers(subject)", Gives::Managers),
            Expression("c1.directory.apps.v1.GetEntitlementMembers(\"dir\", \"security\")", Gives::Members),
            Expression("subject", Gives::Subject),
            Expression("c1.directory.users.v1.GetByID(\"dan\")", Gives::One("dan")),
            Expression("[c1.directory.users.v1.GetByID(\"eve\")]", Gives::One("eve")),
            Expression("appOwners.filter(owner, owner.id == \"stranger\")", Gives::Nobody),
            Expression("c1.directory.users.v1.GetByID(\"stranger\")", Gives::Fails),
        ])
    };
    (0..dice.between(1, 3)).map(|_| one(dice)).collect()
}

fn agent(dice: &mut Dice, is_review: bool) -> Agent {
    let modes = [Mode::FullControl, Mode::FullControl, Mode::ChangePolicyOnly, Mode::CommentOnly];
    Agent {
        // In a review an agent may only comment.
        mode: if is_review { Mode::CommentOnly } else { dice.one_of(&modes) },
        failure: match dice.below(3) {
            0 => Failure::Users(people(dice, 1, 2)),
            1 => Failure::Administrators,
            _ => Failure::Skip,
        },
        policies: if dice.percent(50) { vec!["b", "c"] } else { vec!["a", "b", "none"] },
    }
}

fn approval(dice: &mut Dice, later: &[&'static str], is_review: bool) -> Approval {
    let source = match dice.below(16) {
        0..3 => Source::Users(people(dice, 1, 3)),
        3 | 4 => Source::Managers,
        5 => Source::AppOwners,
        6 => Source::EntitlementOwners,
        7 => Source::ResourceOwners,
        8 | 9 => Source::Group,
        10 => Source::Account,
        11 | 12 => Source::Expressions(expressions(dice)),
        13 | 14 => Source::Webhook,
        _ => Source::Agent(agent(dice, is_review)),
    };
    let stands_in = matches!(source, Source::Webhook | Source::Agent(_));
    let has_fallback = !stands_in && !matches!(source, Source::Users(_) | Source::AppOwners);
    let can_choose = !stands_in && !matches!(source, Source::Account);
    let fallback = if dice.percent(60) {
        Fallback::Users(people(dice, 1, 3))
    } else {
        Fallback::Groups(dice.one_of(&[vec!["leads"], vec!["security", "leads"], vec!["security"]]))
    };
    let escalation = match dice.below(5) {
        // Back to earlier ones, too, so that there are circles.
        0 if dice.percent(50) => Escalation::Policy(dice.one_of(&["a", "b", "c"])),
        0 if !later.is_empty() => Escalation::Policy(dice.one_of(later)),
        0 | 1 => Escalation::Users(people(dice, 1, 3)),
        2 => Escalation::Cancel,
        _ => Escalation::Skip,
    };
    Approval {
        source,
        fallback: (has_fallback && dice.percent(50)).then_some(fallback),
        allow_self: can_choose && dice.percent(40),
        distinct: can_choose && dice.percent(40),
        reassignees: dice.percent(50).then(|| people(dice, 0, 2)),
        delegation: dice.percent(25),
        reasons: [dice.percent(10), dice.percent(10), dice.percent(10)],
        step_up: dice.percent(8),
        escalation: dice.percent(50).then(|| (dice.one_of(&[600, 3600, 86_400]), escalation)),
    }
}

fn steps(dice: &mut Dice, later: &[&'static str], is_review: bool) -> Vec<Step> {
    let one = |dice: &mut Dice| match dice.below(24) {
        0 => Step::Wait(dice.one_of(&[3600, 7200])),
        1 => Step::WaitUntil(dice.one_of(&[28_800, 34_200, 0]), dice.one_of(&[0, 3600, -18_000])),
        2 | 3 => Step::WaitFor(condition(dice), dice.percent(60).then(|| dice.one_of(&[3600, 200_000]))),
        4 => Step::Form,
        5 => dice.one_of(&[
            Step::Provision("connector", true),
            Step::Provision("delegated", true),
            Step::Provision("webhook", true),
            Step::Provision("manual", false),
            Step::Provision("externalTicket", false),
            Step::Provision("unconfigured", false),
        ]),
        6 => Step::Action,
        7 => Step::Accept,
        8 => Step::Reject,
        _ => Step::Approval(Box::new(approval(dice, later, is_review))),
    };
    (0..dice.between(1, 4)).map(|_| one(dice)).collect()
}

/// Whether the policies of a case are for reviews.
fn is_review(number: u64) -> bool {
    Dice::of_case(number ^ 0x3333).percent(20)
}

/// Three policies; each leads to later ones only, but for escalations and what webhooks and agents say.
fn policies(number: u64) -> Vec<Policy> {
    let dice = &mut Dice::of_case(number);
    let is_review = is_review(number);
    let baseline_key = if is_review { "certify" } else { "grant" };
    let ids = ["a", "b", "c"];
    let mut all = Vec::new();
    for (n, id) in ids.into_iter().enumerate() {
        let later = &ids[n + 1..];
        let mut sequences = vec![("x", steps(dice, later, is_review)), ("y", steps(dice, later, is_review))];
        let target = |dice: &mut Dice| match dice.below(3) {
            0 if !later.is_empty() => Target::Policy(dice.one_of(later)),
            one => Target::Steps(["x", "x", "y"][one]),
        };
        let rules = (0..dice.between(0, 3)).map(|_| (condition(dice), target(dice))).collect();
        let chains = !later.is_empty() && dice.percent(20);
        let baseline = if chains { Target::Policy(dice.one_of(later)) } else { Target::Steps(baseline_key) };
        if !chains {
            sequences.push((baseline_key, steps(dice, later, is_review)));
        }
        let actions = if is_review { dice.between(0, 2) } else { 0 };
        let post_actions = (0..actions).map(|_| dice.percent(50)).collect();
        all.push(Policy { id, rules, baseline, sequences, post_actions });
    }
    all
}

fn world_of(number: u64, nobody: &'static str) -> World {
    let dice = &mut Dice::of_case(!number);
    let subject = dice.one_of(&["ann", "bob", "max"]);
    let person = |id: &&'static str| Person {
        id,
        is_enabled: *id != "old",
        managers: people(dice, 0, 2),
        delegate: dice.percent(40).then(|| (dice.one_of(PEOPLE), dice.percent(80))),
    };
    let everybody = PEOPLE.iter().filter(|id| **id != "nobody").map(person).collect();
    World {
        people: everybody,
        app_owners: people(dice, 0, 3),
        entitlement_owners: people(dice, 0, 2),
        resource_owners: people(dice, 0, 2),
        groups: [people(dice, 0, 3), people(dice, 0, 2)],
        account_owner: dice.one_of(PEOPLE),
        administrators: people(dice, 1, 2),
        subject,
        requester: if dice.percent(60) { subject } else { dice.one_of(&PEOPLE[..5]) },
        nobody,
        assumes: dice.percent(80),
    }
}

fn answer(dice: &mut Dice) -> Answer {
    match dice.below(8) {
        0 | 1 => Answer::Approve,
        2 => Answer::Deny,
        3 => Answer::Comment,
        4 | 5 => Answer::Reassign(people(dice, 1, 2)),
        6 => Answer::ChangePolicy(dice.one_of(&["a", "b", "c", "none"])),
        _ => Answer::Fail,
    }
}

fn happenings(number: u64) -> Vec<(i64, Happening)> {
    let dice = &mut Dice::of_case(number ^ 0x5555_5555_5555_5555);
    match dice.below(100) {
        // Two people who hand it to each other, and policies that take over from each other: both have an end.
        0..4 => {
            let pair = [dice.one_of(&PEOPLE[..5]), dice.one_of(&PEOPLE[..5])];
            return (0..13)
                .map(|n| (1, Happening::Reassign(By(pair[n % 2], true, true), vec![pair[(n + 1) % 2]])))
                .collect();
        }
        4 | 5 => return vec![(1, Happening::Answer(Answer::ChangePolicy("a"))); 35],
        _ => {}
    }
    let by = |dice: &mut Dice| By(dice.one_of(&PEOPLE[..5]), dice.percent(80), dice.percent(80));
    let one = |dice: &mut Dice| match dice.below(32) {
        0..13 => Happening::Approve(by(dice)),
        13 => Happening::Deny(by(dice)),
        14..18 => Happening::Reassign(by(dice), people(dice, 1, 2)),
        18..22 => Happening::Answer(answer(dice)),
        22 => Happening::Recheck,
        23 => Happening::ConditionHolds,
        24 => Happening::FormFilled,
        25 => Happening::Done(dice.percent(80)),
        26 | 27 => Happening::Skip,
        28 => Happening::Restart,
        29 if dice.percent(30) => Happening::Cancel,
        _ => Happening::Nothing,
    };
    (0..dice.between(0, 9)).map(|_| (dice.one_of(&[0, 1, 600, 4000, 90_000]), one(dice))).collect()
}

/// The message of a type of ours that this JSON is.
pub fn read<M: Message + Default>(name: &str, json: &Value) -> M {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(pb::pool()));
    let ty = SCHEMA.message(name).unwrap();
    let mut bytes = Vec::new();
    wire_json::decode(&ty, json.to_string().as_bytes(), &Reading::default(), &mut bytes).unwrap();
    M::decode(bytes.as_slice()).unwrap()
}

fn agent_json(agent: &Agent) -> Value {
    let mode = match agent.mode {
        Mode::FullControl => "FULL_CONTROL",
        Mode::ChangePolicyOnly => "CHANGE_POLICY_ONLY",
        Mode::CommentOnly => "COMMENT_ONLY",
    };
    let (failure, users): (_, &[&str]) = match &agent.failure {
        Failure::Users(ids) => ("REASSIGN_TO_USERS", ids),
        Failure::Administrators => ("REASSIGN_TO_SUPER_ADMINS", &[]),
        Failure::Skip => ("SKIP_POLICY_STEP", &[]),
    };
    json!({
        "agentMode": format!("APPROVAL_AGENT_MODE_{mode}"), "policyIds": agent.policies, "reassignToUserIds": users,
        "agentFailureAction": format!("APPROVAL_AGENT_FAILURE_ACTION_{failure}"), "instructions": "look",
    })
}

fn approval_json(approval: &Approval) -> Value {
    let (arm, mut fields) = match &approval.source {
        Source::Users(ids) => ("users", json!({"userIds": ids})),
        Source::Managers => ("manager", json!({})),
        Source::AppOwners => ("appOwners", json!({})),
        Source::EntitlementOwners => ("entitlementOwners", json!({})),
        Source::ResourceOwners => ("resourceOwners", json!({})),
        Source::Group => ("group", json!({"appId": "dir", "appGroupId": "security"})),
        Source::Account => ("self", json!({})),
        Source::Expressions(all) => {
            ("expression", json!({"expressions": all.iter().map(|one| one.0).collect::<Vec<_>>()}))
        }
        Source::Webhook => ("webhook", json!({"webhookId": "w"})),
        Source::Agent(agent) => ("agent", agent_json(agent)),
    };
    if !matches!(arm, "self" | "webhook" | "agent") {
        fields["allowSelfApproval"] = json!(approval.allow_self);
        fields["requireDistinctApprovers"] = json!(approval.distinct);
    }
    if let Some(fallback) = &approval.fallback {
        fields["fallback"] = json!(true);
        match fallback {
            Fallback::Users(ids) => fields["fallbackUserIds"] = json!(ids),
            Fallback::Groups(names) => {
                let groups = names.iter().map(|name| json!({"appId": "dir", "appEntitlementId": name}));
                fields["isGroupFallbackEnabled"] = json!(true);
                fields["fallbackGroupIds"] = groups.collect();
            }
        }
    }
    let mut json = json!({
        arm: fields, "allowDelegation": approval.delegation, "requireApprovalReason": approval.reasons[0],
        "requireDenialReason": approval.reasons[1], "requireReassignmentReason": approval.reasons[2],
        "requiresStepUpProviderId": if approval.step_up { "provider" } else { "" },
    });
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

fn step_json(step: &Step) -> Value {
    match step {
        Step::Approval(approval) => json!({"approval": approval_json(approval)}),
        Step::Wait(seconds) => json!({"wait": {"duration": {"duration": format!("{seconds}s")}}}),
        Step::WaitUntil(second, ahead) => {
            let zone = match ahead {
                0 => "",
                3600 => "Europe/Berlin",
                _ => "America/New_York",
            };
            let (hours, minutes) = (second / 3600, second / 60 % 60);
            json!({"wait": {"untilTime": {"hours": hours, "minutes": minutes, "timezone": zone}}})
        }
        Step::WaitFor(condition, most) => {
            let mut wait = json!({"condition": {"condition": condition.text()}});
            if let Some(most) = most {
                wait["timeoutDuration"] = json!(format!("{most}s"));
            }
            json!({"wait": wait})
        }
        Step::Form => json!({"form": {"form": {}}}),
        Step::Provision("unconfigured", _) => json!({"provision": {}}),
        Step::Provision(kind, _) => json!({"provision": {"provisionPolicy": {*kind: {}}}}),
        Step::Action => json!({"action": {"automation": {"automationTemplateId": "t"}}}),
        Step::Accept => json!({"accept": {}}),
        Step::Reject => json!({"reject": {}}),
    }
}

fn document(policy: &Policy, is_review: bool) -> Value {
    let sequences = policy.sequences.iter().map(|(key, steps)| {
        let steps: Vec<Value> = steps.iter().map(step_json).collect();
        ((*key).to_owned(), json!({"steps": steps}))
    });
    let rules = policy.rules.iter().map(|(condition, target)| match target {
        Target::Steps(key) => json!({"condition": condition.text(), "stepKey": key}),
        Target::Policy(id) => json!({"condition": condition.text(), "policyId": id}),
    });
    let actions = policy.post_actions.iter().map(|now| json!({"certifyRemediateImmediately": now}));
    let mut json = json!({
        "displayName": "Any", "rules": rules.collect::<Vec<_>>(), "postActions": actions.collect::<Vec<_>>(),
        "policyType": if is_review { "POLICY_TYPE_CERTIFY" } else { "POLICY_TYPE_GRANT" },
        "policySteps": sequences.collect::<serde_json::Map<_, _>>(),
    });
    if let Target::Policy(id) = policy.baseline {
        json["baselinePolicyId"] = json!(id);
    }
    json
}

fn snapshots(policies: &[Policy], nobody: &str, is_review: bool) -> Policies {
    let nobody = match nobody {
        "skip" => Nobody::Skip,
        "deny" => Nobody::Deny,
        _ => Nobody::Block,
    };
    let mut by_id = BTreeMap::new();
    for policy in policies {
        let document = document(policy, is_review);
        let mut message: Document = read("c1.api.policy.v1.Policy", &document);
        c1::prepare(&mut message);
        let compiled = c1::compile(&message, c1::Surroundings { own_id: None, nobody });
        let compiled = compiled.unwrap_or_else(|faults| panic!("{faults:?} in {document:#}"));
        by_id.insert(policy.id.to_owned(), Snapshot { revision: 1, workflow: Arc::new(compiled.workflow) });
    }
    Policies { first: policies[0].id.to_owned(), by_id }
}

fn directory(world: &World) -> Directory {
    let users = world.people.iter().map(|person| {
        let status = if person.is_enabled { "USER_STATUS_ENABLED" } else { "USER_STATUS_DISABLED" };
        let mut json = json!({"id": person.id, "managerIds": person.managers, "status": status});
        if let Some((delegate, before)) = person.delegate {
            json["delegateId"] = json!(delegate);
            json["delegateSince"] =
                json!(if before { "2026-11-01T00:00:00Z" } else { "2026-11-26T08:00:01Z" });
        }
        json
    });
    let json = json!({
        "users": users.collect::<Vec<_>>(),
        "apps": [
            {"id": "db", "ownerIds": world.app_owners, "accounts": [{"id": "acc", "userId": world.account_owner}]},
            {"id": "dir"},
        ],
        "entitlements": [
            {"id": "read", "appId": "db", "ownerIds": world.entitlement_owners, "resourceId": "prod"},
            {"id": "security", "appId": "dir", "memberIds": world.groups[0]},
            {"id": "leads", "appId": "dir", "memberIds": world.groups[1]},
        ],
        "resources": [{"id": "prod", "appId": "db", "ownerIds": world.resource_owners}],
        "administratorIds": world.administrators,
    });
    let mut report = Report::default();
    let made = world::directory(&mut report, &Path::ROOT, read("countersign.v1.Directory", &json));
    report.finish().unwrap();
    made
}

fn start() -> DateTime<Utc> {
    "2026-11-26T08:00:00Z".parse().unwrap()
}

fn decided(By(actor, says_why, stepped_up): &By, verdict: Verdict) -> Happened {
    let reason = if *says_why { "since".to_owned() } else { String::new() };
    let (actor, stepped_up) = ((*actor).to_owned(), *stepped_up);
    Happened::Decided(Decision { actor, verdict, reason, stepped_up, ..Decision::default() })
}

fn happened(what: &Happening) -> Happened {
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    let by = "root".to_owned();
    match what {
        Happening::Approve(by) => decided(by, Verdict::Approve),
        Happening::Deny(by) => decided(by, Verdict::Deny),
        Happening::Reassign(by, to) => decided(by, Verdict::Reassign(ids(to))),
        Happening::Answer(answer) => Happened::Answered(match answer {
            Answer::Approve => Answered::Approve,
            Answer::Deny => Answered::Deny,
            Answer::Comment => Answered::Comment("hm".to_owned()),
            Answer::Reassign(to) => Answered::Reassign(ids(to)),
            Answer::ChangePolicy(id) => Answered::ChangePolicy((*id).to_owned()),
            Answer::Fail => Answered::Fail,
        }),
        Happening::Recheck => Happened::Rechecked,
        Happening::ConditionHolds => Happened::ConditionHeld,
        Happening::FormFilled => Happened::FormFilled,
        Happening::Done(success) => Happened::Done { success: *success },
        Happening::Skip => Happened::Skipped { by },
        Happening::Restart => Happened::Restarted { by },
        Happening::Cancel => Happened::Cancelled { by },
        Happening::Nothing => Happened::TimePassed,
    }
}

/// All that can be compared of a task.
fn of_reference(task: &Task<'_>) -> Value {
    let route = task.route.iter().map(|(policy, rule, target, values)| {
        let (sequence, next) = match target {
            Target::Steps(key) => (*key, ""),
            Target::Policy(id) => ("", *id),
        };
        json!([policy, rule, sequence, next, values])
    });
    let stages = task.stages.iter().map(|one| {
        json!({
            "at": [one.policy, one.sequence, one.position, one.kind],
            "state": one.state, "entered": one.entered, "left": one.left, "asked": one.asked,
            "decided_by": one.decided_by, "hand_overs": one.hand_overs, "sources": one.sources,
            "excluded": one.excluded, "required": one.required, "escalates": one.escalates,
            "wait_until": one.wait_until,
        })
    });
    json!({
        "route": route.collect::<Vec<_>>(), "stages": stages.collect::<Vec<_>>(), "refused": task.refused,
        "outcome": task.word(), "ended": task.ended.map(|(_, at)| at), "post_actions": task.post_actions,
        "waits": task.waits(), "timeline": task.timeline,
    })
}

fn seconds(at: DateTime<Utc>) -> i64 {
    (at - start()).num_seconds()
}

fn word(value: &impl serde::Serialize) -> String {
    json!(value).as_str().unwrap().to_owned()
}

fn of_machine(state: &State, trace: &Trace) -> Value {
    let route = state.route.iter().map(|hop| {
        let values = hop.rules.iter().map(|rule| match &rule.value {
            RuleValue::Error(_) => "error".to_owned(),
            value => word(value),
        });
        json!([hop.policy, hop.rule, hop.sequence, hop.next_policy, values.collect::<Vec<_>>()])
    });
    let stages = state.stages.iter().map(|one| {
        let asked =
            one.asked.iter().map(|asked| (&asked.user, Some(&asked.delegate_of).filter(|id| !id.is_empty())));
        let (entered, left) = (seconds(one.entered_at), one.left_at.map(seconds));
        let sources = one.sources.iter().map(|one| (&one.source, one.found, !one.problem.is_empty()));
        let excluded = one.excluded.iter().map(|one| (&one.user, &one.source, one.why));
        let reasons =
            [one.approval_reason_required, one.denial_reason_required, one.reassignment_reason_required];
        json!({
            "at": [json!(one.policy), json!(one.sequence), json!(one.position), json!(one.kind)],
            "state": one.state, "entered": entered, "left": left, "asked": asked.collect::<Vec<_>>(),
            "decided_by": one.decided_by, "hand_overs": one.reassignments, "sources": sources.collect::<Vec<_>>(),
            "excluded": excluded.collect::<Vec<_>>(), "required": (reasons, !one.step_up_provider.is_empty()),
            "escalates": one.escalates.as_ref().map(|one| (seconds(one.at), &one.to, one.done)),
            "wait_until": one.due_at.map(seconds),
        })
    });
    let post_actions = trace.post_actions.iter().map(|Afterwards::RemediateImmediately(now)| *now);
    let refused = trace.timeline.iter().filter(|one| matches!(one.effect, Effect::Refused { .. })).count();
    let waits = match state.outcome() {
        Ended::Waiting { on, until } => Some((on, until.map(seconds))),
        Ended::Blocked { until, .. } => Some((Vec::new(), until.map(seconds))),
        _ => None,
    };
    json!({
        "route": route.collect::<Vec<_>>(), "stages": stages.collect::<Vec<_>>(), "refused": refused,
        "outcome": state.outcome().word(), "ended": state.ended_at.map(seconds),
        "post_actions": post_actions.collect::<Vec<_>>(), "waits": waits, "timeline": timeline(&trace.timeline),
    })
}

/// What happened, as the reference tells it. Words for people are left out.
fn timeline(all: &[Occurred]) -> Vec<(i64, &'static str, Option<usize>, String)> {
    let none = String::new;
    let each = all.iter().map(|one| {
        let (kind, stage, what) = match &one.effect {
            Effect::Routed { policy, sequence } => ("routed", None, format!("{policy} {sequence}")),
            Effect::Entered { stage } => ("entered", Some(*stage), none()),
            Effect::Asked { stage, users } => ("asked", Some(*stage), users.join(", ")),
            Effect::WebhookCalled { stage, webhook } => ("webhook_called", Some(*stage), webhook.clone()),
            Effect::AgentAsked { stage } => ("agent_asked", Some(*stage), none()),
            Effect::FormShown { stage } => ("form_shown", Some(*stage), none()),
            Effect::ProvisionStarted { stage, kind } => ("provision_started", Some(*stage), word(kind)),
            Effect::ActionStarted { stage, .. } => ("action_started", Some(*stage), none()),
            Effect::Commented { text } => ("commented", None, text.clone()),
            Effect::WakeAt { at } => ("wake_at", None, seconds(*at).to_string()),
            Effect::Escalated { stage, to } => ("escalated", Some(*stage), to.clone()),
            Effect::Reassigned { stage, by, users } => {
                ("reassigned", Some(*stage), format!("{by}: {}", users.join(", ")))
            }
            Effect::Assumed { stage, .. } => ("assumed", Some(*stage), none()),
            Effect::Left { stage, how } => ("left", Some(*stage), how.clone()),
            Effect::Refused { .. } => ("refused", None, none()),
            Effect::Blocked { .. } => ("blocked", None, none()),
            Effect::Ended { outcome } => ("ended", None, outcome.clone()),
            Effect::PostAction(Afterwards::RemediateImmediately(now)) => {
                ("post_action", None, now.to_string())
            }
        };
        (seconds(one.at), kind, stage, what)
    });
    each.collect()
}

/// How the cases came out, to see that all that can happen does.
#[derive(Debug, Default)]
struct Seen {
    outcomes: BTreeMap<&'static str, u64>,
    /// Kinds of stages with the states that they came to.
    stages: BTreeMap<(&'static str, &'static str), u64>,
    most_hand_overs: usize,
    blocked_tasks: u64,
    delegates: u64,
    /// How doing nothing ends.
    endings: BTreeMap<&'static str, u64>,
}

impl Seen {
    fn see(&mut self, task: &Task<'_>) {
        *self.outcomes.entry(task.word()).or_default() += 1;
        for stage in &task.stages {
            *self.stages.entry((stage.kind, stage.state)).or_default() += 1;
            self.most_hand_overs = self.most_hand_overs.max(stage.hand_overs);
            self.blocked_tasks += u64::from(stage.kind == "blocked");
            self.delegates += u64::from(stage.asked.iter().any(|one| one.1 == Some(stage.decided_by)));
        }
    }
}

#[test]
fn tasks_run_as_in_the_reference() {
    let mut seen = Seen::default();
    let cases = cases();
    for first in (cases.start..cases.end).step_by(8) {
        let policies = policies(first);
        let nobody = Dice::of_case(first ^ 0x0F0F).one_of(&["block", "skip", "deny"]);
        let snapshots = snapshots(&policies, nobody, is_review(first));
        for number in first..cases.end.min(first + 8) {
            let world = world_of(number, nobody);
            run(number, &policies, &snapshots, &world, &mut seen);
        }
    }
    println!("{seen:?}");
    if cases.end - cases.start >= 1000 {
        assert!(seen.outcomes.len() == 7, "{seen:?}");
        assert!(seen.stages.len() >= 30, "{} in {seen:?}", seen.stages.len());
        assert!(seen.endings.len() == 3, "{seen:?}");
    }
    if cases.end - cases.start >= 100_000 {
        assert!(seen.most_hand_overs == 10 && seen.blocked_tasks > 20, "{seen:?}");
    }
}

fn run(number: u64, policies: &[Policy], snapshots: &Policies, world: &World, seen: &mut Seen) {
    let happenings = happenings(number);
    let directory = directory(world);
    let request = Request {
        subject_id: world.subject.to_owned(),
        requester_id: world.requester.to_owned(),
        app_id: "db".to_owned(),
        entitlement_id: "read".to_owned(),
        account_id: "acc".to_owned(),
        ..Request::default()
    };
    let machine = Machine::new(snapshots, &directory, &request);
    let given: Vec<_> =
        happenings.iter().map(|(after, what)| (TimeDelta::seconds(*after), happened(what))).collect();
    let trace = simulate(&machine, start(), &given, world.assumes);
    let mut task = Task::begin(policies, world);
    let mut now = 0;
    for (after, what) in &happenings {
        now += after;
        task.happen(what, now);
    }
    let told = || format!("case {number}: {policies:#?} {world:#?} {happenings:#?}");
    assert_eq!(of_machine(&trace.state, &trace), of_reference(&task), "{}", told());
    seen.see(&task);
    // And then nobody ever does anything.
    let before = task.timeline.len();
    task.pass_until(i64::MAX);
    let (idle, rest) = (timeline(&trace.idle.timeline), &task.timeline[before..]);
    *seen.endings.entry(ending(&trace.idle.ending)).or_default() += 1;
    if let Ending::Repeats { from, until } = trace.idle.ending {
        assert!(rest.starts_with(&idle), "idle: {idle:#?} {rest:#?} {}", told());
        assert!(task.goes_round(seconds(from), seconds(until)), "idle: {:#?} {}", task.stages, told());
        return;
    }
    let ended = task.ended.map(|(_, at)| Ending::Ends { at: start() + TimeDelta::seconds(at) });
    let ended = ended.unwrap_or(Ending::WaitsForEver { since: start() + TimeDelta::seconds(task.now) });
    assert_eq!(trace.idle.ending, ended, "idle: {}", told());
    assert_eq!(trace.idle.outcome.word(), task.word(), "idle: {}", told());
    assert_eq!(idle, rest, "idle: {}", told());
}

fn ending(ending: &Ending) -> &'static str {
    match ending {
        Ending::Ends { .. } => "ends",
        Ending::WaitsForEver { .. } => "waits for ever",
        Ending::Repeats { .. } => "repeats",
        Ending::NotFollowed { .. } => "not followed",
    }
}
