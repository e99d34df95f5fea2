//! What holds for every policy, world and sequence of events: the same input has the same trace, a state survives being written
//! down at any point, nothing panics, and nothing goes on for ever. Made by chance from parts that are mostly right.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use countersign::app::world;
use countersign::pb;
use countersign::pb::c1::api::policy::v1::Policy;
use countersign::pb::gotocompany::guardian::v1beta1::Policy as GuardianPolicy;
use countersign::policy::{Path, Report, c1, guardian};
use countersign::wire::Schema;
use countersign::wire::json::{self as wire_json, Reading};
use countersign::workflow::Nobody;
use countersign::workflow::run::{
    Answer, AppealMachine, AppealState, Decision, EVENTS_IDLE_MAX, Event, Happening, Machine, Policies,
    Policy as Snapshot, PolicyName, REPLACEMENTS_MAX, State, Verdict, simulate,
};
use countersign::workflow::world::{Appeal, Directory, Request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use prost::Message;
use serde_json::{Value, json};

fn message<M: Message + Default>(name: &str, json: &Value) -> M {
    let ty = Schema::new(pb::pool()).message(name).unwrap();
    let mut bytes = Vec::new();
    wire_json::decode(&ty, json.to_string().as_bytes(), &Reading::default(), &mut bytes).unwrap();
    M::decode(bytes.as_slice()).unwrap()
}

fn directory_of(json: &Value) -> Directory {
    let given = message("countersign.v1.Directory", json);
    let mut report = Report::default();
    let made = world::directory(&mut report, &Path::ROOT, given);
    report.finish().unwrap();
    made
}

/// Everybody is there, in any state, with any managers and delegates, themselves included.
fn directory() -> impl Strategy<Value = Directory> {
    let statuses =
        vec!["USER_STATUS_ENABLED", "USER_STATUS_ENABLED", "USER_STATUS_DISABLED", "USER_STATUS_DELETED"];
    let person =
        (vec(select(USERS), 0..3), select(statuses), select(USERS), select(vec!["Sales", "Legal", ""]));
    let people = vec(person, USERS.len() - 1);
    (people, users(), users(), users()).prop_map(|(people, owners, members, administrators)| {
        let people = people.iter().zip(USERS).map(|((managers, status, delegate, department), id)| {
            json!({"id": id, "email": format!("{id}@example.com"), "managerIds": managers, "status": status,
                   "delegateId": delegate, "department": department})
        });
        directory_of(&json!({
            "users": people.collect::<Vec<_>>(),
            "apps": [{"id": "db", "ownerIds": owners}, {"id": "dir"}],
            "entitlements": [
                {"id": "read", "appId": "db", "ownerIds": members, "resourceId": "prod"},
                {"id": "security", "appId": "dir", "memberIds": members},
            ],
            "resources": [{"id": "prod", "appId": "db", "ownerIds": owners}],
            "administratorIds": administrators,
        }))
    })
}

fn start() -> DateTime<Utc> {
    "2026-11-26T08:00:00Z".parse().unwrap()
}

const USERS: &[&str] = &["ann", "bob", "max", "eve", "dan", "old", "root", "nobody"];
const POLICIES: &[&str] = &["a", "b", "c", "none"];

fn users() -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(USERS), 1..4)
}

