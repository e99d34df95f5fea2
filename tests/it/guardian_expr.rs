//! Guardian's expression language against the library that Guardian runs. `data/guardian_expr/vectors.tsv` is what that library
//! says to each expression; `exceptions.tsv` names every way in which we differ, and why. `COUNTERSIGN_SHOW=1` lists all the
//! differences that no exception names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use countersign::expr::guardian::{Key, Parameters, Place, Program, Value, compile};
use countersign::expr::{Diagnostic, EvalCode, Position};
use regex::Regex;

#[path = "guardian_expr_cases.rs"]
mod cases;
#[path = "guardian_expr_hostile.rs"]
mod hostile;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/guardian_expr").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(data(name)).unwrap()
}

/// The named sets of `parameters.json`.
fn parameter_sets() -> BTreeMap<String, Parameters> {
    let sets: BTreeMap<String, BTreeMap<String, serde_json::Value>> =
        serde_json::from_str(&read("parameters.json")).unwrap();
    let now = DateTime::from_timestamp(1_794_700_000, 0).unwrap();
    let parameters = |values: BTreeMap<String, serde_json::Value>| {
        values.iter().fold(Parameters::new(now), |parameters, (name, value)| {
            parameters.with(name, Value::from_json(value).unwrap())
        })
    };
    sets.into_iter().map(|(name, values)| (name, parameters(values))).collect()
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                other => other.unwrap_or('\\'),
            },
            (letter, false) => letter,
        });
    }
    plain
}

#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    /// `value`, `compile`, `parameter`, `run`, `crash`.
    kind: String,
    /// The value with its types, or the message.
    text: String,
    /// Line and column of an error.
    place: String,
}

struct Vector {
    line: usize,
    set: String,
    expression: String,
    expected: Outcome,
}

fn vectors() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (number, line) in read("vectors.tsv").lines().enumerate().filter(|(_, line)| !line.starts_with("# "))
    {
        let mut cells = line.split('\t');
        let mut cell = || unescaped(cells.next().unwrap_or(""));
        let (set, expression) = (cell(), cell());
        let expected = Outcome { kind: cell(), text: cell(), place: cell() };
        vectors.push(Vector { line: number + 1, set, expression, expected });
    }
    vectors
}

/// A value with its types, as `tools/expr-vectors` writes it.
fn written(value: &Value) -> String {
    let of = |inner: Vec<String>, separator: &str| inner.join(separator);
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Byte(value) => format!("byte {value}"),
        Value::Float(value) => float(*value),
        Value::Text(text) => quoted(text),
        Value::Duration(nanos) => format!("duration {nanos}"),
        Value::Month(number) => format!("month {number}"),
        Value::Weekday(number) => format!("weekday {number}"),
        Value::Split => "func".to_owned(),
        Value::Time(_) => format!("time {}", time(value)),
        Value::List(list) => {
            let name = match value.type_name() {
                "[]int" => "ints",
                "[]string" => "texts",
                "[2]interface {}" => "pair",
                "[][2]interface {}" => "pairs",
                _ => "",
            };
            if value.is_nil() {
                format!("{name}[nil]")
            } else if list.len() > 50 {
                format!("{name}[{}]", list.len())
            } else {
                format!("{name}[{}]", of(list.iter().map(|item| written(&item)).collect(), " "))
            }
        }
        Value::Map(map) => {
            let name = match value.type_name() {
                "map[interface {}]interface {}" => "any",
                "map[interface {}][]interface {}" => "groups",
                "evaluator.ExprParam" => "env",
                _ => "",
            };
            if value.is_nil() {
                return format!("{name}{{nil}}");
            }
            let mut entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}: {}", key_text(key), written(value))).collect();
            entries.sort();
            format!("{name}{{{}}}", of(entries, ", "))
        }
    }
}

fn key_text(key: &Key) -> String {
    match key {
        Key::Nil => "nil".to_owned(),
        Key::Bool(value) => value.to_string(),
        Key::Int(value) => value.to_string(),
        Key::Float(bits) => float(f64::from_bits(*bits)),
        Key::Text(text) => quoted(text),
        Key::Byte(value) => format!("byte {value}"),
        other => format!("{other:?}"),
    }
}

fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaNf".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inff" } else { "-Inff" }.to_owned();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}f", exponent.abs())
}

