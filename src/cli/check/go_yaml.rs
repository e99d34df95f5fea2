//! What a value is to Guardian's own client, which reads YAML with Go's yaml.v3, where the field does not take it as it is. May
//! not know which fields there are.

use chrono::{NaiveDate, NaiveDateTime};
use granit_parser::ScalarStyle;

use super::json_text::quoted;
use super::tree::{NodeId, Tree, Value};
use crate::wire::json::{self, Reason};

/// The truth values of YAML 1.1, which yaml.v3 takes only where one is due.
const TRUE: &[&str] = &["y", "Y", "yes", "Yes", "YES", "on", "On", "ON"];
const FALSE: &[&str] = &["n", "N", "no", "No", "NO", "off", "Off", "OFF"];

/// The JSON of what the value at `node` stands for, which cannot be decoded because of `fault`; `None` if it is nothing else.
pub(super) fn meant(tree: &Tree, node: NodeId, fault: &json::Error) -> Option<String> {
    let node = tree.node(node)?;
    let wants = |what: &str| fault.reason == Reason::WrongType && fault.message.starts_with(what);
    match &node.value {
        Value::Bare { written, .. } if wants("expected a string") => Some(quoted(written)),
        // In a list, it would be left out.
        Value::Null if wants("expected a string,") && node.key.is_some() => Some(quoted("")),
        Value::Text(text, _) if wants("expected true or false") => truth(text).map(str::to_owned),
        Value::Text(text, ScalarStyle::Plain) if fault.reason == Reason::BadFormat => {
            time(text).filter(|_| fault.message.contains("timestamp")).map(|time| quoted(&time))
        }
        _ => None,
    }
}

fn truth(text: &str) -> Option<&'static str> {
    match text {
        _ if TRUE.contains(&text) => Some("true"),
        _ if FALSE.contains(&text) => Some("false"),
        _ => None,
    }
}

/// A day, or a time without a zone, of Greenwich.
fn time(text: &str) -> Option<String> {
    let year = text.get(..4).filter(|year| year.bytes().all(|b| b.is_ascii_digit()))?;
    text.strip_prefix(year)?.strip_prefix('-')?;
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok().or_else(day)?;
    Some(time.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn days_and_times_of_yaml_are_times() {
        for (text, is) in [
            ("2030-01-31", Some("2030-01-31T00:00:00Z")),
            ("2030-1-2", Some("2030-01-02T00:00:00Z")),
            ("2030-01-31 23:59:58", Some("2030-01-31T23:59:58Z")),
            ("2030-01-31 23:59:58.25", Some("2030-01-31T23:59:58.250Z")),
            ("2030-02-30", None),
            ("12030-01-01", None),
            ("+203-01-01", None),
            ("2030-01-31 23:59", None),
            ("tomorrow", None),
        ] {
            assert_eq!(time(text).as_deref(), is, "{text}");
        }
    }
}
