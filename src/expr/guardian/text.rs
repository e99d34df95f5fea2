//! Values as text: as Go's `%v` prints them, and as its JSON package writes them, indented. Both stop at a limit.

use std::fmt::Write;

use super::moment;
use super::value::{Key, MapKind, Value};

/// A text that refuses to grow past its limit.
struct Limited {
    text: String,
    limit: usize,
}

impl Write for Limited {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        if self.text.len() + piece.len() > self.limit {
            return Err(std::fmt::Error);
        }
        self.text.push_str(piece);
        Ok(())
    }
}

/// As `%v` prints it; `None` when it is longer than `limit` bytes.
pub(super) fn shown(value: &Value, limit: usize) -> Option<String> {
    let mut output = Limited { text: String::new(), limit };
    show(value, &mut output).ok()?;
    Some(output.text)
}

fn show(value: &Value, output: &mut Limited) -> std::fmt::Result {
    match value {
        Value::Nil => output.write_str("<nil>"),
        Value::Bool(value) => write!(output, "{value}"),
        Value::Int(value) => write!(output, "{value}"),
        Value::Byte(value) => write!(output, "{value}"),
        Value::Float(value) => output.write_str(&float(*value, -4, 6, 2)),
        Value::Text(text) => output.write_str(text),
        Value::List(list) => {
            output.write_char('[')?;
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    output.write_char(' ')?;
                }
                show(&item, output)?;
            }
            output.write_char(']')
        }
        Value::Map(map) => {
            output.write_str(if matches!(map.kind, MapKind::Record(_)) { "&map[" } else { "map[" })?;
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    output.write_char(' ')?;
                }
                show(&key.value(), output)?;
                output.write_char(':')?;
                show(value, output)?;
            }
            output.write_char(']')
        }
        Value::Split => output.write_str("Split"),
        Value::Time(_) | Value::Duration(_) | Value::Month(_) | Value::Weekday(_) => {
            output.write_str(&moment::shown(value))
        }
    }
}

/// The shortest digits that give the number back, with an exponent of at least so many digits when it is below `low` or not
/// below `high`.
fn float(value: f64, low: i32, high: i32, digits: usize) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (exponent >= low && exponent < high) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:0digits$}", exponent.abs())
}

/// Why a value has no JSON.
pub(super) enum NoJson {
    TooLong,
    Unsupported(String),
}

impl From<std::fmt::Error> for NoJson {
    fn from(_: std::fmt::Error) -> Self {
        Self::TooLong
    }
}

/// Indented by two blanks, keys in order, as Go's `json.MarshalIndent` writes it.
pub(super) fn json(value: &Value, limit: usize) -> Result<String, NoJson> {
    let mut output = Limited { text: String::new(), limit };
    write_json(value, 0, &mut output)?;
    Ok(output.text)
}

fn new_line(levels: usize, output: &mut Limited) -> std::fmt::Result {
    write!(output, "\n{}", "  ".repeat(levels))
}

fn write_json(value: &Value, levels: usize, output: &mut Limited) -> Result<(), NoJson> {
    match value {
        Value::Nil => output.write_str("null")?,
        Value::Bool(value) => write!(output, "{value}")?,
        Value::Int(value) | Value::Duration(value) => write!(output, "{value}")?,
        Value::Byte(value) => write!(output, "{value}")?,
        Value::Month(value) | Value::Weekday(value) => write!(output, "{value}")?,
        Value::Float(value) if !value.is_finite() => {
            return Err(NoJson::Unsupported(format!("json: unsupported value: {}", float(*value, 0, 0, 2))));
        }
        Value::Float(value) => output.write_str(&float(*value, -6, 21, 1).replace("e-0", "e-"))?,
        Value::Text(text) => write_text(text, output)?,
        Value::Time(moment) => write_text(&moment::rfc3339(*moment), output)?,
        Value::Split => {
            return Err(NoJson::Unsupported(format!("json: unsupported type: {}", value.type_name())));
        }
        Value::List(list) if list.is_nil => output.write_str("null")?,
        Value::List(list) if list.is_empty() => output.write_str("[]")?,
        Value::List(list) => {
            output.write_char('[')?;
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    output.write_char(',')?;
                }
                new_line(levels + 1, output)?;
                write_json(&item, levels + 1, output)?;
            }
            new_line(levels, output)?;
            output.write_char(']')?;
        }
        Value::Map(map) => {
            if matches!(map.kind, MapKind::Any | MapKind::Groups) {
                return Err(NoJson::Unsupported(format!("json: unsupported type: {}", value.type_name())));
            }
            if map.is_empty() {
                output.write_str("{}")?;
                return Ok(());
            }
            output.write_char('{')?;
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    output.write_char(',')?;
                }
                new_line(levels + 1, output)?;
                write_text(Key::text(key).unwrap_or(""), output)?;
                output.write_str(": ")?;
                write_json(value, levels + 1, output)?;
            }
            new_line(levels, output)?;
            output.write_char('}')?;
        }
    }
    Ok(())
}

/// With the characters that mean something in HTML escaped, as Go does.
fn write_text(text: &str, output: &mut Limited) -> std::fmt::Result {
    output.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' => output.write_str("\\\"")?,
            '\\' => output.write_str("\\\\")?,
            '\n' => output.write_str("\\n")?,
            '\r' => output.write_str("\\r")?,
            '\t' => output.write_str("\\t")?,
            '\u{8}' => output.write_str("\\b")?,
            '\u{c}' => output.write_str("\\f")?,
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                write!(output, "\\u{:04x}", u32::from(letter))?;
            }
            _ => output.write_char(letter)?,
        }
    }
    output.write_char('"')
}
