//! Query and path parameters as wire bytes, by grpc-gateway's rules: dotted paths in either spelling, lists by
//! repetition, `map[key]`, masks with commas, and text forms for the well-known types. Which fields a request may set
//! this way (not those of the path or the body) is the caller's business.

use std::collections::{BTreeMap, BTreeSet};
use std::num::IntErrorKind;

use super::super::schema::{Form, Kind, MessageId, Shape, Slot, Type};
use super::super::write;
use super::scalar::{
    enum_number, out_of_range, time_fault, write_base64, write_field_mask, write_float, write_integer,
    write_seconds_and_nanos,
};
use super::text::{Result, fault};
use super::{Error, Reading, Reason, quote, time};

/// Segments of a dotted name; each becomes a nested message.
const PARAMETER_PATH_MAX_SEGMENTS: usize = 32;

/// Collects the parameters of one request. The bytes may be appended to those of a body: messages merge and scalars
/// are overridden, zeros included.
#[derive(Debug)]
pub struct Parameters {
    ty: Type,
    out: Vec<u8>,
    /// Singular fields and map keys that have a value, as paths of numbers.
    set: BTreeSet<String>,
    /// Which member of each oneof is set, by the path of its message.
    arms: BTreeMap<(String, usize), u32>,
}

impl Parameters {
    /// Parameters for a request of type `ty`.
    pub fn new(ty: &Type) -> Self {
        Self { ty: ty.clone(), out: Vec::new(), set: BTreeSet::new(), arms: BTreeMap::new() }
    }

    /// Adds one parameter, already percent-decoded. An unknown name is [`Reason::UnknownField`], which a caller may choose
    /// to ignore; nothing is changed by a parameter that is refused.
    pub fn set(&mut self, name: &str, value: &str) -> std::result::Result<(), Error> {
        self.add(name, value).map_err(|fault| Error {
            path: quote(name),
            line: 0,
            column: 0,
            reason: fault.reason,
            message: fault.message,
        })
    }

