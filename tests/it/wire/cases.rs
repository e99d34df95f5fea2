//! The hand-made cases under `tests/it/data/wire/*.cases`: one input, and under it what comes of it.

use super::{data, from_json, to_json, ty};
use countersign::wire::{Type, json, mask};

/// Reads a file of cases, asks `run` what comes of each, and compares that with the line under it. With `REGENERATE` set
/// the file is rewritten instead.
fn run_file(name: &str, least: usize, group: bool, run: impl Fn(&Type, &str) -> String) {
    let text = std::fs::read_to_string(data(name)).unwrap();
    let (mut written, mut wrong) = (Vec::<String>::new(), Vec::new());
    let (mut message, mut count) = (None, 0);
    let lines: Vec<&str> = text.lines().collect();
    let mut i = 0;
    while i < lines.len() {
        let line = lines[i];
        i += 1;
        if line.starts_with('#') || (line.is_empty() && group) {
            written.push(line.to_owned());
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']'))
            && name.contains('.')
            && !name.contains('"')
        {
            message = Some(ty(name));
            written.push(line.to_owned());
            continue;
        }
        if line.is_empty() {
            written.push(String::new());
            continue;
        }
        let mut input = if line == "|" { String::new() } else { line.to_owned() };
        written.push(line.to_owned());
        let more = |l: &str| if group { !l.is_empty() && !l.starts_with("  ") } else { l.starts_with('|') };
        while i < lines.len() && more(lines[i]) {
            input.push('\n');
            input.push_str(if group { lines[i] } else { &lines[i][1..] });
            written.push(lines[i].to_owned());
            i += 1;
        }
        let outcome = run(message.as_ref().expect("a message before the first case"), &input);
        let expected = lines.get(i).and_then(|l| l.strip_prefix("  ").filter(|l| l.starts_with(['=', '!'])));
        i += usize::from(expected.is_some());
        if expected != Some(outcome.as_str()) {
            wrong.push(format!(
                "{name}:{i}: {input}\n   expected {}\n   got      {outcome}",
                expected.unwrap_or("-")
            ));
        }
        written.push(format!("  {outcome}"));
        count += 1;
    }
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::write(data(name), written.join("\n") + "\n").unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{} of {count} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= least, "{name} has only {count} cases; were some not found?");
}

fn outcome(input: &str, result: Result<String, String>) -> String {
    match result {
        Ok(text) if text == input => "==".to_owned(),
        Ok(text) => format!("= {text}"),
        Err(refusal) => format!("! {refusal}"),
    }
}

fn refusal(e: &json::Error) -> String {
    let path = if e.path.is_empty() { "-" } else { &e.path };
    assert!(!e.message.is_empty() && !e.message.ends_with('.'), "{e}");
    format!("{} {path} {}:{}", e.reason.code(), e.line, e.column)
}

#[test]
fn json_in_and_out() {
    run_file("json.cases", 120, false, |ty, input| {
        outcome(input, from_json(ty, input).map(|b| to_json(ty, &b, false)).map_err(|e| refusal(&e)))
    });
}

#[test]
fn json_out_with_defaults() {
    run_file("defaults.cases", 8, false, |ty, input| {
        outcome(input, from_json(ty, input).map(|b| to_json(ty, &b, true)).map_err(|e| refusal(&e)))
    });
}

#[test]
fn parameters() {
    run_file("parameters.cases", 70, false, |ty, input| {
        let mut parameters = json::Parameters::new(ty);
        for parameter in input.split(" & ") {
            let (name, value) = parameter.split_once('=').unwrap();
            if let Err(e) = parameters.set(name, value) {
                return outcome(input, Err(format!("{} {}", e.reason.code(), e.path)));
            }
        }
        outcome(input, Ok(to_json(ty, &parameters.finish(), false)))
    });
}

#[test]
fn masks() {
    run_file("masks.cases", 70, true, |ty, input| {
        let part = |name: &str| {
            let line =
                input.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {input}"));
            line.trim()
        };
        let parsed = match mask::Mask::parse_text(ty, part("mask")) {
            Ok(parsed) => parsed,
            Err(e) => return outcome(input, Err(format!("{} {}", e.reason.code(), e.path))),
        };
        let base = from_json(ty, part("base")).unwrap();
        let send = from_json(ty, part("send")).unwrap();
        let merged = mask::merge(ty, &parsed, &base, &send).unwrap();
        // What was merged once stays the same when it is merged again.
        assert_eq!(
            to_json(ty, &mask::merge(ty, &parsed, &merged, &send).unwrap(), false),
            to_json(ty, &merged, false),
            "{input}"
        );
        // The mask's own spelling of its paths means the same mask.
        let paths = parsed.paths();
        let again = mask::Mask::parse(ty, paths.iter().map(String::as_str)).unwrap();
        assert_eq!(again.paths(), paths, "{input}");
        outcome(input, Ok(to_json(ty, &merged, false)))
    });
}
