//! Random pairs of small policies against every small world: what is said of conditions and of routing must hold in each, and what is
//! shown must happen. `COUNTERSIGN_COMPARE_CASES` sets how many pairs; each is made from its number alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign::expr::{Evaluation, compile};
use countersign::workflow::analyse::{Conditions, Exists, Relation, Stop, Witness};
use countersign::workflow::compare::{Change, Code, Direction, compare, compare_until};
use countersign::workflow::{Condition, Destination, Route, Workflow};

use crate::analyse::worlds::{Dice, condition, each_world};

const CASES: u64 = 1200;

/// A rule: its condition, and where it leads.
type Rule = (String, u64);

/// Up to four rules over up to three fields, and what has become of them.
fn pair(number: u64) -> (Vec<Rule>, Vec<Rule>, Vec<usize>) {
    let mut dice = Dice(number.wrapping_mul(7919));
    let fields: Vec<usize> = (0..=dice.roll(3)).map(|_| usize::try_from(dice.roll(7)).unwrap()).collect();
    let before: Vec<Rule> =
        (0..1 + dice.roll(4)).map(|_| (condition(&mut dice, &fields, 2), dice.roll(3))).collect();
    let mut after = before.clone();
    for _ in 0..=dice.roll(2) {
        let other = condition(&mut dice, &fields, 1);
        let at = usize::try_from(dice.roll(after.len().max(1) as u64)).unwrap();
        match dice.roll(9) {
            0 => after.insert(at.min(after.len()), (other, dice.roll(3))),
            1 if after.len() > 1 => {
                after.remove(at);
            }
            2 => after.rotate_left(1),
            3 => {
                let rule = after.remove(at);
                after.push(rule);
            }
            4 => after[at].1 = dice.roll(3),
            5 => after[at].0 = format!("({}) || ({other})", after[at].0),
            6 => after[at].0 = format!("({}) && ({other})", after[at].0),
            7 => after[at].0 = format!("!(!({}))", after[at].0),
            _ => after[at].0 = other,
        }
    }
    (before, after, fields)
}

fn workflow(rules: &[Rule]) -> Option<Workflow> {
    let mut routes = Vec::new();
    for (n, (text, to)) in rules.iter().enumerate() {
        let program = compile(countersign::expr::Environment::Condition, text).ok()?;
        routes.push(Route {
            condition: Condition::Cel(program),
            to: Destination::Policy(format!("p{to}")),
            place: format!("rules[{n}]"),
        });
    }
    Some(Workflow { routes, baseline: Destination::Policy("p0".to_owned()), ..Workflow::default() })
}

/// The rule that a path is about.
fn rule_of<'w>(workflow: &'w Workflow, path: &str) -> &'w Route {
    let digits: String = path.chars().filter(char::is_ascii_digit).collect();
    &workflow.routes[digits.parse::<usize>().unwrap()]
}

fn is_met(route: &Route, evaluation: &Evaluation<'_>) -> bool {
    let Condition::Cel(program) = &route.condition else { unreachable!() };
    program.is_met(evaluation) == Ok(true)
}

fn goes_to(workflow: &Workflow, evaluation: &Evaluation<'_>) -> Destination {
    workflow.route(evaluation).to.clone()
}

