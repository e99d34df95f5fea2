//! Wire bytes to JSON text, in one pass per message to find the fields and one in the order of declaration to print
//! them. Nothing is allocated per field; one scratch vector holds the places of the fields of all open messages.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::map_key::MapKey;
use super::super::read::{Field, Fields, Flaw, Malformed, Packed, Raw, zigzag};
use super::super::schema::{EnumId, Form, Kind, Message, MessageId, Shape, Slot, Tables, Type};
use super::{Names, Style, number, time};

/// Messages that are printed within each other. Above what anything here writes and what prost decodes, so that only
/// bytes from elsewhere can meet it.
const PRINT_DEPTH_MAX_LEVELS: usize = 120;
/// Map entries up to which a later entry with the same key is looked for by comparing instead of by hashing.
const MAP_SCAN_MAX_ENTRIES: u32 = 16;

pub(super) fn encode(ty: &Type, bytes: &[u8], style: &Style, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let length = out.len();
    let mut encoder = Encoder { tables: ty.tables(), style: *style, out, places: Vec::new(), depth: 0 };
    let result = encoder.message(ty.id(), bytes);
    if result.is_err() {
        out.truncate(length);
    }
    result
}

/// Where the occurrences of one field are in the bytes of its message.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Where the first occurrence that counts starts.
    first: usize,
    /// Where the last occurrence starts.
    last: usize,
    /// Where the last occurrence ends.
    end: usize,
    count: u32,
}

struct Encoder<'a> {
    tables: &'a Tables,
    style: Style,
    out: &'a mut Vec<u8>,
    places: Vec<Place>,
    depth: usize,
}

