//! Policies that are made to be hard: the analysis ends, and says what it says.

use std::sync::Arc;

use countersign::expr::{Environment, compile};
use countersign::pb::c1::api::policy::v1::Policy as Document;
use countersign::policy::c1;
use countersign::workflow::analyse::{Code, Finding, analyse};
use countersign::workflow::run::{Policies, Policy};
use countersign::workflow::{Condition, Destination, Nobody, Route, Workflow};
use serde_json::{Value, json};

use super::runs::invariants;
use crate::differential::read;

/// What is found in a policy of these rules.
fn findings(rules: impl Iterator<Item = String>) -> Vec<Finding> {
    let route = |(n, text): (usize, String)| Route {
        condition: Condition::Cel(compile(Environment::Condition, &text).unwrap()),
        to: Destination::Policy(format!("p{}", n % 3)),
        place: format!("rules[{n}]"),
    };
    let routes = rules.enumerate().map(route).collect();
    let baseline = Destination::Policy("baseline".to_owned());
    let workflow = Arc::new(Workflow { routes, baseline, ..Workflow::default() });
    let policy = Policy { revision: 0, workflow };
    analyse(&Policies { first: String::new(), by_id: [(String::new(), policy)].into() }, &[])
}

#[test]
fn many_long_lists_are_compared() {
    // 128 rules, each of a hundred constants; the last is covered by the two before it.
    let list = |from: usize, to: usize| {
        let texts: Vec<String> = (from..to).map(|n| format!("\"dept-{n}\"")).collect();
        format!("subject.department in [{}]", texts.join(", "))
    };
    let rules = (0..127).map(|n| list(n * 100, n * 100 + 100));
    let found = findings(rules.chain([list(12_550, 12_650)]));
    let shadowed: Vec<&Finding> = found.iter().filter(|one| one.code == Code::RuleShadowed).collect();
    assert_eq!(shadowed.len(), 1);
    assert_eq!(shadowed[0].related, ["rules[125]", "rules[126]"]);
}

#[test]
fn hard_propositions_run_out_of_budget_and_claim_nothing() {
    // Eleven pigeons in ten holes, a hole an attribute: no request meets it, and no solver of this kind sees it quickly.
    let in_hole = |pigeon: usize, hole: usize| format!("subject.attributes.p{pigeon}h{hole} == true");
    let mut rules = Vec::new();
    for pigeon in 0..11 {
        let holes: Vec<String> = (0..10).map(|hole| in_hole(pigeon, hole)).collect();
        rules.push(format!("!({})", holes.join(" || ")));
    }
    for hole in 0..10 {
        let pairs = (0..11).flat_map(|a| (0..a).map(move |b| (a, b)));
        let both = pairs.map(|(a, b)| format!("({} && {})", in_hole(a, hole), in_hole(b, hole)));
        let both: Vec<String> = both.collect();
        for part in both.chunks(28) {
            rules.push(part.join(" || "));
        }
    }
    rules.push("true".to_owned());
    findings(rules.into_iter());
}

#[test]
fn deep_and_wide_conditions_end() {
    let fields = ["department", "jobTitle", "username", "employmentType", "email"];
    let rule = |n: usize| {
        let mut text = "task.isGrantPermanent".to_owned();
        for level in 0..14 {
            let field = fields[(n + level) % fields.len()];
            let test =
                format!("subject.{field}.{}(\"{n}\")", ["startsWith", "endsWith", "contains"][level % 3]);
            text = match level % 3 {
                0 => format!("({text} && {test})"),
                1 => format!("!({text} || {test})"),
                _ => format!("({test} ? {text} : !{test})"),
            };
        }
        text
    };
    assert!(findings((0..128).map(rule)).len() < 512);
}

/// A policy of as many sequences as there may be, whose approvals can hang, hand over to the next policy, and ask the same people.
fn of_people(id: usize, rules: usize, count: usize) -> Policy {
    let escalation = |to: Value| {
        let mut escalation = to;
        escalation["expiration"] = json!("3600");
        escalation
    };
    let next = format!("p{}", (id + 1) % count);
    let steps = |n: usize| {
        json!({"steps": [
            {"approval": {"users": {"userIds": ["max", format!("u{n}")], "requireDistinctApprovers": true},
             "escalationEnabled": true, "escalation": escalation(json!({"replacePolicy": {"policyId": next}}))}},
            {"approval": {"manager": {"fallback": true, "fallbackUserIds": ["max"]}, "allowReassignment": true,
             "escalationEnabled": true,
             "escalation": escalation(json!({"reassignToApprovers": {"approverIds": ["max"]}}))}},
            {"approval": {"group": {"appId": "corp", "appGroupId": format!("g{n}")}, "allowDelegation": true}},
            {"approval": {"webhook": {"webhookId": "w"}}},
        ]})
    };
    let keys = 63;
    let sequences = (0..keys).map(|n| (format!("s{n}"), steps(n)));
    let rule = |n: usize| match n % 2 {
        0 => {
            json!({"condition": format!("subject.department == \"{n}\""), "stepKey": format!("s{}", n % keys)})
        }
        _ => json!({"condition": format!("subject.jobTitle == \"{n}\""), "policyId": next}),
    };
    let mut sequences: serde_json::Map<String, Value> = sequences.collect();
    sequences.insert("grant".to_owned(), steps(rules));
    let document = json!({
        "displayName": "People", "policyType": "POLICY_TYPE_GRANT", "policySteps": sequences,
        "rules": (0..rules).map(rule).collect::<Vec<_>>(),
    });
    let mut message: Document = read("c1.api.policy.v1.Policy", &document);
    c1::prepare(&mut message);
    let compiled = c1::compile(&message, c1::Surroundings { own_id: None, nobody: Nobody::Block });
    Policy {
        revision: 0,
        workflow: Arc::new(compiled.unwrap_or_else(|faults| panic!("{faults:?}")).workflow),
    }
}

#[test]
fn many_policies_of_many_sequences_that_lead_to_each_other_end() {
    let count = 8;
    let by_id = (0..count).map(|id| (format!("p{id}"), of_people(id, 64, count))).collect();
    let found = analyse(&Policies { first: "p0".to_owned(), by_id }, &invariants());
    let has = |code: Code| found.iter().any(|one| one.code == code);
    assert!(
        [Code::ApprovalCanBlock, Code::EscalationToSamePeople, Code::DecisionUnbounded].into_iter().all(has)
    );
}
