//! cel-spec's own conformance cases, those without protocol buffer messages, against three ways to evaluate: cel as it is,
//! cel-core as it is, and our checker with cel behind it. A differential test: what they say about each case that is not
//! passed by all is in `data/expr/cel-spec.outcome.tsv`, which `COUNTERSIGN_BLESS=1` writes anew. The number of cases that
//! ours answers wrongly must be zero; refusing one that it does not support is no wrong answer.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelNull, CelString, CelTimestamp,
    CelType, CelUInt,
};
use cel::common::value::Val;
use chrono::DateTime;
use countersign::expr::{EmptyDirectory, Environment, Evaluation, Facts, Value, compile};
use serde_json::Value as Json;

/// Suites of libraries that policies do not have.
const NOT_OURS: &[&str] =
    &["math_ext", "block_ext", "bindings_ext", "encoders_ext", "optionals", "string_ext/format"];

struct Case {
    suite: String,
    expr: String,
    /// The value in one text form for all engines, `error` if there must be none.
    expected: String,
}

fn cases() -> Vec<Case> {
    let file = std::fs::read_to_string(super::data("cel-spec.jsonl")).unwrap();
    let lines = file.lines().filter(|line| !line.starts_with("//"));
    let case = |line: &str| {
        let (suite, expr, expected): (String, String, Json) = serde_json::from_str(line).unwrap();
        Case { suite, expr, expected: expected_text(&expected) }
    };
    lines.map(case).collect()
}

fn double(value: f64) -> String {
    if value.is_nan() { "double NaN".to_owned() } else { format!("double {:?}", value + 0.0) }
}

fn nanos(seconds: i64, nanos: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
}

fn entries(mut entries: Vec<String>) -> String {
    entries.sort();
    format!("map {{{}}}", entries.join(", "))
}

fn expected_text(value: &Json) -> String {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = value.as_str().unwrap_or("");
    match kind.as_str() {
        "error" => "error".to_owned(),
        "null" => "null".to_owned(),
        "bool" => format!("bool {value}"),
        "double" => double(text.parse().unwrap()),
        "bytes" => format!("bytes {:?}", STANDARD.decode(text).unwrap()),
        "list" => {
            format!("list {:?}", value.as_array().unwrap().iter().map(expected_text).collect::<Vec<_>>())
        }
        "map" => {
            let pair = |pair: &Json| format!("{}: {}", expected_text(&pair[0]), expected_text(&pair[1]));
            entries(value.as_array().unwrap().iter().map(pair).collect())
        }
        "timestamp" => {
            let time = DateTime::parse_from_rfc3339(text).unwrap();
            format!("timestamp {}", nanos(time.timestamp(), time.timestamp_subsec_nanos().into()))
        }
        "duration" => {
            let (seconds, fraction) =
                text.trim_end_matches('s').split_once('.').unwrap_or((text.trim_end_matches('s'), ""));
            let sign = if text.starts_with('-') { -1 } else { 1 };
            let fraction: i64 = format!("{fraction:0<9}").parse().unwrap();
            format!("duration {}", nanos(seconds.parse().unwrap(), sign * fraction))
        }
        kind => format!("{kind} {text}"),
    }
}

fn cel_text(value: &dyn Val) -> String {
    if let Some(value) = value.downcast_ref::<CelBool>() {
        return format!("bool {}", value.inner());
    }
    if let Some(value) = value.downcast_ref::<CelInt>() {
        return format!("int {}", value.inner());
    }
    if let Some(value) = value.downcast_ref::<CelUInt>() {
        return format!("uint {}", value.inner());
    }
    if let Some(value) = value.downcast_ref::<CelDouble>() {
        return double(*value.inner());
    }
    if let Some(value) = value.downcast_ref::<CelString>() {
        return format!("string {}", value.inner());
    }
    if let Some(value) = value.downcast_ref::<CelBytes>() {
        return format!("bytes {:?}", value.inner());
    }
    if let Some(value) = value.downcast_ref::<CelList>() {
        return format!(
            "list {:?}",
            value.inner().iter().map(|one| cel_text(one.as_ref())).collect::<Vec<_>>()
        );
    }
    if let Some(value) = value.downcast_ref::<CelMap>() {
        let pairs = value.inner().iter();
        let pairs =
            pairs.map(|(key, value)| format!("{}: {}", cel_text(key.inner()), cel_text(value.as_ref())));
        return entries(pairs.collect());
    }
    if let Some(value) = value.downcast_ref::<CelTimestamp>() {
        let time = value.inner();
        return format!("timestamp {}", nanos(time.timestamp(), time.timestamp_subsec_nanos().into()));
    }
    if let Some(value) = value.downcast_ref::<CelDuration>() {
        return format!(
            "duration {}",
            nanos(value.inner().num_seconds(), value.inner().subsec_nanos().into())
        );
    }
    if let Some(value) = value.downcast_ref::<CelType>() {
        return format!("type {}", value.name());
    }
    if value.downcast_ref::<CelNull>().is_some() { "null".to_owned() } else { "other".to_owned() }
}

fn our_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Double(value) => double(*value),
        Value::String(text) => format!("string {text}"),
        Value::Bytes(bytes) => format!("bytes {bytes:?}"),
        Value::List(values) => format!("list {:?}", values.iter().map(our_text).collect::<Vec<_>>()),
        Value::Map(map) => entries(
            map.iter().map(|(key, value)| format!("{}: {}", our_text(key), our_text(value))).collect(),
        ),
        Value::Timestamp(time) => {
            format!("timestamp {}", nanos(time.timestamp(), time.timestamp_subsec_nanos().into()))
        }
        Value::Duration(duration) => {
            format!("duration {}", nanos(duration.num_seconds(), duration.subsec_nanos().into()))
        }
        other => format!("{} {other}", other.type_name()),
    }
}

