//! JSON text to wire bytes, in one pass, guided by the descriptors. Fields are written in the order in which they were
//! given, so the order of the keys of maps and free-form JSON is kept. Scalars that are zero are not written where
//! zero means unset; [`Decoded`] tells them from keys that were not there.

use std::borrow::Cow;
use std::collections::HashSet;

use super::super::MESSAGE_DEPTH_MAX_LEVELS;
use super::super::schema::{EnumId, Form, Kind, Message, MessageId, Shape, Slot, Tables, Type};
use super::super::write;
use super::scalar::{
    enum_number, time_fault, write_base64, write_exact_double, write_field_mask, write_float, write_integer,
    write_seconds_and_nanos,
};
use super::text::{Next, Result, Text, fault, key_segment, under};
use super::time;
use super::{Error, Reading, Reason, Unknown, quote};

/// Keys of a map up to which a repeated one is looked for by comparing instead of by hashing.
const KEYS_SCAN_MAX_COUNT: usize = 8;
/// Fields and oneofs of a message that fit the inline set of those seen.
const SEEN_INLINE_MAX_COUNT: usize = 128;

/// What [`super::decode`] found besides the values: which keys were there, `null` or not, in the outermost object and in
/// the message objects directly under it.
#[derive(Debug, Clone)]
pub struct Decoded {
    ty: Type,
    keys: Vec<Present>,
}

/// A key that was present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// The proto name of the field.
    pub name: &'a str,
    /// The field number.
    pub number: u32,
    /// The key was there with `null` (or with a `""` that was taken as unset): unset on purpose.
    pub null: bool,
}

#[derive(Debug, Clone, Copy)]
struct Present {
    /// The field of the outermost message, and the field of the message in it.
    outer: usize,
    inner: Option<usize>,
    null: bool,
}

impl Decoded {
    /// The keys of the outermost object, in the order given.
    pub fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        let message = self.ty.message();
        self.keys.iter().filter(|key| key.inner.is_none()).filter_map(|key| {
            let slot = message.fields.get(key.outer)?;
            Some(Key { name: &slot.name, number: slot.number, null: key.null })
        })
    }

    /// The keys of the object at field `name` (JSON or proto name) of the outermost one, in the order given; empty when
    /// that field was not there, was null, or is not a singular message of fields.
    pub fn keys_under(&self, name: &str) -> impl Iterator<Item = Key<'_>> {
        let outer = self.ty.message().field_by_name(name).map(|(i, _)| i);
        let message = outer.and_then(|i| match self.ty.message().fields.get(i)?.kind {
            Kind::Message(id) => Some(self.ty.tables().message(id)),
            _ => None,
        });
        self.keys.iter().filter(move |key| Some(key.outer) == outer).filter_map(move |key| {
            let slot = message?.fields.get(key.inner?)?;
            Some(Key { name: &slot.name, number: slot.number, null: key.null })
        })
    }
}

pub(super) fn decode(
    ty: &Type,
    json: &[u8],
    how: &Reading,
    out: &mut Vec<u8>,
) -> std::result::Result<Decoded, Error> {
    let length = out.len();
    decode_text(ty, json, how, out).map_err(|fault| {
        out.truncate(length);
        fault.into_error(json)
    })
}

fn decode_text(ty: &Type, json: &[u8], how: &Reading, out: &mut Vec<u8>) -> Result<Decoded> {
    let text = match std::str::from_utf8(json) {
        Ok(text) => text,
        Err(wrong) => return fault(wrong.valid_up_to(), Reason::NotUtf8, "the text is not UTF-8"),
    };
    let mut decoder = Decoder {
        tables: ty.tables(),
        how,
        text: Text::new(text, how.max_depth),
        out,
        depth: how.messages_around,
        keys: Vec::new(),
    };
    if !decoder.text.is_at_end() {
        decoder.message(ty.id(), Track::Outermost)?;
        if !decoder.text.is_at_end() {
            let at = decoder.text.place();
            return fault(at, Reason::TrailingText, "something follows the JSON value");
        }
    }
    Ok(Decoded { keys: decoder.keys, ty: ty.clone() })
}

