//! Random small policies against every small world: what the analysis says of all requests must hold for each, and what it
//! shows must happen. `COUNTERSIGN_ANALYSE_CASES` sets how many policies; each is made from its number alone.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use countersign::expr::{
    AppUser, Directory, DirectoryError, Environment, Evaluation, Facts, Json, Task, User, UserStatus, compile,
};
use countersign::workflow::analyse::{Code, Finding, analyse};
use countersign::workflow::run::{Policies, Policy};
use countersign::workflow::{Condition, Destination, Route, Workflow};

const CASES: u64 = 4000;

/// A sequence of numbers that looks random and is the same on every machine.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }
}

/// The tests of each field, and how many values of it are tried.
const FIELDS: [(&[&str], usize); 7] = [
    (
        &[
            r#"subject.department == "a""#,
            r#"subject.department != "ab""#,
            r#"subject.department in ["a", "b"]"#,
            r#"subject.department.startsWith("a")"#,
            r#"subject.department.startsWith("ab")"#,
            r#"subject.department.endsWith("b")"#,
            r#"subject.department.contains("a")"#,
            r#"subject.department.contains("ab")"#,
            r#"subject.department.matches("^a.?$")"#,
            r#"size(subject.department) > 1"#,
            r#"size(subject.department) >= 2"#,
            r#"subject.department.size() < 0"#,
            r#"has(subject.department)"#,
            r#""a" == subject.department"#,
            r#"subject.department == subject.jobTitle"#,
            r#"subject.department.lowerAscii() == "a""#,
        ],
        9,
    ),
    (
        &[
            "subject.status == UserStatus.ENABLED",
            "subject.status in [UserStatus.ENABLED, UserStatus.DISABLED]",
            "subject.status != UserStatus.DELETED",
            "has(subject.status)",
        ],
        4,
    ),
    (&["task.isGrantPermanent", "task.isGrantPermanent == false", "!task.isGrantPermanent"], 2),
    (
        &[
            r#"task.grantDuration < duration("1h")"#,
            r#"task.grantDuration <= duration("1h")"#,
            r#"task.grantDuration > duration("2h")"#,
            r#"duration("2h") >= task.grantDuration"#,
            r#"task.grantDuration == duration("1h")"#,
            "has(task.grantDuration)",
        ],
        6,
    ),
    (
        &[
            r#"subject.attributes.level == "a""#,
            "subject.attributes.level == 1.0",
            "subject.attributes.level == 1",
            "subject.attributes.level > 2.0",
            "subject.attributes.level <= 2",
            "has(subject.attributes.level)",
            r#"subject.attributes.level.startsWith("a")"#,
            r#"subject.attributes.level in ["a", "b"]"#,
            "subject.attributes.level == true",
            "subject.attributes.level == null",
            "has(subject.attributes.level.deep)",
            "subject.attributes.level.deep == 1.0",
            r#"subject.attributes["level"] != "a""#,
            "subject.attributes.level",
        ],
        11,
    ),
    (&[r#"c1.user.v1.HasApp(subject, "x")"#, r#"c1.user.v1.hasApp(subject, "x") == false"#], 3),
    (
        &[
            r#"task.createdAt < timestamp("2026-01-01T00:00:00Z")"#,
            r#"task.createdAt >= timestamp("2026-01-01T00:00:00Z")"#,
            r#"task.createdAt > timestamp("2026-06-01T00:00:00Z")"#,
            r#"now() < timestamp("2026-01-01T00:00:00Z")"#,
        ],
        4,
    ),
];

pub fn condition(dice: &mut Dice, fields: &[usize], depth: u64) -> String {
    let below = |dice: &mut Dice| condition(dice, fields, depth - 1);
    match if depth == 0 { 0 } else { dice.roll(8) } {
        1 | 2 => format!("({} && {})", below(dice), below(dice)),
        3 | 4 => format!("({} || {})", below(dice), below(dice)),
        5 => format!("!({})", below(dice)),
        6 => format!("({} ? {} : {})", below(dice), below(dice), below(dice)),
        7 if dice.roll(6) == 0 => dice.pick(&["true", "false", "1 / 0 == 1"]).to_owned(),
        _ => {
            let field = fields[usize::try_from(dice.roll(fields.len() as u64)).unwrap()];
            dice.pick(FIELDS[field].0).to_owned()
        }
    }
}

/// A policy of up to five rules over up to three fields.
fn policy(number: u64) -> (Vec<String>, Vec<usize>) {
    let mut dice = Dice(number);
    let fields: Vec<usize> = (0..=dice.roll(3)).map(|_| usize::try_from(dice.roll(7)).unwrap()).collect();
    let rules = (0..2 + dice.roll(4)).map(|_| condition(&mut dice, &fields, 3)).collect();
    (rules, fields)
}

fn workflow(rules: &[String]) -> Option<Workflow> {
    let mut routes = Vec::new();
    for (n, text) in rules.iter().enumerate() {
        let program = compile(Environment::Condition, text).ok()?;
        routes.push(Route {
            condition: Condition::Cel(program),
            to: Destination::Policy(format!("p{n}")),
            place: format!("rules[{n}]"),
        });
    }
    Some(Workflow { routes, baseline: Destination::Policy("baseline".to_owned()), ..Workflow::default() })
}

/// A policy that leads nowhere else.
fn alone(workflow: Workflow) -> Policies {
    let policy = Policy { revision: 0, workflow: Arc::new(workflow) };
    Policies { first: String::new(), by_id: [(String::new(), policy)].into() }
}

/// Whether the directory knows that somebody has an app: yes, no, or it fails.
#[derive(Debug)]
struct Apps(usize);

impl Directory for Apps {
    fn app_users(&self, _: &str, _: &str) -> Result<Vec<Arc<AppUser>>, DirectoryError> {
        match self.0 {
            0 => Ok(vec![Arc::default()]),
            1 => Ok(Vec::new()),
            _ => Err(DirectoryError { message: "down".to_owned() }),
        }
    }
}

/// Calls `with` for every combination of values of the fields.
pub fn each_world(fields: &[usize], mut with: impl FnMut(&Evaluation<'_>, &[usize])) {
    let mut used: Vec<usize> = fields.to_vec();
    used.sort_unstable();
    used.dedup();
    let mut choice = vec![0; FIELDS.len()];
    loop {
        let (facts, directory, now) = world(&choice);
        with(&Evaluation::new(&facts, &directory, now).unwrap(), &choice);
        let Some(next) = used.iter().find(|field| choice[**field] + 1 < FIELDS[**field].1) else { return };
        choice[*next] += 1;
        for field in used.iter().take_while(|field| *field != next) {
            choice[*field] = 0;
        }
    }
}

fn world(choice: &[usize]) -> (Facts, Apps, DateTime<Utc>) {
    let department = ["a", "ab", "b", "", "zz", "axb", "aab", "xaby", "A"][choice[0]];
    let status = [UserStatus::Unspecified, UserStatus::Enabled, UserStatus::Disabled, UserStatus::Deleted];
    let hours = [None, Some(0.5), Some(1.0), Some(1.5), Some(2.0), Some(3.0)][choice[3]];
    let level = match choice[4] {
        0 => None,
        1 => Some(Json::Null),
        2 => Some(Json::Bool(true)),
        3 => Some(Json::Bool(false)),
        4 => Some(Json::Number(1.0)),
        5 => Some(Json::Number(2.0)),
        6 => Some(Json::Number(3.0)),
        7 => Some(Json::String("a".to_owned())),
        8 => Some(Json::String("c".to_owned())),
        9 => Some(Json::Map([("deep".to_owned(), Json::Number(1.0))].into())),
        _ => Some(Json::List(Vec::new())),
    };
    let day =
        ["2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-07-01T00:00:00Z"];
    let day: DateTime<Utc> = day[choice[6]].parse().unwrap();
    let subject = User {
        department: department.to_owned(),
        job_title: "a".to_owned(),
        status: status[choice[1]],
        attributes: level.map(|level| ("level".to_owned(), level)).into_iter().collect(),
        ..User::default()
    };
    #[allow(clippy::cast_possible_truncation, reason = "half hours")]
    let task = Task {
        is_grant_permanent: choice[2] == 1,
        grant_duration: hours.map(|hours| TimeDelta::minutes((hours * 60.0) as i64)),
        created_at: Some(day),
        ..Task::default()
    };
    let facts = Facts { subject: Arc::new(subject), task: Arc::new(task), ..Facts::default() };
    (facts, Apps(choice[5]), day)
}

pub fn rule_of(finding: &Finding) -> usize {
    let digits: String = finding.path.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn what_never_happens_happens_in_no_world() {
    let cases = std::env::var("COUNTERSIGN_ANALYSE_CASES").map_or(CASES, |text| text.parse().unwrap());
    let (mut nevers, mut shown, mut missed, mut policies) = (0_usize, 0_usize, 0_usize, 0_usize);
    for number in 0..cases {
        let (rules, fields) = policy(number);
        let Some(workflow) = workflow(&rules) else { continue };
        policies += 1;
        let findings = analyse(&alone(workflow.clone()), &[]);
        let mut dead = vec![false; rules.len() + 1];
        for finding in &findings {
            match finding.code {
                Code::RuleNeverMatches | Code::RuleShadowed | Code::RuleAfterAlwaysTrue => {
                    dead[rule_of(finding)] = true;
                }
                Code::BaselineNeverUsed => dead[rules.len()] = true,
                Code::RulesOverlap => {
                    shown += 1;
                    confirm(&workflow, finding);
                }
                other => panic!("{other} is no finding for rules alone"),
            }
        }
        let mut decided = vec![false; rules.len() + 1];
        each_world(&fields, |evaluation, choice| {
            let route = workflow.route(evaluation).route.unwrap_or(rules.len());
            assert!(!dead[route], "policy {number}, {choice:?} goes to {route}: {rules:#?} {findings:#?}");
            decided[route] = true;
        });
        nevers += dead.iter().filter(|dead| **dead).count();
        missed += dead.iter().zip(&decided).filter(|(dead, decided)| !**dead && !**decided).count();
    }
    println!("{policies} policies, {nevers} nevers, {shown} shown, {missed} missed");
    // The worlds do not have every value, and some tests are not understood; but most of what never happens is found.
    assert!(policies as u64 * 10 > cases * 7, "{policies} of {cases} policies compile");
    assert!(
        nevers > policies && shown > policies / 4,
        "{nevers} found, {shown} shown, in {policies} policies"
    );
    assert!(missed < nevers / 3, "{missed} missed, {nevers} found");
}

/// What a finding shows does happen.
fn confirm(workflow: &Workflow, finding: &Finding) {
    let witness = finding.witness.as_ref().unwrap();
    let facts = witness.request.facts(&witness.directory, witness.at);
    let evaluation = Evaluation::new(&facts, &witness.directory, witness.at).unwrap();
    let later = rule_of(finding);
    let routed = workflow.route(&evaluation).route.unwrap();
    assert!(routed < later && finding.related == [format!("rules[{routed}]")]);
    let Condition::Cel(program) = &workflow.routes[later].condition else { unreachable!() };
    assert_eq!(program.is_met(&evaluation), Ok(true));
}
