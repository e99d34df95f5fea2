//! Applying a mask: the named parts of `patch` take the place of those of `base`, everything else of `base` stays as
//! its bytes are. Works on wire bytes, message by message, along the tree of the mask only.

use std::collections::BTreeMap;

use super::super::map_key::MapKey;
use super::super::read::{Field, Fields, Flaw, Malformed, Raw, zigzag};
use super::super::schema::{Kind, Message, MessageId, Shape, Slot, Tables, Type};
use super::super::write;
use super::{Mask, Node};

/// `base` with the parts that `mask` names taken from `patch`; a part that `patch` does not have is removed. Both are
/// messages of type `ty`, which must be the type that the mask was parsed for.
///
/// - A list or a map named as a whole is replaced; a key of a map is replaced in its place, added at the end, or
///   removed.
/// - Naming a member of a oneof: when `patch` has it set, it replaces whichever member `base` has; when not, it is
///   removed from `base` if it was the one set.
/// - A path below a message that `patch` does not have clears in `base`.
/// - `*` replaces everything except `OUTPUT_ONLY` fields at the top level, which stay those of `base`.
pub fn merge(ty: &Type, mask: &Mask, base: &[u8], patch: &[u8]) -> Result<Vec<u8>, Malformed> {
    debug_assert_eq!(ty.full_name(), mask.ty().full_name());
    let tables = ty.tables();
    let mut out = Vec::with_capacity(base.len().saturating_add(patch.len()));
    match mask.node() {
        Node::All => replace(tables.message(ty.id()), base, patch, &mut out)?,
        Node::Fields(fields) => merge_message(tables, ty.id(), fields, base, patch, &mut out)?,
        Node::Keys(_) => out.extend_from_slice(base),
    }
    Ok(out)
}

/// All of `patch` but its output-only fields, and the output-only fields of `base`.
fn replace(message: &Message, base: &[u8], patch: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let output_only =
        |field: &Field<'_>| message.field_by_number(field.number).is_some_and(|(_, s)| s.output_only);
    let mut fields = Fields::new(base);
    while let Some(field) = fields.read()? {
        if output_only(&field) {
            copy(base, &field, out);
        }
    }
    let mut fields = Fields::new(patch);
    while let Some(field) = fields.read()? {
        if !output_only(&field) {
            copy(patch, &field, out);
        }
    }
    Ok(())
}

fn copy(bytes: &[u8], field: &Field<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(bytes.get(field.start..field.end).unwrap_or_default());
}

/// Recursion follows the mask, whose depth is bounded when it is parsed.
fn merge_message(
    tables: &Tables,
    id: MessageId,
    masked: &[(usize, Node)],
    base: &[u8],
    patch: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let message = tables.message(id);
    let base_arms = arms(message, base)?;
    let patch_arms = arms(message, patch)?;
    let arm_of = |arms: &[Option<Arm>], oneof: usize| arms.get(oneof).copied().flatten();
    let is_masked = |i: usize| masked.iter().any(|(j, _)| *j == i);
    // Fields of `base` that are not copied, because the mask says something about them.
    let mut gone = vec![false; message.fields.len()];
    for (i, _) in masked {
        if let Some(gone) = gone.get_mut(*i) {
            *gone = true;
        }
        let Some(Shape::Arm(oneof)) = message.fields.get(*i).map(|slot| slot.shape) else { continue };
        let replaced = arm_of(&patch_arms, oneof).is_some_and(|arm| is_masked(arm.field));
        let current = arm_of(&base_arms, oneof).map(|arm| arm.field);
        for (j, (gone, slot)) in gone.iter_mut().zip(&message.fields).enumerate() {
            // What members that were set before the current one left in the bytes must not come to light.
            *gone |= slot.shape == Shape::Arm(oneof) && (replaced || current != Some(j));
        }
    }
    let mut fields = Fields::new(base);
    while let Some(field) = fields.read()? {
        let known = message.field_by_number(field.number);
        if known.is_none_or(|(i, _)| gone.get(i) != Some(&true)) {
            copy(base, &field, out);
        }
    }
    for (i, node) in masked {
        let Some(slot) = message.fields.get(*i) else { continue };
        let (mut base, mut patch) = (base, patch);
        if let Shape::Arm(oneof) = slot.shape {
            let (base_arm, patch_arm) = (arm_of(&base_arms, oneof), arm_of(&patch_arms, oneof));
            // A member that is gone because another one takes its place has nothing left to merge with.
            let superseded = patch_arm.is_some_and(|arm| arm.field != *i && is_masked(arm.field));
            base = if superseded { &[] } else { since(base, base_arm, *i) };
            patch = since(patch, patch_arm, *i);
        }
        merge_field(tables, slot, node, base, patch, out)?;
    }
    Ok(())
}

