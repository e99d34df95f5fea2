//! Reading the protobuf wire format: one message's bytes as a sequence of numbered fields. It knows no descriptors.
//! Never panics and never recurses; a group is skipped with a bounded stack.

use std::fmt;

/// Groups within groups that are skipped; nothing we speak uses groups.
const GROUP_DEPTH_MAX_LEVELS: usize = 32;
/// The largest field number of the format.
const NUMBER_MAX: u64 = (1 << 29) - 1;

/// One field as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field<'a> {
    /// The field number, 1 to 2^29 - 1.
    pub number: u32,
    /// The value, undecoded.
    pub raw: Raw<'a>,
    /// Where the field (its tag) starts in the bytes that are read.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// The value of a field as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Raw<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, little-endian.
    Fixed64(u64),
    /// Wire type 2: a string, bytes, a message, or packed scalars.
    Len(&'a [u8]),
    /// Wire types 3 and 4: a group, whose content is only skipped.
    Group,
    /// Wire type 5, little-endian.
    Fixed32(u32),
}

impl Raw<'_> {
    pub(super) fn wire_type(&self) -> u8 {
        match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Len(_) => 2,
            Self::Group => 3,
            Self::Fixed32(_) => 5,
        }
    }
}

/// These bytes are not a message of the wanted type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub flaw: Flaw,
    /// The byte at which it was seen, from the start of the innermost message that was being read.
    pub offset: usize,
}

/// What is wrong with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// They end within a field.
    Truncated,
    /// A varint of more than ten bytes, or over 64 bits.
    Varint,
    /// A tag with field number 0 or over 2^29 - 1, or with an unknown wire type.
    Tag,
    /// A group that does not end, ends twice, or is nested too deeply.
    Group,
    /// A known field with another wire type than its own.
    WireType,
    /// A `string` that is not UTF-8.
    Utf8,
    /// Messages nested more deeply than allowed.
    Depth,
    /// A timestamp outside the years 0001 to 9999, a duration over 10 000 years or with mixed signs.
    Range,
    /// A `google.protobuf.Value` with a number that JSON does not have (NaN, infinity).
    Number,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.flaw {
            Flaw::Truncated => "the bytes end within a field",
            Flaw::Varint => "a varint is too long",
            Flaw::Tag => "a field tag is not valid",
            Flaw::Group => "a group does not end, or is nested too deeply",
            Flaw::WireType => "a field has another wire type than its own",
            Flaw::Utf8 => "a string is not UTF-8",
            Flaw::Depth => "messages are nested too deeply",
            Flaw::Range => "a timestamp or duration is out of range",
            Flaw::Number => "a number in a JSON value is not finite",
        };
        write!(f, "{what} (at byte {})", self.offset)
    }
}

impl std::error::Error for Malformed {}

/// The fields of one message, in the order of the bytes. After an error there is nothing more.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// Reads `bytes` as the body of one message.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Reads from `start` up to `end`, with offsets still counted from the start of `bytes`.
    pub(super) fn between(bytes: &'a [u8], start: usize, end: usize) -> Self {
        Self { bytes: bytes.get(..end).unwrap_or(bytes), at: start }
    }

    /// As an iterator of results, without the overhead of one in the hot loops.
    #[inline]
    pub(super) fn read(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let (number, wire_type) = self.tag()?;
        let raw = match wire_type {
            0 => Raw::Varint(self.varint()?),
            1 => Raw::Fixed64(self.fixed64()?),
            2 => Raw::Len(self.delimited()?),
            3 => {
                self.skip_group(number)?;
                Raw::Group
            }
            4 => return Err(self.flaw(Flaw::Group, start)),
            5 => Raw::Fixed32(self.fixed32()?),
            _ => return Err(self.flaw(Flaw::Tag, start)),
        };
        Ok(Some(Field { number, raw, start, end: self.at }))
    }

    fn flaw(&self, flaw: Flaw, offset: usize) -> Malformed {
        Malformed { flaw, offset }
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let start = self.at;
        let tag = self.varint()?;
        let number = tag >> 3;
        match u32::try_from(number) {
            Ok(n) if n >= 1 && number <= NUMBER_MAX => Ok((n, (tag & 7) as u8)),
            _ => Err(self.flaw(Flaw::Tag, start)),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.varint_long(),
        }
    }

    fn varint_long(&mut self) -> Result<u64, Malformed> {
        let start = self.at;
        let mut value = 0u64;
        for i in 0..10 {
            let Some(&byte) = self.bytes.get(start + i) else {
                return Err(self.flaw(Flaw::Truncated, start));
            };
            // The tenth byte holds the one bit that is left.
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at = start + i + 1;
                return Ok(value);
            }
        }
        Err(self.flaw(Flaw::Varint, start))
    }

    fn fixed64(&mut self) -> Result<u64, Malformed> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>());
        let bytes = bytes.ok_or(Malformed { flaw: Flaw::Truncated, offset: self.at })?;
        self.at += 8;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn fixed32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<4>());
        let bytes = bytes.ok_or(Malformed { flaw: Flaw::Truncated, offset: self.at })?;
        self.at += 4;
        Ok(u32::from_le_bytes(*bytes))
    }

    #[inline]
    fn delimited(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        let length = self.varint()?;
        let length = usize::try_from(length).ok();
        let end = length.and_then(|length| self.at.checked_add(length));
        let slice = end.and_then(|end| self.bytes.get(self.at..end));
        let slice = slice.ok_or(Malformed { flaw: Flaw::Truncated, offset: start })?;
        self.at += slice.len();
        Ok(slice)
    }

    fn skip_group(&mut self, number: u32) -> Result<(), Malformed> {
        let start = self.at;
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            if self.at >= self.bytes.len() {
                return Err(self.flaw(Flaw::Group, start));
            }
            let (number, wire_type) = self.tag()?;
            match wire_type {
                0 => drop(self.varint()?),
                1 => drop(self.fixed64()?),
                2 => drop(self.delimited()?),
                3 if open.len() < GROUP_DEPTH_MAX_LEVELS => open.push(number),
                4 if number == innermost => drop(open.pop()),
                5 => drop(self.fixed32()?),
                _ => return Err(self.flaw(Flaw::Group, start)),
            }
        }
        Ok(())
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read().transpose();
        if matches!(item, Some(Err(_))) {
            self.at = self.bytes.len();
        }
        item
    }
}

/// Packed scalars: the values of a repeated field in one length-delimited run.
pub(super) struct Packed<'a> {
    run: Fields<'a>,
    wire_type: u8,
}

impl<'a> Packed<'a> {
    pub(super) fn new(run: &'a [u8], wire_type: u8) -> Self {
        Self { run: Fields::new(run), wire_type }
    }

    pub(super) fn read(&mut self) -> Result<Option<Raw<'a>>, Malformed> {
        if self.run.at >= self.run.bytes.len() {
            return Ok(None);
        }
        match self.wire_type {
            0 => self.run.varint().map(|v| Some(Raw::Varint(v))),
            1 => self.run.fixed64().map(|v| Some(Raw::Fixed64(v))),
            5 => self.run.fixed32().map(|v| Some(Raw::Fixed32(v))),
            _ => Err(Malformed { flaw: Flaw::WireType, offset: 0 }),
        }
    }
}

pub(super) fn zigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}
