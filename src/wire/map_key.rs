//! The key of a map entry, comparable without decoding the entry: map entries that have the same key override each
//! other, whatever else their bytes are.

use super::read::{Fields, Flaw, Malformed, Raw};
use super::schema::Kind;

/// A map key as it compares: its bytes for text, its number for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum MapKey<'a> {
    Text(&'a [u8]),
    Number(u64),
}

impl<'a> MapKey<'a> {
    /// The key (field 1) of a map entry's bytes.
    pub(super) fn of(entry: &'a [u8], kind: Kind) -> Result<Self, Malformed> {
        let mut key = if kind == Kind::String { Self::Text(&[]) } else { Self::Number(0) };
        let mut fields = Fields::new(entry);
        while let Some(field) = fields.read()? {
            if field.number != 1 {
                continue;
            }
            key = match field.raw {
                Raw::Len(text) if kind == Kind::String => Self::Text(text),
                Raw::Varint(v) if kind == Kind::Bool => Self::Number(u64::from(v != 0)),
                Raw::Varint(v) if matches!(kind, Kind::Int32 | Kind::Uint32 | Kind::Sint32) => {
                    Self::Number(u64::from(v as u32))
                }
                Raw::Varint(v) | Raw::Fixed64(v) if kind.wire_type() == field.raw.wire_type() => {
                    Self::Number(v)
                }
                Raw::Fixed32(v) if kind.wire_type() == 5 => Self::Number(u64::from(v)),
                _ => return Err(Malformed { flaw: Flaw::WireType, offset: field.start }),
            };
        }
        Ok(key)
    }
}