/// Whether the keys of an object are reported in [`Decoded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Track {
    Outermost,
    Under(usize),
    No,
}

struct Decoder<'a> {
    tables: &'a Tables,
    how: &'a Reading,
    text: Text<'a>,
    out: &'a mut Vec<u8>,
    /// Messages that are open, as the wire counts them.
    depth: usize,
    keys: Vec<Present>,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Set,
    Unset,
}

impl<'a> Decoder<'a> {
    fn message(&mut self, id: MessageId, track: Track) -> Result<()> {
        self.enter()?;
        let message = self.tables.message(id);
        match message.form {
            Form::Plain => self.object(message, track, false),
            Form::Timestamp => self.time(message.form),
            Form::Duration => self.time(message.form),
            Form::FieldMask => self.field_mask(),
            Form::Struct => self.only_field(message),
            Form::ListValue => self.only_field(message),
            Form::Value => self.value(message),
            Form::Any => self.any(),
            Form::Wrapper(kind) => self.wrapper(kind),
        }?;
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MESSAGE_DEPTH_MAX_LEVELS {
            let message = format!("its messages nest more than {MESSAGE_DEPTH_MAX_LEVELS} levels deep");
            return fault(self.text.place(), Reason::TooDeep, message);
        }
        Ok(())
    }

    /// A message as an object of its fields. In an `Any` the key `@type` has been read already and is passed over.
    fn object(&mut self, message: &'a Message, track: Track, mut type_key: bool) -> Result<()> {
        let next = self.text.next()?;
        if next != Next::Object {
            return self.mismatch("an object", next);
        }
        self.text.open_object()?;
        let mut first = true;
        let mut seen = Seen::new(message);
        while let Some((at, key)) = self.text.next_key(&mut first)? {
            if type_key && key == "@type" {
                self.text.skip()?;
                type_key = false;
                continue;
            }
            let Some((i, slot)) = message.field_by_name(&key) else {
                under(self.unknown(at, message), || key_segment(&key))?;
                continue;
            };
            under(self.member(at, message, i, slot, track, &mut seen), || quote(&key))?;
        }
        Ok(())
    }

    fn unknown(&mut self, at: usize, message: &Message) -> Result<()> {
        match self.how.unknown_fields {
            Unknown::Ignore => self.text.skip(),
            Unknown::Refuse => fault(at, Reason::UnknownField, format!("{} has no such field", message.name)),
        }
    }

    fn member(
        &mut self,
        at: usize,
        message: &'a Message,
        i: usize,
        slot: &'a Slot,
        track: Track,
        seen: &mut Seen,
    ) -> Result<()> {
        if !seen.insert(i) {
            return fault(at, Reason::DuplicateField, "this field is given twice");
        }
        let key = self.keys.len();
        match track {
            Track::Outermost => self.keys.push(Present { outer: i, inner: None, null: false }),
            Track::Under(outer) => self.keys.push(Present { outer, inner: Some(i), null: false }),
            Track::No => {}
        }
        let below = if track == Track::Outermost { Track::Under(i) } else { Track::No };
        let given = match slot.shape {
            Shape::List { packed } => self.list(slot, packed)?,
            Shape::Map { key, value } => self.map(slot, key, value)?,
            _ => self.singular(slot, below)?,
        };
        if given == Given::Unset {
            if track != Track::No
                && let Some(key) = self.keys.get_mut(key)
            {
                key.null = true;
            }
            return Ok(());
        }
        if let Shape::Arm(oneof) = slot.shape
            && !seen.insert(message.fields.len() + oneof)
        {
            let name = message.oneofs.get(oneof).map_or("", |name| name);
            let message = format!("another member of the oneof {name} is given already");
            return fault(at, Reason::OneofConflict, message);
        }
        Ok(())
    }

