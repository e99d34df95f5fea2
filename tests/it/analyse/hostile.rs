//! Policies that are made to be hard: the analysis ends, and says what it says.

use std::sync::Arc;

use countersign::expr::{Environment, compile};
use countersign::workflow::analyse::{Code, Finding, analyse};
use countersign::workflow::run::{Policies, Policy};
use countersign::workflow::{Condition, Destination, Route, Workflow};

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
