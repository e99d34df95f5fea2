//! Field masks (AIP-161): parsed against a message type to a tree, asked questions, and applied to wire bytes. Nothing
//! here knows any message by name except that `google.protobuf.Struct` is addressed by its keys.
//!
//! A path is dotted, in camelCase or snake_case: `policySteps.grant`, ``policySteps.`my key`.steps``. Lists are only
//! whole. `*` stands for the whole object. Paths to fields annotated `OUTPUT_ONLY` are accepted and ignored (AIP-203).

mod merge;

use std::fmt;

use super::read::{Fields, Malformed, Raw};
use super::schema::{Form, Kind, Message, MessageId, Shape, Slot, Tables, Type};

pub use merge::merge;

/// Paths in one mask.
pub const MASK_PATHS_MAX_COUNT: usize = 256;
/// Bytes of one path.
pub const MASK_PATH_MAX_BYTES: usize = 1024;
/// Segments of one path.
pub const MASK_PATH_MAX_SEGMENTS: usize = 32;

/// Which parts of a message of one type a change is about.
#[derive(Debug, Clone)]
pub struct Mask {
    ty: Type,
    node: Node,
}

/// What is named at one place of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// All of it.
    All,
    /// Some fields of a message, by their index in its table.
    Fields(Vec<(usize, Node)>),
    /// Some keys of a map, in the text form of the key.
    Keys(Vec<(String, Node)>),
}

/// Why a mask was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskError {
    /// The path as it was given, cut to a length that can be printed.
    pub path: String,
    /// The kind of error.
    pub reason: MaskReason,
}

/// The kinds of errors in masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaskReason {
    /// A segment is no field of its message.
    UnknownField,
    /// The path goes on after a scalar, an enum or a time.
    ThroughScalar,
    /// The path goes into a list, by index or otherwise.
    IntoList,
    /// A segment is empty.
    EmptySegment,
    /// A back-tick without its partner, or text beside a quoted segment.
    Quoting,
    /// A `*` that is not the last segment.
    Wildcard,
    /// Not a key of this map: a number or a boolean is wanted.
    MapKey,
    /// Too many paths, or a path that is too long.
    TooLong,
}

impl MaskReason {
    /// The stable code, upper snake case.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownField => "MASK_FIELD_UNKNOWN",
            Self::ThroughScalar => "MASK_THROUGH_SCALAR",
            Self::IntoList => "MASK_INTO_LIST",
            Self::EmptySegment => "MASK_EMPTY_SEGMENT",
            Self::Quoting => "MASK_QUOTING",
            Self::Wildcard => "MASK_WILDCARD",
            Self::MapKey => "MASK_MAP_KEY",
            Self::TooLong => "MASK_TOO_LONG",
        }
    }
}

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            MaskReason::UnknownField => "no such field",
            MaskReason::ThroughScalar => "the path goes on after a field that has no fields",
            MaskReason::IntoList => "a list is replaced as a whole; its elements cannot be named",
            MaskReason::EmptySegment => "a segment of the path is empty",
            MaskReason::Quoting => "the back-ticks of the path are not balanced",
            MaskReason::Wildcard => "* can only stand for the whole object or end a path",
            MaskReason::MapKey => "this map has keys of another type",
            MaskReason::TooLong => "the mask has too many paths, or a path is too long",
        };
        write!(f, "field mask path {:?}: {what}", self.path)
    }
}

impl std::error::Error for MaskError {}

