//! Small policies made by chance, and every small world in which one runs: who manages whom, who owns what, who stands in for
//! whom, who asks for what. A world differs from the others only in what the policy can notice.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use countersign::pb::c1::api::policy::v1::Policy as Document;
use countersign::policy::{Path, Report, c1};
use countersign::workflow::Nobody;
use countersign::workflow::run::{Policies, Policy};
use countersign::workflow::world::{Directory, Request};
use serde_json::{Value, json};

use crate::differential::{Dice, read};

/// The id of the policy that is asked about, and of the one that it may lead to.
pub const FIRST: &str = "a";
pub const OTHER: &str = "b";
/// Everybody there is. `ann` is whom requests are about.
pub const PEOPLE: [&str; 3] = ["ann", "bob", "max"];

/// A policy, and the one that it leads to, as documents.
#[derive(Clone, Debug)]
pub struct Case {
    pub first: Value,
    pub other: Value,
    pub nobody: Nobody,
    text: String,
}

const CONDITIONS: [&str; 9] = [
    "true",
    r#"subject.department == "Sales""#,
    r#"subject.department != "Sales""#,
    r#"entitlement.riskLevelValueId == "high""#,
    r#"entitlement.riskLevelValueId in ["low", "high"]"#,
    r#"subject.department == "Sales" && entitlement.riskLevelValueId == "high""#,
    r#"subject.department == "Sales" || entitlement.riskLevelValueId == "low""#,
    "task.requestorUserId != task.subjectUserId",
    r#"now() < timestamp("2026-11-27T00:00:00Z")"#,
];

/// Conditions of waits; some of them never hold.
const AWAITED: [&str; 8] = [
    r#"subject.department == "Sales""#,
    r#"entitlement.riskLevelValueId == "high""#,
    r#"subject.department == "Sales" && subject.department == "Legal""#,
    "false",
    "true",
    r#"now() > timestamp("2026-11-26T20:00:00Z")"#,
    r#"now() < timestamp("2026-11-26T20:00:00Z")"#,
    r#"task.requestorUserId == "bob""#,
];

impl Case {
    /// Made from the number alone.
    pub fn of(number: u64) -> Case {
        let dice = &mut Dice::of_case(number);
        // A policy with many sources has too many worlds.
        let sources = [dice.below(9), dice.below(9)];
        let first = policy(dice, FIRST, &sources);
        let other = policy(dice, OTHER, &sources[..1]);
        let nobody = dice.one_of(&[Nobody::Block, Nobody::Block, Nobody::Skip, Nobody::Deny]);
        let text = format!("{first}{other}");
        Case { first, other, nobody, text }
    }

    /// Compiled; `None` if the documents have faults.
    pub fn policies(&self) -> Option<Policies> {
        let mut by_id = BTreeMap::new();
        for (id, document) in [(FIRST, &self.first), (OTHER, &self.other)] {
            let mut message: Document = read("c1.api.policy.v1.Policy", document);
            c1::prepare(&mut message);
            let around = c1::Surroundings { own_id: None, nobody: self.nobody };
            let compiled = c1::compile(&message, around).ok()?;
            by_id.insert(id.to_owned(), Policy { revision: 0, workflow: Arc::new(compiled.workflow) });
        }
        Some(Policies { first: FIRST.to_owned(), by_id })
    }

    /// Every world that differs in something that these policies can notice.
    pub fn worlds(&self) -> Vec<World> {
        let mut choices = vec![[0; DIMENSIONS.len()]];
        for (n, (words, count)) in DIMENSIONS.iter().enumerate() {
            if !words.is_empty() && !words.iter().any(|word| self.text.contains(word)) {
                continue;
            }
            let more = choices.clone();
            for value in 1..*count {
                choices.extend(more.iter().map(|choice| {
                    let mut choice = *choice;
                    choice[n] = value;
                    choice
                }));
            }
        }
        choices.into_iter().map(World::of).collect()
    }
}

