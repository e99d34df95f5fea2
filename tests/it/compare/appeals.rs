//! Random pairs of Guardian's conditions against every small appeal: what is said of them must hold for each, failures included.

use std::collections::BTreeMap;

use chrono::DateTime;
use countersign::expr::guardian::{Parameters, Place, Program, Value, compile, outcome};
use countersign::workflow::compare::{Change, Code, Direction, compare};
use countersign::workflow::{Condition, Destination, GuardianExpression, Sequence, Stage, Work, Workflow};
use serde_json::json;

use crate::analyse::worlds::Dice;

const CASES: u64 = 1500;

/// Tests that hold, do not, and fail; the last two are no bools.
const TESTS: &[&str] = &[
    "$appeal.role == \"x\"",
    "$appeal.role in [\"x\", \"y\"]",
    "$appeal.n > 1",
    "$appeal.n > 1.0",
    "$appeal.deep.key == 1",
    "true",
    "1 > 2",
    "$appeal.flag",
    "$appeal.n",
];

fn condition(dice: &mut Dice, depth: u64) -> String {
    let below = |dice: &mut Dice| condition(dice, depth - 1);
    match if depth == 0 { 0 } else { dice.roll(7) } {
        1 => format!("({} && {})", below(dice), below(dice)),
        2 => format!("({} and {})", below(dice), below(dice)),
        3 => format!("({} || {})", below(dice), below(dice)),
        4 => format!("({} or {})", below(dice), below(dice)),
        5 => format!("!({})", below(dice)),
        _ => dice.pick(TESTS).to_owned(),
    }
}

fn pair(number: u64) -> (String, String) {
    let mut dice = Dice(number.wrapping_mul(104_729));
    let (one, other) = (condition(&mut dice, 2), condition(&mut dice, 1));
    let changed = match dice.roll(8) {
        0 => format!("{one} || {other}"),
        1 => format!("{other} || {one}"),
        2 => format!("{one} && {other}"),
        3 => format!("{other} && {one}"),
        4 => format!("!(!({one}))"),
        5 => format!("({one}) and ({one})"),
        6 => format!("not ({one})"),
        _ => other,
    };
    (one, changed)
}

fn program(text: &str) -> Option<Program> {
    compile(Place::When, text).ok()
}

fn workflow(text: &str) -> Workflow {
    let program = program(text);
    let condition = Condition::Guardian(GuardianExpression {
        text: text.to_owned(),
        program: program.ok_or_else(String::new),
    });
    let stage = Stage {
        name: "one".to_owned(),
        when: Some(condition),
        may_fail: false,
        work: Work::Form,
        place: "steps[0]".to_owned(),
    };
    Workflow {
        baseline: Destination::Sequence("approval".to_owned()),
        sequences: [("approval".to_owned(), Sequence { stages: vec![stage] })].into(),
        ..Workflow::default()
    }
}

fn appeals() -> Vec<Parameters> {
    let mut all = vec![Parameters::new(DateTime::UNIX_EPOCH)];
    for role in [json!("x"), json!("y"), json!("z"), json!(null), json!(3)] {
        for n in [json!(0), json!(2), json!("2"), json!(null), json!(true)] {
            for flag in [json!(true), json!(false), json!(0), json!("a"), json!(null)] {
                for deep in [json!({"key": 1}), json!({}), json!(null)] {
                    let appeal = json!({"role": role, "n": n, "flag": flag, "deep": deep});
                    let appeal = Value::from_json(&appeal).unwrap();
                    all.push(Parameters::new(DateTime::UNIX_EPOCH).with("appeal", appeal));
                }
            }
        }
    }
    all
}

/// Yes, no, or `None` if it fails.
fn says(program: Option<&Program>, appeal: &Parameters) -> Option<bool> {
    outcome::is_truthy(&program?.evaluate(appeal).ok()?).ok()
}

#[test]
fn what_is_said_of_guardians_conditions_holds_for_every_appeal() {
    let appeals = appeals();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..CASES {
        let (old, new) = pair(number);
        let (changes, _) = compare(&workflow(&old), &workflow(&new));
        let [Change { code: Code::WhenChanged, direction: Some(direction), .. }] = changes.as_slice() else {
            assert!(changes.is_empty() && old == new, "{old} {new} {changes:?}");
            continue;
        };
        *seen.entry(format!("{direction:?}")).or_default() += 1;
        let (before, after) = (program(&old), program(&new));
        for appeal in &appeals {
            let (was, is) = (says(before.as_ref(), appeal), says(after.as_ref(), appeal));
            let holds = match direction {
                Direction::Same => was == is,
                Direction::WiderOrSame => was != Some(true) || is == Some(true),
                Direction::NarrowerOrSame => is != Some(true) || was == Some(true),
                Direction::Unknown => true,
                other => panic!("{other:?} takes a request that shows it"),
            };
            assert!(holds, "{old} became {new}: {direction:?}, and {was:?} became {is:?} for {appeal:?}");
        }
    }
    println!("{seen:?}");
    for direction in ["Same", "WiderOrSame", "NarrowerOrSame", "Unknown"] {
        assert!(seen.get(direction).is_some_and(|count| *count > CASES / 50), "{direction}: {seen:?}");
    }
}
