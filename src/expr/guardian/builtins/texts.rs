//! Functions of texts. Positions and lengths are in bytes, as in Go.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Builtin, text_of};
use crate::expr::guardian::access::to_int;
use crate::expr::guardian::evaluate::{Fault, Run};
use crate::expr::guardian::text::{self, NoJson};
use crate::expr::guardian::value::{List, ListKind, MapKind, Value};

/// Most repetitions of a text, as in the library.
const REPEAT_MAX: i64 = 1_000_000;

pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Byte(_) => "uint",
        Value::Float(_) => "float",
        Value::Text(_) => "string",
        Value::List(_) => "array",
        Value::Map(map) if matches!(map.kind, MapKind::Record(_)) => "struct",
        Value::Map(map) if map.kind == MapKind::Environment => {
            "github.com/goto/guardian/pkg/evaluator.ExprParam"
        }
        Value::Map(_) => "map",
        Value::Split => "func",
        Value::Time(_) | Value::Duration(_) | Value::Month(_) | Value::Weekday(_) => value.type_name(),
    }
}

pub(super) fn string(value: &Value, run: &mut Run<'_>) -> Result<Value, Fault> {
    if let Value::Text(_) = value {
        return Ok(value.clone());
    }
    let text = text::shown(value, run.text_left());
    made(text.ok_or_else(|| Fault::too_large("the expression makes too much text"))?, run)
}

/// A text of ours, counted.
fn made(text: String, run: &mut Run<'_>) -> Result<Value, Fault> {
    run.grow_text(text.len())?;
    Ok(Value::Text(text.into()))
}

pub(super) fn call(builtin: Builtin, arguments: &[Value], run: &mut Run<'_>) -> Result<Value, Fault> {
    use Builtin as B;
    let nil = Value::Nil;
    let argument = |index: usize| arguments.get(index).unwrap_or(&nil);
    if builtin == B::ToJson {
        return to_json(argument(0), run);
    }
    if builtin == B::Join {
        return join(arguments, run);
    }
    if builtin == B::Repeat {
        return repeat(argument(0), argument(1), run);
    }
    if matches!(builtin, B::TrimPrefix | B::TrimSuffix) {
        return trim_affix(builtin, argument(0), arguments.get(1));
    }
    let subject = text_of(argument(0))?;
    let at =
        |place: Option<usize>| Value::Int(place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1));
    match builtin {
        B::Trim => match arguments.get(1) {
            None => Ok(Value::text(subject.trim())),
            Some(set) => {
                let set = text_of(set)?;
                Ok(Value::text(subject.trim_matches(|letter: char| set.contains(letter))))
            }
        },
        B::Upper => made(subject.chars().map(upper).collect(), run),
        B::Lower => made(subject.chars().map(lower).collect(), run),
        B::Split | B::SplitAfter => split(builtin, arguments, run),
        B::Replace => replace(arguments, run),
        B::IndexOf => Ok(at(subject.find(&**text_of(argument(1))?))),
        B::LastIndexOf => Ok(at(subject.rfind(&**text_of(argument(1))?))),
        B::HasPrefix => Ok(Value::Bool(subject.starts_with(&**text_of(argument(1))?))),
        B::HasSuffix => Ok(Value::Bool(subject.ends_with(&**text_of(argument(1))?))),
        B::FromJson => from_json(subject),
        B::ToBase64 => made(STANDARD.encode(subject.as_bytes()), run),
        B::FromBase64 => from_base64(subject, run),
        _ => Ok(Value::Nil),
    }
}

/// The affix, a blank unless it is given, is looked at before the text.
fn trim_affix(builtin: Builtin, text: &Value, affix: Option<&Value>) -> Result<Value, Fault> {
    let affix = affix.map(text_of).transpose()?.map_or(" ", |affix| affix);
    let text = text_of(text)?;
    let prefix = builtin == Builtin::TrimPrefix;
    let rest = if prefix { text.strip_prefix(affix) } else { text.strip_suffix(affix) };
    Ok(Value::text(rest.unwrap_or(text)))
}