/// The member of a oneof that is set.
#[derive(Debug, Clone, Copy)]
struct Arm {
    /// Its index among the fields.
    field: usize,
    /// Where it was set; what its field had before another member was set does not count.
    start: usize,
}

/// The part of `bytes` in which the member of a oneof counts: none of it when another member is set.
fn since(bytes: &[u8], arm: Option<Arm>, field: usize) -> &[u8] {
    match arm {
        Some(arm) if arm.field == field => bytes.get(arm.start..).unwrap_or_default(),
        _ => &[],
    }
}

fn merge_field(
    tables: &Tables,
    slot: &Slot,
    node: &Node,
    base: &[u8],
    patch: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    match (node, slot.shape, slot.kind) {
        (Node::All, _, _) => {
            let mut fields = Fields::new(patch);
            while let Some(field) = fields.read()? {
                if field.number == slot.number {
                    copy(patch, &field, out);
                }
            }
        }
        (Node::Keys(keys), Shape::Map { key, value }, _) => {
            Keyed { tables, slot, key, value }.merge(keys, base, patch, out)?;
        }
        (Node::Fields(fields), _, Kind::Message(id)) => {
            let base = content(slot, base)?;
            let patch = content(slot, patch)?;
            if base.is_none() && patch.is_none() {
                return Ok(());
            }
            let mut merged = Vec::new();
            let (base, patch) = (base.unwrap_or_default(), patch.unwrap_or_default());
            merge_message(tables, id, fields, &base, &patch, &mut merged)?;
            write::delimited(out, slot.number, &merged);
        }
        _ => {}
    }
    Ok(())
}

/// Which member of each oneof is set.
fn arms(message: &Message, bytes: &[u8]) -> Result<Vec<Option<Arm>>, Malformed> {
    let mut arms: Vec<Option<Arm>> = vec![None; message.oneofs.len()];
    if arms.is_empty() {
        return Ok(arms);
    }
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.read()? {
        if let Some((i, slot)) = message.field_by_number(field.number)
            && let Shape::Arm(oneof) = slot.shape
            && let Some(arm) = arms.get_mut(oneof)
            && arm.is_none_or(|arm| arm.field != i)
        {
            *arm = Some(Arm { field: i, start: field.start });
        }
    }
    Ok(arms)
}

fn delimited<'b>(field: &Field<'b>) -> Result<&'b [u8], Malformed> {
    match field.raw {
        Raw::Len(content) => Ok(content),
        _ => Err(Malformed { flaw: Flaw::WireType, offset: field.start }),
    }
}

/// The content of a singular message field: its occurrences one after the other, which is how they merge.
fn content(slot: &Slot, bytes: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let mut content: Option<Vec<u8>> = None;
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.read()? {
        if field.number == slot.number {
            content.get_or_insert_default().extend_from_slice(delimited(&field)?);
        }
    }
    Ok(content)
}

/// A map of which some keys are named.
struct Keyed<'t> {
    tables: &'t Tables,
    slot: &'t Slot,
    key: Kind,
    value: Kind,
}