/// What worlds differ in: the words in a policy that make it worth while, and how many ways there are.
const DIMENSIONS: [(&[&str], usize); 11] = [
    (&["manager"], 3),
    (&["appOwners"], 3),
    (&["entitlementOwners"], 3),
    (&["resourceOwners"], 2),
    (&["appGroupId", "appEntitlementId"], 3),
    (&["\"self\""], 2),
    (&["\"allowDelegation\":true"], 2),
    (&["riskLevelValueId"], 2),
    (&["department"], 2),
    // Who asks matters to some conditions only; and so does the time: before and after midnight, and the day before clocks
    // are set back, just after they have shown the time that is waited for.
    (&["requestorUserId", "\"allowSelfApproval\":false"], 2),
    (&["now()", "untilTime"], 3),
];

/// One world, and a request in it.
#[derive(Debug)]
pub struct World {
    pub directory: Directory,
    pub request: Request,
    pub at: DateTime<Utc>,
}

impl World {
    fn of(choice: [usize; DIMENSIONS.len()]) -> World {
        let none: &[&str] = &[];
        let managers = [&["bob"], none, &["ann"]][choice[0]];
        let app_owners = [&["bob"], none, &["ann"]][choice[1]];
        let owners = [&["max"], none, &["ann"]][choice[2]];
        let resource_owners = [&["bob"], none][choice[3]];
        let members = [&["ann", "bob"], none, &["max"]][choice[4]];
        let account_owner = ["ann", "bob"][choice[5]];
        let delegate = ["", "ann"][choice[6]];
        let (risk, department) = (["low", "high"][choice[7]], ["Sales", "Legal"][choice[8]]);
        let directory = json!({
            "users": [
                {"id": "ann", "managerIds": managers, "department": department},
                {"id": "bob", "delegateId": delegate},
                {"id": "max"},
            ],
            "apps": [
                {"id": "db", "ownerIds": app_owners, "accounts": [{"id": "acc", "userId": account_owner}]},
                {"id": "dir"},
            ],
            "entitlements": [
                {"id": "read", "appId": "db", "ownerIds": owners, "resourceId": "prod",
                 "riskLevelValueId": risk},
                {"id": "security", "appId": "dir", "memberIds": members},
            ],
            "resources": [{"id": "prod", "appId": "db", "ownerIds": resource_owners}],
            "administratorIds": ["max"],
        });
        let mut report = Report::default();
        let given = read("countersign.v1.Directory", &directory);
        let directory = countersign::app::world::directory(&mut report, &Path::ROOT, given);
        report.finish().unwrap();
        let request = Request {
            subject_id: "ann".to_owned(),
            requester_id: ["", "bob"][choice[9]].to_owned(),
            app_id: "db".to_owned(),
            entitlement_id: "read".to_owned(),
            account_id: "acc".to_owned(),
            ..Request::default()
        };
        let at = ["2026-11-26T19:30:00Z", "2026-11-27T08:00:00Z", "2026-10-24T07:31:00Z"][choice[10]]
            .parse()
            .unwrap();
        World { directory, request, at }
    }
}

fn users(dice: &mut Dice) -> Vec<&'static str> {
    (0..dice.between(1, 2)).map(|_| dice.one_of(&PEOPLE)).collect()
}

fn source(dice: &mut Dice, which: usize, id: &str) -> Value {
    let mut fields = json!({
        "allowSelfApproval": dice.percent(50), "requireDistinctApprovers": dice.percent(35),
    });
    if dice.percent(40) && !matches!(which, 0 | 2) {
        fields["fallback"] = json!(true);
        fields["fallbackUserIds"] = json!(users(dice));
    }
    let arm = match which {
        0 => {
            fields["userIds"] = json!(users(dice));
            "users"
        }
        1 => "manager",
        2 => "appOwners",
        3 => "entitlementOwners",
        4 => "resourceOwners",
        5 => {
            fields["appId"] = json!("dir");
            fields["appGroupId"] = json!("security");
            "group"
        }
        6 => return json!({"self": {}}),
        7 => {
            let one = dice.one_of(&["appOwners", "[c1.directory.users.v1.GetByID(\"bob\")]", "subject"]);
            fields["expressions"] = json!([one]);
            "expression"
        }
        _ => return stand_in(dice, id),
    };
    json!({arm: fields})
}

