//! What is counted over a population, against both sides run by hand: each request is simulated over REST, with nobody doing anything
//! and with the first who is asked approving each time, and what comes of it is held against what the comparison says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{Server, post};

const AT: &str = "2026-11-26T08:00:00Z";

fn directory() -> Value {
    json!({
        "users": [
            {"id": "ann", "managerIds": ["max"], "department": "A"},
            {"id": "bob", "managerIds": ["gone"], "department": "B"},
            {"id": "max", "managerIds": ["max"], "department": "C"},
            {"id": "eve", "department": "A", "managerIds": ["bob"]},
            {"id": "gone", "status": "USER_STATUS_DISABLED", "managerIds": ["max"]}
        ],
        "apps": [{"id": "db", "ownerIds": ["max", "ann"]}, {"id": "wiki"}],
        "entitlements": [
            {"id": "admin", "appId": "db", "riskLevelValueId": "high", "ownerIds": ["eve"]},
            {"id": "read", "appId": "db", "riskLevelValueId": "low"}
        ]
    })
}

/// Policies of which each is compared with each.
fn policies() -> Vec<Value> {
    let one = |rules: Value, grant: Value, other: Value| {
        json!({"inline": {
            "displayName": "x", "policyType": "POLICY_TYPE_GRANT", "rules": rules,
            "policySteps": {"grant": {"steps": grant}, "other": {"steps": other}}
        }})
    };
    let manager = json!({"approval": {"manager": {}}});
    let owners = json!({"approval": {"appOwners": {"requireDistinctApprovers": true}}});
    let silent = json!({"approval": {"manager": {"allowSelfApproval": true}, "escalationEnabled": true,
        "escalation": {"expiration": "3600", "skipStep": {}}}});
    let asked =
        json!({"approval": {"entitlementOwners": {"fallback": true, "fallbackUserIds": ["gone", "max"]}}});
    let cancels = json!({"approval": {"users": {"userIds": ["gone"]}, "escalationEnabled": true,
        "escalation": {"expiration": "3600", "cancelTicket": {}}}});
    let rule = |condition: &str| json!([{"condition": condition, "stepKey": "other"}]);
    vec![
        one(json!([]), json!([manager]), json!([{"accept": {}}])),
        one(
            rule("entitlement.riskLevelValueId == \"low\""),
            json!([manager, owners]),
            json!([{"accept": {}}]),
        ),
        one(rule("subject.department == \"A\""), json!([silent]), json!([{"reject": {}}])),
        one(rule("subject.department in [\"A\", \"B\"]"), json!([asked]), json!([manager, asked])),
        one(
            rule("subject.department == \"C\""),
            json!([{"wait": {"duration": {"duration": "60s"}}}]),
            json!([cancels]),
        ),
        one(json!([]), json!([{"approval": {"webhook": {"webhookId": "w"}}}]), json!([{"accept": {}}])),
    ]
}

/// What becomes of a request.
#[derive(Debug, Default)]
struct Fate {
    automatic: bool,
    approvable: bool,
    denied: bool,
    nobody: bool,
    steps: String,
    asked: Vec<BTreeSet<String>>,
}

