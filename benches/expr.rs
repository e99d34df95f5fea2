//! What one condition costs, and routing over sixteen of them, beside two floors measured in the same run: the same
//! condition written in Rust, and bare `cel` on variables that are bound already.
//!
//! `cargo bench --bench expr`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking and prints its figures"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use chrono::DateTime;
use countersign::expr::{
    EmptyDirectory, Entitlement, Environment, Evaluation, Facts, Program, User, compile,
};

const CONDITION: &str =
    r#"subject.department == "Eng" && entitlement.risk_level_value_id in ["high","critical"]"#;
const TURNS: u32 = 200_000;

/// Nanoseconds of one turn: the least of five runs, so that the noise of the machine counts least.
fn measure<T>(mut turn: impl FnMut() -> T) -> f64 {
    let run = |turn: &mut dyn FnMut() -> T| {
        let start = Instant::now();
        for _ in 0..TURNS {
            black_box(turn());
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(TURNS)
    };
    (0..5).map(|_| run(&mut turn)).fold(f64::INFINITY, f64::min)
}

fn facts() -> Facts {
    Facts {
        subject: Arc::new(User { department: "Eng".to_owned(), ..User::default() }),
        entitlement: Arc::new(Entitlement {
            risk_level_value_id: "critical".to_owned(),
            ..Entitlement::default()
        }),
        ..Facts::default()
    }
}

fn by_hand(facts: &Facts) -> bool {
    facts.subject.department == "Eng"
        && ["high", "critical"].contains(&facts.entitlement.risk_level_value_id.as_str())
}

/// Fifteen rules that do not match and one that does.
fn rules() -> Vec<Program> {
    let rule = |index: usize| {
        let department = if index == 15 { "Eng".to_owned() } else { format!("Eng{index}") };
        compile(Environment::Condition, &CONDITION.replace("\"Eng\"", &format!("\"{department}\""))).unwrap()
    };
    (0..16).map(rule).collect()
}

fn bare_cel() -> f64 {
    let program = cel::Program::compile(CONDITION).unwrap();
    let mut context = cel::Context::default();
    let map = |key: &str, value: &str| std::collections::HashMap::from([(key.to_owned(), value.to_owned())]);
    context.add_variable_from_value("subject", map("department", "Eng"));
    context.add_variable_from_value("entitlement", map("risk_level_value_id", "critical"));
    measure(|| program.execute(black_box(&context)).unwrap())
}

fn main() {
    let (facts, now) = (facts(), DateTime::from_timestamp(1_772_530_200, 0).unwrap());
    let program = compile(Environment::Condition, CONDITION).unwrap();
    let rules = rules();
    let evaluation = Evaluation::new(&facts, &EmptyDirectory, now).unwrap();
    let route = |evaluation: &Evaluation<'_>| rules.iter().position(|rule| rule.is_met(evaluation).unwrap());
    assert_eq!(program.is_met(&evaluation), Ok(true));
    assert_eq!(route(&evaluation), Some(15));

    let rows = [
        ("evaluate one condition, facts bound", measure(|| program.is_met(black_box(&evaluation)))),
        ("  floor: the condition in Rust", measure(|| by_hand(black_box(&facts)))),
        ("  beside: bare cel, variables bound", bare_cel()),
        (
            "bind the facts and evaluate one condition",
            measure(|| {
                let evaluation = Evaluation::new(black_box(&facts), &EmptyDirectory, now).unwrap();
                program.is_met(&evaluation)
            }),
        ),
        (
            "bind the facts and route over 16 rules",
            measure(|| {
                let evaluation = Evaluation::new(black_box(&facts), &EmptyDirectory, now).unwrap();
                route(&evaluation)
            }),
        ),
        ("route over 16 rules, facts bound", measure(|| route(black_box(&evaluation)))),
    ];
    for (what, nanos) in rows {
        println!("{what:<45} {nanos:>9.0} ns");
    }
    let start = Instant::now();
    for _ in 0..200 {
        black_box(compile(Environment::Condition, black_box(CONDITION)).unwrap());
    }
    println!("{:<45} {:>9.0} ns", "compile", start.elapsed().as_secs_f64() * 1e9 / 200.0);
}