impl Mask {
    /// Parses paths for messages of type `ty`. No paths make an empty mask, which the caller must interpret.
    pub fn parse<'p>(ty: &Type, paths: impl IntoIterator<Item = &'p str>) -> Result<Self, MaskError> {
        let mut node = Node::Fields(Vec::new());
        for (i, path) in paths.into_iter().enumerate() {
            let wrong = |reason| MaskError { path: cut(path), reason };
            if i >= MASK_PATHS_MAX_COUNT || path.len() > MASK_PATH_MAX_BYTES {
                return Err(wrong(MaskReason::TooLong));
            }
            let segments = segments(path).map_err(wrong)?;
            if segments.len() > MASK_PATH_MAX_SEGMENTS {
                return Err(wrong(MaskReason::TooLong));
            }
            if segments.iter().rev().skip(1).any(Segment::is_wildcard) {
                return Err(wrong(MaskReason::Wildcard));
            }
            if let Some(branch) = branch(ty.tables(), ty.id(), &segments).map_err(wrong)? {
                node.add(branch);
            }
        }
        Ok(Self { ty: ty.clone(), node })
    }

    /// Parses comma-separated paths, the form of a query parameter or a JSON string. Commas within back-ticks belong to
    /// the key. Empty text is an empty mask.
    pub fn parse_text(ty: &Type, text: &str) -> Result<Self, MaskError> {
        if text.is_empty() {
            return Self::parse(ty, []);
        }
        Self::parse(ty, split(text))
    }

    /// The whole object.
    pub fn whole(ty: &Type) -> Self {
        Self { ty: ty.clone(), node: Node::All }
    }

    /// The populated top-level fields of a message (AIP-134's meaning of an absent mask): not unset, not zero, not empty,
    /// not `OUTPUT_ONLY`.
    pub fn populated(ty: &Type, bytes: &[u8]) -> Result<Self, Malformed> {
        let message = ty.message();
        let mut set = vec![false; message.fields.len()];
        for field in Fields::new(bytes) {
            let field = field?;
            let Some((i, slot)) = message.field_by_number(field.number) else { continue };
            let zero = slot.shape == Shape::Plain
                && !slot.is_message()
                && match field.raw {
                    Raw::Varint(v) | Raw::Fixed64(v) => v == 0,
                    Raw::Fixed32(v) => v == 0,
                    Raw::Len(content) => content.is_empty(),
                    Raw::Group => true,
                };
            if let Some(set) = set.get_mut(i) {
                // The last occurrence of a scalar is the one that counts.
                *set = !zero && !slot.output_only;
            }
            if let Shape::Arm(oneof) = slot.shape {
                for (j, (other, set)) in message.fields.iter().zip(&mut set).enumerate() {
                    if j != i && other.shape == Shape::Arm(oneof) {
                        *set = false;
                    }
                }
            }
        }
        let fields = set.iter().enumerate().filter(|(_, set)| **set).map(|(i, _)| (i, Node::All)).collect();
        Ok(Self { ty: ty.clone(), node: Node::Fields(fields) })
    }

    /// Nothing is named.
    pub fn is_empty(&self) -> bool {
        matches!(&self.node, Node::Fields(fields) if fields.is_empty())
    }

    /// The mask is `*`.
    pub fn is_whole(&self) -> bool {
        self.node == Node::All
    }

    /// Is all of `path` named, by itself or by a path above it? Either spelling. An unknown path is not.
    pub fn contains(&self, path: &str) -> bool {
        self.find(path).is_some_and(|node| node == &Node::All)
    }

    /// Is `path`, something above it or something below it named?
    pub fn touches(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// The node at `path`, or the `All` above it.
    fn find(&self, path: &str) -> Option<&Node> {
        let segments = segments(path).ok()?;
        let branch = branch_of_any(self.ty.tables(), self.ty.id(), &segments).ok()?;
        let (mut node, mut wanted) = (&self.node, &branch);
        loop {
            match (node, wanted) {
                (Node::All, _) | (_, Node::All) => return Some(node),
                (Node::Fields(fields), Node::Fields(one)) => {
                    let (i, below) = one.first()?;
                    node = fields.iter().find(|(j, _)| i == j).map(|(_, node)| node)?;
                    wanted = below;
                }
                (Node::Keys(keys), Node::Keys(one)) => {
                    let (key, below) = one.first()?;
                    node = keys.iter().find(|(k, _)| k == key).map(|(_, node)| node)?;
                    wanted = below;
                }
                _ => return None,
            }
        }
    }

    /// The paths of the mask in proto spelling, keys in back-ticks where they need them.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        if self.is_whole() {
            return vec!["*".to_owned()];
        }
        collect(self.ty.tables(), self.ty.id(), &self.node, "", &mut paths);
        paths
    }

    pub(super) fn ty(&self) -> &Type {
        &self.ty
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }
}