fn source() -> impl Strategy<Value = Value> {
    let fallback = |arm: &'static str| {
        (any::<bool>(), any::<bool>(), users()).prop_map(move |(own, on, users)| {
            json!({arm: {"allowSelfApproval": own, "requireDistinctApprovers": !own, "fallback": on,
                         "fallbackUserIds": users}})
        })
    };
    prop_oneof![
        users().prop_map(|users| json!({"users": {"userIds": users}})),
        fallback("manager"),
        fallback("entitlementOwners"),
        fallback("resourceOwners"),
        any::<bool>().prop_map(|own| json!({"appOwners": {"allowSelfApproval": own}})),
        Just(json!({"self": {}})),
        Just(json!({"group": {"appId": "dir", "appGroupId": "security", "requireDistinctApprovers": true}})),
        Just(
            json!({"expression": {"expressions": ["appOwners", "[c1.directory.users.v1.GetByID(\"dan\")]"]}})
        ),
        Just(json!({"webhook": {"webhookId": "w"}})),
        (
            select(vec!["FULL_CONTROL", "CHANGE_POLICY_ONLY", "COMMENT_ONLY"]),
            select(vec!["REASSIGN_TO_USERS", "REASSIGN_TO_SUPER_ADMINS", "SKIP_POLICY_STEP"]),
            select(POLICIES),
        )
            .prop_map(|(mode, failure, policy)| {
                json!({"agent": {"agentMode": format!("APPROVAL_AGENT_MODE_{mode}"), "policyIds": [policy],
                    "agentFailureAction": format!("APPROVAL_AGENT_FAILURE_ACTION_{failure}"),
                    "reassignToUserIds": ["eve"]}})
            }),
    ]
}

fn escalation() -> impl Strategy<Value = Option<Value>> {
    let to = prop_oneof![
        select(POLICIES).prop_map(|id| json!({"replacePolicy": {"policyId": id}})),
        users().prop_map(|users| json!({"reassignToApprovers": {"approverIds": users}})),
        Just(json!({"cancelTicket": {}})),
        Just(json!({"skipStep": {}})),
    ];
    proptest::option::of((to, select(vec![0, 60, 86_400])).prop_map(|(mut to, after)| {
        to["expiration"] = json!(after.to_string());
        to["escalationComment"] = json!("slow");
        to
    }))
}

fn step() -> impl Strategy<Value = Value> {
    let approval = (source(), escalation(), vec(any::<bool>(), 5)).prop_map(|(source, escalation, flags)| {
        let mut approval = source;
        approval["allowReassignment"] = json!(flags[0]);
        approval["allowDelegation"] = json!(flags[1]);
        approval["requireApprovalReason"] = json!(flags[2] && flags[3]);
        approval["requireDenialReason"] = json!(flags[3] && flags[4]);
        if let Some(escalation) = escalation {
            approval["escalationEnabled"] = json!(true);
            approval["escalation"] = escalation;
        }
        json!({"approval": approval})
    });
    prop_oneof![
        6 => approval,
        1 => Just(json!({"wait": {"duration": {"duration": "7200s"}}})),
        1 => Just(json!({"wait": {"untilTime": {"hours": 9, "minutes": 30, "timezone": "Europe/Berlin"}}})),
        1 => Just(json!({"wait": {"condition": {"condition": "now() > timestamp(\"2026-11-28T00:00:00Z\")"},
                                  "timeoutDuration": "259200s"}})),
        1 => Just(json!({"wait": {"condition": {"condition": "subject.department == \"Legal\""}}})),
        1 => Just(json!({"provision": {"provisionPolicy": {"connector": {}}}})),
        1 => Just(json!({"provision": {}})),
        1 => Just(json!({"form": {"form": {}}})),
        1 => Just(json!({"action": {"automation": {"automationTemplateId": "t"}}})),
        1 => Just(json!({"accept": {"acceptMessage": "yes"}})),
        1 => Just(json!({"reject": {"rejectMessage": "no"}})),
    ]
}

