//! Descriptors compiled to flat tables: what a field is called, how it is written, and where its message is. Built
//! once, shared by reference count. Nothing here reads message bytes except the options of a field.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

use super::read::{Fields, Raw};

/// The number of the `google.api.field_behavior` extension of `google.protobuf.FieldOptions`.
const FIELD_BEHAVIOR_NUMBER: u32 = 1052;
/// `google.api.FieldBehavior.OUTPUT_ONLY`.
const FIELD_BEHAVIOR_OUTPUT_ONLY: u64 = 3;

/// Every message and enum of a descriptor pool, compiled. Cloning copies a pointer.
#[derive(Clone)]
pub struct Schema {
    tables: Arc<Tables>,
}

/// One message type of a [`Schema`]. Cloning copies a pointer.
#[derive(Clone)]
pub struct Type {
    tables: Arc<Tables>,
    id: MessageId,
}

pub(super) type MessageId = usize;
pub(super) type EnumId = usize;

#[derive(Default)]
pub(super) struct Tables {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    by_name: HashMap<String, MessageId>,
}

/// Which JSON form and which merge rules a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    /// An object of its fields.
    #[default]
    Plain,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    ListValue,
    Any,
    /// `google.protobuf.StringValue` and its eight siblings: the bare value of field 1.
    Wrapper(Kind),
}

#[derive(Default)]
pub(super) struct Message {
    pub(super) name: Box<str>,
    pub(super) form: Form,
    /// In the order of declaration, which is the order of output.
    pub(super) fields: Vec<Slot>,
    /// Real oneofs only; the synthetic ones behind `optional` are [`Shape::Optional`].
    pub(super) oneofs: Vec<Box<str>>,
    /// Sorted by number.
    by_number: Vec<(u32, u16)>,
    /// JSON and proto names, sorted by length and then bytes.
    by_name: Vec<(Box<str>, u16)>,
}

/// One field of a message type.
pub(super) struct Slot {
    pub(super) number: u32,
    pub(super) name: Box<str>,
    pub(super) json_name: Box<str>,
    /// `"displayName":`, ready to print.
    pub(super) json_key: Box<[u8]>,
    /// `"display_name":`, ready to print.
    pub(super) proto_key: Box<[u8]>,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
    /// Annotated `OUTPUT_ONLY` by `google.api.field_behavior` (AIP-203).
    pub(super) output_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Singular. A scalar that is zero counts as unset; a message is set when it is there.
    Plain,
    /// Singular with presence: proto3 `optional`, proto2.
    Optional,
    /// A member of the oneof with this index.
    Arm(usize),
    List {
        packed: bool,
    },
    /// A map; the field's kind is the entry message.
    Map {
        key: Kind,
        value: Kind,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
}

pub(super) struct Enum {
    /// `google.protobuf.NullValue`, whose only value is JSON `null`.
    pub(super) is_null: bool,
    /// Sorted by number; of several names for a number, the first declared.
    by_number: Vec<(i32, Box<str>)>,
    by_name: HashMap<Box<str>, i32>,
    /// The name of the value that stands for "unset".
    zero: i32,
}

impl Schema {
    /// Compiles every message type of `pool`. For `OUTPUT_ONLY` to be seen, the pool must have been built from raw
    /// descriptor bytes: the typed `FileDescriptorSet` of prost-types drops extensions.
    pub fn new(pool: &DescriptorPool) -> Self {
        Self { tables: Arc::new(Tables::new(pool)) }
    }

    /// The type with this full name (`c1.api.policy.v1.Policy`), if the pool had it.
    pub fn message(&self, full_name: &str) -> Option<Type> {
        let id = self.tables.find(full_name)?;
        Some(Type { tables: Arc::clone(&self.tables), id })
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("messages", &self.tables.messages.len()).finish()
    }
}

impl Type {
    /// The full name, `c1.api.policy.v1.Policy`.
    pub fn full_name(&self) -> &str {
        &self.message().name
    }