async fn fate(server: &Server, policy: &Value, request: &Value) -> Fate {
    let mut body = json!({"policy": policy, "request": request, "directory": directory(), "at": AT});
    let mut happenings: Vec<Value> = Vec::new();
    let mut found = Fate::default();
    for turn in 0..32 {
        body["happenings"] = json!(happenings);
        let (status, answer) = post(server, "/v1/policies:simulate", &body).await;
        assert_eq!(status, 200, "{answer}");
        let trace = &answer["trace"];
        if turn == 0 {
            found.automatic = trace["idle"]["outcome"]["kind"] == "OUTCOME_KIND_GRANTED";
        }
        let stages = trace["stages"].as_array().unwrap();
        let last = stages.last().unwrap();
        let kind = trace["outcome"]["kind"].as_str().unwrap();
        let asked = |stage: &Value| {
            let all = stage["approvers"].as_array().unwrap();
            all.iter().map(|one| one["userId"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        let waits = kind == "OUTCOME_KIND_WAITING" || kind == "OUTCOME_KIND_BLOCKED";
        if waits && !asked(last).is_empty() {
            let earlier: Vec<&str> =
                stages.iter().map(|stage| stage["decidedBy"].as_str().unwrap()).collect();
            let all: Vec<&str> = last["approvers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["userId"].as_str().unwrap())
                .collect();
            let who = all.iter().find(|who| !earlier.contains(who)).unwrap_or(&all[0]);
            happenings.push(json!({"approve": {"actor": who, "reason": "r"}}));
            continue;
        }
        if waits && trace["outcome"]["until"].is_string() {
            happenings.push(json!({"after": "3600s", "nothing": {}}));
            continue;
        }
        let people = stages.iter().filter(|stage| stage["kind"] == "approval");
        found.asked = people.map(asked).collect();
        let ended = kind == "OUTCOME_KIND_DENIED" || kind == "OUTCOME_KIND_CANCELLED";
        let alone = last["kind"] == "approval" && asked(last).is_empty();
        found.approvable =
            kind == "OUTCOME_KIND_GRANTED" && stages.iter().any(|stage| stage["decidedBy"] != "");
        found.denied = ended && !alone && !found.automatic;
        found.nobody = (kind == "OUTCOME_KIND_BLOCKED" || ended && alone) && !found.automatic;
        found.steps = trace["route"][0]["stepKey"].as_str().unwrap().to_owned();
        return found;
    }
    panic!("no end: {happenings:?}");
}

fn kinds(before: &Fate, after: &Fate) -> Vec<&'static str> {
    let all = [
        ("EFFECT_KIND_ROUTE_CHANGED", before.steps != after.steps),
        ("EFFECT_KIND_NEWLY_AUTO_APPROVED", !before.automatic && after.automatic),
        ("EFFECT_KIND_NO_LONGER_AUTO_APPROVED", before.automatic && !after.automatic),
        ("EFFECT_KIND_NEWLY_DENIED", !before.denied && after.denied),
        ("EFFECT_KIND_NO_LONGER_DENIED", before.denied && !after.denied),
        ("EFFECT_KIND_LOST_LAST_APPROVER", before.approvable && after.nobody),
        ("EFFECT_KIND_GAINED_APPROVER", before.nobody && after.approvable),
        ("EFFECT_KIND_APPROVERS_CHANGED", before.asked != after.asked),
    ];
    all.into_iter().filter(|(_, happens)| *happens).map(|(kind, _)| kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_those_of_both_sides_run_by_hand() {
    let server = Server::start().await;
    let mut requests = Vec::new();
    for (app, entitlement) in [("db", "admin"), ("db", "read"), ("wiki", "")] {
        for who in ["ann", "bob", "max", "eve"] {
            requests.push(
                json!({"subjectId": who, "requesterId": who, "appId": app, "entitlementId": entitlement}),
            );
        }
    }
    let policies = policies();
    let mut fates = Vec::new();
    for policy in &policies {
        let mut own = Vec::new();
        for request in &requests {
            own.push(fate(&server, policy, request).await);
        }
        fates.push(own);
    }
    let mut seen = BTreeSet::new();
    for (n, before) in policies.iter().enumerate() {
        for (m, after) in policies.iter().enumerate() {
            let (mut expected, mut unaffected): (BTreeMap<&str, i64>, i64) = (BTreeMap::new(), 0);
            for (old, new) in fates[n].iter().zip(&fates[m]) {
                let kinds = kinds(old, new);
                unaffected += i64::from(kinds.is_empty());
                kinds.into_iter().for_each(|kind| *expected.entry(kind).or_default() += 1);
            }
            let body = json!({"before": before, "after": after, "population": {}, "directory": directory(),
                              "at": AT, "examplesMax": 100});
            let (status, answer) = post(&server, "/v1/policies:compare", &body).await;
            assert_eq!(status, 200, "{answer}");
            let effects = &answer["effects"];
            let found: BTreeMap<&str, i64> = effects["effects"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| (one["kind"].as_str().unwrap(), one["count"].as_i64().unwrap()))
                .collect();
            assert_eq!(found, expected, "{n} and {m}: {effects:#} {:#?} {:#?}", fates[n], fates[m]);
            assert_eq!((&effects["requests"], &effects["unaffected"]), (&json!(12), &json!(unaffected)));
            assert!(n != m || found.is_empty());
            seen.extend(expected.into_keys());
        }
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
    server.stop().await;
}
