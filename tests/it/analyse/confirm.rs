//! What a finding shows by a witness happens when the witness is simulated, by the service that anybody can ask: for the
//! goldens, and for policies made by chance.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign::app::{SystemClock, world};
use countersign::expr::{Environment, Evaluation, Outcome, compile};
use countersign::pb::countersign::v1 as pb;
use countersign::policy::{Path, Report};
use countersign::workflow::Nobody;
use countersign::workflow::analyse::Code;
use serde_json::{Value, json};

use super::post;
use super::runs::INVARIANTS;
use super::small::{Case, FIRST, OTHER};
use crate::differential::{guardian, read};
use crate::harness::{Server, is_empty, settings};

const CASES: u64 = 90;
const APPEAL_CASES: u64 = 300;

/// Findings that say what never happens, or what a policy says by itself: there is nothing to show.
const WITHOUT_WITNESS: [Code; 10] = [
    Code::RuleNeverMatches,
    Code::RuleShadowed,
    Code::RuleAfterAlwaysTrue,
    Code::SequenceUnreached,
    Code::BaselineNeverUsed,
    Code::StepUnreached,
    Code::StepNeverRuns,
    Code::DecisionTime,
    Code::InvariantProved,
    Code::CannotTell,
];

/// Findings about Guardian's policies alone, whose conditions are not reasoned about: no appeal that is tried need come to the step.
const OF_GUARDIAN: [&str; 2] = ["STAGE_NEVER_BEGUN", "ALWAYS_REJECTED"];

/// Simulates the witness of a finding and looks whether it happens.
pub async fn confirm(server: &Server, name: &str, policy: &Value, invariants: &Value, finding: &Value) {
    let code = finding["code"].as_str().unwrap();
    if WITHOUT_WITNESS.iter().any(|one| one.as_str() == code) {
        assert!(finding["witness"].is_null(), "{name}: {finding}");
        return;
    }
    // A wait whose condition holds for every request so far may still be one that somebody waits in later.
    let may_be_missing = ["WAIT_WITHOUT_TIMEOUT", "WAIT_NEVER_ENDS", "ESCALATION_TO_SAME_PEOPLE"];
    if finding["witness"].is_null() {
        assert!(
            may_be_missing.iter().chain(&OF_GUARDIAN).any(|one| *one == code),
            "{name}: nothing shows {finding}"
        );
        return;
    }
    let mut body = finding["witness"].clone();
    body["policy"] = policy.clone();
    let (status, answer) = post(server, "/v1/policies:simulate", &body).await;
    assert_eq!(status, 200, "{name} {code}: {answer}");
    let shown = Shown { name, finding, trace: &answer["trace"] };
    assert_eq!(refused(shown.trace), [""; 0], "{name} {code}: what the witness does is not allowed");
    if code == "INVARIANT_REFUTED" {
        shown.invariant_is_broken(server, policy, invariants).await;
    } else {
        shown.happens(code);
    }
}

/// Why things that happen in a trace were not allowed.
fn refused(trace: &Value) -> Vec<&str> {
    let timeline = trace["timeline"].as_array().unwrap().iter();
    timeline.filter(|one| one["kind"] == "refused").map(|one| one["text"].as_str().unwrap()).collect()
}

/// The policy whose sequence the request came to first.
fn came_to(trace: &Value) -> &Value {
    let mut route = trace["route"].as_array().unwrap().iter();
    route.find(|hop| !is_empty(&hop["stepKey"])).unwrap()
}

struct Shown<'a> {
    name: &'a str,
    finding: &'a Value,
    trace: &'a Value,
}