impl<'a> Encoder<'a> {
    fn message(&mut self, id: MessageId, bytes: &[u8]) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > PRINT_DEPTH_MAX_LEVELS {
            return Err(Malformed { flaw: Flaw::Depth, offset: 0 });
        }
        let message = self.tables.message(id);
        match message.form {
            Form::Plain => self.object(message, bytes),
            Form::Timestamp => self.seconds_and_nanos(bytes, time::write_timestamp),
            Form::Duration => self.seconds_and_nanos(bytes, time::write_duration),
            Form::FieldMask => self.field_mask(bytes),
            Form::Struct => self.only_field(message, bytes, b"{}"),
            Form::ListValue => self.only_field(message, bytes, b"[]"),
            Form::Value => self.value(message, bytes),
            Form::Any => self.any(bytes),
            Form::Wrapper(kind) => self.wrapper(kind, bytes),
        }?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self, message: &'a Message, bytes: &[u8]) -> Result<(), Malformed> {
        self.out.push(b'{');
        self.members(message, bytes, true)?;
        self.out.push(b'}');
        Ok(())
    }

    /// The fields of a message without the brackets; `first` says that no member is printed yet.
    fn members(&mut self, message: &'a Message, bytes: &[u8], mut first: bool) -> Result<(), Malformed> {
        let base = self.places.len();
        self.find(message, bytes)?;
        for (i, slot) in message.fields.iter().enumerate() {
            let place = self.places.get(base + i).copied().unwrap_or_default();
            if place.count == 0 {
                if self.style.defaults {
                    self.unset(slot, &mut first);
                }
                continue;
            }
            match slot.shape {
                Shape::List { .. } => {
                    self.name(slot, &mut first);
                    self.list(slot, bytes, place)?;
                }
                Shape::Map { key, value } => {
                    self.name(slot, &mut first);
                    self.map(slot, key, value, bytes, place)?;
                }
                Shape::Plain | Shape::Optional | Shape::Arm(_) => {
                    self.singular(slot, bytes, place, &mut first)?;
                }
            }
        }
        self.places.truncate(base);
        Ok(())
    }

    /// Notes the places of all fields of `message` on top of `places`, one for each field and one for each oneof.
    fn find(&mut self, message: &Message, bytes: &[u8]) -> Result<(), Malformed> {
        let base = self.places.len();
        self.places.resize(base + message.fields.len() + message.oneofs.len(), Place::default());
        let Some((places, oneofs)) =
            self.places.get_mut(base..).and_then(|places| places.split_at_mut_checked(message.fields.len()))
        else {
            return Ok(());
        };
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.read()? {
            let Some((i, slot)) = message.field_by_number(field.number) else { continue };
            if let Shape::Arm(oneof) = slot.shape
                && let Some(current) = oneofs.get_mut(oneof)
            {
                // `first` of a oneof's place is the member that is set now. Another member unsets it.
                if current.count > 0
                    && current.first != i
                    && let Some(other) = places.get_mut(current.first)
                {
                    *other = Place::default();
                }
                *current = Place { first: i, count: 1, ..Place::default() };
            }
            if let Some(place) = places.get_mut(i) {
                if place.count == 0 {
                    place.first = field.start;
                }
                place.last = field.start;
                place.end = field.end;
                place.count = place.count.saturating_add(1);
            }
        }
        Ok(())
    }

    #[inline]
    fn name(&mut self, slot: &Slot, first: &mut bool) {
        if !*first {
            self.out.push(b',');
        }
        *first = false;
        let key = match self.style.names {
            Names::Json => &slot.json_key,
            Names::Proto => &slot.proto_key,
        };
        self.out.extend_from_slice(key);
    }

    fn unset(&mut self, slot: &Slot, first: &mut bool) {
        match slot.shape {
            Shape::Arm(_) | Shape::Optional => {}
            // `null` is a value of this type and would be read back as one.
            Shape::Plain if self.tables.form(slot.kind) == Some(Form::Value) => {}
            Shape::List { .. } => {
                self.name(slot, first);
                self.out.extend_from_slice(b"[]");
            }
            Shape::Map { .. } => {
                self.name(slot, first);
                self.out.extend_from_slice(b"{}");
            }
            Shape::Plain => {
                self.name(slot, first);
                self.zero(slot.kind);
            }
        }
    }

    fn zero(&mut self, kind: Kind) {
        match kind {
            Kind::Message(_) => self.out.extend_from_slice(b"null"),
            Kind::Bool => self.out.extend_from_slice(b"false"),
            Kind::String | Kind::Bytes => self.out.extend_from_slice(b"\"\""),
            Kind::Enum(id) => self.enumeration(id, self.tables.enumeration(id).map_or(0, |e| e.zero())),
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
                self.out.extend_from_slice(b"\"0\"");
            }
            _ => self.out.push(b'0'),
        }
    }

    fn singular(
        &mut self,
        slot: &Slot,
        bytes: &[u8],
        place: Place,
        first: &mut bool,
    ) -> Result<(), Malformed> {
        let Some(field) = Fields::between(bytes, place.last, place.end).read()? else {
            return Ok(());
        };
        if let Kind::Message(id) = slot.kind {
            let content = message_content(&field)?;
            self.name(slot, first);
            if place.count > 1 {
                // Several occurrences of a message merge, which is what their concatenation means.
                let merged = concatenate(bytes, slot.number, place)?;
                return self.message(id, &merged);
            }
            return self.message(id, content);
        }
        if slot.shape == Shape::Plain && !self.style.defaults && is_zero(&field.raw) {
            return Ok(());
        }
        self.name(slot, first);
        self.scalar(slot.kind, &field.raw, field.start)
    }

    fn list(&mut self, slot: &Slot, bytes: &[u8], place: Place) -> Result<(), Malformed> {
        self.out.push(b'[');
        let mut fields = Fields::between(bytes, place.first, place.end);
        let mut first = true;
        let wanted = slot.kind.wire_type();
        while let Some(field) = fields.read()? {
            if field.number != slot.number {
                continue;
            }
            match (slot.kind, field.raw) {
                (Kind::Message(id), Raw::Len(content)) => {
                    self.comma(&mut first);
                    self.message(id, content)?;
                }
                (_, Raw::Len(run)) if wanted != 2 => {
                    let mut packed = Packed::new(run, wanted);
                    while let Some(raw) = packed.read()? {
                        self.comma(&mut first);
                        self.scalar(slot.kind, &raw, field.start)?;
                    }
                }
                _ => {
                    self.comma(&mut first);
                    self.scalar(slot.kind, &field.raw, field.start)?;
                }
            }
        }
        self.out.push(b']');
        Ok(())
    }

    #[inline]
    fn comma(&mut self, first: &mut bool) {
        if !*first {
            self.out.push(b',');
        }
        *first = false;
    }

    fn map(
        &mut self,
        slot: &Slot,
        key: Kind,
        value: Kind,
        bytes: &[u8],
        place: Place,
    ) -> Result<(), Malformed> {
        self.out.push(b'{');
        let mut fields = Fields::between(bytes, place.first, place.end);
        let mut first = true;
        // With many entries, where the last entry of each key starts; with few, they are compared.
        let mut last: Option<HashMap<MapKey<'_>, usize>> = None;
        if place.count > MAP_SCAN_MAX_ENTRIES {
            let mut table = HashMap::new();
            let mut entries = fields.clone();
            while let Some(field) = entries.read()? {
                if field.number == slot.number {
                    table.insert(MapKey::of(message_content(&field)?, key)?, field.start);
                }
            }
            last = Some(table);
        }
        while let Some(field) = fields.read()? {
            if field.number != slot.number {
                continue;
            }
            let entry = message_content(&field)?;
            if place.count > 1 {
                let this = MapKey::of(entry, key)?;
                let overridden = match &last {
                    Some(table) => table.get(&this) != Some(&field.start),
                    None => has_key(fields.clone(), slot.number, key, &this)?,
                };
                if overridden {
                    continue;
                }
            }
            self.comma(&mut first);
            self.entry(entry, key, value)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// One member of a JSON object from one map entry: key is field 1, value is field 2, each may be left out.
    fn entry(&mut self, entry: &[u8], key: Kind, value: Kind) -> Result<(), Malformed> {
        let mut fields = Fields::new(entry);
        let mut key_field = None;
        let mut value_place = Place::default();
        while let Some(field) = fields.read()? {
            match field.number {
                1 => key_field = Some(field),
                2 => {
                    if value_place.count == 0 {
                        value_place.first = field.start;
                    }
                    value_place = Place {
                        last: field.start,
                        end: field.end,
                        count: value_place.count.saturating_add(1),
                        ..value_place
                    };
                }
                _ => {}
            }
        }
        let quoted = matches!(key, Kind::String)
            || matches!(key, Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64);
        if !quoted {
            self.out.push(b'"');
        }
        match key_field {
            Some(field) => self.scalar(key, &field.raw, field.start)?,
            None => self.zero(key),
        }
        if !quoted {
            self.out.push(b'"');
        }
        self.out.push(b':');
        let last = Fields::between(entry, value_place.last, value_place.end).read()?;
        match (value, last) {
            (Kind::Message(id), None) => self.message(id, &[]),
            (Kind::Message(id), Some(field)) => {
                let content = message_content(&field)?;
                if value_place.count > 1 {
                    let merged = concatenate(entry, 2, value_place)?;
                    return self.message(id, &merged);
                }
                self.message(id, content)
            }
            (_, None) => {
                self.zero(value);
                Ok(())
            }
            (_, Some(field)) => self.scalar(value, &field.raw, field.start),
        }
    }

    #[inline]
    fn scalar(&mut self, kind: Kind, raw: &Raw<'_>, offset: usize) -> Result<(), Malformed> {
        match (kind, *raw) {
            (Kind::String, Raw::Len(text)) => {
                let text = std::str::from_utf8(text).map_err(|_| Malformed { flaw: Flaw::Utf8, offset })?;
                write_string(self.out, text);
            }
            (Kind::Bool, Raw::Varint(v)) => {
                self.out.extend_from_slice(if v == 0 { b"false" } else { b"true" });
            }
            (Kind::Enum(id), Raw::Varint(v)) => self.enumeration(id, v as i32),
            (Kind::Int32, Raw::Varint(v)) => number::write_i64(self.out, i64::from(v as i32)),
            (Kind::Uint32, Raw::Varint(v)) => number::write_u64(self.out, u64::from(v as u32)),
            (Kind::Sint32, Raw::Varint(v)) => {
                number::write_i64(self.out, i64::from(zigzag(u64::from(v as u32)) as i32));
            }
            (Kind::Fixed32, Raw::Fixed32(v)) => number::write_u64(self.out, u64::from(v)),
            (Kind::Sfixed32, Raw::Fixed32(v)) => number::write_i64(self.out, i64::from(v as i32)),
            (Kind::Int64, Raw::Varint(v)) => self.quoted(|out| number::write_i64(out, v as i64)),
            (Kind::Uint64, Raw::Varint(v)) => self.quoted(|out| number::write_u64(out, v)),
            (Kind::Sint64, Raw::Varint(v)) => self.quoted(|out| number::write_i64(out, zigzag(v))),
            (Kind::Fixed64, Raw::Fixed64(v)) => self.quoted(|out| number::write_u64(out, v)),
            (Kind::Sfixed64, Raw::Fixed64(v)) => self.quoted(|out| number::write_i64(out, v as i64)),
            (Kind::Double, Raw::Fixed64(v)) => number::write_f64(self.out, f64::from_bits(v)),
            (Kind::Float, Raw::Fixed32(v)) => number::write_f32(self.out, f32::from_bits(v)),
            (Kind::Bytes, Raw::Len(content)) => self.base64(content),
            _ => return Err(Malformed { flaw: Flaw::WireType, offset }),
        }
        Ok(())
    }

    fn quoted(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    fn base64(&mut self, content: &[u8]) {
        self.out.push(b'"');
        let start = self.out.len();
        self.out.resize(start + content.len().div_ceil(3) * 4, 0);
        let written = self
            .out
            .get_mut(start..)
            .and_then(|place| STANDARD.encode_slice(content, place).ok())
            .unwrap_or_default();
        self.out.truncate(start + written);
        self.out.push(b'"');
    }

    fn enumeration(&mut self, id: EnumId, number: i32) {
        let Some(each) = self.tables.enumeration(id) else { return };
        if each.is_null {
            self.out.extend_from_slice(b"null");
            return;
        }
        match each.name(number) {
            Some(name) => {
                self.out.push(b'"');
                self.out.extend_from_slice(name.as_bytes());
                self.out.push(b'"');
            }
            None => number::write_i64(self.out, i64::from(number)),
        }
    }

    fn seconds_and_nanos(
        &mut self,
        bytes: &[u8],
        write: fn(&mut Vec<u8>, i64, i32) -> bool,
    ) -> Result<(), Malformed> {
        let (seconds, nanos) = time::read(bytes)?;
        self.out.push(b'"');
        if !write(self.out, seconds, nanos) {
            return Err(Malformed { flaw: Flaw::Range, offset: 0 });
        }
        self.out.push(b'"');
        Ok(())
    }

    /// Paths in camelCase, except those that would not come back the same.
    fn field_mask(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut joined = String::new();
        let mut fields = Fields::new(bytes);
        let mut first = true;
        while let Some(field) = fields.read()? {
            let (1, Raw::Len(path)) = (field.number, field.raw) else { continue };
            let offset = field.start;
            let path = std::str::from_utf8(path).map_err(|_| Malformed { flaw: Flaw::Utf8, offset })?;
            if !first {
                joined.push(',');
            }
            first = false;
            camel_case(&mut joined, path);
        }
        write_string(self.out, &joined);
        Ok(())
    }

    /// `Struct` and `ListValue`: the value of their one field.
    fn only_field(&mut self, message: &Message, bytes: &[u8], empty: &[u8]) -> Result<(), Malformed> {
        let base = self.places.len();
        self.find(message, bytes)?;
        let place = self.places.get(base).copied().unwrap_or_default();
        self.places.truncate(base);
        match message.fields.first() {
            Some(slot) if place.count > 0 => match slot.shape {
                Shape::Map { key, value } => self.map(slot, key, value, bytes, place),
                _ => self.list(slot, bytes, place),
            },
            _ => {
                self.out.extend_from_slice(empty);
                Ok(())
            }
        }
    }

    /// `google.protobuf.Value`: the member of its oneof that came last; none of them is `null`.
    fn value(&mut self, message: &Message, bytes: &[u8]) -> Result<(), Malformed> {
        let base = self.places.len();
        self.find(message, bytes)?;
        let set = message.fields.iter().enumerate().find_map(|(i, slot)| {
            let place = self.places.get(base + i).copied()?;
            (place.count > 0).then_some((slot, place))
        });
        self.places.truncate(base);
        let Some((slot, place)) = set else {
            self.out.extend_from_slice(b"null");
            return Ok(());
        };
        let Some(field) = Fields::between(bytes, place.last, place.end).read()? else { return Ok(()) };
        match slot.kind {
            Kind::Message(id) if place.count > 1 => {
                let merged = concatenate(bytes, slot.number, place)?;
                self.message(id, &merged)
            }
            Kind::Message(id) => self.message(id, message_content(&field)?),
            Kind::Double => match field.raw {
                Raw::Fixed64(bits) if !f64::from_bits(bits).is_finite() => {
                    Err(Malformed { flaw: Flaw::Number, offset: field.start })
                }
                _ => self.scalar(slot.kind, &field.raw, field.start),
            },
            _ => self.scalar(slot.kind, &field.raw, field.start),
        }
    }

    fn wrapper(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), Malformed> {
        let mut last = None;
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.read()? {
            if field.number == 1 {
                last = Some(field);
            }
        }
        match last {
            Some(field) => self.scalar(kind, &field.raw, field.start),
            None => {
                self.zero(kind);
                Ok(())
            }
        }
    }

    fn any(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let (mut url, mut content) = (&[][..], &[][..]);
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.read()? {
            match (field.number, field.raw) {
                (1, Raw::Len(text)) => url = text,
                (2, Raw::Len(value)) => content = value,
                (1 | 2, _) => return Err(Malformed { flaw: Flaw::WireType, offset: field.start }),
                _ => {}
            }
        }
        let url = std::str::from_utf8(url).map_err(|_| Malformed { flaw: Flaw::Utf8, offset: 0 })?;
        if url.is_empty() && content.is_empty() {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        self.out.extend_from_slice(b"{\"@type\":");
        write_string(self.out, url);
        let id = url.rsplit_once('/').and_then(|(_, name)| self.tables.find(name));
        match id.map(|id| (id, self.tables.message(id))) {
            Some((_, message)) if message.form == Form::Plain => self.members(message, content, false)?,
            Some((id, _)) => {
                self.out.extend_from_slice(b",\"value\":");
                self.message(id, content)?;
            }
            None => {
                self.out.extend_from_slice(b",\"value\":");
                self.base64(content);
            }
        }
        self.out.push(b'}');
        Ok(())
    }
}

fn message_content<'b>(field: &Field<'b>) -> Result<&'b [u8], Malformed> {
    match field.raw {
        Raw::Len(content) => Ok(content),
        _ => Err(Malformed { flaw: Flaw::WireType, offset: field.start }),
    }
}

fn concatenate(bytes: &[u8], number: u32, place: Place) -> Result<Vec<u8>, Malformed> {
    let mut merged = Vec::with_capacity(place.end.saturating_sub(place.first));
    let mut fields = Fields::between(bytes, place.first, place.end);
    while let Some(field) = fields.read()? {
        if field.number == number {
            merged.extend_from_slice(message_content(&field)?);
        }
    }
    Ok(merged)
}

fn is_zero(raw: &Raw<'_>) -> bool {
    match *raw {
        Raw::Varint(v) | Raw::Fixed64(v) => v == 0,
        Raw::Fixed32(v) => v == 0,
        Raw::Len(content) => content.is_empty(),
        Raw::Group => false,
    }
}

fn has_key(mut later: Fields<'_>, number: u32, kind: Kind, key: &MapKey<'_>) -> Result<bool, Malformed> {
    while let Some(field) = later.read()? {
        if field.number == number && MapKey::of(message_content(&field)?, kind)? == *key {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A mask path in camelCase, unless it has parts that are not plain lower snake case: map keys in back-ticks and
/// names that are camelCase already stay as they are.
fn camel_case(out: &mut String, path: &str) {
    let plain =
        path.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.'));
    let mut upper = false;
    for c in path.chars() {
        match c {
            '_' if plain => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
}

/// A JSON string with its quotes. Nothing but `"`, `\` and control characters is escaped.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(stop) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') {
        let (plain, after) = rest.split_at(stop);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = after.split_first() else { break };
        rest = after;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => {
                let hex = |digit: u8| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