fn quoted(text: &str) -> String {
    let mut quoted = serde_json::to_string(text).unwrap();
    for (letter, escape) in [('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029"), ('\u{7f}', "\u{7f}")] {
        quoted = quoted.replace(letter, escape);
    }
    quoted
}

/// As the language itself writes a time, with a `T` and without blanks before the offset.
fn time(value: &Value) -> String {
    let now = DateTime::from_timestamp(0, 0).unwrap();
    let parameters = Parameters::new(now).with("t", value.clone());
    let layout = "$t.Format('2006-01-02T15:04:05.999999999Z07:00 MST')";
    match compile(Place::Unknown, layout).unwrap().evaluate(&parameters).unwrap() {
        Value::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

fn place(position: Position) -> String {
    format!("{}:{}", position.line, position.column)
}

/// What we say.
fn outcome(text: &str, parameters: &Parameters) -> Outcome {
    let found = |kind: &str, text: String, place: String| Outcome { kind: kind.to_owned(), text, place };
    let program = match compile(Place::Unknown, text) {
        Ok(program) => program,
        Err(faults) => {
            let first: &Diagnostic = &faults[0];
            return found("compile", first.message.clone(), place(first.start));
        }
    };
    match program.evaluate(parameters) {
        Ok(value) => found("value", written(&value), String::new()),
        Err(error) if error.code == EvalCode::NotFound => {
            found("parameter", error.message.replace("parameter not found: ", ""), String::new())
        }
        Err(error) => found("run", error.message.clone(), error.start.map(place).unwrap_or_default()),
    }
}

/// A way in which we differ.
struct Exception {
    name: String,
    /// `outcome` when the kind of the outcome or the value differs, `words` when only the message or its place does.
    what: String,
    /// Found in `expression ⇒ kind: text` of the library.
    pattern: Regex,
}

fn exceptions() -> Vec<Exception> {
    let text = read("exceptions.tsv");
    let rows = text.lines().filter(|line| !line.starts_with("# ") && !line.is_empty());
    rows.map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [name, what, pattern, reason] = cells.as_slice() else { panic!("four columns: {line}") };
        assert!(!reason.is_empty() && ["outcome", "words"].contains(what), "{line}");
        let pattern = Regex::new(pattern).unwrap();
        Exception { name: (*name).to_owned(), what: (*what).to_owned(), pattern }
    })
    .collect()
}

/// What differs between the library and us.
fn difference(expected: &Outcome, found: &Outcome) -> Option<&'static str> {
    let same_kind = expected.kind == found.kind;
    let same_value = expected.kind != "value" || expected.text == found.text;
    if !same_kind || !same_value {
        return Some("outcome");
    }
    (expected != found).then_some("words")
}

#[test]
fn we_agree_with_the_library_but_for_named_exceptions() {
    let (sets, exceptions) = (parameter_sets(), exceptions());
    let mut used = vec![0_usize; exceptions.len()];
    let mut unnamed = String::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for vector in vectors() {
        let found = outcome(&vector.expression, &sets[&vector.set]);
        let Some(what) = difference(&vector.expected, &found) else {
            *counts.entry("same").or_default() += 1;
            continue;
        };
        *counts.entry(what).or_default() += 1;
        let subject = format!("{} ⇒ {}: {}", vector.expression, vector.expected.kind, vector.expected.text);
        let named =
            exceptions.iter().position(|known| known.what == what && known.pattern.is_match(&subject));
        match named {
            Some(index) => used[index] += 1,
            None => writeln!(
                unnamed,
                "{}: {} [{what}]\n  {:?}\n  {:?}",
                vector.line, vector.expression, vector.expected, found
            )
            .unwrap(),
        }
    }
    if std::env::var_os("COUNTERSIGN_SHOW").is_some() {
        println!("{counts:?}");
        for (known, count) in exceptions.iter().zip(&used) {
            println!("{count:5} {} ({})", known.name, known.what);
        }
    }
    assert!(unnamed.is_empty(), "{unnamed}");
    for (known, count) in exceptions.iter().zip(used) {
        assert!(count > 0, "the exception {} is no longer one", known.name);
    }
    assert!(counts["same"] >= 10_000, "{counts:?}");
}

/// Compiles for a place that takes any name.
fn program(text: &str) -> Program {
    compile(Place::Unknown, text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}