/// What stands in for people.
fn stand_in(dice: &mut Dice, id: &str) -> Value {
    if dice.percent(40) {
        return json!({"webhook": {"webhookId": "w"}});
    }
    let mode = dice.one_of(&["FULL_CONTROL", "CHANGE_POLICY_ONLY", "COMMENT_ONLY"]);
    let failure = dice.one_of(&["REASSIGN_TO_USERS", "REASSIGN_TO_SUPER_ADMINS", "SKIP_POLICY_STEP"]);
    // An agent cannot choose the policy that it is part of, and one that can only choose needs something to choose from.
    let policies: &[&str] = match id {
        _ if mode == "FULL_CONTROL" && dice.percent(50) => &[],
        FIRST => &[OTHER],
        _ => &[FIRST],
    };
    json!({"agent": {
        "agentMode": format!("APPROVAL_AGENT_MODE_{mode}"), "instructions": "look", "policyIds": policies,
        "agentFailureAction": format!("APPROVAL_AGENT_FAILURE_ACTION_{failure}"), "reassignToUserIds": ["max"],
    }})
}

fn approval(dice: &mut Dice, id: &str, sources: &[usize]) -> Value {
    // People who are named are most of what there is to prove something about.
    let which = if dice.percent(45) { 0 } else { dice.one_of(sources) };
    let mut approval = source(dice, which, id);
    if dice.percent(30) {
        approval["allowReassignment"] = json!(true);
        approval["allowedReassignees"] = if dice.percent(60) { json!(users(dice)) } else { json!([]) };
    }
    if dice.percent(15) {
        approval["allowDelegation"] = json!(true);
    }
    if dice.percent(55) {
        let other = if id == FIRST { OTHER } else { FIRST };
        let mut escalation = match dice.below(6) {
            0 => json!({"replacePolicy": {"policyId": other}}),
            1 => json!({"reassignToApprovers": {"approverIds": users(dice)}}),
            2 | 3 => json!({"cancelTicket": {}}),
            _ => json!({"skipStep": {}}),
        };
        escalation["expiration"] = json!(dice.one_of(&["600", "7200"]));
        approval["escalationEnabled"] = json!(true);
        approval["escalation"] = escalation;
    }
    json!({"approval": approval})
}

fn wait(dice: &mut Dice) -> Value {
    match dice.below(6) {
        0 => json!({"wait": {"duration": {"duration": "3600s"}}}),
        1 => {
            let zone = dice.one_of(&["", "Europe/Berlin", "Antarctica/Troll"]);
            json!({"wait": {"untilTime": {"hours": 9, "minutes": 30, "timezone": zone}}})
        }
        _ => {
            let mut wait = json!({"condition": {"condition": dice.one_of(&AWAITED)}});
            if dice.percent(60) {
                wait["timeoutDuration"] = json!(dice.one_of(&["3600s", "86400s"]));
            }
            json!({"wait": wait})
        }
    }
}

fn step(dice: &mut Dice, id: &str, sources: &[usize]) -> Value {
    match dice.below(20) {
        0 | 1 => json!({"accept": {}}),
        2 => json!({"reject": {}}),
        3..7 => wait(dice),
        7 => json!({"provision": {"provisionPolicy": {"connector": {}}}}),
        8 => dice.one_of(&[
            json!({"provision": {"provisionPolicy": {"manual": {}}}}),
            json!({"form": {"form": {}}}),
            json!({"action": {"automation": {"automationTemplateId": "t"}}}),
        ]),
        _ => approval(dice, id, sources),
    }
}

fn policy(dice: &mut Dice, id: &str, sources: &[usize]) -> Value {
    let most = if id == FIRST { 3 } else { 2 };
    let mut sequence = || {
        let steps: Vec<Value> = (0..dice.between(1, most)).map(|_| step(dice, id, sources)).collect();
        json!({"steps": steps})
    };
    let sequences = json!({"grant": sequence(), "x": sequence()});
    let rules = (0..dice.below(3)).map(|_| {
        let condition = dice.one_of(&CONDITIONS);
        if id == FIRST && dice.percent(20) {
            json!({"condition": condition, "policyId": OTHER})
        } else {
            json!({"condition": condition, "stepKey": dice.one_of(&["x", "x", "grant"])})
        }
    });
    json!({"displayName": "Small", "policyType": "POLICY_TYPE_GRANT", "policySteps": sequences,
           "rules": rules.collect::<Vec<_>>()})
}