fn in_world<T>(witness: &Witness, ask: impl FnOnce(&Evaluation<'_>) -> T) -> T {
    let facts = witness.request.facts(&witness.directory, witness.at);
    ask(&Evaluation::new(&facts, &witness.directory, witness.at).unwrap())
}

/// What is shown does happen.
fn confirm(before: &Workflow, after: &Workflow, change: &Change) {
    if change.code == Code::RoutingChanged {
        let witness = change.gained.as_ref().unwrap();
        assert!(in_world(witness, |world| goes_to(before, world) != goes_to(after, world)), "{change:#?}");
        return;
    }
    let (Some(direction), false) = (change.direction, change.before_path.is_empty()) else { return };
    let gains = matches!(direction, Direction::Wider | Direction::Different);
    let loses = matches!(direction, Direction::Narrower | Direction::Different);
    if !change.before_path.ends_with(".condition") {
        return;
    }
    let (old, new) = (rule_of(before, &change.before_path), rule_of(after, &change.after_path));
    assert!(!gains || change.gained.is_some(), "{change:#?}");
    assert!(!loses || change.lost.is_some(), "{change:#?}");
    for (witness, met, unmet) in [(&change.gained, new, old), (&change.lost, old, new)] {
        let Some(witness) = witness else { continue };
        assert!(in_world(witness, |world| is_met(met, world) && !is_met(unmet, world)), "{change:#?}");
    }
}

/// What is claimed of every request holds in this world.
fn holds(
    before: &Workflow,
    after: &Workflow,
    changes: &[Change],
    world: &Evaluation<'_>,
) -> Result<(), Code> {
    let rules = changes.iter().filter(|one| one.before_path.ends_with(".condition"));
    for change in rules {
        let was = is_met(rule_of(before, &change.before_path), world);
        let is = is_met(rule_of(after, &change.after_path), world);
        let kept = is || !was;
        let known = was || !is;
        let fine = match change.direction {
            Some(Direction::Same) => kept && known,
            Some(Direction::Wider | Direction::WiderOrSame) => kept,
            Some(Direction::Narrower | Direction::NarrowerOrSame) => known,
            _ => true,
        };
        if !fine {
            return Err(change.code);
        }
    }
    let same = changes.is_empty() || changes.iter().any(|one| one.code == Code::RoutingSame);
    if same && goes_to(before, world) != goes_to(after, world) {
        return Err(Code::RoutingSame);
    }
    Ok(())
}

#[test]
fn what_is_said_of_conditions_holds_in_every_world() {
    let cases = std::env::var("COUNTERSIGN_COMPARE_CASES").map_or(CASES, |text| text.parse().unwrap());
    let (mut compared, mut unsure) = (0, 0);
    let mut seen: BTreeMap<Code, u64> = BTreeMap::new();
    for number in 0..cases {
        let (old, new, fields) = pair(number);
        let (Some(before), Some(after)) = (workflow(&old), workflow(&new)) else { continue };
        compared += 1;
        let (changes, _) = compare(&before, &after);
        assert_eq!(changes.is_empty(), old == new, "{number}: {old:#?} {new:#?} {changes:#?}");
        for change in &changes {
            *seen.entry(change.code).or_default() += 1;
            confirm(&before, &after, change);
        }
        unsure += u64::from(changes.iter().any(|one| one.code == Code::RoutingCannotTell));
        each_world(&fields, |world, choice| {
            let held = holds(&before, &after, &changes, world);
            assert!(held.is_ok(), "{number}, {choice:?}: {held:?} {old:#?} {new:#?} {changes:#?}");
        });
    }
    println!("{compared} pairs, {seen:?}");
    assert!(compared * 10 > cases * 7, "{compared} of {cases} pairs compile");
    for code in [
        Code::RuleAdded,
        Code::RuleRemoved,
        Code::RuleMoved,
        Code::RuleConditionWidened,
        Code::RuleConditionNarrowed,
        Code::RuleConditionChanged,
        Code::RuleConditionRewritten,
        Code::RuleConditionCannotTell,
        Code::RuleTargetChanged,
        Code::RoutingSame,
        Code::RoutingChanged,
    ] {
        assert!(seen.get(&code).is_some_and(|count| count * 100 > compared), "{code}: {seen:?}");
    }
    assert!(unsure * 4 < compared, "{unsure} of {compared} are not decided");
}

/// Nobody hears of a comparison that nobody waits for, and nothing is decided for it any more.
#[test]
fn a_comparison_ends_when_nobody_waits_for_it() {
    let rule = |text: &str| workflow(&[(text.to_owned(), 1)]).unwrap();
    let before = rule("subject.department == \"a\"");
    let after = rule("subject.department in [\"a\", \"b\"]");
    let flag = Arc::new(AtomicBool::new(false));
    let stop = Stop::when(Arc::clone(&flag));
    let decided = || {
        let both = [&before, &after].map(|one| &one.routes[0].condition);
        Conditions::of(both.to_vec(), &stop).relate(0, 1)
    };
    assert!(matches!(decided(), Relation { gained: Exists::Seen(_), lost: Exists::Never }));
    assert!(!compare_until(&before, &after, &stop).0.is_empty());
    flag.store(true, Ordering::Relaxed);
    assert!(matches!(decided(), Relation { gained: Exists::Unknown, lost: Exists::Unknown }));
    assert!(compare_until(&before, &after, &stop).0.is_empty());
}
