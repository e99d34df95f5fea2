//! Scenarios: conversations over REST, written as text files that a person can read and run here against a real server.
//!
//! A file is a list of steps on one fresh server. A step is a title, a request, and what must come back:
//!
//! ```text
//! ### a policy can be read back
//! GET /api/v1/policies/${id}
//! Some-Header: value
//!
//! {"a": "body, if there is one"}
//! => 200
//! etag: @any
//!
//! {"policy": {"displayName": "the expected JSON is a subset of the answer"}}
//! ```
//!
//! A step may say what comes back from a server that is run in another mode: a second answer, `=> strict 500`, counts
//! instead of the first when the file is run in the mode `strict`.
//!
//! In what is expected, `"@any"` matches every value that is there, `"@absent"` only a missing one, `"@save name"` any
//! string, which is kept as `${name}`, and `"@has text"` a string that contains the text. Lists match item by item;
//! `{"@exact": value}` matches nothing but the value. Header values match in the same way.

use crate::harness::{Server, http};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

struct Step<'a> {
    title: &'a str,
    line: usize,
    verb: &'a str,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    status: u16,
    expected_headers: Vec<(String, String)>,
    expected: Option<Value>,
}

/// Runs every step of a file against a fresh server.
pub async fn run(file: &Path) {
    run_on(Server::start().await, file, "").await;
}

/// Runs every step of a file, in a mode, against this server.
pub async fn run_on(server: Server, file: &Path, mode: &str) {
    let text = fs::read_to_string(file).unwrap();
    let mut kept: BTreeMap<String, String> = BTreeMap::new();
    for (line, block) in blocks(&text) {
        let step = parse(line, block, mode, &kept);
        let place = format!("{}:{}: {}", file.display(), step.line, step.title);
        let answer = http(server.addr, step.verb, &step.target, &step.headers, step.body.as_bytes()).await;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, step.status, "{place}\n{body}");
        for (name, wanted) in &step.expected_headers {
            let found: Vec<String> = answer
                .headers
                .get_all(name.as_str())
                .iter()
                .map(|v| v.to_str().unwrap().to_owned())
                .collect();
            let value = if found.is_empty() { None } else { Some(Value::String(found.join("\n"))) };
            expect(&place, name, &Value::String(wanted.clone()), value.as_ref(), &mut kept);
        }
        if let Some(wanted) = &step.expected {
            let found: Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{place}: {e}\n{body}"));
            expect(&place, "body", wanted, Some(&found), &mut kept);
        }
    }
    server.stop().await;
}

/// The steps of a file, each with the number of its first line.
fn blocks(text: &str) -> Vec<(usize, &str)> {
    let mut starts: Vec<usize> = text.match_indices("### ").map(|(at, _)| at).collect();
    starts.retain(|at| *at == 0 || text.as_bytes()[at - 1] == b'\n');
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let blocks = starts.iter().zip(ends);
    blocks.map(|(start, end)| (text[..*start].matches('\n').count() + 1, &text[*start..end])).collect()
}

fn parse<'a>(line: usize, block: &'a str, mode: &str, kept: &BTreeMap<String, String>) -> Step<'a> {
    let (title, rest) = block[4..].split_once('\n').unwrap();
    let mut parts = rest.split("\n=> ");
    let request = parts.next().unwrap();
    let mut response = parts.next().unwrap_or_else(|| panic!("line {line}: a step has `=> STATUS`"));
    for other in parts {
        let (of, answer) = other.split_once(' ').unwrap_or_else(|| panic!("line {line}: `=> MODE STATUS`"));
        if of == mode {
            response = answer;
        }
    }
    let (start, headers, body) = message(request, kept);
    let (verb, target) = start.split_once(' ').unwrap();
    let (status, expected_headers, expected) = message(response, kept);
    let expected = expected.trim();
    let expected = (!expected.is_empty()).then(|| {
        serde_json::from_str(expected).unwrap_or_else(|e| panic!("line {line}: expected JSON: {e}"))
    });
    Step {
        title,
        line,
        verb: request.trim_start().split(' ').next().filter(|v| *v == verb).unwrap(),
        target: target.trim().to_owned(),
        headers,
        body,
        status: status.trim().parse().unwrap(),
        expected_headers,
        expected,
    }
}

/// The first line, the headers and the rest of one half of a step.
fn message(text: &str, kept: &BTreeMap<String, String>) -> (String, Vec<(String, String)>, String) {
    let mut text = text.trim_start().to_owned();
    for (name, value) in kept {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    let (head, body) =
        text.split_once("\n\n").map_or((text.as_str(), ""), |(head, body)| (head, body.trim_end()));
    let mut lines = head.lines();
    let start = lines.next().unwrap().to_owned();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line}"));
        (name.trim().to_lowercase(), value.trim().to_owned())
    });
    (start, headers.collect(), body.to_owned())
}

/// Compares what is expected with what came; see the head of this file.
fn expect(place: &str, at: &str, wanted: &Value, found: Option<&Value>, kept: &mut BTreeMap<String, String>) {
    match wanted {
        Value::String(text) if text == "@absent" => {
            assert!(found.is_none(), "{place}: {at} is there: {found:?}")
        }
        Value::String(text) if text == "@any" => assert!(found.is_some(), "{place}: {at} is missing"),
        Value::String(text) if text.starts_with("@save ") => {
            let value = found
                .and_then(Value::as_str)
                .unwrap_or_else(|| panic!("{place}: {at} is no string: {found:?}"));
            kept.insert(text[6..].to_owned(), value.to_owned());
        }
        Value::String(text) if text.starts_with("@has ") => {
            let value = found
                .and_then(Value::as_str)
                .unwrap_or_else(|| panic!("{place}: {at} is no string: {found:?}"));
            assert!(value.contains(&text[5..]), "{place}: {at} is {value:?}, without {:?}", &text[5..]);
        }
        Value::Object(fields) if fields.contains_key("@exact") => {
            assert_eq!(found, Some(&fields["@exact"]), "{place}: {at}");
        }
        Value::Object(fields) => {
            let found = found
                .and_then(Value::as_object)
                .unwrap_or_else(|| panic!("{place}: {at} is no object: {found:?}"));
            for (key, wanted) in fields {
                expect(place, &format!("{at}.{key}"), wanted, found.get(key), kept);
            }
        }
        Value::Array(items) => {
            let found = found
                .and_then(Value::as_array)
                .unwrap_or_else(|| panic!("{place}: {at} is no list: {found:?}"));
            assert_eq!(found.len(), items.len(), "{place}: {at} has {found:?}");
            for (n, (wanted, found)) in items.iter().zip(found).enumerate() {
                expect(place, &format!("{at}[{n}]"), wanted, Some(found), kept);
            }
        }
        other => assert_eq!(found, Some(other), "{place}: {at}"),
    }
}