    /// `null` stands for unset, except where it is a value of its own.
    fn null(&mut self, kind: Kind) -> Result<bool> {
        if self.text.next()? != Next::Null
            || self.tables.form(kind) == Some(Form::Value)
            || self.tables.is_null_enum(kind)
        {
            return Ok(false);
        }
        self.text.word("null")?;
        Ok(true)
    }

    fn singular(&mut self, slot: &'a Slot, track: Track) -> Result<Given> {
        if self.null(slot.kind)? || self.blank(slot.kind)? {
            return Ok(Given::Unset);
        }
        let start = self.out.len();
        write::tag(self.out, slot.number, slot.kind.wire_type());
        match slot.kind {
            Kind::Message(id) => {
                let open = write::open(self.out);
                self.message(id, track)?;
                open.close(self.out);
            }
            kind => {
                let zero = self.scalar(kind)?;
                if zero && slot.shape == Shape::Plain {
                    self.out.truncate(start);
                }
            }
        }
        Ok(Given::Set)
    }

    /// `""` for a field that holds no text, when that is taken as unset.
    fn blank(&mut self, kind: Kind) -> Result<bool> {
        if !self.how.blank_is_unset || self.text.next()? != Next::Text {
            return Ok(false);
        }
        let textual = match kind {
            Kind::String | Kind::Bytes => true,
            Kind::Message(id) => match self.tables.message(id).form {
                Form::Timestamp | Form::Duration => false,
                Form::Wrapper(Kind::String | Kind::Bytes) => true,
                Form::Wrapper(_) => false,
                _ => true,
            },
            _ => false,
        };
        let at = self.text.place();
        if !textual && self.text.string()?.is_empty() {
            return Ok(true);
        }
        self.text.rewind(at);
        Ok(false)
    }

    fn list(&mut self, slot: &'a Slot, packed: bool) -> Result<Given> {
        match self.text.next()? {
            Next::Null => {
                self.text.word("null")?;
                return Ok(Given::Unset);
            }
            Next::Array => self.text.open_array()?,
            next => return self.mismatch("a list", next),
        }
        let (mut first, mut i) = (true, 0usize);
        let start = self.out.len();
        let run = packed.then(|| {
            write::tag(self.out, slot.number, 2);
            write::open(self.out)
        });
        while self.text.next_element(&mut first)? {
            under(self.element(slot, packed), || format!("[{i}]"))?;
            i += 1;
        }
        match run {
            Some(run) if run.is_empty(self.out) => self.out.truncate(start),
            Some(run) => run.close(self.out),
            None => {}
        }
        Ok(Given::Set)
    }

    fn element(&mut self, slot: &'a Slot, packed: bool) -> Result<()> {
        self.refuse_null(slot.kind, "in a list")?;
        if !packed {
            write::tag(self.out, slot.number, slot.kind.wire_type());
        }
        self.field_value(slot.kind)
    }

    /// Of a message; a scalar says itself what it is instead.
    fn refuse_null(&mut self, kind: Kind, place: &str) -> Result<()> {
        if !matches!(kind, Kind::Message(_)) {
            return Ok(());
        }
        let at = self.text.place();
        if self.null(kind)? {
            return fault(at, Reason::WrongType, format!("null cannot stand {place}"));
        }
        Ok(())
    }

