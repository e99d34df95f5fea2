//! What a simulation costs: 100,000 requests against one compiled policy with five stages, in process and on one core, beside a
//! floor measured in the same run: the facts of each request bound, and the rules that it comes past tried, with nothing run.
//!
//! `cargo bench --bench simulate`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking and prints its figures"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use countersign::expr::{Entitlement, Evaluation, User, UserStatus};
use countersign::pb;
use countersign::pb::c1::api::policy::v1::Policy;
use countersign::policy::c1::{Surroundings, compile, prepare};
use countersign::wire::Schema;
use countersign::wire::json::{self, Reading};
use countersign::workflow::run::{
    Decision, Happening, Machine, Policies, Policy as Snapshot, Verdict, simulate,
};
use countersign::workflow::world::{App, Directory, EntitlementInfo, Person, Request};
use prost::Message;

/// How many requests one run simulates.
const REQUESTS: usize = 100_000;
/// How many people are in the directory.
const PEOPLE: usize = 1000;
/// What a run may take.
const AIM_SECONDS: f64 = 5.0;

const POLICY: &str = include_str!("data/five-stages.json");

fn policies() -> Policies {
    let ty = Schema::new(pb::pool()).message("c1.api.policy.v1.Policy").unwrap();
    let mut bytes = Vec::new();
    json::decode(&ty, POLICY.as_bytes(), &Reading::default(), &mut bytes).unwrap();
    let mut policy = Policy::decode(bytes.as_slice()).unwrap();
    prepare(&mut policy);
    let workflow = Arc::new(compile(&policy, Surroundings::default()).unwrap().workflow);
    let first = "p".to_owned();
    Policies { by_id: BTreeMap::from([(first.clone(), Snapshot { revision: 1, workflow })]), first }
}

fn directory() -> Directory {
    let people = (0..PEOPLE).map(|n| {
        let user = User {
            id: format!("u{n}"),
            email: format!("u{n}@corp.example"),
            department: "Engineering".to_owned(),
            status: UserStatus::Enabled,
            ..User::default()
        };
        Person { user: Arc::new(user), managers: vec![format!("u{}", n / 10 + 3)], ..Person::default() }
    });
    let entitlement = Entitlement {
        id: "e".to_owned(),
        app_id: "app".to_owned(),
        risk_level_value_id: "high".to_owned(),
        ..Entitlement::default()
    };
    let info = EntitlementInfo {
        entitlement: Arc::new(entitlement),
        owners: vec!["u500".to_owned()],
        ..EntitlementInfo::default()
    };
    let app = App { id: "app".to_owned(), owners: vec!["u600".to_owned()], ..App::default() };
    Directory::new(people.collect(), vec![app], vec![info], Vec::new(), Vec::new(), Vec::new())
}

fn request(n: usize) -> Request {
    Request {
        subject_id: format!("u{}", 200 + n % 200),
        app_id: "app".to_owned(),
        entitlement_id: "e".to_owned(),
        ..Request::default()
    }
}

/// Every approver decides after an hour.
fn happenings(n: usize) -> Vec<(TimeDelta, Happening)> {
    let manager = (200 + n % 200) / 10 + 3;
    let approves = |user: usize| {
        Happening::Decided(Decision {
            actor: format!("u{user}"),
            verdict: Verdict::Approve,
            ..Decision::default()
        })
    };
    [approves(manager), approves(500), Happening::TimePassed, approves(600)]
        .map(|what| (TimeDelta::hours(1), what))
        .to_vec()
}

fn main() {
    let (policies, directory) = (policies(), directory());
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let timed = |name: &str, turn: &dyn Fn(usize)| {
        let begin = Instant::now();
        (0..REQUESTS).for_each(turn);
        let seconds = begin.elapsed().as_secs_f64();
        println!("{name:<52} {seconds:>7.2} s for {REQUESTS}");
        seconds
    };
    let workflow = &policies.by_id.get("p").unwrap().workflow;
    let floor = timed("floor: facts bound and rules tried", &|n| {
        let facts = request(n).facts(&directory, start);
        let evaluation = Evaluation::new(&facts, &directory, start).unwrap();
        black_box(workflow.route(&evaluation));
    });
    let waiting = timed("simulated, nobody answers", &|n| {
        let request = request(n);
        black_box(simulate(&Machine::new(&policies, &directory, &request), start, &[], true));
    });
    let decided = timed("simulated, five stages decided", &|n| {
        let request = request(n);
        let machine = Machine::new(&policies, &directory, &request);
        let trace = simulate(&machine, start, &happenings(n), true);
        assert_eq!(trace.outcome.word(), "granted");
        black_box(trace);
    });
    println!("times the floor: {:.1} and {:.1}; aim {AIM_SECONDS} s each", waiting / floor, decided / floor);
}