fn core_text(value: &cel_core::Value) -> String {
    use cel_core::{MapKey, Value as V};
    match value {
        V::Null => "null".to_owned(),
        V::Bool(value) => format!("bool {value}"),
        V::Int(value) => format!("int {value}"),
        V::UInt(value) => format!("uint {value}"),
        V::Double(value) => double(*value),
        V::String(text) => format!("string {text}"),
        V::Bytes(bytes) => format!("bytes {:?}", bytes.to_vec()),
        V::List(values) => format!("list {:?}", values.iter().map(core_text).collect::<Vec<_>>()),
        V::Map(map) => {
            let key = |key: &MapKey| match key {
                MapKey::Bool(value) => format!("bool {value}"),
                MapKey::Int(value) => format!("int {value}"),
                MapKey::UInt(value) => format!("uint {value}"),
                MapKey::String(text) => format!("string {text}"),
            };
            entries(map.iter().map(|(one, value)| format!("{}: {}", key(one), core_text(value))).collect())
        }
        V::Timestamp(time) => format!("timestamp {}", nanos(time.seconds, time.nanos.into())),
        V::Duration(duration) => format!("duration {}", nanos(duration.seconds, duration.nanos.into())),
        V::Type(named) => format!("type {}", named.name),
        V::Optional(inner) => format!("optional {inner:?}"),
        V::Error(_) => "error".to_owned(),
        _ => "other".to_owned(),
    }
}

/// Texts of the same value: maps forget whether a key was int or uint, and types are named in two ways.
fn same(found: &str, expected: &str) -> bool {
    found == expected
        || found.replace("uint ", "int ") == expected.replace("uint ", "int ") && expected.starts_with("map")
}

fn run_all() -> (String, String) {
    let mut env = cel::Env::stdlib();
    env.add_extension(cel::extensions::strings).unwrap();
    env.add_extension(cel::extensions::math).unwrap();
    let env = Arc::new(env);
    let context = cel::Context::with_env(Arc::clone(&env));
    let core = cel_core::Env::with_standard_library().with_all_extensions();
    let facts = Facts::default();
    let evaluation = Evaluation::new(&facts, &EmptyDirectory, super::now()).unwrap();
    let mut report = String::new();
    let (mut all, mut cel_passed, mut core_passed) = (0, 0, 0);
    let (mut supported, mut ours_passed, mut ours_refused, mut wrong) = (0, 0, 0, String::new());
    for case in cases() {
        all += 1;
        let cel_found = env.compile(&case.expr).ok().and_then(|program| {
            let value = cel::Value::resolve_val(program.expression(), &context);
            value.ok().map(|value| cel_text(value.as_ref()))
        });
        let cel_found = cel_found.unwrap_or_else(|| "error".to_owned());
        let core_found = core
            .compile(&case.expr)
            .ok()
            .and_then(|ast| Some(core_text(&core.program(&ast).ok()?.eval_empty())));
        let core_found = core_found.unwrap_or_else(|| "error".to_owned());
        let (cel_same, core_same) = (same(&cel_found, &case.expected), same(&core_found, &case.expected));
        cel_passed += usize::from(cel_same);
        core_passed += usize::from(core_same);
        if !cel_same {
            writeln!(report, "cel\t{}\t{}\t{}\t{cel_found}", case.suite, one_line(&case.expr), case.expected)
                .unwrap();
        }
        if !core_same {
            writeln!(
                report,
                "cel-core\t{}\t{}\t{}\t{core_found}",
                case.suite,
                one_line(&case.expr),
                case.expected
            )
            .unwrap();
        }
        if NOT_OURS.iter().any(|suite| case.suite.starts_with(suite)) || case.expr.contains(".format(") {
            continue;
        }
        supported += 1;
        let found = match compile(Environment::AccountTest, &case.expr) {
            Ok(program) => {
                program.evaluate(&evaluation).map_or_else(|_| "error".to_owned(), |value| our_text(&value))
            }
            Err(_) if case.expected == "error" => "error".to_owned(),
            Err(faults) => {
                ours_refused += 1;
                writeln!(report, "refused\t{}\t{}\t{}", case.suite, one_line(&case.expr), faults[0].code)
                    .unwrap();
                continue;
            }
        };
        if same(&found, &case.expected) {
            ours_passed += 1;
        } else {
            writeln!(wrong, "wrong\t{}\t{}\t{}\t{found}", case.suite, one_line(&case.expr), case.expected)
                .unwrap();
        }
    }
    let head = format!(
        "# cel-spec v0.25.1: {all} cases\n# cel {cel_passed}, cel-core {core_passed}\n# ours {ours_passed} of {supported} in the \
         libraries that policies have, {ours_refused} refused, {} wrong\n",
        wrong.lines().count()
    );
    (format!("{head}{report}"), wrong)
}

fn one_line(text: &str) -> String {
    text.escape_debug().to_string()
}

#[test]
fn cel_spec_is_answered_rightly_or_not_at_all() {
    // cel-core recurses without a limit of its own.
    let thread = std::thread::Builder::new().stack_size(64 * 1024 * 1024).spawn(run_all).unwrap();
    let (report, wrong) = thread.join().unwrap();
    let path = super::data("cel-spec.outcome.tsv");
    let report = format!("{report}{wrong}");
    if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
        std::fs::write(&path, &report).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap();
    for (found, known) in report.lines().zip(known.lines()) {
        assert_eq!(found, known);
    }
    assert_eq!(report.lines().count(), known.lines().count());
    assert!(wrong.is_empty(), "{wrong}");
}