    /// The message type of the field with this JSON or proto name, when it is a message field that is not a map.
    pub fn field_type(&self, name: &str) -> Option<Self> {
        let (_, slot) = self.message().field_by_name(name)?;
        match (slot.shape, slot.kind) {
            (Shape::Map { .. }, _) => None,
            (_, Kind::Message(id)) => Some(Self { tables: Arc::clone(&self.tables), id }),
            _ => None,
        }
    }

    /// The number of the field with this JSON or proto name.
    pub fn field_number(&self, name: &str) -> Option<u32> {
        self.message().field_by_name(name).map(|(_, slot)| slot.number)
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Another message of the same schema.
    pub(super) fn with_id(&self, id: MessageId) -> Self {
        Self { tables: Arc::clone(&self.tables), id }
    }

    pub(super) fn id(&self) -> MessageId {
        self.id
    }

    pub(super) fn message(&self) -> &Message {
        self.tables.message(self.id)
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Type").field(&self.full_name()).finish()
    }
}

/// What an index that is not in the tables leads to: a message without fields. Ids are only made by `Tables::new`,
/// so this is never reached; it stands in for a panic.
static NOTHING: std::sync::LazyLock<Message> = std::sync::LazyLock::new(Message::default);

impl Tables {
    fn new(pool: &DescriptorPool) -> Self {
        let mut ids = Ids::default();
        for (id, message) in pool.all_messages().enumerate() {
            ids.messages.insert(message.full_name().to_owned(), id);
        }
        let mut enums = Vec::new();
        for (id, each) in pool.all_enums().enumerate() {
            ids.enums.insert(each.full_name().to_owned(), id);
            enums.push(Enum::new(&each));
        }
        let messages = pool.all_messages().map(|message| Message::new(&message, &ids)).collect();
        Self { messages, enums, by_name: ids.messages }
    }

    pub(super) fn find(&self, full_name: &str) -> Option<MessageId> {
        self.by_name.get(full_name).copied()
    }

    pub(super) fn message(&self, id: MessageId) -> &Message {
        self.messages.get(id).unwrap_or(&NOTHING)
    }

    pub(super) fn enumeration(&self, id: EnumId) -> Option<&Enum> {
        self.enums.get(id)
    }

    pub(super) fn is_null_enum(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Enum(id) if self.enumeration(id).is_some_and(|e| e.is_null))
    }