    /// The value of a field whose tag is written.
    fn field_value(&mut self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Message(id) => {
                let open = write::open(self.out);
                self.message(id, Track::No)?;
                open.close(self.out);
            }
            kind => drop(self.scalar(kind)?),
        }
        Ok(())
    }

    fn map(&mut self, slot: &'a Slot, key_kind: Kind, value_kind: Kind) -> Result<Given> {
        match self.text.next()? {
            Next::Null => {
                self.text.word("null")?;
                return Ok(Given::Unset);
            }
            Next::Object => self.text.open_object()?,
            next => return self.mismatch("an object", next),
        }
        let mut first = true;
        let mut keys = Keys::default();
        while let Some((at, key)) = self.text.next_key(&mut first)? {
            let fresh = keys.insert(key.clone());
            let entry = self.entry(slot, (at, &key, fresh), key_kind, value_kind);
            under(entry, || key_segment(&key))?;
        }
        Ok(Given::Set)
    }

    fn entry(
        &mut self,
        slot: &'a Slot,
        (at, key, fresh): (usize, &str, bool),
        key_kind: Kind,
        value_kind: Kind,
    ) -> Result<()> {
        if !fresh {
            return fault(at, Reason::DuplicateField, "this key is given twice");
        }

        self.refuse_null(value_kind, "for a value of a map")?;
        self.enter()?;
        write::tag(self.out, slot.number, 2);
        let entry = write::open(self.out);
        write::tag(self.out, 1, key_kind.wire_type());
        self.map_key(at, key, key_kind)?;
        write::tag(self.out, 2, value_kind.wire_type());
        self.field_value(value_kind)?;
        entry.close(self.out);
        self.depth -= 1;
        Ok(())
    }

    fn map_key(&mut self, at: usize, key: &str, kind: Kind) -> Result<()> {
        match kind {
            Kind::String => self.write_text(key),
            Kind::Bool => match key {
                "true" => write::varint(self.out, 1),
                "false" => write::varint(self.out, 0),
                _ => return fault(at, Reason::BadFormat, "the keys of this map are \"true\" and \"false\""),
            },
            // One spelling for each number, so that keys that are equal are equal as text.
            _ if key.parse::<i128>().is_ok_and(|number| number.to_string() == key) => {
                write_integer(self.out, kind, key, at)?;
            }
            _ => return fault(at, Reason::BadFormat, "the keys of this map are whole numbers"),
        }
        Ok(())
    }

    fn write_text(&mut self, text: &str) {
        write::varint(self.out, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn mismatch<T>(&mut self, wanted: &str, next: Next) -> Result<T> {
        let message = format!("expected {wanted}, found {}", next.name());
        fault(self.text.place(), Reason::WrongType, message)
    }

    /// Writes one scalar and says whether it is zero.
    fn scalar(&mut self, kind: Kind) -> Result<bool> {
        let at = self.text.place();
        let next = self.text.next()?;
        match (kind, next) {
            (Kind::String, Next::Text) => {
                let text = self.text.string()?;
                self.write_text(&text);
                Ok(text.is_empty())
            }
            (Kind::String, _) => self.mismatch("a string", next),
            (Kind::Bytes, Next::Text) => {
                let text = self.text.string()?;
                write_base64(self.out, &text, at)
            }
            (Kind::Bytes, _) => self.mismatch("a string of base64", next),
            (Kind::Bool, Next::True | Next::False) => {
                self.text.word(if next == Next::True { "true" } else { "false" })?;
                write::varint(self.out, u64::from(next == Next::True));
                Ok(next == Next::False)
            }
            (Kind::Bool, _) => self.mismatch("true or false", next),
            (Kind::Double | Kind::Float, Next::Number) => {
                let text = self.text.number()?;
                write_float(self.out, kind, text, at)
            }
            (Kind::Double | Kind::Float, Next::Text) => {
                let text = self.text.string()?;
                write_float(self.out, kind, &text, at)
            }
            (Kind::Enum(id), _) => self.enumeration(id, next, at),
            (Kind::Message(_), _) => self.mismatch("a scalar", next),
            (_, Next::Number) => {
                let text = self.text.number()?;
                write_integer(self.out, kind, text, at)
            }
            (Kind::Double | Kind::Float, _) => self.mismatch("a number", next),
            (_, Next::Text) => {
                let text = self.text.string()?;
                write_integer(self.out, kind, &text, at)
            }
            _ => self.mismatch("a whole number", next),
        }
    }

    fn enumeration(&mut self, id: EnumId, next: Next, at: usize) -> Result<bool> {
        let is_null = self.tables.is_null_enum(Kind::Enum(id));
        match next {
            Next::Null if is_null => {
                self.text.word("null")?;
                write::varint(self.out, 0);
                Ok(true)
            }
            Next::Text => {
                let text = self.text.string()?;
                let number = enum_number(self.tables, id, &text, at)?;
                write::varint(self.out, i64::from(number) as u64);
                Ok(number == 0)
            }
            Next::Number => {
                let text = self.text.number()?;
                write_integer(self.out, Kind::Int32, text, at)
            }
            _ => self.mismatch("the name of an enum value", next),
        }
    }

    fn time(&mut self, form: Form) -> Result<()> {
        let at = self.text.place();
        let next = self.text.next()?;
        let (wanted, parse): (_, fn(&str) -> _) = match form {
            Form::Timestamp => ("a string of an RFC 3339 timestamp", time::parse_timestamp),
            _ => ("a string of a duration in seconds", time::parse_duration),
        };
        if next != Next::Text {
            return self.mismatch(wanted, next);
        }
        let text = self.text.string()?;
        match parse(&text) {
            Ok((seconds, nanos)) => {
                write_seconds_and_nanos(self.out, seconds, nanos);
                Ok(())
            }
            Err(wrong) => time_fault(wrong, form, &text, at),
        }
    }

    fn field_mask(&mut self) -> Result<()> {
        let at = self.text.place();
        let next = self.text.next()?;
        if next != Next::Text {
            let message = format!("a field mask is one string, \"displayName,rules\", not {}", next.name());
            return fault(at, Reason::BadMask, message);
        }
        let text = self.text.string()?;
        write_field_mask(self.out, &text, at)
    }

    /// `Struct` as an object, `ListValue` as a list.
    fn only_field(&mut self, message: &'a Message) -> Result<()> {
        let at = self.text.place();
        let given = match message.fields.first() {
            Some(slot) => match slot.shape {
                Shape::Map { key, value } => self.map(slot, key, value)?,
                _ => self.list(slot, false)?,
            },
            None => Given::Unset,
        };
        if given == Given::Unset {
            return fault(at, Reason::WrongType, "null cannot stand here");
        }
        Ok(())
    }

    /// Any JSON as a `google.protobuf.Value`. The arms of its oneof are written even when they are zero.
    fn value(&mut self, message: &'a Message) -> Result<()> {
        let at = self.text.place();
        match self.text.next()? {
            Next::Null => {
                self.text.word("null")?;
                write::tag(self.out, 1, 0);
                write::varint(self.out, 0);
            }
            Next::Number => {
                let text = self.text.number()?;
                write::tag(self.out, 2, 1);
                write_exact_double(self.out, text, at)?;
            }
            Next::Text => {
                let text = self.text.string()?;
                write::tag(self.out, 3, 2);
                self.write_text(&text);
            }
            next @ (Next::True | Next::False) => {
                self.text.word(if next == Next::True { "true" } else { "false" })?;
                write::tag(self.out, 4, 0);
                write::varint(self.out, u64::from(next == Next::True));
            }
            next @ (Next::Object | Next::Array) => {
                let number = if next == Next::Object { 5 } else { 6 };
                write::tag(self.out, number, 2);
                if let Some((_, slot)) = message.field_by_number(number) {
                    self.field_value(slot.kind)?;
                }
            }
        }
        Ok(())
    }

    /// A bare value, as field 1; zero is not written.
    fn wrapper(&mut self, kind: Kind) -> Result<()> {
        let start = self.out.len();
        write::tag(self.out, 1, kind.wire_type());
        if self.scalar(kind)? {
            self.out.truncate(start);
        }
        Ok(())
    }

    /// `{"@type": url, ...fields}`, or `{"@type": url, "value": ...}` for types with a JSON form of their own.
    fn any(&mut self) -> Result<()> {
        let next = self.text.next()?;
        if next != Next::Object {
            return self.mismatch("an object with @type", next);
        }
        let at = self.text.place();
        let Some((url_at, url)) = self.find_type()? else { return Ok(()) };
        let id = url.rsplit_once('/').and_then(|(_, name)| self.tables.find(name));
        let Some(id) = id else {
            let message = format!("@type {:?} is not a known type", quote(&url));
            return fault(url_at, Reason::UnknownType, message);
        };
        self.text.rewind(at);
        write::tag(self.out, 1, 2);
        self.write_text(&url);
        write::tag(self.out, 2, 2);
        let open = write::open(self.out);
        let message = self.tables.message(id);
        if message.form == Form::Plain {
            self.enter()?;
            self.object(message, Track::No, true)?;
            self.depth -= 1;
        } else {
            self.any_value(id)?;
        }
        open.close(self.out);
        Ok(())
    }

    /// Reads over the whole object at hand to find its `@type`; nothing for `{}`.
    fn find_type(&mut self) -> Result<Option<(usize, Cow<'a, str>)>> {
        let object_at = self.text.place();
        self.text.open_object()?;
        let (mut first, mut empty) = (true, true);
        let mut found = None;
        while let Some((at, key)) = self.text.next_key(&mut first)? {
            empty = false;
            if key != "@type" {
                under(self.text.skip(), || key_segment(&key))?;
                continue;
            }
            if found.is_some() {
                return under(fault(at, Reason::DuplicateField, "@type is given twice"), || key.into_owned());
            }
            let url_at = self.text.place();
            match self.text.next()? {
                Next::Text => found = Some((url_at, self.text.string()?)),
                next => return self.mismatch("a string", next),
            }
        }
        if found.is_none() && !empty {
            return fault(object_at, Reason::UnknownType, "an Any needs an @type");
        }
        Ok(found)
    }

    fn any_value(&mut self, id: MessageId) -> Result<()> {
        self.text.open_object()?;
        let (mut first, mut given) = (true, false);
        while let Some((at, key)) = self.text.next_key(&mut first)? {
            match &*key {
                "@type" => self.text.skip()?,
                "value" if given => {
                    return under(fault(at, Reason::DuplicateField, "this field is given twice"), || {
                        key.into_owned()
                    });
                }
                "value" => {
                    under(self.message(id, Track::No), || key.into_owned())?;
                    given = true;
                }
                _ => under(self.unknown(at, self.tables.message(id)), || key_segment(&key))?,
            }
        }
        Ok(())
    }
}

/// The fields and oneofs of one message that were given already.
struct Seen {
    inline: u128,
    more: Vec<bool>,
}

impl Seen {
    fn new(message: &Message) -> Self {
        let count = message.fields.len() + message.oneofs.len();
        let more = if count > SEEN_INLINE_MAX_COUNT { vec![false; count] } else { Vec::new() };
        Self { inline: 0, more }
    }

    /// False when it was there already.
    #[inline]
    fn insert(&mut self, i: usize) -> bool {
        if let Some(seen) = self.more.get_mut(i) {
            return !std::mem::replace(seen, true);
        }
        let bit = 1u128 << (i % SEEN_INLINE_MAX_COUNT);
        let fresh = self.inline & bit == 0;
        self.inline |= bit;
        fresh
    }
}

/// The keys of one map that were given already, compared as text: the spellings that are accepted for a number or a
/// boolean as a key are unique.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// False when it was there already.
    fn insert(&mut self, key: Cow<'a, str>) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(key);
        }
        if self.few.contains(&key) {
            return false;
        }
        self.few.push(key);
        if self.few.len() > KEYS_SCAN_MAX_COUNT {
            self.many.extend(self.few.drain(..));
        }
        true
    }
}