/// One letter for one letter: what would become several stays as it is.
fn upper(letter: char) -> char {
    let mut upper = letter.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

fn lower(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

fn to_json(value: &Value, run: &mut Run<'_>) -> Result<Value, Fault> {
    match text::json(value, run.text_left()) {
        Ok(text) => made(text, run),
        Err(NoJson::TooLong) => Err(Fault::too_large("the expression makes too much text")),
        Err(NoJson::Unsupported(message)) => Err(Fault::invalid(message)),
    }
}

fn from_json(text: &str) -> Result<Value, Fault> {
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|error| Fault::invalid(format!("invalid JSON: {error}")))?;
    Value::from_json(&json).map_err(|_| Fault::too_large("the JSON is nested too deeply or too large"))
}

fn from_base64(text: &str, run: &mut Run<'_>) -> Result<Value, Fault> {
    // Go skips line breaks.
    let text = text.replace(['\r', '\n'], "");
    let bytes =
        STANDARD.decode(text).map_err(|error| Fault::invalid(format!("illegal base64 data: {error}")))?;
    let text =
        String::from_utf8(bytes).map_err(|_| Fault::invalid("the decoded bytes are no UTF-8".to_owned()))?;
    made(text, run)
}

fn join(arguments: &[Value], run: &mut Run<'_>) -> Result<Value, Fault> {
    let glue = arguments.get(1).map(text_of).transpose()?.map_or("", |glue| glue);
    let list = match arguments.first() {
        Some(Value::List(list)) if matches!(list.kind, ListKind::Any | ListKind::Text) => list,
        other => {
            let name =
                other.filter(|other| !matches!(other, Value::Nil)).map_or("%!s(<nil>)", Value::type_name);
            return Err(Fault::wrong_type(format!("invalid argument for join (type {name})")));
        }
    };
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        let item = text_of(&item)?.clone();
        if joined.len() + glue.len() + item.len() > run.text_left() {
            return Err(Fault::too_large("the expression makes too much text"));
        }
        if index > 0 {
            joined.push_str(glue);
        }
        joined.push_str(&item);
    }
    made(joined, run)
}

fn repeat(text: &Value, count: &Value, run: &mut Run<'_>) -> Result<Value, Fault> {
    let count = to_int(count)?;
    if count > REPEAT_MAX {
        return Err(Fault::too_large("memory budget exceeded"));
    }
    let text = text_of(text)?;
    let Ok(count) = usize::try_from(count) else {
        return Err(Fault::invalid("strings: negative Repeat count".to_owned()));
    };
    run.grow_text(text.len().saturating_mul(count))?;
    Ok(Value::Text(text.repeat(count).into()))
}

fn replace(arguments: &[Value], run: &mut Run<'_>) -> Result<Value, Fault> {
    let [text, from, to, rest @ ..] = arguments else { return Ok(Value::Nil) };
    // The count is looked at last, but all texts before any work is done.
    let (text, from, to) = (text_of(text)?, text_of(from)?, text_of(to)?);
    let count = rest
        .first()
        .map(to_int)
        .transpose()?
        .map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let found = if from.is_empty() { text.chars().count() + 1 } else { text.matches(&**from).count() };
    run.grow_text(text.len().saturating_add(found.min(count).saturating_mul(to.len())))?;
    Ok(Value::text(&text.replacen(&**from, to, count)))
}

fn split(builtin: Builtin, arguments: &[Value], run: &mut Run<'_>) -> Result<Value, Fault> {
    let [text, separator, rest @ ..] = arguments else { return Ok(Value::Nil) };
    let (text, separator) = (text_of(text)?, text_of(separator)?);
    let count = rest.first().map(to_int).transpose()?.unwrap_or(-1);
    if count == 0 {
        return Ok(Value::List(List::nil(ListKind::Text)));
    }
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let pieces: Vec<&str> = if separator.is_empty() {
        // Between all letters, without the empty texts at the ends.
        let mut ends: Vec<usize> = text.char_indices().map(|(at, _)| at).take(limit).collect();
        ends.push(text.len());
        ends.windows(2).filter_map(|pair| text.get(*pair.first()?..*pair.get(1)?)).collect()
    } else {
        text.splitn(limit, &**separator).collect()
    };
    let last = pieces.len().saturating_sub(1);
    let mut items = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.into_iter().enumerate() {
        let with_separator = builtin == Builtin::SplitAfter && index < last;
        let item: Arc<str> =
            if with_separator { [piece, &**separator].concat().into() } else { piece.into() };
        run.grow_text(item.len())?;
        run.step(1)?;
        items.push(Value::Text(item));
    }
    Run::list(ListKind::Text, items)
}