    /// The wire bytes of all parameters.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    fn add(&mut self, name: &str, value: &str) -> Result<()> {
        let (path, key) = match name.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
            Some((path, key)) => (path, Some(key)),
            None => (name, None),
        };
        let ty = self.ty.clone();
        let steps = resolve(&ty, path)?;
        let Some((last, parents)) = steps.split_last() else {
            return fault(0, Reason::UnknownField, "a parameter needs a name");
        };
        let mut bytes = Vec::new();
        let mut taken = steps.iter().map(|step| step.slot.number.to_string()).collect::<Vec<_>>().join(".");
        let is_list = matches!(last.slot.shape, Shape::List { .. });
        match (last.slot.shape, key) {
            (Shape::Map { key: key_kind, value: value_kind }, Some(key)) => {
                taken = format!("{taken}[{key}]");
                self.entry(&mut bytes, last.slot, (key_kind, key), (value_kind, value))?;
            }
            (Shape::Map { .. }, None) => {
                return fault(0, Reason::BadPath, "a map is given key by key, as name[key]=value");
            }
            (_, Some(_)) => return fault(0, Reason::BadPath, "only a map takes a key in brackets"),
            (_, None) => self.field(&mut bytes, last.slot.number, last.slot.kind, value)?,
        }
        let arms = self.free_arms(&steps)?;
        if !is_list && !self.set.insert(taken) {
            return fault(0, Reason::TooManyValues, "too many values");
        }
        self.arms.extend(arms);
        for parent in parents.iter().rev() {
            let inner = std::mem::take(&mut bytes);
            write::delimited(&mut bytes, parent.slot.number, &inner);
        }
        self.out.append(&mut bytes);
        Ok(())
    }

    /// The oneofs that this parameter sets, when none of them is set to another member.
    fn free_arms(&self, steps: &[Step<'_>]) -> Result<Vec<((String, usize), u32)>> {
        let mut path = String::new();
        let mut arms = Vec::new();
        for step in steps {
            if let Shape::Arm(oneof) = step.slot.shape {
                let place = (path.clone(), oneof);
                match self.arms.get(&place) {
                    Some(&other) if other != step.slot.number => {
                        return fault(0, Reason::OneofConflict, "field already set for oneof");
                    }
                    _ => arms.push((place, step.slot.number)),
                }
            }
            path.push_str(&step.slot.number.to_string());
            path.push('.');
        }
        Ok(arms)
    }

    fn entry(&self, out: &mut Vec<u8>, slot: &Slot, key: (Kind, &str), value: (Kind, &str)) -> Result<()> {
        let mut entry = Vec::new();
        self.field(&mut entry, 1, key.0, key.1)?;
        self.field(&mut entry, 2, value.0, value.1)?;
        write::delimited(out, slot.number, &entry);
        Ok(())
    }

    /// One field with its tag.
    fn field(&self, out: &mut Vec<u8>, number: u32, kind: Kind, text: &str) -> Result<()> {
        write::tag(out, number, kind.wire_type());
        match kind {
            Kind::Message(id) => {
                let open = write::open(out);
                self.message(out, id, text)?;
                open.close(out);
                Ok(())
            }
            kind => self.scalar(out, kind, text),
        }
    }

    fn scalar(&self, out: &mut Vec<u8>, kind: Kind, text: &str) -> Result<()> {
        match kind {
            Kind::String => {
                write::varint(out, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
            Kind::Bytes => drop(write_base64(out, text, 0)?),
            Kind::Bool => write::varint(out, u64::from(boolean(text)?)),
            Kind::Double | Kind::Float => drop(write_float(out, kind, &float(text), 0)?),
            Kind::Enum(id) => {
                let tables = self.ty.tables();
                let number = match text.parse::<i32>() {
                    Ok(number) if tables.enumeration(id).is_some_and(|e| e.name(number).is_some()) => number,
                    _ => enum_number(tables, id, text, 0)?,
                };
                write::varint(out, i64::from(number) as u64);
            }
            Kind::Message(_) => return unsupported(),
            _ => match text.parse::<i128>() {
                // By way of the number, because the text may have a plus sign or leading zeros.
                Ok(number) => drop(write_integer(out, kind, &number.to_string(), 0)?),
                Err(error) => return not_an_integer(text, error.kind()),
            },
        }
        Ok(())
    }

    fn message(&self, out: &mut Vec<u8>, id: MessageId, text: &str) -> Result<()> {
        match self.ty.tables().message(id).form {
            form @ (Form::Timestamp | Form::Duration) => {
                let parsed = match form {
                    Form::Timestamp => time::parse_timestamp(text),
                    _ => time::parse_duration(text).or_else(|_| time::parse_go_duration(text)),
                };
                match parsed {
                    Ok((seconds, nanos)) => {
                        write_seconds_and_nanos(out, seconds, nanos);
                        Ok(())
                    }
                    Err(wrong) => time_fault(wrong, form, text, 0),
                }
            }
            Form::FieldMask => write_field_mask(out, text, 0),
            Form::Wrapper(kind) => {
                write::tag(out, 1, kind.wire_type());
                self.scalar(out, kind, text)
            }
            Form::Struct | Form::Value | Form::ListValue => {
                let ty = self.ty.with_id(id);
                match super::decode(&ty, text.as_bytes(), &Reading::default(), out) {
                    Ok(_) => Ok(()),
                    Err(wrong) => fault(0, wrong.reason, wrong.message),
                }
            }
            Form::Plain | Form::Any => unsupported(),
        }
    }
}

/// The fields along a dotted name.
fn resolve<'t>(ty: &'t Type, path: &str) -> Result<Vec<Step<'t>>> {
    let tables = ty.tables();
    let mut steps: Vec<Step<'t>> = Vec::new();
    let mut id: MessageId = ty.id();
    for segment in path.split('.') {
        if steps.len() >= PARAMETER_PATH_MAX_SEGMENTS {
            return fault(0, Reason::TooDeep, "the name has too many segments");
        }
        if let Some(parent) = steps.last() {
            id = match (parent.slot.shape, parent.slot.kind) {
                (Shape::List { .. } | Shape::Map { .. }, _) => {
                    return fault(0, Reason::BadPath, "the path goes through a list or a map");
                }
                (_, Kind::Message(id)) if tables.message(id).form == Form::Plain => id,
                _ => return fault(0, Reason::BadPath, "the path goes through a field that has no fields"),
            };
        }
        let message = tables.message(id);
        match message.field_by_name(segment) {
            Some((_, slot)) => steps.push(Step { slot }),
            None => {
                return fault(0, Reason::UnknownField, format!("{} has no such field", message.name));
            }
        }
    }
    Ok(steps)
}

struct Step<'a> {
    slot: &'a Slot,
}

/// Whole numbers are decimal digits here, as `strconv.ParseInt` reads them; `1e1` and `1.0` are numbers of JSON's.
fn not_an_integer<T>(text: &str, why: &IntErrorKind) -> Result<T> {
    match why {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => out_of_range(text, 0),
        _ => fault(0, Reason::BadFormat, format!("{:?} is not a whole number", quote(text))),
    }
}

fn unsupported<T>() -> Result<T> {
    fault(0, Reason::UnsupportedType, "unsupported message type")
}

/// The spellings of Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Result<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => fault(0, Reason::BadFormat, format!("{:?} is not true or false", quote(text))),
    }
}

/// The names of what is not a number may have any case, as in Go; everything else is read by JSON's rules.
fn float(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        "nan" => "NaN".to_owned(),
        "inf" | "+inf" | "infinity" | "+infinity" => "Infinity".to_owned(),
        "-inf" | "-infinity" => "-Infinity".to_owned(),
        _ => text.to_owned(),
    }
}