impl Node {
    /// Unites with another tree for the same place. `All` swallows what is below it.
    fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Fields(fields), Self::Fields(more)) => {
                for (i, node) in more {
                    match fields.iter_mut().find(|(j, _)| *j == i) {
                        Some((_, known)) => known.add(node),
                        None => fields.push((i, node)),
                    }
                }
            }
            (Self::Keys(keys), Self::Keys(more)) => {
                for (key, node) in more {
                    match keys.iter_mut().find(|(k, _)| *k == key) {
                        Some((_, known)) => known.add(node),
                        None => keys.push((key, node)),
                    }
                }
            }
            // One place has one kind of node; the type decides which.
            _ => {}
        }
    }
}

/// One part of a path: what is between dots, without its back-ticks.
#[derive(Debug, PartialEq)]
struct Segment {
    text: String,
    quoted: bool,
}

impl Segment {
    fn is_wildcard(&self) -> bool {
        !self.quoted && self.text == "*"
    }
}

/// Splits at dots outside back-ticks. Within back-ticks two back-ticks stand for one.
fn segments(path: &str) -> Result<Vec<Segment>, MaskReason> {
    let mut segments = Vec::new();
    let mut rest = path;
    loop {
        let (segment, after) = match rest.strip_prefix('`') {
            Some(quoted) => quoted_segment(quoted)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (text, after) = rest.split_at_checked(end).ok_or(MaskReason::Quoting)?;
                if text.contains('`') {
                    return Err(MaskReason::Quoting);
                }
                (Segment { text: text.to_owned(), quoted: false }, after)
            }
        };
        if segment.text.is_empty() && !segment.quoted {
            return Err(MaskReason::EmptySegment);
        }
        segments.push(segment);
        if after.is_empty() {
            return Ok(segments);
        }
        rest = after.strip_prefix('.').ok_or(MaskReason::Quoting)?;
    }
}

fn quoted_segment(text: &str) -> Result<(Segment, &str), MaskReason> {
    let mut unquoted = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('`').ok_or(MaskReason::Quoting)?;
        unquoted.push_str(part);
        match after.strip_prefix('`') {
            Some(more) => {
                unquoted.push('`');
                rest = more;
            }
            None => return Ok((Segment { text: unquoted, quoted: true }, after)),
        }
    }
}

/// Splits a comma-separated mask into its paths; commas within back-ticks belong to a key.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '`';
        c == ',' && !quoted
    })
}

/// The tree of one path; nothing when it leads to or through an output-only field.
fn branch(tables: &Tables, id: MessageId, segments: &[Segment]) -> Result<Option<Node>, MaskReason> {
    let mut output_only = false;
    let node = message_branch(tables, id, segments, &mut output_only)?;
    Ok((!output_only).then_some(node))
}

/// The same for a question instead of a change: output-only fields are fields like others.
fn branch_of_any(tables: &Tables, id: MessageId, segments: &[Segment]) -> Result<Node, MaskReason> {
    message_branch(tables, id, segments, &mut false)
}

/// Recursion is bounded by the number of segments.
fn message_branch(
    tables: &Tables,
    id: MessageId,
    segments: &[Segment],
    output_only: &mut bool,
) -> Result<Node, MaskReason> {
    let Some((segment, rest)) = segments.split_first() else { return Ok(Node::All) };
    let message = tables.message(id);
    let has_parts = matches!(message.form, Form::Plain | Form::Struct | Form::Value | Form::ListValue);
    if segment.is_wildcard() && has_parts {
        return Ok(Node::All);
    }
    let (i, slot) = match message.form {
        Form::Plain => message.field_by_name(&segment.text).ok_or_else(|| unknown(message, segment))?,
        // A key of the object: through the one field that holds the keys.
        Form::Struct => (0, message.fields.first().ok_or(MaskReason::UnknownField)?),
        // Only an object has something below it: through that member of the oneof.
        Form::Value => member_of_form(tables, message, Form::Struct).ok_or(MaskReason::ThroughScalar)?,
        Form::ListValue => return Err(MaskReason::IntoList),
        _ => return Err(MaskReason::ThroughScalar),
    };
    *output_only |= slot.output_only;
    let rest = if message.form == Form::Plain { rest } else { segments };
    Ok(Node::Fields(vec![(i, slot_branch(tables, slot, rest, output_only)?)]))
}

