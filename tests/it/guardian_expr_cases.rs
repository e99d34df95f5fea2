//! What the vectors of the library cannot say: parameters and fields by place, what results mean, budgets, and the texts of
//! Guardian's errors.

use countersign::expr::guardian::{self, Parameters, Place, Value, compile, outcome};
use countersign::expr::{Code, Diagnostic, EvalCode, Severity};

use super::{data, parameter_sets, program, unescaped};

fn place_named(name: &str) -> Place {
    let found = Place::ALL.iter().find(|place| format!("{place:?}") == name);
    *found.unwrap_or_else(|| panic!("{name} is no place"))
}

fn described(fault: &Diagnostic) -> String {
    let Diagnostic { code, severity, message, start, end, .. } = fault;
    let severity = if *severity == Severity::Warning { "warning" } else { "error" };
    let place = format!("{}:{}-{}:{}", start.line, start.column, end.line, end.column);
    format!("{severity} {code}@{place} {}", message.replace('\n', "\\n"))
}

/// Runs a table whose last column is what there is; with `COUNTERSIGN_BLESS=1` writes it.
fn table(name: &str, inputs: usize, outcome: impl Fn(&[String]) -> String) {
    let text = std::fs::read_to_string(data(name)).unwrap();
    let (mut blessed, mut wrong) = (String::new(), Vec::new());
    for line in text.lines() {
        if line.starts_with("# ") {
            blessed += &format!("{line}\n");
            continue;
        }
        let cells: Vec<&str> = line.split('\t').collect();
        let given: Vec<String> = cells[..inputs].iter().map(|cell| unescaped(cell)).collect();
        let (found, expected) = (outcome(&given), cells[inputs..].join("\t"));
        blessed += &format!("{}\t{found}\n", cells[..inputs].join("\t"));
        if found != expected {
            wrong.push(format!("{line}\n  found {found}"));
        }
    }
    if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
        std::fs::write(data(name), blessed).unwrap();
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn names_are_checked_by_place() {
    table("places.tsv", 2, |cells| {
        let (place, text) = (place_named(&cells[0]), &cells[1]);
        let faults = match compile(place, text) {
            Ok(program) => program.warnings().to_vec(),
            Err(faults) => faults,
        };
        let found: Vec<String> = faults.iter().map(described).collect();
        if found.is_empty() { "fine".to_owned() } else { found.join(" | ") }
    });
}

#[test]
fn kinds_of_results_are_known_where_they_are_certain() {
    table("kinds.tsv", 2, |cells| {
        let program = compile(place_named(&cells[0]), &cells[1]).unwrap();
        let kind = program.kind().map_or("anything".to_owned(), |kind| format!("{kind:?}"));
        format!("{kind}{}", if program.asks_for_the_time() { " by the time" } else { "" })
    });
}

#[test]
fn results_mean_what_guardian_makes_of_them() {
    let parameters = &parameter_sets()["none"];
    table("results.tsv", 1, |cells| {
        let value = program(&cells[0]).evaluate(parameters).unwrap();
        let either = |result: Result<String, String>| result.unwrap_or_else(|message| format!("! {message}"));
        [
            either(outcome::is_truthy(&value).map(|is| is.to_string())),
            either(outcome::approvers(&value).map(|all| all.join(" "))),
            either(outcome::boolean(&cells[0], &value).map(|is| is.to_string())),
            either(outcome::text(&cells[0], &value).map(|text| format!("\"{text}\""))),
        ]
        .join("\t")
    });
}

#[test]
fn the_misspelt_field_is_reported_with_its_column() {
    let program = compile(Place::When, "$appeal.role == 'x' || $appeal.resorce.urn == 'y'").unwrap();
    let [warning] = program.warnings() else { panic!("{:?}", program.warnings()) };
    assert_eq!((warning.code, warning.severity), (Code::UndeclaredField, Severity::Warning));
    assert_eq!((warning.start.line, warning.start.column), (1, 32));
    assert_eq!(warning.message, "there is no field resorce; did you mean resource?");
}

#[test]
fn only_texts_with_a_marker_are_expressions_in_some_places() {
    for (place, text, expected) in [
        (Place::RejectionReason, "too risky", false),
        (Place::RejectionReason, "'no ' + $appeal.role", true),
        (Place::SourceRequest, "https://example.com", false),
        (Place::SourceValue, "$response.body", true),
        (Place::SourceValue, "plain", false),
        (Place::StaticValue, "$response.body", true),
        (Place::IamSchema, "$appeal", false),
        (Place::LabelValue, "$policy.id", true),
        (Place::LabelValue, "gold", false),
        (Place::PostHook, "https://example.com", true),
        (Place::When, "", true),
    ] {
        assert_eq!(place.is_expression(text), expected, "{place:?} {text}");
    }
}

#[test]
fn errors_are_worded_as_guardian_words_them() {
    let parameters = &parameter_sets()["appeal"];
    let text = "$appeal.grant.x == 1";
    let error = program(text).evaluate(parameters).unwrap_err();
    assert_eq!(
        error.as_guardian_says(text),
        "evaluating expression \"$appeal.grant.x == 1\": cannot fetch x from <nil> (1:15)\n | $appeal.grant.x == 1\n | ..............^"
    );
    let text = "$appeal.role + ";
    let faults = compile(Place::When, text).unwrap_err();
    assert_eq!(
        guardian::compile_error_as_guardian_says(text, &faults[0]),
        "invalid expression: unexpected token EOF (1:15)\n | $appeal.role + \n | ..............^"
    );
    let error = program("$x").evaluate(parameters).unwrap_err();
    assert_eq!(
        (error.code, error.as_guardian_says("$x").as_str()),
        (EvalCode::NotFound, "parameter not found: x")
    );
    let faults = compile(Place::When, "$x").unwrap_err();
    assert_eq!(guardian::compile_error_as_guardian_says("$x", &faults[0]), "parameter not found: x");
}

#[test]
fn records_have_only_the_fields_they_have() {
    let appeal = serde_json::json!({"AccountID": "a", "Resource": {"URN": "u"}});
    let appeal = Value::from_json(&appeal).unwrap().into_record("*domain.Appeal");
    let parameters = Parameters::new(chrono::DateTime::UNIX_EPOCH).with("appeal", appeal);
    assert_eq!(program("$appeal.AccountID").evaluate(&parameters).unwrap(), Value::text("a"));
    assert_eq!(program("$appeal.Resource.URN").evaluate(&parameters).unwrap(), Value::text("u"));
    let error = program("$appeal.account_id").evaluate(&parameters).unwrap_err();
    assert_eq!(error.message, "cannot fetch account_id from *domain.Appeal");
}

#[test]
fn the_time_is_handed_in() {
    let parameters = |seconds| Parameters::new(chrono::DateTime::from_timestamp(seconds, 0).unwrap());
    for seconds in [0, 1_772_530_200] {
        let value = program("now().Unix()").evaluate(&parameters(seconds)).unwrap();
        assert_eq!(value, Value::Int(seconds));
    }
}

/// Each of these would take seconds, or gigabytes, without a budget.
#[test]
fn work_is_budgeted() {
    let parameters = &parameter_sets()["none"];
    for text in [
        "1..1000000000",
        "1..(1000000 * 1000000)",
        "map(1..1000000, #)",
        "count(1..1000, any(1..1000, any(1..1000, # > 1000)))",
        "reduce(1..60, #acc + #acc, 'ab')",
        "reduce(1..60, [#acc, #acc], 1)",
        "reduce(1..1000, [#acc], 1)",
        "reduce(1..1000, {{a: #acc}}, 1)",
        "len(repeat(repeat('a', 1000000), 1000000))",
        "repeat(repeat('a', 10000), 10000)",
        "let s = repeat('a', 1000000); map(1..100, s + s)",
        "let s = repeat('a', 1000000); join(map(1..100, s), s)",
        "let s = repeat('a', 1000000); replace(s, 'a', s)",
        "let s = repeat('a', 1000000); replace(s, '', s)",
        "let s = repeat('a', 1000000); toJSON(map(1..100, s))",
        "let s = repeat('a', 1000000); string(map(1..100, s))",
        "let s = repeat('a', 1000000); count(1..100000, s contains 'b')",
        "let s = repeat('a', 1000000); count(1..100000, s == s + '')",
        "let s = repeat('a', 1000000); count(1..100000, s matches 'a*b')",
        "let s = repeat('a,', 400000); count(1..1000, len(split(s, ',')) > 1)",
        "count(1..100000, string(#) matches string(#))",
        "let l = map(1..1000, #); count(1..100000, # in l)",
        "let l = map(1..1000, #); count(1..100000, l == map(1..1000, #))",
        "let l = 1..100000; count(1..100000, sum(l) > 1)",
        "let l = map(1..1000, string(#)); count(1..100000, len(sort(l)) > 1)",
        "let m = groupBy(1..1000, #); count(1..100000, len(keys(m)) > 1)",
    ] {
        let error = program(text).evaluate(parameters).unwrap_err();
        assert_eq!(error.code, EvalCode::TooLarge, "{text}: {error}");
    }
    let error = program("'a' matches repeat('(', 5000)").evaluate(parameters).unwrap_err();
    assert_eq!(error.code, EvalCode::TooLarge, "{error}");
}

#[test]
fn values_from_outside_are_limited_too() {
    let deep = (0..100).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    assert!(Value::from_json(&deep).is_err());
    let wide = serde_json::Value::Array(vec![serde_json::json!("x".repeat(64_000)); 3000]);
    assert!(Value::from_json(&wide).is_err());
    assert!(Value::from_json(&serde_json::json!({"a": [1, 2, {"b": null}]})).is_ok());
}

#[test]
fn programs_are_shared_between_threads() {
    let program = program("$appeal.policy_version + 1");
    let parameters = parameter_sets().remove("appeal").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(program.evaluate(&parameters).unwrap(), Value::Float(4.0)));
        }
    });
}
