//! A check of untrusted message bytes before anything decodes them: structure, wire types, UTF-8, depth, and that
//! every part can be printed as JSON. What passes here can be stored and will come back from [`super::json::encode`].

use super::json::{is_duration, is_timestamp, read_time};
use super::read::{Field, Fields, Flaw, Malformed, Packed, Raw};
use super::schema::{Form, Kind, MessageId, Shape, Tables, Type};

/// Reads over `bytes` as a message of type `ty` without building anything. `max_depth` counts nested messages, the
/// outermost as one, map entries included; prost itself refuses more than 101.
pub fn check(ty: &Type, bytes: &[u8], max_depth: usize) -> Result<(), Malformed> {
    message(ty.tables(), ty.id(), bytes, max_depth)
}

/// Recursion is bounded by `levels_left`.
fn message(tables: &Tables, id: MessageId, bytes: &[u8], levels_left: usize) -> Result<(), Malformed> {
    let Some(levels_left) = levels_left.checked_sub(1) else {
        return Err(Malformed { flaw: Flaw::Depth, offset: 0 });
    };
    let message = tables.message(id);
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.read()? {
        let Some((_, slot)) = message.field_by_number(field.number) else { continue };
        let list = matches!(slot.shape, Shape::List { .. });
        value(tables, slot.kind, list, &field, levels_left)?;
        if message.form == Form::Value
            && let (Kind::Double, Raw::Fixed64(bits)) = (slot.kind, field.raw)
            && !f64::from_bits(bits).is_finite()
        {
            return Err(Malformed { flaw: Flaw::Number, offset: field.start });
        }
    }
    let fits = match message.form {
        Form::Timestamp => is_timestamp,
        Form::Duration => is_duration,
        Form::Any => return packed_message(tables, bytes, levels_left),
        _ => return Ok(()),
    };
    let (seconds, nanos) = read_time(bytes)?;
    if fits(seconds, nanos) { Ok(()) } else { Err(Malformed { flaw: Flaw::Range, offset: 0 }) }
}

/// The message in an `Any`, when its type is known; what is not known is printed as base64, whatever it is.
fn packed_message(tables: &Tables, bytes: &[u8], levels_left: usize) -> Result<(), Malformed> {
    let (mut url, mut content) = (&[][..], &[][..]);
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.read()? {
        match (field.number, field.raw) {
            (1, Raw::Len(text)) => url = text,
            (2, Raw::Len(value)) => content = value,
            _ => {}
        }
    }
    let id = std::str::from_utf8(url)
        .ok()
        .and_then(|url| url.rsplit_once('/'))
        .and_then(|(_, name)| tables.find(name));
    id.map_or(Ok(()), |id| message(tables, id, content, levels_left))
}

fn value(
    tables: &Tables,
    kind: Kind,
    list: bool,
    field: &Field<'_>,
    levels_left: usize,
) -> Result<(), Malformed> {
    let wrong = Malformed { flaw: Flaw::WireType, offset: field.start };
    match (kind, field.raw) {
        (Kind::Message(id), Raw::Len(content)) => message(tables, id, content, levels_left),
        (Kind::String, Raw::Len(text)) => match std::str::from_utf8(text) {
            Ok(_) => Ok(()),
            Err(_) => Err(Malformed { flaw: Flaw::Utf8, offset: field.start }),
        },
        (Kind::Bytes, Raw::Len(_)) => Ok(()),
        (Kind::Message(_) | Kind::String | Kind::Bytes, _) => Err(wrong),
        (_, Raw::Len(run)) if list => {
            let mut packed = Packed::new(run, kind.wire_type());
            while packed.read()?.is_some() {}
            Ok(())
        }
        (_, raw) if raw.wire_type() == kind.wire_type() => Ok(()),
        _ => Err(wrong),
    }
}