    pub(super) fn form(&self, kind: Kind) -> Option<Form> {
        match kind {
            Kind::Message(id) => Some(self.message(id).form),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Ids {
    messages: HashMap<String, MessageId>,
    enums: HashMap<String, EnumId>,
}

impl Message {
    fn new(descriptor: &MessageDescriptor, ids: &Ids) -> Self {
        let oneofs: Vec<_> = descriptor.oneofs().filter(|oneof| !oneof.is_synthetic()).collect();
        let oneof_of = |field: &FieldDescriptor| {
            let name = field.containing_oneof()?.name().to_owned();
            oneofs.iter().position(|oneof| oneof.name() == name)
        };
        let fields: Vec<Slot> = descriptor
            .descriptor_proto()
            .field
            .iter()
            .filter_map(|raw| descriptor.get_field(u32::try_from(raw.number()).ok()?))
            .map(|field| Slot::new(&field, oneof_of(&field), ids))
            .collect();
        let index = |i: usize| u16::try_from(i).unwrap_or(u16::MAX);
        let mut by_number: Vec<_> = fields.iter().enumerate().map(|(i, f)| (f.number, index(i))).collect();
        by_number.sort_unstable();
        let mut by_name: Vec<(Box<str>, u16)> = Vec::new();
        // JSON names first: where one field's JSON name is another's proto name, the stable sort and the
        // deduplication below let the JSON name win.
        for (i, f) in fields.iter().enumerate() {
            by_name.push((f.json_name.clone(), index(i)));
        }
        for (i, f) in fields.iter().enumerate() {
            by_name.push((f.name.clone(), index(i)));
        }
        by_name.sort_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
        by_name.dedup_by(|later, earlier| later.0 == earlier.0);
        let form = Form::of(descriptor.full_name(), &fields);
        Self {
            name: descriptor.full_name().into(),
            form,
            fields,
            oneofs: oneofs.iter().map(|oneof| oneof.name().into()).collect(),
            by_number,
            by_name,
        }
    }

    #[inline]
    pub(super) fn field_by_number(&self, number: u32) -> Option<(usize, &Slot)> {
        // Most messages number their fields 1, 2, 3 ...; try that place before searching.
        let guess = self.by_number.get((number as usize).wrapping_sub(1));
        let at = match guess {
            Some(&(n, at)) if n == number => at,
            _ => {
                let i = self.by_number.binary_search_by_key(&number, |&(n, _)| n).ok()?;
                self.by_number.get(i)?.1
            }
        };
        Some((at as usize, self.fields.get(at as usize)?))
    }

    /// By JSON name or proto name.
    #[inline]
    pub(super) fn field_by_name(&self, name: &str) -> Option<(usize, &Slot)> {
        let wanted = (name.len(), name.as_bytes());
        let i = self.by_name.binary_search_by(|(n, _)| (n.len(), n.as_bytes()).cmp(&wanted)).ok()?;
        let at = self.by_name.get(i)?.1 as usize;
        Some((at, self.fields.get(at)?))
    }
}

impl Form {
    fn of(full_name: &str, fields: &[Slot]) -> Self {
        match full_name {
            "google.protobuf.Timestamp" => Self::Timestamp,
            "google.protobuf.Duration" => Self::Duration,
            "google.protobuf.FieldMask" => Self::FieldMask,
            "google.protobuf.Struct" => Self::Struct,
            "google.protobuf.Value" => Self::Value,
            "google.protobuf.ListValue" => Self::ListValue,
            "google.protobuf.Any" => Self::Any,
            "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int64Value"
            | "google.protobuf.UInt64Value"
            | "google.protobuf.Int32Value"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.BoolValue"
            | "google.protobuf.StringValue"
            | "google.protobuf.BytesValue" => match fields.first() {
                Some(value) => Self::Wrapper(value.kind),
                None => Self::Plain,
            },
            _ => Self::Plain,
        }
    }
}

impl Slot {
    fn new(field: &FieldDescriptor, oneof: Option<usize>, ids: &Ids) -> Self {
        let shape = if field.is_map() {
            let entry = match field.kind() {
                prost_reflect::Kind::Message(entry) => entry,
                _ => field.parent_message().clone(),
            };
            Shape::Map {
                key: Kind::new(&entry.map_entry_key_field(), ids),
                value: Kind::new(&entry.map_entry_value_field(), ids),
            }
        } else if field.is_list() {
            Shape::List { packed: field.is_packed() }
        } else if let Some(oneof) = oneof {
            Shape::Arm(oneof)
        } else if field.containing_oneof().is_some()
            || (field.supports_presence() && !matches!(field.kind(), prost_reflect::Kind::Message(_)))
        {
            Shape::Optional
        } else {
            Shape::Plain
        };
        let quoted = |name: &str| format!("{name:?}:").into_bytes().into_boxed_slice();
        Self {
            number: field.number(),
            name: field.name().into(),
            json_name: field.json_name().into(),
            json_key: quoted(field.json_name()),
            proto_key: quoted(field.name()),
            kind: Kind::new(field, ids),
            shape,
            output_only: is_output_only(field),
        }
    }

    /// Message kind, singular or repeated, that is not a map.
    pub(super) fn is_message(&self) -> bool {
        matches!(self.kind, Kind::Message(_)) && !matches!(self.shape, Shape::Map { .. })
    }
}

/// Reads the option from its bytes rather than as an extension: the pool need not contain `field_behavior.proto`.
fn is_output_only(field: &FieldDescriptor) -> bool {
    let options = field.options().encode_to_vec();
    Fields::new(&options).filter_map(Result::ok).any(|option| {
        option.number == FIELD_BEHAVIOR_NUMBER
            && match option.raw {
                Raw::Varint(value) => value == FIELD_BEHAVIOR_OUTPUT_ONLY,
                // Packed; the values are all below 128, one byte each.
                Raw::Len(values) => {
                    values.iter().any(|&value| u64::from(value) == FIELD_BEHAVIOR_OUTPUT_ONLY)
                }
                _ => false,
            }
    })
}

impl Kind {
    fn new(field: &FieldDescriptor, ids: &Ids) -> Self {
        match field.kind() {
            prost_reflect::Kind::Double => Self::Double,
            prost_reflect::Kind::Float => Self::Float,
            prost_reflect::Kind::Int32 => Self::Int32,
            prost_reflect::Kind::Int64 => Self::Int64,
            prost_reflect::Kind::Uint32 => Self::Uint32,
            prost_reflect::Kind::Uint64 => Self::Uint64,
            prost_reflect::Kind::Sint32 => Self::Sint32,
            prost_reflect::Kind::Sint64 => Self::Sint64,
            prost_reflect::Kind::Fixed32 => Self::Fixed32,
            prost_reflect::Kind::Fixed64 => Self::Fixed64,
            prost_reflect::Kind::Sfixed32 => Self::Sfixed32,
            prost_reflect::Kind::Sfixed64 => Self::Sfixed64,
            prost_reflect::Kind::Bool => Self::Bool,
            prost_reflect::Kind::String => Self::String,
            prost_reflect::Kind::Bytes => Self::Bytes,
            prost_reflect::Kind::Message(m) => {
                Self::Message(ids.messages.get(m.full_name()).copied().unwrap_or(usize::MAX))
            }
            prost_reflect::Kind::Enum(e) => {
                Self::Enum(ids.enums.get(e.full_name()).copied().unwrap_or(usize::MAX))
            }
        }
    }

    /// The wire type of one value of this kind: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes.
    pub(super) fn wire_type(self) -> u8 {
        match self {
            Self::Int32
            | Self::Int64
            | Self::Uint32
            | Self::Uint64
            | Self::Sint32
            | Self::Sint64
            | Self::Bool
            | Self::Enum(_) => 0,
            Self::Double | Self::Fixed64 | Self::Sfixed64 => 1,
            Self::String | Self::Bytes | Self::Message(_) => 2,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => 5,
        }
    }
}

impl Enum {
    fn new(descriptor: &prost_reflect::EnumDescriptor) -> Self {
        // `values()` is sorted by number, aliases in the order of declaration; a stable sort keeps that.
        let mut by_number: Vec<(i32, Box<str>)> =
            descriptor.values().map(|value| (value.number(), value.name().into())).collect();
        by_number.sort_by_key(|&(number, _)| number);
        let by_name = by_number.iter().map(|(number, name)| (name.clone(), *number)).collect();
        by_number.dedup_by_key(|&mut (number, _)| number);
        Self {
            is_null: descriptor.full_name() == "google.protobuf.NullValue",
            by_number,
            by_name,
            zero: descriptor.default_value().number(),
        }
    }

    pub(super) fn name(&self, number: i32) -> Option<&str> {
        let i = self.by_number.binary_search_by_key(&number, |&(n, _)| n).ok()?;
        self.by_number.get(i).map(|(_, name)| &**name)
    }

    pub(super) fn number(&self, name: &str) -> Option<i32> {
        self.by_name.get(name).copied()
    }

    pub(super) fn zero(&self) -> i32 {
        self.zero
    }

    /// The first few names, for a message to a person.
    pub(super) fn sample(&self) -> String {
        const NAMES_MAX_COUNT: usize = 12;
        let mut names: Vec<&str> =
            self.by_number.iter().take(NAMES_MAX_COUNT).map(|(_, name)| &**name).collect();
        if self.by_number.len() > NAMES_MAX_COUNT {
            names.push("...");
        }
        names.join(", ")
    }
}