/// `rules[0]` is not a field, but what was meant is clear.
fn unknown(message: &Message, segment: &Segment) -> MaskReason {
    let indexed = segment.text.split_once('[').and_then(|(name, _)| message.field_by_name(name));
    match indexed {
        Some((_, slot)) if matches!(slot.shape, Shape::List { .. }) => MaskReason::IntoList,
        _ => MaskReason::UnknownField,
    }
}

fn member_of_form<'t>(tables: &Tables, message: &'t Message, form: Form) -> Option<(usize, &'t Slot)> {
    message.fields.iter().enumerate().find(|(_, slot)| tables.form(slot.kind) == Some(form))
}

fn slot_branch(
    tables: &Tables,
    slot: &Slot,
    rest: &[Segment],
    output_only: &mut bool,
) -> Result<Node, MaskReason> {
    let Some((key, below)) = rest.split_first() else { return Ok(Node::All) };
    match (slot.shape, slot.kind) {
        (Shape::List { .. } | Shape::Map { .. }, _) if key.is_wildcard() => Ok(Node::All),
        (Shape::List { .. }, _) => Err(MaskReason::IntoList),
        (Shape::Map { key: kind, value }, _) => {
            let key = map_key(kind, &key.text)?;
            let node = match (value, below.first()) {
                (_, None) => Node::All,
                (Kind::Message(id), Some(_)) => message_branch(tables, id, below, output_only)?,
                (_, Some(_)) => return Err(MaskReason::ThroughScalar),
            };
            Ok(Node::Keys(vec![(key, node)]))
        }
        (_, Kind::Message(id)) => message_branch(tables, id, rest, output_only),
        _ => Err(MaskReason::ThroughScalar),
    }
}

/// A key in the one spelling that keys of wire bytes are compared in.
fn map_key(kind: Kind, text: &str) -> Result<String, MaskReason> {
    match kind {
        Kind::String => Ok(text.to_owned()),
        Kind::Bool if text == "true" || text == "false" => Ok(text.to_owned()),
        Kind::Bool => Err(MaskReason::MapKey),
        _ => text.parse::<i128>().map(|n| n.to_string()).map_err(|_| MaskReason::MapKey),
    }
}

fn collect(tables: &Tables, id: MessageId, node: &Node, prefix: &str, paths: &mut Vec<String>) {
    let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    let message = tables.message(id);
    let Node::Fields(fields) = node else { return };
    for (i, node) in fields {
        let Some(slot) = message.fields.get(*i) else { continue };
        // Below free-form JSON only keys have names.
        let path = if message.form == Form::Plain { join(&slot.name) } else { prefix.to_owned() };
        match (node, slot.shape, slot.kind) {
            (Node::All, _, _) => paths.push(path),
            (Node::Keys(keys), Shape::Map { value, .. }, _) => {
                for (key, node) in keys {
                    let path = format!("{path}.{}", quote_key(key));
                    match (node, value) {
                        (Node::Fields(_), Kind::Message(id)) => collect(tables, id, node, &path, paths),
                        _ => paths.push(path),
                    }
                }
            }
            (_, _, Kind::Message(id)) => collect(tables, id, node, &path, paths),
            _ => {}
        }
    }
}

fn quote_key(key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if plain { key.to_owned() } else { format!("`{}`", key.replace('`', "``")) }
}

fn cut(path: &str) -> String {
    const PRINTED_MAX_CHARS: usize = 200;
    match path.char_indices().nth(PRINTED_MAX_CHARS) {
        Some((end, _)) => format!("{}...", path.get(..end).unwrap_or_default()),
        None => path.to_owned(),
    }
}