impl Keyed<'_> {
    fn merge(
        &self,
        keys: &[(String, Node)],
        base: &[u8],
        patch: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let base_entries = self.named(keys, base)?;
        let patch_entries = self.named(keys, patch)?;
        let mut fields = Fields::new(base);
        while let Some(field) = fields.read()? {
            if field.number != self.slot.number {
                continue;
            }
            let key = self.key_text(delimited(&field)?)?;
            let Some(node) = node_of(keys, &key) else {
                copy(base, &field, out);
                continue;
            };
            // The last entry of a key is the one that counts; the new one takes its place.
            let last = base_entries.get(&key);
            if last.is_some_and(|last| last.start == field.start) {
                self.entry(node, last, patch_entries.get(&key), out)?;
            }
        }
        let mut added: Vec<_> =
            patch_entries.iter().filter(|(key, _)| !base_entries.contains_key(*key)).collect();
        added.sort_by_key(|(_, field)| field.start);
        for (key, field) in added {
            if let Some(node) = node_of(keys, key) {
                self.entry(node, None, Some(field), out)?;
            }
        }
        Ok(())
    }

    /// The last entry of each named key.
    fn named<'b>(
        &self,
        keys: &[(String, Node)],
        bytes: &'b [u8],
    ) -> Result<BTreeMap<String, Field<'b>>, Malformed> {
        let mut entries = BTreeMap::new();
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.read()? {
            if field.number == self.slot.number {
                let key = self.key_text(delimited(&field)?)?;
                if node_of(keys, &key).is_some() {
                    entries.insert(key, field);
                }
            }
        }
        Ok(entries)
    }

    fn key_text(&self, entry: &[u8]) -> Result<String, Malformed> {
        Ok(match MapKey::of(entry, self.key)? {
            MapKey::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => text.to_owned(),
                Err(_) => return Err(Malformed { flaw: Flaw::Utf8, offset: 0 }),
            },
            MapKey::Number(n) => match self.key {
                Kind::Bool => (n != 0).to_string(),
                Kind::Int32 | Kind::Sfixed32 => (n as u32 as i32).to_string(),
                Kind::Int64 | Kind::Sfixed64 => (n as i64).to_string(),
                Kind::Sint32 | Kind::Sint64 => zigzag(n).to_string(),
                _ => n.to_string(),
            },
        })
    }

    /// The entry that results for one named key, if any.
    fn entry(
        &self,
        node: &Node,
        base: Option<&Field<'_>>,
        patch: Option<&Field<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let (Node::Fields(fields), Kind::Message(id)) = (node, self.value) else {
            if let Some(patch) = patch {
                write::delimited(out, self.slot.number, delimited(patch)?);
            }
            return Ok(());
        };
        let base_entry = base.map(delimited).transpose()?;
        let patch_entry = patch.map(delimited).transpose()?;
        let Some(keyed) = base_entry.or(patch_entry) else { return Ok(()) };
        let mut merged = Vec::new();
        let base_value = value_of(base_entry)?;
        let patch_value = value_of(patch_entry)?;
        merge_message(self.tables, id, fields, &base_value, &patch_value, &mut merged)?;
        let mut entry = Vec::new();
        let mut parts = Fields::new(keyed);
        while let Some(part) = parts.read()? {
            if part.number == 1 {
                copy(keyed, &part, &mut entry);
            }
        }
        write::delimited(&mut entry, 2, &merged);
        write::delimited(out, self.slot.number, &entry);
        Ok(())
    }
}

fn node_of<'n>(keys: &'n [(String, Node)], key: &str) -> Option<&'n Node> {
    keys.iter().find(|(k, _)| k == key).map(|(_, node)| node)
}

/// The content of field 2 of a map entry.
fn value_of(entry: Option<&[u8]>) -> Result<Vec<u8>, Malformed> {
    let mut value = Vec::new();
    let mut fields = Fields::new(entry.unwrap_or_default());
    while let Some(field) = fields.read()? {
        if field.number == 2 {
            value.extend_from_slice(delimited(&field)?);
        }
    }
    Ok(value)
}
