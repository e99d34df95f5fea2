//! What the analysis of a policy of 128 rules costs, beside compiling the conditions of the same policy.
//!
//! `cargo bench --bench analyze`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking and prints its figures"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use countersign::expr::{Environment, Program, compile};
use countersign::workflow::analyse::analyse;
use countersign::workflow::run::{Policies, Policy};
use countersign::workflow::{Condition, Destination, Route, Sequence, Stage, Work, Workflow};

const RULES: usize = 128;

/// Conditions as people write them: a department, a level of risk, a prefix, a length of time.
fn conditions() -> Vec<String> {
    let one = |n: usize| match n % 4 {
        0 => format!(
            r#"subject.department == "dept-{n}" && entitlement.risk_level_value_id in ["high", "critical"]"#
        ),
        1 => format!(r#"subject.email.endsWith("@unit{n}.example.com") || subject.jobTitle == "Lead {n}""#),
        2 => format!(
            r#"task.grantDuration > duration("{n}h") && !task.isGrantPermanent && subject.department != "dept-{}""#,
            n - 2
        ),
        _ => format!(r#"entitlement.id.startsWith("app-{n}-") && has(subject.profile.training)"#),
    };
    (0..RULES).map(one).collect()
}

fn compiled(conditions: &[String]) -> Vec<Program> {
    conditions.iter().map(|text| compile(Environment::Condition, text).unwrap()).collect()
}

fn policies(programs: Vec<Program>) -> Policies {
    let sequence = |key: &str| {
        let work = Work::Accept { message: String::new() };
        let place = format!("policySteps.{key}.steps[0]");
        Sequence { stages: vec![Stage { name: String::new(), when: None, may_fail: false, work, place }] }
    };
    let keys = ["grant", "a", "b", "c"];
    let sequences: BTreeMap<String, Sequence> =
        keys.iter().map(|key| ((*key).to_owned(), sequence(key))).collect();
    let routes = programs.into_iter().enumerate().map(|(n, program)| Route {
        condition: Condition::Cel(program),
        to: Destination::Sequence(keys[n % 4].to_owned()),
        place: format!("rules[{n}]"),
    });
    let baseline = Destination::Sequence("grant".to_owned());
    let workflow = Workflow { routes: routes.collect(), baseline, sequences, ..Workflow::default() };
    let policy = Policy { revision: 0, workflow: Arc::new(workflow) };
    Policies { first: "p".to_owned(), by_id: [("p".to_owned(), policy)].into() }
}

/// Milliseconds of one turn: the least of seven runs, so that the noise of the machine counts least.
fn measure<T>(mut turn: impl FnMut() -> T) -> f64 {
    let run = |turn: &mut dyn FnMut() -> T| {
        let start = Instant::now();
        black_box(turn());
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..7).map(|_| run(&mut turn)).fold(f64::INFINITY, f64::min)
}

fn main() {
    let texts = conditions();
    let policies = policies(compiled(&texts));
    let found = analyse(&policies, &[]).len();
    println!(
        "{:<52} {:>9.1} ms",
        format!("analyse {RULES} rules ({found} findings)"),
        measure(|| analyse(&policies, &[]))
    );
    println!("{:<52} {:>9.1} ms", "  floor: compile their conditions", measure(|| compiled(&texts)));
}