fn policy() -> impl Strategy<Value = Value> {
    let condition = select(vec![
        "subject.department == \"Sales\" && entitlement.id == \"read\"",
        "ip.is4 || subject.id == \"ann\"",
        "task.isGrantPermanent ? subject.id == \"bob\" : true",
    ]);
    let rule = (condition, select(POLICIES), any::<bool>()).prop_map(|(condition, policy, own)| {
        if own {
            json!({"condition": condition, "stepKey": "x"})
        } else {
            json!({"condition": condition, "policyId": policy})
        }
    });
    (vec(step(), 1..5), vec(step(), 1..3), vec(rule, 0..3)).prop_map(|(baseline, other, rules)| {
        json!({"displayName": "Any", "policyType": "POLICY_TYPE_GRANT", "rules": rules,
               "policySteps": {"grant": {"steps": baseline}, "x": {"steps": other}}})
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    let verdict = prop_oneof![
        4 => Just(Verdict::Approve),
        1 => Just(Verdict::Deny),
        2 => users().prop_map(|to| Verdict::Reassign(to.into_iter().map(str::to_owned).collect())),
    ];
    let decided = (select(USERS), verdict, any::<bool>()).prop_map(|(actor, verdict, reason)| {
        Happening::Decided(Decision {
            actor: actor.to_owned(),
            verdict,
            reason: if reason { "since".to_owned() } else { String::new() },
            stepped_up: true,
            approval: String::new(),
        })
    });
    let answer = prop_oneof![
        Just(Answer::Approve),
        Just(Answer::Deny),
        Just(Answer::Comment("hm".to_owned())),
        Just(Answer::Fail),
        select(POLICIES).prop_map(|id| Answer::ChangePolicy(id.to_owned())),
        users().prop_map(|to| Answer::Reassign(to.into_iter().map(str::to_owned).collect())),
    ];
    prop_oneof![
        8 => decided,
        3 => answer.prop_map(Happening::Answered),
        2 => Just(Happening::TimePassed),
        1 => Just(Happening::Started),
        1 => Just(Happening::Rechecked),
        1 => Just(Happening::ConditionHeld),
        1 => Just(Happening::FormFilled),
        1 => any::<bool>().prop_map(|success| Happening::Done { success }),
        1 => Just(Happening::Skipped { by: "root".to_owned() }),
        1 => Just(Happening::Restarted { by: "root".to_owned() }),
        1 => Just(Happening::Cancelled { by: "ann".to_owned() }),
    ]
}

fn happenings() -> impl Strategy<Value = Vec<(TimeDelta, Happening)>> {
    let after = select(vec![0, 1, 3600, 100_000]).prop_map(TimeDelta::seconds);
    vec((after, happening()), 0..24)
}

fn snapshots(documents: &[Value], nobody: Nobody) -> Policies {
    let mut by_id = BTreeMap::new();
    for (id, document) in POLICIES.iter().zip(documents) {
        let mut policy: Policy = message("c1.api.policy.v1.Policy", document);
        c1::prepare(&mut policy);
        let around = c1::Surroundings { own_id: None, nobody };
        let workflow = Arc::new(c1::compile(&policy, around).unwrap().workflow);
        by_id.insert((*id).to_owned(), Snapshot { revision: 1, workflow });
    }
    Policies { first: "a".to_owned(), by_id }
}

fn written_down<S: serde::Serialize + serde::de::DeserializeOwned>(state: &S) -> S {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

/// The same cases in every run, so that a red run means a change for the worse; `PROPTEST_RNG_SEED` and `PROPTEST_CASES`
/// choose others.
fn repeatable() -> ProptestConfig {
    let chosen = ProptestConfig::default();
    let cases = std::env::var("PROPTEST_CASES").map_or(96, |_| chosen.cases);
    match chosen.rng_seed {
        RngSeed::Random => ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), ..chosen },
        RngSeed::Fixed(_) => ProptestConfig { cases, ..chosen },
    }
}

proptest! {
    #![proptest_config(repeatable())]

    #[test]
    fn tasks_are_deterministic_and_bounded(
        documents in vec(policy(), 3),
        nobody in select(vec![Nobody::Block, Nobody::Skip, Nobody::Deny]),
        happenings in happenings(),
        directory in directory(),
        subject in select(&USERS[..5]),
    ) {
        let policies = snapshots(&documents, nobody);
        let request = Request {
            subject_id: subject.to_owned(), app_id: "db".to_owned(), entitlement_id: "read".to_owned(),
            ..Request::default()
        };
        let machine = Machine::new(&policies, &directory, &request);
        let trace = simulate(&machine, start(), &happenings, true);
        prop_assert_eq!(&trace, &simulate(&machine, start(), &happenings, true));
        prop_assert!(trace.idle.timeline.len() <= EVENTS_IDLE_MAX * 64, "{}", trace.idle.timeline.len());
        prop_assert!(trace.state.replacements <= REPLACEMENTS_MAX);
        // The same, written down after every event.
        let mut at = start();
        let (mut plain, mut kept) = (State::default(), State::default());
        let events = std::iter::once((TimeDelta::zero(), Happening::Started)).chain(happenings);
        for (after, what) in events {
            at += after;
            let event = Event { at, what };
            let (next, effects) = machine.step(plain, &event);
            let (again, same) = machine.step(written_down(&kept), &written_down(&event));
            prop_assert_eq!(&effects, &same);
            prop_assert_eq!(&next, &again);
            prop_assert!(next.ended.is_some() || !next.stages.is_empty());
            (plain, kept) = (next, again);
        }
    }

    #[test]
    fn appeals_are_deterministic_and_survive_being_written_down(
        steps in vec((select(vec!["one", "two", "three"]), 0..5_u8, any::<bool>(), any::<bool>()), 1..6),
        staged in any::<bool>(),
        decisions in vec((select(USERS), any::<bool>(), select(vec!["", "one", "two"])), 0..12),
    ) {
        let expressions = ["true", "false", "$appeal.role == \"editor\"", "$appeal.nothing", "len($appeal.approvals) > 2"];
        let steps: Vec<Value> = steps
            .iter()
            .map(|(name, which, manual, flag)| {
                let condition = expressions[usize::from(*which)];
                let mut step = if *manual {
                    json!({"name": name, "strategy": "manual", "approvers": ["max@example.com", "eve@example.com"],
                           "dont_allow_self_approval": flag, "when": if *flag { condition } else { "" }})
                } else {
                    json!({"name": name, "strategy": "auto", "approve_if": condition, "allow_failed": flag})
                };
                if staged {
                    step["stage"] = json!(if *flag { "first" } else { "second" });
                }
                step
            })
            .collect();
        let stages = if staged { vec!["first", "second"] } else { Vec::new() };
        let document = json!({"id": "p", "description": "any", "steps": steps, "stages": stages});
        let policy: GuardianPolicy = message("gotocompany.guardian.v1beta1.Policy", &document);
        let Ok(compiled) = guardian::compile(&policy, guardian::Surroundings::default()) else { return Ok(()) };
        let json = json!({"account_id": "max@example.com", "created_by": "max@example.com", "role": "editor",
                          "options": {"duration": "1h"}});
        let appeal = Appeal { appeal: json.as_object().unwrap().clone(), ..Appeal::default() };
        let name = PolicyName { id: "p".to_owned(), version: 1 };
        let machine = AppealMachine {
            workflow: &compiled.workflow, policy: name, stages: stages.len(), appeal: &appeal, dry_run: false, stop: None,
        };
        let decided = decisions.iter().map(|(actor, approve, approval)| {
            let verdict = if *approve { Verdict::Approve } else { Verdict::Deny };
            let (actor, approval) = (format!("{actor}@example.com"), (*approval).to_owned());
            Happening::Decided(Decision { actor, verdict, approval, ..Decision::default() })
        });
        let mut state = AppealState::default();
        for what in std::iter::once(Happening::Started).chain(decided) {
            let event = Event { at: start(), what };
            let (next, effects) = machine.step(state.clone(), &event);
            let (again, same) = machine.step(written_down(&state), &event);
            prop_assert_eq!(&effects, &same);
            prop_assert_eq!(&next, &again);
            state = next;
        }
    }
}