impl Shown<'_> {
    fn stages(&self) -> &[Value] {
        self.trace["stages"].as_array().unwrap()
    }

    /// Who approved, stage by stage: people.
    fn approved_by(&self) -> Vec<&str> {
        let passed =
            self.stages().iter().filter(|stage| stage["state"] == "passed" || stage["state"] == "approved");
        let by = passed.map(|stage| stage["decidedBy"].as_str().unwrap());
        by.filter(|by| !by.is_empty() && !by.starts_with("webhook ") && *by != "agent").collect()
    }

    /// The field path that the finding is about, in the policy that has it.
    fn path(&self) -> &str {
        let (path, related) = (self.finding["path"].as_str().unwrap(), &self.finding["related"]);
        if !path.to_lowercase().ends_with("policyid") {
            return path;
        }
        // What is said of another policy names it, and stands at the reference to it.
        assert_eq!(came_to(self.trace)["policyId"], related[0], "{}: {}", self.name, self.trace);
        related[1].as_str().unwrap()
    }

    fn happens(&self, code: &str) {
        let (name, finding, trace) = (self.name, self.finding, self.trace);
        let kind = trace["outcome"]["kind"].as_str().unwrap();
        let ending = trace["idle"]["ending"].as_str().unwrap();
        let last = self.stages().last();
        match code {
            "RULES_OVERLAP" => {
                let rule = finding["related"][0].as_str().unwrap();
                let index = trace["route"][0]["ruleIndex"].as_u64().unwrap_or(0);
                assert_eq!(rule, format!("rules[{index}]"), "{name}: {trace}");
            }
            "APPROVAL_CAN_BLOCK" => {
                assert_eq!(kind, "OUTCOME_KIND_BLOCKED", "{name}: {trace}");
                assert_eq!(ending, "ENDING_WAITS_FOR_EVER", "{name}: {trace}");
                assert_eq!(last.unwrap()["path"], self.path(), "{name}");
            }
            "WAIT_WITHOUT_TIMEOUT" | "WAIT_NEVER_ENDS" => {
                let path = format!("{}.wait.condition", last.unwrap()["path"].as_str().unwrap());
                assert_eq!(self.path(), path, "{name}: {trace}");
                let timed_out = kind == "OUTCOME_KIND_WAIT_TIMED_OUT" && code == "WAIT_NEVER_ENDS";
                assert!(timed_out || ending == "ENDING_WAITS_FOR_EVER", "{name}: {trace}");
            }
            "ESCALATION_TO_SAME_PEOPLE" => {
                let timeline = trace["timeline"].as_array().unwrap().iter();
                let asked =
                    timeline.filter(|one| one["kind"] == "asked").map(|one| one["text"].as_str().unwrap());
                let asked: Vec<Vec<&str>> =
                    asked.map(|text| text.trim_start_matches("asks ").split(", ").collect()).collect();
                let [.., before, after] = asked.as_slice() else { panic!("{name}: {trace}") };
                assert!(after.iter().all(|one| before.contains(one)), "{name}: {trace}");
                let escalated = self.stages().iter().rfind(|one| one["escalation"]["done"] == true).unwrap();
                let path = format!("{}.approval.escalation", escalated["path"].as_str().unwrap());
                assert_eq!(self.path(), path, "{name}: {trace}");
            }
            // Where conditions ask for the time it is followed until the machine goes no further.
            "ESCALATION_CYCLE" => {
                let to_the_limit = [&trace["idle"], &trace["outcome"]]
                    .iter()
                    .any(|one| one.to_string().contains("took over"));
                assert!(ending == "ENDING_REPEATS" || to_the_limit, "{name}: {trace}");
            }
            "DECISION_UNBOUNDED" => assert_ne!(ending, "ENDING_ENDS", "{name}: {trace}"),
            "GRANTED_AUTOMATICALLY" => {
                assert_eq!(kind, "OUTCOME_KIND_GRANTED", "{name}: {trace}");
                assert_eq!(self.approved_by(), [""; 0], "{name}: {trace}");
            }
            "SELF_APPROVAL" | "SINGLE_APPROVER" => self.decided_by_one(code, kind),
            "STAGE_NEVER_BEGUN" => {
                assert_eq!(kind, "OUTCOME_KIND_BLOCKED", "{name}: {trace}");
                assert_eq!(ending, "ENDING_WAITS_FOR_EVER", "{name}: {trace}");
                let is_idle = |stage: &Value| stage["state"] == "blocked" || stage["state"] == "skipped";
                assert!(self.stages().iter().all(is_idle), "{name}: {trace}");
            }
            "ALWAYS_REJECTED" => {
                assert_eq!(kind, "OUTCOME_KIND_DENIED", "{name}: {trace}");
                let mut rejected = self.stages().iter().filter(|stage| stage["state"] == "rejected");
                let path = |stage: &Value| format!("{}.approve_if", stage["path"].as_str().unwrap());
                assert!(rejected.any(|stage| finding["path"] == path(stage)), "{name}: {trace}");
            }
            other => panic!("{name}: {other} has a witness"),
        }
    }

    fn decided_by_one(&self, code: &str, kind: &str) {
        let (name, finding, trace) = (self.name, self.finding, self.trace);
        assert_eq!(kind, "OUTCOME_KIND_GRANTED", "{name}: {trace}");
        let approved_by = self.approved_by();
        let who = approved_by[0];
        assert!(approved_by.iter().all(|one| *one == who), "{name}: {trace}");
        let appeal = &finding["witness"]["request"]["appeal"]["appeal"]["created_by"];
        let own = if appeal.is_null() { &finding["witness"]["request"]["subjectId"] } else { appeal };
        assert_eq!(own == who, code == "SELF_APPROVAL", "{name}: {trace}");
        assert!(code == "SELF_APPROVAL" || approved_by.len() > 1, "{name}: {trace}");
    }

    /// What became of the witness's request, put into what the operator states.
    async fn invariant_is_broken(&self, server: &Server, policy: &Value, invariants: &Value) {
        let name = self.finding["invariant"].as_str().unwrap();
        let stated = invariants.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        let program = compile(Environment::Invariant, stated["expression"].as_str().unwrap()).unwrap();
        let witness = &self.finding["witness"];
        let mut report = Report::default();
        let given: pb::Directory = read("countersign.v1.Directory", &witness["directory"]);
        let directory = world::directory(&mut report, &Path::ROOT, given);
        let given: pb::Request = read("countersign.v1.Request", &witness["request"]);
        let (request, _) = world::request(&mut report, &Path::ROOT, &given, &directory);
        report.finish().unwrap();
        let at = witness["at"].as_str().unwrap().parse().unwrap();
        // Whether it is ever decided if nobody does anything at all.
        let alone = json!({
            "policy": policy, "request": witness["request"], "directory": witness["directory"], "at": witness["at"],
        });
        let (_, alone) = post(server, "/v1/policies:simulate", &alone).await;
        let approved_by = self.approved_by();
        let mut people = approved_by.clone();
        people.sort_unstable();
        people.dedup();
        let kind = self.trace["outcome"]["kind"].as_str().unwrap();
        let granted = kind == "OUTCOME_KIND_GRANTED";
        let outcome = Outcome {
            granted,
            denied: kind == "OUTCOME_KIND_DENIED",
            automatic: granted && people.is_empty(),
            unbounded: alone["trace"]["idle"]["ending"] != "ENDING_ENDS",
            self_approved: people.contains(&request.subject_id.as_str()),
            approvals: u32::try_from(approved_by.len()).unwrap(),
            distinct_approvers: u32::try_from(people.len()).unwrap(),
        };
        let facts = request.facts(&directory, at);
        let evaluation = Evaluation::new(&facts, &directory, at).unwrap().with_outcome(outcome.clone());
        assert_eq!(program.is_met(&evaluation), Ok(false), "{}: {name} holds for {outcome:?}", self.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn witnesses_of_policies_made_by_chance_happen() {
    let cases = std::env::var("COUNTERSIGN_ANALYSE_WITNESSES").map_or(CASES, |text| text.parse().unwrap());
    let mut servers = Vec::new();
    for nobody in ["block", "skip", "deny"] {
        // However busy the machine is: what is asked here is what comes out, and not when.
        let chosen = settings("memory:", &[("empty-approvers", nobody), ("request-deadline", "60s")]);
        servers.push(Server::with(&chosen, Arc::new(SystemClock::default())).await);
    }
    let invariants: Vec<Value> =
        INVARIANTS.iter().map(|text| json!({"name": text, "expression": text})).collect();
    let invariants = json!(invariants);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..cases {
        let case = Case::of(number);
        let server = &servers[match case.nobody {
            Nobody::Skip => 1,
            Nobody::Deny => 2,
            _ => 0,
        }];
        let (mut first, mut other) = (case.first.clone(), case.other.clone());
        (first["id"], other["id"]) = (json!(FIRST), json!(OTHER));
        let policy = json!({"inline": first, "others": [other]});
        let body = json!({"policy": policy, "invariants": invariants});
        let (status, answer) = post(server, "/v1/policies:analyze", &body).await;
        if status == 400 {
            assert!(case.policies().is_none(), "{number}: {answer}");
            continue;
        }
        assert_eq!(status, 200, "{number}: {answer}");
        for finding in answer["analyses"][0]["findings"].as_array().unwrap() {
            confirm(server, &format!("policy {number}"), &policy, &invariants, finding).await;
            let shown = if finding["witness"].is_null() { "" } else { " shown" };
            *seen.entry(format!("{}{shown}", finding["code"].as_str().unwrap())).or_default() += 1;
        }
    }
    println!("{seen:?}");
    let missing: Vec<&str> = Code::ALL
        .iter()
        .map(|code| code.as_str())
        .filter(|code| !OF_GUARDIAN.contains(code))
        .filter(|code| !seen.contains_key(&format!("{code} shown")))
        .filter(|code| !WITHOUT_WITNESS.iter().any(|one| one.as_str() == *code))
        .collect();
    assert!(missing.is_empty() || cases < CASES, "{missing:?} never shown: {seen:?}");
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn witnesses_of_appeals_made_by_chance_happen() {
    let server = Server::start().await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..APPEAL_CASES {
        let policy = json!({"guardianInline": guardian::document(&guardian::policy(number))});
        let (status, answer) = post(&server, "/v1/policies:analyze", &json!({"policy": policy})).await;
        assert_eq!(status, 200, "{number}: {answer}");
        for finding in answer["analyses"][0]["findings"].as_array().unwrap() {
            confirm(&server, &format!("policy {number}"), &policy, &Value::Null, finding).await;
            let shown = if finding["witness"].is_null() { "" } else { " shown" };
            *seen.entry(format!("{}{shown}", finding["code"].as_str().unwrap())).or_default() += 1;
        }
    }
    println!("{seen:?}");
    let mut shown = ["SELF_APPROVAL", "SINGLE_APPROVER"].iter().chain(&OF_GUARDIAN);
    assert!(shown.all(|code| seen.contains_key(&format!("{code} shown"))), "{seen:?}");
    server.stop().await;
}
