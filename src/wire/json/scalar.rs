//! The text of one scalar, time or mask to its wire bytes: shared by JSON and by parameters. Every writer appends only
//! the value, without a tag.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::super::schema::{EnumId, Form, Kind, Tables};
use super::super::{mask, write};
use super::number::{self, NotWhole};
use super::text::{Result, fault};
use super::time::NotTime;
use super::{Reason, quote};

pub(super) fn enum_number(tables: &Tables, id: EnumId, name: &str, at: usize) -> Result<i32> {
    let each = tables.enumeration(id);
    match each.and_then(|each| each.number(name)) {
        Some(number) => Ok(number),
        None => {
            let names = each.map(|each| each.sample()).unwrap_or_default();
            let message = format!("{:?} is not one of {names}", quote(name));
            fault(at, Reason::UnknownEnumValue, message)
        }
    }
}

/// Writes a whole number of any of the ten integer kinds from its decimal text, and says whether it is zero.
pub(super) fn write_integer(out: &mut Vec<u8>, kind: Kind, text: &str, at: usize) -> Result<bool> {
    let value = match number::integer(text) {
        Ok(value) => value,
        Err(NotWhole::Range) => return out_of_range(text, at),
        Err(NotWhole::Fraction) => {
            return fault(at, Reason::BadFormat, format!("{} is not a whole number", quote(text)));
        }
        Err(NotWhole::Syntax) => {
            return fault(at, Reason::BadFormat, format!("{:?} is not a whole number", quote(text)));
        }
    };
    let range =
        |low: i128, high: i128| if (low..=high).contains(&value) { Ok(()) } else { out_of_range(text, at) };
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => range(i32::MIN.into(), i32::MAX.into())?,
        Kind::Uint32 | Kind::Fixed32 => range(0, u32::MAX.into())?,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => range(i64::MIN.into(), i64::MAX.into())?,
        _ => range(0, u64::MAX.into())?,
    }
    // In range, so the casts below keep the value.
    match kind {
        Kind::Sint32 | Kind::Sint64 => write::varint(out, write::zigzag(value as i64)),
        Kind::Fixed32 | Kind::Sfixed32 => out.extend_from_slice(&(value as u32).to_le_bytes()),
        Kind::Fixed64 | Kind::Sfixed64 => out.extend_from_slice(&(value as u64).to_le_bytes()),
        _ => write::varint(out, value as u64),
    }
    Ok(value == 0)
}

pub(super) fn out_of_range<T>(text: &str, at: usize) -> Result<T> {
    fault(at, Reason::OutOfRange, format!("{} is out of range for this field", quote(text)))
}

/// Writes a double or float from a JSON number's text or one of the three names, and says whether it is zero.
pub(super) fn write_float(out: &mut Vec<u8>, kind: Kind, text: &str, at: usize) -> Result<bool> {
    let named = match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    };
    if named.is_none() && !number::is_json_number(text) {
        return fault(at, Reason::BadFormat, format!("{:?} is not a number", quote(text)));
    }
    let not_a_number = |_| ();
    if kind == Kind::Float {
        let value = match named {
            Some(value) => Ok(value as f32),
            None => text.parse::<f32>().map_err(not_a_number),
        };
        return match value {
            Ok(value) if named.is_some() || value.is_finite() => {
                out.extend_from_slice(&value.to_le_bytes());
                Ok(value.to_bits() == 0)
            }
            _ => out_of_range(text, at),
        };
    }
    let value = match named {
        Some(value) => Ok(value),
        None => text.parse::<f64>().map_err(not_a_number),
    };
    match value {
        Ok(value) if named.is_some() || value.is_finite() => {
            out.extend_from_slice(&value.to_le_bytes());
            Ok(value.to_bits() == 0)
        }
        _ => out_of_range(text, at),
    }
}

/// A number in free-form JSON. A whole number that a double would change is refused rather than changed.
pub(super) fn write_exact_double(out: &mut Vec<u8>, text: &str, at: usize) -> Result<()> {
    match text.parse::<f64>() {
        Ok(value) if !number::is_exact_double(text, value) => {
            let message = format!(
                "{} cannot be kept exactly, because numbers in free-form JSON are doubles; write it as a string",
                quote(text)
            );
            fault(at, Reason::Inexact, message)
        }
        Ok(value) if value.is_finite() => {
            out.extend_from_slice(&value.to_le_bytes());
            Ok(())
        }
        _ => out_of_range(text, at),
    }
}

/// Both alphabets, with or without padding. What the last character carries beyond the last byte is ignored, as Go does.
const BASE64: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64_STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, BASE64);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, BASE64);

/// Writes bytes with their length, and says whether there are none.
pub(super) fn write_base64(out: &mut Vec<u8>, text: &str, at: usize) -> Result<bool> {
    let engine = if text.contains(['-', '_']) { BASE64_URL } else { BASE64_STANDARD };
    match engine.decode(text) {
        Ok(content) => {
            write::varint(out, content.len() as u64);
            out.extend_from_slice(&content);
            Ok(content.is_empty())
        }
        Err(_) => fault(at, Reason::BadFormat, "this is not base64"),
    }
}

pub(super) fn write_seconds_and_nanos(out: &mut Vec<u8>, seconds: i64, nanos: i32) {
    if seconds != 0 {
        write::tag(out, 1, 0);
        write::varint(out, seconds as u64);
    }
    if nanos != 0 {
        write::tag(out, 2, 0);
        write::varint(out, i64::from(nanos) as u64);
    }
}

pub(super) fn time_fault<T>(wrong: NotTime, form: Form, text: &str, at: usize) -> Result<T> {
    let text = quote(text);
    match (wrong, form) {
        (NotTime::Format, Form::Timestamp) => {
            let message = format!("{text:?} is not an RFC 3339 timestamp such as \"2026-01-05T09:30:00Z\"");
            fault(at, Reason::BadFormat, message)
        }
        (NotTime::Format, _) => {
            fault(at, Reason::BadFormat, format!("{text:?} is not a duration such as \"3600s\""))
        }
        (NotTime::Range, Form::Timestamp) => {
            fault(at, Reason::OutOfRange, format!("{text:?} is not a time of the years 0001 to 9999"))
        }
        (NotTime::Range, _) => fault(at, Reason::OutOfRange, format!("{text:?} is longer than 10 000 years")),
    }
}

/// Comma-separated paths, each kept as it was written: a mask does not say which message it is for, and turning
/// camelCase to snake_case would change the map keys in it. [`super::super::mask::Mask`] takes both spellings.
pub(super) fn write_field_mask(out: &mut Vec<u8>, text: &str, at: usize) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    for path in mask::split(text) {
        if path.is_empty() {
            return fault(at, Reason::BadMask, "a path of the field mask is empty");
        }
        write::delimited(out, 1, path.as_bytes());
    }
    Ok(())
}
